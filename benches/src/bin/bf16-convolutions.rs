//! Convolutions of bf16 values on AMX tiles beside libtorch's, pass by pass: what decides which of
//! them training uses.
//!
//! `bf16-convolutions [SECONDS]` gives each pass of each shape so many seconds on either side
//! (0.5), on one thread, and writes `docs/results/training/convolutions.md`. It needs a processor
//! with AMX, and a core that nothing else uses.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use anyhow::{Context, Result};
use snn_benches::measured::footer;
use snn_benches::turns::median;
use snn_core::autograd;
use snn_core::convolution::{Passes, convolve_on_tiles};
use snn_core::tch::{Device, Kind, Tensor, no_grad, set_num_threads};
use snn_ir::Conv;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Of networks in configs and of ResNet-20: images, channels in and out, side, stride.
const SHAPES: [(i64, usize, usize, i64, usize); 14] = [
    (128, 64, 256, 15, 1),
    (128, 256, 256, 7, 1),
    (128, 256, 256, 3, 1),
    (128, 128, 128, 15, 1),
    (128, 128, 384, 15, 1),
    (128, 384, 384, 7, 1),
    (128, 512, 512, 3, 1),
    (128, 64, 64, 32, 1),
    (128, 64, 128, 32, 2),
    (128, 128, 128, 16, 1),
    (128, 256, 256, 8, 1),
    (128, 512, 512, 4, 1),
    (256, 32, 32, 16, 1),
    (256, 64, 64, 8, 1),
];

/// A pass of a convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pass {
    Forward,
    InputGradient,
    WeightGradient,
}

const PASSES: [Pass; 3] = [Pass::Forward, Pass::InputGradient, Pass::WeightGradient];

/// A convolution of a weight in f32.
type Convolve<'a> = &'a dyn Fn(&Tensor, &Tensor) -> Result<Tensor>;

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(0.5), |seconds| seconds.parse())?;
    let budget = Duration::try_from_secs_f64(seconds)?;
    set_num_threads(1);
    snn_core::keep_memory();
    let mut text = "# Convolutions of bf16 values on AMX tiles beside libtorch's\n\n\
        Kernels of 3 × 3, one thread; milliseconds, and GFLOP/s of all multiplications, those by\n\
        padding among them. The last column of each pass says how many times as long libtorch's\n\
        takes.\n\n\
        | images | channels | side | stride | forward | libtorch | × | input gradient \
        | libtorch | × | weight gradient | libtorch | × |\n\
        |--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_string();
    for (images, inputs, outputs, side, stride) in SHAPES {
        let conv = Conv::square(outputs, 3, stride);
        let size = |n: usize| i64::try_from(n).context("a size");
        let kind = (Kind::Float, Device::Cpu);
        let x = Tensor::f_randn([images, side, side, size(inputs)?], kind)?;
        let x = x.f_to_kind(Kind::BFloat16)?.f_permute([0, 3, 1, 2])?;
        let weight = Tensor::f_randn([size(outputs)?, size(inputs)?, 3, 3], kind)?;
        let stride = [size(stride)?; 2];
        let by_libtorch = |x: &Tensor, weight: &Tensor| -> Result<Tensor> {
            let weight = weight.f_to_kind(Kind::BFloat16)?;
            Ok(x.f_conv2d(&weight, None::<&Tensor>, stride, [1, 1], [1, 1], 1)?)
        };
        let on_tiles = |x: &Tensor, weight: &Tensor| {
            convolve_on_tiles(x, weight, &conv, Passes::ALL)?
                .context("this processor has no AMX, or SNN_INSTRUCTION_SET names another set")
        };
        let positions = by_libtorch(&x, &weight)?.size()[2];
        let operations = 18 * size(inputs)? * size(outputs)? * images * positions * positions;
        write!(text, "| {images} | {inputs} → {outputs} | {side} | {} |", stride[0])?;
        for pass in PASSES {
            let ours = seconds_of(pass, budget, &on_tiles, &x, &weight)?;
            let theirs = seconds_of(pass, budget, &by_libtorch, &x, &weight)?;
            let figure = |seconds: f64| {
                format!("{:.2} ({:.0})", seconds * 1e3, operations as f64 / seconds / 1e9)
            };
            write!(text, " {} | {} | {:.2} |", figure(ours), figure(theirs), theirs / ours)?;
        }
        text.push('\n');
    }
    write!(text, "\n{}\n", footer("cargo run --release -p snn-benches --bin bf16-convolutions")?)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    std::fs::write(root.join("docs/results/training/convolutions.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// The median of what a pass takes, after two that are not counted.
fn seconds_of(
    pass: Pass,
    budget: Duration,
    convolve: Convolve<'_>,
    x: &Tensor,
    weight: &Tensor,
) -> Result<f64> {
    let x = x.f_detach()?.f_set_requires_grad(pass == Pass::InputGradient)?;
    let weight = weight.f_detach()?.f_set_requires_grad(pass == Pass::WeightGradient)?;
    let gradient = no_grad(|| convolve(&x, &weight))?.f_randn_like()?;
    let once = || -> Result<f64> {
        if pass == Pass::Forward {
            let begun = Instant::now();
            let _y = no_grad(|| convolve(&x, &weight))?;
            return Ok(begun.elapsed().as_secs_f64());
        }
        let y = convolve(&x, &weight)?;
        // A loss that costs nothing and has this gradient.
        let loss = Tensor::f_zeros([1], (Kind::BFloat16, Device::Cpu))?;
        let gradient = gradient.shallow_clone();
        autograd::record("loss", &[&y], &[&loss], &[], move |_| {
            Ok(vec![Some(gradient.shallow_clone())])
        })?;
        let target = if pass == Pass::InputGradient { &x } else { &weight };
        let begun = Instant::now();
        Tensor::f_run_backward(&[&loss], &[target], false, false)?;
        Ok(begun.elapsed().as_secs_f64())
    };
    for _ in 0..2 {
        once()?;
    }
    let (start, mut seconds) = (Instant::now(), Vec::new());
    while seconds.len() < 3 || start.elapsed() < budget {
        seconds.push(once()?);
    }
    median(&seconds).context("a pass")
}
