//! Memory of a thread that is used again.

use snn_simd::tiles::Pair;
use std::cell::RefCell;

/// Runs `body` with so many pairs of tiles, which hold anything. Fresh memory would be filled with
/// zeros first, for nothing.
pub(super) fn with_scratch<R>(pairs: usize, body: impl FnOnce(&mut [Pair]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < pairs {
            scratch.resize(pairs, Pair::ZERO);
        }
        body(&mut scratch[..pairs])
    })
}
