//! Networks of PyTorch and of `onnx.helper` against onnxruntime (`fixtures/golden/make_onnx.py`).

use ndarray::{ArrayD, Axis, IxDyn};
use snn_exchange::Error;
use snn_exchange::onnx::{Became, Imported, Options, from_bytes, read, to_bytes};
use snn_ir::testing::{Numbers, Sites, pixels, trained_with};
use snn_ir::{Evaluate, Input, Model, Naive, Op, Preprocessing, Record, Site};
use snn_test_support::golden;
use std::path::PathBuf;

/// Largest difference to onnxruntime, relative to the largest logit (or 1).
const CLOSE: f64 = 1e-4;

fn network(name: &str) -> PathBuf {
    golden::path(&format!("onnx/{name}.onnx"))
}

fn case(name: &str) -> serde_json::Value {
    golden::json::<serde_json::Value>("onnx.json")[name].clone()
}

fn reals(value: &serde_json::Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(serde_json::Value::as_f64).collect()
}

fn options(case: &serde_json::Value) -> Options {
    let mut options = Options::default();
    options.mean = reals(&case["mean"]);
    options.std = reals(&case["std"]);
    options.output = case["output"].as_str().map(ToString::to_string);
    options
}

fn logits(model: &Model, pixels: &ArrayD<u8>) -> Vec<Vec<f64>> {
    let input = Input::Static(pixels.view());
    let evaluation = Naive::new(model).unwrap().evaluate(&input, Record::Logits).unwrap();
    let logits = evaluation.logits.to_real(model.signature()).unwrap();
    logits.axis_iter(Axis(0)).map(|row| row.to_vec()).collect()
}

fn log_softmax(row: &[f64]) -> Vec<f64> {
    let sum: f64 = row.iter().map(|v| v.exp()).sum();
    row.iter().map(|v| v - sum.ln()).collect()
}

fn assert_close(name: &str, found: &[Vec<f64>], expected: &[Vec<f64>]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().flatten().fold(1.0_f64, |max, v| max.max(v.abs()));
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() <= CLOSE * largest, "{name}: {found} for {expected}");
    }
}

/// Imports a network and compares it with onnxruntime.
fn imported(name: &str) -> Imported {
    let case = case(name);
    let imported = read(network(name), &options(&case)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let sizes: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
    let values: Vec<u8> = serde_json::from_value(case["pixels"].clone()).unwrap();
    let batch = values.len() / sizes.iter().product::<usize>();
    assert_eq!(imported.model.validate().unwrap().input_shape(), sizes, "{name}");
    let shape = [&[batch], sizes.as_slice()].concat();
    let pixels = ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap();
    let mut expected: Vec<Vec<f64>> = serde_json::from_value(case["logits"].clone()).unwrap();
    let mut found = logits(&imported.model, &pixels);
    if case["order"].as_bool() == Some(true) {
        // The softmax was left out: the same order, and the same logarithms of probabilities.
        let is_probability = expected.iter().flatten().all(|p| *p > 0.0);
        if is_probability {
            expected.iter_mut().flatten().for_each(|p| *p = p.ln());
        }
        found = found.iter().map(|row| log_softmax(row)).collect();
    }
    assert_close(name, &found, &expected);
    imported
}

fn ops(imported: &Imported) -> Vec<&'static str> {
    imported.model.graph().nodes.iter().map(|node| node.op.label()).collect()
}

#[test]
fn networks_of_pytorch_give_the_logits_of_onnxruntime() {
    let folded = imported("residual-folded");
    let kept = imported("residual-batch-norm");
    let dynamo = imported("residual-dynamo");
    let names = |imported: &Imported| -> Vec<String> {
        imported.model.graph().nodes.iter().map(|node| node.name.clone()).collect()
    };
    assert!(names(&kept).contains(&"shortcut.1".into()), "{:?}", names(&kept));
    assert!(names(&folded).contains(&"conv1".into()), "{:?}", names(&folded));
    assert!(names(&dynamo).contains(&"fc".into()), "{:?}", names(&dynamo));
    assert!(!ops(&folded).contains(&"batch_norm"));
    assert_eq!(ops(&kept).iter().filter(|op| **op == "batch_norm").count(), 3);
    let norm = kept.model.graph().node("bn1").expect("by its module's name");
    assert!(matches!(norm.op, Op::BatchNorm(norm) if norm.eps.to_bits() == 1e-4_f64.to_bits()));
    assert_eq!(kept.model.preprocessing(), &Preprocessing::new(vec![128; 3], vec![64.0; 3]));
    assert_eq!(kept.report.remainder.at_border.to_bits(), 0.0_f64.to_bits());
    imported("signal");
}

#[test]
fn limits_one_sided_padding_and_softmax_are_taken_over() {
    let mobile = imported("mobile");
    let is_relu6 = |op: &Op| {
        let site = |site: &Site| *site == Site::Relu { limit: Some(6.0) };
        matches!(op, Op::Activation { site: of, .. } if site(of))
    };
    let nodes = &mobile.model.graph().nodes;
    assert_eq!(nodes.iter().filter(|node| is_relu6(&node.op)).count(), 2);
    assert!(nodes.iter().any(|node| matches!(&node.op, Op::Conv(conv) if conv.padding.len() == 4)));
    let dropped = |entry: &snn_exchange::onnx::Entry| matches!(entry.became, Became::Dropped(_));
    assert!(mobile.report.entries.iter().any(dropped), "{}", mobile.report);
    let gemm = imported("gemm");
    assert_eq!(
        ops(&gemm),
        ["input", "flatten", "linear", "relu", "linear", "add", "dropout", "time_mean"]
    );
}

#[test]
fn means_that_are_no_integers_go_into_biases() {
    let plain = imported("plain");
    assert_eq!(plain.model.preprocessing().mean, [124, 116, 104]);
    let remainder = &plain.report.remainder;
    assert_eq!(remainder.taken_up_by.len(), 1);
    assert!(remainder.offset.iter().all(|d| *d != 0.0 && d.abs() < 0.01), "{remainder:?}");
    assert_eq!(remainder.at_border.to_bits(), 0.0_f64.to_bits());
}

#[test]
fn normalisation_in_the_graph_is_preprocessing() {
    let bytes = imported("bytes");
    let Preprocessing { mean, std } = bytes.model.preprocessing();
    assert_eq!(mean, &[120, 110, 100]);
    assert!(std.iter().zip([60.0, 61.0, 62.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{std:?}");
    // A product in the middle is a batch norm; the sums before and behind are biases.
    assert_eq!(
        ops(&bytes),
        [
            "input",
            "conv",
            "relu",
            "conv",
            "batch_norm",
            "relu",
            "global_max_pool",
            "linear",
            "time_mean"
        ]
    );
    imported("mixed");
}

#[test]
fn older_files_and_files_beside_the_model_are_read() {
    let old = imported("old");
    assert_eq!(
        ops(&old),
        ["input", "conv", "relu", "average_pool", "flatten", "linear", "time_mean"]
    );
    let error = read(network("old"), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("option output") && error.contains("logits"), "{error}");
    imported("external");
    let bytes = std::fs::read(network("external")).unwrap();
    let error = from_bytes(&bytes, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("`external.bin`; read the model by its path"), "{error}");
}

#[test]
fn values_outside_of_the_models_folder_are_refused() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    let bytes = std::fs::read(network("external")).unwrap();
    let at = bytes.windows(12).position(|window| window == b"external.bin").unwrap();
    std::fs::copy(golden::path("onnx/external.bin"), outer.path().join("external.bin")).unwrap();
    // As long as the name, so that the file stays one.
    for name in [&b"../exter.bin"[..], b"/etc/passwd1", b"a/../b/c.bin"] {
        let mut changed = bytes.clone();
        let mut from = at;
        while let Some(next) =
            changed[from..].windows(12).position(|window| window == b"external.bin")
        {
            from += next;
            changed[from..from + 12].copy_from_slice(name);
        }
        std::fs::write(folder.join("model.onnx"), &changed).unwrap();
        let error = read(folder.join("model.onnx"), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("are to be in the model's folder"), "{error}");
    }
    std::fs::write(folder.join("model.onnx"), &bytes).unwrap();
    let error = read(folder.join("model.onnx"), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("`external.bin`: "), "{error}");
    #[cfg(unix)]
    {
        let link = folder.join("external.bin");
        std::os::unix::fs::symlink(outer.path().join("external.bin"), &link).unwrap();
        let error = read(folder.join("model.onnx"), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("are to be in the model's folder"), "{error}");
        std::fs::remove_file(link).unwrap();
    }
    std::fs::write(folder.join("external.bin"), [0; 100]).unwrap();
    let error = read(folder.join("model.onnx"), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("which has 100"), "{error}");
}

#[test]
fn everything_that_cannot_be_taken_over_is_named_at_once() {
    let error = read(network("refused"), &Options::default()).unwrap_err();
    let Error::Refused(refusals) = &error else { panic!("{error}") };
    let mut names: Vec<&str> = refusals.iter().map(|refusal| refusal.node.as_str()).collect();
    let expected = case("refused");
    let mut expected: Vec<&str> =
        expected["refused"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let text = error.to_string();
    assert!(text.contains("6 nodes cannot be taken over:"), "{text}");
    assert!(text.contains("`LeakyRelu of b` (LeakyRelu): this operator is not"), "{text}");
    assert!(text.contains("it clips from -1; only clipping from 0"), "{text}");
    assert!(text.contains("count_include_pad = 0"), "{text}");
}

/// What usually holds stands back where the file says another thing.
#[test]
fn the_usual_shape_is_for_files_that_leave_it_open() {
    let mut options = Options::default();
    options.usual_shape = Some(vec![3, 7, 7]);
    let plain = read(network("plain"), &options).unwrap();
    assert_eq!(plain.model, read(network("plain"), &Options::default()).unwrap().model);
}

#[test]
fn options_are_held_against_the_network() {
    let fails = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        read(network("plain"), &options).unwrap_err().to_string()
    };
    let error = fails(&|options| options.mean = Some(vec![0.5, 0.5]));
    assert!(error.contains("option mean: expected one value, or one for each of 3"), "{error}");
    let error = fails(&|options| options.mean = Some(vec![123.7]));
    assert!(error.contains("option mean: expected 0 to 1"), "{error}");
    let error = fails(&|options| options.std = Some(vec![0.0]));
    assert!(error.contains("option std: expected positive"), "{error}");
    let error = fails(&|options| options.shape = Some(vec![3, 7, 7]));
    assert!(error.contains("option shape: expected a shape [3, 6, 6]"), "{error}");
    let error = fails(&|options| options.output = Some("scores".into()));
    assert!(error.contains("option output: expected one of"), "{error}");
    let error = fails(&|options| options.classes = vec!["cat".into()]);
    assert!(error.contains("expected 4 class names, found 1"), "{error}");
    let mut options = Options::default();
    options.mean = Some(vec![0.5]);
    let error = read(network("bytes"), &options).unwrap_err().to_string();
    assert!(error.contains("the network reads bytes and normalises them itself"), "{error}");
}

/// A random trained model as a CNN of ReLUs at T = 1; `None` where it has what ONNX's reader has
/// not.
fn relus(seed: u64) -> Option<Model> {
    let mut model = trained_with(seed, Numbers::Real, Sites::Basic).with_time_steps(1);
    let mut sites = Vec::new();
    for (index, node) in model.graph_mut().nodes.iter_mut().enumerate() {
        match &mut node.op {
            Op::Mask { .. } | Op::Delay { .. } | Op::ChannelSum { .. } => return None,
            Op::TimeLast | Op::TimeMax => node.op = Op::TimeMean,
            Op::Activation { site, .. } => {
                *site = Site::Relu { limit: index.is_multiple_of(2).then_some(1.5) };
                sites.push(format!("{}.", node.name));
            }
            _ => {}
        }
    }
    model.weights_mut().retain(|name, _| !sites.iter().any(|site| name.starts_with(site)));
    Some(model)
}

#[test]
fn what_is_written_reads_back() {
    let mut count = 0;
    for seed in 0..200 {
        let Some(model) = relus(seed) else { continue };
        let bytes = to_bytes(&model).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let again = match from_bytes(&bytes, &Options::default()) {
            Ok(again) => again,
            // What is behind it has one position, or the window covers what it may not.
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let pixels = pixels(&model, 2, seed);
        let expected = logits(&model, &pixels);
        assert_close(&format!("seed {seed}"), &logits(&again.model, &pixels), &expected);
        assert_eq!(again.model.preprocessing().mean, model.preprocessing().mean);
        count += 1;
    }
    assert!(count > 50, "{count}");
}
