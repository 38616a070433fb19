//! Shapes, names and attributes of graphs: what is inferred, what is refused, and that no number
//! can make it panic.

use crate::tiny::{chain, site};
use snn_ir::networks::{ResNet, SmallNet};
use snn_ir::weight_specs;
use snn_ir::{
    Code, Conv, Form, Graph, Leak, Lif, Norm, Op, PoolKind, QuantRelu, Reset, Site, Threshold,
    Window, chw,
};
use snn_ir::{DEFAULT_LEAK, DEFAULT_THRESHOLD};
use std::panic::catch_unwind;

/// Shape of one operation's output.
fn shape(input: &[usize], op: Op) -> Vec<usize> {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: input.to_vec() }, &[]);
    graph.push("op", op, &["image"]);
    graph.shapes().unwrap_or_else(|e| panic!("{e}")).remove(1)
}

fn refusal(input: &[usize], op: Op) -> String {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: input.to_vec() }, &[]);
    graph.push("op", op, &["image"]);
    let error = graph.shapes().unwrap_err().to_string();
    assert!(error.starts_with("node `op`"), "{error}");
    error
}

fn conv(kernel: &[usize], stride: &[usize], padding: &[usize], dilation: &[usize]) -> Op {
    let (kernel, stride) = (kernel.to_vec(), stride.to_vec());
    Op::Conv(Conv {
        channels: 6,
        kernel,
        stride,
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
        groups: 1,
        bias: false,
    })
}

fn pool(kernel: &[usize], stride: &[usize], padding: &[usize]) -> Op {
    let window =
        Window { kernel: kernel.to_vec(), stride: stride.to_vec(), padding: padding.to_vec() };
    Op::Pool { pool: PoolKind::Max, window }
}

#[test]
fn shapes_are_inferred() {
    assert_eq!(shape(&[3, 32, 32], Op::Conv(Conv::square(16, 3, 1))), [16, 32, 32]);
    assert_eq!(shape(&[3, 32, 31], Op::Conv(Conv::square(16, 3, 2))), [16, 16, 16]);
    assert_eq!(shape(&[3, 10, 20], conv(&[5, 3], &[2, 3], &[0, 1], &[2, 1])), [6, 1, 7]);
    assert_eq!(shape(&[3, 20], conv(&[4], &[3], &[1], &[2])), [6, 6]);
    assert_eq!(shape(&[3, 7, 7], pool(&[2, 2], &[2, 2], &[0, 0])), [3, 3, 3]);
    assert_eq!(shape(&[3, 7, 7], pool(&[3, 2], &[2, 1], &[1, 1])), [3, 4, 8]);
    assert_eq!(shape(&[3, 9], pool(&[4], &[4], &[2])), [3, 3]);
    assert_eq!(shape(&[3, 4, 5], Op::GlobalPool { pool: PoolKind::Sum }), [3]);
    assert_eq!(shape(&[3, 4, 5], Op::Flatten), [60]);
    assert_eq!(shape(&[7], Op::Linear { features: 4, bias: true }), [4]);
    assert_eq!(shape(&[3, 4, 5], site(Site::RELU)), [3, 4, 5]);
    assert_eq!([chw(&[2, 3, 4]), chw(&[2, 3]), chw(&[2])], [[2, 3, 4], [2, 1, 3], [2, 1, 1]]);
}

#[test]
fn what_does_not_fit_says_what_was_expected() {
    let has = |message: &str, parts: &[&str]| {
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{message:?} lacks one of {parts:?}"
        );
    };
    has(
        &refusal(&[3, 9], Op::Conv(Conv::square(4, 3, 1))),
        &["node `op`", "[C] and 2 spatial axes", "[3, 9]"],
    );
    has(
        &refusal(&[3, 9, 9], conv(&[3], &[1], &[0], &[1])),
        &["node `op`", "[C] and 1 spatial axes", "[3, 9, 9]"],
    );
    has(&refusal(&[9], pool(&[2], &[2], &[0])), &["node `op`", "1 spatial axes", "[9]"]);
    has(
        &refusal(&[3, 2, 2], conv(&[3, 3], &[1, 1], &[0, 0], &[1, 1])),
        &["an axis of at least 3 with padding 0"],
    );
    has(
        &refusal(&[3, 4, 4], conv(&[3, 3], &[1, 1], &[0, 1], &[2, 3])),
        &["an axis of at least 5 with padding 0"],
    );
    has(
        &refusal(&[3, 4, 4], Op::Conv(Conv { groups: 2, ..Conv::square(4, 3, 1) })),
        &["channels that 2 groups divide"],
    );
    has(
        &refusal(&[3, 4, 4], Op::Conv(Conv { groups: 3, ..Conv::square(4, 3, 1) })),
        &["groups", "3 of 4"],
    );
    has(
        &refusal(&[3, 4, 4], pool(&[2, 2], &[2, 2], &[2, 0])),
        &["window", "at most half the kernel"],
    );
    has(
        &refusal(&[3, 4, 4], pool(&[2, 2], &[2, 2], &[0, 0, 0, 2])),
        &["window", "at most half the kernel"],
    );
    has(
        &refusal(&[3, 4, 4], pool(&[2, 2], &[2, 2], &[0, 0, 1])),
        &["window", "twice as long (before each axis, then behind each)"],
    );
    has(
        &refusal(&[3, 4, 4], conv(&[3, 3], &[1, 1], &[1, 1, 1], &[1, 1])),
        &["padding", "twice as long (before each axis, then behind each)", "[1, 1, 1]"],
    );
    has(&refusal(&[3, 4, 4], pool(&[0, 2], &[1, 1], &[0, 0])), &["window", "positive"]);
    has(&refusal(&[3, 4, 4], pool(&[2, 2], &[0, 1], &[0, 0])), &["window", "positive"]);
    has(&refusal(&[3, 4, 4], pool(&[2, 2], &[1], &[0, 0])), &["window", "one or two axes"]);
    has(
        &refusal(&[3, 4, 4], Op::Linear { features: 2, bias: false }),
        &["flatten first", "[3, 4, 4]"],
    );
    has(
        &refusal(&[3, 4, 4], Op::Linear { features: 0, bias: false }),
        &["features must be at least 1"],
    );
    has(&refusal(&[3, 4, 4], Op::Conv(Conv::square(0, 3, 1))), &["channels must be at least 1"]);
    for head in [Op::TimeMean, Op::TimeLast, Op::TimeMax] {
        has(&refusal(&[3, 4, 4], head), &["[classes]"]);
    }
    has(&refusal(&[3], Op::Add), &["node `op` (add): expected two or more inputs, found 1"]);
    has(&refusal(&[3], Op::BatchNorm(Norm::with_eps(f64::NAN))), &["eps must be positive"]);
    has(&refusal(&[3], Op::BatchNorm(Norm::with_eps(0.0))), &["eps must be positive"]);
    for rate in [-0.1, 1.0, f64::NAN] {
        for op in [Op::Dropout { rate }, Op::DropPath { rate }] {
            has(&refusal(&[3], op), &["rate must be at least 0 and below 1"]);
        }
    }
    for momentum in [0.0, -0.1, 1.5, f64::NAN] {
        let norm = Norm { momentum, ..Norm::default() };
        has(&refusal(&[3], Op::BatchNorm(norm)), &["momentum must be above 0 and at most 1"]);
    }

    let two = |op: Op, first: &[usize], second: &[usize]| {
        let mut graph = Graph::default();
        graph.push("image", Op::Input { shape: vec![2, 6, 6] }, &[]);
        for (name, shape) in [("a", first), ("b", second)] {
            let kernel = vec![7 - shape[1], 7 - shape[2]];
            let conv = Conv { kernel, padding: vec![0, 0], ..Conv::square(shape[0], 1, 1) };
            graph.push(name, Op::Conv(conv), &["image"]);
        }
        graph.push("op", op, &["a", "b"]);
        graph.shapes().map(|mut shapes| shapes.remove(3)).map_err(|error| error.to_string())
    };
    has(
        &two(Op::Add, &[3, 4, 4], &[3, 4, 5]).unwrap_err(),
        &["node `op`", "equal shapes [3, 4, 4]", "[3, 4, 5]"],
    );
    has(
        &two(Op::Concat, &[3, 4, 4], &[1, 4, 5]).unwrap_err(),
        &["node `op`", "[C, [4, 4]]", "[1, 4, 5]"],
    );
    assert_eq!(two(Op::Concat, &[3, 4, 4], &[1, 4, 4]).unwrap(), [4, 4, 4]);
    assert_eq!(two(Op::Add, &[3, 4, 4], &[3, 4, 4]).unwrap(), [3, 4, 4]);
}

#[test]
fn a_graph_has_one_input_one_head_and_nothing_unread() {
    let refused = |edit: fn(&mut Graph), expected: &str| {
        let mut graph = chain(&[4], vec![("fc", Op::Linear { features: 2, bias: false })]);
        edit(&mut graph);
        let error = graph.resolve().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(|graph| graph.nodes.clear(), "no nodes");
    refused(
        |graph| drop(graph.nodes.pop()),
        "exactly one head (time_mean, time_last or time_max), as the last",
    );
    refused(
        |graph| drop(graph.push("again", Op::TimeMean, &["fc"])),
        "exactly one head (time_mean, time_last or time_max), as the last",
    );
    refused(
        |graph| drop(graph.push("more", Op::Input { shape: vec![1] }, &[])),
        "exactly one input, as the first",
    );
    refused(
        |graph| {
            let flat = snn_ir::Node::new("flat", Op::Flatten, vec!["image".into()]);
            graph.nodes.insert(2, flat);
        },
        "`flat` is read by nothing",
    );
    refused(|graph| graph.nodes[0].inputs.push("fc".into()), "node `image`: input `fc`");
    refused(|graph| graph.nodes[1].inputs[0] = "fc".into(), "node `fc`: input `fc`");
    refused(|graph| graph.nodes[1].name = "image".into(), "node `image`: the name is used twice");
}

#[test]
fn what_varies_over_time() {
    let quant = || site(Site::QuantRelu(QuantRelu::default()));
    let graph =
        chain(&[4], vec![("a", quant()), ("b", site(Site::Lif(Lif::default()))), ("c", quant())]);
    let varies: Vec<bool> = graph.resolve().unwrap().nodes.iter().map(|node| node.varies).collect();
    assert_eq!(varies, [false, false, true, true, true]);
    let sites = graph.sites().unwrap();
    assert_eq!(sites.iter().map(|site| site.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((sites[1].index, sites[1].neurons()), (2, 4));
}

/// Every number of every attribute, at and beyond every limit: an answer and no overflow, and
/// weights that can be counted.
#[test]
fn no_number_overflows() {
    let numbers =
        [0, 1, 2, 3, 1 << 27, 1 << 28, (1 << 28) + 1, 1 << 32, 1 << 63, usize::MAX - 1, usize::MAX];
    let check = |input: &[usize], op: &Op| {
        let graph = chain(input, vec![("op", op.clone()), ("flat", Op::Flatten)]);
        catch_unwind(|| {
            if let Ok(resolved) = graph.resolve() {
                for spec in weight_specs(&graph, &resolved, Form::Trained).unwrap() {
                    assert!(
                        spec.part
                            .shape
                            .iter()
                            .try_fold(1_usize, |product, n| product.checked_mul(*n))
                            .is_some()
                    );
                }
            }
        })
        .unwrap_or_else(|_| panic!("{input:?} {op:?}"));
    };
    for a in numbers {
        check(&[a, a, a], &Op::Flatten);
        check(&[2, a, 1], &Op::Flatten);
        for b in numbers {
            check(&[2, 4, 4], &conv(&[a, b], &[1, 1], &[b, a], &[1, 1]));
            check(&[a], &Op::Linear { features: b, bias: true });
            check(&[2, a], &Op::GlobalPool { pool: PoolKind::Average });
            for c in numbers {
                check(&[2, a], &conv(&[b], &[1], &[c], &[1]));
                check(&[2, 4], &conv(&[a], &[b], &[c], &[1]));
                check(&[2, 4], &conv(&[a], &[1], &[b], &[c]));
                check(&[1, a], &pool(&[b], &[1], &[c]));
                check(&[1, 4, 4], &pool(&[a, b], &[1, c], &[a / 2, b / 2]));
                check(&[a, 1, 1], &Op::Conv(Conv { groups: b, ..Conv::square(c, 1, 1) }));
            }
        }
    }
}

#[test]
fn codes_have_their_lengths() {
    assert_eq!([1, 4, 15, 255].map(|levels| Code::Unary.micro_steps(levels)), [1, 4, 15, 255]);
    assert_eq!(
        [1, 3, 4, 7, 8, 255].map(|levels| Code::BitPlane.micro_steps(levels)),
        [1, 2, 3, 3, 4, 8]
    );
    assert_eq!([Code::Binary, Code::Graded].map(|code| code.micro_steps(200)), [1, 1]);
}

// === Networks ===

#[test]
fn resnet_20_is_what_its_paper_says() {
    let graph = ResNet::default().build();
    let resolved = graph.resolve().unwrap();
    assert_eq!(graph.sites().unwrap().len(), 19);
    let specs = weight_specs(&graph, &resolved, Form::Trained).unwrap();
    let count: usize = specs
        .iter()
        .filter(|spec| spec.part.learned)
        .map(|spec| spec.part.shape.iter().product::<usize>())
        .sum();
    // 0.27 M (He 2016, table 6), and the two 1×1 shortcuts.
    assert_eq!(count, 272_474);
    let convolutions = graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv(_))).count();
    assert_eq!(convolutions, 19 + 2);
    let of = |name: &str| {
        let position = graph.nodes.iter().position(|node| node.name == name).unwrap();
        resolved.nodes[position].shape.as_slice()
    };
    assert_eq!(of("stem.act"), [16, 32, 32]);
    assert_eq!(of("layer1.2.act2"), [16, 32, 32]);
    assert_eq!(of("layer2.0.conv1"), [32, 16, 16]);
    assert_eq!(of("layer2.2.act2"), [32, 16, 16]);
    assert_eq!(of("layer3.2.act2"), [64, 8, 8]);
    assert_eq!(of("pool"), [64]);
    assert_eq!(of("head"), [10]);
    assert!(
        graph.node("layer1.0.shortcut.conv").is_none()
            && graph.node("layer2.0.shortcut.conv").is_some()
    );
    let Some(Op::Activation { site: Site::Lif(lif), code: None }) =
        graph.node("stem.act").map(|node| &node.op)
    else {
        panic!("a LIF site")
    };
    assert_eq!(lif.leak, Leak::Factor { factor: DEFAULT_LEAK });
    assert_eq!(lif.threshold, Threshold::Fixed(DEFAULT_THRESHOLD));
    assert_eq!(lif.reset, Reset::Hard { potential: 0.0 });
}

#[test]
fn the_small_network() {
    let graph =
        SmallNet { input: [3, 12, 12], classes: 7, width: 4, ..SmallNet::default() }.build();
    let resolved = graph.resolve().unwrap();
    assert_eq!(graph.sites().unwrap().len(), 5);
    let shape =
        |name: &str| resolved.nodes.iter().find(|node| node.name == name).unwrap().shape.clone();
    assert_eq!(shape("block1.act2"), [4, 12, 12]);
    assert_eq!(shape("pool1"), [4, 6, 6]);
    assert_eq!(shape("block2.act2"), [8, 6, 6]);
    assert_eq!(shape("head"), [7]);
}

/// Graphs are data: JSON and back, with unknown fields refused.
#[test]
fn graphs_survive_json() {
    for graph in [
        ResNet::default().build(),
        SmallNet::default().build(),
        crate::tiny::grid_model().graph().clone(),
    ] {
        let json = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<Graph>(&json).unwrap(), graph);
    }
    let error = serde_json::from_str::<Lif>(r#"{"treshold": 1.0}"#).unwrap_err().to_string();
    assert!(error.contains("treshold"), "{error}");
}
