//! Our side of `cargo xtask bench-peers train`: training steps of a built-in network on random
//! images of 32×32.
//!
//! `train-step WHAT NETWORK PRECISION T BATCH THREADS [DEVICE]`: WHAT is `lif` (every site a LIF
//! neuron), `recompute` (the same with blocks computed again instead of kept), `quant-relu` (every
//! site a quantised ReLU of four levels), or `convolutions` (the network's convolutions alone,
//! forward and backward, by libtorch: nothing that calls it for them can be faster); NETWORK is a
//! built-in network, by its `kind` in a config, PRECISION `f32` or `bf16`, DEVICE `cpu` or
//! `cuda:N`. It answers `step SECONDS` with the seconds of each step of a turn, and the peak of
//! the host's memory that it has taken; a GPU is waited for after some steps, and each of them has
//! its share of their time.

use anyhow::{Context, Result, bail, ensure};
use ndarray::ArrayD;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use snn_benches::turns::{answer, median, turn};
use snn_core::tch::{Cuda, Device, Kind, Tensor, set_num_threads};
use snn_core::{
    Checkpointing, Mode, Network, NetworkOptions, Pixels, Precision, TrainingOptions, autograd,
};
use snn_ir::networks::BuiltIn;
use snn_ir::{Conv, Form, Graph, Input, Lif, Model, Op, Preprocessing, QuantRelu, Signature, Site};
use snn_train::{OptimiserConfig, SgdConfig};
use std::time::Duration;

const SIDE: usize = 32;
const CLASSES: u8 = 10;
const WARM_UP: usize = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, network, precision, numbers @ ..] = arguments.as_slice() else {
        bail!("wants WHAT NETWORK PRECISION T BATCH THREADS [DEVICE]")
    };
    let (numbers, device) = match numbers {
        [numbers @ .., device] if numbers.len() == 3 => (numbers, Some(device.as_str())),
        _ => (numbers, None),
    };
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let &[time_steps, batch, threads] = numbers.as_slice() else {
        bail!("wants WHAT NETWORK PRECISION T BATCH THREADS [DEVICE]")
    };
    let device = match device.map(|device| (device, device.strip_prefix("cuda:"))) {
        None | Some(("cpu", _)) => Device::Cpu,
        Some((_, Some(index))) => Device::Cuda(index.parse()?),
        Some((other, None)) => bail!("no device `{other}`: cpu or cuda:N"),
    };
    if let Device::Cuda(_) = device {
        Cuda::cudnn_set_benchmark(true);
    }
    let precision: Precision = precision.parse()?;
    set_num_threads(i32::try_from(threads)?);
    snn_core::keep_memory();
    let network = BuiltIn::named(network).with_context(|| format!("no network `{network}`"))?;
    let mut graph = network.graph([3, SIDE, SIDE], usize::from(CLASSES), &Lif::default());
    match what.as_str() {
        "lif" => train(
            graph,
            TrainingOptions { precision, checkpointing: Checkpointing::Off },
            time_steps,
            batch,
            device,
        ),
        "quant-relu" => {
            for node in &mut graph.nodes {
                if let Op::Activation { site, .. } = &mut node.op {
                    *site = Site::QuantRelu(QuantRelu::default());
                }
            }
            train(
                graph,
                TrainingOptions { precision, checkpointing: Checkpointing::Off },
                time_steps,
                batch,
                device,
            )
        }
        "recompute" => train(
            graph,
            TrainingOptions { precision, checkpointing: Checkpointing::Blocks },
            time_steps,
            batch,
            device,
        ),
        "convolutions" => convolutions(&graph, precision, time_steps, batch, device),
        other => bail!("no work `{other}`: lif, recompute, quant-relu or convolutions"),
    }
}

/// Steps after which a GPU is waited for.
const UNTIL_READ: usize = 10;

/// Seconds of each step of a turn; on a GPU those of some steps together, shared between them.
fn timed(
    device: Device,
    budget: Duration,
    mut step: impl FnMut() -> Result<()>,
) -> Result<Vec<f64>> {
    let Device::Cuda(index) = device else { return turn(budget, step) };
    let index = i64::try_from(index)?;
    let several = || {
        for _ in 0..UNTIL_READ {
            step()?;
        }
        Cuda::synchronize(index);
        Ok(())
    };
    Ok(turn(budget, several)?.into_iter().map(|seconds| seconds / UNTIL_READ as f64).collect())
}

/// Warms up, and answers with the seconds of steps and what memory they took beyond `before`.
fn serve(before: u64, mut step: impl FnMut(Duration) -> Result<Vec<f64>>) -> Result<()> {
    for _ in 0..WARM_UP {
        step(Duration::ZERO)?;
    }
    answer(&json!({ "ready": true }), |what, budget| {
        ensure!(what == "step", "nothing to measure called `{what}`: step");
        let seconds = step(budget)?;
        let peak = memory("VmHWM")?.saturating_sub(before);
        Ok(json!({ "seconds": seconds, "peak_mib": peak as f64 / f64::from(1 << 20) }))
    })
}

fn train(
    graph: Graph,
    training: TrainingOptions,
    time_steps: usize,
    batch: usize,
    device: Device,
) -> Result<()> {
    let weights = graph.initial_weights(1)?;
    let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![63.0, 62.1, 66.7]);
    let model =
        Model::new(Signature::new(Form::Trained, graph, time_steps, preprocessing), weights);
    let options = NetworkOptions { training, ..NetworkOptions::new(device) };
    let network = Network::with_options(&model, &options)?;
    let mut optimiser = OptimiserConfig::Sgd(SgdConfig::default()).init(network.parameters())?;
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    let images = ArrayD::from_shape_simple_fn(vec![batch, 3, SIDE, SIDE], || random.random::<u8>());
    let labels: Vec<i64> = (0..batch).map(|_| i64::from(random.random_range(0..CLASSES))).collect();
    let labels = Tensor::f_from_slice(&labels)?.f_to(device)?;
    let before = reset_peak()?;
    let mut step = || {
        let pixels = Pixels::new(&Input::Static(images.view()), device)?;
        let logits = network.forward(&pixels, Mode::Train)?.logits;
        let loss = logits.f_cross_entropy_loss(
            &labels,
            None::<Tensor>,
            snn_core::tch::Reduction::Mean,
            -100,
            0.0,
        )?;
        if device == Device::Cpu {
            let value = loss.f_double_value(&[])?;
            ensure!(value.is_finite(), "the loss is {value}");
        }
        loss.f_backward()?;
        optimiser.step(0.01)?;
        Ok(())
    };
    serve(before, |budget| timed(device, budget, &mut step))
}

/// Every convolution of the graph by itself: forward, and backward to its weights, unless they are
/// frozen, and, but for the first, to its input.
fn convolutions(
    graph: &Graph,
    precision: Precision,
    time_steps: usize,
    batch: usize,
    device: Device,
) -> Result<()> {
    let kind = (precision.kind(), device);
    let resolved = graph.resolve()?;
    let before = reset_peak()?;
    let mut steps = Vec::new();
    for (node, info) in graph.nodes.iter().zip(&resolved.nodes) {
        let Op::Conv(conv) = &node.op else { continue };
        // The first reads images that do not vary.
        let first = steps.is_empty();
        let samples = if first { batch } else { batch * time_steps };
        steps.push(convolution(
            conv,
            &resolved.nodes[info.inputs[0]].shape,
            &info.shape,
            samples,
            kind,
            [!node.frozen, !first],
        )?);
    }
    let count = u32::try_from(steps.len())?;
    // Each is repeated by itself, and so finds in the caches what they hold: the bound is not to be
    // too low.
    serve(before, |budget| {
        let medians = steps.iter_mut().map(|step| {
            step()?;
            median(&timed(device, budget / count, step)?).context("a step")
        });
        Ok(vec![medians.sum::<Result<f64>>()?])
    })
}

fn convolution(
    conv: &Conv,
    from: &[usize],
    to: &[usize],
    samples: usize,
    (kind, device): (Kind, Device),
    [to_weight, to_input]: [bool; 2],
) -> Result<impl FnMut() -> Result<()>> {
    let size = |n: usize| i64::try_from(n).context("a size");
    let images = |shape: &[usize]| -> Result<Tensor> {
        let shape = [size(samples)?, size(shape[1])?, size(shape[2])?, size(shape[0])?];
        Ok(Tensor::f_randn(shape, (Kind::Float, device))?
            .f_to_kind(kind)?
            .f_permute([0, 3, 1, 2])?)
    };
    let snn_ir::Geometry { kernel, stride, padding, .. } = conv.as_2d();
    let pair =
        |values: [usize; 2]| -> Result<[i64; 2]> { Ok([size(values[0])?, size(values[1])?]) };
    let (kernel, stride, padding) = (pair(kernel)?, pair(stride)?, pair(padding)?);
    let weight = Tensor::f_randn(
        [size(to[0])?, size(from[0])?, kernel[0], kernel[1]],
        (Kind::Float, device),
    )?;
    let weight = weight.f_to_kind(kind)?.f_set_requires_grad(to_weight)?;
    let x = images(from)?.f_set_requires_grad(to_input)?;
    let gradient = images(to)?;
    Ok(move || {
        let y = x.f_conv2d(&weight, None::<&Tensor>, stride, padding, [1, 1], 1)?;
        // A loss that costs nothing and has this gradient.
        let (loss, gradient) = (Tensor::f_zeros([1], (kind, device))?, gradient.shallow_clone());
        autograd::record("loss", &[&y], &[&loss], &[], move |_| {
            Ok(vec![Some(gradient.shallow_clone())])
        })?;
        let wanted = [(to_weight, &weight), (to_input, &x)].into_iter();
        let wanted: Vec<&Tensor> = wanted.filter_map(|(to, x)| to.then_some(x)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        Tensor::f_run_backward(&[loss], &wanted, false, false)?;
        Ok(())
    })
}

/// Lets the kernel count the peak of resident memory from now on, and returns what is resident.
fn reset_peak() -> Result<u64> {
    std::fs::write("/proc/self/clear_refs", "5").context("the peak of memory cannot be reset")?;
    memory("VmRSS")
}

fn memory(key: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line
        .and_then(|line| line.split_whitespace().next())
        .with_context(|| format!("no {key}"))?;
    Ok(number.parse::<u64>()? * 1024)
}
