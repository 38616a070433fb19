//! One layer of a deployment again and again, for profilers: `layer-run CHANNELS SIZE STEPS PERCENT
//! TIMES [auto|events|patterns|dense|bare]`.
//!
//! The layer is that of `layer-chart`, on one thread; `bare` is the loop that it is compared with
//! there. Counts of two runs of different TIMES, subtracted, leave out the start.
#![expect(clippy::print_stdout, reason = "the result goes to stdout")]

use anyhow::{Context, Result, bail};
use snn_benches::bare::Bare;
use snn_benches::layer::{frames, model};
use snn_ir::Code;
use snn_runtime::deploy::{Deployment, Kernels, Options};
use std::hint::black_box;
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (numbers, form) = arguments.split_at(arguments.len().min(5));
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let &[channels, size, steps, percent, times] = numbers.as_slice() else {
        bail!("wants CHANNELS SIZE STEPS PERCENT TIMES [auto|events|patterns|dense|bare]")
    };
    let percent = u32::try_from(percent)?;
    let kernels = match form {
        [] => Kernels::Auto,
        [form] if form == "auto" => Kernels::Auto,
        [form] if form == "events" => Kernels::Events,
        [form] if form == "patterns" => Kernels::StepTree,
        [form] if form == "dense" => Kernels::Dense,
        [form] if form == "bare" => {
            let mut bare = Bare::new(channels, size, steps, percent)?;
            let mut run = || {
                let started = Instant::now();
                black_box(bare.run());
                Ok(started.elapsed().as_nanos())
            };
            return report((0..times).map(|_| run()).collect::<Result<_>>()?);
        }
        other => bail!("no form {other:?}: auto, events, patterns, dense or bare"),
    };
    let options = Options { statistics: true, kernels, ..Options::default() };
    let mut session =
        Deployment::new(&model(channels, size, steps, Code::Binary), &options)?.session();
    let frames = frames(steps * channels * size * size, percent, 1);
    let mut run = || {
        session.reset_statistics();
        session.run_frames(&frames)?;
        let layer =
            session.statistics().iter().find(|node| node.node == "layer").context("the layer")?;
        Ok(u128::from(layer.nanoseconds))
    };
    report((0..times).map(|_| run()).collect::<Result<_>>()?)
}

/// Prints the least and the median.
fn report(mut nanoseconds: Vec<u128>) -> Result<()> {
    nanoseconds.sort_unstable();
    let (least, median) =
        (nanoseconds.first().context("TIMES is 0")?, nanoseconds[nanoseconds.len() / 2]);
    println!("least {least} ns, median {median} ns");
    Ok(())
}
