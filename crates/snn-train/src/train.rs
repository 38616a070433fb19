//! The training loop.

use crate::accuracy::{count_correct, to_device, validate};
use crate::checkpoint::{Checkpoint, Position};
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::loss::cross_entropy;
use crate::metrics::{EpochMetrics, RunInfo, RunResult, peak_memory_bytes};
use crate::model::initial_model;
use crate::progress::{Options, Outcome, Progress};
use crate::run::RunFolder;
use crate::sgd::Optimiser;
use crate::trainee::{OffGrid, Steps, Trainee};
use snn_core::Network;
use snn_data::{Dataset, LastBatch, LoaderConfig, split_holdout};
use snn_hybrid::Placement;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tch::{Device, Kind};

/// Images in a batch of evaluation: large enough to be fast, small enough for any memory.
const EVALUATION_BATCH: usize = 256;

/// Trains a network as `config` says, in the folder `folder`.
///
/// The same config, seed, device, threads and build give the same weights bit for bit, however often the run was stopped and resumed. Held-out images are evaluated after every
/// epoch, the test set once after the last; nothing is selected by either.
///
/// # Errors
/// The config does not fit the data, the folder is in use or damaged, files cannot be read or written, or the loss is no number.
pub fn train(
    config: &RunConfig,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    config.validate()?;
    let data = Dataset::open_named(config.data.dataset, options.data_root.as_deref())?;
    let (template, placement) = initial_model(config, &data)?;
    let folder = RunFolder::begin(folder, config, options.start)?;
    set_threads(config.threads);
    let network = Network::new(&template, options.device, Kind::Float)?;
    let mut trainee = OffGrid { network, template };
    fit(&mut trainee, &Job { config, data: &data, placement: &placement, folder: &folder, options }, progress)
}

/// What the loop needs beside the network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) data: &'a Dataset,
    pub(crate) placement: &'a Placement,
    pub(crate) folder: &'a RunFolder,
    pub(crate) options: &'a Options,
}

/// The loop, from top to bottom.
#[expect(clippy::too_many_lines, reason = "a training loop is read in one piece")]
pub(crate) fn fit(trainee: &mut dyn Trainee, job: &Job<'_>, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Outcome> {
    let Job { config, data, folder, .. } = *job;

    // Data: an image is a function of (seed, epoch, index), so batches need no state to be resumed.
    let parts = split_holdout(data.train.len(), config.data.held_out, config.seed)?;
    let held_out = data.train.select(&parts.validation)?;
    let loader = LoaderConfig {
        batch_size: config.batch,
        seed: config.seed,
        last_batch: LastBatch::Drop,
        threads: config.data.loader_threads,
        augment: config.augment(&data.channel_mean_u8),
        ..LoaderConfig::default()
    }
    .init(&data.train, Some(parts.train))?;
    let steps = loader.batches_per_epoch();

    // State: from the checkpoint, if there is one.
    let mut optimiser = config.optimiser.init(trainee.parameters(), trainee.graph())?;
    if trainee.steps() == Steps::BySize {
        optimiser.scale_rates_by_size()?; // of the weights it starts with, whatever the checkpoint holds
    }
    let mut position = if let Some(checkpoint) = folder.checkpoint()? {
        restore(trainee, &mut optimiser, &checkpoint, folder, (config.epochs, steps))?
    } else {
        folder.write_info(&info(config, job.options.device))?;
        save(trainee, &optimiser, Position::default(), folder)?;
        Position::default()
    };
    let mut clock = Clock::new();
    progress(Progress::Begun {
        placement: job.placement,
        parameters: parameter_count(trainee),
        epochs: config.epochs,
        steps,
        epoch: position.epoch.min(config.epochs - 1) + 1,
        step: position.step,
    });

    let mut steps_left = job.options.step_limit;
    while position.epoch < config.epochs {
        let first = position.epoch * steps;
        let rate_at =
            |step: usize| config.optimiser.learning_rate * config.schedule.factor(first + step, config.epochs * steps);
        for batch in loader.epoch_from(position.epoch as u64, position.step)? {
            if steps_left == Some(0) {
                return Ok(Outcome::Stopped { steps: first + position.step });
            }
            steps_left = steps_left.map(|left| left - 1);

            let batch = batch?;
            let (pixels, labels) = to_device(&batch, trainee.device())?;
            let learning_rate = rate_at(position.step);
            let logits = trainee.forward(&pixels)?;
            let loss = cross_entropy(&logits, &labels, config.label_smoothing)?;
            let value = loss.f_double_value(&[])?;
            if !value.is_finite() {
                return Err(Error::Diverged { epoch: position.epoch, step: position.step, loss: value });
            }
            loss.f_backward()?;
            optimiser.step(learning_rate)?;
            trainee.project()?;

            let images = batch.labels.len();
            position.step += 1;
            position.loss += value * images as f64;
            position.correct += count_correct(&logits, &labels)?;
            position.images += images;
            clock.training(&mut position);
            progress(Progress::Step {
                epoch: position.epoch + 1,
                step: position.step,
                loss: value,
                learning_rate,
                images_per_second: position.images as f64 / position.epoch_seconds,
            });
            let every = config.checkpoint_every;
            if every > 0 && position.step % every == 0 && position.step < steps {
                save(trainee, &optimiser, position, folder)?;
                clock.other(&mut position);
            }
        }

        // End of an epoch. A kill between these writes repeats them: the checkpoint, which ends the epoch, comes last.
        let (validation, rates) = validate(trainee, &held_out, EVALUATION_BATCH)?;
        let metrics = EpochMetrics {
            epoch: position.epoch + 1,
            learning_rate: rate_at(steps - 1),
            train_loss: position.loss / position.images as f64,
            train_accuracy: position.correct as f64 / position.images as f64,
            validation_accuracy: (validation.images > 0).then(|| validation.share()),
            firing_rates: rates.into_iter().map(|rate| (rate.site, rate.rate)).collect(),
            images_per_second: position.images as f64 / position.epoch_seconds,
            peak_memory_bytes: peak_memory_bytes(),
        };
        folder.write_metrics(&metrics)?;
        folder.write_model(&trainee.model()?)?;
        clock.other(&mut position);
        position = Position { epoch: position.epoch + 1, seconds: position.seconds, ..Position::default() };
        save(trainee, &optimiser, position, folder)?;
        progress(Progress::Epoch(&metrics));
    }

    if let Some(result) = folder.result()? {
        return Ok(Outcome::Finished(result));
    }
    progress(Progress::Testing);
    let (test, _) = validate(trainee, &data.test, EVALUATION_BATCH)?;
    clock.other(&mut position);
    let result = RunResult {
        dataset: data.name.to_string(),
        test_accuracy: test.share(),
        test_images: test.images,
        validation_accuracy: folder.metrics()?.last().and_then(|metrics| metrics.validation_accuracy),
        final_epoch: config.epochs,
        wall_seconds: position.seconds,
        policy: config.policy.clone(),
        relu_share: job.placement.relu_share(),
        time_steps: config.time_steps,
        parameters: parameter_count(trainee),
    };
    folder.write_result(&result)?;
    Ok(Outcome::Finished(result))
}

fn save(trainee: &dyn Trainee, optimiser: &Optimiser, position: Position, folder: &RunFolder) -> Result<()> {
    let checkpoint = Checkpoint { weights: trainee.weights()?, momentum: optimiser.state()?, position };
    checkpoint.save(&folder.checkpoint_path())
}

fn restore(
    trainee: &mut dyn Trainee,
    optimiser: &mut Optimiser,
    checkpoint: &Checkpoint,
    folder: &RunFolder,
    (epochs, steps): (usize, usize),
) -> Result<Position> {
    let damaged = |reason: String| Error::Damaged { path: folder.checkpoint_path(), reason };
    let Position { epoch, step, .. } = checkpoint.position;
    if epoch > epochs || step > steps || (epoch == epochs && step > 0) {
        return Err(damaged(format!("epoch {epoch}, step {step} of a run of {epochs} epochs of {steps} steps")));
    }
    trainee.load(&checkpoint.weights).map_err(|e| damaged(e.to_string()))?;
    optimiser.restore(&checkpoint.momentum).map_err(|e| damaged(e.to_string()))?;
    Ok(checkpoint.position)
}

fn info(config: &RunConfig, device: Device) -> RunInfo {
    RunInfo {
        seed: config.seed,
        version: env!("CARGO_PKG_VERSION").to_string(),
        device: format!("{device:?}"),
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
        started_unix_seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    }
}

fn parameter_count(trainee: &dyn Trainee) -> usize {
    trainee.parameters().iter().filter(|parameter| parameter.learned).map(|parameter| parameter.tensor.numel()).sum()
}

pub(crate) fn set_threads(threads: usize) {
    if let (1.., Ok(threads)) = (threads, i32::try_from(threads)) {
        tch::set_num_threads(threads);
    }
}

/// Adds the time since it was last asked to a position.
struct Clock {
    last: Instant,
}

impl Clock {
    fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Time that counts as training.
    fn training(&mut self, position: &mut Position) {
        position.epoch_seconds += self.other(position);
    }

    /// Time that does not.
    fn other(&mut self, position: &mut Position) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        position.seconds += seconds;
        seconds
    }
}
