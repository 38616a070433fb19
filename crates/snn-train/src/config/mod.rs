//! The settings of a run: plain data, one TOML file.

pub(crate) mod activity;
pub(crate) mod batch_norm;
pub(crate) mod check;
pub(crate) mod crossover;
pub(crate) mod data;
pub(crate) mod distillation;
pub(crate) mod finetuning;
pub(crate) mod flatten;
mod graph_difference;
pub(crate) mod kind;
pub(crate) mod network;
pub(crate) mod overrides;
pub(crate) mod stage_name;
mod stages;
pub(crate) mod start_from;
pub(crate) mod twin;
pub(crate) mod unknown;

use self::activity::ActivityConfig;
use self::batch_norm::BatchNormReestimationConfig;
use self::check::check;
use self::crossover::CrossoverConfig;
use self::data::{DataConfig, RunData};
use self::distillation::DistillationConfig;
use self::finetuning::FinetuningConfig;
use self::network::NetworkConfig;
use self::start_from::StartFromConfig;
use self::twin::TwinConfig;
use crate::encode::encoded_shape;
use crate::error::{Error, Result};
use crate::loss::LossConfig;
use crate::optim::OptimiserConfig;
use crate::optim::groups::GroupConfig;
use crate::optim::lookahead::LookaheadConfig;
use crate::optim::schedule::ScheduleConfig;
use crate::optim::warm_up::WarmUpConfig;
pub use crate::recipe::{DEFAULT_BATCH, DEFAULT_CHECKPOINT_EVERY, DEFAULT_LABEL_SMOOTHING};
use crate::recipe::{Recipe, is_one, one};
use serde::{Deserialize, Serialize};
use snn_core::{Checkpointing, Precision};
use snn_data::SampleShape;
use snn_hybrid::{Policy, Replacement};
use snn_ir::{Encoder, Lif, Preprocessing};
use std::path::Path;

/// Macro-steps; the number of the placement trial that the project starts from.
pub const DEFAULT_TIME_STEPS: usize = 2;

/// The least config that writes out every table which has a kind.
const ALL_KINDS: &str = "
epochs = 1
[data]
dataset = 'shapes10'
[neuron]
spike = { kind = 'ternary' }
synapse = { kind = 'current', alpha = 0.5 }
adaptation = { kind = 'threshold', decay = 0.5, strength = 0.5 }
initial = { kind = 'threshold', share = 0.5 }
";

/// Everything that decides what a run computes. Unknown keys are errors.
///
/// ```
/// use snn_train::RunConfig;
/// let config = RunConfig::from_toml("epochs = 3\n[data]\ndataset = 'shapes10'\nheld_out = 500")?;
/// assert_eq!((config.epochs, config.batch), (3, snn_train::config::DEFAULT_BATCH));
/// # Ok::<(), snn_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of the initial weights, the order of the images, their augmentation and the choice of
    /// held-out images.
    #[serde(default)]
    pub seed: u64,
    /// Passes over the training images; the schedule spans all of them.
    pub epochs: usize,
    /// Images in a step. A last batch that is not full is left out.
    #[serde(default = "defaults::batch")]
    pub batch: usize,
    /// Macro-steps T.
    #[serde(default = "defaults::time_steps")]
    pub time_steps: usize,
    /// Share of the target that goes evenly to all classes, 0 to below 1.
    #[serde(default = "defaults::label_smoothing")]
    pub label_smoothing: f64,
    /// Largest norm of all gradients of a step together; 0 for any.
    #[serde(default)]
    pub gradient_clip: f64,
    /// Decay of a moving average of the weights, 0 to below 1 (0.999 is usual), which evaluation
    /// and the final model then use; 0 for none.
    #[serde(default)]
    pub weight_average: f64,
    /// Steps between checkpoints inside an epoch; 0 for one at the end of each epoch only.
    #[serde(default = "defaults::checkpoint_every")]
    pub checkpoint_every: usize,
    /// Threads of libtorch, which decide the order of its sums; 0 for as many as it chooses.
    #[serde(default)]
    pub threads: usize,
    /// Replicas of the network, each of which computes its part of every batch in a thread of its
    /// own, with `threads` threads of libtorch.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: usize,
    /// Precision of activations in training.
    #[serde(default)]
    pub precision: Precision,
    /// Activations that training keeps for the backward pass.
    #[serde(default)]
    pub memory: Checkpointing,
    /// The images.
    pub data: DataConfig,
    /// The network.
    #[serde(default)]
    pub network: NetworkConfig,
    /// Weights to start from, instead of those that the seed draws.
    #[serde(default)]
    pub start_from: StartFromConfig,
    /// Encoding of the images into spikes over time; `direct` shows the image at every time step.
    #[serde(default = "defaults::encoder")]
    pub encoder: Encoder,
    /// Every site before the policy changes some.
    #[serde(default)]
    pub neuron: Lif,
    /// Which sites train as `ReLU`: a name or a table.
    #[serde(default)]
    pub policy: Policy,
    /// The site that replaces those sites.
    #[serde(default)]
    pub replacement: Replacement,
    /// The optimiser.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
    /// Lookahead around the optimiser.
    #[serde(default)]
    pub lookahead: LookaheadConfig,
    /// The learning rate over time.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// Steps before the schedule in which the learning rate rises.
    #[serde(default)]
    pub warm_up: WarmUpConfig,
    /// The loss.
    #[serde(default)]
    pub loss: LossConfig,
    /// A teacher to learn from as well.
    #[serde(default)]
    pub distillation: DistillationConfig,
    /// A regulariser of firing rates.
    #[serde(default, skip_serializing_if = "ActivityConfig::is_default")]
    pub activity: ActivityConfig,
    /// Treatment of batch norm's running statistics at the end.
    #[serde(default)]
    pub batch_norm_reestimation: BatchNormReestimationConfig,
    /// Groups of weights that the optimiser treats in their own way; a weight belongs to the first
    /// that matches its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
    /// Stages in which the sites of a twin become LIF.
    #[serde(default, skip_serializing_if = "CrossoverConfig::is_default")]
    pub crossover: CrossoverConfig,
    /// Fine-tuning on the grid after conversion.
    #[serde(default, skip_serializing_if = "FinetuningConfig::is_default")]
    pub finetuning: FinetuningConfig,
    /// Staged training: a twin that is trained first; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<TwinConfig>,
}

mod defaults {
    pub(super) fn batch() -> usize {
        super::DEFAULT_BATCH
    }
    pub(super) fn time_steps() -> usize {
        super::DEFAULT_TIME_STEPS
    }
    pub(super) fn label_smoothing() -> f64 {
        super::DEFAULT_LABEL_SMOOTHING
    }
    pub(super) fn checkpoint_every() -> usize {
        super::DEFAULT_CHECKPOINT_EVERY
    }
    pub(super) fn encoder() -> snn_ir::Encoder {
        snn_ir::Encoder::Direct
    }
}

impl RunConfig {
    /// Reads and checks a config.
    ///
    /// # Errors
    /// The text is not TOML, has an unknown or missing key, a value of the wrong type, or one out
    /// of range; the message names the key.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::with_overrides(text, &[])
    }

    /// Reads a config and sets keys of it, each given as `key.path=value`.
    ///
    /// The value is TOML of the type the key has; strings need no quotes. A name in the place of a
    /// table with a `kind` means that kind with its defaults (`schedule=cosine`).
    ///
    /// ```
    /// use snn_train::RunConfig;
    /// let text = "epochs = 3\n[data]\ndataset = 'shapes10'";
    /// let sets = ["optimiser.learning_rate=0.2", "policy=outer"].map(String::from);
    /// let config = RunConfig::with_overrides(text, &sets)?;
    /// assert_eq!(config.optimiser.learning_rate(), 0.2);
    /// let wrong = ["optimiser.learning_rat=0.2".to_string()];
    /// let error = RunConfig::with_overrides(text, &wrong).unwrap_err();
    /// assert!(error.to_string().contains("did you mean `optimiser.learning_rate`?"));
    /// # Ok::<(), snn_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml); a key that does not exist, with the nearest one that
    /// does; a value of another type.
    pub fn with_overrides(text: &str, sets: &[String]) -> Result<Self> {
        let mut config: Self = unknown::read(text, ALL_KINDS)?;
        if !sets.is_empty() {
            config = overrides::apply(config, sets)?;
        }
        config.validate()?;
        config.data.flip = Some(config.data.flip());
        Ok(config)
    }

    /// Reads a config file; see [`with_overrides`](Self::with_overrides).
    ///
    /// # Errors
    /// The file cannot be read; as [`with_overrides`](Self::with_overrides), with the name of the
    /// file.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        Self::with_overrides(&text, sets).map_err(|error| Error::ConfigFile {
            path: path.to_path_buf(),
            source: Box::new(error),
        })
    }

    /// The config as TOML, every key written out but those of pictures, recordings, caches and
    /// kinds of neurons that have their defaults.
    ///
    /// # Errors
    /// A number has no TOML form (a seed above 2⁶³).
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Toml(e.to_string()))
    }

    /// Checks the ranges that do not depend on data or network.
    ///
    /// # Errors
    /// The first key out of range.
    pub fn validate(&self) -> Result<()> {
        check("time_steps", self.time_steps > 0, "at least 1", self.time_steps)?;
        self.recipe(&[]).validate()?;
        self.data.validate()?;
        #[cfg(feature = "data")]
        if let (snn_data::Form::Recordings(_), slices) =
            (self.data.dataset.spec().form, self.data.frames.slices)
            && slices != self.time_steps
        {
            return Err(Error::Toml(format!(
                "`data.frames.slices` cuts a recording into {slices} frames, one a time step, but \
                 `time_steps` is {}: set both to the same number",
                self.time_steps
            )));
        }
        if self.encoder != Encoder::Direct {
            self.encoder.validate(self.time_steps)?;
        }
        self.finetuning.validate()?;
        self.crossover.validate()?;
        self.before().map(drop)
    }

    /// Opens the data of the run, split and limited.
    ///
    /// # Errors
    /// As [`DataConfig::open`].
    pub fn open_data(&self, root: Option<&Path>) -> Result<RunData> {
        self.data.open(root, self.seed)
    }

    /// Shape of the network's input, and its number of classes. The data is opened only where its
    /// name does not say them.
    ///
    /// # Errors
    /// As [`DataConfig::open`].
    pub fn input(&self, root: Option<&Path>) -> Result<([usize; 3], usize)> {
        let classes = self.data.dataset.spec().classes;
        let (shape, classes) = match self.data.source().shape() {
            Some(shape) if classes > 0 => (shape, classes),
            _ => {
                let data = self.open_data(root)?;
                (data.shape, data.classes.len())
            }
        };
        Ok((self.encoded(shape).image(), classes))
    }

    /// Shape of the samples that the network sees of a source.
    pub(crate) fn encoded(&self, shape: SampleShape) -> SampleShape {
        encoded_shape(shape, &self.encoder, self.time_steps)
    }

    /// Preprocessing of a network that reads these data.
    pub(crate) fn preprocessing(&self, data: &RunData) -> Preprocessing {
        let channels = self.encoded(data.shape).channels();
        let encoded = self.encoder.preprocessing(channels);
        encoded.unwrap_or_else(|| Preprocessing::new(data.mean.clone(), data.std.clone()))
    }

    /// How the run trains, for samples of this mean per channel, which moves in where a crop or a
    /// cutout leaves nothing.
    pub fn recipe(&self, mean: &[u8]) -> Recipe {
        Recipe {
            seed: self.seed,
            epochs: self.epochs,
            batch: self.batch,
            label_smoothing: self.label_smoothing,
            gradient_clip: self.gradient_clip,
            weight_average: self.weight_average,
            checkpoint_every: self.checkpoint_every,
            threads: self.threads,
            replicas: self.replicas,
            precision: self.precision,
            memory: self.memory,
            optimiser: self.optimiser,
            groups: self.groups.clone(),
            lookahead: self.lookahead,
            schedule: self.schedule,
            warm_up: self.warm_up,
            loss: self.loss,
            distillation_weight: self.distillation.weight,
            distillation_temperature: self.distillation.temperature,
            distillation_per_step: self.distillation.per_step,
            distillation_own_weight: self.distillation.own_weight,
            activity: self.activity.clone(),
            batch_norm_reestimation: self.batch_norm_reestimation,
            augment: self.data.augment(mean),
            mix: self.data.mix(),
            loader_threads: self.data.loader_threads,
            encoder: self.encoder,
            grid_surrogate: self.neuron.surrogate.clone(),
        }
    }

    /// The learning rate at step `step` (from 0) of the run's `total`.
    pub fn learning_rate(&self, step: usize, total: usize) -> f64 {
        self.optimiser.learning_rate() * self.warm_up.factor(&self.schedule, step, total)
    }
}
