//! The training loop.

use crate::error::{Error, Result};
use crate::evaluate::{
    Accuracy, Chance, EVALUATION_BATCH, TEST, TRAINING, VALIDATION, check_labels, evaluate_with,
    input,
};
use crate::loss::Targets;
use crate::optim::Optimiser;
use crate::optim::ema::Ema;
use crate::optim::lookahead::Lookahead;
use crate::pending::{Passed, Pending, Seen, Step};
use crate::progress::{Options, Outcome, Progress};
use crate::recipe::Recipe;
use crate::replicas::{Replicas, classes};
use crate::run::RunFolder;
use crate::run::checkpoint::{Checkpoint, Position};
use crate::run::clock::Clock;
use crate::run::metrics::{EpochMetrics, RunResult, TwinResult, peak_memory_bytes};
use crate::run::tensorboard::EventFile;
use crate::trainable::{StepSize, Trainable};
use snn_core::{DropoutKey, FiringRate, Mode, Pixels, Ranks};
use snn_data::{Loader, Source};
use snn_hybrid::Placement;
use snn_ir::{Model, Weights};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tch::{Device, Tensor};

/// The samples of a run, which fit its model.
#[derive(Debug)]
pub(crate) struct Samples {
    /// Number of classes.
    pub(crate) classes: usize,
    /// Training samples as they are.
    pub(crate) train: Arc<dyn Source>,
    /// Makes the training batches.
    pub(crate) loader: Loader,
    /// Validation samples as the network sees them.
    pub(crate) validation: Option<Arc<dyn Source>>,
    /// Test samples as the network sees them.
    pub(crate) test: Option<Arc<dyn Source>>,
}

impl Samples {
    /// Tells of samples that were damaged, where there are more of them than were told before.
    fn tell_damaged(&self, told: &mut [usize; 3], progress: &mut dyn FnMut(Progress<'_>)) {
        let sources = [
            ("training", Some(&self.train)),
            ("validation", self.validation.as_ref()),
            ("test", self.test.as_ref()),
        ];
        for ((part, source), told) in sources.into_iter().zip(told) {
            let damaged = source.map(|source| source.damaged()).unwrap_or_default();
            let first = damaged.values().next();
            if let Some(first) = first.filter(|_| damaged.len() > *told) {
                *told = damaged.len();
                progress(Progress::Damaged { part, samples: damaged.len(), first });
            }
        }
    }
}

/// Inputs of the loop beside the network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) samples: &'a Samples,
    /// Name of the data.
    pub(crate) data: &'a str,
    pub(crate) placement: &'a Placement,
    /// How the model differs from the one that its weights are of.
    pub(crate) differences: &'a [String],
    /// The model that the run began with.
    pub(crate) model: &'a Model,
    /// What the twin of a staged run reached.
    pub(crate) twin: Option<&'a TwinResult>,
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
    replicas: &mut Replicas,
    job: &Job<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    let Job { recipe, folder, samples, .. } = *job;
    let Samples { loader, .. } = samples;
    let network = replicas.network_mut();
    let mut told = [0; 3];
    let steps = loader.batches_per_epoch();
    let reestimated = recipe.batch_norm_reestimation.batches;

    // State: from the checkpoint, if there is one.
    let mut state = State {
        optimiser: recipe.optimiser.init_groups(network.parameters(), &recipe.groups)?,
        lookahead: recipe.lookahead.init(network.parameters())?,
        average: Ema::new(recipe.weight_average, network.parameters())?,
    };
    if network.step_size() == StepSize::Relative {
        // Sizes of the weights it starts with, whatever the checkpoint holds.
        state.optimiser.scale_rates_by_size()?;
    }
    let checkpoint = folder.checkpoint()?;
    let mut position = match &checkpoint {
        Some(checkpoint) => state.restore(network, checkpoint, folder, (recipe.epochs, steps))?,
        None => Position::default(),
    };
    let mut events = folder.events(position.events)?;
    let resumed = checkpoint.is_some();
    drop(checkpoint);
    let mut clock = Clock::new();
    progress(Progress::Begun {
        placement: job.placement,
        differences: job.differences,
        model: job.model,
        parameters: state.optimiser.parameter_count(),
        epochs: recipe.epochs,
        steps,
        epoch: position.epoch.min(recipe.epochs - 1) + 1,
        step: position.step,
        resumed,
    });

    if let Device::Cuda(_) = replicas.network().device() {
        // Shapes are the same at every step: worth to find the fastest convolutions once.
        tch::Cuda::cudnn_set_benchmark(true);
    }
    let mut pending = Pending::default();
    let mut steps_left = job.options.step_limit;
    let total = recipe.epochs * steps;
    while position.epoch < recipe.epochs {
        let first = position.epoch * steps;
        state.optimiser.begin_epoch(position.epoch, steps)?;
        for batch in loader.epoch_from(position.epoch as u64, position.step)? {
            if steps_left == Some(0) {
                return Ok(Outcome::Stopped { steps: first + position.step });
            }
            steps_left = steps_left.map(|left| left - 1);

            let batch = batch?;
            check_labels(TRAINING, &samples.train, &batch, samples.classes)?;
            let device = replicas.network().device();
            let pixels = Pixels::new(&input(&batch.samples), device)?;
            let targets = Targets::of(&batch.targets, recipe.label_smoothing, device)?;

            let step = (first + position.step) as u64;
            let key = DropoutKey { seed: recipe.seed, step, first_sample: 0 };
            let passed = replicas.pass(pixels, targets, key)?;
            if let Passed::Read { loss, .. } = passed
                && !loss.is_finite()
            {
                let (epoch, step) = (position.epoch + 1, position.step + 1);
                return Err(Error::Diverged { epoch, step, loss });
            }
            let learning_rate = recipe.learning_rate(first + position.step, total);
            position.step += 1;
            let done = Step { number: position.step, images: batch.len(), learning_rate, passed };
            pending.push(done);
            if recipe.gradient_clip > 0.0
                && !state.optimiser.clip_gradients(recipe.gradient_clip)?.is_finite()
            {
                // Maybe because of a loss that is still to be read.
                let tell = Tell { first, clock: &mut clock, events: &mut events, progress };
                tell.of(&mut pending, replicas, &mut position)?;
                return Err(Error::Diverged {
                    epoch: position.epoch + 1,
                    step: position.step,
                    loss: f64::INFINITY,
                });
            }
            state.optimiser.step(learning_rate)?;
            let network = replicas.network_mut();
            network.project()?;
            let State { optimiser, lookahead, average } = &mut state;
            let done = first + position.step;
            let is_frozen = |name: &str| optimiser.is_frozen(name);
            lookahead.update(network.parameters(), (done, total), &is_frozen)?;
            average.update(network.parameters(), done - 1)?;

            let step = position.step;
            let due = recipe.checkpoint_every > 0
                && step.is_multiple_of(recipe.checkpoint_every)
                && step < steps;
            if pending.is_due() || due || step == steps || steps_left == Some(0) {
                let tell = Tell { first, clock: &mut clock, events: &mut events, progress };
                tell.of(&mut pending, replicas, &mut position)?;
            }
            let interrupted = replicas.any_stops(job.options.stop.load(Ordering::Relaxed))?;
            if interrupted || due {
                let tell = Tell { first, clock: &mut clock, events: &mut events, progress };
                tell.of(&mut pending, replicas, &mut position)?;
                state.save(replicas.network_mut(), &mut events, &mut position, job)?;
                clock.other(&mut position);
            }
            if interrupted {
                return Ok(Outcome::Interrupted { steps: first + step });
            }
        }

        // End of an epoch: averaged weights, if there are any, stand in for the network's own while
        // it is measured and written.
        state.average.swap(replicas.network().parameters())?;
        let unmixed = loader.clone().without_mixing();
        let is_last = position.epoch + 1 == recipe.epochs;
        if is_last && reestimated > 0 {
            let batches = unmixed.epoch(recipe.epochs as u64)?.take(reestimated);
            let device = replicas.network().device();
            let key = DropoutKey { seed: recipe.seed, step: total as u64, first_sample: 0 };
            replicas.reestimate(
                key,
                &mut batches.map(|batch| Ok(Pixels::new(&input(&batch?.samples), device)?)),
            )?;
        }
        // What a run reports is measured plainly; what it shows on the way need not be.
        let mode = if is_last { Mode::Evaluate } else { Mode::EvaluateFast };
        let sites = job.sites();
        let mut measured = measure(replicas, samples, (VALIDATION, mode, &sites), &mut |_| {})?;
        let validation = measured.accuracy;
        let rates = std::mem::take(&mut measured.rates);
        let silent = |rates: &[FiringRate]| -> Vec<String> {
            let silent = rates.iter().filter(|rate| rate.rate <= 0.0);
            silent.map(|rate| rate.site.clone()).collect()
        };
        let mut silent_sites = silent(&rates);
        if validation.images == 0
            && let Some(batch) = unmixed.epoch(0)?.next()
        {
            let pixels = Pixels::new(&input(&batch?.samples), replicas.network().device())?;
            let (logits, rates) = replicas.evaluate(&pixels, mode)?;
            silent_sites = silent(&replicas.rates_of_all(rates)?);
            measured.see(&logits)?;
        }
        let metrics = EpochMetrics {
            epoch: position.epoch + 1,
            learning_rate: recipe.learning_rate(first + steps - 1, total),
            train_loss: position.loss / position.images as f64,
            train_accuracy: position.correct as f64 / position.images as f64,
            validation_accuracy: (validation.images > 0).then(|| validation.share()),
            firing_rates: rates.into_iter().map(|rate| (rate.site, rate.rate)).collect(),
            silent_sites,
            constant_scores: measured.is_constant(),
            averaged: state.average.is_on(),
            images_per_second: position.images as f64 / position.epoch_seconds,
            peak_memory_bytes: peak_memory_bytes(),
        };
        // Nothing is written of weights that make no model. A kill between these writes repeats
        // them: the checkpoint, which ends the epoch, comes last.
        let network = replicas.network_mut();
        let model = network.model().map_err(|error| error.of_epoch(position.epoch + 1))?;
        folder.write_metrics(&metrics)?;
        folder.write_figures(&job.sites())?;
        folder.write_model(&model)?;
        events.epoch(first + steps, &metrics)?;
        state.average.swap(network.parameters())?;
        clock.other(&mut position);
        position = Position {
            epoch: position.epoch + 1,
            seconds: position.seconds,
            ..Position::default()
        };
        state.save(network, &mut events, &mut position, job)?;
        progress(Progress::Epoch(&metrics));
        samples.tell_damaged(&mut told, progress);
    }

    if let Some(result) = folder.result()? {
        return Ok(Outcome::Finished(result));
    }
    progress(Progress::Testing);
    state.average.swap(replicas.network().parameters())?;
    let mut chance = Chance::default();
    let part = (TEST, Mode::Evaluate, &*job.sites());
    let Measured { accuracy: test, .. } =
        measure(replicas, samples, part, &mut |labels| chance.add(labels))?;
    let mut labels = chance.counts(samples.classes);
    replicas.over_processes("the labels of the test samples", &mut labels)?;
    let chance = Chance::of_counts(&labels);
    samples.tell_damaged(&mut told, progress);
    clock.other(&mut position);
    let result = RunResult {
        dataset: job.data.to_string(),
        test_accuracy: test.share(),
        test_images: test.images,
        chance: chance.share(),
        validation_accuracy: folder
            .metrics()?
            .last()
            .and_then(|metrics| metrics.validation_accuracy),
        averaged: state.average.is_on(),
        batch_norm_batches: reestimated,
        final_epoch: recipe.epochs,
        wall_seconds: position.seconds,
        policy: job.placement.policy.clone(),
        relu_share: job.placement.relu_share(),
        time_steps: replicas.network().time_steps(),
        parameters: state.optimiser.parameter_count(),
        twin: job.twin.cloned(),
    };
    folder.write_result(&result)?;
    Ok(Outcome::Finished(result))
}

/// Who is told of steps.
struct Tell<'t, 'p> {
    /// Steps of the run before the epoch.
    first: usize,
    clock: &'t mut Clock,
    events: &'t mut EventFile,
    progress: &'t mut dyn FnMut(Progress<'p>),
}

impl Tell<'_, '_> {
    /// Counts steps that were done, and tells of them; an error where the loss of one is no number.
    fn of(self, pending: &mut Pending, replicas: &Replicas, position: &mut Position) -> Result<()> {
        let Self { first, clock, events, progress } = self;
        let epoch = position.epoch + 1;
        let mut done = pending.take()?;
        for Seen { number: step, images, loss, correct, .. } in &mut done {
            if !loss.is_finite() {
                return Err(Error::Diverged { epoch, step: *step, loss: *loss });
            }
            let mut seen = [*correct as f64, *images as f64];
            replicas.over_processes("the samples of a step", &mut seen)?;
            [*correct, *images] = seen.map(whole);
            position.loss += *loss * seen[1];
            position.correct += *correct;
            position.images += *images;
        }
        clock.training(position);
        let images_per_second = position.images as f64 / position.epoch_seconds;
        for Seen { number: step, images, learning_rate, loss, correct } in done {
            let scalars = [
                ("train/loss", loss),
                ("train/accuracy", Accuracy { correct, images }.share()),
                ("train/learning_rate", learning_rate),
                ("train/images_per_second", images_per_second),
            ];
            events.scalars(first + step, scalars)?;
            progress(Progress::Step { epoch, step, loss, learning_rate, images_per_second });
        }
        Ok(())
    }
}

/// Everything that a checkpoint holds beside weights and position.
struct State {
    optimiser: Optimiser,
    lookahead: Lookahead,
    average: Ema,
}

impl State {
    fn save(
        &self,
        network: &dyn Trainable,
        events: &mut EventFile,
        position: &mut Position,
        job: &Job<'_>,
    ) -> Result<()> {
        position.events = events.sync()?;
        if let Some(process) = &job.options.processes {
            // Processors that round differently would drift apart without a word.
            process.agree("weights", &bytes(&network.weights()?))?;
            // The state of all processes is the same, and rank 0 keeps it.
            if process.rank() > 0 {
                return Ok(());
            }
        }
        let checkpoint = Checkpoint {
            weights: network.weights()?,
            average: self.average.state()?,
            slow: self.lookahead.state()?,
            optimiser: self.optimiser.state()?,
            position: *position,
        };
        checkpoint.save(&job.folder.checkpoint_path())
    }

    fn restore(
        &mut self,
        network: &mut dyn Trainable,
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
        self.average.restore(&checkpoint.average).map_err(|e| damaged(e.to_string()))?;
        self.lookahead.restore(&checkpoint.slow).map_err(|e| damaged(e.to_string()))?;
        self.optimiser.restore(&checkpoint.optimiser).map_err(|e| damaged(e.to_string()))?;
        Ok(checkpoint.position)
    }
}

/// What a network did on samples.
#[derive(Debug, Default)]
struct Measured {
    accuracy: Accuracy,
    rates: Vec<FiringRate>,
    /// Class scores of the first sample.
    first: Option<Tensor>,
    /// `true` once another sample had others.
    varies: bool,
    /// Samples whose scores were seen.
    seen: usize,
}

impl Measured {
    /// Compares the class scores of a batch, `[B, K]`, with those of the first sample.
    fn see(&mut self, logits: &Tensor) -> Result<()> {
        let samples = usize::try_from(logits.size().first().copied().unwrap_or(0)).unwrap_or(0);
        self.seen += samples;
        if self.varies || samples == 0 {
            return Ok(());
        }
        let first = match &self.first {
            Some(first) => first,
            None => self.first.insert(logits.f_narrow(0, 0, 1)?),
        };
        self.varies = logits.f_eq_tensor(first)?.f_all()?.f_int64_value(&[])? == 0;
        Ok(())
    }

    /// `true` if several samples had the same class scores.
    fn is_constant(&self) -> bool {
        self.seen > 1 && !self.varies
    }
}

/// Accuracy and firing rates of the network on the validation or test samples, whose labels `see`
/// sees; nothing without any.
fn measure(
    replicas: &Replicas,
    samples: &Samples,
    (part, mode, sites): (&'static str, Mode, &[(&str, bool)]),
    see: &mut dyn FnMut(&[i64]),
) -> Result<Measured> {
    let mut measured = Measured::default();
    let source = if part == TEST { &samples.test } else { &samples.validation };
    let Some(all) = source else { return Ok(measured) };
    let count = all.len() as f64;
    let source = &replicas.own_samples(all)?;
    let mut sums: Vec<FiringRate> = Vec::new();
    let accuracy = evaluate_with(source, EVALUATION_BATCH, &mut |batch| {
        check_labels(part, source, batch, samples.classes)?;
        let pixels = Pixels::new(&input(&batch.samples), replicas.network().device())?;
        let (logits, rates) = replicas.evaluate(&pixels, mode)?;
        see(&batch.targets.labels);
        measured.see(&logits)?;
        let weight = batch.len() as f64 / count;
        if sums.is_empty() {
            let zero = |rate: &FiringRate| FiringRate { site: rate.site.clone(), rate: 0.0 };
            sums = rates.iter().map(zero).collect();
        }
        for (sum, rate) in sums.iter_mut().zip(&rates) {
            sum.rate += weight * rate.rate;
        }
        classes(&logits)
    })?;
    let [correct, images] = [accuracy.correct, accuracy.images].map(|count| count as f64);
    // A process without samples has seen no site.
    if sums.is_empty() && replicas.network().step_size() == StepSize::Absolute {
        let silent = |name: &(&str, bool)| FiringRate { site: name.0.to_string(), rate: 0.0 };
        sums = sites.iter().map(silent).collect();
    }
    let mut numbers = vec![correct, images, f64::from(u8::from(measured.varies))];
    numbers.extend(sums.iter().map(|rate| rate.rate));
    replicas.over_processes("what was measured", &mut numbers)?;
    measured.accuracy = Accuracy { correct: whole(numbers[0]), images: whole(numbers[1]) };
    measured.varies = numbers[2] > 0.0;
    for (sum, rate) in sums.iter_mut().zip(&numbers[3..]) {
        sum.rate = *rate;
    }
    measured.rates = sums;
    Ok(measured)
}

/// The bytes of all weights.
fn bytes(weights: &Weights) -> Vec<u8> {
    let values = weights.values().flat_map(|tensor| tensor.to_f64().into_iter());
    values.flat_map(f64::to_le_bytes).collect()
}

/// A count that was summed as a number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of samples")]
fn whole(count: f64) -> usize {
    count as usize
}
