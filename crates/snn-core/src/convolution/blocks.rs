//! Blocks of images and channels.

use snn_simd::tiles::SIDE;

/// Blocks of 32 that so many images or channels fill.
pub(super) fn blocks_of(count: usize) -> usize {
    count.div_ceil(SIDE)
}
