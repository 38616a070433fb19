//! One call that opens any data set as sources.

#[cfg(all(feature = "cache", feature = "pictures"))]
use super::held_out::HeldOutCache;
use super::spec::{DatasetName, Form};
use super::{Dataset, default_root};
#[cfg(any(feature = "pictures", feature = "recordings"))]
use crate::OnDamage;
#[cfg(all(feature = "cache", any(feature = "pictures", feature = "recordings")))]
use crate::cache::{Cache, Fingerprint};
use crate::loader::Purpose;
#[cfg(feature = "pictures")]
use crate::pictures::{
    CentreCrop, DecodeOptions, Exif, Filter, PictureSource, Pictures, RandomResizedCrop, View,
};
#[cfg(feature = "recordings")]
use crate::recordings::{
    RecordingSource, Recordings, SplitFile,
    augment::EventAugment,
    events::{ArrayNames, EventFormat, ReadOptions, SensorSize},
    frames::{Framing, Slicing},
};
use crate::{Error, Result, SampleRng, SampleShape, Source, Subset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// A split file of a set of recordings ([`SplitFile`]). If absent, the official split; without
    /// one the last 100 of each class of CIFAR10-DVS, and one of ten of each class of other sets,
    /// chosen with seed 0, are for testing. Relative paths start at the current folder.
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
    /// evaluation, those held out too ([`Sources::held_out`]), and recordings that are not
    /// augmented.
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
    fn framing(&self) -> Framing {
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
    use super::SensorSize;
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
    pub(super) fn open(&self, root: &Path) -> Result<Cache> {
        Cache::open(&root.join(&self.folder), self.max_gib.saturating_mul(1 << 30))
    }
}

#[cfg(feature = "recordings")]
/// How recordings of a set became frames: what is needed to do the same with another recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredFraming {
    /// The quantity that is equal in all slices.
    pub by: SliceBy,
    /// The sensor, as pictures stand upright on it.
    pub sensor: SensorSize,
    /// `true` if rows and columns of the files change places to turn pictures upright.
    pub transposed: bool,
}

/// A data set as sources, with what a network needs to know of it.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Its name.
    pub name: DatasetName,
    /// Samples to train on, with the random changes that are made before they have their size.
    pub train: Arc<dyn Source>,
    /// The same samples as evaluation sees them.
    pub train_plain: Arc<dyn Source>,
    /// Samples to report accuracy on.
    pub test: Arc<dyn Source>,
    /// `true` if the samples stand class by class, as files of one folder a class do.
    pub by_class: bool,
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Integer mean of the training samples per channel, in pixel units.
    pub channel_mean_u8: Vec<u8>,
    /// Standard deviation of the training samples per channel, in pixel units.
    pub channel_std: Vec<f64>,
    /// How recordings became frames; `None` for sets of images.
    #[cfg(feature = "recordings")]
    pub framing: Option<StoredFraming>,
    /// Cache of parts of `train_plain`, where the config wants one and `train_plain` has none.
    #[cfg(all(feature = "cache", feature = "pictures"))]
    held_out_cache: Option<HeldOutCache>,
}

impl Sources {
    /// Shape of every sample.
    pub fn shape(&self) -> SampleShape {
        self.train.shape()
    }

    /// At most `limit` of the samples `indices` of a split, for short runs and quick checks: the
    /// first ones where classes are mixed, and a uniform choice by `seed` where samples stand class
    /// by class. The choice of a lower limit is part of that of a higher one.
    pub fn limit(&self, mut indices: Vec<usize>, limit: usize, seed: u64) -> Vec<usize> {
        if limit >= indices.len() {
            return indices;
        }
        if self.by_class {
            SampleRng::new(seed, Purpose::Limit, 0, 0).shuffle(&mut indices);
        }
        indices.truncate(limit);
        indices.sort_unstable();
        indices
    }

    /// The training samples `indices` as evaluation sees them, for validation; of pictures decoded
    /// once into a cache, if [`SourceConfig::cache`] wants one. Each keeps its random stream.
    ///
    /// ```
    /// use snn_data::{SourceConfig, open};
    /// let data = open(&toml::from_str::<SourceConfig>("dataset = 'shapes10'").unwrap(), None)?;
    /// let held_out = data.held_out(vec![7, 3])?;
    /// assert_eq!((held_out.len(), held_out.random_key(0)), (2, 7));
    /// # Ok::<(), snn_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] for an index past the last sample; what building the cache
    /// reports ([`Cache::get`](crate::cache::Cache::get)).
    pub fn held_out(&self, indices: Vec<usize>) -> Result<Arc<dyn Source>> {
        #[cfg(all(feature = "cache", feature = "pictures"))]
        if let Some(cache) = &self.held_out_cache {
            return cache.get(indices);
        }
        Ok(Arc::new(Subset::new(Arc::clone(&self.train_plain), indices)?))
    }
}

impl From<Dataset> for Sources {
    fn from(data: Dataset) -> Self {
        let by_class = [&data.train, &data.test].iter().any(|part| stands_by_class(part.labels()));
        let train: Arc<dyn Source> = Arc::new(data.train);
        Self {
            name: data.name,
            by_class,
            train_plain: Arc::clone(&train),
            train,
            test: Arc::new(data.test),
            classes: data.classes,
            channel_mean_u8: data.channel_mean_u8,
            channel_std: data.channel_std,
            #[cfg(feature = "recordings")]
            framing: None,
            #[cfg(all(feature = "cache", feature = "pictures"))]
            held_out_cache: None,
        }
    }
}

/// `true` if each class stands in one run: labels change less often than there are classes.
fn stands_by_class(labels: &[u16]) -> bool {
    let changes = labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let classes: BTreeSet<u16> = labels.iter().copied().collect();
    labels.len() > classes.len() && changes < classes.len()
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
    fn picture_size(&self) -> usize {
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
    fn picture_crop(&self) -> CentreCrop {
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

/// Opens a data set as sources. `root` is the data root, [`default_root`] if absent.
///
/// # Errors
/// [`Error::InvalidConfig`] naming the setting; what the readers of the set report, naming files.
pub fn open(config: &SourceConfig, root: Option<&Path>) -> Result<Sources> {
    config.validate()?;
    let root = root.map_or_else(default_root, Path::to_owned);
    let folder = config.path.as_ref().map_or_else(|| root.clone(), |path| root.join(path));
    if let Some(path) = config.path.as_ref().filter(|_| !folder.exists()) {
        return Err(Error::InvalidConfig {
            field: "path",
            expected: format!(
                "a folder that exists; a relative path starts from the data root, `{}`",
                root.display()
            ),
            found: format!("`{}`, which is not there", path.display()),
        });
    }
    match config.dataset.spec().form {
        Form::Cifar(_) | Form::Idx(_) | Form::Shapes => {
            Ok(Dataset::open_named(config.dataset, Some(&folder))?.into())
        }
        #[cfg(feature = "pictures")]
        Form::Pictures(_) => open_pictures(config, &folder, &root),
        #[cfg(not(feature = "pictures"))]
        Form::Pictures(_) => not_compiled(config, "pictures"),
        #[cfg(feature = "recordings")]
        Form::Recordings(_) => open_recordings(config, &folder, &root),
        #[cfg(not(feature = "recordings"))]
        Form::Recordings(_) => not_compiled(config, "recordings"),
    }
}

#[cfg(feature = "pictures")]
#[cfg_attr(not(feature = "cache"), expect(unused_variables, reason = "for caches alone"))]
fn open_pictures(config: &SourceConfig, folder: &Path, root: &Path) -> Result<Sources> {
    let PictureConfig { scale, ratio, filter, exif, on_damage, .. } = config.pictures;
    let (spec, size) = (config.dataset.spec(), config.picture_size());
    let train = Arc::new(Pictures::open(config.dataset, folder, crate::Split::Train)?);
    let test = Arc::new(Pictures::open(config.dataset, folder, crate::Split::Test)?);
    let classes = train.classes().to_vec();
    // Labels are places in the list of classes, so both lists must be the same.
    if test.classes() != classes {
        return Err(Error::Field {
            path: folder.to_owned(),
            field: "classes of the test split",
            expected: format!("the {} of the training split", classes.len()),
            found: format!("{} others", test.classes().len()),
        });
    }
    let view = |pictures: &Arc<Pictures>, view| {
        PictureSource::new(Arc::clone(pictures), view, DecodeOptions { exif }, on_damage)
    };
    let random = View::Train(RandomResizedCrop { size, scale, ratio, filter });
    let middle = View::Evaluation(config.picture_crop());
    let plain = |pictures: &Arc<Pictures>| -> Result<Arc<dyn Source>> {
        let source = view(pictures, middle)?;
        #[cfg(feature = "cache")]
        return cached(config, root, source, PictureSource::fingerprint, classes.len());
        #[cfg(not(feature = "cache"))]
        Ok(Arc::new(source))
    };
    let train_plain = Arc::new(view(&train, middle)?);
    Ok(Sources {
        name: config.dataset,
        train: Arc::new(view(&train, random)?),
        #[cfg(feature = "cache")]
        held_out_cache: HeldOutCache::of(config, root, &train_plain, classes.len())?,
        train_plain,
        test: plain(&test)?,
        by_class: true,
        channel_mean_u8: spec.channel_mean_u8.to_vec(),
        channel_std: spec.channel_std.to_vec(),
        classes,
        #[cfg(feature = "recordings")]
        framing: None,
    })
}

#[cfg(feature = "recordings")]
#[cfg_attr(not(feature = "cache"), expect(unused_variables, reason = "for caches alone"))]
fn open_recordings(config: &SourceConfig, folder: &Path, root: &Path) -> Result<Sources> {
    let (spec, frames) = (config.dataset.spec(), &config.frames);
    let options = ReadOptions {
        format: frames.format,
        size: frames.sensor,
        arrays: frames.arrays.clone(),
        on_damage: frames.on_damage,
        ..ReadOptions::default()
    };
    let set = Arc::new(Recordings::open_with(config.dataset, folder, options)?);
    let split = match &config.split {
        Some(path) => SplitFile::read(path)?,
        None => SplitFile { dataset: config.dataset, rule: set.default_split() },
    };
    let parts = split.apply(&set)?;
    let source = |indices: &[usize], augment: &[EventAugment]| {
        let (set, indices) = (Arc::clone(&set), indices.to_vec());
        RecordingSource::new(set, indices, frames.framing(), augment.to_vec())
    };
    let plain = |indices: &[usize]| -> Result<Arc<dyn Source>> {
        let source = source(indices, &[])?;
        #[cfg(feature = "cache")]
        return cached(config, root, source, RecordingSource::fingerprint, set.classes().len());
        #[cfg(not(feature = "cache"))]
        Ok(Arc::new(source))
    };
    let train_plain = plain(&parts.train)?;
    let train: Arc<dyn Source> = if frames.augment.is_empty() {
        Arc::clone(&train_plain)
    } else {
        Arc::new(source(&parts.train, &frames.augment)?)
    };
    Ok(Sources {
        name: config.dataset,
        train,
        train_plain,
        test: plain(&parts.test)?,
        by_class: true,
        classes: set.classes().to_vec(),
        channel_mean_u8: spec.channel_mean_u8.to_vec(),
        channel_std: spec.channel_std.to_vec(),
        framing: Some(StoredFraming {
            by: frames.by,
            sensor: set.upright_size(),
            transposed: set.is_transposed(),
        }),
        // All of `train_plain` has its cache.
        #[cfg(all(feature = "cache", feature = "pictures"))]
        held_out_cache: None,
    })
}

#[cfg(not(all(feature = "pictures", feature = "recordings")))]
fn not_compiled(config: &SourceConfig, feature: &'static str) -> Result<Sources> {
    Err(Error::NotCompiled { dataset: config.dataset.as_str(), feature })
}

/// The samples of a source, from their cache if the config wants one.
#[cfg(all(feature = "cache", any(feature = "pictures", feature = "recordings")))]
fn cached<S: Source + 'static>(
    config: &SourceConfig,
    root: &Path,
    source: S,
    fingerprint: fn(&S) -> Result<Fingerprint>,
    classes: usize,
) -> Result<Arc<dyn Source>> {
    let Some(cache) = &config.cache else { return Ok(Arc::new(source)) };
    Ok(Arc::new(cache.open(root)?.get(&fingerprint(&source)?, &source, classes)?))
}
