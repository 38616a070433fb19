//! What a training will cost, from a few steps of each of its stages.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use snn_train::{Options, Outcome, Progress, RunConfig};
use std::num::NonZeroUsize;

/// Epochs of each stage that are measured; the last counts, when everything is warm.
const EPOCHS: usize = 2;

/// What a stage of a training will cost, its evaluation not counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageCost {
    /// What is trained.
    pub(crate) stage: String,
    /// Its epochs.
    pub(crate) epochs: usize,
    /// Training samples of an epoch.
    pub(crate) samples: usize,
    /// Training samples a second, as measured.
    pub(crate) samples_per_second: f64,
    /// Largest memory of the process by then, in bytes; absent where the system does not tell.
    pub(crate) peak_memory_bytes: Option<u64>,
}

impl StageCost {
    /// Seconds of all its epochs.
    pub(crate) fn seconds(&self) -> f64 {
        (self.epochs * self.samples) as f64 / self.samples_per_second
    }
}

/// Trains each stage of a config for `steps` steps, after as many to warm up, and says what all of
/// it will cost. What is trained is thrown away.
///
/// # Errors
/// There are no data, or fewer samples than these steps take; the training fails.
pub(crate) fn estimate(
    config: &RunConfig,
    steps: NonZeroUsize,
    options: &Options,
) -> Result<Vec<StageCost>> {
    let root = options.data_root.as_deref();
    let samples = config.open_data(root)?.train.len();
    let short = shortened(config, steps)?;
    // A twin may have fewer samples, or others.
    let (twin_epochs, twin_samples) = match config.twin_config()? {
        Some(twin) => (twin.epochs, twin.open_data(root)?.train.len()),
        None => (config.epochs, samples),
    };
    let folder = tempfile::tempdir()?;
    let mut stages: Vec<StageCost> = Vec::new();
    let begin = |name: &str, (epochs, samples)| StageCost {
        stage: name.to_owned(),
        epochs,
        samples,
        samples_per_second: 0.0,
        peak_memory_bytes: None,
    };
    let outcome =
        snn_train::train(&short, folder.path(), options, &mut |progress| match progress {
            Progress::Stage { number, of, name } => stages.push(begin(
                name,
                match number {
                    _ if number == of => (config.epochs, samples),
                    1 => (twin_epochs, twin_samples),
                    _ => (config.crossover.epochs, samples),
                },
            )),
            Progress::Epoch(metrics) => {
                if stages.is_empty() {
                    stages.push(begin("network", (config.epochs, samples)));
                }
                if let Some(stage) = stages.last_mut() {
                    stage.samples_per_second = metrics.images_per_second;
                    stage.peak_memory_bytes = metrics.peak_memory_bytes;
                }
            }
            _ => {}
        })?;
    match outcome {
        Outcome::Finished(_) => Ok(stages),
        Outcome::Interrupted { .. } | Outcome::Stopped { .. } => bail!("interrupted"),
    }
}

/// The config with a few steps in every stage, and next to no evaluation. Groups of weights may be
/// frozen in the first epochs or after them, so there are none.
fn shortened(config: &RunConfig, steps: NonZeroUsize) -> Result<RunConfig> {
    let of_stage = |prefix: &str, stage: &RunConfig| {
        let mut sets = vec![
            format!("{prefix}epochs={EPOCHS}"),
            format!("{prefix}data.limit={}", stage.batch * steps.get()),
            format!("{prefix}data.test_limit=1"),
            format!("{prefix}data.mix_epochs=0"),
            format!("{prefix}batch_norm_reestimation.batches=0"),
            format!("{prefix}groups=[]"),
        ];
        if stage.data.held_out > 0 {
            sets.push(format!("{prefix}data.validation_limit=1"));
        }
        sets
    };
    let mut sets = of_stage("", config);
    if let Some(twin) = config.twin_config()? {
        sets.extend(of_stage("twin.", &twin));
    }
    if config.crossover.stages > 1 {
        sets.push(format!("crossover.epochs={EPOCHS}"));
    }
    let short = RunConfig::with_overrides(&config.to_toml()?, &sets);
    short.with_context(|| format!("a training of {steps} steps"))
}
