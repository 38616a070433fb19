//! Every kind of LIF neuron on tensors: levels and gradients against dual numbers, and whole
//! networks against the naive evaluator.

use crate::common::{Random, assert_same, grid_model};
use snn_core::tch::{Device, Kind, Tensor, no_grad};
use snn_core::{Libtorch, LifParameters, Mode, Monitor, Network, Pixels, Warning, lif, surrogate};
use snn_ir::Naive;
use snn_ir::testing::{Numbers, Sites, pixels, trained_with};
use snn_ir::{
    Adaptation, Code, Evaluate, FirstMembrane, Form, Input, Leak, Lif, Op, Record, Reset, Share,
    Site, Spike, Surrogate, Synapse, Threshold,
};
use snn_ir::{GridAdaptation, GridReset, GridSynapse, ResetGradient};

const STEPS: usize = 6;
/// One derivative for each current and one for the threshold.
const VARIABLES: usize = STEPS + 1;

/// A number with its derivatives (forward-mode differentiation).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Dual {
    value: f64,
    slope: [f64; VARIABLES],
}

impl Dual {
    fn constant(value: f64) -> Self {
        Self { value, slope: [0.0; VARIABLES] }
    }

    fn variable(value: f64, index: usize) -> Self {
        let mut variable = Self::constant(value);
        variable.slope[index] = 1.0;
        variable
    }

    /// `f(self, other)`, given its two partial derivatives.
    fn join(self, other: Self, value: f64, by_self: f64, by_other: f64) -> Self {
        let slope = std::array::from_fn(|i| by_self * self.slope[i] + by_other * other.slope[i]);
        Self { value, slope }
    }

    fn plus(self, other: Self) -> Self {
        self.join(other, self.value + other.value, 1.0, 1.0)
    }

    fn minus(self, other: Self) -> Self {
        self.join(other, self.value - other.value, 1.0, -1.0)
    }

    fn times(self, other: Self) -> Self {
        self.join(other, self.value * other.value, other.value, self.value)
    }

    fn scaled(self, factor: f64) -> Self {
        self.times(Self::constant(factor))
    }

    fn detached(self) -> Self {
        Self::constant(self.value)
    }
}

/// `h′(x)` of the library, whose closed forms are tested elsewhere.
fn derivative(surrogate: &Surrogate, x: f64) -> f64 {
    surrogate::derivative(&Tensor::from_slice(&[x]), surrogate).unwrap().double_value(&[0])
}

/// A level with its derivatives for `u` and `Θ`, as `docs/semantics.md`, section 4, says.
fn fire(neuron: &Lif, u: Dual, theta: Dual) -> Dual {
    let (x, t) = (u.value, theta.value);
    let h = |x: f64| derivative(&neuron.surrogate, x);
    let straight = neuron.surrogate == Surrogate::StraightThrough;
    let one = |condition: bool| f64::from(u8::from(condition));
    match neuron.spike {
        Spike::Binary => u.join(theta, one(x >= t), h(x - t), -h(x - t)),
        Spike::Ternary => {
            let (up, down) = if straight { (0.5, 0.5) } else { (h(x - t), h(-t - x)) };
            u.join(theta, one(x >= t) - one(x <= -t), up + down, down - up)
        }
        Spike::Integer { levels } => {
            let value = (x / t + 0.5).floor().clamp(0.0, f64::from(levels));
            if straight {
                let inside = one((0.0..=f64::from(levels)).contains(&(x / t)));
                return u.join(theta, value, inside / t, -inside * x / (t * t));
            }
            let places = || (0..levels).map(|d| f64::from(d) + 0.5);
            let by_u = places().map(|p| h(x - p * t)).sum();
            let by_theta = places().map(|p| -p * h(x - p * t)).sum();
            u.join(theta, value, by_u, by_theta)
        }
    }
}

/// Eq. 8 in dual numbers.
fn reference(neuron: &Lif, factor: f64, threshold: f64, currents: &[f64; STEPS]) -> Vec<Dual> {
    let rest = Dual::constant(neuron.rest());
    let theta = match neuron.threshold {
        Threshold::Learned { .. } => Dual::variable(threshold, STEPS),
        Threshold::Fixed(_) => Dual::constant(threshold),
    };
    let first = match neuron.initial {
        FirstMembrane::Rest => rest,
        FirstMembrane::Potential(potential) => Dual::constant(potential),
        FirstMembrane::Threshold { share } => rest.plus(theta.minus(rest).scaled(share)),
    };
    let (mut membrane, mut current, mut adaptation) =
        (first, Dual::constant(0.0), Dual::constant(0.0));
    let mut levels = Vec::new();
    for (t, &input) in currents.iter().enumerate() {
        let input = Dual::variable(input, t);
        current = match neuron.synapse {
            Synapse::Instant => input,
            Synapse::Current { alpha } => current.scaled(alpha).plus(input),
        };
        let u = rest.plus(membrane.minus(rest).scaled(factor)).plus(current);
        let effective = match neuron.adaptation {
            Adaptation::None => theta,
            Adaptation::Threshold { strength, .. } => theta.plus(adaptation.scaled(strength)),
        };
        let o = fire(neuron, u, effective);
        // |o|, and whether there is a spike.
        let size = if o.value < 0.0 {
            o.scaled(-1.0)
        } else if o.value > 0.0 {
            o
        } else {
            o.scaled(0.0)
        };
        let size = if neuron.spike == Spike::Ternary { size } else { o };
        let full = if o.value > 1.0 { Dual::constant(1.0) } else { size };
        if let Adaptation::Threshold { decay, .. } = neuron.adaptation {
            adaptation = adaptation.scaled(decay).plus(size);
        }
        let flowing = neuron.reset_gradient == ResetGradient::Flowing;
        let keep = |dual: Dual| if flowing { dual } else { dual.detached() };
        membrane = match neuron.reset {
            Reset::Hard { .. } => {
                let full = keep(full);
                u.times(Dual::constant(1.0).minus(full)).plus(rest.times(full))
            }
            Reset::Soft => u.minus(keep(theta.times(o))),
            Reset::None => u,
        };
        levels.push(o);
    }
    levels
}

fn neurons() -> Vec<Lif> {
    let mut neurons = Vec::new();
    let synapses = [Synapse::Instant, Synapse::Current { alpha: 0.7 }];
    let adaptations = [Adaptation::None, Adaptation::Threshold { decay: 0.8, strength: 0.3 }];
    let thresholds =
        [Threshold::Fixed(0.7), Threshold::Learned { initial: 0.7, share: Share::Layer }];
    for spike in [Spike::Binary, Spike::Ternary, Spike::Integer { levels: 3 }] {
        for reset in [Reset::Hard { potential: 0.0 }, Reset::Soft, Reset::None] {
            for (synapse, adaptation) in
                synapses.iter().flat_map(|s| adaptations.iter().map(move |a| (*s, *a)))
            {
                if matches!(spike, Spike::Integer { .. }) && adaptation != Adaptation::None {
                    continue;
                }
                for threshold in thresholds {
                    for reset_gradient in [ResetGradient::Detached, ResetGradient::Flowing] {
                        for surrogate in [
                            Surrogate::default(),
                            Surrogate::StraightThrough,
                            Surrogate::Gaussian { sigma: 0.4 },
                        ] {
                            let leak = Leak::Factor { factor: 0.6 };
                            let initial = [
                                FirstMembrane::Rest,
                                FirstMembrane::Potential(0.4),
                                FirstMembrane::Threshold { share: 0.5 },
                            ][neurons.len() % 3];
                            neurons.push(Lif {
                                leak,
                                threshold,
                                reset,
                                spike,
                                synapse,
                                adaptation,
                                initial,
                                reset_gradient,
                                surrogate,
                            });
                        }
                    }
                }
            }
        }
    }
    let potential = Reset::Hard { potential: -0.4 };
    neurons.push(Lif {
        reset: potential,
        synapse: synapses[1],
        adaptation: adaptations[1],
        initial: FirstMembrane::Threshold { share: 0.25 },
        ..Lif::default()
    });
    neurons
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

fn close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 1e-10 * expected.abs().max(1.0),
        "{what}: found {found}, expected {expected}"
    );
}

#[test]
fn levels_and_gradients_of_every_kind() {
    let mut random = Random::new(31);
    let mut negative = 0;
    for neuron in neurons() {
        for _ in 0..3 {
            let currents: [f64; STEPS] = std::array::from_fn(|_| random.real(-1.5, 1.8));
            let weights: [f64; STEPS] = std::array::from_fn(|_| random.real(-2.0, 2.0));
            let threshold = if matches!(neuron.threshold, Threshold::Learned { .. }) {
                0.6
            } else {
                neuron.threshold.initial()
            };
            let factor = match neuron.leak {
                Leak::Factor { factor } | Leak::Learned { initial: factor } => factor,
            };
            let leaf = Tensor::from_slice(&currents).set_requires_grad(true);
            let theta = Tensor::from_slice(&[threshold]).set_requires_grad(true);
            let parameters = LifParameters { threshold: Some(&theta), ..LifParameters::default() };
            let (levels, _) =
                lif::sequence(&neuron, parameters, &leaf.view([6, 1]), STEPS, None).unwrap();
            (levels.view([-1]) * Tensor::from_slice(&weights)).sum(Kind::Double).backward();
            let expected = reference(&neuron, factor, threshold, &currents);
            let what = format!("{neuron:?}, {currents:?}");
            assert_eq!(
                values(&levels),
                expected.iter().map(|o| o.value).collect::<Vec<_>>(),
                "{what}"
            );
            negative += expected.iter().filter(|o| o.value < 0.0).count();
            let sum = |variable: usize| {
                expected.iter().zip(&weights).map(|(o, w)| w * o.slope[variable]).sum::<f64>()
            };
            for (t, found) in values(&leaf.grad()).into_iter().enumerate() {
                close(found, sum(t), &what);
            }
            if matches!(neuron.threshold, Threshold::Learned { .. }) {
                close(values(&theta.grad())[0], sum(STEPS), &what);
            }
            // Without a gradient the same levels, and step by step.
            let mut state = None;
            for (current, expected) in currents.iter().zip(&expected) {
                let current = Tensor::from_slice(&[*current]);
                let detached = theta.detach();
                let parameters =
                    LifParameters { threshold: Some(&detached), ..LifParameters::default() };
                let (level, next) =
                    lif::step(&neuron, parameters, &current, state.as_ref()).unwrap();
                assert_eq!(values(&level), [expected.value], "{what}");
                state = Some(next);
            }
        }
    }
    assert!(negative > 100, "{negative} spikes of −1");
}

#[test]
fn random_networks_of_every_kind_agree_with_the_naive_evaluator() {
    for numbers in [Numbers::Real, Numbers::Dyadic] {
        for seed in 0..60 {
            let model = trained_with(seed, numbers, Sites::All);
            let pixels = pixels(&model, 2, seed);
            let input = Input::Static(pixels.view());
            let theirs = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
            let ours = Libtorch::new(&model, Device::Cpu)
                .unwrap()
                .evaluate(&input, Record::Sites)
                .unwrap();
            assert_same(&ours, &theirs, &format!("{numbers:?}, seed {seed}"), true);
        }
    }
}

#[test]
fn grids_of_every_kind_are_equal_in_every_bit() {
    let mut random = Random::new(33);
    let mut negative = 0;
    for seed in 0..40 {
        let mut model = grid_model(seed, 5);
        let (mut adaptive, mut started) = (Vec::new(), Vec::new());
        for node in &mut model.graph_mut().nodes {
            let Op::Activation { site: Site::GridLif(lif), code } = &mut node.op else { continue };
            lif.spike = [Spike::Binary, Spike::Ternary, Spike::Integer { levels: 5 }]
                [usize::try_from(random.int(0, 2)).unwrap()];
            *code = Some(match lif.spike {
                Spike::Binary => Code::Binary,
                Spike::Ternary => Code::Ternary,
                Spike::Integer { .. } => Code::BitPlane,
            });
            lif.reset = [GridReset::Hard, GridReset::Soft, GridReset::None]
                [usize::try_from(random.int(0, 2)).unwrap()];
            if random.int(0, 1) == 1 {
                lif.synapse = GridSynapse::Current { multiplier: 5, shift: 3 };
            }
            if random.int(0, 1) == 1 && !matches!(lif.spike, Spike::Integer { .. }) {
                lif.adaptation = GridAdaptation::Threshold { multiplier: 7, shift: 3 };
                adaptive.push(node.name.clone());
            }
            if random.int(0, 1) == 1 {
                lif.initial = true;
                started.push(node.name.clone());
            }
        }
        for name in adaptive {
            let channels = model.weights()[&format!("{name}.threshold")].shape().to_vec();
            let jumps =
                random.array(&channels, |random| i32::try_from(random.int(0, 9000)).unwrap());
            model.weights_mut().insert(format!("{name}.adaptation"), snn_ir::Tensor::I32(jumps));
        }
        for name in started {
            let channels = model.weights()[&format!("{name}.threshold")].shape().to_vec();
            let first =
                random.array(&channels, |random| i32::try_from(random.int(-9000, 9000)).unwrap());
            model.weights_mut().insert(format!("{name}.initial"), snn_ir::Tensor::I32(first));
        }
        let images = random.images(&[2, 2, 8, 8]);
        let input = Input::Static(images.view());
        let theirs = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
        let ours =
            Libtorch::new(&model, Device::Cpu).unwrap().evaluate(&input, Record::Sites).unwrap();
        assert!(ours == theirs, "seed {seed}: the evaluators differ on the grid");
        for trace in &theirs.sites {
            if let snn_ir::SiteOutput::Levels(levels) = &trace.output {
                negative += levels.iter().filter(|level| **level < 0).count();
            }
        }
        // Fine-tuning computes the same integers, and every layer gets a gradient.
        let network = snn_core::GridNetwork::new(&model, Device::Cpu).unwrap();
        let pixels = Pixels::new(&input, Device::Cpu).unwrap();
        let forward = network.forward(&pixels, Mode::Train).unwrap();
        let snn_ir::Logits::Integer(sums) = &theirs.logits else { panic!("integers") };
        assert_eq!(
            values(&forward.sums),
            sums.iter().map(|sum| *sum as f64).collect::<Vec<_>>(),
            "seed {seed}"
        );
        forward.logits.square().sum(Kind::Double).backward();
        for parameter in network.parameters() {
            let gradient = parameter.tensor.grad();
            assert!(
                gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 1,
                "seed {seed}, {}",
                parameter.name
            );
        }
    }
    assert!(negative > 100, "{negative} spikes of −1");
}

#[test]
fn learned_thresholds_train_and_stay_in_range() {
    let mut graph =
        snn_ir::networks::SmallNet { width: 4, input: [3, 8, 8], ..Default::default() }.build();
    for node in &mut graph.nodes {
        if let Op::Activation { site: Site::Lif(lif), .. } = &mut node.op {
            lif.threshold = Threshold::Learned { initial: 0.8, share: Share::Channel };
            lif.reset = Reset::Hard { potential: 0.2 };
        }
    }
    let mut random = Random::new(35);
    let weights = graph.initial_weights(3).unwrap();
    let model = crate::common::trained(graph, weights, 2);
    let mut network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
    let images = random.images(&[3, 3, 8, 8]);
    let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
    network.forward(&pixels, Mode::Train).unwrap().logits.square().sum(Kind::Double).backward();
    let thresholds = || network.parameters().iter().filter(|p| p.name.ends_with(".threshold"));
    assert!(thresholds().count() > 3);
    for parameter in thresholds() {
        assert!(parameter.learned && parameter.tensor.size()[0] > 1);
        assert!(
            parameter.tensor.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0,
            "{}",
            parameter.name
        );
        let mut tensor = parameter.tensor.shallow_clone();
        let _same_tensor = no_grad(|| tensor.fill_(0.1));
    }
    network.project().unwrap();
    for parameter in network.parameters().iter().filter(|p| p.name.ends_with(".threshold")) {
        assert!(
            values(&parameter.tensor).iter().all(|v| *v > 0.2 && *v < 0.21),
            "{}",
            parameter.name
        );
    }
    let weights = network.weights().unwrap();
    model.with_weights(weights).validate().unwrap();
}

#[test]
fn monitors_tell_what_the_naive_evaluator_sees() {
    let model = trained_with(4, Numbers::Real, Sites::All);
    let pixels = pixels(&model, 3, 4);
    let input = Input::Static(pixels.view());
    let naive = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
    let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
    let pixels = Pixels::new(&input, Device::Cpu).unwrap();
    let all = Monitor { levels: true, membranes: true, gradients: true };
    let (forward, sites) = network.forward_monitored(&pixels, Mode::Evaluate, all).unwrap();
    assert!(forward.logits.equal(&network.forward(&pixels, Mode::Evaluate).unwrap().logits));
    assert_eq!(sites.len(), naive.sites.len());
    for (site, trace) in sites.iter().zip(&naive.sites) {
        assert_eq!(site.site, trace.site);
        let rate = trace.output.active() as f64 / trace.output.len() as f64;
        assert!((site.firing_rate - rate).abs() < 1e-12, "{}", site.site);
        let snn_ir::SiteOutput::Levels(levels) = &trace.output else { panic!("levels") };
        let found = values(site.levels.as_ref().unwrap());
        assert_eq!(
            found,
            levels.iter().map(|level| f64::from(*level)).collect::<Vec<_>>(),
            "{}",
            site.site
        );
        let expected = if rate > 0.95 {
            Some(Warning::Saturated)
        } else {
            (rate == 0.0).then_some(Warning::Silent)
        };
        assert_eq!(site.warning, expected);
        let node = model.graph().node(&site.site).unwrap();
        let stateful = matches!(&node.op, Op::Activation { site, .. } if site.is_stateful());
        assert_eq!(
            site.membranes.as_ref().map(Tensor::size),
            stateful.then(|| site.levels.as_ref().unwrap().size())
        );
        assert!(site.gradient_norm().unwrap().is_none(), "no gradient in evaluation");
    }
    let (plain, rates) = network.forward_with_rates(&pixels, Mode::Evaluate).unwrap();
    assert!(plain.logits.equal(&forward.logits));
    assert!(
        rates.iter().zip(&sites).all(|(rate, site)| (rate.rate - site.firing_rate).abs() < 1e-12)
    );
}

/// The norm of a head's gradient is known: `logits = x·wᵀ`, so `∂Σ logits/∂x` is the sum of the
/// rows of `w`.
#[test]
fn gradient_norms_are_those_of_the_outputs() {
    let mut graph = snn_ir::Graph::default();
    graph.push("x", Op::Input { shape: vec![4] }, &[]);
    graph.push("hidden", Op::Linear { features: 6, bias: false }, &["x"]);
    graph.push("act", Op::Activation { site: Site::Lif(Lif::default()), code: None }, &["hidden"]);
    graph.push("fc", Op::Linear { features: 3, bias: false }, &["act"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let weights = graph.initial_weights(5).unwrap();
    let preprocessing = snn_ir::Preprocessing::new(vec![128; 4], vec![64.0; 4]);
    let model =
        snn_ir::Model::new(snn_ir::Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
    let pixels = ndarray::ArrayD::<u8>::from_elem(vec![3, 4], 200);
    let pixels = Pixels::new(&Input::Static(pixels.view()), Device::Cpu).unwrap();
    let monitor = Monitor { gradients: true, ..Monitor::default() };
    let (forward, sites) = network.forward_monitored(&pixels, Mode::Train, monitor).unwrap();
    assert!(sites[0].levels.is_none() && sites[0].membranes.is_none());
    forward.logits.sum(Kind::Double).backward();
    let rows = values(
        &network
            .parameters()
            .iter()
            .find(|p| p.name == "fc.weight")
            .unwrap()
            .tensor
            .sum_dim_intlist(0, false, Kind::Double),
    );
    // Three samples, two macro-steps of weight ½ each.
    let expected = (6.0 * rows.iter().map(|sum| (sum / 2.0).powi(2)).sum::<f64>()).sqrt();
    close(sites[0].gradient_norm().unwrap().unwrap(), expected, "norm");
}

/// Activities are the means of what monitors see, over the largest level, and a step that grows
/// makes a quantised ReLU less active.
#[test]
fn activities_are_means_of_levels() {
    for seed in 0..6 {
        let model = trained_with(seed, Numbers::Real, Sites::All);
        let images = pixels(&model, 3, 4);
        let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
        let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
        let monitor = Monitor { levels: true, ..Monitor::default() };
        let (plain, sites) = network.forward_monitored(&pixels, Mode::Evaluate, monitor).unwrap();
        let (forward, activities) = network.forward_with_activity(&pixels, Mode::Evaluate).unwrap();
        assert!(forward.logits.equal(&plain.logits));
        let with_levels: Vec<_> = sites
            .iter()
            .filter_map(|site| {
                let Op::Activation { site: kind, .. } = &model.graph().node(&site.site)?.op else {
                    panic!("{} is no site", site.site)
                };
                Some((site, f64::from(kind.levels()?)))
            })
            .collect();
        assert!(!with_levels.is_empty() && activities.len() == with_levels.len());
        for (activity, (site, largest)) in activities.iter().zip(with_levels) {
            assert_eq!(activity.site, site.site);
            let levels = values(site.levels.as_ref().unwrap());
            let mean = levels.iter().map(|level| level.abs()).sum::<f64>() / levels.len() as f64;
            let found = activity.activity.double_value(&[]);
            assert!((found - mean / largest).abs() < 1e-9, "{}: {found} {mean}", site.site);
        }
    }
}

/// A step that grows makes a quantised ReLU less active, by the scaled gradient of its step, and a
/// neuron that is saturated does not move it.
#[test]
fn activities_move_steps_as_levels_do() {
    let mut graph = snn_ir::Graph::default();
    graph.push("x", Op::Input { shape: vec![3] }, &[]);
    let quant = snn_ir::QuantRelu { levels: 4, step: 0.5, ..snn_ir::QuantRelu::default() };
    graph.push("act", Op::Activation { site: Site::QuantRelu(quant), code: None }, &["x"]);
    graph.push("fc", Op::Linear { features: 2, bias: false }, &["act"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let weights = graph.initial_weights(1).unwrap();
    // Deviations of 1 around 100: x = pixel − 100.
    let preprocessing = snn_ir::Preprocessing::new(vec![100; 3], vec![1.0; 3]);
    let model =
        snn_ir::Model::new(snn_ir::Signature::new(Form::Trained, graph, 1, preprocessing), weights);
    let network = Network::new(&model, Device::Cpu, Kind::Double).unwrap();
    let step_gradient = |pixels: [u8; 3]| {
        let pixels = ndarray::ArrayD::from_shape_vec(vec![1, 3], pixels.to_vec()).unwrap();
        let pixels = Pixels::new(&Input::Static(pixels.view()), Device::Cpu).unwrap();
        let (_, sites) = network.forward_with_activity(&pixels, Mode::Train).unwrap();
        let step = network.parameters().iter().find(|p| p.name == "act.step").unwrap();
        let mut gradient = step.tensor.grad();
        if gradient.defined() {
            let _zeros = gradient.zero_();
        }
        sites[0].activity.backward();
        values(&step.tensor.grad()).iter().sum::<f64>()
    };
    // Silent or saturated (x = 50 of at most 2), nothing moves the step.
    assert!(step_gradient([90, 150, 150]).abs() < 1e-12);
    // x = 1 with a step of ½: level 2 of 4, whose activity falls by g·x/(s²·D) of three neurons.
    let found = step_gradient([90, 150, 101]);
    assert!(found < 0.0, "{found}");
    let shared: f64 =
        if network.parameters().iter().any(|p| p.name == "act.step" && p.tensor.numel() > 1) {
            1.0
        } else {
            3.0
        };
    let expected = -(1.0 / (shared * 4.0).sqrt()) * 1.0 / (0.25 * 4.0) / 3.0;
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}
