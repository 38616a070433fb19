//! Pictures as samples of one size.

use super::set::Pictures;
#[cfg(feature = "cache")]
use super::set::Place;
#[cfg(feature = "cache")]
use crate::cache::Fingerprint;
use crate::damage::MAX_SKIPPED;
use crate::pictures::{CentreCrop, DecodeOptions, RandomResizedCrop};
use crate::{Error, OnDamage, Result, SampleMut, SampleRng, SampleShape, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How a picture becomes a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum View {
    /// A random part; mirroring is the loader's ([`Augment::flip`](crate::Augment::flip)).
    Train(RandomResizedCrop),
    /// The middle.
    Evaluation(CentreCrop),
}

/// Picture files as a [`Source`] for a [`Loader`](crate::Loader).
#[derive(Debug)]
pub struct PictureSource {
    pictures: Arc<Pictures>,
    view: View,
    decode: DecodeOptions,
    on_damage: OnDamage,
    damaged: Mutex<BTreeMap<usize, String>>,
}

impl PictureSource {
    /// Samples of these pictures.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the view's numbers are out of range.
    pub fn new(
        pictures: Arc<Pictures>,
        view: View,
        decode: DecodeOptions,
        on_damage: OnDamage,
    ) -> Result<Self> {
        let size = match view {
            View::Train(crop) => {
                crop.validate()?;
                crop.size
            }
            View::Evaluation(crop) => crop.size,
        };
        if !(1..=1 << 12).contains(&size) {
            return Err(Error::InvalidConfig {
                field: "size",
                expected: "1 to 4096".into(),
                found: size.to_string(),
            });
        }
        Ok(Self { pictures, view, decode, on_damage, damaged: Mutex::default() })
    }

    /// Fingerprint of all that the samples depend on, for a [`Cache`](crate::cache::Cache): files
    /// in their order with their labels, the part of each, how they are decoded, and what becomes
    /// of damaged ones.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a random part ([`View::Train`]), as a cache is for what is the
    /// same in every epoch; [`Error::Io`] if a file is gone.
    #[cfg(feature = "cache")]
    pub fn fingerprint(&self) -> Result<Fingerprint> {
        if let View::Train(_) = self.view {
            let expected = "the middle: a cache is for what is the same in every epoch".into();
            return Err(Error::InvalidConfig {
                field: "view",
                expected,
                found: format!("{:?}", self.view),
            });
        }
        let pictures = &self.pictures;
        let title = format!(
            "{} pictures of {} as {}",
            pictures.len(),
            pictures.root.display(),
            self.shape()
        );
        let mut print = Fingerprint::new(&title)
            .setting("view", &self.view)?
            .setting("decode", &self.decode)?
            .setting("on_damage", &self.on_damage)?;
        for (place, label) in pictures.places.iter().zip(&pictures.labels) {
            print = match place {
                Place::File(name) => {
                    print.text(&label.to_string()).file(&pictures.root.join(name.as_ref()))?
                }
                Place::Tar { archive, start, length, name } => {
                    print.text(&format!("{label} {archive} {start}+{length} {name}"))
                }
            };
        }
        pictures.archives.iter().try_fold(print, |print, archive| print.file(archive))
    }

    fn try_load(
        &self,
        index: usize,
        sample: &mut SampleMut<'_>,
        rng: &mut SampleRng,
    ) -> Result<()> {
        let image = &mut sample.image()?;
        let picture = self.pictures.read(index, self.decode)?;
        match self.view {
            View::Train(crop) => crop.apply(&picture, rng)?.write_planes(image),
            View::Evaluation(crop) => crop.apply(&picture)?.write_planes(image),
        }
        Ok(())
    }
}

impl Source for PictureSource {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn shape(&self) -> SampleShape {
        let size = match self.view {
            View::Train(crop) => crop.size,
            View::Evaluation(crop) => crop.size,
        };
        SampleShape::Static([3, size, size])
    }

    fn sample_name(&self, index: usize) -> Option<String> {
        self.pictures.path(index).map(|path| path.display().to_string())
    }

    /// The files that could not be decoded so far; only [`OnDamage::Skip`] goes on to find more
    /// than one.
    fn damaged(&self) -> BTreeMap<usize, String> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, rng: &mut SampleRng) -> Result<u16> {
        let count = self.len();
        let mut tried = 0;
        loop {
            let at = (index + tried) % count.max(1);
            let Err(source) = self.try_load(at, sample, rng) else {
                return Ok(self.pictures.labels()[at]);
            };
            let name =
                self.pictures.path(at).map_or_else(String::new, |path| path.display().to_string());
            self.damaged
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(at, source.to_string());
            tried += 1;
            if self.on_damage == OnDamage::Fail || tried >= MAX_SKIPPED.min(count) {
                return Err(Error::Sample { index: at, name, source: Box::new(source) });
            }
        }
    }
}
