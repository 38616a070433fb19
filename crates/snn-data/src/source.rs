//! Where a loader takes its samples from.

use crate::{Error, Images, Result, SampleMut, SampleRng, SampleShape};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Labelled samples of one shape that a [`Loader`](crate::Loader) can ask for by index, from any
/// thread: static images `[C, H, W]` or frames `[T, C, H, W]`.
///
/// A sample may depend on `rng`, whose numbers are a function of (seed, epoch, index), and on
/// nothing else that changes: then batches do not depend on the number of threads, and an epoch can
/// start in the middle.
///
/// ```
/// use snn_data::{Result, SampleMut, SampleRng, SampleShape, Source};
///
/// /// Two frames of one pixel that is brighter the second time.
/// #[derive(Debug)]
/// struct Ramps;
///
/// impl Source for Ramps {
///     fn len(&self) -> usize {
///         100
///     }
///     fn shape(&self) -> SampleShape {
///         SampleShape::Frames([2, 1, 1, 1])
///     }
///     fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> Result<u16> {
///         let level = index as u8;
///         sample.copy_from(&[level, level + 100])?;
///         Ok(u16::from(level > 50))
///     }
/// }
///
/// let loader = snn_data::LoaderConfig::default().init_source(std::sync::Arc::new(Ramps), None)?;
/// let batch = loader.epoch(0)?.next().expect("a batch")?;
/// assert_eq!(batch.samples.shape(), SampleShape::Frames([2, 1, 1, 1]));
/// assert_eq!(batch.len(), 100);
/// # Ok::<(), snn_data::Error>(())
/// ```
pub trait Source: fmt::Debug + Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// `true` if there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of every sample.
    fn shape(&self) -> SampleShape;

    /// The name or the file of a sample, for messages; images in memory have none.
    fn sample_name(&self, index: usize) -> Option<String> {
        let _ = index;
        None
    }

    /// The number by which the random stream of a sample is keyed and errors name it: its index in
    /// the whole set, another one than `index` only where a source is a part of another.
    fn random_key(&self, index: usize) -> usize {
        index
    }

    /// What was damaged of the samples that were loaded so far and is left out
    /// ([`OnDamage::Skip`](crate::OnDamage)), by [`random_key`](Self::random_key).
    fn damaged(&self) -> BTreeMap<usize, String> {
        BTreeMap::new()
    }

    /// Writes sample `index` into `sample`, zeros of shape [`shape`](Self::shape), and returns its
    /// label.
    ///
    /// # Errors
    /// [`Error::Sample`] naming the file, or another error that says what is wrong.
    fn load(&self, index: usize, sample: &mut SampleMut<'_>, rng: &mut SampleRng) -> Result<u16>;
}

impl Source for Images {
    fn len(&self) -> usize {
        self.len()
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Static(self.image_shape())
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> Result<u16> {
        let (Some(pixels), Some(&label)) = (self.image(index), self.labels().get(index)) else {
            return Err(Error::IndexOutOfRange { index, count: self.len() });
        };
        sample.copy_from(pixels)?;
        Ok(label)
    }
}

/// Some samples of another source, in any order; each keeps its random stream.
///
/// ```
/// use snn_data::{Dataset, Source, Subset};
/// let data = Dataset::open("shapes10", None)?;
/// let few = Subset::new(std::sync::Arc::new(data.train), vec![7, 3])?;
/// assert_eq!(few.len(), 2);
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Subset {
    source: Arc<dyn Source>,
    indices: Arc<[usize]>,
}

impl Subset {
    /// The samples `indices` of a source.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] for an index past the last sample.
    pub fn new(source: Arc<dyn Source>, indices: Vec<usize>) -> Result<Self> {
        let count = source.len();
        if let Some(&index) = indices.iter().find(|&&index| index >= count) {
            return Err(Error::IndexOutOfRange { index, count });
        }
        Ok(Self { source, indices: indices.into() })
    }

    fn at(&self, index: usize) -> Option<usize> {
        self.indices.get(index).copied()
    }
}

impl Source for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn shape(&self) -> SampleShape {
        self.source.shape()
    }

    fn sample_name(&self, index: usize) -> Option<String> {
        self.source.sample_name(self.at(index)?)
    }

    fn random_key(&self, index: usize) -> usize {
        self.at(index).map_or(index, |at| self.source.random_key(at))
    }

    fn damaged(&self) -> BTreeMap<usize, String> {
        let mut all = self.source.damaged();
        if !all.is_empty() {
            let own = (0..self.len()).map(|index| self.random_key(index)).collect::<BTreeSet<_>>();
            all.retain(|key, _| own.contains(key));
        }
        all
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, rng: &mut SampleRng) -> Result<u16> {
        let at = self.at(index).ok_or(Error::IndexOutOfRange { index, count: self.len() })?;
        self.source.load(at, sample, rng)
    }
}
