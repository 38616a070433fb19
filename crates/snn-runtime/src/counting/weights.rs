//! The inner loops: weights of active inputs added into accumulators (eq. 16).

use crate::arithmetic::Arithmetic;
use crate::counting::event_list::EventList;
use crate::geometry::Window2d;
use crate::packing::{self, WeightShape};
use snn_simd::{Available, Kernel};

/// Action of an accumulator before a plane is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// `A ← S·e`: the first plane of a macro-step.
    Zero,
    /// `A ← A + S·e`.
    Keep,
    /// `A ← 2A + S·e`.
    Double,
}

/// Weights of a synapse. Accumulators are `[position][width]`, channels last.
#[derive(Debug)]
pub(crate) enum SynapseWeights<A> {
    /// A convolution of one group: blocks of lanes, each output position gathers its active inputs
    /// with its sums in registers.
    Blocks {
        grid: Window2d,
        lanes: usize,
        blocks: usize,
        inputs: usize,
        taps: usize,
        weights: Vec<A>,
    },
    /// A convolution of several groups: rows of one group's outputs.
    Rows { grid: Window2d, shape: WeightShape, weights: Vec<A> },
    /// One to one (eq. 3).
    Scale { weights: Vec<A> },
}

impl<A: Arithmetic> SynapseWeights<A> {
    pub(crate) fn convolution(weight: &[A], shape: WeightShape, grid: Window2d) -> Self {
        if shape.groups > 1 {
            return SynapseWeights::Rows { grid, shape, weights: packing::rows(weight, shape) };
        }
        let lanes = if shape.outputs <= 8 {
            8
        } else if shape.outputs <= 16 || size_of::<A>() > 4 {
            16
        } else {
            32
        };
        SynapseWeights::Blocks {
            grid,
            lanes,
            blocks: shape.outputs.div_ceil(lanes),
            inputs: shape.inputs,
            taps: shape.taps,
            weights: packing::blocks(weight, shape, lanes),
        }
    }

    /// Accumulators of one position.
    pub(crate) fn width(&self) -> usize {
        match self {
            SynapseWeights::Blocks { lanes, blocks, .. } => lanes * blocks,
            SynapseWeights::Rows { shape, .. } => shape.groups * shape.outputs,
            SynapseWeights::Scale { weights } => weights.len(),
        }
    }

    /// Real fan-out of one channel at each of `positions` input positions, border-aware.
    pub(crate) fn fan_out(&self, outputs: usize, positions: usize) -> Vec<u64> {
        let (grid, outputs) = match self {
            SynapseWeights::Blocks { grid, .. } => (grid, outputs),
            SynapseWeights::Rows { grid, shape, .. } => (grid, shape.outputs),
            SynapseWeights::Scale { .. } => return vec![1; positions],
        };
        grid.fan_out().into_iter().map(|taps| taps * outputs as u64).collect()
    }

    /// Adds a plane into the accumulators; `weighted` if its entries carry counts or payloads.
    pub(crate) fn deliver(
        &self,
        plane: &EventList<A>,
        accumulators: &mut [A],
        start: Start,
        weighted: bool,
    ) {
        match (self, weighted) {
            (SynapseWeights::Blocks { lanes: 8, .. }, false) => {
                self.gather::<8, false>(plane, accumulators, start);
            }
            (SynapseWeights::Blocks { lanes: 8, .. }, true) => {
                self.gather::<8, true>(plane, accumulators, start);
            }
            (SynapseWeights::Blocks { lanes: 16, .. }, false) => {
                self.gather::<16, false>(plane, accumulators, start);
            }
            (SynapseWeights::Blocks { lanes: 16, .. }, true) => {
                self.gather::<16, true>(plane, accumulators, start);
            }
            (SynapseWeights::Blocks { .. }, false) => {
                self.gather::<32, false>(plane, accumulators, start);
            }
            (SynapseWeights::Blocks { .. }, true) => {
                self.gather::<32, true>(plane, accumulators, start);
            }
            (SynapseWeights::Rows { grid, shape, weights }, _) => {
                rows(grid, *shape, weights, plane, accumulators, start);
            }
            (SynapseWeights::Scale { weights }, _) => scale(weights, plane, accumulators, start),
        }
    }

    fn gather<const LANES: usize, const WEIGHTED: bool>(
        &self,
        plane: &EventList<A>,
        accumulators: &mut [A],
        start: Start,
    ) {
        let SynapseWeights::Blocks { grid, blocks, inputs, taps, weights, .. } = self else {
            return;
        };
        let (rows, _) = weights.as_chunks::<LANES>();
        let (accumulators, _) = accumulators.as_chunks_mut::<LANES>();
        let (blocks, rows_of_block) = (*blocks, taps * inputs);
        Available::best().run(Gather::<A, LANES, WEIGHTED> {
            grid,
            plane,
            rows,
            rows_of_block,
            inputs: *inputs,
            blocks,
            accumulators,
            start,
        });
    }
}

/// The sums of a convolution of one group. Each sum is of the same terms in the same order for
/// every instruction set, and no multiplication is fused with an addition: the bits are the same.
struct Gather<'a, A, const LANES: usize, const WEIGHTED: bool> {
    grid: &'a Window2d,
    plane: &'a EventList<A>,
    rows: &'a [[A; LANES]],
    rows_of_block: usize,
    inputs: usize,
    blocks: usize,
    accumulators: &'a mut [[A; LANES]],
    start: Start,
}

impl<A: Arithmetic, const LANES: usize, const WEIGHTED: bool> Kernel
    for Gather<'_, A, LANES, WEIGHTED>
{
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { grid, plane, inputs, blocks, accumulators, start, .. } = self;
        for (block, block_rows) in self.rows.chunks_exact(self.rows_of_block).enumerate() {
            grid.for_each_output(|output, rows, columns| {
                let accumulator = &mut accumulators[output * blocks + block];
                let mut sums = begin(accumulator, start);
                grid.for_each_tap(rows, columns, |tap, position| {
                    let tap_rows = &block_rows[tap * inputs..][..inputs];
                    let (channels, values) = plane.at(position);
                    for (&channel, &value) in channels.iter().zip(values) {
                        let row = &tap_rows[channel as usize];
                        for lane in 0..LANES {
                            let term = if WEIGHTED { row[lane].times(value) } else { row[lane] };
                            sums[lane] = sums[lane].plus(term);
                        }
                    }
                });
                *accumulator = sums;
            });
        }
    }
}

#[inline(always)]
fn begin<A: Arithmetic, const LANES: usize>(accumulator: &[A; LANES], start: Start) -> [A; LANES] {
    match start {
        Start::Zero => [A::default(); LANES],
        Start::Keep => *accumulator,
        Start::Double => accumulator.map(|a| a.plus(a)),
    }
}

fn begin_all<A: Arithmetic>(accumulators: &mut [A], start: Start) {
    match start {
        Start::Zero => accumulators.fill(A::default()),
        Start::Keep => {}
        Start::Double => accumulators.iter_mut().for_each(|a| *a = a.plus(*a)),
    }
}

fn rows<A: Arithmetic>(
    grid: &Window2d,
    shape: WeightShape,
    weights: &[A],
    plane: &EventList<A>,
    accumulators: &mut [A],
    start: Start,
) {
    let WeightShape { groups, outputs, inputs, .. } = shape;
    let (channels_in, width) = (groups * inputs, groups * outputs);
    begin_all(accumulators, start);
    grid.for_each_output(|output, rows, columns| {
        let accumulator = &mut accumulators[output * width..][..width];
        grid.for_each_tap(rows, columns, |tap, position| {
            let (channels, values) = plane.at(position);
            for (&channel, &value) in channels.iter().zip(values) {
                let channel = channel as usize;
                let row = &weights[(tap * channels_in + channel) * outputs..][..outputs];
                let sums = &mut accumulator[channel / inputs * outputs..][..outputs];
                for (sum, &weight) in sums.iter_mut().zip(row) {
                    *sum = sum.plus(weight.times(value));
                }
            }
        });
    });
}

fn scale<A: Arithmetic>(weights: &[A], plane: &EventList<A>, accumulators: &mut [A], start: Start) {
    begin_all(accumulators, start);
    for (position, sums) in accumulators.chunks_exact_mut(weights.len()).enumerate() {
        let (channels, values) = plane.at(position);
        for (&channel, &value) in channels.iter().zip(values) {
            let channel = channel as usize;
            sums[channel] = sums[channel].plus(weights[channel].times(value));
        }
    }
}
