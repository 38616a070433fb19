//! Buffers that wait to be used again.

use crate::per_process::PerProcess;
use std::ops::{Deref, DerefMut};

/// A pool of values that are expensive to make; each process has its own.
#[derive(Debug)]
pub(crate) struct Idle<T>(PerProcess<Vec<T>>);

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self(PerProcess::default())
    }
}

impl<T> Idle<T> {
    /// Lends a value that was used before, or a new one.
    pub(crate) fn lend(&self, make: impl FnOnce() -> T) -> Lent<'_, T> {
        // No panic leaves the list half-changed: values are pushed and popped whole.
        let idle = self.0.lock().pop();
        Lent { pool: self, value: Some(idle.unwrap_or_else(make)) }
    }
}

/// A value on loan; it goes back when this is dropped, unless by a panic.
#[derive(Debug)]
pub(crate) struct Lent<'p, T> {
    pool: &'p Idle<T>,
    /// Taken by `drop` only.
    value: Option<T>,
}

impl<T> Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("a value until it is dropped")
    }
}

impl<T> DerefMut for Lent<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a value until it is dropped")
    }
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        // A panic in the middle of its use may have left it in any state.
        if let Some(value) = self.value.take().filter(|_| !std::thread::panicking()) {
            self.pool.0.lock().push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Idle;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn what_a_panic_interrupted_is_not_lent_again() {
        let pool = Idle::default();
        *pool.lend(|| 1) = 2;
        assert_eq!(*pool.lend(|| 1), 2, "it is used again");
        let interrupted = catch_unwind(AssertUnwindSafe(|| {
            let mut lent = pool.lend(|| 1);
            *lent = 3;
            panic!("in the middle of a run");
        }));
        assert!(interrupted.is_err());
        assert_eq!(*pool.lend(|| 1), 1, "a new one");
    }
}
