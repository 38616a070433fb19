//! Memory of a thread that is used again.

use snn_simd::tiles::Pair;
use std::cell::RefCell;

/// Runs `body` with so many pairs of tiles, which hold anything. Fresh memory would be filled with
/// zeros first, for nothing.
pub(super) fn with_room<R>(pairs: usize, body: impl FnOnce(&mut [Pair]) -> R) -> R {
    thread_local! {
        static ROOM: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
    }
    ROOM.with_borrow_mut(|room| {
        if room.len() < pairs {
            room.resize(pairs, Pair::ZERO);
        }
        body(&mut room[..pairs])
    })
}
