//! Neurons, sites, a block and the loss against other libraries: `fixtures/golden` has their
//! values, the scripts that made them, and a table of where the libraries agree.

use crate::common::golden::{Grid, cases, check, compare, fixture};
use serde::Deserialize;
use snn_core::quant_relu::{quant_levels, quant_relu};
use snn_core::tch::{Device, Kind, Reduction, Tensor};
use snn_core::{LifParameters, Mode, Network, Pixels, lif, surrogate};
use snn_ir::ResetGradient;
use snn_ir::{
    Conv, Form, Graph, Input, Lif, Model, Norm, Op, Preprocessing, Share, Signature, Site,
    Surrogate, Weights,
};

/// Both precisions and what rounding may do in each, relative to the larger of 1 and the value.
const PRECISIONS: [(Kind, f64); 2] = [(Kind::Double, 1e-12), (Kind::Float, 1e-6)];
/// Gradients through batch statistics, single precision: theirs are off by 2.4e-6 too with channels
/// last in memory.
const BLOCK_SINGLE: f64 = 5e-6;
/// Spikes, levels and what is computed from them without rounding.
const EXACT: f64 = 0.0;

#[test]
fn a_wrong_value_is_found_and_named() {
    let expected = Grid { shape: vec![2, 3], values: vec![0.5, -1.0, 8.0, 0.0, 1.0, 3.0] };
    let found = expected.tensor(Kind::Double);
    assert_eq!(compare("x", &found, &expected, EXACT), Ok(()));
    let nudge = |by: f64| {
        let mut nudged = expected.clone();
        nudged.values[4] += by;
        nudged
    };
    let message = compare("x", &found, &nudge(1e-9), 1e-12).unwrap_err();
    assert!(message.contains("1 of 6") && message.contains("[1, 1]"), "{message}");
    assert!(compare("x", &found, &nudge(f64::NAN), 1e-12).unwrap_err().contains("[1, 1]"));
    assert!(compare("x", &found, &nudge(f64::EPSILON), EXACT).is_err());
    assert_eq!(compare("x", &found, &nudge(1e-14), 1e-12), Ok(()));
    assert!(compare("x", &found.view([3, 2]), &expected, 1.0).unwrap_err().contains("shape"));
}

#[derive(Deserialize)]
struct SurrogateCase {
    dtype: String,
    surrogate: Surrogate,
    x: Grid,
    spikes: Grid,
    derivative: Grid,
}

#[test]
fn surrogates() {
    for case in cases::<SurrogateCase>("surrogates.json") {
        let (kind, tolerance) = PRECISIONS[usize::from(case.dtype == "float32")];
        let what = format!("{:?} in {}", case.surrogate, case.dtype);
        let x = case.x.leaf(kind);
        let spikes = surrogate::spike(&x, &case.surrogate).unwrap();
        check(&format!("spikes of {what}"), &spikes, &case.spikes, EXACT);
        spikes.sum(kind).backward();
        check(&format!("gradient of {what}"), &x.grad(), &case.derivative, tolerance);
        let derivative = surrogate::derivative(&x, &case.surrogate).unwrap();
        check(&format!("derivative of {what}"), &derivative, &case.derivative, tolerance);
        let plain = surrogate::spike(&x.detach(), &case.surrogate).unwrap();
        check(&format!("spikes without gradient of {what}"), &plain, &case.spikes, EXACT);
    }
}

#[derive(Deserialize)]
struct NeuronCase {
    name: String,
    neuron: Lif,
    leak: Option<LeakValues>,
    currents: Grid,
    spike_weights: Grid,
    membrane_weights: Grid,
    spikes: Grid,
    membranes: Grid,
    gradient_detached: Grid,
    gradient_flowing: Grid,
}

/// The learned `a` of PLIF and its gradients.
#[derive(Deserialize)]
struct LeakValues {
    value: f64,
    detached: f64,
    flowing: f64,
}

fn neurons(file: &str) {
    for case in cases::<NeuronCase>(file) {
        for (kind, tolerance) in PRECISIONS {
            for reset_gradient in [ResetGradient::Detached, ResetGradient::Flowing] {
                let neuron = Lif { reset_gradient, ..case.neuron.clone() };
                let what = format!("{}, {reset_gradient:?}, {kind:?}", case.name);
                let (gradient, leak_gradient) = match reset_gradient {
                    ResetGradient::Detached => {
                        (&case.gradient_detached, case.leak.as_ref().map(|leak| leak.detached))
                    }
                    ResetGradient::Flowing => {
                        (&case.gradient_flowing, case.leak.as_ref().map(|leak| leak.flowing))
                    }
                };
                let single = |value: f64| Grid::row(&[value]);
                let leak = case.leak.as_ref().map(|leak| single(leak.value).leaf(kind));

                // All macro-steps at once, then one by one.
                let steps = usize::try_from(case.currents.shape[0]).unwrap();
                for stepwise in [false, true] {
                    let what = format!("{what}, {}", if stepwise { "step" } else { "sequence" });
                    let currents = case.currents.leaf(kind);
                    let mut leak = leak.as_ref().map(|leak| leak.detach().set_requires_grad(true));
                    let parameters =
                        LifParameters { leak: leak.as_ref(), ..LifParameters::default() };
                    let (spikes, last) = if stepwise {
                        let (mut spikes, mut membranes, mut state) = (Vec::new(), Vec::new(), None);
                        for current in currents.unbind(0) {
                            let (fired, next) =
                                lif::step(&neuron, parameters, &current, state.as_ref()).unwrap();
                            spikes.push(fired);
                            membranes.push(next.membrane.shallow_clone());
                            state = Some(next);
                        }
                        let membranes = Tensor::stack(&membranes, 0);
                        check(
                            &format!("membranes of {what}"),
                            &membranes,
                            &case.membranes,
                            tolerance,
                        );
                        (Tensor::stack(&spikes, 0), state.unwrap())
                    } else {
                        lif::sequence(&neuron, parameters, &currents, steps, None).unwrap()
                    };
                    check(&format!("spikes of {what}"), &spikes, &case.spikes, EXACT);
                    let loss = (&spikes * case.spike_weights.tensor(kind)).sum(kind)
                        + (&last.membrane * case.membrane_weights.tensor(kind)).sum(kind);
                    loss.backward();
                    check(&format!("gradient of {what}"), &currents.grad(), gradient, tolerance);
                    if let (Some(leak), Some(expected)) = (&mut leak, leak_gradient) {
                        check(
                            &format!("leak's gradient of {what}"),
                            &leak.grad(),
                            &single(expected),
                            tolerance,
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn integrate_and_fire() {
    neurons("neurons_if.json");
}

#[test]
fn leaky_integrate_and_fire() {
    neurons("neurons_lif.json");
}

#[test]
fn learned_leak() {
    neurons("neurons_plif.json");
}

#[derive(Deserialize)]
struct QuantCase {
    levels: u8,
    share: Share,
    step: Grid,
    x: Grid,
    weights: Grid,
    level: Grid,
    output: Grid,
    gradient: Grid,
    step_gradient: Grid,
}

#[test]
fn quantised_relu() {
    for case in cases::<QuantCase>("quant_relu.json") {
        assert_eq!(case.step.values.len() > 1, case.share == Share::Channel);
        for (kind, tolerance) in PRECISIONS {
            let what = format!("D = {}, s = {:?}, {kind:?}", case.levels, case.step.values);
            let (x, step) = (case.x.leaf(kind), case.step.leaf(kind));
            let level = quant_levels(&x, &step, case.levels, 1).unwrap();
            check(&format!("levels of {what}"), &level, &case.level, EXACT);
            let output = quant_relu(&x, &step, case.levels, 1).unwrap();
            check(
                &format!("output of {what}"),
                &output,
                &case.output,
                if kind == Kind::Double { EXACT } else { tolerance },
            );
            (output * case.weights.tensor(kind)).sum(kind).backward();
            check(&format!("gradient of {what}"), &x.grad(), &case.gradient, EXACT);
            check(
                &format!("step's gradient of {what}"),
                &step.grad(),
                &case.step_gradient,
                tolerance,
            );
        }
    }
}

#[derive(Deserialize)]
struct BlockFixture {
    time_steps: usize,
    mean: Vec<u8>,
    std: Vec<f64>,
    eps: f64,
    kernel: usize,
    stride: usize,
    padding: usize,
    cases: Vec<BlockCase>,
}

#[derive(Deserialize)]
struct BlockCase {
    name: String,
    channels: usize,
    groups: usize,
    frames: bool,
    pixels: Grid,
    weights: Grid,
    #[serde(flatten)]
    before: Parameters,
    evaluate: Output,
    train: Trained,
}

#[derive(Deserialize)]
struct Output {
    currents: Grid,
    spikes: Grid,
}

#[derive(Deserialize)]
struct Trained {
    #[serde(flatten)]
    output: Output,
    /// Gradients of weights, and running statistics after the step.
    #[serde(flatten)]
    after: Parameters,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(rename = "conv.weight")]
    weight: Grid,
    #[serde(rename = "bn.weight")]
    scale: Grid,
    #[serde(rename = "bn.bias")]
    shift: Grid,
    #[serde(rename = "bn.running_mean")]
    mean: Grid,
    #[serde(rename = "bn.running_var")]
    variance: Grid,
}

impl Parameters {
    fn named(&self) -> [(&'static str, &Grid); 5] {
        [
            ("conv.weight", &self.weight),
            ("bn.weight", &self.scale),
            ("bn.bias", &self.shift),
            ("bn.running_mean", &self.mean),
            ("bn.running_var", &self.variance),
        ]
    }
}

/// Convolution, batch norm and, if requested, the neuron; its values are the class scores.
fn block(fixture: &BlockFixture, case: &BlockCase, spiking: bool, kind: Kind) -> Network {
    let shape = case
        .pixels
        .shape
        .iter()
        .rev()
        .take(3)
        .rev()
        .map(|&n| usize::try_from(n).unwrap())
        .collect();
    let conv = Conv {
        padding: vec![fixture.padding; 2],
        groups: case.groups,
        ..Conv::square(case.channels, fixture.kernel, fixture.stride)
    };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape }, &[]);
    graph.push("conv", Op::Conv(conv), &["image"]);
    graph.push("bn", Op::BatchNorm(Norm::with_eps(fixture.eps)), &["conv"]);
    if spiking {
        graph.push("act", Op::Activation { site: Site::Lif(Lif::default()), code: None }, &["bn"]);
    }
    graph.push("flat", Op::Flatten, &[if spiking { "act" } else { "bn" }]);
    graph.push("head", Op::TimeMean, &["flat"]);
    let weights: Weights = case
        .before
        .named()
        .into_iter()
        .map(|(name, grid)| (name.to_string(), grid.array(|&v| v).into()))
        .collect();
    let preprocessing = Preprocessing::new(fixture.mean.clone(), fixture.std.clone());
    let time_steps = fixture.time_steps;
    let model =
        Model::new(Signature::new(Form::Trained, graph, time_steps, preprocessing), weights);
    Network::new(&model, Device::Cpu, kind).unwrap()
}

#[test]
fn block_in_training_and_evaluation() {
    let fixture: BlockFixture = fixture("block.json");
    for case in &fixture.cases {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "pixels are whole and below 256"
        )]
        let pixels = case.pixels.array(|&v| v as u8);
        let input =
            if case.frames { Input::Frames(pixels.view()) } else { Input::Static(pixels.view()) };
        let pixels = Pixels::new(&input, Device::Cpu).unwrap();
        for (kind, tolerance) in PRECISIONS {
            let through_statistics = if kind == Kind::Double { tolerance } else { BLOCK_SINGLE };
            for (mode, output) in
                [(Mode::Evaluate, &case.evaluate), (Mode::Train, &case.train.output)]
            {
                let what = format!("{}, {mode:?}, {kind:?}", case.name);
                let currents =
                    block(&fixture, case, false, kind).forward(&pixels, mode).unwrap().step_logits;
                let currents = currents.view(output.currents.shape.as_slice());
                check(&format!("currents of {what}"), &currents, &output.currents, tolerance);
                let network = block(&fixture, case, true, kind);
                let spikes = network.forward(&pixels, mode).unwrap().step_logits;
                let spikes = spikes.view(output.spikes.shape.as_slice());
                check(&format!("spikes of {what}"), &spikes, &output.spikes, EXACT);
                if mode == Mode::Evaluate {
                    continue;
                }
                (spikes * case.weights.tensor(kind)).sum(kind).backward();
                let after = case.train.after.named();
                assert_eq!(network.parameters().len(), after.len());
                for (name, expected) in after {
                    let parameter = network
                        .parameters()
                        .iter()
                        .find(|parameter| parameter.name == name)
                        .unwrap();
                    let found = if parameter.learned {
                        parameter.tensor.grad()
                    } else {
                        parameter.tensor.shallow_clone()
                    };
                    check(&format!("{name} of {what}"), &found, expected, through_statistics);
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct LossCase {
    smoothing: f64,
    logits: Grid,
    labels: Vec<i64>,
    loss: f64,
    gradient: Grid,
}

/// The call that `snn_train::loss` makes.
#[test]
fn cross_entropy_with_smoothing() {
    for case in cases::<LossCase>("loss.json") {
        for (kind, tolerance) in PRECISIONS {
            let what = format!("smoothing {}, {:?}, {kind:?}", case.smoothing, case.logits.shape);
            let logits = case.logits.leaf(kind);
            let labels = Tensor::from_slice(&case.labels);
            let loss = logits.cross_entropy_loss(
                &labels,
                None::<&Tensor>,
                Reduction::Mean,
                -100,
                case.smoothing,
            );
            check(
                &format!("loss of {what}"),
                &loss,
                &Grid { shape: vec![], values: vec![case.loss] },
                tolerance,
            );
            loss.backward();
            check(&format!("gradient of {what}"), &logits.grad(), &case.gradient, tolerance);
        }
    }
}
