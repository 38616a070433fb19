//! Policies and replacements as data, in and out.

use snn_hybrid::{Policy, Replacement, apply};
use snn_ir::networks::SmallNet;
use snn_ir::{Op, QuantRelu, Share, Site};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) policy: Policy,
    #[serde(default)]
    pub(crate) replacement: Replacement,
}

pub(crate) fn read(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

pub(crate) fn policy(text: &str) -> Policy {
    read(&format!("policy = {text}")).unwrap().policy
}

#[test]
fn replacements() {
    assert_eq!(read("replacement = 'relu'").unwrap().replacement, Replacement::Relu);
    assert_eq!(read("replacement = 'quant_relu'").unwrap().replacement, Replacement::default());
    let config = read("replacement = { kind = 'quant_relu', levels = 7 }").unwrap();
    assert_eq!(
        config.replacement,
        Replacement::from(QuantRelu { levels: 7, ..QuantRelu::default() })
    );
    assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
}

/// Sites with levels of their own keep the largest output; the first entry counts.
#[test]
fn levels_of_single_sites() {
    let text = "replacement = { kind = 'quant_relu', levels = 8, step = 0.5, share = 'channel', \
                sites = [{ names = '*.act2', levels = 2 }, { names = 'block2.*', levels = 4 }] }";
    let config = read(text).unwrap();
    assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
    let graph = SmallNet::default().build();
    let (hybrid, _) = apply(&graph, &Policy::All, &config.replacement).unwrap();
    let site = |name: &str| match &hybrid.node(name).unwrap().op {
        Op::Activation { site: Site::QuantRelu(relu), .. } => relu.clone(),
        other => panic!("{other:?}"),
    };
    let relu = |levels, step| QuantRelu { levels, step, share: Share::Channel };
    assert_eq!(site("stem.act"), relu(8, 0.5));
    assert_eq!(site("block1.act2"), relu(2, 2.0));
    assert_eq!(site("block2.act1"), relu(4, 1.0));
    assert_eq!(site("block2.act2"), relu(2, 2.0));

    let wrong = text.replace("*.act2", "*.act9");
    let error = apply(&graph, &Policy::All, &read(&wrong).unwrap().replacement).unwrap_err();
    assert!(error.to_string().starts_with("replacement.sites: glob `*.act9`"), "{error}");
    let none = text.replace("levels = 2", "levels = 0");
    let error = apply(&graph, &Policy::All, &read(&none).unwrap().replacement).unwrap_err();
    assert!(error.to_string().contains("levels"), "{error}");
    let error = read(&text.replace("names", "name")).unwrap_err();
    assert!(error.contains("unknown field `name`"), "{error}");
}

#[test]
fn errors_name_what_is_wrong_and_what_was_meant() {
    for (text, messages) in [
        (
            "policy = 'outre'",
            &["unknown variant `outre`", "none, all, inner", "did you mean `outer`?"][..],
        ),
        ("policy = { kind = 'first' }", &["did you mean `first_k`?"]),
        ("policy = { knd = 'outer' }", &["missing field `kind`"]),
        ("policy = { kind = 3 }", &["missing field `kind`"]),
        ("policy = 3", &["expected a policy: one of none, all", "found 3"]),
        (
            "policy = { kind = 'outer', include = ['a'] }",
            &["unknown field `include`", "`outer` takes no settings"],
        ),
        ("policy = { kind = 'sites' }", &["missing field `include`"]),
        (
            "policy = { kind = 'sites', include = [], exlude = [] }",
            &["`exlude`", "did you mean `exclude`?"],
        ),
        ("policy = { kind = 'first_k', k = -1 }", &["a policy: invalid value: integer `-1`"]),
        (
            "policy = { kind = 'ratio', share = 'half' }",
            &["a policy: invalid type: string \"half\""],
        ),
        (
            "policy = { kind = 'ratio', share = 0.5, spread = 'erly' }",
            &["a spread", "did you mean `early`?"],
        ),
        ("policy = { kind = 'ratio', share = 0.5, seed = 1 }", &["`ratio` takes share, spread"]),
        (
            "policy = { kind = 'ratio', share = 0.5, spread = { kind = 'late', seed = 1 } }",
            &["a spread: unknown field `seed`", "`late` takes no settings"],
        ),
        (
            "policy = { kind = 'union', policies = ['stem', 'haed'] }",
            &["unknown variant `haed`", "mean `head`?"],
        ),
        ("policy = { kind = 'difference', policy = 'all' }", &["missing field `without`"]),
        (
            "replacement = 'rel'",
            &["unknown variant `rel`, expected a replacement", "did you mean `relu`?"],
        ),
        (
            "replacement = { kind = 'relu', levels = 4 }",
            &["unknown field `levels`", "`relu` takes no settings"],
        ),
        ("replacement = { kind = 'quant_relu', level = 4 }", &["did you mean `levels`?"]),
        (
            "replacement = { kind = 'quant_relu', levels = 256 }",
            &["a replacement: invalid value: integer `256`"],
        ),
    ] {
        let error = read(text).unwrap_err();
        for message in messages {
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
