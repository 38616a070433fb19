//! Networks on the grid in PyTorch and onnxruntime: the same integers as the naive evaluator's, for
//! random networks of every kind that conversion makes.
//!
//! The peers are asked by `tests/peers.py`, with the Python of the variable `SNN_EXCHANGE_PYTHON`
//! (else `python3`); where it has no torch or onnxruntime the test says so and shows nothing.

use ndarray::{ArrayD, Axis};
use snn_ir::testing::{Numbers, Sites, pixels, trained_with};
use snn_ir::{Code, Encoder, Evaluate, Input, Logits, Model, Naive, Op, PoolKind, Record};
use snn_reparam::{ConvertOptions, GridOptions, convert, to_grid};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Samples of each network.
const BATCH: usize = 3;

/// A random network on the grid, in the code of its seed; `None` where conversion refuses it.
pub(crate) fn on_grid(seed: u64) -> Option<Model> {
    on_grid_behind(&Encoder::Direct, seed)
}

/// The same for a network that reads the frames of an encoder.
fn on_grid_behind(encoder: &Encoder, seed: u64) -> Option<Model> {
    let codes = [Code::Unary, Code::BitPlane, Code::Graded];
    let numbers = if seed.is_multiple_of(2) { Numbers::Real } else { Numbers::Dyadic };
    let (mut signature, weights) = trained_with(seed, numbers, Sites::All).into_parts();
    if let Some(preprocessing) = encoder.preprocessing(signature.preprocessing.mean.len()) {
        signature.preprocessing = preprocessing;
    }
    let trained = Model::new(signature.with_encoder(*encoder), weights);
    let code = codes[usize::try_from(seed % 3).expect("small")];
    let events = convert(&trained, &ConvertOptions::from(code)).ok()?.model;
    Some(to_grid(&events, GridOptions::default()).ok()?.model)
}

/// Bytes of an array as NumPy stores it.
pub(crate) fn npy(array: &ArrayD<u8>) -> Vec<u8> {
    let shape: Vec<String> = array.shape().iter().map(|size| format!("{size},")).collect();
    let mut header =
        format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}), }}", shape.join(" "));
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a short header");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(array.iter());
    bytes
}

/// Scores as the peers give them, by folder; `None` where there is no peer.
fn answers(folder: &Path) -> Option<serde_json::Value> {
    let python = std::env::var("SNN_EXCHANGE_PYTHON").unwrap_or_else(|_| "python3".into());
    let needed = "import torch, onnxruntime, safetensors, numpy";
    let has = Command::new(&python).args(["-c", needed]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        let text = "skipped: no Python with torch, onnxruntime, safetensors and numpy; name one in \
                    SNN_EXCHANGE_PYTHON";
        writeln!(std::io::stderr(), "{text}").expect("stderr");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers.py");
    let output = Command::new(&python).arg(script).arg(folder).output().expect("python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(serde_json::from_slice(&output.stdout).expect("one line of JSON"))
}

/// Integers of a table of numbers.
fn integers(rows: &serde_json::Value) -> Vec<Vec<i64>> {
    let row = |row: &serde_json::Value| {
        let row = row.as_array().expect("a row");
        row.iter().map(|v| v.as_i64().expect("an integer")).collect()
    };
    rows.as_array().expect("rows").iter().map(row).collect()
}

/// Floats of a table of numbers.
fn reals(rows: &serde_json::Value) -> Vec<Vec<f64>> {
    let row = |row: &serde_json::Value| {
        let row = row.as_array().expect("a row");
        row.iter().map(|v| v.as_f64().expect("a number")).collect()
    };
    rows.as_array().expect("rows").iter().map(row).collect()
}

fn write_case(folder: &Path, pixels: &ArrayD<u8>) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("pixels.npy"), npy(pixels)).expect("pixels are written");
}

/// What the peers must give of a network on the grid.
struct Expected {
    /// Its folder.
    name: String,
    scores: Vec<Vec<i64>>,
    logits: Vec<Vec<f64>>,
    /// `true` if there is an ONNX graph.
    onnx: bool,
}

/// Writes a network, what it reads and the graphs, and gives what comes out.
fn write_grid(
    folder: &Path,
    name: String,
    model: &Model,
    input: &Input<'_>,
    onnx: bool,
) -> Expected {
    let case = folder.join(&name);
    write_case(&case, &input.pixels().to_owned());
    snn_exchange::torch::write(model, &case).unwrap_or_else(|e| panic!("{name}: {e}"));
    if onnx {
        snn_exchange::onnx::write(model, case.join("network.onnx"))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let mut naive = Naive::new(model).expect("valid");
    let evaluation = naive.evaluate(input, Record::Logits).expect("it runs");
    let Logits::Integer(scores) = &evaluation.logits else { panic!("integers") };
    let logits = model.logits(scores).expect("on the grid");
    let logits = logits.axis_iter(Axis(0)).map(|row| row.to_vec()).collect();
    let scores = scores.axis_iter(Axis(0)).map(|row| row.to_vec()).collect();
    Expected { name, scores, logits, onnx }
}

fn compare(folder: &Path, expected: Vec<Expected>) {
    let Some(answers) = answers(folder) else { return };
    for Expected { name, scores, logits, onnx } in expected {
        let answer = &answers[&name];
        assert_eq!(integers(&answer["torch"]), scores, "{name}, torch");
        if onnx {
            assert_eq!(integers(&answer["onnx"][0]), scores, "{name}, onnxruntime");
            assert_eq!(reals(&answer["onnx"][1]), logits, "{name}, logits of onnxruntime");
        }
    }
}

#[test]
fn peers_give_the_integers_of_networks_on_the_grid() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected = Vec::new();
    let count = std::env::var("SNN_EXCHANGE_NETWORKS").ok().and_then(|count| count.parse().ok());
    for seed in 0..count.unwrap_or(40) {
        let Some(model) = on_grid(seed) else { continue };
        let pixels = pixels(&model, BATCH, seed);
        let input = Input::Static(pixels.view());
        expected.push(write_grid(folder.path(), format!("{seed:06}"), &model, &input, true));
    }
    assert!(expected.len() > 30, "{} networks", expected.len());
    compare(folder.path(), expected);
}

#[test]
fn peers_give_the_integers_of_frames_and_of_encoded_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected = Vec::new();
    let encoders = [
        Encoder::Direct,
        Encoder::Latency,
        Encoder::Poisson { seed: 5, rate: 0.8 },
        Encoder::Phase { bits: 1 },
    ];
    for seed in 0..24_u64 {
        let encoder = &encoders[usize::try_from(seed).expect("small") % encoders.len()];
        let Some(model) = on_grid_behind(encoder, seed) else { continue };
        let frames = if *encoder == Encoder::Direct {
            let images = pixels(&model, BATCH * model.time_steps(), seed);
            let shape = [&[model.time_steps(), BATCH], &images.shape()[1..]].concat();
            images.into_shape_with_order(shape).expect("as many")
        } else {
            let images = pixels(&model, BATCH, seed);
            let images = Input::Static(images.view());
            encoder.encode(&images, model.time_steps(), 0).expect("frames")
        };
        let input = Input::Frames(frames.view());
        let name = format!("{seed:06}-{}", encoder.label());
        // The graph of a network of images reads images alone.
        let onnx = *encoder != Encoder::Direct;
        expected.push(write_grid(folder.path(), name, &model, &input, onnx));
    }
    assert!(expected.len() > 18, "{} networks", expected.len());
    compare(folder.path(), expected);
}

/// Dyadic numbers are exact in f32 too, but for averages, which can turn a decision over.
#[test]
fn onnxruntime_gives_the_logits_of_trained_networks() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected = Vec::new();
    for seed in 0..60 {
        let model = trained_with(seed, Numbers::Dyadic, Sites::All);
        let averages = model.graph().nodes.iter().any(|node| {
            matches!(
                node.op,
                Op::Pool { pool: PoolKind::Average, .. }
                    | Op::GlobalPool { pool: PoolKind::Average }
            )
        });
        if averages {
            continue;
        }
        let pixels = pixels(&model, BATCH, seed);
        let case = folder.path().join(format!("{seed:06}"));
        write_case(&case, &pixels);
        snn_exchange::onnx::write(&model, case.join("network.onnx"))
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let input = Input::Static(pixels.view());
        let evaluation =
            Naive::new(&model).expect("valid").evaluate(&input, Record::Logits).expect("it runs");
        let Logits::Real(logits) = &evaluation.logits else { panic!("floats") };
        let logits: Vec<Vec<f64>> = logits.axis_iter(Axis(0)).map(|row| row.to_vec()).collect();
        expected.push((format!("{seed:06}"), logits));
    }
    assert!(expected.len() > 20, "{} networks", expected.len());
    let Some(answers) = answers(folder.path()) else { return };
    for (name, logits) in expected {
        let found = reals(&answers[&name]["onnx"][0]);
        for (found, expected) in found.iter().flatten().zip(logits.iter().flatten()) {
            let close = (found - expected).abs() <= 1e-4 * expected.abs().max(1.0);
            assert!(close, "seed {name}: {found} for {expected}");
        }
    }
}
