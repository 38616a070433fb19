//! Pools of threads that know their process.
//!
//! A process that forks, as Python's `multiprocessing` does, leaves its threads behind: a pool that
//! the child inherits has none, and work given to it would wait for ever. Pools here belong to the
//! process that made them; in another one they are made again, with as many threads.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A pool and its process.
#[derive(Debug)]
struct Owned {
    process: u32,
    pool: Option<Arc<ThreadPool>>,
}

impl Owned {
    fn new(threads: usize) -> Result<Self, String> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = Arc::new(pool.map_err(|error| error.to_string())?);
        Ok(Self { process: process::id(), pool: Some(pool) })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Ending a pool takes locks which threads that are gone may have held.
        if self.process != process::id() {
            std::mem::forget(self.pool.take());
        }
    }
}

/// A pool of this many threads in whatever process it is used.
#[derive(Debug)]
pub(crate) struct Threads {
    count: usize,
    owned: Mutex<Owned>,
}

impl Threads {
    /// Starts the threads; an error says why that is not possible.
    pub(crate) fn new(count: usize) -> Result<Self, String> {
        Ok(Self { count, owned: Mutex::new(Owned::new(count)?) })
    }

    /// Number of threads.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` in the pool, which is made again if the process is another one than before.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, String> {
        Ok(pool_of(&self.owned, self.count)?.install(work))
    }
}

/// The pool of this process.
fn pool_of(owned: &Mutex<Owned>, threads: usize) -> Result<Arc<ThreadPool>, String> {
    let mut owned = owned.lock().unwrap_or_else(PoisonError::into_inner);
    if owned.process != process::id() {
        *owned = Owned::new(threads)?;
    }
    owned.pool.clone().ok_or_else(|| "a pool that has ended".to_owned())
}

/// The process in which rayon's own pool is used; 0 before.
static HOME: AtomicU32 = AtomicU32::new(0);
/// The pool that takes the place of rayon's own one in a process that was forked.
static FORKED: Mutex<Option<Owned>> = Mutex::new(None);

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
    let mut forked = FORKED.lock().unwrap_or_else(PoisonError::into_inner);
    let pool = match &*forked {
        Some(Owned { process, pool: Some(pool) }) if *process == process::id() => Arc::clone(pool),
        _ => {
            let owned = Owned::new(0)?;
            let pool = owned.pool.clone().ok_or("a pool that has ended")?;
            *forked = Some(owned);
            pool
        }
    };
    drop(forked);
    Ok(pool.install(work))
}
