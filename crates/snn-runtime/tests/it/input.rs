//! Inputs that the engines take, and those that they refuse with an error.

use crate::draw::{Numbers, model, pixels};
use ndarray::{ArrayD, Axis, IxDyn};
use snn_ir::Naive;
use snn_ir::Weights;
use snn_ir::networks::SmallNet;
use snn_ir::{Code, QuantRelu, Share, Site};
use snn_ir::{Conv, Graph, Op, PoolKind, Window};
use snn_ir::{Error, Evaluate, Input, Logits, Record};
use snn_ir::{Form, Model, Preprocessing, Signature};
use snn_runtime::{Counting, Deployment, Options};

#[test]
fn a_trained_model_is_refused_with_the_way_out() {
    let graph = SmallNet::default().build();
    let weights = graph.initial_weights(0).unwrap();
    let preprocessing = Preprocessing::new(vec![0; 3], vec![1.0; 3]);
    let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    let errors = [
        Counting::new(&model).unwrap_err(),
        Deployment::new(&model, &Options::default()).unwrap_err(),
    ];
    for error in errors.map(|error| error.to_string()) {
        assert!(error.contains("snn convert") && error.contains("snn_reparam::convert"), "{error}");
        assert!(!error.contains("Counting") && !error.contains("Deployment"), "a circle: {error}");
    }
}

#[test]
fn a_damaged_model_is_refused() {
    let mut model = model(1, 4, Numbers::Integer);
    let name = model.weights().keys().next().unwrap().clone();
    model.weights_mut().remove(&name);
    assert!(matches!(Counting::new(&model), Err(Error::MissingWeight { .. })));
}

/// `image → body → head` in the form `events`, one channel, every weight 1.
fn events(shape: &[usize], body: impl FnOnce(&mut Graph)) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: shape.to_vec() }, &[]);
    body(&mut graph);
    let last = graph.nodes[graph.nodes.len() - 1].name.clone();
    graph.push("head", Op::TimeMean, &[&last]);
    let resolved = graph.resolve().unwrap();
    let weights = snn_ir::weight_specs(&graph, &resolved, Form::Events).unwrap();
    let weights = weights
        .into_iter()
        .map(|spec| (spec.name, ArrayD::<f64>::ones(spec.part.shape).into()))
        .collect();
    let preprocessing = Preprocessing::new(vec![0], vec![1.0]);
    Model::new(Signature::new(Form::Events, graph, 1, preprocessing), weights)
}

fn row(size: usize) -> Vec<usize> {
    vec![1, size]
}

#[test]
fn a_model_too_large_for_memory_is_refused_before_anything_is_allocated() {
    for (size, node) in [(1 << 28, "image"), ((1 << 22) + 1, "conv")] {
        let model = events(&row(size), |graph| {
            let conv = Conv {
                kernel: vec![1],
                stride: vec![1],
                padding: vec![0],
                dilation: vec![1],
                ..Conv::square(1, 1, 1)
            };
            graph.push("conv", Op::Conv(conv), &["image"]);
            graph.push("pool", Op::GlobalPool { pool: PoolKind::Sum }, &["conv"]);
        });
        model.validate().unwrap();
        let error = Counting::new(&model).unwrap_err().to_string();
        assert!(
            error.contains(node) && error.contains(&snn_runtime::MAX_TOTAL_VALUES.to_string()),
            "{error}"
        );
    }
}

/// Levels of up to 255 are summed over `window` positions and then max-pooled, which forms planes
/// anew.
fn pooled(code: Code, size: usize, window: usize, padding: usize) -> Model {
    events(&row(size), |graph| {
        graph.push("stem", Op::Scale, &["image"]);
        let site = Site::QuantRelu(QuantRelu { levels: 255, step: 1.0, share: Share::Layer });
        graph.push("act", Op::Activation { site, code: Some(code) }, &["stem"]);
        let window = Window { kernel: vec![window], stride: vec![window], padding: vec![padding] };
        graph.push("sum", Op::Pool { pool: PoolKind::Sum, window }, &["act"]);
        graph.push("max", Op::GlobalPool { pool: PoolKind::Max }, &["sum"]);
        graph.push("fc", Op::Linear { features: 2, bias: false }, &["max"]);
    })
}

#[test]
fn too_many_micro_steps_are_refused_with_the_way_out() {
    let error = Counting::new(&pooled(Code::Unary, 600, 258, 0)).unwrap_err().to_string();
    assert!(
        error.contains("max") && error.contains("65790") && error.contains("another code"),
        "{error}"
    );
    let image = ArrayD::from_elem(IxDyn(&[1, 1, 600]), 254);
    for (code, window) in [(Code::Unary, 257), (Code::BitPlane, 258), (Code::Graded, 300)] {
        let model = pooled(code, 600, window, 0);
        let logits = Counting::new(&model).unwrap().logits_batch(image.view()).unwrap();
        assert_eq!(logits, ndarray::arr2(&[[254.0 * window as f64; 2]]), "{code:?}");
    }
    // Of a window as wide as 2²⁷ a single position lies inside the image.
    let model = pooled(Code::Unary, 1, 1 << 27, 1 << 26);
    let runtime = Counting::new(&model).unwrap();
    assert_eq!(
        runtime.logits_batch(ArrayD::from_elem(IxDyn(&[1, 1, 1]), 7).view()).unwrap(),
        ndarray::arr2(&[[7.0; 2]])
    );
}

#[test]
fn wrong_shapes_are_errors() {
    let model = model(1, 4, Numbers::Integer);
    let runtime = Counting::new(&model).unwrap();
    let shape = runtime.input_shape().to_vec();
    let other = ArrayD::<u8>::zeros(IxDyn(&[1, 1, 1, 1, 7]));
    let none = ndarray::arr0(0_u8);
    assert!(matches!(runtime.logits(other.view()), Err(Error::Input { .. })));
    assert!(matches!(runtime.classify(other.view()), Err(Error::Input { .. })));
    assert!(matches!(runtime.classify(none.view()), Err(Error::Input { .. })));
    let mut session = runtime.session();
    assert!(matches!(session.run(other.view()), Err(Error::Input { .. })));
    assert!(matches!(session.run(none.view()), Err(Error::Input { .. })));
    assert!(matches!(session.run_frames(none.view()), Err(Error::Input { .. })));
    let mut frames = vec![model.time_steps() + 1];
    frames.extend(&shape);
    let frames = ArrayD::<u8>::zeros(frames);
    assert!(matches!(session.run_frames(frames.view()), Err(Error::Input { .. })));
    let frames = frames.insert_axis(Axis(1));
    assert!(matches!(
        runtime.run(&Input::Frames(frames.view()), Record::Logits),
        Err(Error::Input { .. })
    ));
}

#[test]
fn an_empty_batch_gives_empty_results() {
    for seed in 0..5 {
        let model = model(seed, 4, Numbers::Integer);
        let images = pixels(&model, &[0], 0);
        let runtime = Counting::new(&model).unwrap();
        let result = runtime.run(&Input::Static(images.view()), Record::Sites).unwrap();
        let expected = Naive::new(&model)
            .unwrap()
            .evaluate(&Input::Static(images.view()), Record::Sites)
            .unwrap();
        assert_eq!(result, expected);
    }
}

#[test]
fn views_of_any_strides_are_read_in_logical_order() {
    let model = model(7, 6, Numbers::Integer);
    let images = pixels(&model, &[3], 1);
    let runtime = Counting::new(&model).unwrap();
    let expected = runtime.logits_batch(images.view()).unwrap();
    let transposed = images.t().as_standard_layout().into_owned();
    assert_eq!(runtime.logits_batch(transposed.t()).unwrap(), expected);
}

#[test]
fn equal_frames_are_a_static_image() {
    for seed in 0..20 {
        let model = model(seed, 6, Numbers::Integer);
        let image = pixels(&model, &[1], seed);
        let frames = image.broadcast([&[model.time_steps()], image.shape()].concat()).unwrap();
        let runtime = Counting::new(&model).unwrap();
        let expected = runtime.run(&Input::Static(image.view()), Record::Logits).unwrap().logits;
        assert_eq!(
            runtime.run(&Input::Frames(frames.view()), Record::Logits).unwrap().logits,
            expected
        );
        let mut session = runtime.session();
        let sums = session.run_frames(frames.index_axis(Axis(1), 0)).unwrap().integers().unwrap();
        assert_eq!(Logits::Integer(ndarray::arr2(&[[0_i64; 0]; 1])).argmax(), [0]);
        assert!(matches!(&expected, Logits::Integer(all) if all.row(0).as_slice() == Some(sums)));
    }
}

/// The real payloads of a ReLU.
#[test]
fn relu_payloads_are_graded_events() {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![3] }, &[]);
    graph.push("stem", Op::Linear { features: 2, bias: true }, &["image"]);
    graph.push("relu", Op::Activation { site: Site::RELU, code: Some(Code::Graded) }, &["stem"]);
    graph.push("fc", Op::Linear { features: 2, bias: false }, &["relu"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = Weights::new();
    weights.insert(
        "stem.weight".into(),
        ndarray::arr2(&[[0.5, 0.25, -1.0], [-1.0, -1.0, -1.0]]).into(),
    );
    weights.insert("stem.bias".into(), ndarray::arr1(&[0.125, 1.0]).into());
    weights.insert("fc.weight".into(), ndarray::arr2(&[[2.0, 1.0], [-1.0, 0.5]]).into());
    let model = Model::new(
        Signature::new(Form::Events, graph, 1, Preprocessing::new(vec![100; 3], vec![1.0; 3]))
            .with_classes(vec!["first".into(), "second".into()]),
        weights,
    );
    let runtime = Counting::new(&model).unwrap();
    let logits = runtime.logits([102_u8, 103, 100]).unwrap();
    assert_eq!(logits, [3.75, -1.875]);
    assert_eq!(runtime.counts().node("fc").unwrap().tally.multiplications, 2);
    let best = runtime.classify(ndarray::arr1(&[102_u8, 103, 100])).unwrap();
    assert_eq!(best.name.as_deref(), Some("first"));
}
