//! Making one batch.

use super::Shard;
use super::batch::{Batch, BatchTransform, Samples, Targets, part_of_batch};
use super::mix::Mix;
use super::rng::SampleRng;
use crate::{Error, Result, Source, Transform};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// All that a batch is a function of.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) source: Arc<dyn Source>,
    pub(super) order: Vec<usize>,
    pub(super) batch_size: usize,
    pub(super) seed: u64,
    pub(super) epoch: u64,
    pub(super) transform: Option<Arc<dyn Transform>>,
    pub(super) mix: Mix,
    pub(super) batch_transform: Option<Arc<dyn BatchTransform>>,
    /// The part of every batch that is made; all of it if there is none.
    pub(super) part: Option<Shard>,
}

impl Plan {
    /// Makes one batch; a panic becomes an error. Errors name a sample by its index in the whole
    /// set, which is its key, and not by its place in a part that was held out or limited.
    pub(super) fn make(&self, batch: usize) -> Result<Batch> {
        let at = Cell::new(None);
        catch_unwind(AssertUnwindSafe(|| self.make_unguarded(batch, &at))).unwrap_or_else(|panic| {
            let name = at.get().and_then(|(index, _)| self.source.sample_name(index));
            let index = at.get().map(|(_, key)| key);
            Err(Error::Panicked { batch, index, name, message: message_of(panic.as_ref()) })
        })
    }

    fn make_unguarded(&self, number: usize, at: &Cell<Option<(usize, usize)>>) -> Result<Batch> {
        let start = number.saturating_mul(self.batch_size).min(self.order.len());
        let end = start.saturating_add(self.batch_size).min(self.order.len());
        let mut indices = self.order[start..end].to_vec();
        // What mixes samples, or treats them by their place, needs all of them.
        let is_whole = self.mix.is_on() || self.batch_transform.is_some();
        let part = self.part.map(|Shard { rank, ranks }| part_of_batch(indices.len(), rank, ranks));
        if let (Some(part), false) = (&part, is_whole) {
            indices = indices[part.clone()].to_vec();
        }
        let mut samples = Samples::zeros(self.source.shape(), indices.len());
        let mut labels = Vec::with_capacity(indices.len());
        for (mut sample, &index) in samples.each_mut().zip(&indices) {
            let key = self.source.random_key(index);
            at.set(Some((index, key)));
            let mut rng = SampleRng::for_sample(self.seed, self.epoch, key);
            let label =
                self.source.load(index, &mut sample, &mut rng).map_err(|error| match error {
                    named @ Error::Sample { .. } => named,
                    source => Error::Load { batch: number, index: key, source: Box::new(source) },
                })?;
            labels.push(i64::from(label));
            if let Some(transform) = &self.transform {
                let changed = transform.apply(&mut sample, &mut rng);
                changed.map_err(|source| Error::Transform { batch: number, index: key, source })?;
            }
        }
        at.set(None);
        let mut batch = Batch { samples, targets: Targets::new(labels), indices };
        self.mix.apply(&mut batch, &mut SampleRng::for_batch(self.seed, self.epoch, number))?;
        if let Some(transform) = &self.batch_transform {
            let mut rng = SampleRng::for_batch_transform(self.seed, self.epoch, number);
            let changed = transform.apply(&mut batch, &mut rng);
            changed.map_err(|source| Error::BatchTransform { batch: number, source })?;
        }
        Ok(match part {
            Some(part) if is_whole => batch.part(part),
            _ => batch,
        })
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "no message".to_owned()
    }
}
