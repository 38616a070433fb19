//! Batches in a reproducible order, made by any number of threads.

mod batch;
mod config;
mod epoch;
mod event_mix;
mod holdout;
mod mix;
mod plan;
mod rng;

pub use batch::{Batch, BatchTransform, Mixture, Samples, Targets, part_of_batch};
pub use config::{LastBatch, LoaderConfig, Order};
pub use epoch::Epoch;
pub use event_mix::{EventMix, GAUSSIANS};
pub use holdout::{HoldOut, split_holdout};
pub use mix::{MAX_ALPHA, Mix};
pub(crate) use rng::Purpose;
pub use rng::SampleRng;

use crate::augment::{Augment, Transform};
use crate::images::Images;
use crate::{Error, Result, Source};
use plan::Plan;
use std::sync::Arc;

impl LoaderConfig {
    /// A loader over all images of a set, or over those in `indices` (as
    /// [`split_holdout`](crate::split_holdout) gives).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if a setting is out of range, does not fit the images, or leaves no
    /// batch; [`Error::IndexOutOfRange`] for an index past the last sample.
    pub fn init(self, images: &Images, indices: Option<Vec<usize>>) -> Result<Loader> {
        self.init_source(Arc::new(images.clone()), indices)
    }

    /// A loader over samples that are made on request: picture files, a cache.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_source(
        self,
        source: Arc<dyn Source>,
        indices: Option<Vec<usize>>,
    ) -> Result<Loader> {
        self.validate_for(source.shape())?;
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
        let loader = Loader {
            config: self,
            source,
            indices: indices.into(),
            transform,
            batch_transform: None,
            shard: Shard { rank: 0, ranks: 1 },
            part: None,
        };
        if loader.batches_per_epoch() == 0 {
            return Err(Error::InvalidConfig {
                field: "batch_size",
                expected: "at least one batch an epoch".into(),
                found: format!(
                    "{} of {} samples a batch",
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
/// Batch k of epoch e is a function of (samples, settings, e, k) and of nothing else: not of the
/// number of threads, not of the batches before it, not of when it is requested.
#[derive(Debug, Clone)]
pub struct Loader {
    config: LoaderConfig,
    source: Arc<dyn Source>,
    indices: Arc<[usize]>,
    transform: Option<Arc<dyn Transform>>,
    batch_transform: Option<Arc<dyn BatchTransform>>,
    shard: Shard,
    part: Option<Shard>,
}

/// The share of one of several processes that train together.
#[derive(Debug, Clone, Copy)]
struct Shard {
    rank: usize,
    ranks: usize,
}

impl Loader {
    /// The share of rank `rank` of `ranks`, when several processes train together: every `ranks`-th
    /// sample of each epoch's order, the same number for all. What is left over (fewer than `ranks`
    /// samples, others in every epoch of a shuffled order) is left out.
    ///
    /// ```
    /// use snn_data::{Dataset, LoaderConfig, Source};
    /// use std::sync::Arc;
    ///
    /// let images: Arc<dyn Source> = Arc::new(Dataset::open("shapes10", None)?.test);
    /// let all = LoaderConfig::evaluation(500).init_source(images, None)?;
    /// // Two processes read 1,000 of the 2,000 images each, none of them twice.
    /// let (first, second) = (all.clone().with_shard(0, 2)?, all.with_shard(1, 2)?);
    /// assert_eq!((first.batches_per_epoch(), second.batches_per_epoch()), (2, 2));
    /// let indices = |loader: &snn_data::Loader| -> snn_data::Result<Vec<usize>> {
    ///     Ok(loader.epoch(0)?.next().expect("a batch")?.indices)
    /// };
    /// assert_eq!(indices(&first)?[..3], [0, 2, 4]);
    /// assert_eq!(indices(&second)?[..3], [1, 3, 5]);
    /// # Ok::<(), snn_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the rank is not below `ranks`, or nothing is left for a batch.
    pub fn with_shard(mut self, rank: usize, ranks: usize) -> Result<Self> {
        if rank >= ranks {
            let expected = format!("below the number of ranks, {ranks}");
            return Err(Error::InvalidConfig { field: "rank", expected, found: rank.to_string() });
        }
        self.shard = Shard { rank, ranks };
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

    /// The part that rank `rank` of `ranks` has of every batch ([`part_of_batch`]), when several
    /// processes compute one batch together. All of them together make the batches of one process,
    /// mixed and transformed alike; where batches are mixed or have a transform, each process makes
    /// them whole.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the rank is not below `ranks`, or there are more ranks than
    /// samples in a batch.
    pub fn with_part(mut self, rank: usize, ranks: usize) -> Result<Self> {
        let refused = |field, expected: String, found: usize| {
            Err(Error::InvalidConfig { field, expected, found: found.to_string() })
        };
        if rank >= ranks {
            return refused("rank", format!("below the number of ranks, {ranks}"), rank);
        }
        if ranks > self.config.batch_size {
            return refused(
                "ranks",
                format!("at most the batch, {}", self.config.batch_size),
                ranks,
            );
        }
        self.part = Some(Shard { rank, ranks });
        Ok(self)
    }

    /// The same loader with another transform in the place of [`LoaderConfig::augment`].
    ///
    /// ```
    /// use snn_data::{Dataset, LoaderConfig, SampleMut, SampleRng, Transform};
    /// use std::sync::Arc;
    ///
    /// /// The negative of an image.
    /// #[derive(Debug)]
    /// struct Negative;
    ///
    /// impl Transform for Negative {
    ///     fn apply(
    ///         &self,
    ///         sample: &mut SampleMut<'_>,
    ///         _: &mut SampleRng,
    ///     ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///         sample.frames().mapv_inplace(|pixel| u8::MAX - pixel);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let images = Dataset::open("shapes10", None)?.test;
    /// let first = |loader: &snn_data::Loader| -> snn_data::Result<u8> {
    ///     Ok(loader.epoch(0)?.next().expect("a batch")?.samples.bytes()[0])
    /// };
    /// let plain = LoaderConfig::evaluation(10).init(&images, None)?;
    /// let negative = plain.clone().with_transform(Arc::new(Negative));
    /// assert_eq!(first(&negative)?, u8::MAX - first(&plain)?);
    /// # Ok::<(), snn_data::Error>(())
    /// ```
    #[must_use]
    pub fn with_transform(mut self, transform: Arc<dyn Transform>) -> Self {
        self.transform = Some(transform);
        self
    }

    /// The same loader with work on whole batches, which its threads do after mixing.
    #[must_use]
    pub fn with_batch_transform(mut self, transform: Arc<dyn BatchTransform>) -> Self {
        self.batch_transform = Some(transform);
        self
    }

    /// The same loader without mixing.
    #[must_use]
    pub fn without_mixing(mut self) -> Self {
        self.config.mix = Mix::default();
        self
    }

    /// The settings.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// Number of samples of an epoch.
    pub fn len(&self) -> usize {
        self.indices.len() / self.shard.ranks
    }

    /// `true` if there is no sample (never, once built).
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

    /// Sample indices in the order of an epoch.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order = self.indices.to_vec();
        match self.config.order {
            Order::Sequential => {}
            Order::Shuffled => {
                SampleRng::new(self.config.seed, Purpose::Order, epoch, 0).shuffle(&mut order);
            }
        }
        let Shard { rank, ranks } = self.shard;
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
            mix: self.config.mix,
            batch_transform: self.batch_transform.clone(),
            part: self.part,
        };
        Epoch::start(plan, first_batch..batches, &self.config)
    }
}
