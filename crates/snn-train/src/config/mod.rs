//! The settings of a run: plain data, one TOML file.

pub(crate) mod check;
pub(crate) mod distillation;
pub(crate) mod kind;
pub(crate) mod overrides;
pub(crate) mod unknown;

use self::check::check;
use self::distillation::DistillationConfig;
use crate::error::{Error, Result};
use crate::loss::LossConfig;
use crate::optim::OptimiserConfig;
use crate::optim::schedule::ScheduleConfig;
use crate::optim::warm_up::WarmUpConfig;
use serde::{Deserialize, Serialize};
use snn_core::{Checkpointing, Precision, TrainingOptions};
use snn_data::{Augment, DatasetName, Flip, MAX_ALPHA, Mix};
use snn_hybrid::{Policy, Replacement};
use snn_ir::models::{ResNet, SmallNet};
use snn_ir::{Graph, Lif};
use std::path::Path;

/// Images held out of the training set for validation: a tenth of CIFAR's, as He 2016 (section 4.2)
/// held out.
pub const DEFAULT_HELD_OUT: usize = 5_000;
/// Crop padding in pixels (He 2016, section 4.2).
pub const DEFAULT_CROP_PADDING: usize = 4;
/// Images in a batch (He 2016, section 4.2).
pub const DEFAULT_BATCH: usize = 128;
/// Macro-steps; the number of the placement trial that the project starts from.
pub const DEFAULT_TIME_STEPS: usize = 2;
/// Label smoothing (Szegedy 2016, section 7).
pub const DEFAULT_LABEL_SMOOTHING: f64 = 0.1;
/// Steps between checkpoints: 25,600 images of a default batch, a few minutes of `ResNet`-20 on two
/// CPU cores.
pub const DEFAULT_CHECKPOINT_EVERY: usize = 200;

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
    /// Precision of activations in training.
    #[serde(default)]
    pub precision: Precision,
    /// What training keeps for the backward pass.
    #[serde(default)]
    pub memory: Checkpointing,
    /// The images.
    pub data: DataConfig,
    /// The network.
    #[serde(default)]
    pub network: NetworkConfig,
    /// Every site before the policy changes some.
    #[serde(default)]
    pub neuron: Lif,
    /// Which sites train as `ReLU`: a name or a table.
    #[serde(default)]
    pub policy: Policy,
    /// What those sites become.
    #[serde(default)]
    pub replacement: Replacement,
    /// The optimiser.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
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
    /// What becomes of the running statistics of batch norm at the end.
    #[serde(default)]
    pub batch_norm_reestimation: BatchNormReestimationConfig,
}

/// Measuring the running statistics of batch norm again after training, with the final weights
/// ([`Network::reestimate_batch_norm`](snn_core::Network::reestimate_batch_norm)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchNormReestimationConfig {
    /// Over so many training batches, those of an epoch after the last, augmented but not mixed; 0
    /// for none.
    pub batches: usize,
}

/// The images and how they are changed at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Which data set.
    pub dataset: DatasetName,
    /// Training images held out for validation.
    #[serde(default = "defaults::held_out")]
    pub held_out: usize,
    /// Trains on the first so many of the images that are not held out; 0 for all.
    #[serde(default)]
    pub limit: usize,
    /// Random shift in pixels; what moves in has the integer mean pixel.
    #[serde(default = "defaults::crop_padding")]
    pub crop_padding: usize,
    /// Whether images are mirrored at random.
    #[serde(default = "defaults::flip")]
    pub flip: Flip,
    /// Side of a square that is blanked at random in pixels ([`Augment::cutout`]); 0 for none.
    #[serde(default)]
    pub cutout: usize,
    /// α of mixup ([`Mix::mixup`]); 0 for none.
    #[serde(default)]
    pub mixup: f64,
    /// α of cutmix ([`Mix::cutmix`]); 0 for none. With both, each batch is mixed in one way or the
    /// other.
    #[serde(default)]
    pub cutmix: f64,
    /// Threads that prepare batches; the batches do not depend on it.
    #[serde(default = "defaults::loader_threads")]
    pub loader_threads: usize,
}

/// The network; its input shape and classes are those of the data, its neuron is `neuron`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkConfig {
    /// [`ResNet`]; the defaults are `ResNet`-20.
    Resnet {
        /// Channels of the first stage.
        #[serde(default = "defaults::resnet_width")]
        width: usize,
        /// Basic blocks of each stage.
        #[serde(default = "defaults::resnet_blocks")]
        blocks: Vec<usize>,
    },
    /// [`SmallNet`].
    Small {
        /// Channels of the stem.
        #[serde(default = "defaults::small_width")]
        width: usize,
    },
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::Resnet { width: defaults::resnet_width(), blocks: defaults::resnet_blocks() }
    }
}

impl NetworkConfig {
    /// The graph for images of this shape, all of its sites spiking.
    pub fn build(&self, input: [usize; 3], classes: usize, neuron: &Lif) -> Graph {
        let neuron = neuron.clone();
        match self {
            Self::Resnet { width, blocks } => {
                ResNet { input, classes, width: *width, blocks: blocks.clone(), neuron }.build()
            }
            Self::Small { width } => SmallNet { input, classes, width: *width, neuron }.build(),
        }
    }
}

mod defaults {
    use super::{Flip, ResNet, SmallNet};

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
    pub(super) fn held_out() -> usize {
        super::DEFAULT_HELD_OUT
    }
    pub(super) fn crop_padding() -> usize {
        super::DEFAULT_CROP_PADDING
    }
    pub(super) fn flip() -> Flip {
        Flip::Horizontal // He 2016, section 4.2
    }
    pub(super) fn loader_threads() -> usize {
        1
    }
    pub(super) fn resnet_width() -> usize {
        ResNet::default().width
    }
    pub(super) fn resnet_blocks() -> Vec<usize> {
        ResNet::default().blocks
    }
    pub(super) fn small_width() -> usize {
        SmallNet::default().width
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
    /// let config = RunConfig::with_overrides(text, &["optimiser.learning_rate=0.2".into(), "policy=outer".into()])?;
    /// assert_eq!(config.optimiser.learning_rate(), 0.2);
    /// let error = RunConfig::with_overrides(text, &["optimiser.learning_rat=0.2".into()]).unwrap_err();
    /// assert!(error.to_string().contains("did you mean `optimiser.learning_rate`?"));
    /// # Ok::<(), snn_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml); a key that does not exist, with the nearest one that
    /// does; a value of another type.
    pub fn with_overrides(text: &str, sets: &[String]) -> Result<Self> {
        let mut config = unknown::read(text)?;
        if !sets.is_empty() {
            config = overrides::apply(&config, sets)?;
        }
        config.validate()?;
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

    /// The config as TOML, every key written out.
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
        check("seed", i64::try_from(self.seed).is_ok(), "below 2⁶³", self.seed)?;
        check("epochs", self.epochs > 0, "at least 1", self.epochs)?;
        check("batch", self.batch > 0, "at least 1", self.batch)?;
        check("time_steps", self.time_steps > 0, "at least 1", self.time_steps)?;
        let smoothing = self.label_smoothing;
        check("label_smoothing", (0.0..1.0).contains(&smoothing), "0 to below 1", smoothing)?;
        let clip = self.gradient_clip;
        check("gradient_clip", clip.is_finite() && clip >= 0.0, "at least 0", clip)?;
        check(
            "weight_average",
            (0.0..1.0).contains(&self.weight_average),
            "0 to below 1",
            self.weight_average,
        )?;
        check("threads", i32::try_from(self.threads).is_ok(), "a number of threads", self.threads)?;
        let (range, expected) = (0.0..=MAX_ALPHA, "0 to 2");
        check("data.mixup", range.contains(&self.data.mixup), expected, self.data.mixup)?;
        check("data.cutmix", range.contains(&self.data.cutmix), expected, self.data.cutmix)?;
        self.optimiser.validate()?;
        self.schedule.validate()?;
        self.warm_up.validate(&self.schedule)?;
        self.loss.validate()?;
        self.distillation.validate()
    }

    /// The learning rate at step `step` (from 0) of the run's `total`.
    pub fn learning_rate(&self, step: usize, total: usize) -> f64 {
        self.optimiser.learning_rate() * self.warm_up.factor(&self.schedule, step, total)
    }

    /// Execution of training passes.
    pub(crate) fn training(&self) -> TrainingOptions {
        TrainingOptions { precision: self.precision, checkpointing: self.memory }
    }

    /// The changes made to a training image.
    pub(crate) fn augment(&self, mean: &[u8]) -> Augment {
        let DataConfig { crop_padding, flip, cutout, .. } = self.data;
        Augment { crop_padding, flip, cutout, fill: mean.to_vec(), ..Augment::default() }
    }

    /// How the images of a batch are mixed.
    pub(crate) fn mix(&self) -> Mix {
        Mix { mixup: self.data.mixup, cutmix: self.data.cutmix, ..Mix::NONE }
    }
}
