//! Settings of a loader.

use crate::{Augment, Error, Mix, Result, SampleShape};
use serde::{Deserialize, Serialize};

/// More loader threads than this are a typing error.
const MAX_THREADS: usize = 1024;
/// More batches in advance than this are a typing error.
const MAX_PREFETCH: usize = 1 << 16;

/// The order of the samples in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A permutation that is a function of (seed, epoch).
    #[default]
    Shuffled,
    /// As given, every epoch.
    Sequential,
}

/// Treatment of the last batch if it is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastBatch {
    /// The last batch is delivered, smaller.
    #[default]
    Keep,
    /// The last batch is left out.
    Drop,
}

/// Settings of a [`Loader`](crate::Loader).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderConfig {
    /// Samples in a batch.
    pub batch_size: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Order of the samples.
    pub order: Order,
    /// Treatment of a last batch that is not full.
    pub last_batch: LastBatch,
    /// Worker threads; 0 makes each batch on request, on the caller's thread. The batches do not
    /// depend on it.
    pub threads: usize,
    /// Batches made in advance, over all threads (at least one a thread).
    pub prefetch: usize,
    /// Random changes to each sample; see
    /// [`Loader::with_transform`](crate::Loader::with_transform) for others.
    pub augment: Augment,
    /// How the samples of a batch are mixed with each other.
    pub mix: Mix,
}

impl Default for LoaderConfig {
    /// Batches of 128, shuffled with seed 0, the last one kept, one thread, four batches in
    /// advance, no augmentation, no mixing.
    fn default() -> Self {
        Self {
            batch_size: 128,
            seed: 0,
            order: Order::default(),
            last_batch: LastBatch::default(),
            threads: 1,
            prefetch: 4,
            augment: Augment::default(),
            mix: Mix::default(),
        }
    }
}

impl LoaderConfig {
    /// Settings for evaluation: in order, no augmentation, nothing left out.
    pub fn evaluation(batch_size: usize) -> Self {
        Self { batch_size, order: Order::Sequential, ..Self::default() }
    }

    /// Checks the settings that do not depend on the samples.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let range = |field, least: usize, most: usize, found: usize| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(Error::InvalidConfig {
                field,
                expected: format!("{least} to {most}"),
                found: found.to_string(),
            })
        };
        range("batch_size", 1, usize::MAX, self.batch_size)?;
        range("threads", 0, MAX_THREADS, self.threads)?;
        range("prefetch", 0, MAX_PREFETCH, self.prefetch)
    }

    /// Checks all settings against the samples.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub(super) fn validate_for(&self, shape: SampleShape) -> Result<()> {
        self.validate()?;
        self.augment.validate(shape)?;
        self.mix.validate_for(shape)
    }
}
