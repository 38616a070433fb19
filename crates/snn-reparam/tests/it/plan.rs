//! The plan as data: JSON, text, summary, concatenation.

use crate::network::{conv, linear, network, quant};
use snn_ir::{Code, Norm, Op, PoolKind};
use snn_reparam::{Action, Effect, Plan, Refusal, convert, to_grid};

fn plans() -> (Plan, Plan) {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("n1", Op::BatchNorm(Norm::with_eps(0.25)), &["c1"]);
        graph.push("a", quant(4), &["n1"]);
        graph.push("average", Op::GlobalPool { pool: PoolKind::Average }, &["a"]);
        graph.push("fc", linear(3), &["average"]);
    });
    let events = convert(&model, &Code::Unary.into()).unwrap();
    let grid = to_grid(&events.model, snn_reparam::GridOptions::default()).unwrap();
    (events.plan, grid.plan)
}

#[test]
fn json_has_text_and_data_and_is_read_back() {
    let (events, grid) = plans();
    let plan = events.then(grid);
    let json = serde_json::to_value(&plan).unwrap();
    let entries = json["entries"].as_array().unwrap();
    let of = |node: &str| entries.iter().find(|entry| entry["node"] == node).unwrap();
    let norm = of("n1");
    assert_eq!(
        (&norm["op"], &norm["action"], &norm["detail"]),
        (&"batch_norm".into(), &"merged".into(), &"folded into `c1`".into())
    );
    assert_eq!(norm["what"], serde_json::json!({ "kind": "folded_into", "layer": "c1" }));
    assert!(entries.iter().all(|entry| entry["op"] != "grid"), "a pass is no operation");
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan);
}

#[test]
fn a_layer_carries_a_norm_because_one_was_folded_into_it() {
    let (events, _) = plans();
    let of = |node: &str| events.entries.iter().find(|entry| entry.node == node).unwrap();
    assert_eq!(of("c1").action, Action::CarriesScales { norm: true });
    assert_eq!(of("fc").action, Action::CarriesScales { norm: false });
}

#[test]
fn a_summary_counts_and_the_plan_lists() {
    let (events, grid) = plans();
    let lines = events.entries.len() + grid.entries.len();
    let plan = events.then(grid);
    assert_eq!(plan.to_string().lines().count(), lines);
    let summary = plan.summary();
    for line in [
        "1  batch norms folded into the layers before them",
        "1  averages made sums, their divisors merged into weights",
        "1  sites: unary code, 4 micro-steps",
        "2  layers with weights of 8 bits",
    ] {
        assert!(summary.contains(line), "no `{line}` in\n{summary}");
    }
    assert!(summary.lines().count() < lines, "{summary}");
}

#[test]
fn one_refusal_is_listed_once() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("b", quant(4), &["c1"]);
        graph.push("sum", Op::Add, &["a", "b"]);
        graph.push("max", Op::GlobalPool { pool: PoolKind::Max }, &["sum"]);
        graph.push("c2", conv(3, 3), &["sum"]);
        graph.push("all", Op::GlobalPool { pool: PoolKind::Max }, &["c2"]);
        graph.push("both", Op::Concat, &["max", "all"]);
    });
    let Err(snn_reparam::Error::Refused(plan)) = convert(&model, &Code::Unary.into()) else {
        panic!("expected a refusal")
    };
    let refused: Vec<_> = plan.refused().collect();
    let sums = refused.iter().filter(|entry| entry.refusal() == Some(&Refusal::NonLinearReader));
    assert_eq!(sums.count(), 1, "{plan}");
    assert!(refused.iter().all(|entry| entry.action.effect() == Effect::Refused));
}
