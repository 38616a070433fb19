//! Initial weights: their laws, and that a seed is all they depend on.

use crate::tiny::{chain, site};
use snn_ir::logistic;
use snn_ir::networks::{ResNet, SmallNet};
use snn_ir::{
    Conv, GraphBuilder, InitialWeights, Leak, Lif, Norm, Op, PoolKind, QuantRelu, Share, Site,
    Tensor, Weights,
};

fn values(weights: &Weights, name: &str) -> Vec<f64> {
    weights[name].to_f64().iter().copied().collect()
}

/// Mean, deviation and kurtosis (3 for a normal, 9/5 for a uniform law).
fn moments(values: &[f64]) -> (f64, f64, f64) {
    let mean_of =
        |f: &dyn Fn(f64) -> f64| values.iter().map(|v| f(*v)).sum::<f64>() / values.len() as f64;
    let mean = mean_of(&|v| v);
    let variance = mean_of(&|v| (v - mean).powi(2));
    (mean, variance.sqrt(), mean_of(&|v| (v - mean).powi(4)) / variance.powi(2))
}

#[test]
fn convolutions_are_normal_with_the_fan_out_of_he() {
    for groups in [1, 4] {
        let conv = Conv { groups, ..Conv::square(64, 3, 1) };
        let graph = chain(&[64, 4, 4], vec![("conv", Op::Conv(conv)), ("flat", Op::Flatten)]);
        let values = values(&graph.initial_weights(3).unwrap(), "conv.weight");
        let (mean, deviation, kurtosis) = moments(&values);
        let expected = (2.0 / (9.0 * 64.0 / groups as f64)).sqrt();
        let standard_error = 1.0 / (values.len() as f64).sqrt();
        assert!(mean.abs() < 4.0 * expected * standard_error, "{mean}");
        assert!(
            (deviation / expected - 1.0).abs() < 4.0 * standard_error,
            "{deviation} {expected}"
        );
        assert!((kurtosis - 3.0).abs() < 4.0 * 24.0_f64.sqrt() * standard_error, "{kurtosis}");
    }
}

#[test]
fn linear_layers_and_biases_are_uniform_in_their_fan_in() {
    let conv = Conv { bias: true, ..Conv::square(500, 3, 1) };
    let graph = chain(
        &[4, 3, 3],
        vec![
            ("conv", Op::Conv(conv)),
            ("pool", Op::GlobalPool { pool: PoolKind::Max }),
            ("fc", Op::Linear { features: 400, bias: true }),
        ],
    );
    let weights = graph.initial_weights(3).unwrap();
    for (name, fan_in) in [("fc.weight", 500.0_f64), ("fc.bias", 500.0), ("conv.bias", 36.0)] {
        let values = values(&weights, name);
        let bound = 1.0 / fan_in.sqrt();
        let (mean, deviation, kurtosis) = moments(&values);
        let standard_error = 1.0 / (values.len() as f64).sqrt();
        assert!(values.iter().all(|v| v.abs() <= bound * (1.0 + 1e-6)), "{name}");
        assert!(mean.abs() < 4.0 * bound * standard_error, "{name} {mean}");
        assert!(
            (deviation * 3.0_f64.sqrt() / bound - 1.0).abs() < 4.0 * standard_error,
            "{name} {deviation}"
        );
        assert!((kurtosis - 1.8).abs() < 8.0 * standard_error, "{name} {kurtosis}");
    }
}

#[test]
fn norms_steps_leaks_and_scales_start_where_they_should() {
    let quant = |share, step| site(Site::QuantRelu(QuantRelu { levels: 7, step, share }));
    let plif = |initial| site(Site::Lif(Lif { leak: Leak::Learned { initial }, ..Lif::default() }));
    let graph = chain(
        &[3],
        vec![
            ("scale", Op::Scale),
            ("norm", Op::BatchNorm(Norm::default())),
            ("layer", quant(Share::Layer, 0.3)),
            ("channel", quant(Share::Channel, 0.6)),
            ("slow", plif(0.9)),
            ("half", plif(0.5)),
            ("fast", plif(1e-6)),
            ("fixed", site(Site::Lif(Lif::default()))),
        ],
    );
    let weights = graph.initial_weights(1).unwrap();
    let of = |name: &str| values(&weights, name);
    for name in ["scale.weight", "norm.weight", "norm.running_var"] {
        assert_eq!(of(name), [1.0; 3], "{name}");
    }
    for name in ["norm.bias", "norm.running_mean"] {
        assert_eq!(of(name), [0.0; 3], "{name}");
    }
    assert_eq!(of("layer.step"), [f64::from(0.3_f32)]);
    assert_eq!(of("channel.step"), [f64::from(0.6_f32); 3]);
    for (name, initial) in [("slow.leak", 0.9), ("half.leak", 0.5), ("fast.leak", 1e-6)] {
        let factor = logistic(of(name)[0]);
        assert!((factor / initial - 1.0).abs() < 1e-5, "{name}: {factor}");
    }
    assert_eq!(of("half.leak"), [0.0]);
    assert!(!weights.contains_key("fixed.leak"));
    assert!(weights.values().all(|tensor| matches!(tensor, Tensor::F32(_))));
}

#[test]
fn a_seed_decides_everything() {
    let graph = SmallNet { width: 4, ..SmallNet::default() }.build();
    let weights = graph.initial_weights(11).unwrap();
    assert_eq!(weights, graph.initial_weights(11).unwrap());
    assert_ne!(weights, graph.initial_weights(12).unwrap());
    assert_ne!(
        weights["block1.conv1.weight"], weights["block1.conv2.weight"],
        "layers are drawn apart"
    );
    // Drawn once and written down: a change of the generator or of the laws is a change of every
    // recorded run.
    let first: Vec<f64> = values(&weights, "stem.conv.weight").into_iter().take(3).collect();
    assert!(
        first.iter().zip(RECORDED).all(|(found, recorded)| (found - recorded).abs() < 1e-6),
        "{first:?}"
    );
}

/// The first weights of seed 11.
const RECORDED: [f64; 3] = [0.186_653_48, -0.223_219_454, 0.109_857_723];

#[test]
fn every_initial_model_is_valid() {
    for graph in [
        SmallNet::default().build(),
        ResNet { blocks: vec![1, 1], width: 4, ..ResNet::default() }.build(),
    ] {
        let weights = graph.initial_weights(0).unwrap();
        let preprocessing = snn_ir::Preprocessing::new(vec![128; 3], vec![64.0; 3]);
        let classes = Vec::new();
        snn_ir::Model::new(
            snn_ir::Signature::new(snn_ir::Form::Trained, graph, 1, preprocessing)
                .with_classes(classes),
            weights,
        )
        .validate()
        .unwrap();
    }
    let error = crate::tiny::grid_model().graph().initial_weights(0).unwrap_err().to_string();
    assert!(error.contains("code after conversion"), "{error}");
}

/// A convolution and a linear layer that begin as said; the convolution has a bias.
fn begins(conv: Conv, initial: InitialWeights, linear: InitialWeights) -> snn_ir::Result<Weights> {
    let mut net = GraphBuilder::new([4, 6, 6]);
    net.conv("conv", Conv { bias: true, ..conv }).initial(initial).site("act");
    net.global_pool("pool", PoolKind::Max).linear("fc", 4).initial(linear);
    net.build()?.initial_weights(5)
}

#[test]
fn dirac_filters_pass_their_channel_on_and_the_others_are_kaiming_uniform() {
    for (conv, groups) in [
        (Conv::square(6, 3, 1), 1),
        (Conv::square(3, 3, 1), 1),
        (Conv::square(8, 2, 1), 1),
        (Conv { groups: 2, ..Conv::square(6, 3, 1) }, 2),
    ] {
        let weights = begins(conv.clone(), InitialWeights::Dirac, InitialWeights::Dirac).unwrap();
        let weight = weights["conv.weight"].to_f64();
        let (inputs, each, centre) = (4 / groups, conv.channels / groups, conv.kernel[0] / 2);
        let bound = 1.0 / ((inputs * conv.kernel[0] * conv.kernel[0]) as f64).sqrt();
        for ((output, input, row, column), &value) in
            weight.view().into_dimensionality::<ndarray::Ix4>().unwrap().indexed_iter()
        {
            let passes = output % each < inputs;
            let centred = row == centre && column == centre && input == output % each;
            if passes {
                let expected = if centred { 1.0_f64 } else { 0.0 };
                assert_eq!(value.to_bits(), expected.to_bits(), "{conv:?} {output}");
            } else {
                assert!(value != 0.0 && value.abs() <= bound, "{conv:?} {value}");
            }
        }
        assert!(values(&weights, "conv.bias").iter().all(|bias| *bias == 0.0));
        let identity = weights["fc.weight"].to_f64();
        let inputs = conv.channels.min(4);
        assert!((0..inputs).all(|i| identity[[i, i]].to_bits() == 1.0_f64.to_bits()), "{identity}");
    }
}

#[test]
fn laws_of_a_node_replace_the_usual_ones() {
    let kaiming = InitialWeights::KaimingUniform;
    let weights = begins(Conv::square(200, 3, 1), kaiming, InitialWeights::Constant(0.5)).unwrap();
    let (_, deviation, kurtosis) = moments(&values(&weights, "conv.weight"));
    assert!((deviation * 36.0_f64.sqrt() * 3.0_f64.sqrt() - 1.0).abs() < 0.05, "{deviation}");
    assert!((kurtosis - 1.8).abs() < 0.1, "{kurtosis}");
    assert!(values(&weights, "conv.bias").iter().any(|bias| *bias != 0.0), "a bias as usual");
    assert!(
        values(&weights, "fc.weight").iter().all(|weight| weight.to_bits() == 0.5_f64.to_bits())
    );
    let (normal, uniform) = (InitialWeights::Normal(0.02), InitialWeights::Uniform(3.0));
    let weights = begins(Conv::square(200, 3, 1), normal, uniform).unwrap();
    let (_, deviation, kurtosis) = moments(&values(&weights, "conv.weight"));
    assert!((deviation - 0.02).abs() < 0.001 && (kurtosis - 3.0).abs() < 0.3, "{deviation}");
    let values = values(&weights, "fc.weight");
    let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(largest > 2.9 && largest <= 3.0, "{largest}");
}

#[test]
fn voting_is_the_mean_of_the_votes_of_each_class() {
    let weights =
        begins(Conv::square(12, 3, 1), InitialWeights::Dirac, InitialWeights::Voting).unwrap();
    let voting = weights["fc.weight"].to_f64();
    for class in 0..4 {
        for vote in 0..12 {
            let expected = if vote / 3 == class { f64::from(1.0_f32 / 3.0) } else { 0.0 };
            let found = voting[[class, vote]];
            assert_eq!(found.to_bits(), expected.to_bits(), "{class} {vote}");
        }
    }
    let error = begins(Conv::square(6, 3, 1), InitialWeights::Dirac, InitialWeights::Voting);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("node `fc`: initial must be voting only of a linear layer"), "{error}");
    assert!(error.ends_with("found a linear of 4 outputs and 6 inputs"), "{error}");
}

#[test]
fn frozen_weights_do_not_learn_and_their_bias_does() {
    let mut net = GraphBuilder::new([3, 6, 6]);
    let conv = Conv { bias: true, padding: vec![0; 2], ..Conv::square(24, 2, 1) };
    net.conv("whiten", conv).initial(InitialWeights::Whitening).frozen().site("act");
    let graph = net.flatten("flat").linear("fc", 2).build().unwrap();
    let resolved = graph.resolve().unwrap();
    let specs = snn_ir::weight_specs(&graph, &resolved, snn_ir::Form::Trained).unwrap();
    let learned: Vec<(&str, bool, bool)> =
        specs.iter().map(|s| (s.name.as_str(), s.part.learned, s.part.decays)).collect();
    let expected = [
        ("whiten.weight", false, false),
        ("whiten.bias", true, false),
        ("fc.weight", true, true),
        ("fc.bias", true, false),
    ];
    assert_eq!(learned, expected);
    // The form of converted models knows no training.
    let mut events = graph.clone();
    for node in &mut events.nodes {
        if let Op::Activation { code, .. } = &mut node.op {
            *code = Some(snn_ir::Code::Binary);
        }
    }
    let error = snn_ir::weight_specs(&events, &resolved, snn_ir::Form::Events).unwrap_err();
    assert!(error.to_string().contains("for training; conversion drops them"), "{error}");
}

#[test]
fn what_cannot_begin_so_is_refused_by_name() {
    let with = |change: &dyn Fn(&mut GraphBuilder)| {
        let mut net = GraphBuilder::new([3, 6, 6]);
        change(&mut net);
        net.global_pool("pool", PoolKind::Max).linear("fc", 2).build().unwrap_err().to_string()
    };
    let whitening = InitialWeights::Whitening;
    for (error, expected) in [
        (
            with(&|net| {
                net.conv("c", Conv::square(24, 3, 1)).initial(whitening).site("a");
            }),
            "found 24 channels, fan_in 27, 1 groups, dilation [1, 1], reading the input",
        ),
        (
            with(&|net| {
                net.conv_site("stem", Conv::square(3, 1, 1));
                net.conv("c", Conv::square(6, 1, 1)).initial(whitening).site("a");
            }),
            "reading another node",
        ),
        (
            with(&|net| {
                net.conv("c", Conv::square(4, 1, 1)).site("a").frozen();
            }),
            "node `a`: frozen must be an attribute of convolutions and linear layers",
        ),
        (
            with(&|net| {
                let constant = InitialWeights::Constant(f64::NAN);
                net.conv("c", Conv::square(4, 1, 1)).initial(constant).site("a");
            }),
            "node `c`: initial must be a finite constant, found NaN",
        ),
        (
            with(&|net| {
                let normal = InitialWeights::Normal(0.0);
                net.conv("c", Conv::square(4, 1, 1)).initial(normal).site("a");
            }),
            "node `c`: initial must be a positive size of the law, found 0",
        ),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}
