//! The batches of one epoch: made in threads, delivered in order.

use crate::augment::Transform;
use crate::loader::{Batch, LoaderConfig};
use crate::{Error, Result, SampleRng, Source};
use crossbeam_channel::{Receiver, Sender, bounded};
use ndarray::{Array4, Axis};
use std::any::Any;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// All that a batch is a function of.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) order: Vec<usize>,
    pub(crate) batch_size: usize,
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    pub(crate) transform: Option<Arc<dyn Transform>>,
}

impl Plan {
    /// Makes one batch; a panic becomes an error that names the sample.
    fn make(&self, batch: usize) -> Result<Batch> {
        let at = Cell::new(None);
        catch_unwind(AssertUnwindSafe(|| self.make_unguarded(batch, &at))).unwrap_or_else(|panic| {
            let index = at.get();
            let name = index.and_then(|index| self.source.sample_name(index));
            Err(Error::Panicked { batch, index, name, message: message_of(panic.as_ref()) })
        })
    }

    fn make_unguarded(&self, batch: usize, at: &Cell<Option<usize>>) -> Result<Batch> {
        let start = batch.saturating_mul(self.batch_size).min(self.order.len());
        let end = start.saturating_add(self.batch_size).min(self.order.len());
        let indices = self.order[start..end].to_vec();
        let [channels, height, width] = self.source.image_shape();
        let mut images = Array4::zeros((indices.len(), channels, height, width));
        let mut labels = Vec::with_capacity(indices.len());
        for (mut image, &index) in images.axis_iter_mut(Axis(0)).zip(&indices) {
            at.set(Some(index));
            let mut rng = SampleRng::for_sample(self.seed, self.epoch, index);
            labels.push(i64::from(self.source.load(index, image.view_mut(), &mut rng)?));
            if let Some(transform) = &self.transform {
                transform.apply(image, &mut rng).map_err(|source| Error::Transform {
                    batch,
                    index,
                    source,
                })?;
            }
        }
        Ok(Batch { images, labels, indices })
    }
}

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
    pub(crate) fn start(plan: Plan, rest: Range<usize>, config: &LoaderConfig) -> Result<Self> {
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

    /// The next batch, with its pixels in the first bytes of the caller's memory, `[B, C, H, W]`:
    /// memory that a GPU can read by itself (pinned), or that a library has given. `images` of the
    /// batch are then empty (B is 0); the labels say how many there are.
    ///
    /// # Errors
    /// As the iterator; [`Error::InvalidImages`] if the memory is too small, and the batch stays
    /// lost to the caller.
    pub fn next_into(&mut self, memory: &mut [u8]) -> Option<Result<Batch>> {
        let made = self.next()?;
        Some(made.and_then(|mut batch| {
            let pixels = batch.images.as_slice().unwrap_or_default();
            let Some(room) = memory.get_mut(..pixels.len()) else {
                let expected = format!("memory for {} bytes", pixels.len());
                return Err(Error::InvalidImages {
                    expected,
                    found: format!("{} bytes", memory.len()),
                });
            };
            room.copy_from_slice(pixels);
            let (_, channels, height, width) = batch.images.dim();
            batch.images = Array4::zeros((0, channels, height, width));
            Ok(batch)
        }))
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

fn message_of(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "no message".to_owned()
    }
}
