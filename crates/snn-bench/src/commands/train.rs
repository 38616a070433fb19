//! `train`: a config into a run folder.

use crate::Outcome;
use crate::cli::Train;
use crate::output::{self, print_json};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use snn_train::{Options, Progress, RunConfig, RunResult};
use std::path::Path;
use tch::Device;

pub(crate) fn run(arguments: &Train, json: bool) -> Result<Outcome> {
    let config = RunConfig::load(&arguments.config, &arguments.sets)?;
    let result = train(&config, &arguments.target.out, &arguments.target.options())?;
    report(&arguments.target.out, &result, json)
}

/// Prints what a run reached.
pub(crate) fn report(folder: &Path, result: &RunResult, json: bool) -> Result<Outcome> {
    if json {
        print_json(result)?;
    } else {
        output::line(format_args!(
            "{}: test accuracy {:.2} % on {} images after {} epochs (validation {}), {:.1} % of the neurons ReLU, T = {}, {:.0} s",
            folder.display(),
            100.0 * result.test_accuracy,
            result.test_images,
            result.final_epoch,
            result.validation_accuracy.map_or("none".to_string(), |v| format!("{:.2} %", 100.0 * v)),
            100.0 * result.relu_share,
            result.time_steps,
            result.wall_seconds,
        ))?;
    }
    Ok(Outcome::Holds)
}

/// Trains with progress on stderr.
pub(crate) fn train(config: &RunConfig, folder: &Path, options: &Options) -> Result<RunResult> {
    with_progress(options.device, |show| snn_train::train(config, folder, options, show))
}

/// Runs a training loop to its end with progress on stderr.
pub(crate) fn with_progress(
    device: Device,
    training: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> snn_train::Result<snn_train::Outcome>,
) -> Result<RunResult> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let mut show = |progress: Progress<'_>| match progress {
        Progress::Begun { placement, parameters, epochs, steps, epoch, step } => {
            bar.suspend(|| {
                output::tell(placement);
                let device = match device {
                    Device::Cpu => "the CPU".to_string(),
                    other => format!("{other:?}"),
                };
                output::tell(format_args!("{parameters} learned values, {epochs} epochs of {steps} steps on {device}"));
                if epoch > 1 || step > 0 {
                    output::tell(format_args!("resumed at epoch {epoch}, step {step}"));
                }
            });
            bar.set_length(steps as u64);
        }
        Progress::Step { epoch, step, loss, images_per_second, .. } => {
            bar.set_position(step as u64);
            bar.set_message(format!("epoch {epoch}: loss {loss:.3}, {images_per_second:.0} images/s"));
        }
        Progress::Epoch(metrics) => bar.suspend(|| {
            let rates = &metrics.firing_rates;
            let mean = rates.values().sum::<f64>() / rates.len().max(1) as f64;
            output::tell(format_args!(
                "epoch {}: loss {:.4}, train {:.2} %, validation {}, mean firing rate {:.3}, {:.0} images/s",
                metrics.epoch,
                metrics.train_loss,
                100.0 * metrics.train_accuracy,
                metrics.validation_accuracy.map_or("none".to_string(), |v| format!("{:.2} %", 100.0 * v)),
                mean,
                metrics.images_per_second,
            ));
        }),
        Progress::Testing => bar.set_message("evaluating the test set"),
        _ => {}
    };
    let outcome = training(&mut show);
    bar.finish_and_clear();
    match outcome? {
        snn_train::Outcome::Finished(result) => Ok(result),
        snn_train::Outcome::Stopped { steps } => anyhow::bail!("the run was stopped after {steps} steps"),
    }
}
