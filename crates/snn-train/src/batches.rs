//! The images of a run, split and in batches.

use crate::config::RunConfig;
use crate::error::{Error, Result};
use snn_data::{Dataset, Images, LastBatch, Loader, LoaderConfig, split_holdout};

/// What a run trains on and what it is watched on.
#[derive(Debug)]
pub(crate) struct Batches {
    /// Makes the training batches. An image is a function of (seed, epoch, index), so nothing must
    /// be kept for a resume.
    pub(crate) loader: Loader,
    /// Steps of an epoch.
    pub(crate) steps: usize,
    /// The images held out.
    pub(crate) held_out: Images,
}

impl Batches {
    /// Splits the data as the config says.
    ///
    /// # Errors
    /// Too many images are held out, fewer are left than the limit, no batch is left, or fewer than
    /// batch norm is to be measured over.
    pub(crate) fn new(config: &RunConfig, data: &Dataset) -> Result<Self> {
        let parts = split_holdout(data.train.len(), config.data.held_out, config.seed)?;
        let held_out = data.train.select(&parts.validation)?;
        let mut training = parts.train;
        if config.data.limit > training.len() {
            return Err(Error::Mismatch {
                what: "`data.limit`",
                expected: format!(
                    "at most the {} training images that are not held out",
                    training.len()
                ),
                found: config.data.limit.to_string(),
            });
        }
        if config.data.limit > 0 {
            training.truncate(config.data.limit);
        }
        let loader = LoaderConfig {
            batch_size: config.batch,
            seed: config.seed,
            last_batch: LastBatch::Drop,
            threads: config.data.loader_threads,
            augment: config.augment(&data.channel_mean_u8),
            mix: config.mix(),
            ..LoaderConfig::default()
        }
        .init(&data.train, Some(training))?;
        let (steps, batches) = (loader.batches_per_epoch(), config.batch_norm_reestimation.batches);
        if batches > steps {
            return Err(Error::Mismatch {
                what: "`batch_norm_reestimation.batches`",
                expected: format!("at most the {steps} steps of an epoch"),
                found: batches.to_string(),
            });
        }
        Ok(Self { loader, steps, held_out })
    }
}
