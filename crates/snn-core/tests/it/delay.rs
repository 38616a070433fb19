//! Recurrences in training: gradients through time, options, monitors, and what does not train.

use crate::common::{self, Random};
use ndarray::ArrayD;
use snn_core::lif::{self, LifParameters};
use snn_core::tch::{Device, Kind, Tensor};
use snn_core::{
    Checkpointing, Mode, Monitor, Network, NetworkOptions, Pixels, Precision, TrainingOptions,
    check_training,
};
use snn_ir::{
    Adaptation, Conv, Graph, GraphBuilder, Input, Leak, Lif, Model, Op, Preprocessing, QuantRelu,
    Share, Site, Spike, Synapse,
};

const STEPS: usize = 4;

fn network(model: &Model, kind: Kind, training: TrainingOptions) -> Network {
    let options = NetworkOptions { kind, training, ..NetworkOptions::new(Device::Cpu) };
    Network::with_options(model, &options).unwrap()
}

fn trained(graph: Graph, weights: snn_ir::Weights) -> Model {
    let channels = graph.shapes().unwrap()[0][0];
    let mut model = common::trained(graph, weights, STEPS);
    model.signature_mut().preprocessing =
        Preprocessing::new(vec![120; channels], vec![60.0; channels]);
    model
}

fn frames(random: &mut Random, shape: &[usize]) -> (ArrayD<u8>, Pixels) {
    let frames = random.images(&[&[STEPS], shape].concat());
    let pixels = Pixels::new(&Input::Frames(frames.view()), Device::Cpu).unwrap();
    (frames, pixels)
}

/// Gradients of a loss of all logits, by parameter.
fn gradients(network: &Network, pixels: &Pixels) -> Vec<(String, Tensor)> {
    let logits = network.forward(pixels, Mode::Train).unwrap().logits;
    logits.f_square().unwrap().f_sum(Kind::Double).unwrap().f_backward().unwrap();
    let learned = network.parameters().iter().filter(|p| p.learned);
    learned.map(|p| (p.name.clone(), p.tensor.grad().copy())).collect()
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[]).max(1e-9)
}

/// A recurrent layer of each kind of site between a layer with batch norm and the classifier.
fn layer(site: Site, steps: usize) -> Graph {
    let mut net = GraphBuilder::new([6]);
    net.op("fc1", Op::Linear { features: 5, bias: false }).norm("bn");
    net.delay("delay", "act", steps, [5]).op("back", Op::Linear { features: 5, bias: false });
    net.add("sum", &["bn", "back"]).site_of("act", site).linear("fc2", 3);
    net.build().unwrap()
}

#[test]
fn gradients_flow_through_time_as_through_a_loop_by_hand() {
    for steps in [1, 2] {
        let mut random = Random::new(3);
        let graph = layer(Site::Lif(Lif::default()), steps);
        let mut weights = random.weights(&graph);
        // The norm is told apart in other tests; here the input of the loop is the layer's.
        for (part, value) in [("weight", 3.0), ("bias", 0.6)] {
            let values = ArrayD::from_elem(vec![5], value);
            weights.insert(format!("bn.{part}"), snn_ir::Tensor::F64(values));
        }
        let model = trained(graph, weights);
        let network = network(&model, Kind::Double, TrainingOptions::default());
        let (_, pixels) = frames(&mut random, &[7, 6]);
        let found = gradients(&network, &pixels);

        let leaf = |name: &str| {
            let parameter = network.parameters().iter().find(|p| p.name == name).unwrap();
            parameter.tensor.detach().copy().set_requires_grad(true)
        };
        let names = ["fc1.weight", "bn.weight", "bn.bias", "back.weight", "fc2.weight", "fc2.bias"];
        let leaves = names.map(leaf);
        let [fc1, gamma, beta, back, fc2, bias] = &leaves;
        let preprocessing = model.preprocessing();
        let x = pixels.tensor().to_kind(Kind::Double);
        let mean: Vec<f64> = preprocessing.mean.iter().map(|&m| f64::from(m)).collect();
        let x = (x - Tensor::from_slice(&mean)) / Tensor::from_slice(&preprocessing.std);
        let y = x.reshape([-1, 6]).linear(fc1, None::<&Tensor>);
        // Statistics over all macro-steps and samples.
        let centred = &y - y.mean_dim(0_i64, true, Kind::Double);
        let variance = centred.square().mean_dim(0_i64, true, Kind::Double);
        let y = centred / (variance + 1e-5).sqrt() * gamma + beta;
        let y = y.reshape([-1, 7, 5]);
        let (mut spikes, mut state, mut scores) = (Vec::<Tensor>::new(), None, Vec::new());
        for (t, mut current) in y.unbind(0).into_iter().enumerate() {
            if let Some(then) = t.checked_sub(steps) {
                let recurrent = spikes[then].linear(back, None::<&Tensor>);
                current = recurrent + current;
            }
            let (fired, next) =
                lif::step(&Lif::default(), LifParameters::default(), &current, state.as_ref())
                    .unwrap();
            scores.push(fired.linear(fc2, Some(bias)));
            spikes.push(fired);
            state = Some(next);
        }
        let rate = Tensor::stack(&spikes, 0).mean(Kind::Double).double_value(&[]);
        assert!(rate > 0.05 && rate < 0.95, "{rate}");
        let logits = Tensor::stack(&scores, 0).mean_dim(0_i64, false, Kind::Double);
        logits.square().sum(Kind::Double).backward();
        for (name, leaf) in names.iter().zip(&leaves) {
            let (_, gradient) = found.iter().find(|(found, _)| found == name).unwrap();
            let gap = difference(gradient, &leaf.grad());
            assert!(gap < 1e-9, "{steps} steps, {name}: {gap}");
            assert!(leaf.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0, "{name}");
        }
    }
}

/// Every kind of site in a recurrence on images, behind a plain layer and before another.
fn deep() -> Model {
    let sites = [
        Site::Lif(Lif { leak: Leak::Learned { initial: 0.6 }, ..Lif::default() }),
        Site::QuantRelu(QuantRelu { share: Share::Channel, step: 0.5, ..QuantRelu::default() }),
        Site::Lif(Lif {
            spike: Spike::Ternary,
            synapse: Synapse::Current { alpha: 0.5 },
            adaptation: Adaptation::Threshold { decay: 0.9, strength: 0.2 },
            ..Lif::default()
        }),
        Site::RELU,
    ];
    let mut net = GraphBuilder::new([2, 5, 5]);
    net.conv_site("stem", Conv::square(3, 3, 1));
    for (number, site) in sites.into_iter().enumerate() {
        let at = |part: &str| format!("l{number}.{part}");
        net.conv_norm(&at("in"), Conv::square(3, 3, 1));
        let tip = net.tip().to_string();
        net.delay(&at("delay"), &at("act"), 1 + number % 2, [3, 5, 5]);
        net.conv(&at("back"), Conv::square(3, 3, 1)).add(&at("sum"), &[&tip, &at("back")]);
        net.site_of(&at("act"), site);
    }
    net.conv_site("last", Conv::square(3, 3, 1)).flatten("flat").linear("fc", 3);
    let graph = net.build().unwrap();
    let weights = Random::new(5).weights(&graph);
    trained(graph, weights)
}

#[test]
fn recomputed_blocks_have_the_same_bits() {
    let model = deep();
    let (_, pixels) = frames(&mut Random::new(6), &[4, 2, 5, 5]);
    let run = |checkpointing| {
        let training = TrainingOptions { checkpointing, ..TrainingOptions::default() };
        let network = network(&model, Kind::Float, training);
        let found = gradients(&network, &pixels);
        (found, network.weights().unwrap())
    };
    let ((kept, before), (recomputed, after)) =
        (run(Checkpointing::Off), run(Checkpointing::Blocks));
    assert_eq!(before, after, "running statistics");
    for ((name, kept), (_, recomputed)) in kept.iter().zip(&recomputed) {
        assert!(kept == recomputed, "{name}");
        assert!(kept.abs().sum(Kind::Double).double_value(&[]) > 0.0, "{name} has no gradient");
    }
}

#[test]
fn activations_of_sixteen_bits_train() {
    let model = deep();
    let (_, pixels) = frames(&mut Random::new(6), &[4, 2, 5, 5]);
    let training = TrainingOptions { precision: Precision::Bf16, ..TrainingOptions::default() };
    let network = network(&model, Kind::Float, training);
    for (name, gradient) in gradients(&network, &pixels) {
        assert!(gradient.sum(Kind::Double).double_value(&[]).is_finite(), "{name}");
    }
}

#[test]
fn observers_see_whole_sites_in_the_order_of_the_graph() {
    let model = deep();
    let (_, pixels) = frames(&mut Random::new(6), &[4, 2, 5, 5]);
    let network = network(&model, Kind::Float, TrainingOptions::default());
    let monitor = Monitor { levels: true, membranes: true, gradients: true };
    let (forward, seen) = network.forward_monitored(&pixels, Mode::Train, monitor).unwrap();
    forward.logits.square().sum(Kind::Float).backward();
    let names: Vec<String> =
        model.graph().sites().unwrap().into_iter().map(|site| site.name).collect();
    assert_eq!(seen.iter().map(|site| site.site.clone()).collect::<Vec<_>>(), names);
    let (_, rates) = network.forward_with_rates(&pixels, Mode::Train).unwrap();
    for (site, rate) in seen.iter().zip(&rates) {
        assert_eq!(site.levels.as_ref().unwrap().size(), [4, 4, 3, 5, 5], "{}", site.site);
        assert_eq!((&site.site, site.firing_rate), (&rate.site, rate.rate));
        assert!(site.gradient_norm().unwrap().unwrap() > 0.0, "{}", site.site);
    }
    assert_eq!(seen[1].membranes.as_ref().unwrap().size(), [4, 4, 3, 5, 5]);
}

#[test]
fn a_norm_in_a_recurrence_is_evaluated_and_not_trained() {
    let mut net = GraphBuilder::new([6]);
    net.linear("fc1", 5).delay("delay", "act", 1, [5]).linear("back", 5).norm("inner");
    net.add("sum", &["fc1", "inner"]).site("act").linear("fc2", 3);
    let graph = net.build().unwrap();
    let mut random = Random::new(4);
    let weights = random.weights(&graph);
    let model = trained(graph, weights);
    let (_, pixels) = frames(&mut random, &[3, 6]);
    let network = network(&model, Kind::Float, TrainingOptions::default());
    network.forward(&pixels, Mode::Evaluate).unwrap();
    for error in [
        network.forward(&pixels, Mode::Train).unwrap_err().to_string(),
        check_training(&model).unwrap_err().to_string(),
    ] {
        assert!(error.contains("node `inner`: it stands in a recurrence"), "{error}");
        assert!(error.contains("before the sum"), "{error}");
    }
    check_training(&deep()).unwrap();
}
