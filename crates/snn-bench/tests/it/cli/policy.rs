//! `policy show`.

use super::{folder, has, json, snn, stdout};
use std::path::PathBuf;

fn config(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../configs", name].iter().collect()
}

#[test]
fn it_needs_neither_data_nor_training() {
    let empty = folder("policy");
    let shown = snn()
        .current_dir(&empty)
        .env("SNN_DATA", &empty)
        .args(["policy", "show"])
        .arg(config("cifar100/resnet20-outer.toml"))
        .assert()
        .success();
    let text = stdout(&shown);
    assert!(
        text.contains(
            "policy outer: 10 of 19 sites are ReLU; 54.3 % of 188416 neurons ReLU, 45.7 % LIF"
        ),
        "{text}"
    );
    let line = |site: &str| {
        text.lines().find(|line| line.starts_with(site)).unwrap().split_whitespace().collect()
    };
    let stem: Vec<&str> = line("stem.act");
    assert_eq!(stem, ["stem.act", "16×32×32", "16384", "lif", "quant_relu", "changed"]);
    let inner: Vec<&str> = line("layer1.0.act1");
    assert_eq!(inner, ["layer1.0.act1", "16×32×32", "16384", "lif", "lif", "kept"]);
    assert!(text.contains("It chooses sites that read an addition"), "{text}");
    assert!(std::fs::read_dir(&empty).unwrap().next().is_none());
}

#[test]
fn settings_of_the_policy_can_be_changed() {
    let show = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        snn().args(["policy", "show", "--json"]).arg(config("demo.toml")).args(sets).assert()
    };
    let shown = json(
        &show(&["policy={ kind = 'ratio', share = 0.2, spread = 'late' }", "policy.share=0.4"])
            .success(),
    );
    has(
        &shown,
        &[
            "config",
            "explanation",
            "policy",
            "sites",
            "neurons",
            "lif_neurons",
            "relu_sites",
            "relu_share",
        ],
    );
    has(
        &shown["sites"][0],
        &["site", "shape", "neurons", "before", "after", "spiking", "decision"],
    );
    assert_eq!(shown["relu_sites"], 2);
    assert_eq!(shown["sites"][4]["after"], "quant_relu");
    assert_eq!(shown["explanation"], "40 % of the sites, denser towards the output");
    show(&["policy={ kind = 'stage', stages = ['block3'] }"]).code(2);
    show(&["policy={ kind = 'first_k', k = 6 }"]).code(2);
}

#[test]
fn the_example_of_the_help_works() {
    let example = r#"policy={ kind = "ratio", share = 0.25 }"#;
    assert!(stdout(&snn().args(["policy", "show", "--help"]).assert().success()).contains(example));
    let shown = snn()
        .args(["policy", "show", "--json", "--set", example])
        .arg(config("cifar100/resnet20-hybrid.toml"))
        .assert()
        .success();
    assert_eq!(json(&shown)["policy"]["kind"], "ratio");
}

#[test]
fn every_shipped_config_has_a_policy_that_fits() {
    for folder in ["", "cifar10", "cifar100"] {
        for entry in std::fs::read_dir(config(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                snn().args(["policy", "show"]).arg(path).assert().success();
            }
        }
    }
}
