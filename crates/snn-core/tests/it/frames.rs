//! Frames `[T, B, …]` train in every mode: fused and plain forms, bf16, activation checkpointing,
//! custom neurons and surrogates. Frames that all show one image are that image.
//!
//! The networks of these tests compute exactly: pixels, weights and leaks are multiples of powers
//! of two, small enough that no sum is rounded. So the static path, which computes what stands
//! before the first spiking site once (eq. 14), must give the bits of the frames.

use crate::common::Random;
use ndarray::{ArrayD, Axis};
use snn_core::tch::{Device, Kind, Tensor};
use snn_core::{
    Checkpointing, Mode, Monitor, Network, NetworkOptions, Pixels, Precision, Registry, Result,
    SurrogateDerivative, TensorNeuron, TensorParameters, TrainingOptions, surrogate,
};
use snn_ir::Custom;
use snn_ir::{
    Conv, Form, Graph, Input, Lif, Model, Op, PoolKind, Preprocessing, QuantRelu, Share, Signature,
    Site, Surrogate, Synapse, Threshold,
};
use std::collections::BTreeMap;

/// Integrates and fires at 1, then subtracts 1.
#[derive(Debug)]
struct Integrate;

impl TensorNeuron for Integrate {
    fn step(
        &self,
        parameters: &TensorParameters<'_>,
        current: &Tensor,
        state: Option<Vec<Tensor>>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let u = match state.and_then(|mut state| state.pop()) {
            Some(before) => before.f_add(current)?,
            None => current.shallow_clone(),
        };
        let distance = u.f_sub(parameters.learned("theta")?)?;
        let spikes = surrogate::spike(&distance, &Surrogate::default())?;
        let after = u.f_sub(&spikes.f_detach()?)?;
        Ok((spikes, vec![after]))
    }
}

/// `h′(x) = 1/(1 + x²)`.
#[derive(Debug)]
struct Lorentz;

impl SurrogateDerivative for Lorentz {
    fn derivative(&self, _: &BTreeMap<String, f64>, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_square()?.f_add_scalar(1.0)?.f_reciprocal()?)
    }
}

fn registry() -> Registry {
    Registry::default().with_neuron("integrate", Integrate).with_surrogate("lorentz", Lorentz)
}

/// The kinds of the site after the first spiking one.
fn sites() -> Vec<(&'static str, Site)> {
    let lorentz = Surrogate::Custom { name: "lorentz".into(), params: BTreeMap::new() };
    let theta = snn_ir::LearnedParam { initial: 1.0, share: Share::default() };
    let custom = Custom {
        learned: BTreeMap::from([("theta".to_string(), theta)]),
        ..Custom::new("integrate")
    };
    vec![
        ("fused", Site::Lif(Lif::default())),
        ("plain", Site::Lif(Lif { synapse: Synapse::Current { alpha: 0.5 }, ..Lif::default() })),
        ("custom surrogate", Site::Lif(Lif { surrogate: lorentz, ..Lif::default() })),
        ("custom neuron", Site::Custom(custom)),
    ]
}

/// A random shape: time-invariant convolutions and a ReLU or QuantRelu, then spiking sites.
struct Case {
    model: Model,
    batch: usize,
}

fn case(site: &Site, random: &mut Random) -> Case {
    let (channels, side, time_steps) =
        (1 + random.below(3), 4 + random.below(4), 2 + random.below(3));
    let conv = |channels, kernel, stride| Op::Conv(Conv::square(channels, kernel, stride));
    let activation = |site: Site| Op::Activation { site, code: None };
    let prefix = match random.below(2) {
        0 => Site::RELU,
        _ => Site::QuantRelu(QuantRelu::default()),
    };
    let learned = Threshold::Learned { initial: 1.0, share: Share::Layer };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![channels, side, side] }, &[]);
    graph.push("conv1", conv(2 + random.below(3), 3, 1), &["image"]);
    graph.push("act1", activation(prefix), &["conv1"]);
    graph.push("conv2", conv(2 + random.below(4), 1 + 2 * random.below(2), 1), &["act1"]);
    graph.push(
        "act2",
        activation(Site::Lif(Lif { threshold: learned, ..Lif::default() })),
        &["conv2"],
    );
    graph.push("conv3", conv(3 + random.below(4), 3, 1 + random.below(2)), &["act2"]);
    graph.push("act3", activation(site.clone()), &["conv3"]);
    graph.push("pool", Op::GlobalPool { pool: PoolKind::Max }, &["act3"]);
    graph.push("fc", Op::Linear { features: 4, bias: false }, &["pool"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = graph.initial_weights(random.next()).unwrap();
    for (name, tensor) in &mut weights {
        let shape = tensor.shape().to_vec();
        let values = match name.rsplit('.').next().unwrap() {
            // In units of 1/4; the pixels are in units of 1/2.
            "weight" => random.array(&shape, |random| random.int(-2, 3) as f32 / 4.0),
            "step" => random.array(&shape, |_| 0.5),
            _ => continue,
        };
        *tensor = snn_ir::Tensor::F32(values);
    }
    let preprocessing = Preprocessing::new(vec![128; channels], vec![64.0; channels]);
    let form = Form::Trained;
    let model = Model::new(Signature::new(form, graph, time_steps, preprocessing), weights);
    Case { model, batch: 1 + random.below(4) }
}

impl Case {
    /// Pixels that preprocessing makes multiples of 1/2 out of.
    fn image(&self, leading: &[usize], random: &mut Random) -> ArrayD<u8> {
        let Op::Input { shape } = &self.model.graph().nodes[0].op else { panic!("no input") };
        let shape: Vec<usize> = leading.iter().chain(shape).copied().collect();
        random.array(&shape, |random| u8::try_from(32 * random.int(0, 7)).unwrap())
    }

    /// One image a sample, and frames that repeat it.
    fn both(&self, random: &mut Random) -> [Pixels; 2] {
        let image = self.image(&[self.batch], random);
        let views = vec![image.view(); self.model.time_steps()];
        let frames = ndarray::stack(Axis(0), &views).unwrap();
        [Input::Static(image.view()), Input::Frames(frames.view())]
            .map(|input| Pixels::new(&input, Device::Cpu).unwrap())
    }

    fn varying(&self, random: &mut Random) -> Pixels {
        let frames = self.image(&[self.model.time_steps(), self.batch], random);
        Pixels::new(&Input::Frames(frames.view()), Device::Cpu).unwrap()
    }

    fn network(&self, kind: Kind, training: TrainingOptions) -> Network {
        let options = NetworkOptions {
            kind,
            training,
            registry: registry(),
            ..NetworkOptions::new(Device::Cpu)
        };
        Network::with_options(&self.model, &options).unwrap()
    }
}

struct Pass {
    step_logits: Tensor,
    gradients: Vec<(String, Tensor)>,
}

/// A training pass by the fused forms, or by tensor operations, which a monitor of membranes needs.
fn pass(network: &Network, pixels: &Pixels, plain: bool) -> Pass {
    let monitor = Monitor { membranes: true, ..Monitor::default() };
    let forward = if plain {
        network.forward_monitored(pixels, Mode::Train, monitor).unwrap().0
    } else {
        network.forward(pixels, Mode::Train).unwrap()
    };
    let logits = &forward.step_logits;
    let count = i64::try_from(logits.numel()).unwrap();
    let cotangent = Tensor::arange(count, (Kind::Double, Device::Cpu)).sin().view_as(logits);
    (logits * cotangent.to_kind(logits.kind())).sum(logits.kind()).f_backward().unwrap();
    let gradients = network.parameters().iter().filter(|p| p.learned).map(|p| {
        let gradient = p.tensor.grad();
        assert!(gradient.defined(), "no gradient reaches {}", p.name);
        (p.name.clone(), gradient)
    });
    Pass { step_logits: forward.step_logits.detach(), gradients: gradients.collect() }
}

/// Each gradient within `tolerance` of its own size, or of that of all gradients where `of_all`:
/// rounding to bf16 leaves little of a sum that cancels.
fn assert_close(found: &Pass, expected: &Pass, tolerance: f64, of_all: bool, what: &str) {
    let norm = |tensor: &Tensor| tensor.to_kind(Kind::Double).norm().double_value(&[]);
    let all = expected.gradients.iter().map(|(_, g)| norm(g).powi(2)).sum::<f64>().sqrt();
    for ((name, found), (_, expected)) in found.gradients.iter().zip(&expected.gradients) {
        let error = norm(&(found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)));
        let size = if of_all { all } else { norm(expected).max(1e-3) };
        assert!(error <= tolerance * size, "{what}: {name}, {error:e} of {size:e}");
    }
}

/// `check` of six random shapes for each kind of site, of which most must fire.
fn every_case(seed: u64, check: impl Fn(&Case, &mut Random, &str)) {
    let mut random = Random::new(seed);
    let mut fired = 0;
    for (name, site) in sites() {
        for round in 0..6 {
            let case = case(&site, &mut random);
            let frames = case.varying(&mut random);
            let network = case.network(Kind::Double, TrainingOptions::default());
            let (_, rates) = network.forward_with_rates(&frames, Mode::Evaluate).unwrap();
            fired += usize::from(rates.iter().all(|site| site.rate > 0.0));
            check(&case, &mut random, &format!("{name}, shape {round}"));
        }
    }
    assert!(fired >= 12, "only {fired} of 24 networks have no silent site: they show too little");
}

#[test]
fn repeated_frames_are_the_image_to_the_bit_in_every_mode() {
    every_case(1, |case, random, what| {
        let [image, frames] = case.both(random);
        for (kind, precision) in [
            (Kind::Float, Precision::F32),
            (Kind::Double, Precision::F32),
            (Kind::Float, Precision::Bf16),
        ] {
            for checkpointing in [Checkpointing::Off, Checkpointing::Blocks] {
                let what = format!("{what}, {kind:?}, {precision}, {checkpointing:?}");
                let network = || case.network(kind, TrainingOptions { precision, checkpointing });
                let (once, repeated) = (network(), network());
                let evaluate = |pixels| once.forward(pixels, Mode::Evaluate).unwrap().step_logits;
                assert!(evaluate(&image).equal(&evaluate(&frames)), "{what}: evaluation");
                let (once, repeated) =
                    (pass(&once, &image, false), pass(&repeated, &frames, false));
                assert!(once.step_logits.equal(&repeated.step_logits), "{what}: scores");
                // Gradients before the first spiking site are summed over time in another order.
                let tolerance = match (kind, precision) {
                    (_, Precision::Bf16) => 0.02,
                    (Kind::Double, _) => 1e-12,
                    _ => 1e-5,
                };
                let bf16 = precision == Precision::Bf16;
                assert_close(&repeated, &once, tolerance, bf16, &what);
            }
        }
    });
}

#[test]
fn frames_train_alike_in_fused_and_plain_forms() {
    every_case(2, |case, random, what| {
        let frames = case.varying(random);
        let network = || case.network(Kind::Double, TrainingOptions::default());
        let (fused, plain) = (pass(&network(), &frames, false), pass(&network(), &frames, true));
        assert!(fused.step_logits.equal(&plain.step_logits), "{what}");
        assert_close(&fused, &plain, 1e-10, false, what);
    });
}

#[test]
fn activation_checkpointing_changes_no_bit_of_frames() {
    every_case(3, |case, random, what| {
        let frames = case.varying(random);
        for precision in [Precision::F32, Precision::Bf16] {
            let run = |checkpointing| {
                let network =
                    case.network(Kind::Float, TrainingOptions { precision, checkpointing });
                pass(&network, &frames, false)
            };
            let (kept, again) = (run(Checkpointing::Off), run(Checkpointing::Blocks));
            assert!(kept.step_logits.equal(&again.step_logits), "{what}, {precision}");
            for ((name, kept), (_, again)) in kept.gradients.iter().zip(&again.gradients) {
                assert!(kept.equal(again), "{what}, {precision}: {name}");
            }
        }
    });
}

#[test]
fn steps_on_frames_lower_the_loss_with_custom_neurons_and_surrogates() {
    for (name, site) in sites() {
        let mut random = Random::new(4);
        let mut case = case(&site, &mut random);
        case.batch = 6;
        let frames = case.varying(&mut random);
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 3, 0, 1]);
        for checkpointing in [Checkpointing::Off, Checkpointing::Blocks] {
            let training = TrainingOptions { checkpointing, ..TrainingOptions::default() };
            let mut network = case.network(Kind::Float, training);
            let loss = |network: &Network| {
                let forward = network.forward(&frames, Mode::Train).unwrap();
                forward.logits.cross_entropy_for_logits(&labels)
            };
            let first = loss(&network).double_value(&[]);
            for _ in 0..40 {
                loss(&network).backward();
                for parameter in network.parameters().iter().filter(|p| p.learned) {
                    let mut gradient = parameter.tensor.grad();
                    let mut tensor = parameter.tensor.shallow_clone();
                    let _same = tch::no_grad(|| tensor.f_sub_(&(&gradient * 0.1))).unwrap();
                    let _same = gradient.zero_();
                }
                network.project().unwrap();
            }
            let last = loss(&network).double_value(&[]);
            assert!(last < 0.9 * first, "{name}: loss {first}, after 40 steps {last}");
        }
    }
}
