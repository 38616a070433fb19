//! The libtorch interpreter off the grid against the naive evaluator.

use crate::common::{Random, assert_same, trained};
use snn_core::{Libtorch, Mode, Network, Pixels, tch::Device, tch::Kind};
use snn_ir::ResetGradient;
use snn_ir::networks::{ResNet, SmallNet};
use snn_ir::{
    Encoder, Evaluate, Graph, Input, Leak, Lif, Model, Naive, Op, QuantRelu, Record, Reset, Share,
    Site,
};

fn compare(model: &Model, input: &Input<'_>, what: &str) {
    let naive = Naive::new(model).unwrap().evaluate(input, Record::Sites).unwrap();
    let ours = Libtorch::new(model, Device::Cpu).unwrap().evaluate(input, Record::Sites).unwrap();
    assert_same(&ours, &naive, what, false);
}

/// Sites to mix: every kind, with settings that are not the defaults.
fn sites() -> Vec<Site> {
    let lif = |change: &dyn Fn(&mut Lif)| {
        let mut lif = Lif::default();
        change(&mut lif);
        Site::Lif(lif)
    };
    let quant =
        |levels, share| Site::QuantRelu(QuantRelu { levels, share, ..QuantRelu::default() });
    vec![
        lif(&|_| {}),
        lif(&|n| n.reset = Reset::Soft),
        lif(&|n| n.reset = Reset::Hard { potential: -0.25 }),
        lif(&|n| n.leak = Leak::Factor { factor: 1.0 }),
        lif(&|n| n.leak = Leak::Learned { initial: 0.6 }),
        lif(&|n| (n.threshold, n.reset_gradient) = (0.7.into(), ResetGradient::Flowing)),
        lif(&|n| {
            n.reset = Reset::Soft;
            n.leak = Leak::Factor { factor: 0.8 };
            n.reset_gradient = ResetGradient::Flowing;
        }),
        Site::RELU,
        Site::Relu { limit: Some(0.75) },
        quant(4, Share::Layer),
        quant(3, Share::Channel),
        quant(1, Share::Layer),
    ]
}

fn set_sites(graph: &mut Graph, mut choose: impl FnMut(usize) -> Site) {
    let activations = graph.nodes.iter_mut().filter_map(|node| match &mut node.op {
        Op::Activation { site, .. } => Some(site),
        _ => None,
    });
    for (position, site) in activations.enumerate() {
        *site = choose(position);
    }
}

#[test]
fn every_kind_of_site_alone() {
    let mut random = Random::new(1);
    for (position, site) in sites().into_iter().enumerate() {
        let mut graph = SmallNet { width: 4, input: [3, 8, 8], ..SmallNet::default() }.build();
        set_sites(&mut graph, |_| site.clone());
        let weights = random.weights(&graph);
        let model = trained(graph, weights, position % 4 + 1);
        let images = random.images(&[3, 3, 8, 8]);
        compare(&model, &Input::Static(images.view()), &format!("{site:?}"));
    }
}

#[test]
fn mixed_residual_networks() {
    let mut random = Random::new(2);
    let kinds = sites();
    for time_steps in 1..=4 {
        let mut graph =
            ResNet { width: 4, blocks: vec![1, 1, 1], input: [3, 12, 12], ..ResNet::default() }
                .build();
        set_sites(&mut graph, |_| {
            kinds[usize::try_from(random.next()).unwrap() % kinds.len()].clone()
        });
        let weights = random.weights(&graph);
        let model = trained(graph, weights, time_steps);
        let images = random.images(&[2, 3, 12, 12]);
        compare(&model, &Input::Static(images.view()), &format!("static, T = {time_steps}"));
        let frames = random.images(&[time_steps, 2, 3, 12, 12]);
        compare(&model, &Input::Frames(frames.view()), &format!("frames, T = {time_steps}"));
    }
}

#[test]
fn a_prefix_without_state_is_computed_once() {
    let mut random = Random::new(3);
    let mut graph =
        ResNet { width: 4, blocks: vec![1, 1], input: [3, 8, 8], ..ResNet::default() }.build();
    set_sites(&mut graph, |position| {
        if position < 3 { Site::QuantRelu(QuantRelu::default()) } else { Site::Lif(Lif::default()) }
    });
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 3);
    let images = random.images(&[2, 3, 8, 8]);
    let input = Input::Static(images.view());
    compare(&model, &input, "prefix");
    let result =
        Libtorch::new(&model, Device::Cpu).unwrap().evaluate(&input, Record::Sites).unwrap();
    let steps: Vec<usize> = result
        .sites
        .iter()
        .map(|trace| match &trace.output {
            snn_ir::SiteOutput::Levels(a) => a.shape()[0],
            snn_ir::SiteOutput::Values(a) => a.shape()[0],
        })
        .collect();
    assert_eq!(steps, [1, 1, 1, 3, 3]);
}

#[test]
fn a_batch_is_its_samples() {
    let mut random = Random::new(4);
    let graph = SmallNet { width: 4, input: [3, 8, 8], ..SmallNet::default() }.build();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 2);
    let images = random.images(&[5, 3, 8, 8]);
    let mut libtorch = Libtorch::new(&model, Device::Cpu).unwrap();
    let all = libtorch.evaluate(&Input::Static(images.view()), Record::Logits).unwrap();
    for sample in 0..5 {
        let one = images.slice_axis(ndarray::Axis(0), (sample..=sample).into());
        let one = libtorch.evaluate(&Input::Static(one), Record::Logits).unwrap();
        let (snn_ir::Logits::Real(all), snn_ir::Logits::Real(one)) = (&all.logits, &one.logits)
        else {
            panic!()
        };
        assert!(all.row(sample).iter().zip(one.row(0)).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}

#[test]
fn pixels_of_another_shape_are_refused() {
    let mut random = Random::new(5);
    let graph = SmallNet { width: 4, input: [3, 8, 8], ..SmallNet::default() }.build();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 2);
    let mut libtorch = Libtorch::new(&model, Device::Cpu).unwrap();
    for shape in [&[2, 3, 8, 9][..], &[2, 1, 8, 8], &[3, 8, 8], &[0, 3, 8, 8]] {
        let images = random.images(shape);
        let error = libtorch.evaluate(&Input::Static(images.view()), Record::Logits).unwrap_err();
        assert!(error.to_string().contains("[B, [3, 8, 8]]"), "{error}");
    }
    let frames = random.images(&[3, 2, 3, 8, 8]);
    let error = libtorch.evaluate(&Input::Frames(frames.view()), Record::Logits).unwrap_err();
    assert!(error.to_string().contains("[2, B, [3, 8, 8]]"), "{error}");
}

/// Libtorch encodes images as the naive evaluator does; a network on tensors takes frames alone.
#[test]
fn a_model_with_an_encoder_reads_its_frames() {
    let mut random = Random::new(31);
    let graph = SmallNet { width: 4, input: [3, 8, 8], ..SmallNet::default() }.build();
    let weights = random.weights(&graph);
    let plain = trained(graph, weights, 4);
    let images = random.images(&[2, 3, 8, 8]);
    let input = Input::Static(images.view());
    let logits = |model: &Model| {
        let mut torch = Libtorch::new(model, Device::Cpu).unwrap();
        torch.evaluate(&input, Record::Logits).unwrap().logits
    };
    for encoder in [Encoder::Latency, Encoder::Poisson { seed: 1, rate: 0.5 }] {
        let model = plain.clone().with_encoder(encoder);
        compare(&model, &input, encoder.label());
        assert_ne!(logits(&model), logits(&plain), "encoding makes a difference");
        let network = Network::new(&model, Device::Cpu, Kind::Float).unwrap();
        let pixels = Pixels::new(&input, Device::Cpu).unwrap();
        let error = network.forward(&pixels, Mode::Evaluate).unwrap_err().to_string();
        assert!(error.contains(encoder.label()) && error.contains("Encoder::encode"), "{error}");
        let frames = encoder.encode(&input, 4, 0).unwrap();
        let pixels = Pixels::new(&Input::Frames(frames.view()), Device::Cpu).unwrap();
        network.forward(&pixels, Mode::Evaluate).unwrap();
    }
}
