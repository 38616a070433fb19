//! Which data is opened, as a config says it.

#[cfg(any(feature = "pictures", feature = "recordings"))]
use crate::OnDamage;
#[cfg(all(feature = "cache", any(feature = "pictures", feature = "recordings")))]
use crate::cache::Cache;
#[cfg(feature = "pictures")]
use crate::pictures::{CentreCrop, Exif, Filter, RandomResizedCrop};
#[cfg(feature = "recordings")]
use crate::recordings::{
    augment::EventAugment,
    events::{ArrayNames, EventFormat, SensorSize},
    frames::{Framing, Slicing},
};
use crate::sets::spec::{DatasetName, Form};
use crate::{Error, Result, SampleShape};
use serde::{Deserialize, Serialize};
#[cfg(all(feature = "cache", any(feature = "pictures", feature = "recordings")))]
use std::path::Path;
use std::path::PathBuf;

/// Which data is opened, and how its files become samples.
///
/// ```
/// use snn_data::{SourceConfig, open};
/// let config: SourceConfig = toml::from_str("dataset = 'shapes10'").unwrap();
/// let data = open(&config, None)?;
/// assert_eq!((data.train.len(), data.test.len(), data.classes.len()), (8_000, 2_000, 10));
///
/// let config: SourceConfig = toml::from_str(
///     "dataset = 'n-mnist'\nframes = { slices = 10, by = 'time', size = '17x17' }",
/// )
/// .unwrap();
/// assert!(open(&config, Some("/nowhere".as_ref())).is_err());
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The data set.
    pub dataset: DatasetName,
    /// Its folder, or the folder that holds it; the data root if absent. Folders of one's own
    /// (`picture-folder`, `recording-folder`) need it. Relative paths start at the data root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A split file of a set of recordings ([`SplitFile`](crate::recordings::SplitFile)). If
    /// absent, the official split; without one the last 100 of each class of CIFAR10-DVS, and one
    /// of ten of each class of other sets, chosen with seed 0, are for testing. Relative paths
    /// start at the current folder.
    #[cfg(feature = "recordings")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<PathBuf>,
    /// How pictures become images.
    #[cfg(feature = "pictures")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub pictures: PictureConfig,
    /// How recordings become frames.
    #[cfg(feature = "recordings")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub frames: FrameConfig,
    /// Keeps samples that are the same in every epoch in a file that processes share: pictures for
    /// evaluation, those held out too ([`Sources::held_out`](crate::Sources::held_out)), and
    /// recordings that are not augmented.
    #[cfg(feature = "cache")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
}

#[cfg(any(feature = "pictures", feature = "recordings"))]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(feature = "pictures")]
/// How pictures become images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PictureConfig {
    /// Side of the images in pixels; 0 for the usual one of the set (224, Tiny-ImageNet 64).
    pub size: usize,
    /// The shorter side before the middle is cut out for evaluation; 0 for 8/7 of `size`, as 256 is
    /// of 224, and for `size` where pictures are that small.
    pub resize: usize,
    /// Least and greatest share of a picture's area in a random crop for training.
    pub scale: [f64; 2],
    /// Least and greatest width / height of a random crop.
    pub ratio: [f64; 2],
    /// The filter of resizing.
    pub filter: Filter,
    /// `true` if pictures are turned as their EXIF data say.
    pub exif: Exif,
    /// Treatment of files that cannot be decoded.
    pub on_damage: OnDamage,
}

#[cfg(feature = "pictures")]
impl Default for PictureConfig {
    /// torchvision's crops: 0.08 to 1 of the area, ratios of ¾ to 4/3, bilinear.
    fn default() -> Self {
        let RandomResizedCrop { scale, ratio, filter, .. } = RandomResizedCrop::default();
        let (exif, on_damage) = (Exif::default(), OnDamage::default());
        Self { size: 0, resize: 0, scale, ratio, filter, exif, on_damage }
    }
}

#[cfg(feature = "recordings")]
/// By what a recording is cut into slices, one a time step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SliceBy {
    /// Slices of equally many events ([`Slicing::Number`]).
    #[default]
    Number,
    /// Slices of equal duration ([`Slicing::Time`]).
    Time,
}

#[cfg(feature = "recordings")]
/// How recordings become frames `[T, 2, H, W]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrameConfig {
    /// T: slices of a recording, one a time step.
    pub slices: usize,
    /// The quantity that is equal in all slices.
    pub by: SliceBy,
    /// Size of the frames, `WIDTHxHEIGHT`, at most that of the sensor, which is the default.
    #[serde(with = "size", skip_serializing_if = "Option::is_none")]
    pub size: Option<SensorSize>,
    /// The sensor, `WIDTHxHEIGHT`, of files that do not say it.
    #[serde(with = "size", skip_serializing_if = "Option::is_none")]
    pub sensor: Option<SensorSize>,
    /// The format of files whose first bytes and extension do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<EventFormat>,
    /// Names of the arrays of NPZ files, where they are not the usual ones.
    #[serde(skip_serializing_if = "is_default")]
    pub arrays: ArrayNames,
    /// Treatment of events outside the sensor, of last records that are cut, and of recordings that
    /// cannot be read.
    #[serde(skip_serializing_if = "is_default")]
    pub on_damage: OnDamage,
    /// Random changes of the events of training recordings, in order.
    pub augment: Vec<EventAugment>,
}

#[cfg(feature = "recordings")]
impl Default for FrameConfig {
    /// Ten slices of equally many events, as large as the sensor, no augmentation.
    fn default() -> Self {
        let by = SliceBy::default();
        Self {
            slices: 10,
            by,
            size: None,
            sensor: None,
            format: None,
            arrays: ArrayNames::default(),
            on_damage: OnDamage::default(),
            augment: Vec::new(),
        }
    }
}

#[cfg(feature = "recordings")]
impl FrameConfig {
    pub(super) fn framing(&self) -> Framing {
        let slices = self.slices;
        let slicing = match self.by {
            SliceBy::Number => Slicing::Number { slices },
            SliceBy::Time => Slicing::Time { slices },
        };
        Framing { slicing, size: self.size }
    }
}

#[cfg(feature = "recordings")]
/// Sizes as text.
mod size {
    use crate::recordings::events::SensorSize;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde asks for"
    )]
    pub(super) fn serialize<S: Serializer>(
        size: &Option<SensorSize>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match size {
            Some(size) => to.collect_str(size),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SensorSize>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(feature = "cache")]
/// Where samples are cached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// The folder; relative paths start at the data root.
    pub folder: PathBuf,
    /// GiB that all caches of the folder take together at most.
    pub max_gib: u64,
}

#[cfg(feature = "cache")]
impl Default for CacheConfig {
    /// `cache` in the data root, 64 GiB.
    fn default() -> Self {
        Self { folder: "cache".into(), max_gib: 64 }
    }
}

#[cfg(all(feature = "cache", any(feature = "pictures", feature = "recordings")))]
impl CacheConfig {
    pub(in crate::sets) fn open(&self, root: &Path) -> Result<Cache> {
        Cache::open(&root.join(&self.folder), self.max_gib.saturating_mul(1 << 30))
    }
}

impl SourceConfig {
    /// The default settings of a data set.
    pub fn new(dataset: DatasetName) -> Self {
        Self {
            dataset,
            path: None,
            #[cfg(feature = "recordings")]
            split: None,
            #[cfg(feature = "pictures")]
            pictures: PictureConfig::default(),
            #[cfg(feature = "recordings")]
            frames: FrameConfig::default(),
            #[cfg(feature = "cache")]
            cache: None,
        }
    }

    /// The default settings of a data set for a network that reads samples of this shape:
    /// pictures get the size of a square image, other data sets are as they are.
    ///
    /// ```
    /// use snn_data::{DatasetName, SampleShape, SourceConfig};
    /// let large = SourceConfig::for_shape(DatasetName::ImageNet, &[3, 240, 240]);
    /// # #[cfg(feature = "pictures")]
    /// assert_eq!(large.shape(), Some(SampleShape::Static([3, 240, 240])));
    /// let cifar = SourceConfig::for_shape(DatasetName::Cifar10, &[3, 240, 240]);
    /// assert_eq!(cifar, SourceConfig::new(DatasetName::Cifar10));
    /// ```
    pub fn for_shape(dataset: DatasetName, shape: &[usize]) -> Self {
        let config = Self::new(dataset);
        #[cfg(feature = "pictures")]
        if let (Form::Pictures(_), &[_, height, width]) = (&dataset.spec().form, shape)
            && height == width
        {
            return Self { pictures: PictureConfig { size: width, ..config.pictures }, ..config };
        }
        #[cfg(not(feature = "pictures"))]
        let _ = shape;
        config
    }

    /// Shape of every sample, without opening the data; `None` where the files say it.
    pub fn shape(&self) -> Option<SampleShape> {
        let spec = self.dataset.spec();
        match spec.form {
            Form::Cifar(_) | Form::Idx(_) | Form::Shapes => Some(SampleShape::Static(spec.image)),
            #[cfg(feature = "pictures")]
            Form::Pictures(_) => {
                let size = self.picture_size();
                Some(SampleShape::Static([spec.image[0], size, size]))
            }
            #[cfg(not(feature = "pictures"))]
            Form::Pictures(_) => None,
            #[cfg(feature = "recordings")]
            Form::Recordings(_) => self.frame_shape(),
            #[cfg(not(feature = "recordings"))]
            Form::Recordings(_) => None,
        }
    }

    #[cfg(feature = "pictures")]
    pub(super) fn picture_size(&self) -> usize {
        match self.pictures.size {
            0 => self.dataset.spec().image[1],
            size => size,
        }
    }

    /// The middle that is cut out of a picture for evaluation; `None` for sets that are not made of
    /// pictures.
    #[cfg(feature = "pictures")]
    pub fn centre_crop(&self) -> Option<CentreCrop> {
        matches!(self.dataset.spec().form, Form::Pictures(_)).then(|| self.picture_crop())
    }

    #[cfg(feature = "pictures")]
    pub(super) fn picture_crop(&self) -> CentreCrop {
        let (size, filter) = (self.picture_size(), self.pictures.filter);
        let resize = match self.pictures.resize {
            0 if size >= 128 => size * 8 / 7,
            0 => size,
            resize => resize,
        };
        CentreCrop { resize, size, filter }
    }

    #[cfg(feature = "recordings")]
    fn frame_shape(&self) -> Option<SampleShape> {
        let spec = self.dataset.spec();
        let [channels, height, width] = spec.image;
        let published = (spec.train > 0).then_some([height, width]);
        let given = self.frames.size.or(self.frames.sensor);
        let given = given.map(|size| [size.height, size.width].map(usize::from));
        let [height, width] = given.or(published)?;
        Some(SampleShape::Frames([self.frames.slices, channels, height, width]))
    }

    /// Checks the settings that do not depend on files.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field, also for a setting that the data set has no use
    /// for.
    pub fn validate(&self) -> Result<()> {
        let spec = self.dataset.spec();
        #[cfg(feature = "pictures")]
        self.unused("pictures", !is_default(&self.pictures), &["pictures"])?;
        #[cfg(feature = "cache")]
        self.unused("cache", self.cache.is_some(), &["pictures", "recordings"])?;
        #[cfg(feature = "recordings")]
        {
            self.unused("frames", !is_default(&self.frames), &["recordings"])?;
            self.unused("split", self.split.is_some(), &["recordings"])?;
            self.frames.framing().slicing.validate()?;
            self.frames.augment.iter().try_for_each(EventAugment::validate)?;
        }
        if spec.train == 0 && self.path.is_none() {
            return Err(Error::InvalidConfig {
                field: "path",
                expected: format!("the folder of the `{}`", self.dataset),
                found: "none".into(),
            });
        }
        Ok(())
    }

    /// Refuses a setting that is for sets of other kinds.
    #[cfg(any(feature = "pictures", feature = "recordings", feature = "cache"))]
    fn unused(&self, field: &'static str, given: bool, kinds: &[&str]) -> Result<()> {
        let kind = match self.dataset.spec().form {
            Form::Cifar(_) | Form::Idx(_) | Form::Shapes => "images",
            Form::Pictures(_) => "pictures",
            Form::Recordings(_) => "recordings",
        };
        if !given || kinds.contains(&kind) {
            return Ok(());
        }
        let expected = format!("none: it is for sets of {}", kinds.join(" and "));
        let found = format!("a setting for `{}`", self.dataset);
        Err(Error::InvalidConfig { field, expected, found })
    }
}
