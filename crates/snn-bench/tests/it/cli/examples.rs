//! The configs under `examples/`, from training to the proof, as their comments say to run them.

use super::{folder, snn, stdout};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Trains a shortened run of a config from `start`, where its paths begin, converts it and proves
/// the conversion.
fn trains_converts_and_verifies(name: &str, start: &Path, config: &str, code: &str) {
    let folder = folder(name);
    let (run, model) = (folder.join("run"), folder.join("model.safetensors"));
    let mut train = snn();
    train.current_dir(start).args(["train", "--config", config, "--out"]).arg(&run);
    for set in ["epochs=1", "data.limit=200", "data.test_limit=100", "data.validation_limit=50"] {
        train.args(["--set", set]);
    }
    let out = stdout(&train.assert().success());
    assert!(out.contains("on 100 images after 1 epoch"), "{out}");
    let mut convert = snn();
    convert.arg("convert").arg(&run).args(["--code", code, "--out"]).arg(&model);
    convert.assert().success();
    let mut verify = snn();
    verify.arg("verify").arg(&run).arg(&model).args(["--limit", "20", "--naive-samples", "1"]);
    // What a network that has seen 200 images loses by rounding is not what is tested here.
    let out = stdout(&verify.args(["--max-drop", "100"]).assert().success());
    let verdict = out.lines().last().unwrap();
    assert!(verdict.starts_with("holds: bitwise; 20 of "), "{out}");
}

#[test]
fn the_network_from_a_json_file_converts_losslessly() {
    let start = root().join("examples/own-network");
    trains_converts_and_verifies("own-network", &start, "train.toml", "graded");
}

#[test]
fn the_small_vgg_converts_losslessly() {
    let config = "examples/networks/small-vgg-run.toml";
    trains_converts_and_verifies("small-vgg", &root(), config, "unary");
}
