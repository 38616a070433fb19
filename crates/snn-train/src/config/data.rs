//! The data of a run.

use crate::config::check::{check, named, named_of};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_data::{
    Augment, AugmentPolicy, Border, DatasetName, Flip, Form, Mix, RandomErasing, SampleShape,
    Source, SourceConfig, Subset, split_holdout,
};
#[cfg(feature = "data")]
use snn_data::{CacheConfig, FrameConfig, PictureConfig, StoredFraming};
use snn_ir::Framing;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Training images held out for validation: a tenth of CIFAR's, as He 2016 (section 4.2) held out.
pub(crate) const DEFAULT_HELD_OUT: usize = 5_000;
/// Crop padding in pixels (He 2016, section 4.2).
pub(crate) const DEFAULT_CROP_PADDING: usize = 4;

/// The images and how they are changed at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Which data set.
    pub dataset: DatasetName,
    /// Its folder, or the folder that holds it; empty for the data root. Folders of one's own need
    /// it. A relative path starts from the data root.
    #[serde(default)]
    pub path: PathBuf,
    /// A split file of a set of recordings; empty for the usual split.
    #[cfg(feature = "data")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub split: PathBuf,
    /// How pictures become images.
    #[cfg(feature = "data")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub pictures: PictureConfig,
    /// How recordings become frames, one a time step.
    #[cfg(feature = "data")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub frames: FrameConfig,
    /// Where samples that are the same in every epoch are cached; absent for nowhere.
    #[cfg(feature = "data")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
    /// Training images held out for validation.
    #[serde(default = "held_out")]
    pub held_out: usize,
    /// Trains on so many of the images that are not held out, the first ones or, of sets that stand
    /// class by class, a choice by the seed ([`Sources::limit`](snn_data::Sources::limit)); 0 for
    /// all.
    #[serde(default)]
    pub limit: usize,
    /// Validates on so many of the images that are held out, chosen alike; 0 for all.
    #[serde(default)]
    pub validation_limit: usize,
    /// Tests on so many of the test images, chosen alike; 0 for all.
    #[serde(default)]
    pub test_limit: usize,
    /// Random shift in pixels; what moves in has the integer mean pixel.
    #[serde(default = "crop_padding")]
    pub crop_padding: usize,
    /// Pixels that a shift brings in: the mean pixel (`fill`) or the mirror image (`reflect`).
    #[serde(default)]
    pub crop_border: Border,
    /// Random mirroring of images; absent for the usual one of the set ([`DataConfig::flip`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip: Option<Flip>,
    /// Random changes of colours and geometry.
    #[serde(default)]
    pub auto_augment: AutoAugmentConfig,
    /// Side of a square that is blanked at random in pixels ([`Augment::cutout`]); 0 for none.
    #[serde(default)]
    pub cutout: usize,
    /// Chance that a random rectangle of an image is blanked ([`RandomErasing`]); 0 for none.
    #[serde(default)]
    pub erasing: f64,
    /// α of mixup ([`Mix::mixup`]); 0 for none.
    #[serde(default)]
    pub mixup: f64,
    /// α of cutmix ([`Mix::cutmix`]); 0 for none. With both, each batch is mixed in one way or the
    /// other.
    #[serde(default)]
    pub cutmix: f64,
    /// Chance that a batch is mixed by mixup or cutmix at all.
    #[serde(default = "mix_probability")]
    pub mix_probability: f64,
    /// Chance of cutmix, and not mixup, where both are on.
    #[serde(default = "mix_switch")]
    pub mix_switch: f64,
    /// Chance that a batch of frames of recordings is mixed ([`Mix::event_mix`]); 0 for none.
    #[serde(default)]
    pub event_mix: f64,
    /// Epochs in which batches are mixed, from the first on; 0 for all.
    #[serde(default)]
    pub mix_epochs: usize,
    /// Threads that prepare batches; the batches do not depend on it.
    #[serde(default = "loader_threads")]
    pub loader_threads: usize,
}

/// Random changes of the colours and the geometry of images (`data.auto_augment`): a name, or a
/// table with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AutoAugmentConfig {
    /// None.
    #[default]
    None,
    /// AutoAugment's policy for CIFAR-10 (Cubuk et al. 2019), also used for CIFAR-100.
    AutoAugmentCifar,
    /// AutoAugment's policy for ImageNet.
    #[serde(rename = "auto-augment-imagenet")]
    AutoAugmentImageNet,
    /// AutoAugment's policy for SVHN.
    AutoAugmentSvhn,
    /// RandAugment (Cubuk et al. 2020).
    RandAugment {
        /// Operations for each image, at most 16.
        #[serde(default = "rand_augment_operations")]
        operations: usize,
        /// Strength, 0 to 30.
        #[serde(default = "rand_augment_magnitude")]
        magnitude: usize,
    },
    /// TrivialAugment (Müller & Hutter 2021), the wide ranges.
    TrivialAugment,
}

impl AutoAugmentConfig {
    fn policy(self) -> Option<AugmentPolicy> {
        Some(match self {
            Self::None => return None,
            Self::AutoAugmentCifar => AugmentPolicy::AutoAugmentCifar,
            Self::AutoAugmentImageNet => AugmentPolicy::AutoAugmentImageNet,
            Self::AutoAugmentSvhn => AugmentPolicy::AutoAugmentSvhn,
            Self::RandAugment { operations, magnitude } => {
                AugmentPolicy::RandAugment { operations, magnitude }
            }
            Self::TrivialAugment => AugmentPolicy::TrivialAugment,
        })
    }
}

fn rand_augment_operations() -> usize {
    2 // torchvision's default
}
fn rand_augment_magnitude() -> usize {
    9 // torchvision's default
}
fn held_out() -> usize {
    DEFAULT_HELD_OUT
}
fn crop_padding() -> usize {
    DEFAULT_CROP_PADDING
}
#[cfg(feature = "data")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
fn loader_threads() -> usize {
    1
}
fn mix_probability() -> f64 {
    Mix::NONE.chance
}
fn mix_switch() -> f64 {
    Mix::NONE.switch
}

/// The samples of a run, and what a network must know of them.
#[derive(Debug, Clone)]
pub struct RunData {
    /// Name of the data set.
    pub name: String,
    /// Training samples.
    pub train: Arc<dyn Source>,
    /// Training samples held out; `None` if none are.
    pub validation: Option<Arc<dyn Source>>,
    /// Test samples.
    pub test: Arc<dyn Source>,
    /// Shape of every sample.
    pub shape: SampleShape,
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Integer mean per channel in pixel units, of all training samples as published or computed
    /// once for the set ([`DatasetSpec`](snn_data::DatasetSpec)), whatever is held out or left out
    /// by a limit; 0 for frames of events.
    pub mean: Vec<u8>,
    /// Standard deviation per channel in pixel units, of the same samples.
    pub std: Vec<f64>,
    /// How recordings became frames, which the model keeps; `None` for other samples.
    pub framing: Option<Framing>,
}

/// The framing of a set as models keep it.
#[cfg(feature = "data")]
fn framing(of: StoredFraming) -> Framing {
    let by = match of.by {
        snn_data::SliceBy::Number => snn_ir::SliceBy::Number,
        snn_data::SliceBy::Time => snn_ir::SliceBy::Time,
    };
    let sensor = [of.sensor.height, of.sensor.width].map(usize::from);
    Framing { by, sensor, transposed: of.transposed }
}

impl DataConfig {
    /// Opens the data, splits it by `seed` and applies the limits.
    ///
    /// # Errors
    /// The files cannot be read, more samples are held out than there are, or a limit is larger
    /// than what it limits.
    pub fn open(&self, root: Option<&Path>, seed: u64) -> Result<RunData> {
        let data = named_of(self.table(), snn_data::open(&self.source(), root))?;
        let (train, test) = (&data.train, &data.test);
        if self.held_out >= train.len() {
            return Err(Error::Mismatch {
                what: "`data.held_out`",
                expected: format!(
                    "fewer than the {} training samples; 0 holds out none for validation",
                    train.len()
                ),
                found: self.held_out.to_string(),
            });
        }
        let parts = split_holdout(train.len(), self.held_out, seed)?;
        let limits = [
            ("`data.limit`", self.limit, parts.train, "training images that are not held out"),
            ("`data.validation_limit`", self.validation_limit, parts.validation, "images held out"),
            ("`data.test_limit`", self.test_limit, (0..test.len()).collect(), "test images"),
        ];
        let [training, validation, testing] = limits.map(|(what, limit, indices, of)| {
            if limit > indices.len() {
                let expected = format!("at most the {} {of}", indices.len());
                return Err(Error::Mismatch { what, expected, found: limit.to_string() });
            }
            Ok(if limit > 0 { data.limit(indices, limit, seed) } else { indices })
        });
        let part = |source: &Arc<dyn Source>, indices: Vec<usize>| -> Result<Arc<dyn Source>> {
            Ok(Arc::new(Subset::new(Arc::clone(source), indices)?))
        };
        let validation = validation?;
        Ok(RunData {
            name: data.name.to_string(),
            shape: train.shape(),
            validation: if validation.is_empty() { None } else { Some(data.held_out(validation)?) },
            train: part(train, training?)?,
            test: part(test, testing?)?,
            classes: data.classes,
            mean: data.channel_mean_u8,
            std: data.channel_std,
            #[cfg(feature = "data")]
            framing: data.framing.map(framing),
            #[cfg(not(feature = "data"))]
            framing: None,
        })
    }

    /// The data to open.
    pub fn source(&self) -> SourceConfig {
        let given = |path: &PathBuf| Some(path.clone()).filter(|path| !path.as_os_str().is_empty());
        SourceConfig {
            path: given(&self.path),
            #[cfg(feature = "data")]
            split: given(&self.split),
            #[cfg(feature = "data")]
            pictures: self.pictures,
            #[cfg(feature = "data")]
            frames: self.frames.clone(),
            #[cfg(feature = "data")]
            cache: self.cache.clone(),
            ..SourceConfig::new(self.dataset)
        }
    }

    /// The table that says how files become samples.
    fn table(&self) -> &'static str {
        match self.dataset.spec().form {
            Form::Recordings(_) => "frames",
            Form::Pictures(_) => "pictures",
            Form::Cifar(_) | Form::Idx(_) | Form::Shapes => "",
        }
    }

    /// Checks the ranges.
    pub(crate) fn validate(&self) -> Result<()> {
        named_of(self.table(), self.source().validate())?;
        let erasing = (0.0..=1.0).contains(&self.erasing);
        check("data.erasing", erasing, "0 to 1", self.erasing)?;
        named(self.auto_augment.policy().map_or(Ok(()), AugmentPolicy::validate))
    }

    /// Random mirroring: as given, or the usual one of the set, which is horizontal for images (He
    /// 2016, section 4.2) and none for recordings, whose classes may be directions of movement.
    pub fn flip(&self) -> Flip {
        self.flip.unwrap_or(match self.dataset.spec().form {
            Form::Recordings(_) => Flip::None,
            Form::Cifar(_) | Form::Idx(_) | Form::Shapes | Form::Pictures(_) => Flip::Horizontal,
        })
    }

    /// The changes made to a training image; what moves in from outside has the mean pixel.
    pub(crate) fn augment(&self, mean: &[u8]) -> Augment {
        let Self { crop_padding, crop_border, cutout, erasing, .. } = *self;
        let erasing = RandomErasing { chance: erasing, ..RandomErasing::default() };
        Augment {
            crop_padding,
            crop_border,
            flip: self.flip(),
            cutout,
            fill: mean.to_vec(),
            policy: self.auto_augment.policy(),
            erasing: Some(erasing).filter(|erasing| erasing.chance > 0.0),
        }
    }

    /// How the images of a batch are mixed.
    pub(crate) fn mix(&self) -> Mix {
        let Self { mixup, cutmix, event_mix, mix_probability, mix_switch, .. } = *self;
        let epochs = Some(self.mix_epochs as u64).filter(|epochs| *epochs > 0);
        Mix { mixup, cutmix, chance: mix_probability, switch: mix_switch, event_mix, epochs }
    }
}
