//! One call that opens any data set as sources.

mod config;

#[cfg(feature = "cache")]
pub use config::CacheConfig;
#[cfg(feature = "pictures")]
pub use config::PictureConfig;
pub use config::SourceConfig;
#[cfg(feature = "recordings")]
pub use config::{FrameConfig, SliceBy};

#[cfg(all(feature = "cache", feature = "pictures"))]
use super::held_out::HeldOutCache;
use super::spec::{DatasetName, Form};
use super::{Dataset, default_root};
#[cfg(all(feature = "cache", any(feature = "pictures", feature = "recordings")))]
use crate::cache::Fingerprint;
use crate::loader::Purpose;
#[cfg(feature = "pictures")]
use crate::pictures::{DecodeOptions, PictureSource, Pictures, RandomResizedCrop, View};
#[cfg(feature = "recordings")]
use crate::recordings::{
    RecordingSource, Recordings, SplitFile,
    augment::EventAugment,
    events::{ReadOptions, SensorSize},
};
use crate::{Error, Result, SampleRng, SampleShape, Source, Subset};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

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
