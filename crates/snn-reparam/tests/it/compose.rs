//! Layers that read currents, composed with those below them; and channel sums.

use crate::network::{act, conv, exact, lif, linear, network, pool, quant, refused, values};
use snn_ir::{BATCH_NORM_EPS, Conv, Graph, Lif, Norm, Op, PoolKind, Site};
use snn_reparam::Action;

/// A convolution of one position.
fn point(channels: usize, stride: [usize; 2], groups: usize) -> Op {
    let stride = stride.to_vec();
    Op::Conv(Conv { stride, groups, bias: true, ..Conv::square(channels, 1, 1) })
}

fn norm() -> Op {
    Op::BatchNorm(Norm { eps: BATCH_NORM_EPS, ..Norm::default() })
}

/// `image → stem → … → site → linear`, where a body works on currents of four channels.
fn on_currents(body: impl FnOnce(&mut Graph) -> String) -> snn_ir::Model {
    network(|graph| {
        graph.push("stem", conv(4, 3), &["image"]);
        let last = body(graph);
        graph.push("end", lif(), &[&last]);
        graph.push("flat", Op::Flatten, &["end"]);
        graph.push("fc", linear(3), &["flat"]);
    })
}

/// The composed layer has the kernel of the inner one, the product of the strides, and
/// `W₁ₓ₁·(W_k e + b) + b₁`: by hand, and by the naive evaluator.
#[test]
fn a_point_convolution_of_a_current_has_the_kernel_of_the_layer_below() {
    let model = network(|graph| {
        let inner =
            Conv { stride: vec![1, 2], bias: true, padding: vec![1, 0], ..Conv::square(3, 3, 1) };
        graph.push("a", quant(3), &["image"]);
        graph.push("inner", Op::Conv(inner), &["a"]);
        graph.push("outer", point(2, [2, 1], 1), &["inner"]);
        graph.push("b", lif(), &["outer"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let events = exact(&model);
    let Op::Conv(conv) = &events.model.graph().node("outer").unwrap().op else { panic!("a conv") };
    assert_eq!((&conv.kernel[..], &conv.stride[..]), (&[3, 3][..], &[2, 2][..]));
    assert_eq!((&conv.padding[..], conv.bias), (&[1, 0][..], true));
    assert!(events.model.graph().node("inner").is_none(), "nothing else reads it");
    let (w, inner) = (values(&model, "outer.weight"), values(&model, "inner.weight"));
    let (b, own) = (values(&model, "inner.bias"), values(&model, "outer.bias"));
    let steps = values(&model, "a.step");
    let expected: Vec<f64> = (0..2 * 2 * 9)
        .map(|i| {
            let (o, rest) = (i / 18, i % 18);
            (0..3).map(|m| w[o * 3 + m] * inner[m * 18 + rest]).sum::<f64>() * steps[rest / 9]
        })
        .collect();
    assert_eq!(values(&events.model, "outer.weight"), expected);
    let expected: Vec<f64> =
        (0..2).map(|o| own[o] + (0..3).map(|m| w[o * 3 + m] * b[m]).sum::<f64>()).collect();
    assert_eq!(values(&events.model, "outer.bias"), expected);
    let action = |name: &str| {
        let entry = events.plan.entries.iter().find(|entry| entry.node == name).unwrap();
        entry.action.clone()
    };
    assert_eq!(action("outer"), Action::Composed { input: "inner".into(), streams: 1 });
    assert_eq!(action("inner"), Action::ComposedAway);
}

/// Strides that differ between the axes and between inner and outer layer, groups that do and do
/// not match, norms on both, and other readers of the current.
#[test]
fn strides_groups_and_norms_of_both_layers() {
    for (stride, groups, inner_groups) in
        [([1, 1], 1, 1), ([2, 1], 2, 1), ([1, 2], 1, 2), ([2, 2], 2, 2), ([3, 2], 4, 2)]
    {
        let events = exact(&network(|graph| {
            graph.push("c0", conv(4, 3), &["image"]);
            graph.push("a", quant(3), &["c0"]);
            let inner = Conv { groups: inner_groups, ..Conv::square(4, 3, 1) };
            graph.push("inner", Op::Conv(inner), &["a"]);
            graph.push("inner.norm", norm(), &["inner"]);
            graph.push("outer", point(4, stride, groups), &["inner.norm"]);
            graph.push("outer.norm", norm(), &["outer"]);
            graph.push("b", lif(), &["outer.norm"]);
            graph.push("c", quant(4), &["inner.norm"]);
            graph.push("b.flat", Op::Flatten, &["b"]);
            graph.push("c.flat", Op::Flatten, &["c"]);
            graph.push("all", Op::Concat, &["b.flat", "c.flat"]);
            graph.push("fc", linear(3), &["all"]);
        }));
        let graph = events.model.graph();
        assert!(graph.node("inner").is_some(), "it stays for its other reader");
        let Op::Conv(conv) = &graph.node("outer").unwrap().op else { panic!("a conv") };
        assert_eq!(conv.groups, if groups == 4 { 2 } else { groups.min(inner_groups) });
    }
}

/// A stage of MS-ResNet and the next: currents, events and an earlier composed shortcut in one sum.
#[test]
fn shortcuts_of_streams_that_contain_shortcuts() {
    let block = |graph: &mut Graph, name: &str, from: &str, channels: usize, stride: usize| {
        let at = |part: &str| format!("{name}.{part}");
        graph.push(at("act"), lif(), &[from]);
        let branch = Conv { bias: false, ..Conv::square(channels, 3, stride) };
        graph.push(at("conv"), Op::Conv(branch), &[&at("act")]);
        graph.push(at("bn"), norm(), &[&at("conv")]);
        graph.push(at("short"), point(channels, [stride; 2], 1), &[from]);
        graph.push(at("short.bn"), norm(), &[&at("short")]);
        graph.push(at("add"), Op::Add, &[&at("bn"), &at("short.bn")])
    };
    let events = exact(&on_currents(|graph| {
        graph.push("a", quant(3), &["stem"]);
        graph.push("sum", Op::Add, &["stem", "a"]);
        let first = block(graph, "one", "sum", 3, 2);
        block(graph, "two", &first, 2, 1)
    }));
    // The stem and the events; then the branch and both of those.
    let inputs = |name: &str| events.model.graph().node(name).unwrap().inputs.clone();
    assert_eq!(inputs("one.short"), ["one.short#1", "one.short#2"]);
    assert_eq!(inputs("two.short"), ["two.short#1", "two.short#2", "two.short#3"]);
    assert_eq!(inputs("two.short#1"), ["one.act"]);
    assert_eq!(inputs("two.short#2"), ["image"]);
    assert_eq!(inputs("two.short#3"), ["a"]);
    let text = events.plan.to_string();
    assert!(text.contains("composed with each of the 3 streams that `one.add` sums"), "{text}");
}

#[test]
fn linear_layers_of_currents_compose_too() {
    let events = exact(&network(|graph| {
        graph.push("flat", Op::Flatten, &["image"]);
        graph.push("a", quant(5), &["flat"]);
        graph.push("fc1", linear(6), &["a"]);
        graph.push("b", lif(), &["fc1"]);
        graph.push("fc2", linear(6), &["b"]);
        graph.push("sum", Op::Add, &["fc1", "fc2"]);
        graph.push("fc3", linear(3), &["sum"]);
    }));
    assert_eq!(events.model.graph().node("fc3").unwrap().inputs, ["fc3#1", "fc3#2"]);
    assert_eq!(events.model.graph().node("fc3#1").unwrap().inputs, ["a"]);
}

/// With padding or a kernel of more than one position the zeros outside stand for the bias of the
/// layer below too, so that composing would err at the borders.
#[test]
fn what_has_a_border_is_refused_by_name() {
    let padded = Conv { padding: vec![1, 1], ..Conv::square(4, 1, 1) };
    let sided = Conv { padding: vec![0, 0, 1, 0], ..Conv::square(4, 1, 1) };
    for outer in [padded, sided, Conv::square(4, 3, 1), Conv::square(4, 2, 1)] {
        let outer = Conv { bias: true, ..outer };
        let reasons =
            refused(&on_currents(|graph| graph.push("outer", Op::Conv(outer.clone()), &["stem"])));
        assert!(reasons[0].starts_with("outer: it reads `stem`, a current"), "{reasons:?}");
    }
}

#[test]
fn what_stands_between_is_named() {
    for (op, label) in [
        (pool(PoolKind::Max, 2, 1, 0), "max_pool"),
        (pool(PoolKind::Average, 2, 1, 0), "average_pool"),
        (Op::Flatten, "flatten"),
    ] {
        let reasons = refused(&network(|graph| {
            graph.push("stem", conv(4, 3), &["image"]);
            graph.push("between", op.clone(), &["stem"]);
            let outer = if op == Op::Flatten { linear(4) } else { point(4, [1; 2], 1) };
            graph.push("outer", outer, &["between"]);
            graph.push("b", lif(), &["outer"]);
            if op != Op::Flatten {
                graph.push("flat", Op::Flatten, &["b"]);
            }
            graph.push("fc", linear(3), &[if op == Op::Flatten { "b" } else { "flat" }]);
        }));
        let expected = format!("through `between` ({label})");
        assert!(
            reasons[0].starts_with("outer: it reads `between`, a current")
                && reasons[0].contains(&expected),
            "{reasons:?}"
        );
    }
}

#[test]
fn sums_that_double_without_end_are_refused_in_time() {
    let model = on_currents(|graph| {
        let mut last = "stem".to_string();
        for i in 0..40 {
            last = graph.push(format!("sum{i}"), Op::Add, &[&last, &last]);
        }
        graph.push("outer", point(4, [1; 2], 1), &[&last])
    });
    let reasons = refused(&model);
    assert!(reasons[0].starts_with("outer: ") && reasons[0].contains("over 4096"), "{reasons:?}");
}

// === Channel sums ===

/// Spikes counted for each head, read by a site as they are, averaged, and normed.
#[test]
fn channel_sums_become_convolutions_of_ones() {
    for groups in [1, 2, 4] {
        let events = exact(&network(|graph| {
            graph.push("c", conv(4, 3), &["image"]);
            graph.push("a", quant(3), &["c"]);
            graph.push("sum", Op::ChannelSum { groups }, &["a"]);
            graph.push(
                "m",
                act(Site::Lif(Lif { threshold: 2.0.into(), ..Lif::default() })),
                &["sum"],
            );
            graph.push("y", Op::Mask { inverted: false }, &["m", "a"]);
            graph.push("normed", Op::ChannelSum { groups }, &["y"]);
            graph.push("norm", norm(), &["normed"]);
            graph.push("b", lif(), &["norm"]);
            graph.push("flat", Op::Flatten, &["b"]);
            graph.push("fc", linear(3), &["flat"]);
        }));
        let (steps, each) = (values(&events.model, "a.step"), 4 / groups);
        // The step of each channel, merged: `[groups, each, 1, 1]` is the channels in order.
        assert_eq!(values(&events.model, "sum.weight"), steps);
        let Op::Conv(conv) = &events.model.graph().node("sum").unwrap().op else {
            panic!("a conv")
        };
        assert_eq!((conv.groups, conv.channels), (groups, groups));
        let weight = &events.model.weights()["sum.weight"];
        assert_eq!(weight.shape(), [groups, each, 1, 1]);
    }
}

#[test]
fn channel_sums_of_vectors_and_of_currents() {
    for groups in [1, 2] {
        exact(&network(|graph| {
            graph.push("flat", Op::Flatten, &["image"]);
            graph.push("a", quant(5), &["flat"]);
            graph.push("sum", Op::ChannelSum { groups }, &["a"]);
            graph.push("b", lif(), &["sum"]);
            graph.push("fc1", linear(4), &["a"]);
            graph.push("sum2", Op::ChannelSum { groups }, &["fc1"]);
            graph.push("c", lif(), &["sum2"]);
            graph.push("all", Op::Concat, &["b", "c"]);
            graph.push("fc", linear(3), &["all"]);
        }));
    }
}

/// Sums and averages over positions that a site reads as they are get a one-to-one synapse.
#[test]
fn sums_over_positions_before_a_site() {
    for kind in [PoolKind::Sum, PoolKind::Average] {
        let events = exact(&network(|graph| {
            graph.push("c", conv(4, 3), &["image"]);
            graph.push("a", quant(3), &["c"]);
            graph.push("sum", Op::GlobalPool { pool: kind }, &["a"]);
            let threshold = if kind == PoolKind::Sum { 4.0 } else { 0.25 };
            graph.push(
                "m",
                act(Site::Lif(Lif { threshold: threshold.into(), ..Lif::default() })),
                &["sum"],
            );
            graph.push("y", Op::Mask { inverted: true }, &["m", "a"]);
            graph.push("c2", conv(2, 3), &["y"]);
            graph.push("b", quant(4), &["c2"]);
            graph.push("flat", Op::Flatten, &["b"]);
            graph.push("fc", linear(3), &["flat"]);
        }));
        let divisor = if kind == PoolKind::Sum { 1.0 } else { 16.0 };
        let expected: Vec<f64> =
            values(&events.model, "a.step").iter().map(|step| step / divisor).collect();
        assert_eq!(values(&events.model, "m.identity.weight"), expected);
    }
}
