//! Masks through conversion: sums that are masked, scales that pass, and what is refused.

use crate::network::{act, conv, exact, lif, linear, network, pool, quant, refused, values};
use snn_ir::{Lif, Op, PoolKind, Site, Spike};
use snn_reparam::Action;

const MASK: Op = Op::Mask { inverted: false };
const INVERTED: Op = Op::Mask { inverted: true };

/// Spikes of so many channels, and levels of three with a step each.
fn spikes_and_levels(graph: &mut snn_ir::Graph, channels: usize) {
    graph.push("c1", conv(channels, 3), &["image"]);
    graph.push("m", lif(), &["c1"]);
    graph.push("c2", conv(3, 3), &["image"]);
    graph.push("x", quant(4), &["c2"]);
}

#[test]
fn masks_of_every_shape_keep_every_level() {
    for (channels, whole, op) in [
        (3, false, MASK),
        (3, false, INVERTED),
        (1, false, MASK),
        (1, false, INVERTED),
        (3, true, MASK),
        (1, true, INVERTED),
    ] {
        exact(&network(|graph| {
            spikes_and_levels(graph, channels);
            let mut mask = "m".to_string();
            if whole {
                let sum = Op::GlobalPool { pool: PoolKind::Sum };
                graph.push("sum", sum, &["m"]);
                let at_least = Lif { threshold: 5.0.into(), ..Lif::default() };
                mask = graph.push("many", act(Site::Lif(at_least)), &["sum"]);
            }
            graph.push("y", op.clone(), &[&mask, "x"]);
            graph.push("c3", conv(2, 3), &["y"]);
            graph.push("z", lif(), &["c3"]);
            graph.push("flat", Op::Flatten, &["z"]);
            graph.push("fc", linear(3), &["flat"]);
        }));
    }
}

#[test]
fn the_scale_of_what_is_masked_passes() {
    let model = network(|graph| {
        spikes_and_levels(graph, 3);
        graph.push("y", MASK, &["m", "x"]);
        graph.push("c3", conv(2, 3), &["y"]);
        graph.push("z", lif(), &["c3"]);
        graph.push("flat", Op::Flatten, &["z"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let events = exact(&model);
    let (steps, before) = (values(&model, "x.step"), values(&model, "c3.weight"));
    let expected: Vec<f64> = before.iter().enumerate().map(|(i, w)| w * steps[i / 9 % 3]).collect();
    assert_eq!(values(&events.model, "c3.weight"), expected);
    let entry = events.plan.entries.iter().find(|entry| entry.node == "y").unwrap();
    assert_eq!((entry.op.as_str(), &entry.action), ("mask", &Action::MasksLevels));
}

/// `m·(a + b) = m·a + m·b`, and `(1 − m)·(a + b)` likewise: each stream is masked by the same
/// spikes.
#[test]
fn a_mask_of_a_sum_masks_each_stream() {
    for op in [MASK, INVERTED] {
        let events = exact(&network(|graph| {
            spikes_and_levels(graph, 1);
            graph.push("c3", conv(3, 1), &["image"]);
            graph.push("b", lif(), &["c3"]);
            graph.push("sum", Op::Add, &["x", "b"]);
            graph.push("y", op.clone(), &["m", "sum"]);
            graph.push("average", pool(PoolKind::Average, 2, 1, 0), &["y"]);
            graph.push("c4", conv(2, 3), &["average"]);
            graph.push("z", lif(), &["c4"]);
            graph.push("site", lif(), &["y"]);
            graph.push("flat", Op::Flatten, &["z"]);
            graph.push("flat2", Op::Flatten, &["site"]);
            graph.push("both", Op::Concat, &["flat", "flat2"]);
            graph.push("fc", linear(3), &["both"]);
        }));
        for (name, stream) in [("y#1", "x"), ("y#2", "b")] {
            let node = events.model.graph().node(name).unwrap();
            assert_eq!((&node.op, &node.inputs[..]), (&op, &["m".into(), stream.into()][..]));
        }
        assert!(events.model.graph().node("sum").is_none());
    }
}

#[test]
fn a_masked_stream_goes_wherever_events_go() {
    exact(&network(|graph| {
        spikes_and_levels(graph, 3);
        let ternary = Site::Lif(Lif { spike: Spike::Ternary, ..Lif::default() });
        graph.push("c3", conv(3, 3), &["image"]);
        graph.push("t", act(ternary), &["c3"]);
        graph.push("y", MASK, &["m", "x"]);
        graph.push("yt", INVERTED, &["m", "t"]);
        graph.push("site", lif(), &["y"]);
        graph.push("max", pool(PoolKind::Max, 2, 2, 1), &["yt"]);
        graph.push("sum", pool(PoolKind::Sum, 2, 1, 0), &["y"]);
        graph.push("c4", conv(2, 2), &["sum"]);
        graph.push("d", lif(), &["c4"]);
        graph.push("c5", conv(3, 3), &["yt"]);
        graph.push("shortcut", Op::Add, &["c5", "y"]);
        graph.push("e", quant(3), &["shortcut"]);
        graph.push("again", MASK, &["m", "e"]);
        let ends = ["site", "max", "d", "again"];
        let flat = ends.map(|end| graph.push(format!("{end}.flat"), Op::Flatten, &[end]));
        graph.push("all", Op::Concat, &flat.each_ref().map(String::as_str));
        graph.push("fc", linear(3), &["all"]);
    }));
}

#[test]
fn masks_of_currents_and_pixels_are_refused_by_name() {
    for (masked, shape) in [("c1", 3), ("image", 2)] {
        let model = network(|graph| {
            spikes_and_levels(graph, 1);
            graph.push("y", MASK, &["m", masked]);
            graph.push("c3", conv(shape, 3), &["y"]);
            graph.push("z", lif(), &["c3"]);
            graph.push("both", Op::Concat, &["z", "x"]);
            graph.push("flat", Op::Flatten, &["both"]);
            graph.push("fc", linear(3), &["flat"]);
        });
        let reasons = refused(&model);
        let expected = format!("y: it masks `{masked}`, which is not spikes");
        assert!(reasons[0].starts_with(&expected), "{reasons:?}");
        assert!(reasons[0].contains("activation site before its second input"), "{reasons:?}");
    }
}
