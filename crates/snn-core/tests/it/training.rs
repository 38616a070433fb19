//! The network in training: batch statistics, gradients of every parameter, weights in and out.

use crate::common::{Random, trained};
use ndarray::{Array1, ArrayD, Axis};
use snn_core::tch::{Device, Kind, Tensor};
use snn_core::{
    Checkpointing, DropoutKey, Mode, Network, NetworkOptions, Pixels, Precision, TrainingOptions,
};
use snn_ir::Naive;
use snn_ir::networks::{ResNet, SmallNet};
use snn_ir::{
    Conv, Evaluate, Graph, Input, Leak, Lif, Norm, Op, PoolKind, Preprocessing, QuantRelu, Readout,
    Record, Share, Site,
};

fn pixels(images: &ArrayD<u8>) -> Pixels {
    Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap()
}

#[test]
fn running_statistics_follow_the_formula() {
    // A norm straight after the input, then one that varies over time.
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 3, 3] }, &[]);
    graph.push("bn", Op::BatchNorm(Norm::default()), &["image"]);
    graph.push("act", Op::Activation { site: Site::Lif(Lif::default()), code: None }, &["bn"]);
    graph.push("bn2", Op::BatchNorm(Norm::default()), &["act"]);
    graph.push("pool", Op::GlobalPool { pool: PoolKind::Average }, &["bn2"]);
    graph.push("head", Op::TimeMean, &["pool"]);
    let mut random = Random::new(7);
    let weights = random.weights(&graph);
    let mut model = trained(graph, weights, 3);
    model.signature_mut().preprocessing = Preprocessing::new(vec![100, 120], vec![50.0, 80.0]);
    let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
    let images = random.images(&[4, 2, 3, 3]);
    let forward = network.forward(&pixels(&images), Mode::Train).unwrap();
    assert_eq!(forward.step_logits.size(), [3, 4, 2]);
    let after = network.weights().unwrap();
    let read = |weights: &snn_ir::Weights, part: &str| -> ArrayD<f64> { weights[part].to_f64() };
    for channel in 0..2 {
        let (mean, std) = ([100.0, 120.0][channel], [50.0, 80.0][channel]);
        let x: Array1<f64> = images
            .index_axis(Axis(1), channel)
            .iter()
            .map(|&p| (f64::from(p) - mean) / std)
            .collect();
        let average = x.mean().unwrap();
        let unbiased = x.mapv(|x| (x - average).powi(2)).sum() / (x.len() as f64 - 1.0);
        let expect = |part: &str, batch: f64| {
            let expected = 0.9 * read(model.weights(), part)[[channel]] + 0.1 * batch;
            let found = read(&after, part)[[channel]];
            assert!((found - expected).abs() < 1e-12, "{part}: {found}, expected {expected}");
        };
        expect("bn.running_mean", average);
        expect("bn.running_var", unbiased);
        // Spikes have the mean r and over T·B·H·W = 108 values the unbiased variance r(1 −
        // r)·108/107.
        let before = read(model.weights(), "bn2.running_mean")[[channel]];
        let rate = (read(&after, "bn2.running_mean")[[channel]] - 0.9 * before) / 0.1;
        assert!((rate * 108.0 - (rate * 108.0).round()).abs() < 1e-9 && rate > 0.0);
        expect("bn2.running_var", rate * (1.0 - rate) * 108.0 / 107.0);
    }
    let forward = network.forward(&pixels(&images), Mode::Evaluate).unwrap();
    assert!(!forward.logits.requires_grad());
    assert_eq!(network.weights().unwrap(), after, "evaluation changes nothing");
}

#[test]
fn every_learned_parameter_gets_a_gradient_and_steps_lower_the_loss() {
    let mut random = Random::new(8);
    let mut graph =
        ResNet { width: 4, blocks: vec![1, 1], input: [3, 8, 8], ..ResNet::default() }.build();
    let sites = [
        Site::QuantRelu(QuantRelu { share: Share::Channel, ..QuantRelu::default() }),
        Site::Lif(Lif { leak: Leak::Learned { initial: 0.5 }, ..Lif::default() }),
        Site::RELU,
        Site::Lif(Lif::default()),
        Site::QuantRelu(QuantRelu::default()),
    ];
    let mut next = sites.iter();
    for node in &mut graph.nodes {
        if let Op::Activation { site, .. } = &mut node.op {
            *site = next.next().unwrap().clone();
        }
    }
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 2);
    let mut network = Network::new(&model, Device::Cpu, Kind::Float).unwrap();
    let images = random.images(&[8, 3, 8, 8]);
    let labels = Tensor::from_slice(&[0_i64, 1, 2, 3, 4, 5, 6, 7]);
    let loss = |network: &Network| {
        network
            .forward(&pixels(&images), Mode::Train)
            .unwrap()
            .logits
            .cross_entropy_for_logits(&labels)
    };
    let first = loss(&network).double_value(&[]);
    for _ in 0..60 {
        loss(&network).backward();
        for parameter in network.parameters() {
            assert_eq!(parameter.tensor.requires_grad(), parameter.learned, "{}", parameter.name);
            if parameter.learned {
                let mut gradient = parameter.tensor.grad();
                let size = gradient.abs().sum(Kind::Double).double_value(&[]);
                assert!(size > 0.0 && size.is_finite(), "{}", parameter.name);
                let mut tensor = parameter.tensor.shallow_clone();
                let _same = tch::no_grad(|| tensor.f_sub_(&(&gradient * 0.1))).unwrap();
                let _same = gradient.zero_();
            }
        }
        network.project().unwrap();
    }
    let last = loss(&network).double_value(&[]);
    assert!(last < 0.85 * first, "loss {first}, after 60 steps {last}");
}

#[test]
fn weights_go_out_and_in() {
    let mut random = Random::new(9);
    let graph = SmallNet { width: 4, ..SmallNet::default() }.build();
    let weights = random.weights(&graph);
    let other = random.weights(&graph);
    let model = trained(graph, weights.clone(), 1);
    let mut network = Network::new(&model, Device::Cpu, Kind::Float).unwrap();
    assert_eq!(network.weights().unwrap(), weights);
    let alias = network.parameters()[0].tensor.shallow_clone();
    network.load(&other).unwrap();
    assert_eq!(network.weights().unwrap(), other);
    assert!(alias.equal(&network.parameters()[0].tensor), "loading happens in place");
    let mut broken = other.clone();
    broken.insert("fc.bias".into(), Array1::<f32>::zeros(3).into());
    let error = network.load(&broken).unwrap_err().to_string();
    assert!(error.contains("fc.bias"), "{error}");
    broken.remove("fc.bias");
    assert!(network.load(&broken).unwrap_err().to_string().contains("missing"));
    assert_eq!(network.weights().unwrap(), other);
}

#[test]
fn rates_are_shares_of_active_values() {
    let mut random = Random::new(10);
    let graph = SmallNet { width: 4, input: [3, 8, 8], ..SmallNet::default() }.build();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 2);
    let images = random.images(&[3, 3, 8, 8]);
    let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
    let (forward, rates) = network.forward_with_rates(&pixels(&images), Mode::Evaluate).unwrap();
    assert!(
        forward.logits.equal(&network.forward(&pixels(&images), Mode::Evaluate).unwrap().logits)
    );
    let naive =
        Naive::new(&model).unwrap().evaluate(&Input::Static(images.view()), Record::Sites).unwrap();
    assert_eq!(rates.len(), naive.sites.len());
    for (rate, trace) in rates.iter().zip(&naive.sites) {
        assert_eq!(rate.site, trace.site);
        assert!(
            (rate.rate - trace.output.active() as f64 / trace.output.len() as f64).abs() < 1e-12
        );
    }
}

#[test]
fn one_axis_concatenation_and_windows_work_too() {
    let mut graph = Graph::default();
    graph.push("signal", Op::Input { shape: vec![2, 20] }, &[]);
    let conv = |channels, kernel: usize, stride, groups| Conv {
        channels,
        kernel: vec![kernel],
        stride: vec![stride],
        padding: vec![kernel / 2],
        dilation: vec![1],
        groups,
        bias: true,
    };
    let site = |site| Op::Activation { site, code: None };
    let window = |kernel, stride, padding| snn_ir::Window {
        kernel: vec![kernel],
        stride: vec![stride],
        padding: vec![padding],
    };
    graph.push("conv", Op::Conv(conv(4, 5, 1, 2)), &["signal"]);
    graph.push("quant", site(Site::QuantRelu(QuantRelu::default())), &["conv"]);
    graph.push("lif", site(Site::Lif(Lif::default())), &["conv"]);
    graph.push("both", Op::Concat, &["quant", "lif"]);
    graph.push("sum", Op::Pool { pool: PoolKind::Sum, window: window(3, 2, 1) }, &["both"]);
    graph.push("mean", Op::Pool { pool: PoolKind::Average, window: window(3, 2, 1) }, &["both"]);
    graph.push("max", Op::Pool { pool: PoolKind::Max, window: window(3, 2, 1) }, &["both"]);
    graph.push("add", Op::Add, &["sum", "mean", "max"]);
    graph.push("scale", Op::Scale, &["add"]);
    graph.push("flat", Op::Flatten, &["scale"]);
    graph.push("hidden", Op::Linear { features: 6, bias: false }, &["flat"]);
    graph.push("bn", Op::BatchNorm(Norm::default()), &["hidden"]);
    graph.push("act", site(Site::Lif(Lif::default())), &["bn"]);
    graph.push("still", Op::Flatten, &["quant"]);
    graph.push("other", Op::Linear { features: 6, bias: false }, &["still"]);
    graph.push("join", Op::Add, &["other", "act"]);
    graph.push("head", Op::TimeMean, &["join"]);
    let mut random = Random::new(11);
    let weights = random.weights(&graph);
    let mut model = trained(graph, weights, 3);
    model.signature_mut().preprocessing = Preprocessing::new(vec![100, 120], vec![50.0, 80.0]);
    let signals = random.images(&[4, 2, 20]);
    let input = Input::Static(signals.view());
    let theirs = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
    let ours = snn_core::Libtorch::new(&model, Device::Cpu)
        .unwrap()
        .evaluate(&input, Record::Sites)
        .unwrap();
    crate::common::assert_same(&ours, &theirs, "one axis", false);
}

/// `[B, C, H, W]` pixels through one dropout, and what comes out at every macro-step.
fn dropped(op: Op, kind: Kind, key: Option<DropoutKey>, mode: Mode) -> snn_core::Result<Tensor> {
    let mut net = snn_ir::GraphBuilder::new([3, 3, 3]);
    net.op("spikes", Op::Activation { site: Site::Lif(Lif::default()), code: None });
    let graph = net.op("drop", op).flatten("flat").build().unwrap();
    let mut model = trained(graph, snn_ir::Weights::new(), 3);
    model.signature_mut().preprocessing = Preprocessing::new(vec![0; 3], vec![50.0; 3]);
    let mut network = Network::new(&model, Device::Cpu, kind)?;
    if let Some(key) = key {
        network.set_dropout_key(key);
    }
    let images = ArrayD::<u8>::from_elem(vec![64, 3, 3, 3], 255);
    Ok(network.forward(&pixels(&images), mode)?.step_logits)
}

/// Every value is 0 or `1/(1 − p)` of itself, the same at all macro-steps; of drop-path all values
/// of a sample together.
#[test]
fn dropout_has_one_mask_for_all_steps_of_a_sample() {
    let key = Some(DropoutKey { seed: 1, step: 2, first_sample: 0 });
    for kind in [Kind::Float, Kind::Double] {
        for (op, per_sample) in
            [(Op::Dropout { rate: 0.25 }, false), (Op::DropPath { rate: 0.25 }, true)]
        {
            let plain = dropped(op.clone(), kind, key, Mode::Evaluate).unwrap();
            let masked = dropped(op.clone(), kind, key, Mode::Train).unwrap();
            assert!(plain.min().double_value(&[]) > 0.0, "all fire at all steps");
            let ratio = (masked / plain).to_kind(Kind::Double);
            assert!(ratio.select(0, 0).equal(&ratio.select(0, 2)), "one mask for all steps");
            let values = Vec::<f64>::try_from(ratio.select(0, 0).reshape([-1])).unwrap();
            assert!(values.iter().all(|v| *v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
            let kept = values.iter().filter(|v| **v > 0.0).count();
            assert!((1000..=1550).contains(&kept), "{kept} of 1728 are to be 1296");
            let rows = ratio.select(0, 0);
            let together =
                rows.amax([1_i64].as_slice(), false).equal(&rows.amin([1_i64].as_slice(), false));
            assert_eq!(together, per_sample);
            let other = Some(DropoutKey { seed: 1, step: 3, first_sample: 0 });
            let again = |key| dropped(op.clone(), kind, key, Mode::Train).unwrap();
            assert!(again(key).equal(&again(key)) && !again(key).equal(&again(other)));
        }
    }
    // Without dropping anything, and in evaluation without a key, values are what they were.
    let all = dropped(Op::Dropout { rate: 0.0 }, Kind::Float, key, Mode::Train).unwrap();
    let plain = dropped(Op::Dropout { rate: 0.9 }, Kind::Float, None, Mode::Evaluate).unwrap();
    assert!(all.equal(&plain));
    let error = dropped(Op::DropPath { rate: 0.5 }, Kind::Float, None, Mode::Train).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("node `drop`") && error.contains("set_dropout_key"), "{error}");
}

/// The backward pass of a checkpointed network computes the masks again: the same ones, even if
/// the key has gone on to the next step by then.
#[test]
fn recomputed_passes_have_the_masks_of_their_step() {
    let mut random = Random::new(41);
    let mut net = snn_ir::GraphBuilder::new([3, 8, 8]);
    net.conv_site("a", Conv::square(6, 3, 1)).dropout("drop1", 0.3);
    net.conv_norm("b", Conv::square(6, 3, 1)).drop_path("path", 0.4);
    net.add("sum", &["path", "drop1"]).site("c").dropout("drop2", 0.5);
    let graph = net.global_pool("pool", PoolKind::Average).linear("fc", 4).build().unwrap();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 3);
    let images = random.images(&[6, 3, 8, 8]);
    for precision in [Precision::F32, Precision::Bf16] {
        let run = |checkpointing| {
            let training = TrainingOptions { precision, checkpointing };
            let options = NetworkOptions { training, ..NetworkOptions::new(Device::Cpu) };
            let mut network = Network::with_options(&model, &options).unwrap();
            network.set_dropout_key(DropoutKey { seed: 9, step: 4, first_sample: 0 });
            let logits = network.forward(&pixels(&images), Mode::Train).unwrap().logits;
            network.set_dropout_key(DropoutKey { seed: 9, step: 5, first_sample: 0 });
            (&logits * &logits).sum(Kind::Float).backward();
            let learned = network.parameters().iter().filter(|p| p.learned);
            let gradients: Vec<Tensor> = learned.map(|p| p.tensor.grad()).collect();
            (logits.detach(), gradients)
        };
        let (kept, again) = (run(Checkpointing::Off), run(Checkpointing::Blocks));
        assert!(kept.0.equal(&again.0), "{precision}");
        for (a, b) in kept.1.iter().zip(&again.1) {
            assert!(a.equal(b), "{precision}: a gradient differs");
        }
    }
}

/// The three heads of one network: their logits, and the macro-steps that their gradients reach.
#[test]
fn heads_read_out_the_scores_of_each_step() {
    let mut random = Random::new(29);
    let images = random.images(&[3, 3, 3, 3]);
    for readout in [Readout::Mean, Readout::Last, Readout::Max] {
        let mut net = snn_ir::GraphBuilder::new([3, 3, 3]);
        net.flatten("flat").linear("fc1", 9).site("act").linear("fc2", 4).readout(readout);
        let graph = net.build().unwrap();
        let mut draw = Random::new(30);
        let weights = draw.weights(&graph);
        let model = trained(graph, weights, 5);
        let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
        let forward = network.forward(&pixels(&images), Mode::Train).unwrap();
        assert_eq!(forward.step_logits.size(), [5, 3, 4]);
        let steps = forward.step_logits.detach();
        let expected = match readout {
            Readout::Mean => steps.mean_dim([0_i64].as_slice(), false, None::<Kind>),
            Readout::Last => steps.select(0, 4),
            Readout::Max => steps.amax([0_i64].as_slice(), false),
        };
        assert!(forward.logits.detach().equal(&expected), "{readout:?}");
        let others = (0..5).filter(|&t| !expected.equal(&steps.select(0, t)));
        assert!(others.count() > 0, "{readout:?}: steps differ");
        let naive = Naive::new(&model)
            .unwrap()
            .evaluate(&Input::Static(images.view()), Record::Logits)
            .unwrap();
        let snn_ir::Logits::Real(naive) = naive.logits else { panic!("reals") };
        for (found, expected) in
            Vec::<f64>::try_from(forward.logits.detach().view([-1])).unwrap().iter().zip(&naive)
        {
            assert!((found - expected).abs() < 1e-12, "{readout:?}");
        }
        // The bias of a class gets one unit of gradient from each sample, however it is read out.
        forward.logits.sum(Kind::Double).backward();
        let bias = network.parameters().iter().find(|p| p.name == "fc2.bias").unwrap();
        let gradient = Vec::<f64>::try_from(bias.tensor.grad()).unwrap();
        assert!(gradient.iter().all(|g| (g - 3.0).abs() < 1e-12), "{readout:?}: {gradient:?}");
    }
}

/// A norm's own momentum, fused with the site and by itself, and what its statistics are measured
/// to be again.
#[test]
fn running_statistics_move_by_the_momentum_of_their_norm() {
    let mut random = Random::new(23);
    let images = random.images(&[4, 3, 3, 3]);
    let run = |momentum: f64| {
        let mut net = snn_ir::GraphBuilder::new([3, 3, 3]);
        let norm = Norm { momentum, scale: false, ..Norm::default() };
        net.norm_of("plain", norm).norm_of("fused", norm).site("act");
        let graph = net.global_pool("pool", PoolKind::Average).build().unwrap();
        let model = trained(graph.clone(), graph.initial_weights(1).unwrap(), 2);
        let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
        network.forward(&pixels(&images), Mode::Train).unwrap();
        let mut again = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
        let batches = [snn_core::Result::Ok(pixels(&images))];
        again.reestimate_batch_norm(batches).unwrap();
        (network.weights().unwrap(), again.weights().unwrap())
    };
    let (whole, again) = run(1.0);
    let (part, again_too) = run(0.25);
    for (name, batch) in &whole {
        let start = if name.ends_with("running_var") { 1.0 } else { 0.0 };
        if !name.contains("running_") {
            continue;
        }
        for (((all, some), first), second) in batch
            .to_f64()
            .iter()
            .zip(&part[name].to_f64())
            .zip(&again[name].to_f64())
            .zip(&again_too[name].to_f64())
        {
            let expected = 0.75 * start + 0.25 * all;
            let near = |a: f64, b: f64| (a - b).abs() < 1e-12 * b.abs().max(1.0);
            assert!(near(*some, expected), "{name}: {some}, expected {expected}");
            assert!(near(*first, *all) && near(*second, *all), "{name}: {first}, {second}, {all}");
        }
    }
}

/// The mean over batches of each batch's own statistics, which a step of the running ones tells as
/// well.
#[test]
fn reestimated_statistics_are_the_mean_of_those_of_the_batches() {
    let mut random = Random::new(21);
    let graph = SmallNet { width: 3, input: [3, 8, 8], ..SmallNet::default() }.build();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 2);
    let batches: Vec<ArrayD<u8>> = (0..3).map(|_| random.images(&[4, 3, 8, 8])).collect();

    let mut expected = snn_ir::Weights::new();
    for batch in &batches {
        let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
        network.forward(&pixels(batch), Mode::Train).unwrap();
        for (name, after) in network.weights().unwrap() {
            if name.contains("running_") {
                let own = (after.to_f64() - 0.9 * &model.weights()[&name].to_f64()) / 0.1 / 3.0;
                let sum =
                    expected.get(&name).map_or_else(|| own.clone(), |sum| sum.to_f64() + &own);
                expected.insert(name, snn_ir::Tensor::F64(sum));
            }
        }
    }
    let mut network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
    let before = network.weights().unwrap();
    let none: [snn_core::Result<Pixels>; 0] = [];
    assert_eq!(network.reestimate_batch_norm(none).unwrap(), 0);
    assert_eq!(network.weights().unwrap(), before);
    let given = batches.iter().map(|batch| snn_core::Result::Ok(pixels(batch)));
    assert_eq!(network.reestimate_batch_norm(given).unwrap(), 3);
    assert!(expected.len() > 4, "{}", expected.len());
    for (name, after) in network.weights().unwrap() {
        let wanted = expected.get(&name).unwrap_or(&before[&name]).to_f64();
        for (found, wanted) in after.to_f64().iter().zip(&wanted) {
            assert!(
                (found - wanted).abs() <= 1e-10 * wanted.abs().max(1.0),
                "{name}: {found}, expected {wanted}"
            );
        }
    }
}
