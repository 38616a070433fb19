//! Files of many nodes and of large images.

use super::{pack, refusal};
use crate::tiny::{chain, real};
use serde_json::json;
use snn_ir::{Form, Model, Op};
use std::time::{Duration, Instant};

#[test]
fn ten_thousand_nodes_load_fast_and_a_hundred_and_ten_thousand_do_not_load() {
    let of = |count: usize| {
        let names: Vec<String> = (0..count).map(|i| format!("flat{i}")).collect();
        let mut nodes: Vec<(&str, Op)> =
            names.iter().map(|name| (name.as_str(), Op::Flatten)).collect();
        nodes.insert(0, ("conv", Op::Conv(snn_ir::Conv::square(2, 1, 1))));
        crate::tiny::model(
            Form::Events,
            chain(&[1, 2, 2], nodes),
            1,
            [("conv.weight", real(&[2, 1, 1, 1], &[1.0, 2.0]))],
        )
    };
    let bytes = of(10_000).to_bytes().unwrap();
    let begin = Instant::now();
    assert_eq!(Model::from_bytes(&bytes).unwrap().graph().nodes.len(), 10_003);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());

    let model = of(110_000);
    let json = json!({
        "version": 1, "form": {"kind": "events"}, "time_steps": 1,
        "preprocessing": {"mean": [0], "std": [1.0]}, "classes": [],
        "graph": serde_json::to_value(model.graph()).unwrap(),
    });
    assert!(refusal(&pack(&json, model.weights())).contains("at most 100000 nodes, found 110003"));
}

/// A thousand nodes that flatten a large image would need gigabytes of bounds.
#[test]
fn large_images_in_many_nodes_do_not_fill_the_memory() {
    let names: Vec<String> = (0..1000).map(|i| format!("flat{i}")).collect();
    let mut nodes: Vec<(&str, Op)> =
        names.iter().map(|name| (name.as_str(), Op::Flatten)).collect();
    nodes.insert(0, ("conv", Op::Conv(snn_ir::Conv::square(1, 1, 1))));
    let model = crate::tiny::model(
        Form::Events,
        chain(&[1, 4096, 4000], nodes),
        1,
        [("conv.weight", real(&[1, 1, 1, 1], &[1.0]))],
    );
    let error = model.validate().unwrap_err().to_string();
    assert!(error.contains("node `flat1`") && error.contains("channels"), "{error}");
}
