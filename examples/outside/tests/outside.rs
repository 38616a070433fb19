//! The program on a model that is written here, and on bad files.

use outside::{classify, count};
use snn_runtime::Model;
use snn_runtime::ndarray::{Array1, Array2};
use snn_runtime::snn_ir::{Code, Form, Preprocessing, Signature, Site, Weights};
use snn_runtime::snn_ir::{Conv, Graph, Op, PoolKind};
use std::path::{Path, PathBuf};

/// A colour detector on the grid: one channel each, summed over the image.
fn write_model(folder: &Path) -> PathBuf {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![3, 32, 32] }, &[]);
    graph.push("stem", Op::Conv(Conv { groups: 3, ..Conv::square(3, 1, 1) }), &["image"]);
    let site = Site::GridQuantRelu { levels: 3 };
    graph.push("act", Op::Activation { site, code: Some(Code::Unary) }, &["stem"]);
    graph.push("pool", Op::GlobalPool { pool: PoolKind::Sum }, &["act"]);
    graph.push("fc", Op::Linear { features: 3, bias: false }, &["pool"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = Weights::new();
    weights.insert(
        "stem.weight".into(),
        Array2::<i8>::ones((3, 1)).into_shape_with_order((3, 1, 1, 1)).unwrap().into(),
    );
    weights.insert("stem.multiplier".into(), Array1::<i32>::ones(3).into());
    weights.insert(
        "act.thresholds".into(),
        Array2::from_shape_fn((3, 3), |(d, _)| 40 * (d as i32 + 1)).into(),
    );
    weights.insert("fc.weight".into(), Array2::<i8>::eye(3).into());
    weights.insert("fc.multiplier".into(), Array1::<i32>::ones(3).into());
    let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![1.0; 3]);
    let signature = Signature::new(Form::Grid { logit_unit: 0.5 }, graph, 1, preprocessing)
        .with_classes(["red", "green", "blue"].map(String::from).to_vec());
    let model = Model::new(signature, weights);
    let path = folder.join("colours.safetensors");
    model.save(&path).unwrap();
    path
}

#[test]
fn the_brightest_colour_wins() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_model(folder.path());
    for (channel, colour) in ["red", "green", "blue"].into_iter().enumerate() {
        // A record of CIFAR-10 has one label, one of CIFAR-100 two; raw pixels have none.
        let mut bytes = vec![9_u8; channel];
        bytes.extend(
            (0..3)
                .flat_map(|c| std::iter::repeat_n(if c == channel { 255_u8 } else { 0 }, 32 * 32)),
        );
        let image = folder.path().join(colour);
        std::fs::write(&image, bytes).unwrap();
        let text = classify(&model, Some(&image)).unwrap();
        // A logit of 1536, the others 0.
        assert_eq!(text.lines().next(), Some(format!("{colour} (100.0 %)").as_str()), "{text}");
        let text = count(&model, Some(&image)).unwrap();
        // Level 3 at every pixel, one weight for each of three classes and each unary plane.
        assert!(text.contains(&format!("additions        {}", 3 * 32 * 32 * 3)), "{text}");
    }
}

#[test]
fn the_pattern_needs_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = count(&write_model(folder.path()), None).unwrap();
    assert!(text.contains("neuron updates   3072"), "{text}");
}

#[test]
fn bad_files_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let (model, small) = (write_model(folder.path()), folder.path().join("small"));
    std::fs::write(&small, [0; 100]).unwrap();
    let error = classify(&model, Some(&small)).unwrap_err().to_string();
    assert!(error.contains("small") && error.contains("3072"), "{error}");
    let error = classify(&small, None).unwrap_err().to_string();
    assert!(error.contains("small"), "{error}");
}

#[test]
fn the_shipped_network_is_there() {
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/resnet20-cifar100-int8.safetensors");
    let text = classify(Path::new(shipped), None).unwrap();
    assert!(text.contains("macro-steps      2"), "{text}");
    assert_eq!(text.lines().filter(|line| line.ends_with(" %)")).count(), 5, "{text}");
    let text = count(Path::new(shipped), None).unwrap();
    assert!(text.contains("layer3.2.act2"), "{text}");
}
