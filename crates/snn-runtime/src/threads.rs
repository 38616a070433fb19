//! Pools of threads that know their process.
//!
//! A process that forks, as Python's `multiprocessing` does, leaves its threads behind: a pool that
//! the child inherits has none, and work given to it would wait for ever. Pools here belong to the
//! process that made them; in another one they are made again, with as many threads.

use crate::per_process::PerProcess;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A pool of this many threads in whatever process it is used.
#[derive(Debug)]
pub(crate) struct Threads {
    count: usize,
    pool: PerProcess<Option<Arc<ThreadPool>>>,
}

impl Threads {
    /// Starts the threads; an error says why that is not possible.
    pub(crate) fn new(count: usize) -> Result<Self, String> {
        Ok(Self { count, pool: PerProcess::new(Some(pool_of(count)?)) })
    }

    /// Number of threads.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` in the pool, which is made again if the process is another one than before.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, String> {
        Ok(own_pool(&self.pool, self.count)?.install(work))
    }
}

/// A pool of so many threads; of 0, as many as rayon's own one has.
fn pool_of(threads: usize) -> Result<Arc<ThreadPool>, String> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(Arc::new).map_err(|error| error.to_string())
}

/// The pool of this process, which is made where there is none.
fn own_pool(
    pool: &PerProcess<Option<Arc<ThreadPool>>>,
    threads: usize,
) -> Result<Arc<ThreadPool>, String> {
    let mut own = pool.lock();
    if let Some(pool) = &*own {
        return Ok(Arc::clone(pool));
    }
    let made = pool_of(threads)?;
    *own = Some(Arc::clone(&made));
    Ok(made)
}

/// The process in which rayon's own pool is used; 0 before.
static HOME: AtomicU32 = AtomicU32::new(0);
/// The pool that takes the place of rayon's own one in a process that was forked.
static FORKED: PerProcess<Option<Arc<ThreadPool>>> = PerProcess::empty();

/// Notes that rayon's own pool is one of this process, before it may have been used.
pub(crate) fn note_process() {
    let _ = HOME.compare_exchange(0, process::id(), Ordering::Relaxed, Ordering::Relaxed);
}

/// Runs `work` in rayon's current pool, or in a pool of this process where that is one of the
/// process that it was forked from.
pub(crate) fn in_current_pool<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R, String> {
    note_process();
    let home = HOME.load(Ordering::Relaxed);
    if home == process::id() || rayon::current_thread_index().is_some() {
        return Ok(work());
    }
    Ok(own_pool(&FORKED, 0)?.install(work))
}
