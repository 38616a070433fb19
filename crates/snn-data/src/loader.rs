//! Batches in a reproducible order, made by any number of threads.

use crate::augment::{Augment, Transform};
use crate::epoch::{Epoch, Plan};
use crate::images::Images;
use crate::rng::{Purpose, SampleRng};
use crate::{Error, Result, Source};
use ndarray::Array4;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// More loader threads than this are a typing error.
const MAX_THREADS: usize = 1024;
/// More batches in advance than this are a typing error.
const MAX_PREFETCH: usize = 1 << 16;

/// Some images with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Pixels, `[B, C, H, W]`.
    pub images: Array4<u8>,
    /// Labels, `[B]`.
    pub labels: Vec<i64>,
    /// Index of each image in its set, `[B]`.
    pub indices: Vec<usize>,
}

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

/// What becomes of the last batch if it is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastBatch {
    /// It is delivered, smaller.
    #[default]
    Keep,
    /// It is left out.
    Drop,
}

/// Settings of a [`Loader`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderConfig {
    /// Images in a batch.
    pub batch_size: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Order of the samples.
    pub order: Order,
    /// What becomes of a last batch that is not full.
    pub last_batch: LastBatch,
    /// Worker threads; 0 makes each batch when it is asked for. The batches do not depend on it.
    pub threads: usize,
    /// Batches made in advance, over all threads (at least one a thread).
    pub prefetch: usize,
    /// Random changes to each image; see [`Loader::with_transform`] for others.
    pub augment: Augment,
}

impl Default for LoaderConfig {
    /// Batches of 128, shuffled with seed 0, the last one kept, one thread, four batches in
    /// advance, no augmentation.
    fn default() -> Self {
        Self {
            batch_size: 128,
            seed: 0,
            order: Order::default(),
            last_batch: LastBatch::default(),
            threads: 1,
            prefetch: 4,
            augment: Augment::default(),
        }
    }
}

impl LoaderConfig {
    /// Settings for evaluation: in order, no augmentation, nothing left out.
    pub fn evaluation(batch_size: usize) -> Self {
        Self { batch_size, order: Order::Sequential, ..Self::default() }
    }

    /// Checks the settings that do not depend on the images.
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

    /// A loader over all images of a set, or over those in `indices` (as
    /// [`split_holdout`](crate::split_holdout) gives).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if a setting is out of range, does not fit the images, or leaves no
    /// batch; [`Error::IndexOutOfRange`] for an index past the last image.
    pub fn init(self, images: &Images, indices: Option<Vec<usize>>) -> Result<Loader> {
        self.init_source(Arc::new(images.clone()), indices)
    }

    /// A loader over samples that are made when they are asked for: picture files, a cache.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_source(
        self,
        source: Arc<dyn Source>,
        indices: Option<Vec<usize>>,
    ) -> Result<Loader> {
        self.validate()?;
        self.augment.validate(source.image_shape()[0])?;
        let count = source.len();
        let indices = indices.unwrap_or_else(|| (0..count).collect());
        if let Some(&index) = indices.iter().find(|&&index| index >= count) {
            return Err(Error::IndexOutOfRange { index, count });
        }
        let transform: Option<Arc<dyn Transform>> = if self.augment == Augment::default() {
            None
        } else {
            Some(Arc::new(self.augment.clone()))
        };
        let loader =
            Loader { config: self, source, indices: indices.into(), transform, shard: (0, 1) };
        if loader.batches_per_epoch() == 0 {
            return Err(Error::InvalidConfig {
                field: "batch_size",
                expected: "at least one batch an epoch".into(),
                found: format!(
                    "{} of {} images a batch",
                    loader.indices.len(),
                    loader.config.batch_size
                ),
            });
        }
        Ok(loader)
    }
}

/// Makes the batches of every epoch.
///
/// Batch k of epoch e is a function of (images, settings, e, k) and of nothing else: not of the
/// number of threads, not of the batches before it, not of when it is asked for.
#[derive(Debug, Clone)]
pub struct Loader {
    config: LoaderConfig,
    source: Arc<dyn Source>,
    indices: Arc<[usize]>,
    transform: Option<Arc<dyn Transform>>,
    /// Rank, and number of ranks.
    shard: (usize, usize),
}

impl Loader {
    /// The share of rank `rank` of `ranks`, when several processes train together: every `ranks`-th
    /// sample of each epoch's order, the same number for all. What is left over (fewer than `ranks`
    /// samples, others in every epoch of a shuffled order) is left out.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the rank is not below `ranks`, or nothing is left for a batch.
    pub fn with_shard(mut self, rank: usize, ranks: usize) -> Result<Self> {
        if rank >= ranks {
            let expected = format!("below the number of ranks, {ranks}");
            return Err(Error::InvalidConfig { field: "rank", expected, found: rank.to_string() });
        }
        self.shard = (rank, ranks);
        if self.batches_per_epoch() == 0 {
            let expected = "at least one batch an epoch for every rank".into();
            return Err(Error::InvalidConfig {
                field: "ranks",
                expected,
                found: ranks.to_string(),
            });
        }
        Ok(self)
    }

    /// The same loader with another transform in the place of [`LoaderConfig::augment`].
    #[must_use]
    pub fn with_transform(mut self, transform: Arc<dyn Transform>) -> Self {
        self.transform = Some(transform);
        self
    }

    /// The settings.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// Number of images of an epoch.
    pub fn len(&self) -> usize {
        self.indices.len() / self.shard.1
    }

    /// Whether there is no image (never, once built).
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        match self.config.last_batch {
            LastBatch::Keep => self.len().div_ceil(self.config.batch_size),
            LastBatch::Drop => self.len() / self.config.batch_size,
        }
    }

    /// Image indices in the order of an epoch.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order = self.indices.to_vec();
        match self.config.order {
            Order::Sequential => {}
            Order::Shuffled => {
                SampleRng::new(self.config.seed, Purpose::Order, epoch, 0).shuffle(&mut order);
            }
        }
        let (rank, ranks) = self.shard;
        if ranks > 1 {
            order = order.into_iter().skip(rank).step_by(ranks).take(self.len()).collect();
        }
        order
    }

    /// The batches of an epoch.
    ///
    /// # Errors
    /// [`Error::Io`] if a thread cannot be started.
    pub fn epoch(&self, epoch: u64) -> Result<Epoch> {
        self.epoch_from(epoch, 0)
    }

    /// The batches of an epoch from batch `first_batch` on, as when resuming; those before it are
    /// not made.
    ///
    /// # Errors
    /// [`Error::StartOutOfRange`] past the end of the epoch (the end itself is an empty rest);
    /// [`Error::Io`] if a thread cannot be started.
    pub fn epoch_from(&self, epoch: u64, first_batch: usize) -> Result<Epoch> {
        let batches = self.batches_per_epoch();
        if first_batch > batches {
            return Err(Error::StartOutOfRange { epoch, first_batch, batches });
        }
        let plan = Plan {
            source: Arc::clone(&self.source),
            order: self.order(epoch),
            batch_size: self.config.batch_size,
            seed: self.config.seed,
            epoch,
            transform: self.transform.clone(),
        };
        Epoch::start(plan, first_batch..batches, &self.config)
    }
}
