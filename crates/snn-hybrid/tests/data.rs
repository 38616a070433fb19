//! Policies and replacements as data, in and out.

use snn_hybrid::{Policy, Replacement, Spread};
use snn_ir::QuantRelu;

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Config {
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    replacement: Replacement,
}

fn read(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn policy(text: &str) -> Policy {
    read(&format!("policy = {text}")).unwrap().policy
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// One policy of each kind with the text that makes it.
fn every_kind() -> Vec<(&'static str, Policy)> {
    let spread = Spread::Random { seed: 3 };
    vec![
        ("'none'", Policy::None),
        ("'all'", Policy::All),
        ("'inner'", Policy::Inner),
        ("'outer'", Policy::Outer),
        ("'alternate'", Policy::Alternate),
        ("'stem'", Policy::Stem),
        ("{ kind = 'head' }", Policy::Head),
        ("{ kind = 'first_k', k = 4 }", Policy::FirstK { k: 4 }),
        ("{ kind = 'last_k', k = 1 }", Policy::LastK { k: 1 }),
        (
            "{ kind = 'stage', stages = ['layer1', 'stem'] }",
            Policy::Stage { stages: names(&["layer1", "stem"]) },
        ),
        (
            "{ kind = 'sites', include = ['a.*'] }",
            Policy::Sites { include: names(&["a.*"]), exclude: vec![] },
        ),
        (
            "{ kind = 'sites', include = ['*'], exclude = ['b'] }",
            Policy::Sites { include: names(&["*"]), exclude: names(&["b"]) },
        ),
        ("{ kind = 'ratio', share = 1 }", Policy::Ratio { share: 1.0, spread: Spread::Uniform }),
        (
            "{ kind = 'ratio', share = 0.3, spread = 'early' }",
            Policy::Ratio { share: 0.3, spread: Spread::Early },
        ),
        (
            "{ kind = 'ratio', share = 0.3, spread = 'late' }",
            Policy::Ratio { share: 0.3, spread: Spread::Late },
        ),
        (
            "{ kind = 'ratio', share = 0.3, spread = { kind = 'random', seed = 3 } }",
            Policy::Ratio { share: 0.3, spread },
        ),
        (
            "{ kind = 'union', policies = ['stem', { kind = 'last_k', k = 2 }] }",
            Policy::Union { policies: vec![Policy::Stem, Policy::LastK { k: 2 }] },
        ),
        (
            "{ kind = 'intersection', policies = ['outer'] }",
            Policy::Intersection { policies: vec![Policy::Outer] },
        ),
        (
            "{ kind = 'difference', policy = 'outer', without = \
             { kind = 'union', policies = ['stem', 'head'] } }",
            Policy::Difference {
                policy: Policy::Outer.into(),
                without: Policy::Union { policies: vec![Policy::Stem, Policy::Head] }.into(),
            },
        ),
    ]
}

#[test]
fn every_kind_is_read_written_named_and_explained() {
    for (text, expected) in every_kind() {
        let config = Config { policy: policy(text), replacement: Replacement::Relu };
        assert_eq!(config.policy, expected, "{text}");
        assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config, "{text}");
        let json = serde_json::to_value(&expected).unwrap();
        assert_eq!(json["kind"], expected.label());
        assert_eq!(serde_json::from_value::<Policy>(json).unwrap(), expected);
        assert!(text.contains(expected.label()) && !expected.explanation().is_empty());
        assert!(expected.to_string().starts_with(expected.label()));
    }
}

#[test]
fn replacements() {
    assert_eq!(read("replacement = 'relu'").unwrap().replacement, Replacement::Relu);
    assert_eq!(read("replacement = 'quant_relu'").unwrap().replacement, Replacement::default());
    let config = read("replacement = { kind = 'quant_relu', levels = 7 }").unwrap();
    assert_eq!(
        config.replacement,
        Replacement::QuantRelu(QuantRelu { levels: 7, ..QuantRelu::default() })
    );
    assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
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
