//! Streams in every unusual place: each either converts to the same function or is refused by name.

use crate::network::{
    act, conv, evaluate, exact, lif, linear, network, pool, quant, refused, values,
};
use snn_ir::{Code, Conv, Leak, Lif, Op, PoolKind, Reset, Site};
use snn_reparam::convert;

const GLOBAL: Op = Op::GlobalPool { pool: PoolKind::Average };

// === Distribution over adds (pass 2) ===

#[test]
fn a_sum_of_events_is_read_by_one_convolution_each_and_the_bias_enters_once() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("c2", conv(3, 1), &["image"]);
        graph.push("b", lif(), &["c2"]);
        graph.push("sum", Op::Add, &["a", "b"]);
        graph.push("c3", conv(2, 3), &["sum"]);
        graph.push("d", lif(), &["c3"]);
        graph.push("flat", Op::Flatten, &["d"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let events = exact(&model);
    assert_eq!(values(&events.model, "c3#1.bias"), values(&model, "c3.bias"));
    assert!(!events.model.weights().contains_key("c3#2.bias"));
    assert!(events.model.graph().node("sum").is_none(), "nothing reads it any more");
    assert!(matches!(events.model.graph().node("c3").unwrap().op, Op::Add));
}

#[test]
fn an_add_of_three_streams() {
    let model = network(|graph| {
        for (name, synapse) in [("a", "c1"), ("b", "c2"), ("c", "c3")] {
            graph.push(synapse, conv(3, 3), &["image"]);
            graph.push(name, quant(3), &[synapse]);
        }
        graph.push("sum", Op::Add, &["a", "b", "c"]);
        graph.push("pool", GLOBAL, &["sum"]);
        graph.push("fc", linear(3), &["pool"]);
    });
    let events = exact(&model);
    assert!(
        ["fc#1.bias", "fc#2.bias", "fc#3.bias"]
            .map(|name| events.model.weights().contains_key(name))
            == [true, false, false]
    );
}

#[test]
fn an_add_of_one_stream_with_itself() {
    // Read by a convolution, by a site and by the head.
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("twice", Op::Add, &["a", "a"]);
        graph.push("c2", conv(3, 3), &["twice"]);
        graph.push("b", lif(), &["c2"]);
        graph.push("again", Op::Add, &["b", "b", "a"]);
        graph.push("c", lif(), &["again"]);
        graph.push("flat", Op::Flatten, &["c"]);
        graph.push("fc", linear(3), &["flat"]);
        graph.push("scores", Op::Add, &["fc", "fc"]);
    }));
}

#[test]
fn adds_of_adds_and_readers_of_every_kind() {
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("c2", conv(3, 3), &["a"]);
        graph.push("b", quant(2), &["c2"]);
        graph.push("sum1", Op::Add, &["a", "b"]);
        graph.push("sum2", Op::Add, &["sum1", "a"]);
        graph.push("site", lif(), &["sum2"]);
        graph.push("average", pool(PoolKind::Average, 2, 2, 1), &["sum2"]);
        graph.push("c3", conv(2, 1), &["average"]);
        graph.push("d", lif(), &["c3"]);
        graph.push("flat1", Op::Flatten, &["site"]);
        graph.push("flat2", Op::Flatten, &["d"]);
        graph.push("flat3", Op::Flatten, &["sum1"]);
        graph.push("fc1", linear(3), &["flat1"]);
        graph.push("fc2", linear(3), &["flat2"]);
        graph.push("fc3", linear(3), &["flat3"]);
        graph.push("scores", Op::Add, &["fc1", "fc2", "fc3"]);
    }));
}

#[test]
fn adds_that_double_streams_without_end_are_refused_in_time() {
    let chain = |depth: usize| {
        network(|graph| {
            graph.push("c1", conv(3, 3), &["image"]);
            let mut last = graph.push("a", quant(4), &["c1"]);
            for i in 0..depth {
                last = graph.push(format!("sum{i}"), Op::Add, &[&last, &last]);
            }
            graph.push("pool", GLOBAL, &[&last]);
            graph.push("fc", linear(3), &["pool"]);
        })
    };
    exact(&chain(3));
    // 2⁶⁰ copies would take longer than any test may: that this ends is the proof.
    let reasons = refused(&chain(60));
    assert!(reasons.len() == 1 && reasons[0].contains("copies"), "{reasons:?}");
}

#[test]
fn long_chains_need_no_deep_stack() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        let mut last = graph.push("a", quant(4), &["c1"]);
        for i in 0..3000 {
            last = graph.push(format!("flat{i}"), Op::Flatten, &[&last]);
        }
        graph.push("fc", linear(3), &[&last]);
    });
    convert(&model, &Code::Unary.into()).unwrap();
}

// === Averages (pass 3) ===

#[test]
fn an_average_with_padding_of_currents_with_a_bias() {
    let events = exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("average", pool(PoolKind::Average, 2, 2, 1), &["c1"]);
        graph.push("a", quant(4), &["average"]);
        graph.push("flat", Op::Flatten, &["a"]);
        graph.push("fc", linear(3), &["flat"]);
    }));
    assert!(matches!(
        events.model.graph().node("average").unwrap().op,
        Op::Pool { pool: PoolKind::Sum, .. }
    ));
}

/// The divisor enters each synapse once, however often its current is read on the way.
#[test]
fn an_average_of_a_current_added_to_itself_divides_once() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("twice", Op::Add, &["c1", "c1"]);
        graph.push("average", pool(PoolKind::Average, 2, 2, 0), &["twice"]);
        graph.push("a", quant(4), &["average"]);
        graph.push("flat", Op::Flatten, &["a"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let events = exact(&model);
    let bias: Vec<f64> = values(&model, "c1.bias").iter().map(|b| b / 4.0).collect();
    assert_eq!(values(&events.model, "c1.bias"), bias);
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("max", pool(PoolKind::Max, 2, 1, 0), &["c1"]);
        graph.push("twice", Op::Concat, &["max", "max"]);
        graph.push("average", GLOBAL, &["twice"]);
        graph.push("a", quant(4), &["average"]);
        graph.push("fc", linear(3), &["a"]);
    }));
}

#[test]
fn averages_of_averages() {
    // Of currents …
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("c2", conv(3, 1), &["image"]);
        graph.push("sum", Op::Add, &["c1", "c2"]);
        graph.push("average1", pool(PoolKind::Average, 2, 1, 1), &["sum"]);
        graph.push("max", pool(PoolKind::Max, 2, 1, 0), &["average1"]);
        graph.push("average2", pool(PoolKind::Average, 2, 2, 0), &["max"]);
        graph.push("a", quant(4), &["average2"]);
        graph.push("flat", Op::Flatten, &["a"]);
        graph.push("fc", linear(3), &["flat"]);
    }));
    // … and of events, read by two synapses and by a sum.
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("average1", pool(PoolKind::Average, 2, 1, 1), &["a"]);
        graph.push("average2", pool(PoolKind::Average, 2, 2, 1), &["average1"]);
        graph.push("c2", conv(3, 3), &["average2"]);
        graph.push("c3", conv(3, 1), &["average2"]);
        graph.push("sum", Op::Add, &["c2", "average2", "c3"]);
        graph.push("b", lif(), &["sum"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(3), &["flat"]);
    }));
}

#[test]
fn averages_of_what_others_read_are_refused() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("average", GLOBAL, &["c1"]);
        graph.push("a", quant(4), &["average"]);
        graph.push("b", quant(4), &["c1"]);
        graph.push("all", GLOBAL, &["b"]);
        graph.push("both", Op::Concat, &["a", "all"]);
        graph.push("fc", linear(3), &["both"]);
    });
    assert!(
        refused(&model)[0]
            .starts_with("average: it averages the current `c1`, which others read too")
    );
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("c2", conv(3, 3), &["a"]);
        graph.push("sum", Op::Add, &["c2", "a"]);
        graph.push("average", GLOBAL, &["sum"]);
        graph.push("b", quant(4), &["average"]);
        graph.push("fc", linear(3), &["b"]);
    });
    assert!(
        refused(&model).iter().any(|reason| reason.starts_with("average: ")),
        "{:?}",
        refused(&model)
    );
}

#[test]
fn an_average_of_scores_before_the_head() {
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("c2", conv(3, 3), &["a"]);
        graph.push("scores", GLOBAL, &["c2"]);
    }));
}

// === Scales (pass 4) ===

#[test]
fn steps_pass_through_pools_flattening_and_concatenation() {
    let model = network(|graph| {
        graph.push("c1", conv(2, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("c2", conv(1, 3), &["image"]);
        graph.push("b", quant(3), &["c2"]);
        graph.push("both", Op::Concat, &["a", "b", "a"]);
        graph.push("max", pool(PoolKind::Max, 2, 1, 0), &["both"]);
        graph.push("average", pool(PoolKind::Average, 2, 1, 0), &["max"]);
        graph.push("flat", Op::Flatten, &["average"]);
        graph.push("fc", linear(2), &["flat"]);
    });
    let events = exact(&model);
    let (a, b) = (values(&model, "a.step"), values(&model, "b.step"));
    let factors = [a[0], a[1], b[0], a[0], a[1]];
    let before = values(&model, "fc.weight");
    // 5 channels of 2×2 values, divided by 4.
    let expected: Vec<f64> =
        before.iter().enumerate().map(|(i, w)| w * factors[i % 20 / 4] / 4.0).collect();
    assert_eq!(values(&events.model, "fc.weight"), expected);
    assert_eq!(values(&events.model, "fc.bias"), values(&model, "fc.bias"));
}

#[test]
fn a_grouped_convolution_after_steps_of_channels() {
    let model = network(|graph| {
        graph.push("c1", conv(4, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("c2", Op::Conv(Conv { groups: 2, ..Conv::square(6, 3, 2) }), &["a"]);
        graph.push("b", lif(), &["c2"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let events = exact(&model);
    let (steps, before) = (values(&model, "a.step"), values(&model, "c2.weight"));
    // [6, 2, 3, 3]: outputs 0 to 2 read channels 0 and 1, outputs 3 to 5 channels 2 and 3.
    let expected: Vec<f64> =
        before.iter().enumerate().map(|(i, w)| w * steps[i / 54 * 2 + i / 9 % 2]).collect();
    assert_eq!(values(&events.model, "c2.weight"), expected);
}

#[test]
fn sums_and_maxima_of_pixels() {
    for kind in [PoolKind::Sum, PoolKind::Max, PoolKind::Average] {
        let events = exact(&network(|graph| {
            graph.push("pooled", pool(kind, 2, 2, 1), &["image"]);
            graph.push("c1", conv(3, 1), &["pooled"]);
            graph.push("a", quant(4), &["c1"]);
            graph.push("flat", Op::Flatten, &["a"]);
            graph.push("fc", linear(3), &["flat"]);
        }));
        assert_eq!(events.model.preprocessing().std, [1.0; 2]);
    }
}

#[test]
fn sites_directly_on_the_image() {
    let events = exact(&network(|graph| {
        graph.push("a", quant(4), &["image"]);
        graph.push("b", lif(), &["image"]);
        graph.push("sum", Op::Add, &["a", "image"]);
        graph.push("c", lif(), &["sum"]);
        graph.push("d", lif(), &["c"]);
        graph.push("all", Op::Concat, &["a", "b", "d"]);
        graph.push("flat", Op::Flatten, &["all"]);
        graph.push("fc", linear(3), &["flat"]);
    }));
    assert_eq!(
        values(&events.model, "a.identity.weight"),
        [1.0 / 32.0, 1.0 / 64.0],
        "the deviation of the input"
    );
}

#[test]
fn a_head_that_reads_events() {
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("pool", GLOBAL, &["c1"]);
        graph.push("a", quant(15), &["pool"]);
    }));
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(15), &["c1"]);
        graph.push("average", GLOBAL, &["a"]);
    }));
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(15), &["c1"]);
        graph.push("b", lif(), &["c1"]);
        graph.push("sum", Op::Add, &["a", "b"]);
        graph.push("average", GLOBAL, &["sum"]);
    }));
}

#[test]
fn one_to_one_synapses_in_trained_graphs() {
    let mut model = network(|graph| {
        graph.push("s1", Op::Scale, &["image"]);
        graph.push("a", quant(4), &["s1"]);
        graph.push("s2", Op::Scale, &["a"]);
        graph.push("average", pool(PoolKind::Average, 2, 1, 0), &["s2"]);
        graph.push("b", lif(), &["average"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    for (name, weights) in [("s1.weight", [0.5, -2.0]), ("s2.weight", [1.5, 0.25])] {
        model
            .weights_mut()
            .insert(name.into(), snn_ir::Tensor::F64(ndarray::arr1(&weights).into_dyn()));
    }
    exact(&model);
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("s1", Op::Scale, &["c1"]);
        graph.push("a", quant(4), &["s1"]);
        graph.push("flat", Op::Flatten, &["a"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    assert!(
        refused(&model)[0].starts_with("s1: it reads `c1`, a current"),
        "{:?}",
        refused(&model)
    );
}

#[test]
fn concatenations_of_different_kinds_are_refused_by_name() {
    let with = |other: &'static str| {
        network(|graph| {
            graph.push("c1", conv(3, 3), &["image"]);
            graph.push("c2", conv(3, 1), &["image"]);
            graph.push("a", quant(4), &["c1"]);
            graph.push("both", Op::Concat, &["a", other]);
            graph.push("c3", conv(3, 3), &["both"]);
            graph.push("b", lif(), &["c3"]);
            graph.push("rest", lif(), &["c2"]);
            graph.push("all", Op::Concat, &["b", "rest"]);
            graph.push("flat", Op::Flatten, &["all"]);
            graph.push("fc", linear(3), &["flat"]);
        })
    };
    for other in ["image", "c2"] {
        let reasons = refused(&with(other));
        assert!(reasons[0].starts_with("both: it joins streams of different kinds"), "{reasons:?}");
    }
}

#[test]
fn currents_are_flattened_concatenated_and_pooled_before_a_site() {
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("c2", conv(2, 1), &["image"]);
        graph.push("both", Op::Concat, &["c1", "c2", "c1"]);
        graph.push("max", pool(PoolKind::Max, 3, 2, 1), &["both"]);
        graph.push("sum", pool(PoolKind::Sum, 2, 2, 1), &["max"]);
        graph.push("flat", Op::Flatten, &["sum"]);
        graph.push("a", quant(7), &["flat"]);
        graph.push("fc", linear(3), &["a"]);
    }));
}

#[test]
fn a_current_that_two_sites_and_a_sum_read() {
    exact(&network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", lif(), &["c1"]);
        graph.push("b", quant(4), &["c1"]);
        graph.push("c2", conv(3, 3), &["a"]);
        graph.push("c3", conv(3, 3), &["b"]);
        graph.push("stream", Op::Add, &["c1", "c2", "c3", "b"]);
        graph.push("c", lif(), &["stream"]);
        graph.push("flat", Op::Flatten, &["c"]);
        graph.push("fc", linear(3), &["flat"]);
    }));
}

// === Sites ===

#[test]
fn every_plif_gets_its_own_leak() {
    let plif = || act(Site::Lif(Lif { leak: Leak::Learned { initial: 0.5 }, ..Lif::default() }));
    let mut model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", plif(), &["c1"]);
        graph.push("c2", conv(3, 3), &["a"]);
        graph.push("b", plif(), &["c2"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    for (name, weight) in [("a.leak", 0.75), ("b.leak", -1.5)] {
        model
            .weights_mut()
            .insert(name.into(), snn_ir::Tensor::F64(ndarray::arr1(&[weight]).into_dyn()));
    }
    let events = exact(&model);
    for (name, weight) in [("a", 0.75_f64), ("b", -1.5)] {
        let Op::Activation { site: Site::Lif(lif), .. } =
            &events.model.graph().node(name).unwrap().op
        else {
            panic!("a LIF site")
        };
        assert_eq!(lif.leak, Leak::Factor { factor: 1.0 / (1.0 + (-weight).exp()) });
        assert!(!events.model.weights().contains_key(&format!("{name}.leak")));
    }
}

#[test]
fn resets_to_a_potential_and_soft_resets() {
    for reset in [Reset::Hard { potential: -0.5 }, Reset::Hard { potential: 0.25 }, Reset::Soft] {
        exact(&network(|graph| {
            let neuron = |threshold: f64| {
                act(Site::Lif(Lif { reset, threshold: threshold.into(), ..Lif::default() }))
            };
            graph.push("c1", conv(3, 3), &["image"]);
            graph.push("a", neuron(1.0), &["c1"]);
            graph.push("c2", conv(3, 3), &["a"]);
            graph.push("b", neuron(0.5), &["c2"]);
            graph.push("flat", Op::Flatten, &["b"]);
            graph.push("fc", linear(3), &["flat"]);
        }));
    }
}

#[test]
fn an_unquantised_relu_keeps_its_values() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", act(Site::RELU), &["c1"]);
        graph.push("average", pool(PoolKind::Average, 2, 1, 0), &["a"]);
        graph.push("c2", conv(2, 3), &["average"]);
        graph.push("b", lif(), &["c2"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let events = convert(&model, &Code::Graded.into()).unwrap();
    let (before, after) = (evaluate(&model), evaluate(&events.model));
    assert_eq!((before.logits, before.sites), (after.logits, after.sites));
}
