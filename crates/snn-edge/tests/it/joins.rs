//! Sums and concatenations of more streams than a stage has terms, and layers that read flattened
//! images.

use crate::agreement::check;
use ndarray::{ArrayD, IxDyn};
use snn_edge::{Program, compile};
use snn_ir::{
    Code, Conv, Form, Graph, Model, Op, PoolKind, Preprocessing, Signature, Site, Tensor, Weights,
    Window, weight_specs,
};
use snn_test_support::Random;

/// A model of this graph, whose small weights are drawn.
fn with_weights(graph: Graph, seed: u64) -> Model {
    let mut random = Random::new(seed);
    let form = Form::Grid { logit_unit: 1.0 };
    let resolved = graph.resolve().unwrap();
    let mut weights = Weights::new();
    for spec in weight_specs(&graph, &resolved, form).unwrap() {
        let shape = IxDyn(&spec.part.shape);
        let tensor = match spec.part.dtypes[0] {
            "i8" => {
                let mut value = || i8::try_from(random.int(-3, 3)).unwrap();
                Tensor::I8(ArrayD::from_shape_simple_fn(shape, &mut value))
            }
            // Thresholds may be equal.
            _ => Tensor::I32(ArrayD::from_elem(shape, 3)),
        };
        weights.insert(spec.name, tensor);
    }
    let preprocessing = Preprocessing::new(vec![128; 2], vec![1.0; 2]);
    Model::new(Signature::new(form, graph, 3, preprocessing), weights)
}

fn levels(graph: &mut Graph, name: &str, current: &str) -> String {
    let (site, code) = (Site::GridQuantRelu { levels: 3 }, Some(Code::Unary));
    graph.push(name, Op::Activation { site, code }, &[current])
}

/// Stages of a compiled model: word 8 of its header.
fn stages(model: &Model) -> u32 {
    let program = compile(model).unwrap();
    Program::new(&program).unwrap();
    u32::from_le_bytes(program[32..36].try_into().unwrap())
}

#[test]
fn twenty_streams_are_joined() {
    for op in [Op::Add, Op::Concat] {
        let mut graph = Graph::default();
        let image = graph.push("image", Op::Input { shape: vec![2, 5, 4] }, &[]);
        let names: Vec<String> = (0..20)
            .map(|i| graph.push(format!("c{i}"), Op::Conv(Conv::square(2, 3, 1)), &[&image]))
            .collect();
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let joined = graph.push("joined", op, &inputs);
        let events = levels(&mut graph, "levels", &joined);
        let flat = graph.push("flat", Op::Flatten, &[&events]);
        let scores = graph.push("fc", Op::Linear { features: 3, bias: true }, &[&flat]);
        graph.push("head", Op::TimeMean, &[&scores]);
        let model = with_weights(graph, 3);
        check(&model, 5);
        // Of 20 terms 8, 7 more with their sum, and 5 with the next one; then the head.
        assert_eq!(stages(&model), 4);
    }
}

#[test]
fn what_one_site_reads_is_one_stage() {
    // The currents under windows that overlap are stored.
    for (window, expected) in
        [(Window::square(2), 2), (Window { stride: vec![1; 2], ..Window::square(2) }, 3)]
    {
        let model = pooled(window);
        check(&model, 6);
        assert_eq!(stages(&model), expected);
    }
}

/// Two layers whose sum is pooled and read by a site, whose levels a layer reads.
fn pooled(window: Window) -> Model {
    let mut graph = Graph::default();
    let image = graph.push("image", Op::Input { shape: vec![2, 6, 6] }, &[]);
    let first = graph.push("first", Op::Conv(Conv::square(4, 3, 1)), &[&image]);
    let second = graph.push("second", Op::Conv(Conv::square(4, 1, 1)), &[&image]);
    let sum = graph.push("sum", Op::Add, &[&first, &second]);
    let pool = graph.push("pool", Op::Pool { pool: PoolKind::Max, window }, &[&sum]);
    let events = levels(&mut graph, "levels", &pool);
    let flat = graph.push("flat", Op::Flatten, &[&events]);
    let scores = graph.push("fc", Op::Linear { features: 3, bias: false }, &[&flat]);
    graph.push("head", Op::TimeMean, &[&scores]);
    with_weights(graph, 4)
}
