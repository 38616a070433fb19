//! `train`: a config into a run folder.

use crate::chance;
use crate::cli::Train;
use crate::commands::processes;
use crate::convertible::refusal;
use crate::device::tell_of_kernels;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::progress::Minutes;
use crate::table::counted;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::SIGINT;
use snn_train::{Options, Progress, RunConfig, RunResult};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tch::Device;

/// Exit code after Ctrl-C: 128 and the number of the signal, as shells have it.
const INTERRUPTED: i32 = 130;

pub(crate) fn run(arguments: &Train, json: bool) -> Result<Outcome> {
    let mut config = RunConfig::load(&arguments.config, &arguments.sets)?;
    let mut options = Options {
        stop: stop_on_ctrl_c()?,
        twin: arguments.twin.clone(),
        ..arguments.target.options()
    };
    processes::join(&mut config, &mut options)?;
    let result = train(&config, &arguments.target.out, &options, ResumeHint::Resume)?;
    if processes::is_silent(&options) {
        return Ok(Outcome::Holds);
    }
    report(&arguments.target.out, &result, json)
}

/// Prints what a run reached.
pub(crate) fn report(folder: &Path, result: &RunResult, json: bool) -> Result<Outcome> {
    if json {
        print_json(result)?;
    } else {
        output::line(format_args!(
            "{}: test accuracy {:.2} % on {} images after {} (validation {}), {:.1} % of the \
             neurons ReLU, T = {}, {:.0} s",
            folder.display(),
            100.0 * result.test_accuracy,
            result.test_images,
            counted(result.final_epoch, "epoch"),
            result
                .validation_accuracy
                .map_or("none".to_string(), |v| format!("{:.2} %", 100.0 * v)),
            100.0 * result.relu_share,
            result.time_steps,
            result.wall_seconds,
        ))?;
        if let Some(twin) = &result.twin {
            output::line(format_args!(
                "its twin: test accuracy {:.2} % after {}, T = {}; {:.0} s before this stage",
                100.0 * twin.test_accuracy,
                counted(twin.final_epoch, "epoch"),
                twin.time_steps,
                twin.wall_seconds,
            ))?;
        }
        let images = result.test_images;
        if let Some(sentence) = chance::sentence(result.test_accuracy, result.chance, images) {
            output::line(sentence)?;
        }
    }
    Ok(Outcome::Holds)
}

/// A flag that Ctrl-C sets, so that a run ends with a checkpoint; a second Ctrl-C ends the process
/// at once.
pub(crate) fn stop_on_ctrl_c() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::clone(&stop))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&stop))?;
    Ok(stop)
}

/// Which command goes on with a training that Ctrl-C stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ResumeHint {
    /// The same with `--resume`.
    Resume,
    /// The same.
    Same,
}

impl fmt::Display for ResumeHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resume => "the same command with --resume goes on from there",
            Self::Same => "the same command goes on from there",
        })
    }
}

/// Ends the process as a shell expects it of a program that Ctrl-C ended.
#[expect(clippy::exit, reason = "no command has this as an outcome")]
pub(crate) fn interrupted(message: Option<fmt::Arguments<'_>>) -> ! {
    if let Some(message) = message {
        output::tell(message);
    }
    std::process::exit(INTERRUPTED)
}

/// Flags by which Ctrl-C ends a command that trains now and then.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    /// Set by Ctrl-C; a training ends with a checkpoint then.
    pub(crate) stop: Arc<AtomicBool>,
    /// `true` while Ctrl-C is to end the process at once.
    pub(crate) at_once: Arc<AtomicBool>,
}

impl Interrupt {
    /// Ctrl-C ends the process at once, until `at_once` is false.
    pub(crate) fn new() -> Result<Self> {
        let at_once = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(
            SIGINT,
            INTERRUPTED,
            Arc::clone(&at_once),
        )?;
        Ok(Self { stop: stop_on_ctrl_c()?, at_once })
    }
}

/// Trains with progress on stderr.
pub(crate) fn train(
    config: &RunConfig,
    folder: &Path,
    options: &Options,
    hint: ResumeHint,
) -> Result<RunResult> {
    with_progress(options, hint, |show| snn_train::train(config, folder, options, show))
}

/// Runs a training loop to its end with progress on stderr.
#[expect(clippy::too_many_lines, reason = "one arm for each thing that is told")]
pub(crate) fn with_progress(
    options: &Options,
    hint: ResumeHint,
    training: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> snn_train::Result<snn_train::Outcome>,
) -> Result<RunResult> {
    let (device, is_silent) = (options.device, processes::is_silent(options));
    if !is_silent {
        tell_of_kernels(device);
    }
    let bar = if is_silent { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let mut minutes = Minutes::new(Instant::now());
    // The epoch before, and what was told of conversion.
    let (mut before, mut told) = (None, None);
    let mut show = |progress: Progress<'_>| match progress {
        Progress::Damaged { part, samples, first } => {
            bar.suspend(|| output::tell(crate::files::damage(part, samples, first)));
        }
        Progress::Stage { number, of, name } => {
            before = None;
            bar.suspend(|| output::tell(format_args!("stage {number} of {of}: the {name}")));
        }
        Progress::Begun {
            placement,
            differences,
            model,
            parameters,
            epochs,
            steps,
            epoch,
            step,
            resumed,
        } => {
            bar.suspend(|| {
                output::tell(placement);
                let refusal = if resumed { None } else { refusal(model) }.map(|e| e.to_string());
                if let Some(refusal) = refusal.filter(|refusal| told.as_ref() != Some(refusal)) {
                    output::tell(format_args!(
                        "warning: this network trains, but `snn convert` will refuse it: {refusal}"
                    ));
                    told = Some(refusal);
                }
                for difference in differences {
                    output::tell(format_args!("start_from: {}", shortened(difference)));
                }
                let device = match device {
                    Device::Cpu => "the CPU".to_string(),
                    other => format!("{other:?}"),
                };
                output::tell(format_args!(
                    "{parameters} learned values, {} of {} on {device}",
                    counted(epochs, "epoch"),
                    counted(steps, "step"),
                ));
                if epoch > 1 || step > 0 {
                    output::tell(format_args!("resumed at epoch {epoch}, step {step}"));
                }
            });
            bar.set_length(steps as u64);
        }
        Progress::Step { epoch, step, loss, images_per_second, .. } => {
            bar.set_position(step as u64);
            bar.set_message(format!(
                "epoch {epoch}: loss {loss:.3}, {images_per_second:.0} images/s"
            ));
            if bar.is_hidden() && minutes.due(Instant::now()) {
                let steps = bar.length().unwrap_or(0);
                output::tell(format_args!(
                    "epoch {epoch}, step {step} of {steps}: loss {loss:.3}, {images_per_second:.0} \
                     images/s"
                ));
            }
        }
        Progress::Epoch(metrics) => bar.suspend(|| {
            let rates = &metrics.firing_rates;
            // Training on the grid records none.
            let mean = if rates.is_empty() {
                String::new()
            } else {
                format!(
                    "mean firing rate {:.3}, ",
                    rates.values().sum::<f64>() / rates.len() as f64
                )
            };
            let memory = metrics.peak_memory_bytes.map_or_else(String::new, |bytes| {
                format!(", peak memory {:.0} MiB", bytes as f64 / f64::from(1 << 20))
            });
            output::tell(format_args!(
                "epoch {}: loss {:.4}, train {:.2} %, validation {}, {mean}{:.0} images/s{memory}",
                metrics.epoch,
                metrics.train_loss,
                100.0 * metrics.train_accuracy,
                metrics
                    .validation_accuracy
                    .map_or("none".to_string(), |v| format!("{:.2} %", 100.0 * v)),
                metrics.images_per_second,
            ));
            for warning in metrics.warnings(before.as_ref()) {
                output::tell(format_args!("warning: {warning}"));
            }
            before = Some(metrics.clone());
        }),
        Progress::Testing => bar.set_message("evaluating the test set"),
        _ => {}
    };
    let outcome = if is_silent { training(&mut |_| {}) } else { training(&mut show) };
    bar.finish_and_clear();
    match outcome? {
        snn_train::Outcome::Finished(result) => Ok(result),
        snn_train::Outcome::Interrupted { steps } => {
            let message = format_args!("interrupted after {steps} steps; {hint}");
            interrupted(if is_silent { None } else { Some(message) })
        }
        snn_train::Outcome::Stopped { steps } => {
            anyhow::bail!("the run was stopped after {steps} steps")
        }
    }
}

/// A line that a screen has room for: the beginning and the end of a longer one, which `run.json`
/// has whole.
fn shortened(line: &str) -> String {
    const MOST: usize = 200;
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= MOST {
        return line.to_owned();
    }
    let [start, end] = [&letters[..MOST / 2], &letters[letters.len() - MOST / 2..]];
    let [start, end] = [start, end].map(|part| part.iter().collect::<String>());
    format!("{start} … {end} (whole in run.json)")
}
