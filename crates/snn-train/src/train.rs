//! The training loop.

use crate::batches::Batches;
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::evaluate::{count_correct, labels_to_device, to_device, validate};
use crate::loss::Targets;
use crate::loss::teacher::Teacher;
use crate::model::initial_model;
use crate::optim::Optimiser;
use crate::optim::ema::Ema;
use crate::progress::{Options, Outcome, Progress};
use crate::run::RunFolder;
use crate::run::checkpoint::{Checkpoint, Position};
use crate::run::clock::Clock;
use crate::run::metrics::{EpochMetrics, RunInfo, RunResult, peak_memory_bytes};
use crate::run::tensorboard::EventFile;
use crate::trainable::{OffGrid, Steps, Trainable};
use snn_core::{Network, NetworkOptions};
use snn_data::Dataset;
use snn_hybrid::Placement;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};
use tch::Device;

/// Images in a batch of evaluation: large enough to be fast, small enough for any memory.
const EVALUATION_BATCH: usize = 256;

/// Trains a network as `config` says, in the folder `folder`.
///
/// The same config, seed, device, threads and build give the same weights bit for bit, however
/// often the run was stopped and resumed. Held-out images are evaluated after every epoch, the test
/// set once after the last; nothing is selected by either.
///
/// # Errors
/// The config does not fit the data, the folder is in use or damaged, files cannot be read or
/// written, or the loss is no number.
pub fn train(
    config: &RunConfig,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    config.validate()?;
    let data = Dataset::open_named(config.data.dataset, options.data_root.as_deref())?;
    let (template, placement) = initial_model(config, &data)?;
    let batches = Batches::new(config, &data)?;
    let teacher = Teacher::find(config, &data, folder, options)?;
    set_threads(config.threads);
    let network = Network::with_options(
        &template,
        &NetworkOptions { training: config.training(), ..NetworkOptions::new(options.device) },
    )?;
    let mut network = OffGrid { network, signature: template.into_parts().0 };
    let (folder, _lock) = RunFolder::begin(folder, config, options.start)?;
    let teacher =
        teacher.map(|model| Teacher::keep(&model, config, &folder, options)).transpose()?;
    let (data, batches, placement, teacher) = (&data, &batches, &placement, teacher.as_ref());
    let job = Job { config, data, batches, placement, teacher, folder: &folder, options };
    fit(&mut network, &job, progress)
}

/// What the loop needs beside the network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) data: &'a Dataset,
    pub(crate) batches: &'a Batches,
    pub(crate) placement: &'a Placement,
    pub(crate) teacher: Option<&'a Teacher>,
    pub(crate) folder: &'a RunFolder,
    pub(crate) options: &'a Options,
}

impl Job<'_> {
    /// Every site in order, with whether it spikes.
    fn sites(&self) -> Vec<(&str, bool)> {
        self.placement.sites.iter().map(|site| (site.site.as_str(), site.spiking)).collect()
    }
}

/// The loop, from top to bottom.
#[expect(clippy::too_many_lines, reason = "a training loop is read in one piece")]
pub(crate) fn fit(
    network: &mut dyn Trainable,
    job: &Job<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    let Job { config, data, folder, .. } = *job;
    let Batches { loader, steps, held_out } = job.batches;
    let (steps, reestimated) = (*steps, config.batch_norm_reestimation.batches);

    // State: from the checkpoint, if there is one.
    let mut optimiser = config.optimiser.init(network.parameters(), network.graph())?;
    if network.steps() == Steps::BySize {
        optimiser.scale_rates_by_size()?; // of the weights it starts with, whatever the checkpoint holds
    }
    let mut average = Ema::new(config.weight_average, network.parameters())?;
    let checkpoint = folder.checkpoint()?;
    let mut position = match &checkpoint {
        Some(checkpoint) => restore(
            network,
            &mut optimiser,
            &mut average,
            checkpoint,
            folder,
            (config.epochs, steps),
        )?,
        None => Position::default(),
    };
    let mut events = folder.events(position.events)?;
    if checkpoint.is_none() {
        folder.write_info(&info(config, job.options.device))?;
        save(network, &optimiser, &average, &mut events, &mut position, folder)?;
    }
    drop(checkpoint);
    let mut clock = Clock::new();
    progress(Progress::Begun {
        placement: job.placement,
        parameters: parameter_count(network),
        epochs: config.epochs,
        steps,
        epoch: position.epoch.min(config.epochs - 1) + 1,
        step: position.step,
    });

    let mut steps_left = job.options.step_limit;
    while position.epoch < config.epochs {
        let first = position.epoch * steps;
        for batch in loader.epoch_from(position.epoch as u64, position.step)? {
            if steps_left == Some(0) {
                return Ok(Outcome::Stopped { steps: first + position.step });
            }
            steps_left = steps_left.map(|left| left - 1);

            let batch = batch?;
            let dominant = labels_to_device(batch.targets.dominant(), network.device())?;
            let (pixels, labels) = to_device(&batch, network.device())?;
            let mixture = batch.targets.mixture.as_ref().filter(|mixture| mixture.share < 1.0);
            let mixed = mixture.map(|mixture| {
                Ok::<_, Error>((
                    labels_to_device(&mixture.others, network.device())?,
                    mixture.share,
                ))
            });
            let mixed = mixed.transpose()?;
            let targets = Targets { labels, mixed, smoothing: config.label_smoothing };

            let scores = network.forward(&pixels)?;
            let mut loss = config.loss.of(&scores, &targets)?;
            if let Some(teacher) = job.teacher {
                loss = teacher.correct(&loss, &scores.logits, &pixels)?;
            }
            let value = loss.f_double_value(&[])?;
            let diverged =
                |loss: f64| Error::Diverged { epoch: position.epoch, step: position.step, loss };
            if !value.is_finite() {
                return Err(diverged(value));
            }
            loss.f_backward()?;
            if config.gradient_clip > 0.0
                && !optimiser.clip_gradients(config.gradient_clip)?.is_finite()
            {
                return Err(diverged(f64::INFINITY));
            }
            let learning_rate = config.learning_rate(first + position.step, config.epochs * steps);
            optimiser.step(learning_rate)?;
            network.project()?;
            average.update(network.parameters(), first + position.step)?;

            let (images, correct) = (batch.len(), count_correct(&scores.logits, &dominant)?);
            position.step += 1;
            position.loss += value * images as f64;
            position.correct += correct;
            position.images += images;
            clock.training(&mut position);
            let images_per_second = position.images as f64 / position.epoch_seconds;
            let accuracy = correct as f64 / images as f64;
            let scalars = [
                ("train/loss", value),
                ("train/accuracy", accuracy),
                ("train/learning_rate", learning_rate),
                ("train/images_per_second", images_per_second),
            ];
            events.scalars(first + position.step, scalars)?;
            let (epoch, step) = (position.epoch + 1, position.step);
            progress(Progress::Step { epoch, step, loss: value, learning_rate, images_per_second });
            let interrupted = job.options.stop.load(Ordering::Relaxed);
            let due = config.checkpoint_every > 0
                && step.is_multiple_of(config.checkpoint_every)
                && step < steps;
            if interrupted || due {
                save(network, &optimiser, &average, &mut events, &mut position, folder)?;
                clock.other(&mut position);
            }
            if interrupted {
                return Ok(Outcome::Interrupted { steps: first + step });
            }
        }

        // End of an epoch: averaged weights, if there are any, stand in for the network's own while
        // it is measured and written.
        average.swap(network.parameters())?;
        if position.epoch + 1 == config.epochs && reestimated > 0 {
            let loader = loader.clone().without_mixing();
            let batches = loader.epoch(config.epochs as u64)?.take(reestimated);
            let device = network.device();
            network.reestimate(&mut batches.map(|batch| Ok(to_device(&batch?, device)?.0)))?;
        }
        let (validation, rates) = validate(network, held_out, EVALUATION_BATCH)?;
        let metrics = EpochMetrics {
            epoch: position.epoch + 1,
            learning_rate: config.learning_rate(first + steps - 1, config.epochs * steps),
            train_loss: position.loss / position.images as f64,
            train_accuracy: position.correct as f64 / position.images as f64,
            validation_accuracy: (validation.images > 0).then(|| validation.share()),
            firing_rates: rates.into_iter().map(|rate| (rate.site, rate.rate)).collect(),
            averaged: average.is_on(),
            images_per_second: position.images as f64 / position.epoch_seconds,
            peak_memory_bytes: peak_memory_bytes(),
        };
        // Nothing is written of weights that make no model. A kill between these writes repeats
        // them: the checkpoint, which ends the epoch, comes last.
        let model = network.model().map_err(|error| error.of_epoch(position.epoch + 1))?;
        folder.write_metrics(&metrics)?;
        folder.write_figures(&job.sites())?;
        folder.write_model(&model)?;
        events.epoch(first + steps, &metrics)?;
        average.swap(network.parameters())?;
        clock.other(&mut position);
        position = Position {
            epoch: position.epoch + 1,
            seconds: position.seconds,
            ..Position::default()
        };
        save(network, &optimiser, &average, &mut events, &mut position, folder)?;
        progress(Progress::Epoch(&metrics));
    }

    if let Some(result) = folder.result()? {
        return Ok(Outcome::Finished(result));
    }
    progress(Progress::Testing);
    average.swap(network.parameters())?;
    let (test, _) = validate(network, &data.test, EVALUATION_BATCH)?;
    clock.other(&mut position);
    let result = RunResult {
        dataset: data.name.to_string(),
        test_accuracy: test.share(),
        test_images: test.images,
        validation_accuracy: folder
            .metrics()?
            .last()
            .and_then(|metrics| metrics.validation_accuracy),
        averaged: average.is_on(),
        batch_norm_batches: reestimated,
        final_epoch: config.epochs,
        wall_seconds: position.seconds,
        policy: config.policy.clone(),
        relu_share: job.placement.relu_share(),
        time_steps: config.time_steps,
        parameters: parameter_count(network),
    };
    folder.write_result(&result)?;
    Ok(Outcome::Finished(result))
}

fn save(
    network: &dyn Trainable,
    optimiser: &Optimiser,
    average: &Ema,
    events: &mut EventFile,
    position: &mut Position,
    folder: &RunFolder,
) -> Result<()> {
    position.events = events.sync()?;
    let (weights, average, optimiser) = (network.weights()?, average.state()?, optimiser.state()?);
    Checkpoint { weights, average, optimiser, position: *position }.save(&folder.checkpoint_path())
}

fn restore(
    network: &mut dyn Trainable,
    optimiser: &mut Optimiser,
    average: &mut Ema,
    checkpoint: &Checkpoint,
    folder: &RunFolder,
    (epochs, steps): (usize, usize),
) -> Result<Position> {
    let damaged = |reason: String| Error::Damaged { path: folder.checkpoint_path(), reason };
    let Position { epoch, step, .. } = checkpoint.position;
    if epoch > epochs || step > steps || (epoch == epochs && step > 0) {
        return Err(damaged(format!(
            "epoch {epoch}, step {step} of a run of {epochs} epochs of {steps} steps"
        )));
    }
    network.load(&checkpoint.weights).map_err(|e| damaged(e.to_string()))?;
    average.restore(&checkpoint.average).map_err(|e| damaged(e.to_string()))?;
    optimiser.restore(&checkpoint.optimiser).map_err(|e| damaged(e.to_string()))?;
    Ok(checkpoint.position)
}

fn info(config: &RunConfig, device: Device) -> RunInfo {
    RunInfo {
        seed: config.seed,
        version: env!("CARGO_PKG_VERSION").to_string(),
        device: format!("{device:?}"),
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
        started_unix_seconds: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    }
}

fn parameter_count(network: &dyn Trainable) -> usize {
    network
        .parameters()
        .iter()
        .filter(|parameter| parameter.learned)
        .map(|parameter| parameter.tensor.numel())
        .sum()
}

pub(crate) fn set_threads(threads: usize) {
    if let (1.., Ok(threads)) = (threads, i32::try_from(threads)) {
        tch::set_num_threads(threads);
    }
}
