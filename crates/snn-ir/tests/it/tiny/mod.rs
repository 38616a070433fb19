//! Models small enough to compute by hand.
#![allow(dead_code, reason = "every test file uses another part")]

use ndarray::{ArrayD, IxDyn};
use snn_ir::GridReset;
use snn_ir::Naive;
use snn_ir::{
    Code, Conv, Evaluate, Evaluation, Form, Graph, GridLif, Input, Lif, Logits, Model, Op,
    Preprocessing, QuantRelu, Record, Signature, Site, SiteOutput, Tensor, Weights,
};

/// `image → nodes in a chain → head`.
pub(crate) fn chain(shape: &[usize], nodes: Vec<(&str, Op)>) -> Graph {
    let mut graph = Graph::default();
    let mut last = graph.push("image", Op::Input { shape: shape.to_vec() }, &[]);
    for (name, op) in nodes {
        last = graph.push(name, op, &[&last]);
    }
    graph.push("head", Op::TimeMean, &[&last]);
    graph
}

pub(crate) fn site(site: Site) -> Op {
    Op::Activation { site, code: None }
}

pub(crate) fn coded(site: Site, code: Code) -> Op {
    Op::Activation { site, code: Some(code) }
}

pub(crate) fn real(shape: &[usize], values: &[f64]) -> Tensor {
    Tensor::F64(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
}

pub(crate) fn byte(shape: &[usize], values: &[i8]) -> Tensor {
    Tensor::I8(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
}

pub(crate) fn int(shape: &[usize], values: &[i32]) -> Tensor {
    Tensor::I32(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
}

/// A model whose input is the pixels themselves.
pub(crate) fn model<const N: usize>(
    form: Form,
    graph: Graph,
    time_steps: usize,
    weights: [(&str, Tensor); N],
) -> Model {
    let Some(Op::Input { shape }) = graph.nodes.first().map(|node| &node.op) else {
        panic!("no input")
    };
    let preprocessing = Preprocessing::new(vec![0; shape[0]], vec![1.0; shape[0]]);
    let weights =
        weights.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect::<Weights>();
    Model::new(Signature::new(form, graph, time_steps, preprocessing), weights)
}

pub(crate) fn trained<const N: usize>(
    graph: Graph,
    time_steps: usize,
    weights: [(&str, Tensor); N],
) -> Model {
    model(Form::Trained, graph, time_steps, weights)
}

pub(crate) fn grid<const N: usize>(
    graph: Graph,
    time_steps: usize,
    weights: [(&str, Tensor); N],
) -> Model {
    model(Form::Grid { logit_unit: 0.5 }, graph, time_steps, weights)
}

/// One image, shown at every macro-step.
pub(crate) fn run(model: &Model, pixels: &[u8]) -> Evaluation {
    let Op::Input { shape } = &model.graph().nodes[0].op else { panic!("no input") };
    let shape = [&[1], shape.as_slice()].concat();
    let pixels = ArrayD::from_shape_vec(IxDyn(&shape), pixels.to_vec()).unwrap();
    Naive::new(model).unwrap().evaluate(&Input::Static(pixels.view()), Record::Sites).unwrap()
}

/// One sample with a frame for each macro-step.
pub(crate) fn run_frames(model: &Model, pixels: &[u8]) -> Evaluation {
    let Op::Input { shape } = &model.graph().nodes[0].op else { panic!("no input") };
    let shape = [&[model.time_steps(), 1], shape.as_slice()].concat();
    let pixels = ArrayD::from_shape_vec(IxDyn(&shape), pixels.to_vec()).unwrap();
    Naive::new(model).unwrap().evaluate(&Input::Frames(pixels.view()), Record::Sites).unwrap()
}

pub(crate) fn logits(evaluation: &Evaluation) -> Vec<f64> {
    match &evaluation.logits {
        Logits::Real(values) => values.iter().copied().collect(),
        Logits::Integer(_) => panic!("integer logits"),
    }
}

pub(crate) fn sums(evaluation: &Evaluation) -> Vec<i64> {
    match &evaluation.logits {
        Logits::Integer(values) => values.iter().copied().collect(),
        Logits::Real(_) => panic!("real logits"),
    }
}

/// Levels of a site in `[T, B, …]` order.
pub(crate) fn levels(evaluation: &Evaluation, site: &str) -> Vec<i16> {
    let trace = evaluation.sites.iter().find(|trace| trace.site == site).unwrap();
    match &trace.output {
        SiteOutput::Levels(levels) => levels.iter().copied().collect(),
        SiteOutput::Values(_) => panic!("values"),
    }
}

/// A model of the form `events` with one LIF and one `QuantRelu` site.
pub(crate) fn events_model() -> Model {
    let graph = chain(
        &[1, 3, 3],
        vec![
            ("conv", Op::Conv(Conv { bias: true, ..Conv::square(2, 3, 1) })),
            ("spike", coded(Site::Lif(Lif::default()), Code::Binary)),
            ("conv2", Op::Conv(Conv::square(1, 3, 2))),
            (
                "level",
                coded(
                    Site::QuantRelu(QuantRelu { levels: 3, ..QuantRelu::default() }),
                    Code::Unary,
                ),
            ),
            ("flat", Op::Flatten),
            ("fc", Op::Linear { features: 2, bias: true }),
        ],
    );
    let ramp = |count: usize| (0..count).map(|i| (i as f64 - 4.0) / 16.0).collect::<Vec<_>>();
    let weights = [
        ("conv.weight", real(&[2, 1, 3, 3], &ramp(18))),
        ("conv.bias", real(&[2], &[0.5, -0.5])),
        ("conv2.weight", real(&[1, 2, 3, 3], &ramp(18))),
        ("level.step", real(&[1], &[0.5])),
        ("fc.weight", real(&[2, 4], &ramp(8))),
        ("fc.bias", real(&[2], &[0.25, 0.0])),
    ];
    let mut model = model(Form::Events, graph, 3, weights);
    model.signature_mut().preprocessing.mean = vec![120];
    model.signature_mut().classes = vec!["circle".into(), "square".into()];
    model
}

/// The same on the grid.
pub(crate) fn grid_model() -> Model {
    let lif = GridLif::new(1, 1, 4, GridReset::Hard);
    let graph = chain(
        &[1, 3, 3],
        vec![
            ("conv", Op::Conv(Conv { bias: true, ..Conv::square(2, 3, 1) })),
            ("spike", coded(Site::GridLif(lif), Code::Binary)),
            ("conv2", Op::Conv(Conv::square(1, 3, 2))),
            ("level", coded(Site::GridQuantRelu { levels: 3 }, Code::BitPlane)),
            ("flat", Op::Flatten),
            ("fc", Op::Linear { features: 2, bias: true }),
        ],
    );
    let ramp = |count: i8| (0..count).map(|i| i - 4).collect::<Vec<_>>();
    let weights = [
        ("conv.weight", byte(&[2, 1, 3, 3], &ramp(18))),
        ("conv.bias", int(&[2], &[50, -50])),
        ("conv.multiplier", int(&[2], &[1, 2])),
        ("spike.threshold", int(&[2], &[300, 200])),
        ("conv2.weight", byte(&[1, 2, 3, 3], &ramp(18))),
        ("conv2.multiplier", int(&[1], &[3])),
        ("level.thresholds", int(&[3, 1], &[-5, 10, 10])),
        ("fc.weight", byte(&[2, 4], &ramp(8))),
        ("fc.bias", int(&[2], &[7, -7])),
        ("fc.multiplier", int(&[2], &[1, 1])),
    ];
    let mut model = grid(graph, 3, weights);
    model.signature_mut().preprocessing.mean = vec![120];
    model.signature_mut().classes = vec!["circle".into(), "square".into()];
    model
}

/// A model of the trained form, by its builder.
pub(crate) fn trained_model() -> Model {
    let graph =
        snn_ir::networks::SmallNet { input: [2, 4, 4], classes: 3, width: 2, ..Default::default() }
            .build();
    let weights = graph.initial_weights(7).unwrap();
    let preprocessing = Preprocessing::new(vec![120, 130], vec![60.0, 70.5]);
    let classes = ["a", "b", "ç"].map(String::from).to_vec();
    Model::new(
        Signature::new(Form::Trained, graph, 4, preprocessing).with_classes(classes),
        weights,
    )
}
