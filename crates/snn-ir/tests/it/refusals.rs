//! Wrong graphs with the newer operations: each is refused with an error that names the node.

use crate::tiny::{chain, coded, grid, model, real, site, trained};
use snn_ir::{
    Code, Form, Graph, GridLif, GridReset, Lif, Norm, Op, PoolKind, QuantRelu, Site, Window,
};

fn linear(features: usize) -> Op {
    Op::Linear { features, bias: false }
}

/// The error of a graph of two sites `a` and `b`, of two values each, and what `edit` adds before
/// the head; `edit` returns what the head reads.
fn refusal(edit: impl FnOnce(&mut Graph) -> String) -> String {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 3, 3] }, &[]);
    for name in ["a", "b"] {
        graph.push(name, site(Site::Lif(Lif::default())), &["image"]);
    }
    let last = edit(&mut graph);
    graph.push("head", Op::TimeMean, &[&last]);
    graph.resolve().expect_err("a graph").to_string()
}

#[test]
fn operations_of_one_input_have_one() {
    for op in [
        Op::Dropout { rate: 0.5 },
        Op::DropPath { rate: 0.5 },
        Op::BatchNorm(Norm::without_scale()),
        Op::ChannelSum { groups: 1 },
        Op::TimeLast,
        Op::TimeMax,
    ] {
        for inputs in [&["a", "b"][..], &[]] {
            let error = refusal(|graph| graph.push("op", op.clone(), inputs));
            let expected =
                format!("node `op` ({}): expected one input, found {}", op.label(), inputs.len());
            assert!(error.starts_with(&expected), "{error}");
        }
    }
    for inputs in [&["a"][..], &["a", "b", "a"], &[]] {
        let error = refusal(|graph| graph.push("op", Op::Mask { inverted: false }, inputs));
        assert!(error.starts_with("node `op` (mask): expected two"), "{error}");
    }
}

#[test]
fn a_cycle_without_a_delay_is_refused_whatever_is_in_it() {
    let delay = Op::Delay { steps: 1, shape: vec![2, 3, 3] };
    for (op, more) in [
        (Op::Dropout { rate: 0.5 }, None),
        (Op::DropPath { rate: 0.5 }, None),
        (Op::BatchNorm(Norm::default()), None),
        (Op::ChannelSum { groups: 2 }, None),
        (Op::Mask { inverted: false }, Some("a")),
        (Op::Mask { inverted: true }, Some("a")),
    ] {
        let error = refusal(|graph| {
            let inputs: Vec<&str> = more.into_iter().chain(["later"]).collect();
            graph.push("op", op.clone(), &inputs);
            graph.push("later", site(Site::Lif(Lif::default())), &["op"])
        });
        assert!(
            error.starts_with("node `op`: input `later` is not a node before it")
                && error.contains("only a delay"),
            "{error}"
        );
    }
    // A delay of what depends on a site, and is none, closes no cycle.
    for (op, label) in [
        (Op::Dropout { rate: 0.5 }, "dropout"),
        (Op::DropPath { rate: 0.5 }, "drop_path"),
        (Op::BatchNorm(Norm::default()), "batch_norm"),
        (Op::ChannelSum { groups: 2 }, "channel_sum"),
        (Op::Scale, "scale"),
        (
            Op::Pool {
                pool: PoolKind::Max,
                window: Window { kernel: vec![1; 2], stride: vec![1; 2], padding: vec![0; 2] },
            },
            "max_pool",
        ),
    ] {
        let error = refusal(|graph| {
            graph.push("between", op.clone(), &["a"]);
            graph.push("delay", delay.clone(), &["between"]);
            graph.push("flat", Op::Flatten, &["delay"])
        });
        let expected = format!("`between`, which is no activation site ({label})");
        assert!(error.starts_with("node `delay`") && error.contains(&expected), "{error}");
    }
}

#[test]
fn heads_read_classes_once_and_last() {
    for head in [Op::TimeLast, Op::TimeMax] {
        let mut graph = chain(&[4], vec![("fc", linear(2))]);
        graph.nodes[2].op = head.clone();
        graph.resolve().unwrap();
        let error = refusal(|graph| graph.push("early", head.clone(), &["a"]));
        assert!(error.starts_with("node `early`: expected [classes]"), "{error}");
        let mut two = graph.clone();
        two.push("again", head.clone(), &["head"]);
        let error = two.resolve().unwrap_err().to_string();
        assert!(error.contains("exactly one head (time_mean, time_last or time_max)"), "{error}");
        // Events have no scores: after conversion a head reads a current.
        let mut graph = chain(
            &[2],
            vec![("fc", Op::Scale), ("act", coded(Site::Lif(Lif::default()), Code::Binary))],
        );
        graph.nodes[3].op = head;
        let model = model(Form::Events, graph, 2, [("fc.weight", real(&[2], &[1.0, 1.0]))]);
        let error = model.validate().unwrap_err().to_string();
        assert!(error.starts_with("node `head`: the head reads a current"), "{error}");
    }
}

/// What exists in training alone is in no converted file.
#[test]
fn converted_models_have_nothing_of_training() {
    for (op, reason) in [
        (Op::Dropout { rate: 0.5 }, "dropout is for training"),
        (Op::DropPath { rate: 0.5 }, "dropout is for training"),
        (Op::BatchNorm(Norm::without_scale()), "batch norm does not exist after conversion"),
        (Op::ChannelSum { groups: 2 }, "a channel sum does not exist after conversion"),
    ] {
        let lif = Site::GridLif(GridLif::new(1, 0, 0, GridReset::Hard));
        for (form, act) in [
            (Form::Events, coded(Site::Lif(Lif::default()), Code::Binary)),
            (Form::Grid { logit_unit: 1.0 }, coded(lif, Code::Binary)),
        ] {
            let nodes =
                vec![("in", Op::Scale), ("act", act), ("op", op.clone()), ("out", Op::Scale)];
            let error = model(form, chain(&[2], nodes), 2, []).validate().unwrap_err().to_string();
            assert!(error.contains("`op`") && error.contains(reason), "{error}");
        }
    }
}

/// A norm without scale has no `weight`, and one with a scale needs it.
#[test]
fn weights_of_norms_are_those_of_their_attributes() {
    let norm = |scale: bool, weights: &[&str]| {
        let nodes =
            vec![("fc", linear(2)), ("bn", Op::BatchNorm(Norm { scale, ..Norm::default() }))];
        let mut model = trained(chain(&[1], nodes), 1, [("fc.weight", real(&[2, 1], &[1.0; 2]))]);
        for part in [&["bias", "running_mean", "running_var"], weights].concat() {
            model.weights_mut().insert(format!("bn.{part}"), real(&[2], &[1.0; 2]));
        }
        model.validate().map(drop).map_err(|error| error.to_string())
    };
    norm(true, &["weight"]).unwrap();
    norm(false, &[]).unwrap();
    let error = norm(false, &["weight"]).unwrap_err();
    assert!(error.contains("`bn.weight`"), "{error}");
    let error = norm(true, &[]).unwrap_err();
    assert!(error.contains("`bn.weight`"), "{error}");
}

/// Streams of another kind than an operation reads, after conversion.
#[test]
fn kinds_of_streams_are_checked_after_conversion() {
    let levels = || coded(Site::QuantRelu(QuantRelu::default()), Code::Unary);
    let spikes = || coded(Site::Lif(Lif::default()), Code::Binary);
    let refused = |build: &dyn Fn(&mut Graph) -> String, expected: &str| {
        let mut graph = Graph::default();
        graph.push("image", Op::Input { shape: vec![2] }, &[]);
        graph.push("in", Op::Scale, &["image"]);
        graph.push("a", spikes(), &["in"]);
        graph.push("x", levels(), &["in"]);
        let last = build(&mut graph);
        graph.push("out", Op::Scale, &[&last]);
        graph.push("x.out", Op::Scale, &["x"]);
        graph.push("a.out", Op::Scale, &["a"]);
        graph.push("sum", Op::Add, &["out", "x.out", "a.out"]);
        graph.push("head", Op::TimeLast, &["sum"]);
        let mut model = model(Form::Events, graph.clone(), 2, []);
        model.weights_mut().insert("x.step".into(), real(&[1], &[1.0]));
        for node in graph.nodes.iter().filter(|node| node.op == Op::Scale) {
            let weight = format!("{}.weight", node.name);
            model.weights_mut().insert(weight, real(&[2], &[1.0; 2]));
        }
        let error = model.validate().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    // A delay of a site is events, and no site reads it without a synapse.
    let delayed =
        |graph: &mut Graph| graph.push("old", Op::Delay { steps: 2, shape: vec![2] }, &["x"]);
    refused(
        &|graph| {
            delayed(graph);
            graph.push("site", spikes(), &["old"])
        },
        "node `site`: a site reads a current",
    );
    refused(
        &|graph| {
            delayed(graph);
            graph.push("add", Op::Add, &["in", "old"])
        },
        "node `add`: an add joins currents",
    );
    refused(
        &|graph| graph.push("mask", Op::Mask { inverted: true }, &["a", "in"]),
        "node `mask`: a mask passes events",
    );
    refused(
        &|graph| graph.push("mask", Op::Mask { inverted: false }, &["x", "a"]),
        "node `mask`: its mask, the first input `x`, yields levels",
    );
    refused(
        &|graph| graph.push("again", Op::Scale, &["in"]),
        "node `again`: a synapse cannot read",
    );
}

/// The first membrane of the grid is a weight if the site says so, and only then.
#[test]
fn a_first_membrane_of_the_grid_is_its_weight() {
    let with = |initial: bool, weight: bool| {
        let lif = GridLif { initial, ..GridLif::new(1, 0, 0, GridReset::Hard) };
        let nodes = vec![
            ("in", Op::Scale),
            ("act", coded(Site::GridLif(lif), Code::Binary)),
            ("out", Op::Scale),
        ];
        let int = crate::tiny::int;
        let mut model = grid(
            chain(&[2], nodes),
            2,
            [
                ("in.weight", int(&[2], &[1, 1])),
                ("act.threshold", int(&[2], &[3, 3])),
                ("out.weight", int(&[2], &[1, 1])),
            ],
        );
        if weight {
            model.weights_mut().insert("act.initial".into(), int(&[2], &[1, 2]));
        }
        model.validate().map(drop).map_err(|error| error.to_string())
    };
    with(false, false).unwrap();
    with(true, true).unwrap();
    for (initial, weight) in [(true, false), (false, true)] {
        let error = with(initial, weight).unwrap_err();
        assert!(error.contains("`act.initial`"), "{error}");
    }
}
