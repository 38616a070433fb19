//! Values of which each process has its own, behind a lock that no other process can hold.
//!
//! A process that forks leaves its threads behind, and with them the locks that they held at that
//! moment: in the child nobody lets those go, and what they guard may be half-changed. So a child
//! never takes a lock of its parent's, but begins with a value of its own.

use std::process;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A value of each process, at first its default.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    /// The process of the value; 0 is none.
    process: u32,
    /// Taken by `drop` only.
    value: Option<Mutex<T>>,
    /// Of a process that was forked from this one, or from one of those.
    forked: OnceLock<Box<PerProcess<T>>>,
}

impl<T> PerProcess<T> {
    /// No process has a value yet.
    pub(crate) const fn empty() -> Self {
        Self { process: 0, value: None, forked: OnceLock::new() }
    }

    /// The value of this process.
    pub(crate) fn new(value: T) -> Self {
        Self::of(process::id(), value)
    }

    fn of(process: u32, value: T) -> Self {
        Self { process, value: Some(Mutex::new(value)), forked: OnceLock::new() }
    }
}

impl<T: Default> PerProcess<T> {
    /// Locks the value of this process.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_of(process::id())
    }

    fn lock_of(&self, process: u32) -> MutexGuard<'_, T> {
        let mut own = self;
        loop {
            match &own.value {
                // Whoever panicked left a whole value: those here are changed in one step.
                Some(value) if own.process == process => {
                    return value.lock().unwrap_or_else(PoisonError::into_inner);
                }
                _ => own = own.forked.get_or_init(|| Box::new(Self::of(process, T::default()))),
            }
        }
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        // What a thread that is gone may have half-changed is left as it is; ending a pool of
        // threads would moreover wait for them.
        if self.process != process::id() {
            std::mem::forget(self.value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PerProcess;
    use std::process;

    #[test]
    fn a_forked_process_waits_for_no_lock_of_its_parent() {
        let value = PerProcess::new(5);
        let (own, child) = (process::id(), process::id().wrapping_add(1));
        // As a thread of the parent that the child does not have.
        let held = value.lock();
        for process in [child, child.wrapping_add(1)] {
            assert_eq!(*value.lock_of(process), 0, "its own value");
            *value.lock_of(process) = 6;
            assert_eq!(*value.lock_of(process), 6, "which stays");
        }
        drop(held);
        assert_eq!(*value.lock_of(own), 5, "the parent's is as it was");
    }

    #[test]
    fn one_that_is_empty_gives_each_process_the_default() {
        static VALUE: PerProcess<Vec<u8>> = PerProcess::empty();
        VALUE.lock().push(1);
        VALUE.lock().push(2);
        assert_eq!(*VALUE.lock(), [1, 2]);
    }

    #[test]
    fn values_of_other_processes_are_not_dropped() {
        #[derive(Default)]
        struct Panics(bool);
        impl Drop for Panics {
            fn drop(&mut self) {
                assert!(!self.0, "dropped in a process that does not own it");
            }
        }
        let value = PerProcess::of(process::id().wrapping_add(1), Panics(true));
        drop(value.lock());
        drop(value);
    }
}
