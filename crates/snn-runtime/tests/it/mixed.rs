//! One synapse that reads channels of different codes and stream lengths, with pooling on the way.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of tests are small"
)]

use crate::draw::pixels;
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use snn_ir::Naive;
use snn_ir::{Code, GridLif, GridReset, Site, Spike};
use snn_ir::{Conv, Graph, Op, PoolKind, Window};
use snn_ir::{Evaluate, Input, Record};
use snn_ir::{Form, Model, Preprocessing, Signature};
use snn_ir::{Tensor, Weights};
use snn_runtime::Counting;

const CODES: [Code; 3] = [Code::Unary, Code::BitPlane, Code::Graded];

fn integers(shape: &[usize], low: i32, span: i32) -> ArrayD<i32> {
    let mut next = 7_i32;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next = (next * 31 + 11) % 101;
        low + next % span
    })
}

/// Nodes between the sites and the linear layer.
type Join = Box<dyn Fn(&mut Graph, [&str; 5]) -> String>;

/// Five sites read one stem: three of the given codes and levels, one binary and one ternary LIF.
/// `join` writes what lies between them and the linear layer and returns its last node.
fn mixed(sites: [(Code, u8); 3], join: impl Fn(&mut Graph, [&str; 5]) -> String) -> Model {
    let mut graph = Graph::default();
    let mut weights = Weights::new();
    graph.push("image", Op::Input { shape: vec![1, 4, 4] }, &[]);
    graph.push("stem", Op::Conv(Conv::square(2, 3, 1)), &["image"]);
    weights
        .insert("stem.weight".into(), Tensor::I8(integers(&[2, 1, 3, 3], -2, 5).mapv(|v| v as i8)));
    weights.insert("stem.multiplier".into(), Array1::<i32>::ones(2).into());
    for (index, (code, levels)) in sites.into_iter().enumerate() {
        let name = format!("site{index}");
        let op = Op::Activation { site: Site::GridQuantRelu { levels }, code: Some(code) };
        graph.push(&name, op, &["stem"]);
        let thresholds = Array2::from_shape_fn((usize::from(levels), 2), |(d, c)| (d + c) as i32);
        weights.insert(format!("{name}.thresholds"), thresholds.into());
    }
    let lif = GridLif::new(3, 2, 2, GridReset::Soft);
    graph.push(
        "lif",
        Op::Activation { site: Site::GridLif(lif), code: Some(Code::Binary) },
        &["stem"],
    );
    weights.insert("lif.threshold".into(), Array1::from_elem(2, 3_i32).into());
    let ternary = Site::GridLif(GridLif { spike: Spike::Ternary, ..lif });
    graph.push("ternary", Op::Activation { site: ternary, code: Some(Code::Ternary) }, &["stem"]);
    weights.insert("ternary.threshold".into(), Array1::from_elem(2, 2_i32).into());
    let last = join(&mut graph, ["site0", "site1", "site2", "lif", "ternary"]);
    let flat = graph.push("flat", Op::Flatten, &[&last]);
    graph.push("fc", Op::Linear { features: 3, bias: false }, &[&flat]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let features = graph.shapes().unwrap()[graph.nodes.len() - 3][0];
    weights
        .insert("fc.weight".into(), Tensor::I8(integers(&[3, features], -5, 11).mapv(|v| v as i8)));
    weights.insert("fc.multiplier".into(), Array1::from_elem(3, 3_i32).into());
    Model::new(
        Signature::new(
            Form::Grid { logit_unit: 1.0 },
            graph,
            3,
            Preprocessing::new(vec![128], vec![1.0]),
        ),
        weights,
    )
}

#[test]
fn a_synapse_may_read_channels_of_different_codes() {
    let window = |pool| Op::Pool { pool, window: Window::square(2) };
    let sum = move |graph: &mut Graph, name: &str, input: &str| {
        graph.push(name, window(PoolKind::Sum), &[input])
    };
    let joins: Vec<(&str, Join)> = vec![
        ("concat", Box::new(|graph, all| graph.push("cat", Op::Concat, &all))),
        (
            "concat of a concat of flat streams",
            Box::new(|graph, all| {
                let flat = all.map(|name| graph.push(format!("{name}.flat"), Op::Flatten, &[name]));
                let first = graph.push("first", Op::Concat, &[&flat[0], &flat[3]]);
                graph.push("cat", Op::Concat, &[&first, &flat[2], &flat[4], &flat[1]])
            }),
        ),
        (
            "sum pool of a concat",
            Box::new(move |graph, all| {
                let cat = graph.push("cat", Op::Concat, &all);
                sum(graph, "sum", &cat)
            }),
        ),
        (
            "concat of sum pools",
            Box::new(move |graph, all| {
                let pooled = all.map(|name| sum(graph, &format!("{name}.sum"), name));
                graph.push("cat", Op::Concat, &pooled.each_ref().map(String::as_str))
            }),
        ),
        (
            "concat of pooled and max-pooled streams, pooled again",
            Box::new(move |graph, [a, b, c, lif, ternary]| {
                let a = sum(graph, "a.sum", a);
                let ternary = sum(graph, "ternary.sum", ternary);
                let [b, lif] = [b, lif]
                    .map(|name| graph.push(format!("{name}.max"), window(PoolKind::Max), &[name]));
                let c = sum(graph, "c.sum", c);
                let cat = graph.push("cat", Op::Concat, &[&a, &b, &ternary, &c, &lif, &a]);
                sum(graph, "again", &cat)
            }),
        ),
        (
            "max pool of sum pools, which forms planes anew",
            Box::new(move |graph, all| {
                let pooled = all.map(|name| sum(graph, &format!("{name}.sum"), name));
                let cat = graph.push("cat", Op::Concat, &pooled.each_ref().map(String::as_str));
                graph.push("max", window(PoolKind::Max), &[&cat])
            }),
        ),
    ];
    for (what, join) in &joins {
        for index in 0..27 {
            let codes = [index % 3, index / 3 % 3, index / 9].map(|i: usize| CODES[i]);
            // Streams of 5, 12 and 1 unary planes, or 3, 4 and 1 bit-planes.
            let model = mixed([(codes[0], 5), (codes[1], 12), (codes[2], 1)], join);
            let images = pixels(&model, &[4], index as u64);
            let input = Input::Static(images.view());
            let expected = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
            let found = Counting::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
            assert_eq!(found, expected, "{what}: {codes:?}");
            assert!(
                expected.sites.iter().all(|trace| trace.output.active() > 0),
                "a silent site shows nothing"
            );
        }
    }
}
