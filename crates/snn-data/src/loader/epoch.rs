//! The batches of one epoch: made in threads, delivered in order.

use super::batch::Batch;
use super::config::LoaderConfig;
use super::plan::Plan;
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

/// An iterator over the batches of an epoch; it ends after the first error.
///
/// Worker w of n makes every n-th batch and has a bounded queue of its own, so taking from the
/// queues in turn gives the batches in order. Dropping the iterator closes the queues and waits for
/// the workers, who finish at most the batch they are at.
#[derive(Debug)]
pub struct Epoch {
    plan: Arc<Plan>,
    /// Batches still to deliver.
    rest: Range<usize>,
    /// One queue a worker; the next batch comes from `queues[turn]`. Empty without threads.
    queues: Vec<Receiver<Result<Batch>>>,
    turn: usize,
    workers: Vec<JoinHandle<()>>,
}

impl Epoch {
    pub(super) fn start(plan: Plan, rest: Range<usize>, config: &LoaderConfig) -> Result<Self> {
        let threads = config.threads.min(rest.len());
        let plan = Arc::new(plan);
        let mut epoch =
            Self { plan, rest: rest.clone(), queues: Vec::new(), turn: 0, workers: Vec::new() };
        for worker in 0..threads {
            let (sender, receiver) = bounded(config.prefetch.div_ceil(threads).max(1));
            let plan = Arc::clone(&epoch.plan);
            let share = (rest.start + worker..rest.end).step_by(threads);
            let builder = std::thread::Builder::new().name(format!("snn-data-{worker}"));
            // On an error `epoch` is dropped, which ends the workers started so far.
            epoch.workers.push(builder.spawn(move || work(&plan, share, &sender))?);
            epoch.queues.push(receiver);
        }
        Ok(epoch)
    }

    /// Number of the batch that comes next: what to remember for
    /// [`Loader::epoch_from`](crate::Loader::epoch_from).
    pub fn next_batch(&self) -> usize {
        self.rest.start
    }
}

/// The life of a worker: ends with its share, after an error, or when nobody listens any more.
fn work(plan: &Plan, share: impl Iterator<Item = usize>, queue: &Sender<Result<Batch>>) {
    for batch in share {
        let made = plan.make(batch);
        let failed = made.is_err();
        if queue.send(made).is_err() || failed {
            return;
        }
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rest.next()?;
        let made = match self.queues.get(self.turn) {
            None => self.plan.make(batch),
            Some(queue) => queue.recv().unwrap_or(Err(Error::WorkerLost { batch })),
        };
        self.turn = (self.turn + 1) % self.queues.len().max(1);
        if made.is_err() {
            self.rest.start = self.rest.end;
        }
        Some(made)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl ExactSizeIterator for Epoch {}
impl std::iter::FusedIterator for Epoch {}

impl Drop for Epoch {
    fn drop(&mut self) {
        self.queues.clear();
        for worker in self.workers.drain(..) {
            // A worker catches panics itself; there is nothing left to report here.
            let _ = worker.join();
        }
    }
}
