//! Blocks of neurons, and the vector instructions that they are computed with.

use super::real::Real;
use crate::autograd::parallel;
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Neurons of a block: with some macro-steps of them a first-level cache still has room.
pub(super) const LANES: usize = 128;

/// A value for each neuron of a block; what is above the end of the layer is padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes<F>(pub(super) [F; LANES]);

impl<F: Real> Lanes<F> {
    pub(super) const COUNT: usize = LANES;

    #[inline(always)]
    pub(super) fn splat(value: F) -> Self {
        Self([value; LANES])
    }

    /// One value for all, or the values of the channels of neurons `first` and on, in a layer whose channels are last.
    #[inline(always)]
    pub(super) fn by_channel(values: &[F], first: usize) -> Self {
        let mut lanes = Self::splat(values[0]);
        if values.len() > 1 {
            let mut channel = first % values.len();
            for lane in &mut lanes.0 {
                *lane = values[channel];
                channel = if channel + 1 == values.len() { 0 } else { channel + 1 };
            }
        }
        lanes
    }

    /// The first values from a slice of at most a block.
    #[inline(always)]
    pub(super) fn load(values: &[F]) -> Self {
        let mut lanes = Self::splat(F::ZERO);
        if let Ok(block) = <&[F; LANES]>::try_from(values) {
            lanes.0 = *block;
        } else {
            lanes.0[..values.len()].copy_from_slice(values);
        }
        lanes
    }

    #[inline(always)]
    pub(super) fn store(&self, values: &mut [F]) {
        if let Ok(block) = <&mut [F; LANES]>::try_from(&mut *values) {
            *block = self.0;
        } else {
            values.copy_from_slice(&self.0[..values.len()]);
        }
    }
}

/// The values of a block, of `len` in all.
#[inline(always)]
pub(super) fn block_of(block: usize, len: usize) -> Range<usize> {
    block * LANES..len.min((block + 1) * LANES)
}

/// Blocks that a thread takes in one go, and whose gradients for parameters are summed first.
pub(super) const BLOCKS: usize = 64;

/// The sums, element by element, of `count` values from each group of blocks, always in the same order: the number of threads changes no bit.
pub(super) fn sum_in_groups(blocks: usize, count: usize, run: impl Fn(Range<usize>) -> Vec<f64> + Sync) -> Vec<f64> {
    let groups = blocks.div_ceil(BLOCKS);
    let partial: Vec<_> = (0..groups).map(|_| Mutex::new(Vec::new())).collect();
    parallel(groups, 1, |groups| {
        for group in groups {
            let sums = run(group * BLOCKS..blocks.min((group + 1) * BLOCKS));
            *partial[group].lock().unwrap_or_else(PoisonError::into_inner) = sums;
        }
    });
    let mut total = vec![0.0; count];
    for partial in partial {
        for (total, partial) in total.iter_mut().zip(partial.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            *total += partial;
        }
    }
    total
}

/// What is compiled for each kind of vector instructions. `run` and all it calls must be `#[inline(always)]`: a function of its own is compiled for the baseline.
pub(super) trait Kernel {
    type Output;
    fn run(self) -> Self::Output;
}

/// Vector instructions of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    /// What every machine of its kind has.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The widest first.
    pub(super) fn available() -> Vec<Isa> {
        let mut available = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                available.push(Isa::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                available.push(Isa::Avx2);
            }
        }
        available.push(Isa::Baseline);
        available
    }

    pub(super) fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::available()[0])
    }

    /// Runs a kernel compiled for these instructions, which must be [`available`](Isa::available). Fused multiply-add is left out: it rounds once where the plain form
    /// rounds twice, and spikes would differ.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx512f,avx512vl")]
            fn avx512<K: Kernel>(kernel: K) -> K::Output {
                kernel.run()
            }
            #[target_feature(enable = "avx2")]
            fn avx2<K: Kernel>(kernel: K) -> K::Output {
                kernel.run()
            }
            match self {
                // SAFETY: `available` lists only what the machine has.
                Isa::Avx512 => unsafe { avx512(kernel) },
                // SAFETY: as above.
                Isa::Avx2 => unsafe { avx2(kernel) },
                Isa::Baseline => kernel.run(),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        kernel.run()
    }
}
