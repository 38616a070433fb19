//! Every primitive and wiring becomes a model that computes what NIR says, on numbers small enough
//! to follow; what cannot be one is refused by the name of the node.

use ndarray::{ArrayD, IxDyn};
use snn_ir::{Evaluate, Input, Naive, Preprocessing, Readout, Record, Tensor};
use snn_nir::{Conv, NirGraph, Op, Options, Padding, Pool};

fn values(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::F32(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
}

fn all(shape: &[usize], value: f32) -> Tensor {
    Tensor::F32(ArrayD::from_elem(IxDyn(shape), value))
}

fn identity(size: usize) -> Op {
    let weight = ndarray::Array2::from_diag(&ndarray::Array1::from_elem(size, 1.0_f32));
    Op::Linear { weight: Tensor::F32(weight.into_dyn()) }
}

/// `input` of this shape, the nodes one behind another, `output`.
fn chain(shape: &[usize], ops: Vec<(&str, Op)>, output: &[usize]) -> NirGraph {
    let mut graph = NirGraph::default();
    graph.push("input", Op::Input { shape: shape.to_vec() });
    let mut before = "input";
    for (name, op) in ops {
        graph.push(name, op);
        graph.connect(before, name);
        before = name;
    }
    graph.push("output", Op::Output { shape: output.to_vec() });
    graph.connect(before, "output");
    graph
}

fn options(channels: usize, steps: usize, readout: Readout) -> Options {
    Options {
        time_steps: Some(steps),
        readout: Some(readout),
        preprocessing: Some(Preprocessing::new(vec![0; channels], vec![1.0; channels])),
        ..Options::default()
    }
}

/// What reaches the Output in the last of some steps; the input is these values at all of them.
fn last(graph: &NirGraph, shape: &[usize], input: &[u8], steps: usize) -> Vec<f64> {
    let options = options(shape[0], steps, Readout::Last);
    let imported = graph.to_model(&options).unwrap_or_else(|error| panic!("{error}"));
    let shape = [&[1], shape].concat();
    let pixels = ArrayD::from_shape_vec(IxDyn(&shape), input.to_vec()).unwrap();
    let result = Naive::new(&imported.model)
        .unwrap()
        .evaluate(&Input::Static(pixels.view()), Record::Logits)
        .unwrap();
    result.logits.to_real(imported.model.signature()).unwrap().row(0).to_vec()
}

fn conv(weight: Tensor, padding: Padding, axes: usize) -> Conv {
    Conv {
        input_shape: None,
        bias: all(&[weight.shape()[0]], 0.0),
        weight,
        stride: vec![1; axes],
        padding,
        dilation: vec![1; axes],
        groups: 1,
    }
}

#[test]
fn convolutions() {
    // An even kernel with the padding `same` has its smaller half in front: none here.
    let same = conv(values(&[1, 1, 2], &[1.0, 10.0]), Padding::Same, 1);
    let graph = chain(&[1, 4], vec![("c", Op::Conv1d(same.clone()))], &[1, 4]);
    assert_eq!(last(&graph, &[1, 4], &[1, 2, 3, 4], 1), [21.0, 32.0, 43.0, 4.0]);
    let valid = Conv { padding: Padding::Valid, dilation: vec![2], stride: vec![1], ..same };
    let graph = chain(&[1, 4], vec![("c", Op::Conv1d(valid))], &[1, 2]);
    assert_eq!(last(&graph, &[1, 4], &[1, 2, 3, 4], 1), [31.0, 42.0]);
    // Two groups, a stride over the width alone, a bias.
    let weight = values(&[2, 1, 1, 2], &[1.0, 1.0, 2.0, 2.0]);
    let groups = Conv {
        stride: vec![1, 2],
        groups: 2,
        bias: values(&[2], &[0.5, 0.25]),
        ..conv(weight, Padding::Zeros(vec![0, 0]), 2)
    };
    let graph = chain(&[2, 1, 4], vec![("c", Op::Conv2d(groups))], &[2, 1, 2]);
    let found = last(&graph, &[2, 1, 4], &[1, 2, 3, 4, 5, 6, 7, 8], 1);
    assert_eq!(found, [3.5, 7.5, 22.25, 30.25]);
}

#[test]
fn poolings_flatten_scale_and_affine() {
    let pool = |padding| Pool { kernel_size: [2, 2], stride: [2, 2], padding };
    // Zeros of the padding count in a mean.
    let graph = chain(&[1, 2, 2], vec![("p", Op::AvgPool2d(pool([1, 1])))], &[1, 2, 2]);
    assert_eq!(last(&graph, &[1, 2, 2], &[4, 8, 12, 16], 1), [1.0, 2.0, 3.0, 4.0]);
    let graph = chain(&[1, 2, 2], vec![("p", Op::SumPool2d(pool([0, 0])))], &[1, 1, 1]);
    assert_eq!(last(&graph, &[1, 2, 2], &[4, 8, 12, 16], 1), [40.0]);
    let flatten = Op::Flatten { input_shape: None, start_dim: 0, end_dim: -1 };
    let affine = Op::Affine { weight: values(&[1, 2], &[1.0, -2.0]), bias: values(&[1], &[0.5]) };
    let ops = vec![
        ("s", Op::Scale { scale: values(&[2, 1], &[3.0, 0.5]) }),
        ("f", flatten),
        ("a", affine),
    ];
    assert_eq!(last(&chain(&[2, 1], ops, &[1]), &[2, 1], &[4, 8], 1), [12.0 - 8.0 + 0.5]);
}

#[test]
fn integrators_thresholds_and_delays() {
    let dt = 1e-4_f32;
    let (one, none) = (all(&[1], 1.0), all(&[1], 0.0));
    let two = all(&[1], 2.0 * dt);
    let of = |op: Op, steps: usize| {
        last(&chain(&[1], vec![("fc", identity(1)), ("n", op)], &[1]), &[1], &[8], steps)[0]
    };
    assert_eq!(of(Op::I { r: all(&[1], 0.5 / dt) }, 3), 12.0);
    let li = Op::Li { tau: two.clone(), r: one.clone(), v_leak: none.clone() };
    assert_eq!(of(li, 3), 4.0 + 2.0 + 1.0);
    let cuba = Op::CubaLi {
        tau_syn: two.clone(),
        tau_mem: two,
        r: one.clone(),
        v_leak: none,
        w_in: all(&[1], 2.0),
    };
    // i: 8, 12; v: 4, 2 + 6.
    assert_eq!(of(cuba, 2), 8.0);
    assert_eq!(of(Op::Threshold { threshold: all(&[1], 8.0) }, 1), 0.0);
    assert_eq!(of(Op::Threshold { threshold: all(&[1], 7.5) }, 1), 1.0);
    assert_eq!(of(Op::Threshold { threshold: all(&[1], -1.0) }, 1), 1.0);
    let delayed = |steps: usize| {
        let ops = vec![
            ("fc", identity(1)),
            ("n", Op::Threshold { threshold: one.clone() }),
            ("d", Op::Delay { delay: all(&[1], 2.0 * dt) }),
        ];
        last(&chain(&[1], ops, &[1]), &[1], &[8], steps)[0]
    };
    assert_eq!([delayed(1), delayed(2), delayed(3)], [0.0, 0.0, 1.0]);
}

#[test]
fn edges_into_one_node_add_up_also_by_way_of_graphs_in_graphs() {
    let double = || Op::Scale { scale: all(&[1], 2.0) };
    let mut innermost = chain(&[1], vec![("twice", double())], &[1]);
    innermost.push("again", double());
    innermost.connect("input", "again");
    innermost.connect("again", "output");
    let inner = chain(&[1], vec![("in", Op::Graph(innermost))], &[1]);
    let mut graph = chain(&[1], vec![("a", identity(1)), ("g", Op::Graph(inner))], &[1]);
    graph.push("b", identity(1));
    graph.connect("input", "b");
    graph.connect("b", "g");
    graph.connect("b", "output");
    // g reads 3 + 3 and makes 4·6 of it; b comes on top.
    assert_eq!(last(&graph, &[1], &[3], 1), [27.0]);
}

fn refused(graph: &NirGraph) -> String {
    let channels = match &graph.nodes["input"].op {
        Op::Input { shape } => shape.first().copied().unwrap_or(1),
        _ => 1,
    };
    graph.to_model(&options(channels, 2, Readout::Mean)).unwrap_err().to_string()
}

#[track_caller]
fn says(error: &str, start: &str, then: &str) {
    assert!(error.starts_with(start) && error.contains(then), "{error}");
}

#[test]
fn what_no_model_computes_is_refused_by_the_name_of_the_node() {
    let lif = |tau: &[f32], threshold: f32| Op::Lif {
        tau: values(&[2], tau),
        r: all(&[2], 1.0),
        v_leak: all(&[2], 0.0),
        v_threshold: all(&[2], threshold),
        v_reset: all(&[2], 0.0),
    };
    let with = |op: Op| chain(&[2], vec![("fc", identity(2)), ("n", op)], &[2]);
    let of = |op: Op| refused(&with(op));
    let node = "node `n` cannot be translated: ";
    says(&of(lif(&[1e-3, 2e-3], 1.0)), node, "`tau` must be the same for all its neurons");
    says(&of(lif(&[1e-5, 1e-5], 1.0)), node, "`tau` must be at least dt = 0.0001");
    says(&of(lif(&[1e-3, 1e-3], -1.0)), node, "threshold must be above its reset");
    says(&of(lif(&[1e-3, f32::INFINITY], 1.0)), node, "found factors");
    says(&of(Op::Scale { scale: all(&[2], f32::INFINITY) }), node, "not finite at position 0");
    says(&of(Op::Scale { scale: all(&[3], 1.0) }), node, "found shape [3]");
    says(&of(identity(3)), node, "expected an input of shape [3], found shape [2]");
    says(&of(Op::Delay { delay: all(&[2], 1e-4) }), node, "it delays `fc`, a Linear");
    says(&of(Op::Delay { delay: all(&[2], 1.5e-4) }), node, "whole steps of dt");
    let leaks = Op::Li { tau: all(&[2], 1e-3), r: all(&[2], 1.0), v_leak: all(&[2], 0.5) };
    says(&of(leaks), node, "`v_leak` must be 0");
    // Shapes that do not go together, and a node that nothing reaches.
    let mut graph = with(lif(&[1e-3, 1e-3], 1.0));
    graph.push("wide", Op::Linear { weight: all(&[3, 2], 1.0) });
    graph.connect("input", "wide");
    graph.connect("wide", "n");
    says(&refused(&graph), node, "outputs of");
    let mut graph = with(lif(&[1e-3, 1e-3], 1.0));
    graph.push("alone", identity(2));
    graph.connect("alone", "n");
    says(&refused(&graph), "node `alone` cannot be translated: ", "no edge leads to it");
}

#[test]
fn wirings_that_are_no_network() {
    let mut cycle = chain(&[1], vec![("a", identity(1)), ("b", identity(1))], &[1]);
    cycle.connect("b", "a");
    says(&refused(&cycle), "node `a` cannot be translated: ", "a, b form a cycle without a neuron");
    let mut two = chain(&[1], vec![("a", identity(1))], &[1]);
    two.push("other", Op::Output { shape: vec![1] });
    two.connect("a", "other");
    says(&refused(&two), "NIR graph: ", "expected one Output node, found 2");
    let mut unread = chain(&[1], vec![("a", identity(1))], &[1]);
    unread.push("b", identity(1));
    unread.connect("a", "b");
    let imported = unread.to_model(&options(1, 2, Readout::Mean)).unwrap();
    assert!(imported.model.graph().node("b").is_none());
    assert_eq!(
        imported.report.notes[0].to_string(),
        "`b`: left out: nothing leads from it to the Output"
    );
    let none = chain(&[1], vec![("a", identity(1))], &[1]).to_model(&Options::default());
    says(&none.unwrap_err().to_string(), "NIR graph: ", "give the number of time steps");
    let deep = chain(&[1, 1, 1, 1], vec![], &[1]);
    says(&refused(&deep), "node `input` cannot be translated: ", "found [1, 1, 1, 1]");
    for dt in [0.0, -1.0, f64::NAN] {
        let options = Options { dt: Some(dt), ..options(1, 2, Readout::Mean) };
        let error = two.to_model(&options).unwrap_err().to_string();
        says(&error, "NIR graph: the step of time must be positive and finite", "");
    }
}
