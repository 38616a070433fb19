//! The configs under `examples/`, from training to the proof, as their comments say to run them.

use super::{folder, snn, stdout};
use snn_runtime::Deployment;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Trains a shortened run of a config from `start`, where its paths begin, converts it and proves
/// the conversion.
fn trains_converts_and_verifies(name: &str, start: &Path, config: &str, code: &str) {
    let run = trained(name, start, config);
    converts_and_verifies(&run, code);
}

/// The folder of a shortened run.
fn trained(name: &str, start: &Path, config: &str) -> PathBuf {
    let run = folder(name).join("run");
    let mut train = snn();
    train.current_dir(start).args(["train", "--config", config, "--out"]).arg(&run);
    for set in ["epochs=1", "data.limit=200", "data.test_limit=100", "data.validation_limit=50"] {
        train.args(["--set", set]);
    }
    let out = stdout(&train.assert().success());
    assert!(out.contains("on 100 images after 1 epoch"), "{out}");
    run
}

/// The file of a run that was converted in a code and verified.
fn converts_and_verifies(run: &Path, code: &str) -> PathBuf {
    let model = run.with_file_name(format!("{code}.safetensors"));
    let mut convert = snn();
    convert.arg("convert").arg(run).args(["--code", code, "--out"]).arg(&model);
    convert.assert().success();
    let mut verify = snn();
    verify.arg("verify").arg(run).arg(&model).args(["--limit", "20", "--naive-samples", "1"]);
    // What a network that has seen 200 images loses by rounding is not what is tested here.
    let out = stdout(&verify.args(["--max-drop", "100"]).assert().success());
    let verdict = out.lines().last().unwrap();
    assert!(verdict.starts_with("holds: bitwise; 20 of "), "{out}");
    model
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

#[test]
fn the_recurrent_network_converts_in_every_code_and_streams_what_it_classifies() {
    let run = trained("recurrent", &root(), "examples/networks/recurrent-run.toml");
    for code in ["unary", "bitplane", "graded"] {
        let model = converts_and_verifies(&run, code);
        let deployment = Deployment::load(&model).unwrap();
        let mut session = deployment.session();
        for seed in 0..8_u8 {
            let image: Vec<u8> =
                (0..3 * 16 * 16_u16).map(|at| (at % 251) as u8 ^ seed.wrapping_mul(31)).collect();
            let whole = session.run(&image).unwrap().logits();
            let mut state = session.rest();
            for _ in 0..deployment.time_steps() {
                session.push(&mut state, &image).unwrap();
            }
            assert_eq!(state.scores().logits(), whole, "{code}, image {seed}");
        }
    }
}
