//! `policy show` and `policy search`.

use super::{folder, has, json, snn, stderr, stdout};
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

const STAGED: &str = r#"
epochs = 1
batch = 32
replacement = { kind = "quant_relu", levels = 3 }
network = { kind = "small", width = 6 }
data = { dataset = "shapes10", held_out = 7000, validation_limit = 100, crop_padding = 0 }
twin = { epochs = 1 }

[neuron]
leak = { kind = "learned", initial = 0.9 }
reset = { kind = "soft" }
"#;

/// A search is measured once: another limit, and one that was cut off, begin with what is known.
#[test]
fn a_search_finds_a_policy_within_its_limit() {
    let folder = folder("search");
    let (config, run, out) = (folder.join("config.toml"), folder.join("run"), folder.join("out"));
    std::fs::write(&config, STAGED).unwrap();
    snn().args(["train", "--config"]).arg(&config).arg("--out").arg(&run).assert().success();
    let search = |limit: [&str; 2]| {
        let mut command = snn();
        command.args(["policy", "search", "--samples", "64", "--counted", "16", "--json"]);
        command.args(limit).arg("--config").arg(&config).arg("--out").arg(&out);
        command.arg("--twin").arg(run.join("twin")).assert()
    };
    let lines = || std::fs::read_to_string(out.join("measurements.jsonl")).unwrap();
    let found = json(&search(["--lif-share", "0.5"]).success());
    has(&found, &["limit", "policy", "sets", "holds", "relus", "network", "sites"]);
    has(&found["network"], &["lif", "loss", "accuracy", "additions", "microjoules", "lif_share"]);
    assert_eq!(found["holds"], true);
    assert!(found["network"]["lif_share"].as_f64() >= Some(0.5), "{found}");
    assert_eq!(found["relus"]["lif_share"], 0.0);
    let sites = found["sites"].as_array().unwrap();
    assert_eq!(sites.len(), 5);
    assert!(sites.iter().any(|site| site["loss"].as_f64() != Some(0.0)), "{found}");

    // The policy is what `train` and `policy show` take.
    let set = found["sets"][0].as_str().unwrap();
    let shown = snn().args(["policy", "show", "--json", "--set", set]).arg(&config).assert();
    let shown = json(&shown.success());
    let spiking = shown["sites"].as_array().unwrap().iter().filter(|s| s["spiking"] == true);
    let spiking: Vec<_> = spiking.map(|site| site["site"].clone()).collect();
    let mut lif = found["network"]["lif"].as_array().unwrap().clone();
    lif.sort_by_key(|name| spiking.iter().position(|other| other == name));
    assert_eq!(lif, spiking);
    assert!(out.join("policy.toml").is_file() && out.join("search.json").is_file());

    // The same again measures nothing.
    let before = lines();
    assert_eq!(json(&search(["--lif-share", "0.5"]).success()), found);
    assert_eq!(lines(), before);
    // A line that was cut off is measured again.
    let cut = before.trim_end();
    std::fs::write(out.join("measurements.jsonl"), &cut[..cut.len() - 5]).unwrap();
    assert_eq!(
        json(&search(["--lif-share", "0.5"]).success())["network"]["lif"],
        found["network"]["lif"]
    );
    let known = lines().lines().filter(|line| line.starts_with('{') && line.ends_with('}')).count();
    assert_eq!(known, before.lines().count());

    // All sites together are as near as it comes.
    let far = json(&search(["--additions", "1"]).code(1));
    assert_eq!(far["holds"], false);
    let share = json(&search(["--lif-share", "1.0"]).success());
    assert_eq!(share["network"]["lif"].as_array().unwrap().len(), 5);
    assert_eq!(share["policy"]["kind"], "none");

    // The two sites whose fit is best are measured, the others stay ReLUs.
    let few = json(&search(["--lif-share=1.0", "--candidates=2"]).code(1));
    assert_eq!(few["sites"].as_array().unwrap().len(), 2);
    assert_eq!(few["network"]["lif"].as_array().unwrap().len(), 2);

    // Levels are chosen too, and both go into a config.
    let only_lif = json(&search(["--lif-share=0.5", "--levels=3,8"]).success());
    assert_eq!(only_lif["sites"].as_array().unwrap().len(), 5, "fewer levels bring no neuron");
    assert_eq!(only_lif["replacement"]["levels"], 8);
    let limit = (only_lif["relus"]["additions"].as_f64().unwrap() * 0.8).to_string();
    let fewer = json(&search(["--levels=8,2", &format!("--additions={limit}")]).success());
    assert_eq!(fewer["sites"].as_array().unwrap().len(), 10);
    let levels = fewer["network"]["levels"].as_object().unwrap();
    assert!(!levels.is_empty() && levels.values().all(|levels| levels == 2), "{fewer}");
    let mut command = snn();
    command.args(["train", "--config"]).arg(&config).arg("--out").arg(folder.join("found"));
    for set in fewer["sets"].as_array().unwrap() {
        command.args(["--set", set.as_str().unwrap()]);
    }
    // The twin that was searched is the twin of what was found.
    command.arg("--twin").arg(run.join("twin")).assert().success();
    let told = std::fs::read_to_string(folder.join("found/run.json")).unwrap();
    for site in levels.keys() {
        assert!(told.contains(&format!("swap `{site}`: 3 levels become 2")), "{told}");
    }
    // As many levels as the twin has, at a step that no multiplication gives back.
    let same = json(&search(["--additions=1e12", "--levels=3,2"]).success());
    assert!(same["holds"] == true && same["network"]["levels"].as_object().unwrap().is_empty());
    // A crossover of the config has no stages in a search.
    let mut command = snn();
    command.args(["policy", "search", "--samples=64", "--counted=16", "--lif-share=0.1"]);
    command.args(["--set", "crossover.stages=2", "--config"]).arg(&config);
    command.arg("--out").arg(folder.join("staged")).arg("--twin").arg(run.join("twin"));
    command.assert().success();
}

#[test]
fn a_search_needs_held_out_samples_and_one_limit() {
    let folder = folder("search-errors");
    let config = folder.join("config.toml");
    std::fs::write(&config, STAGED).unwrap();
    let search = |more: &[&str]| {
        let mut command = snn();
        command.args(["policy", "search", "--config"]).arg(&config).args(more);
        command.arg("--out").arg(folder.join("out")).arg("--twin").arg(folder.join("none"));
        stderr(&command.assert().code(2))
    };
    assert!(search(&[]).contains("--additions"));
    assert!(search(&["--additions", "1", "--lif-share", "0.5"]).contains("cannot be used with"));
    let none = ["--set", "data.validation_limit=0", "--set", "data.held_out=0"];
    let error = search(&[&["--additions", "1"], &none[..]].concat());
    assert!(error.contains("data.held_out"), "{error}");
    let error = search(&["--additions", "1", "--samples", "101"]);
    assert!(error.contains("at most the 100 held-out samples"), "{error}");
    assert!(!folder.join("out").exists());
}
