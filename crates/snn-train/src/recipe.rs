//! How a network is trained: everything but the network and the data.

use crate::config::activity::ActivityConfig;
use crate::config::batch_norm::BatchNormReestimationConfig;
use crate::config::check::{check, named};
use crate::config::distillation::{self, DistillationConfig};
use crate::error::Result;
use crate::loss::LossConfig;
use crate::optim::OptimiserConfig;
use crate::optim::groups::GroupConfig;
use crate::optim::lookahead::LookaheadConfig;
use crate::optim::schedule::ScheduleConfig;
use crate::optim::warm_up::WarmUpConfig;
use serde::{Deserialize, Serialize};
use snn_core::{Checkpointing, Precision, TrainingOptions};
use snn_data::{Augment, LoaderConfig, Mix};
use snn_ir::{Encoder, Surrogate};
use std::path::PathBuf;

/// Images in a batch (He 2016, section 4.2).
pub const DEFAULT_BATCH: usize = 128;
/// Label smoothing (Szegedy 2016, section 7).
pub const DEFAULT_LABEL_SMOOTHING: f64 = 0.1;
/// Steps between checkpoints: 25,600 images of a default batch, a few minutes of `ResNet`-20 on two
/// CPU cores.
pub const DEFAULT_CHECKPOINT_EVERY: usize = 200;

/// How a [`Trainer`](crate::Trainer) trains: epochs, batches, optimiser, loss, augmentation. A
/// [`RunConfig`](crate::RunConfig) is one, with the network and the data
/// ([`RunConfig::recipe`](crate::RunConfig::recipe)); the fields are its keys of the same names.
///
/// ```
/// use snn_train::{OptimiserConfig, Recipe, SgdConfig};
/// let sgd = SgdConfig { learning_rate: 0.05, ..SgdConfig::default() };
/// let recipe = Recipe { epochs: 10, optimiser: OptimiserConfig::Sgd(sgd), ..Recipe::default() };
/// assert!((recipe.learning_rate(0, 100) - 0.05 * 0.04).abs() < 1e-12, "one cycle begins low");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Seed of the order of the samples, their augmentation and mixing.
    pub seed: u64,
    /// Passes over the training samples; the schedule spans all of them.
    pub epochs: usize,
    /// Samples in a step. A last batch that is not full is left out.
    pub batch: usize,
    /// Share of the target that goes evenly to all classes, 0 to below 1.
    pub label_smoothing: f64,
    /// Largest norm of all gradients of a step together; 0 for any.
    pub gradient_clip: f64,
    /// Decay of the exponential moving average of the weights, which evaluation and the final model
    /// then use, 0 to below 1; 0 for none.
    pub weight_average: f64,
    /// Steps between checkpoints inside an epoch; 0 for one at the end of each epoch only.
    pub checkpoint_every: usize,
    /// Threads of libtorch, which decide the order of its sums; 0 for as many as it chooses, with
    /// replicas one each.
    pub threads: usize,
    /// Replicas of the network, each of which computes its part of every batch in a thread of its
    /// own, with `threads` threads of libtorch. The result is that of one network but for the
    /// rounding of sums, and the same whatever else the machine does.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: usize,
    /// Precision of activations in training.
    pub precision: Precision,
    /// Activation checkpointing in training.
    pub memory: Checkpointing,
    /// The optimiser.
    pub optimiser: OptimiserConfig,
    /// Groups of weights that the optimiser treats in their own way; a weight belongs to the first
    /// that matches its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
    /// Lookahead around the optimiser.
    pub lookahead: LookaheadConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// Steps before the schedule in which the learning rate rises.
    pub warm_up: WarmUpConfig,
    /// The loss.
    pub loss: LossConfig,
    /// Weight w of the teacher, if the trainer has one, 0 to 1; with `distillation_per_step` α, at
    /// least 0.
    pub distillation_weight: f64,
    /// `true` if the teacher teaches each macro-step by itself
    /// ([`DistillationConfig`](crate::DistillationConfig)).
    pub distillation_per_step: bool,
    /// Weight β of the network's own right macro-steps, at least 0; with `distillation_per_step`.
    pub distillation_own_weight: f64,
    /// Temperature τ of distillation.
    pub distillation_temperature: f64,
    /// A regulariser of firing rates.
    #[serde(skip_serializing_if = "ActivityConfig::is_default")]
    pub activity: ActivityConfig,
    /// Measuring the statistics of batch norm again after the last epoch.
    pub batch_norm_reestimation: BatchNormReestimationConfig,
    /// Random changes to each training sample.
    pub augment: Augment,
    /// How the samples of a batch are mixed, and in which epochs.
    pub mix: Mix,
    /// Threads that prepare batches; the batches do not depend on it.
    pub loader_threads: usize,
    /// Encoding of the samples into spikes over time, in the loader's threads.
    pub encoder: Encoder,
    /// Surrogate gradient of LIF sites when a model is fine-tuned on the grid; off the grid each
    /// site has its own.
    pub grid_surrogate: Surrogate,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 1,
            batch: DEFAULT_BATCH,
            label_smoothing: DEFAULT_LABEL_SMOOTHING,
            gradient_clip: 0.0,
            weight_average: 0.0,
            checkpoint_every: DEFAULT_CHECKPOINT_EVERY,
            threads: 0,
            replicas: 1,
            precision: Precision::default(),
            memory: Checkpointing::default(),
            optimiser: OptimiserConfig::default(),
            groups: Vec::new(),
            lookahead: LookaheadConfig::None,
            schedule: ScheduleConfig::default(),
            warm_up: WarmUpConfig::default(),
            loss: LossConfig::default(),
            distillation_weight: distillation::DEFAULT_DISTILLATION_WEIGHT,
            distillation_per_step: false,
            distillation_own_weight: 0.0,
            distillation_temperature: distillation::DEFAULT_TEMPERATURE,
            activity: ActivityConfig::default(),
            batch_norm_reestimation: BatchNormReestimationConfig::default(),
            augment: Augment::default(),
            mix: Mix::default(),
            loader_threads: 1,
            encoder: Encoder::Direct,
            grid_surrogate: Surrogate::default(),
        }
    }
}

pub(crate) fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn is_one(number: &usize) -> bool {
    *number == 1
}

impl Recipe {
    /// Checks the ranges that do not depend on data or network.
    ///
    /// # Errors
    /// The first field out of range.
    pub fn validate(&self) -> Result<()> {
        check("seed", i64::try_from(self.seed).is_ok(), "below 2⁶³", self.seed)?;
        check("epochs", self.epochs > 0, "at least 1", self.epochs)?;
        check("batch", self.batch > 0, "at least 1", self.batch)?;
        let smoothing = self.label_smoothing;
        check("label_smoothing", (0.0..1.0).contains(&smoothing), "0 to below 1", smoothing)?;
        let clip = self.gradient_clip;
        check("gradient_clip", clip.is_finite() && clip >= 0.0, "at least 0", clip)?;
        let average = self.weight_average;
        check("weight_average", (0.0..1.0).contains(&average), "0 to below 1", average)?;
        check("threads", i32::try_from(self.threads).is_ok(), "a number of threads", self.threads)?;
        check(
            "replicas",
            (1..=self.batch).contains(&self.replicas),
            "at least 1 and at most `batch`",
            self.replicas,
        )?;
        named(self.mix.validate())?;
        named(LoaderConfig { threads: self.loader_threads, ..LoaderConfig::default() }.validate())?;
        let distillation = DistillationConfig {
            teacher: PathBuf::new(),
            weight: self.distillation_weight,
            temperature: self.distillation_temperature,
            per_step: self.distillation_per_step,
            own_weight: self.distillation_own_weight,
        };
        distillation.validate()?;
        self.activity.validate()?;
        let keeps = !self.activity.is_on() || self.memory == Checkpointing::Off;
        check(
            "memory",
            keeps,
            "\"keep\" beside `activity`, which reads every site",
            "\"recompute\"",
        )?;
        self.optimiser.validate()?;
        self.groups.iter().try_for_each(GroupConfig::validate)?;
        self.lookahead.validate()?;
        self.schedule.validate()?;
        self.warm_up.validate(&self.schedule)?;
        self.loss.validate()
    }

    /// The learning rate at step `step` (from 0) of the run's `total`.
    pub fn learning_rate(&self, step: usize, total: usize) -> f64 {
        self.optimiser.learning_rate() * self.warm_up.factor(&self.schedule, step, total)
    }

    /// How training passes compute.
    pub(crate) fn training(&self) -> TrainingOptions {
        TrainingOptions { precision: self.precision, checkpointing: self.memory }
    }
}
