//! Blocks of neurons, which kernels compute side by side.

use crate::autograd::parallel;
use crate::neuron::real::Real;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Neurons of a block: with some macro-steps of them a first-level cache still has room.
pub(super) const LANES: usize = 128;

/// A value for each neuron of a block; what is above the end of the layer is padding.
pub(super) type Lanes<F> = [F; LANES];

/// One value for all neurons, or one for each channel, repeated so that those of any block stand
/// together.
#[derive(Debug, Clone)]
pub(super) struct Channels<F> {
    values: Vec<F>,
    count: usize,
}

impl<F: Copy> Channels<F> {
    pub(super) fn new(values: &[F]) -> Self {
        let count = values.len();
        Self { values: values.iter().copied().cycle().take(count + LANES).collect(), count }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The lanes of a block whose first neuron is of `channel`.
    #[inline(always)]
    pub(super) fn at(&self, channel: usize) -> &Lanes<F> {
        lanes(&self.values[if self.count == 1 { 0 } else { channel }..])
    }
}

/// The first values of a slice that has at least a block of them.
#[inline(always)]
pub(super) fn lanes<F>(values: &[F]) -> &Lanes<F> {
    values.first_chunk().expect("a block of values")
}

/// Sums in double precision, each one value or one for each channel, laid out as [`Channels`].
#[derive(Debug)]
pub(super) struct Sums(Vec<(Vec<f64>, usize)>);

impl Sums {
    fn new(counts: &[usize]) -> Self {
        Self(counts.iter().map(|&count| (vec![0.0; count + LANES], count)).collect())
    }

    #[inline(always)]
    fn at(&mut self, sum: usize, channel: usize) -> &mut Lanes<f64> {
        let (sums, count) = &mut self.0[sum];
        sums[if *count == 1 { 0 } else { channel }..].first_chunk_mut().expect("a block of sums")
    }

    /// Adds a value of each neuron of a block, in which padding is 0.
    #[inline(always)]
    pub(super) fn add<F: Real>(&mut self, sum: usize, channel: usize, values: &Lanes<F>) {
        let sums = self.at(sum, channel);
        for i in 0..LANES {
            sums[i] += values[i].wide();
        }
    }

    /// Likewise their squares.
    #[inline(always)]
    pub(super) fn add_squares<F: Real>(&mut self, sum: usize, channel: usize, values: &Lanes<F>) {
        let sums = self.at(sum, channel);
        for i in 0..LANES {
            sums[i] += values[i].wide() * values[i].wide();
        }
    }

    /// The sums, each of its number of values.
    fn fold(self) -> Vec<Vec<f64>> {
        let fold = |(sums, count): (Vec<f64>, usize)| {
            let mut folded = vec![0.0; count];
            for sums in sums.chunks(count.max(1)) {
                for (folded, sum) in folded.iter_mut().zip(sums) {
                    *folded += sum;
                }
            }
            folded
        };
        self.0.into_iter().map(fold).collect()
    }
}

/// The neurons of a block, of `len` in all; none behind the last block.
#[inline(always)]
pub(super) fn block_of(block: usize, len: usize) -> Range<usize> {
    len.min(block * LANES)..len.min((block + 1) * LANES)
}

/// Blocks that a thread takes in one go, and whose sums are made first.
pub(super) const BLOCKS: usize = 64;

/// Sums of `counts` values each over groups of blocks, always in the same order: the number of
/// threads changes no bit.
pub(super) fn sum_in_groups(
    blocks: usize,
    counts: &[usize],
    run: impl Fn(Range<usize>, &mut Sums) + Sync,
) -> Vec<Vec<f64>> {
    let groups = blocks.div_ceil(BLOCKS);
    let partial: Vec<_> = (0..groups).map(|_| Mutex::new(Vec::new())).collect();
    parallel(groups, 1, |groups| {
        for group in groups {
            let mut sums = Sums::new(counts);
            run(group * BLOCKS..blocks.min((group + 1) * BLOCKS), &mut sums);
            *partial[group].lock().unwrap_or_else(PoisonError::into_inner) = sums.fold();
        }
    });
    let mut total: Vec<_> = counts.iter().map(|&count| vec![0.0; count]).collect();
    for partial in partial {
        let partial = partial.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (total, partial) in total.iter_mut().zip(partial) {
            for (total, partial) in total.iter_mut().zip(partial) {
                *total += partial;
            }
        }
    }
    total
}
