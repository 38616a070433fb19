//! Caches of pictures that are held out of training.

use super::SourceConfig;
use crate::cache::{Cache, Cached};
use crate::pictures::PictureSource;
use crate::{Result, SampleMut, SampleRng, SampleShape, Source, Subset};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Cache of parts of the training pictures as evaluation sees them. All of them would take the room
/// of the whole set, of which evaluation needs what is held out.
#[derive(Debug, Clone)]
pub(super) struct HeldOutCache {
    cache: Cache,
    pictures: Arc<PictureSource>,
    classes: usize,
}

impl HeldOutCache {
    /// The cache of a config; `None` if it wants none.
    pub(super) fn of(
        config: &SourceConfig,
        root: &Path,
        pictures: &Arc<PictureSource>,
        classes: usize,
    ) -> Result<Option<Self>> {
        let Some(cache) = &config.cache else { return Ok(None) };
        let (cache, pictures) = (cache.open(root)?, Arc::clone(pictures));
        Ok(Some(Self { cache, pictures, classes }))
    }

    /// The pictures `indices`, which are decoded first if they have no cache yet.
    pub(super) fn get(&self, indices: Vec<usize>) -> Result<Arc<dyn Source>> {
        let fingerprint = self.pictures.fingerprint()?.subset(&indices);
        let pictures = Subset::new(Arc::clone(&self.pictures) as Arc<dyn Source>, indices)?;
        let cached = self.cache.get(&fingerprint, &pictures, self.classes)?;
        Ok(Arc::new(HeldOut { pictures, cached }))
    }
}

/// Cached pictures that keep the names and the random streams they have in the whole set.
#[derive(Debug)]
struct HeldOut {
    pictures: Subset,
    cached: Cached,
}

impl Source for HeldOut {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn shape(&self) -> SampleShape {
        self.pictures.shape()
    }

    fn sample_name(&self, index: usize) -> Option<String> {
        self.pictures.sample_name(index)
    }

    fn random_key(&self, index: usize) -> usize {
        self.pictures.random_key(index)
    }

    fn damaged(&self) -> BTreeMap<usize, String> {
        self.pictures.damaged()
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, rng: &mut SampleRng) -> Result<u16> {
        self.cached.load(index, sample, rng)
    }
}
