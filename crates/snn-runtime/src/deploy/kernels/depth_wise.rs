//! Depth-wise convolutions as dense integer products, one image row of outputs at a time.

use crate::deploy::plan::depth_wise::{DepthWise, LANES};
use crate::geometry::Taps;
use snn_simd::compiled;

/// The input rows under a row of outputs at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DepthWiseTask<'p> {
    pub(crate) product: &'p DepthWise,
    pub(crate) taps: Taps,
    /// The input rows from the first on, and how many bytes they are apart.
    pub(crate) lines: (&'p [u8], usize),
}

compiled! {
    /// Adds `M_c · Σ w_c·n_c` over the taps of a window to the currents of a row, `[x][channel]`.
    pub(crate) fn multiply(task: DepthWiseTask<'_>, currents: &mut [i32]) = row;
}

#[inline(always)]
fn row(task: DepthWiseTask<'_>, currents: &mut [i32]) {
    let DepthWiseTask { product, taps, lines: (levels, apart) } = task;
    let blocks = product.blocks;
    let (levels, apart) = (levels.as_chunks::<LANES>().0, apart / LANES);
    for (x, currents) in currents.chunks_exact_mut(product.channels).enumerate() {
        let multipliers = product.multipliers.chunks(LANES);
        for (block, (currents, multipliers)) in
            currents.chunks_mut(LANES).zip(multipliers).enumerate()
        {
            let mut sums = [0_i32; LANES];
            for y in 0..taps.count {
                let first = y * apart + x * product.stride * blocks + block;
                let weights = &product.weights[(taps.first + y) * product.taps * blocks + block..];
                for tap in 0..product.taps {
                    let levels = &levels[first + tap * product.dilation * blocks];
                    let weights = &weights[tap * blocks];
                    for ((sum, &level), &weight) in sums.iter_mut().zip(levels).zip(weights) {
                        // A level below 256 times a weight of 8 bits fits in 16.
                        let both = i16::from(level).wrapping_mul(i16::from(weight));
                        *sum = sum.wrapping_add(i32::from(both));
                    }
                }
            }
            for ((current, sum), &multiplier) in currents.iter_mut().zip(sums).zip(multipliers) {
                *current = current.wrapping_add(sum.wrapping_mul(multiplier));
            }
        }
    }
}
