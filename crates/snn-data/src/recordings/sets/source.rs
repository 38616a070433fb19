//! Recordings as samples of a loader: read, augmented and framed on request.

use super::Recordings;
#[cfg(feature = "cache")]
use crate::cache::Fingerprint;
use crate::damage::MAX_SKIPPED;
use crate::recordings::augment::EventAugment;
#[cfg(feature = "cache")]
use crate::recordings::events::ArrayNames;
use crate::recordings::events::Events;
use crate::recordings::frames::{Framing, Slicing, target};
use crate::{Error, OnDamage, Result, SampleMut, SampleRng, SampleShape, Source};
use std::collections::BTreeMap;
#[cfg(feature = "cache")]
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Frames of recordings as a [`Source`] for a [`Loader`](crate::Loader): `[T, 2, H, W]`, a slice a
/// time step and a channel a polarity (0: OFF, 1: ON), counts above 255 being 255.
#[derive(Debug, Clone)]
pub struct RecordingSource {
    set: Arc<Recordings>,
    indices: Vec<usize>,
    framing: Framing,
    augment: Vec<EventAugment>,
    shape: [usize; 4],
    damaged: Arc<Mutex<BTreeMap<usize, String>>>,
}

impl RecordingSource {
    /// The recordings `indices` of a set (as a split gives them); `augment` is applied to the
    /// events, in order.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if a setting is out of range or the number of slices would differ
    /// between recordings; [`Error::IndexOutOfRange`].
    pub fn new(
        set: Arc<Recordings>,
        indices: Vec<usize>,
        framing: Framing,
        augment: Vec<EventAugment>,
    ) -> Result<Self> {
        let (Slicing::Time { slices } | Slicing::Number { slices }) = framing.slicing else {
            let expected =
                "a fixed number of slices (`time` or `number`), so that all samples have one shape"
                    .into();
            return Err(Error::InvalidConfig {
                field: "slicing",
                expected,
                found: format!("{:?}", framing.slicing),
            });
        };
        framing.slicing.validate()?;
        augment.iter().try_for_each(EventAugment::validate)?;
        let count = set.len();
        if let Some(&index) = indices.iter().find(|&&index| index >= count) {
            return Err(Error::IndexOutOfRange { index, count });
        }
        let size = target(framing.size, set.size())?;
        let shape = [slices, 2, usize::from(size.height), usize::from(size.width)];
        Ok(Self { set, indices, framing, augment, shape, damaged: Arc::default() })
    }

    /// Fingerprint of all that the frames depend on, for a [`Cache`](crate::cache::Cache): files,
    /// recordings in their order with their labels, and framing.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if events are augmented, as a cache is for what is the same in
    /// every epoch; [`Error::Io`] if a file is gone.
    #[cfg(feature = "cache")]
    pub fn fingerprint(&self) -> Result<Fingerprint> {
        if !self.augment.is_empty() {
            let expected = "none: a cache is for what is the same in every epoch".into();
            return Err(Error::InvalidConfig {
                field: "augment",
                expected,
                found: format!("{:?}", self.augment),
            });
        }
        let title = format!(
            "{}, {} recordings as frames {:?}",
            self.set.name(),
            self.indices.len(),
            self.shape
        );
        let mut print = Fingerprint::new(&title).setting("framing", &self.framing)?;
        // Set only where it is not the usual one, so that caches stay what they were.
        if self.set.options.on_damage == OnDamage::Skip {
            print = print.setting("on_damage", &OnDamage::Skip)?;
        }
        if let Some(sensor) = self.set.options.size {
            print = print.setting("sensor", &sensor)?;
        }
        if let Some(format) = self.set.options.format {
            print = print.setting("format", &format)?;
        }
        if self.set.options.arrays != ArrayNames::default() {
            print = print.setting("arrays", &self.set.options.arrays)?;
        }
        let samples: Vec<_> =
            self.indices.iter().filter_map(|&index| self.set.samples.get(index)).collect();
        for sample in &samples {
            let of = sample.place.file().display();
            print = print.text(&format!(
                "{} {} {of} {}",
                sample.label,
                sample.name,
                sample.place.part()
            ));
        }
        let files: BTreeSet<_> = samples.iter().map(|sample| sample.place.file()).collect();
        files.into_iter().try_fold(print, Fingerprint::file)
    }
}

impl Source for RecordingSource {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Frames(self.shape)
    }

    fn sample_name(&self, index: usize) -> Option<String> {
        self.set.sample_name(*self.indices.get(index)?).map(str::to_owned)
    }

    /// Recordings of which events were left out or that could not be read so far; only
    /// [`OnDamage::Skip`] goes on after the first.
    fn damaged(&self) -> BTreeMap<usize, String> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, rng: &mut SampleRng) -> Result<u16> {
        let count = self.indices.len();
        let mut tried = 0;
        loop {
            let place = (index + tried) % count.max(1);
            let &at = self.indices.get(place).ok_or(Error::IndexOutOfRange { index, count })?;
            let error = match self.try_load(place, at, sample, rng) {
                Ok(()) => {
                    let count = self.set.len();
                    return self.set.label(at).ok_or(Error::IndexOutOfRange { index: at, count });
                }
                Err(error) => error,
            };
            self.note(place, error.to_string());
            tried += 1;
            let skip = self.set.options.on_damage == OnDamage::Skip;
            if !skip || tried >= MAX_SKIPPED.min(count) {
                return Err(self.set.blame(at, error));
            }
        }
    }
}

impl RecordingSource {
    /// Frames of recording `at` of the set, which is number `place` of this source.
    fn try_load(
        &self,
        place: usize,
        at: usize,
        sample: &mut SampleMut<'_>,
        rng: &mut SampleRng,
    ) -> Result<()> {
        let (events, damage) = self.set.read_noting(at)?;
        if !damage.is_none() {
            self.note(place, damage.to_string());
        }
        let was_empty = events.is_empty();
        let augmented =
            self.augment.iter().try_fold(events, |events: Events, step| step.apply(events, rng))?;
        // Nothing is left where every event was dropped: frames of zeros, which the sample is.
        if augmented.is_empty() && !was_empty {
            return Ok(());
        }
        self.framing.write(&augmented, sample)
    }

    fn note(&self, place: usize, what: String) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(place, what);
    }
}
