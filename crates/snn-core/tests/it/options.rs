//! Options of training passes: what they compute is the same.

use ndarray::ArrayD;
use snn_core::tch::{Device, Kind, Tensor, no_grad};
use snn_core::{
    Checkpointing, Mode, Monitor, Network, NetworkOptions, Pixels, Precision, Result,
    TrainingOptions,
};
use snn_ir::networks::ResNet;
use snn_ir::{
    Form, Graph, Input, Leak, Lif, Model, Op, Preprocessing, QuantRelu, Signature, Site, Spike,
    Synapse,
};

/// A residual network with every kind of site.
fn graph() -> Graph {
    let mut graph = ResNet {
        width: 8,
        blocks: vec![2, 1],
        classes: 5,
        input: [3, 12, 12],
        ..ResNet::default()
    }
    .build();
    let sites = [
        Site::Lif(Lif::default()),
        Site::QuantRelu(QuantRelu::default()),
        Site::Lif(Lif { leak: Leak::Learned { initial: 0.5 }, ..Lif::default() }),
        Site::RELU,
        Site::Lif(Lif { spike: Spike::Integer { levels: 3 }, ..Lif::default() }),
        Site::Lif(Lif { synapse: Synapse::Current { alpha: 0.5 }, ..Lif::default() }),
        Site::Lif(Lif::default()),
    ];
    let places = graph.nodes.iter_mut().filter_map(|node| match &mut node.op {
        Op::Activation { site, .. } => Some(site),
        _ => None,
    });
    let mut count = 0;
    for (place, site) in places.zip(sites.iter().cycle()) {
        *place = site.clone();
        count += 1;
    }
    assert!(count >= sites.len());
    graph
}

fn network(kind: Kind, time_steps: usize) -> Network {
    network_with(kind, time_steps, TrainingOptions::default()).unwrap()
}

fn network_with(kind: Kind, time_steps: usize, training: TrainingOptions) -> Result<Network> {
    let graph = graph();
    let weights = graph.initial_weights(3).unwrap();
    let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![63.0, 62.1, 66.7]);
    let model =
        Model::new(Signature::new(Form::Trained, graph, time_steps, preprocessing), weights);
    let options = NetworkOptions { kind, training, ..NetworkOptions::new(Device::Cpu) };
    Network::with_options(&model, &options)
}

fn pixels(batch: usize) -> Pixels {
    let images = ArrayD::from_shape_fn(vec![batch, 3, 12, 12], |i| {
        u8::try_from((i[0] * 31 + i[1] * 77 + i[2] * i[3] * 7 + i[3] * 13) % 256).unwrap()
    });
    Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap()
}

struct Pass {
    logits: Tensor,
    /// Gradients of learned parameters, and the running statistics.
    after: Vec<(String, Tensor)>,
}

fn pass(network: &Network, monitor: Option<Monitor>) -> Pass {
    pass_of(6, network, monitor)
}

fn pass_of(batch: usize, network: &Network, monitor: Option<Monitor>) -> Pass {
    let pixels = pixels(batch);
    let forward = match monitor {
        Some(monitor) => network.forward_monitored(&pixels, Mode::Train, monitor).unwrap().0,
        None => network.forward(&pixels, Mode::Train).unwrap(),
    };
    let logits = forward.logits;
    let weights =
        Tensor::arange(i64::try_from(logits.numel()).unwrap(), (logits.kind(), Device::Cpu))
            .view_as(&logits)
            .sin();
    (&logits * weights).sum(logits.kind()).f_backward().unwrap();
    let after = network.parameters().iter().map(|p| {
        let tensor = match p.tensor.grad() {
            gradient if gradient.defined() => gradient,
            // A leak over one macro-step: nothing reaches it.
            _ if p.learned => p.tensor.zeros_like(),
            _ => p.tensor.copy(),
        };
        (p.name.clone(), tensor)
    });
    Pass { logits: logits.detach(), after: after.collect() }
}

fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    (&found - &expected).norm().double_value(&[]) / expected.norm().double_value(&[]).max(1e-12)
}

#[test]
fn fused_sites_train_as_the_operations_of_libtorch_do() {
    for time_steps in [1, 3] {
        let (fused, plain) = (network(Kind::Double, time_steps), network(Kind::Double, time_steps));
        // Membranes come from tensor operations, node by node.
        let [fused, plain] = [
            pass(&fused, None),
            pass(&plain, Some(Monitor { membranes: true, ..Monitor::default() })),
        ];
        assert!(relative(&fused.logits, &plain.logits) < 1e-12);
        assert_eq!(fused.after.len(), plain.after.len());
        for ((name, found), (_, expected)) in fused.after.iter().zip(&plain.after) {
            let difference = relative(found, expected);
            assert!(difference < 1e-9, "{name}: {difference:e}");
        }
    }
}

#[test]
fn recomputing_changes_no_bit() {
    for (kind, precision) in [
        (Kind::Float, Precision::F32),
        (Kind::Double, Precision::F32),
        (Kind::Float, Precision::Bf16),
    ] {
        for time_steps in [1, 3] {
            let run = |checkpointing| {
                let training = TrainingOptions { precision, checkpointing };
                let network = network_with(kind, time_steps, training).unwrap();
                // Twice, so that the running statistics of the first pass matter.
                pass(&network, None);
                pass(&network, None)
            };
            let (kept, again) = (run(Checkpointing::Off), run(Checkpointing::Blocks));
            assert!(kept.logits.equal(&again.logits), "{precision}, T = {time_steps}");
            for ((name, expected), (_, found)) in kept.after.iter().zip(&again.after) {
                assert!(found.equal(expected), "{name}, {precision}, {kind:?}, T = {time_steps}");
            }
        }
    }
}

#[test]
fn a_budget_recomputes_what_it_must_and_changes_no_bit() {
    let run = |checkpointing| {
        let training = TrainingOptions { checkpointing, ..TrainingOptions::default() };
        let network = network_with(Kind::Float, 3, training).unwrap();
        let forward = network.forward(&pixels(6), Mode::Train);
        forward.map(|_| pass(&network, None))
    };
    let kept = run(Checkpointing::Off).unwrap();
    let (mut refused, mut fitted) = (0, 0);
    for exponent in 10..24 {
        match run(Checkpointing::Within(1 << exponent)) {
            Ok(found) => {
                fitted += 1;
                assert!(found.logits.equal(&kept.logits));
                for ((name, expected), (_, found)) in kept.after.iter().zip(&found.after) {
                    assert!(found.equal(expected), "{name}, 2^{exponent} bytes");
                }
            }
            Err(error) => {
                refused += 1;
                assert_eq!(fitted, 0, "more memory is never too little");
                let error = error.to_string();
                assert!(error.contains("for the activations of this batch"), "{error}");
            }
        }
    }
    assert!(refused > 0 && fitted > 3, "{refused} refused, {fitted} fitted");
    for (text, value) in [
        ("keep", Checkpointing::Off),
        ("recompute", Checkpointing::Blocks),
        ("4 GiB", Checkpointing::Within(4 << 30)),
        ("1536 MiB", Checkpointing::Within(3 << 29)),
        ("1000 B", Checkpointing::Within(1000)),
    ] {
        assert_eq!(text.parse::<Checkpointing>().unwrap(), value);
        assert_eq!(value.to_string(), text);
    }
    assert_eq!("1.5GiB".parse::<Checkpointing>().unwrap(), Checkpointing::Within(3 << 29));
    for wrong in ["", "GiB", "4 GB", "-1 GiB", "0 B", "all"] {
        let error = wrong.parse::<Checkpointing>().unwrap_err().to_string();
        assert!(error.contains("or a size such as 4 GiB"), "{error}");
    }
}

#[test]
fn a_parameter_changed_before_blocks_are_computed_again_is_an_error() {
    let backward = |checkpointing| {
        let training = TrainingOptions { checkpointing, ..TrainingOptions::default() };
        let network = network_with(Kind::Float, 2, training).unwrap();
        let logits = network.forward(&pixels(6), Mode::Train).unwrap().logits;
        // Of a batch norm before a fused site, which has its values and needs the parameter no
        // more.
        let weight = network
            .parameters()
            .iter()
            .find(|p| p.name.contains("bn") && p.name.ends_with(".weight"))
            .unwrap();
        let _same_tensor = no_grad(|| weight.tensor.shallow_clone().f_add_scalar_(1.0)).unwrap();
        logits.sum(Kind::Float).f_backward()
    };
    backward(Checkpointing::Off).unwrap();
    assert!(
        backward(Checkpointing::Blocks)
            .unwrap_err()
            .to_string()
            .contains("modified by an inplace operation")
    );
}

#[test]
fn bf16_rounds_activations_and_nothing_else() {
    let bf16 = TrainingOptions { precision: Precision::Bf16, ..TrainingOptions::default() };
    let (single, rounded) = (network(Kind::Float, 2), network_with(Kind::Float, 2, bf16).unwrap());
    let evaluate = |network: &Network| network.forward(&pixels(4), Mode::Evaluate).unwrap().logits;
    assert!(evaluate(&single).equal(&evaluate(&rounded)), "evaluation is in single precision");
    let (single, rounded) = (pass(&single, None), pass(&rounded, None));
    assert_eq!(rounded.logits.kind(), Kind::Float);
    let difference = relative(&rounded.logits, &single.logits);
    assert!(difference > 1e-6 && difference < 0.5, "{difference:e}");
    for (name, tensor) in &rounded.after {
        assert_eq!(tensor.kind(), Kind::Float, "{name}");
        assert_eq!(tensor.isfinite().all().int64_value(&[]), 1, "{name}");
    }
    // Some spikes flip in a batch this small, so that gradients agree in direction and not in their
    // digits; the head's, which no flip is between, do better.
    let cosine = |parameters: &dyn Fn(&str) -> bool| {
        let (mut dot, mut norms) = (0.0, [0.0; 2]);
        for ((_, a), (_, b)) in
            rounded.after.iter().zip(&single.after).filter(|((name, _), _)| parameters(name))
        {
            let [ab, aa, bb] = [a * b, a * a, b * b].map(|x| x.sum(Kind::Double).double_value(&[]));
            dot += ab;
            norms = [norms[0] + aa, norms[1] + bb];
        }
        dot / (norms[0] * norms[1]).sqrt()
    };
    let (all, head) =
        (cosine(&|name| !name.contains("running")), cosine(&|name| name == "fc.weight"));
    assert!(all > 0.5 && head > 0.85, "{all}, {head}");
}

/// Layers that are convolved on tiles where the machine has AMX: small images, a large one, a
/// stride.
#[test]
fn wide_layers_in_bf16_train_as_in_single_precision_but_for_rounding() {
    let mut graph = ResNet {
        width: 32,
        blocks: vec![1, 1],
        classes: 5,
        input: [3, 12, 12],
        ..ResNet::default()
    }
    .build();
    for node in &mut graph.nodes {
        if let Op::Activation { site, .. } = &mut node.op {
            // A site without steps: a rounding changes nothing by more.
            *site = Site::RELU;
        }
    }
    let weights = graph.initial_weights(3).unwrap();
    let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![63.0, 62.1, 66.7]);
    let model = Model::new(Signature::new(Form::Trained, graph, 3, preprocessing), weights);
    let run = |precision, checkpointing| {
        let training = TrainingOptions { precision, checkpointing };
        let options = NetworkOptions { training, ..NetworkOptions::new(Device::Cpu) };
        pass_of(20, &Network::with_options(&model, &options).unwrap(), None)
    };
    let single = run(Precision::F32, Checkpointing::Off);
    let rounded = run(Precision::Bf16, Checkpointing::Off);
    let again = run(Precision::Bf16, Checkpointing::Blocks);
    assert!(relative(&rounded.logits, &single.logits) < 0.05);
    for (((name, expected), (_, found)), (_, again)) in
        single.after.iter().zip(&rounded.after).zip(&again.after)
    {
        assert_eq!(found.kind(), Kind::Float, "{name}");
        assert!(again.equal(found), "{name}: computed again");
        // Signs before a ReLU flip; a gradient of something else would be as far away as it is
        // long.
        let difference = relative(found, expected);
        assert!(difference < 0.3, "{name}: {difference}");
    }
}

#[test]
fn bf16_with_parameters_in_double_precision_is_refused() {
    let bf16 = TrainingOptions { precision: Precision::Bf16, ..TrainingOptions::default() };
    let error = network_with(Kind::Double, 2, bf16).unwrap_err().to_string();
    assert_eq!(error, "precision must be f32, or the parameters of kind Float, found Double");
    assert!("fp16".parse::<Precision>().unwrap_err().to_string().contains("f32 or bf16"));
}

/// Fast evaluation is the plain one but for rounding: in double precision every decision of random
/// networks of every kind is the same.
#[test]
fn fast_evaluation_is_plain_evaluation_but_for_rounding() {
    use snn_ir::testing::{Numbers, Sites, pixels, trained_with};
    for seed in 0..60 {
        let model = trained_with(seed, Numbers::Real, Sites::All);
        let images = pixels(&model, 3, seed);
        let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
        let [plain, fast] = [Mode::Evaluate, Mode::EvaluateFast].map(|mode| {
            let kind = Kind::Double;
            let options = NetworkOptions { kind, ..NetworkOptions::new(Device::Cpu) };
            let network = Network::with_options(&model, &options).unwrap();
            let before = network.weights().unwrap();
            let (forward, rates) = network.forward_with_rates(&pixels, mode).unwrap();
            assert_eq!(network.weights().unwrap(), before, "seed {seed}: statistics stay");
            (forward.step_logits, rates)
        });
        assert_eq!(plain.1, fast.1, "seed {seed}");
        assert!(relative(&fast.0, &plain.0) < 1e-9, "seed {seed}");
    }
}

#[test]
fn fast_evaluation_has_the_precision_of_training() {
    let graph = graph();
    let weights = graph.initial_weights(3).unwrap();
    let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![63.0, 62.1, 66.7]);
    let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    let logits = |precision, mode| {
        let training = TrainingOptions { precision, ..TrainingOptions::default() };
        let options = NetworkOptions { training, ..NetworkOptions::new(Device::Cpu) };
        let network = Network::with_options(&model, &options).unwrap();
        network.forward(&pixels(6), mode).unwrap().logits
    };
    let exact = logits(Precision::F32, Mode::Evaluate);
    let plain = relative(&logits(Precision::Bf16, Mode::Evaluate), &exact);
    assert!(plain <= 0.0, "plain evaluation is f32");
    let rounded = relative(&logits(Precision::Bf16, Mode::EvaluateFast), &exact);
    assert!(rounded > 0.0 && rounded < 0.3, "{rounded}");
}
