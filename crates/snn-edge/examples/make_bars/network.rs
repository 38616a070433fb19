//! A network that tells horizontal from vertical bars, with weights written by hand.

use ndarray::{Array, ArrayD, IxDyn};
use snn_ir::{
    Code, Conv, Form, Graph, GridLif, GridReset, Model, Op, PoolKind, Preprocessing, Signature,
    Site, Tensor, Weights,
};

/// The network on the grid: a detector of lines for each orientation, whose levels drive neurons
/// that spike, T = 4. Input `[1, 8, 8]`; class 0 is horizontal, 1 vertical.
pub(crate) fn bars() -> Model {
    let mut graph = Graph::default();
    let image = graph.push("image", Op::Input { shape: vec![1, 8, 8] }, &[]);
    let lines = graph.push("lines", Op::Conv(Conv::square(2, 3, 1)), &[&image]);
    let levels = Site::GridQuantRelu { levels: 3 };
    let levels = Op::Activation { site: levels, code: Some(Code::Unary) };
    let levels = graph.push("levels", levels, &[&lines]);
    let parts = Conv { groups: 2, ..Conv::square(2, 3, 2) };
    let parts = graph.push("parts", Op::Conv(parts), &[&levels]);
    // A leak of ¾, two fractional bits of the membrane.
    let spikes = Site::GridLif(GridLif::new(3, 2, 2, GridReset::Soft));
    let spikes = Op::Activation { site: spikes, code: Some(Code::Binary) };
    let spikes = graph.push("spikes", spikes, &[&parts]);
    let count = graph.push("count", Op::GlobalPool { pool: PoolKind::Sum }, &[&spikes]);
    let scores = graph.push("scores", Op::Linear { features: 2, bias: false }, &[&count]);
    graph.push("head", Op::TimeMean, &[&scores]);

    let horizontal = [-1, -1, -1, 2, 2, 2, -1, -1, -1];
    let vertical = [-1, 2, -1, -1, 2, -1, -1, 2, -1];
    let thresholds = [300, 300, 700, 700, 1300, 1300];
    let weights = Weights::from([
        ("lines.weight".into(), bytes([2, 1, 3, 3], [horizontal, vertical].concat())),
        ("lines.multiplier".into(), integers([2], vec![1, 1])),
        ("levels.thresholds".into(), integers([3, 2], thresholds.to_vec())),
        ("parts.weight".into(), bytes([2, 1, 3, 3], vec![1; 18])),
        ("parts.multiplier".into(), integers([2], vec![1, 1])),
        ("spikes.threshold".into(), integers([2], vec![8, 8])),
        ("scores.weight".into(), bytes([2, 2], vec![1, -1, -1, 1])),
        ("scores.multiplier".into(), integers([2], vec![1, 1])),
    ]);
    let form = Form::Grid { logit_unit: 0.25 };
    let signature = Signature::new(form, graph, 4, Preprocessing::new(vec![0], vec![1.0]));
    let classes = ["horizontal", "vertical"].map(String::from).to_vec();
    Model::new(signature.with_classes(classes), weights)
}

fn bytes<const N: usize>(shape: [usize; N], values: Vec<i8>) -> Tensor {
    Tensor::I8(array(shape, values))
}

fn integers<const N: usize>(shape: [usize; N], values: Vec<i32>) -> Tensor {
    Tensor::I32(array(shape, values))
}

fn array<V, const N: usize>(shape: [usize; N], values: Vec<V>) -> ArrayD<V> {
    Array::from_shape_vec(IxDyn(&shape), values).expect("as many values as the shape has")
}
