//! Delays: values by hand, off by no step, nothing left of the sample before, and what is refused.

use crate::tiny::{coded, int, levels, logits, real, run, run_frames, site, sums, trained};
use ndarray::ArrayD;
use snn_ir::{
    Code, Conv, Evaluate, Form, Graph, GraphBuilder, GridLif, GridReset, Input, Leak, Lif,
    MAX_DELAY, Model, Naive, Op, QuantRelu, Record, Reset, Site, SiteOutput, Stage,
};

/// A neuron that forgets: it fires where its current reaches 1.
fn memoryless() -> Op {
    let leak = Leak::Factor { factor: 0.0 };
    site(Site::Lif(Lif { leak, reset: Reset::None, ..Lif::default() }))
}

fn delay(steps: usize, shape: &[usize]) -> Op {
    Op::Delay { steps, shape: shape.to_vec() }
}

/// `image → a → delay → scale → head`, one value a sample.
fn forward(steps: usize, time_steps: usize) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("in", Op::Scale, &["image"]);
    graph.push("a", memoryless(), &["in"]);
    graph.push("delay", delay(steps, &[1]), &["a"]);
    graph.push("out", Op::Scale, &["delay"]);
    graph.push("head", Op::TimeMean, &["out"]);
    let weights = [("in.weight", real(&[1], &[1.0])), ("out.weight", real(&[1], &[1.0]))];
    trained(graph, time_steps, weights)
}

#[test]
fn a_delay_yields_what_came_so_many_steps_before() {
    // A spike at step 2 of 5, weighted by what step it is counted in: the head adds all steps.
    for (steps, arrives) in [(1, true), (2, true), (3, true), (4, false), (7, false)] {
        let found = logits(&run_frames(&forward(steps, 5), &[0, 1, 0, 0, 0]));
        assert_eq!(found, [if arrives { 0.2 } else { 0.0 }], "{steps} steps");
    }
    // A static image: the spikes of the first steps are silence.
    for steps in 1..=4 {
        let found = logits(&run(&forward(steps, 4), &[1]));
        assert_eq!(found, [(4 - steps) as f64 / 4.0], "{steps} steps");
    }
}

/// A ring: a site whose own spike comes back after `steps`, and nothing else.
fn ring(steps: usize, time_steps: usize) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("in", Op::Scale, &["image"]);
    graph.push("delay", delay(steps, &[1]), &["a"]);
    graph.push("back", Op::Scale, &["delay"]);
    graph.push("sum", Op::Add, &["in", "back"]);
    graph.push("a", memoryless(), &["sum"]);
    graph.push("out", Op::Scale, &["a"]);
    graph.push("head", Op::TimeMean, &["out"]);
    let one = || real(&[1], &[1.0]);
    trained(
        graph,
        time_steps,
        [("in.weight", one()), ("back.weight", one()), ("out.weight", one())],
    )
}

#[test]
fn a_spike_goes_round_a_recurrence() {
    for (steps, expected) in [
        (1, [0, 1, 1, 1, 1, 1, 1]),
        (2, [0, 1, 0, 1, 0, 1, 0]),
        (3, [0, 1, 0, 0, 1, 0, 0]),
        (6, [0, 1, 0, 0, 0, 0, 0]),
    ] {
        let found = run_frames(&ring(steps, 7), &[0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(levels(&found, "a"), expected, "{steps} steps");
    }
}

#[test]
fn nothing_is_left_of_the_sample_before() {
    let model = ring(1, 3);
    let pixels = ArrayD::from_shape_vec(vec![2, 1], vec![1, 0]).unwrap();
    let mut naive = Naive::new(&model).unwrap();
    let input = Input::Static(pixels.view());
    let found = naive.evaluate(&input, Record::Sites).unwrap();
    assert_eq!(levels(&found, "a"), [1, 0, 1, 0, 1, 0], "[T, B]: the second stays silent");
    assert_eq!(naive.evaluate(&input, Record::Sites).unwrap(), found, "a second time");
}

#[test]
fn two_delays_cross() {
    // `a` fires on the image or on what `b` sent 2 steps before, `b` on what `a` sent 1 before: a
    // spike comes round every 3 steps.
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("in", Op::Scale, &["image"]);
    graph.push("of_b", delay(2, &[1]), &["b"]);
    graph.push("back", Op::Scale, &["of_b"]);
    graph.push("sum", Op::Add, &["in", "back"]);
    graph.push("a", memoryless(), &["sum"]);
    graph.push("of_a", delay(1, &[1]), &["a"]);
    graph.push("on", Op::Scale, &["of_a"]);
    graph.push("b", memoryless(), &["on"]);
    graph.push("out", Op::Scale, &["b"]);
    graph.push("head", Op::TimeMean, &["out"]);
    assert_eq!(
        graph.resolve().unwrap().stages()[2..5],
        [Stage::Loop((2..=8).collect()), Stage::AtOnce(9), Stage::AtOnce(10)]
    );
    let weights = ["in.weight", "back.weight", "on.weight", "out.weight"];
    let model = trained(graph, 7, weights.map(|name| (name, real(&[1], &[1.0]))));
    let found = run_frames(&model, &[1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(levels(&found, "a"), [1, 0, 0, 1, 0, 0, 1]);
    assert_eq!(levels(&found, "b"), [0, 1, 0, 0, 1, 0, 0]);
}

#[test]
fn a_delay_carries_what_its_site_yields() {
    // Trained, a QuantRelu yields its value; in a code, its level.
    let graph = |code: Option<Code>| {
        let quant = Site::QuantRelu(QuantRelu { levels: 3, step: 0.5, ..QuantRelu::default() });
        let mut graph = Graph::default();
        graph.push("image", Op::Input { shape: vec![1] }, &[]);
        graph.push("in", Op::Scale, &["image"]);
        graph.push("delay", delay(1, &[1]), &["a"]);
        graph.push("out", Op::Scale, &["delay"]);
        graph.push("a", Op::Activation { site: quant, code }, &["in"]);
        graph.push("head", Op::TimeMean, &["out"]);
        graph
    };
    let weights = || {
        [
            ("in.weight", real(&[1], &[1.0])),
            ("out.weight", real(&[1], &[1.0])),
            ("a.step", real(&[1], &[0.5])),
        ]
    };
    let frames = [1, 0, 0];
    assert_eq!(logits(&run_frames(&trained(graph(None), 3, weights()), &frames)), [1.0 / 3.0]);
    let coded = crate::tiny::model(Form::Events, graph(Some(Code::Unary)), 3, weights());
    assert_eq!(logits(&run_frames(&coded, &frames)), [2.0 / 3.0]);
    let streams = coded.validate().unwrap().streams().unwrap();
    assert_eq!(streams.bounds[2], [3.0], "that of the site, which stands later");
}

#[test]
fn delays_on_the_grid_are_integers_and_bounded() {
    let lif = Site::GridLif(GridLif::new(0, 0, 0, GridReset::None));
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("in", Op::Scale, &["image"]);
    graph.push("delay", delay(2, &[1]), &["a"]);
    graph.push("back", Op::Scale, &["delay"]);
    graph.push("sum", Op::Add, &["in", "back"]);
    graph.push("a", coded(lif, Code::Binary), &["sum"]);
    graph.push("out", Op::Scale, &["a"]);
    graph.push("head", Op::TimeMean, &["out"]);
    let one = || int(&[1], &[1]);
    let weights = [
        ("in.weight", one()),
        ("back.weight", int(&[1], &[5])),
        ("out.weight", one()),
        ("a.threshold", int(&[1], &[5])),
    ];
    let model = crate::tiny::grid(graph, 5, weights);
    assert_eq!(sums(&run_frames(&model, &[5, 0, 0, 4, 0])), [3]);
    let streams = model.validate().unwrap().streams().unwrap();
    assert_eq!(streams.bounds[3], [5.0]);
}

// === What is refused ===

fn refusal(edit: impl FnOnce(&mut Graph)) -> String {
    let mut graph = ring(1, 1).graph().clone();
    edit(&mut graph);
    graph.resolve().expect_err("a graph").to_string()
}

fn edited(node: &str, edit: impl FnOnce(&mut snn_ir::Node)) -> String {
    refusal(|graph| edit(graph.node_mut(node).unwrap()))
}

#[test]
fn what_is_no_delay_of_a_site_is_refused_by_name() {
    let contains = |message: String, parts: &[&str]| {
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{message:?} lacks one of {parts:?}"
        );
    };
    for steps in [0, MAX_DELAY + 1, usize::MAX] {
        let message = edited("delay", |node| node.op = delay(steps, &[1]));
        contains(message, &["node `delay`: steps must be 1 to 1024", &steps.to_string()]);
    }
    assert_eq!(MAX_DELAY, 1024, "as the message says");
    // Currents, pixels, other delays.
    for (input, label) in [("sum", "add"), ("image", "input"), ("out", "scale"), ("delay", "delay")]
    {
        let message = edited("delay", |node| node.inputs = vec![input.into()]);
        contains(message, &["node `delay`", input, "no activation site", label]);
    }
    contains(
        edited("delay", |node| node.inputs = vec!["b".into()]),
        &["`delay`", "`b` is not a node"],
    );
    contains(edited("delay", |node| node.inputs.clear()), &["`delay` (delay): expected one"]);
    contains(
        edited("delay", |node| node.inputs.push("a".into())),
        &["`delay` (delay): expected one", "found 2"],
    );
    // A wrong shape, found where the delay is read, or at the delay.
    contains(
        edited("delay", |node| node.op = delay(1, &[2])),
        &["`sum`: expected equal shapes [1], found shape [2]"],
    );
    let mut graph = forward(1, 1).graph().clone();
    graph.node_mut("delay").unwrap().op = delay(1, &[2]);
    contains(
        graph.resolve().unwrap_err().to_string(),
        &["node `delay`", "that of the site `a`, [1], found shape [2]"],
    );
    contains(
        edited("delay", |node| node.op = delay(1, &[])),
        &["node `delay`", "a shape [C, H, W]"],
    );
    contains(edited("delay", |node| node.op = delay(1024, &[1 << 20])), &["`delay`", "1024 steps"]);
}

#[test]
fn a_cycle_without_a_delay_is_refused() {
    let message = edited("back", |node| node.inputs = vec!["a".into()]);
    assert!(message.contains("node `back`: input `a` is not a node before it"), "{message}");
    assert!(message.contains("only a delay"), "{message}");
}

#[test]
fn a_loop_that_nothing_else_reads_is_refused() {
    let message = edited("out", |node| node.inputs = vec!["in".into()]);
    assert!(message.contains("`delay` does not reach the head"), "{message}");
}

#[test]
fn a_delay_of_a_converted_graph_is_of_events() {
    let lif = || coded(Site::Lif(Lif::default()), Code::Binary);
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("in", Op::Scale, &["image"]);
    graph.push("a", lif(), &["in"]);
    graph.push("delay", delay(1, &[1]), &["a"]);
    graph.push("b", lif(), &["delay"]);
    graph.push("out", Op::Scale, &["b"]);
    graph.push("head", Op::TimeMean, &["out"]);
    let weights = [("in.weight", real(&[1], &[1.0])), ("out.weight", real(&[1], &[1.0]))];
    let model = crate::tiny::model(Form::Events, graph, 1, weights);
    let message = model.validate().unwrap_err().to_string();
    assert!(message.contains("node `b`: a site reads a current"), "{message}");
}

// === Builder and files ===

#[test]
fn the_builder_adds_recurrences() {
    let mut net = GraphBuilder::new([2, 6, 6]);
    net.conv("c1", Conv::square(4, 3, 1));
    net.recurrent_site("act1", Some(Conv::square(4, 3, 1)));
    net.flatten("flat").linear("fc1", 8).recurrent_site("act2", None);
    net.delay("before", "act2", 3, [8]).linear("fc2", 2);
    let graph = net.build().unwrap();
    assert_eq!(graph.node("act1.delay").unwrap().op, delay(1, &[4, 6, 6]));
    let written = serde_json::to_string(&graph).unwrap();
    assert_eq!(Graph::from_json(&written).unwrap(), graph);
    assert_eq!(Graph::from_toml(&toml::to_string(&graph).unwrap()).unwrap(), graph);
    let loops = graph.resolve().unwrap().stages();
    let loops = loops.iter().filter(|stage| matches!(stage, Stage::Loop(_)));
    assert_eq!(loops.count(), 2);
    // Weights begin as those of any layer.
    let weights = graph.initial_weights(1).unwrap();
    assert_eq!(weights["act2.recurrent.weight"].shape(), [8, 8]);
    // A convolution that changes the shape does not fit.
    let mut net = GraphBuilder::new([2, 6, 6]);
    net.recurrent_site("act", Some(Conv::square(2, 3, 2))).flatten("flat").linear("fc", 2);
    let error = net.build().unwrap_err().to_string();
    assert!(error.contains("act.sum"), "{error}");
}

#[test]
fn stages_keep_what_is_free_of_a_recurrence_out_of_it() {
    // `early` and `side` stand between a delay and its site and have nothing to do with it; `after`
    // depends on it alone.
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]); // 0
    graph.push("delay", delay(1, &[1]), &["a"]);
    graph.push("after", Op::Scale, &["delay"]); // 2
    graph.push("early", Op::Scale, &["image"]);
    graph.push("back", Op::Scale, &["delay"]); // 4
    graph.push("side", memoryless(), &["early"]);
    graph.push("sum", Op::Add, &["early", "back"]); // 6
    graph.push("a", memoryless(), &["sum"]);
    graph.push("join", Op::Scale, &["side"]); // 8
    graph.push("all", Op::Add, &["after", "join"]);
    graph.push("head", Op::TimeMean, &["all"]); // 10
    let stages = graph.resolve().unwrap().stages();
    let once = Stage::AtOnce;
    let expected = [
        once(0),
        once(3),
        once(5),
        Stage::Loop(vec![1, 4, 6, 7]),
        once(2),
        once(8),
        once(9),
        once(10),
    ];
    assert_eq!(stages, expected);
}

#[test]
fn traces_of_delayed_sites_keep_the_time_axis() {
    let found = run(&ring(1, 3), &[1]);
    let SiteOutput::Levels(levels) = &found.sites[0].output else { panic!("levels") };
    assert_eq!(levels.shape(), [3, 1, 1]);
}
