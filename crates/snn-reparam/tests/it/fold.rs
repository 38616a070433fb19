//! Batch norm into the layer before it, for every sign of κ, with and without a bias.

use crate::network::{conv, exact, lif, linear, network, pool, quant, refused, values};
use serde_json::json;
use snn_ir::networks::BuiltIn;
use snn_ir::{
    Code, Conv, Form, Graph, Lif, Model, Norm, Op, PoolKind, Preprocessing, Signature, Tensor,
};
use snn_reparam::{Effect, convert};

const EPS: f64 = 0.25;

fn set(model: &mut Model, name: &str, new: &[f64]) {
    let shape = model.weights()[name].shape().to_vec();
    model.weights_mut().insert(
        name.into(),
        Tensor::F64(ndarray::ArrayD::from_shape_vec(shape, new.to_vec()).unwrap()),
    );
}

/// A norm with κ = 1, −2, 0: √(¾ + ¼) = 1 and √(0 + ¼) = ½.
fn norm(model: &mut Model, name: &str) {
    set(model, &format!("{name}.weight"), &[1.0, -1.0, 0.0]);
    set(model, &format!("{name}.running_var"), &[0.75, 0.0, 0.75]);
    set(model, &format!("{name}.running_mean"), &[0.5, -0.25, 3.0]);
    set(model, &format!("{name}.bias"), &[0.125, 1.0, 1.5]);
}

const KAPPA: [f64; 3] = [1.0, -2.0, 0.0];

/// `b̂ = β + κ·(b − μ)`.
fn bias(b: &[f64]) -> Vec<f64> {
    vec![0.125 + (b[0] - 0.5), 1.0 - 2.0 * (b[1] + 0.25), 1.5]
}

#[test]
fn of_convolutions_with_and_without_bias() {
    for has_bias in [false, true] {
        let mut model = network(|graph| {
            graph.push(
                "c1",
                Op::Conv(Conv { bias: has_bias, ..Conv::square(3, 3, 1) }),
                &["image"],
            );
            graph.push("n1", Op::BatchNorm(Norm::with_eps(EPS)), &["c1"]);
            graph.push("a", quant(7), &["n1"]);
            graph.push("flat", Op::Flatten, &["a"]);
            graph.push("fc", linear(3), &["flat"]);
        });
        norm(&mut model, "n1");
        let events = exact(&model);
        let before = if has_bias { values(&model, "c1.bias") } else { vec![0.0; 3] };
        assert_eq!(values(&events.model, "c1.bias"), bias(&before));
        let std = &model.preprocessing().std;
        let weight = values(&model, "c1.weight");
        // [3, 2, 3, 3]; the deviation of the input is merged as well.
        let expected: Vec<f64> =
            weight.iter().enumerate().map(|(i, w)| KAPPA[i / 18] * w / std[i / 9 % 2]).collect();
        assert_eq!(values(&events.model, "c1.weight"), expected);
        assert!(events.model.graph().node("n1").is_none());
        assert!(events.model.weights().keys().all(|name| !name.starts_with("n1.")));
        let merged = crate::network::lines(&events.plan, Effect::Merged);
        assert_eq!(merged, ["n1: folded into `c1`"]);
    }
}

#[test]
fn of_linear_layers_and_of_groups() {
    for has_bias in [false, true] {
        let mut model = network(|graph| {
            graph.push("flat", Op::Flatten, &["image"]);
            graph.push("fc1", Op::Linear { features: 3, bias: has_bias }, &["flat"]);
            graph.push("n1", Op::BatchNorm(Norm::with_eps(EPS)), &["fc1"]);
            graph.push("a", lif(), &["n1"]);
            graph.push("fc2", linear(3), &["a"]);
            graph.push("n2", Op::BatchNorm(Norm::with_eps(EPS)), &["fc2"]);
        });
        norm(&mut model, "n1");
        norm(&mut model, "n2");
        let events = exact(&model);
        let before = if has_bias { values(&model, "fc1.bias") } else { vec![0.0; 3] };
        assert_eq!(values(&events.model, "fc1.bias"), bias(&before));
        assert_eq!(values(&events.model, "fc2.bias"), bias(&values(&model, "fc2.bias")));
    }
    let mut model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("c2", Op::Conv(Conv { groups: 3, ..Conv::square(3, 3, 1) }), &["a"]);
        graph.push("n2", Op::BatchNorm(Norm::with_eps(EPS)), &["c2"]);
        graph.push("b", quant(4), &["n2"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    norm(&mut model, "n2");
    exact(&model);
}

#[test]
fn two_norms_in_a_row_fold_one_after_the_other() {
    let mut model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("n1", Op::BatchNorm(Norm::with_eps(EPS)), &["c1"]);
        graph.push("n2", Op::BatchNorm(Norm::with_eps(EPS)), &["n1"]);
        graph.push("a", quant(7), &["n2"]);
        graph.push("flat", Op::Flatten, &["a"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    norm(&mut model, "n1");
    norm(&mut model, "n2");
    let events = exact(&model);
    assert_eq!(values(&events.model, "c1.bias"), bias(&bias(&values(&model, "c1.bias"))));
}

/// Networks with `conv → max → max → norm → site`, and one of the norm's κ.
fn after_maxima(scale: bool, kappa: [f64; 3]) -> Model {
    let mut model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("m1", pool(PoolKind::Max, 2, 1, 1), &["c1"]);
        graph.push("m2", pool(PoolKind::Max, 2, 1, 0), &["m1"]);
        graph.push("n1", Op::BatchNorm(Norm { scale, ..Norm::with_eps(EPS) }), &["m2"]);
        graph.push("a", quant(7), &["n1"]);
        graph.push("c2", conv(3, 3), &["a"]);
        graph.push("all", Op::GlobalPool { pool: PoolKind::Max }, &["c2"]);
        graph.push("n2", Op::BatchNorm(Norm { scale: false, ..Norm::with_eps(EPS) }), &["all"]);
        graph.push("b", quant(7), &["n2"]);
        graph.push("fc", linear(3), &["b"]);
    });
    if scale {
        set(&mut model, "n1.weight", &kappa);
    }
    model
}

#[test]
fn norms_fold_through_max_poolings_where_every_factor_is_positive() {
    for scale in [true, false] {
        let model = after_maxima(scale, [1.0, 0.5, 2.0]);
        let events = exact(&model);
        assert!(events.model.graph().nodes.iter().all(|node| node.op.label() != "batch_norm"));
        let merged = crate::network::lines(&events.plan, Effect::Merged);
        let expected = [
            "n1: folded into `c1`, through the max pooling `m2` and `m1` (every κ > 0)",
            "n2: folded into `c2`, through the max pooling `all` (every κ > 0)",
        ];
        assert_eq!(merged, expected);
        // The first layer of a network has the deviation of its input merged too, the second not.
        let kappa = 1.0; // √(¾ + ¼)
        let (before, after) = (values(&model, "c2.bias"), values(&events.model, "c2.bias"));
        let (beta, mean) = (values(&model, "n2.bias"), values(&model, "n2.running_mean"));
        for c in 0..3 {
            let expected: f64 = beta[c] + kappa * (before[c] - mean[c]);
            assert_eq!(after[c].to_bits(), expected.to_bits());
        }
    }
}

/// Where κ is negative the largest input gives the smallest output, and where it is 0 the pass does
/// not ask which is which.
#[test]
fn norms_after_max_poolings_with_other_factors_are_refused_by_name() {
    for (kappa, channel, value) in [([1.0, -0.5, 2.0], 1, "-0.5"), ([0.0, 1.0, 1.0], 0, "0")] {
        let reasons = refused(&after_maxima(true, kappa));
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        let expected = [
            "n1: it follows the max pooling `m2`",
            &format!("of channel {channel} is {value};"),
            "keep the scale γ at 1",
        ];
        assert!(expected.iter().all(|part| reasons[0].contains(part)), "{reasons:?}");
    }
}

#[test]
fn a_pooling_that_others_read_too_keeps_its_norm_outside() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("m1", pool(PoolKind::Max, 2, 2, 0), &["c1"]);
        graph.push("n1", Op::BatchNorm(Norm::without_scale()), &["m1"]);
        graph.push("sum", Op::Add, &["n1", "m1"]);
        graph.push("a", quant(7), &["sum"]);
        graph.push("flat", Op::Flatten, &["a"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let reasons = refused(&model);
    assert!(reasons[0].starts_with("n1: `m1` before it has 2 readers"), "{reasons:?}");
}

/// An average is linear, but its padding is zeros that a norm would turn into its summand.
#[test]
fn a_norm_after_an_average_is_refused() {
    let model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("mean", pool(PoolKind::Average, 2, 2, 1), &["c1"]);
        graph.push("n1", Op::BatchNorm(Norm::without_scale()), &["mean"]);
        graph.push("a", quant(7), &["n1"]);
        graph.push("flat", Op::Flatten, &["a"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    let reasons = refused(&model);
    assert!(reasons[0].starts_with("n1: its input `mean`"), "{reasons:?}");
}

/// Dropout goes first, also where it stands between a layer and its norm, and where several follow
/// each other.
#[test]
fn dropout_is_removed() {
    let body = |dropout: bool| {
        move |graph: &mut Graph| {
            let mut last = "c1".to_string();
            graph.push("c1", conv(3, 3), &["image"]);
            if dropout {
                graph.push("d1", Op::Dropout { rate: 0.5 }, &["c1"]);
                last = graph.push("d2", Op::DropPath { rate: 0.25 }, &["d1"]);
            }
            graph.push("n1", Op::BatchNorm(Norm::with_eps(EPS)), &[&last]);
            last = graph.push("a", quant(7), &["n1"]);
            if dropout {
                last = graph.push("d3", Op::Dropout { rate: 0.5 }, &["a"]);
            }
            graph.push("flat", Op::Flatten, &[&last]);
            graph.push("fc", linear(3), &["flat"]);
        }
    };
    let (with, without) = (network(body(true)), network(body(false)));
    let events = exact(&with);
    assert_eq!(events.model, convert(&without, &Code::Unary.into()).unwrap().model);
    let removed = crate::network::lines(&events.plan, Effect::Removed);
    assert_eq!(removed, ["d1", "d2", "d3"].map(|name| format!("{name}: for training only")));
    assert!(events.plan.summary().contains("3  dropouts removed"), "{}", events.plan.summary());
    // A converted file that has one is refused.
    let mut damaged = events.model.clone();
    damaged.graph_mut().push("d", Op::Dropout { rate: 0.5 }, &["fc"]);
    let last = damaged.graph().nodes.len() - 1;
    damaged.graph_mut().nodes.swap(last - 1, last);
    damaged.graph_mut().nodes[last].inputs = vec!["d".into()];
    let error = damaged.validate().unwrap_err().to_string();
    assert!(error.contains("`d`") && error.contains("dropout is for training"), "{error}");
}

/// The dropout and drop-path of built-in networks go, and what is left is the network without.
#[test]
fn dropout_of_built_in_networks_is_removed() {
    for (kind, keys, dropouts) in [
        ("plif_net", json!({ "width": 4, "hidden": 12, "votes": 2, "dropout": 0.5 }), 2),
        ("vgg11", json!({ "stages": [[4], [4]], "hidden": [6], "dropout": 0.25 }), 2),
        ("qkformer", json!({ "width": 16, "heads": 2, "mlp": 1, "drop_path": 0.1 }), 8),
        ("spike_driven_transformer", json!({ "width": 8, "mlp": 1, "drop_path": 0.1 }), 4),
    ] {
        let model = |rate: Option<f64>| {
            let mut keys = keys.as_object().unwrap().clone();
            if let Some(rate) = rate {
                let key = if keys.contains_key("dropout") { "dropout" } else { "drop_path" };
                keys.insert(key.into(), rate.into());
            }
            let network = BuiltIn::with_keys(kind, keys).unwrap();
            let graph = network.graph([3, 8, 8], 2, &Lif::default());
            let weights = graph.initial_weights(1).unwrap();
            let preprocessing = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
            Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights)
        };
        let with = convert(&model(None), &Code::Unary.into()).unwrap();
        assert_eq!(crate::network::lines(&with.plan, Effect::Removed).len(), dropouts, "{kind}");
        let without = convert(&model(Some(0.0)), &Code::Unary.into()).unwrap();
        assert_eq!(with.model, without.model, "{kind}");
    }
}

/// A norm of a convolution that reads a sum of events: folded first, then split, with the bias
/// once.
#[test]
fn a_norm_before_distribution() {
    let mut model = network(|graph| {
        graph.push("c1", conv(3, 3), &["image"]);
        graph.push("a", quant(4), &["c1"]);
        graph.push("b", lif(), &["c1"]);
        graph.push("sum", Op::Add, &["a", "b"]);
        graph.push("c2", conv(3, 3), &["sum"]);
        graph.push("n2", Op::BatchNorm(Norm::with_eps(EPS)), &["c2"]);
        graph.push("c", lif(), &["n2"]);
        graph.push("flat", Op::Flatten, &["c"]);
        graph.push("fc", linear(3), &["flat"]);
    });
    norm(&mut model, "n2");
    let events = exact(&model);
    assert_eq!(values(&events.model, "c2#1.bias"), bias(&values(&model, "c2.bias")));
    assert!(convert(&events.model, &Code::Unary.into()).is_err());
}
