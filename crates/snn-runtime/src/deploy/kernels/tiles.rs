//! Dense integer products on tiles, some image rows of outputs at a time.

use crate::deploy::plan::layout::Layout;
use crate::deploy::plan::tile_product::{TILE, TileProduct};
use crate::geometry::{Axis, Taps};
use snn_simd::tiles::{ByteRows, ByteSums, Multiplier, SIDE, Tiles};
use snn_simd::{Available, compiled};
use std::ops::Range;

/// Image rows of a product, with the levels that they read.
#[derive(Debug, Clone)]
pub(crate) struct TileTask<'p> {
    pub(crate) product: &'p TileProduct,
    pub(crate) layout: Layout,
    /// Macro-steps.
    pub(crate) steps: usize,
    /// Columns of the output.
    pub(crate) columns: usize,
    /// Rows of outputs, with what they read.
    pub(crate) rows: (&'p Axis, Range<usize>),
    /// Levels from this input row on.
    pub(crate) levels: (&'p [u8], usize),
    /// First values of the sums, `[x][channel]`, in place of the currents that are there.
    pub(crate) base: Option<&'p [i32]>,
}

/// Outputs that are rows of one tile.
#[derive(Debug, Clone, Copy)]
struct Place {
    taps: Taps,
    /// Where the first reads.
    start: usize,
    outputs: Outputs,
}

/// Outputs whose steps go by: `count` of them from a step of a column on, each the next step, and
/// after `turn` steps the next column.
#[derive(Debug, Clone, Copy)]
struct Outputs {
    /// Where the first stands among the currents, and its column.
    at: usize,
    column: usize,
    step: usize,
    count: usize,
    turn: usize,
}

/// Adds a product to the currents, `[row][step][x][channel]`; rows without taps stay as they are.
pub(crate) fn multiply(instructions: Available, task: &TileTask<'_>, currents: &mut [i32]) {
    Tiles::of(instructions).run(|multiplier| {
        for block in 0..task.product.blocks {
            let mut waiting: Option<Place> = None;
            for place in task.places() {
                match waiting.take() {
                    None => waiting = Some(place),
                    // Two tiles share the loads of the weights.
                    Some(first)
                        if first.taps.count == place.taps.count
                            && first.taps.first == place.taps.first =>
                    {
                        task.add(multiplier, instructions, block, (first, Some(place)), currents);
                    }
                    Some(first) => {
                        task.add(multiplier, instructions, block, (first, None), currents);
                        waiting = Some(place);
                    }
                }
            }
            if let Some(first) = waiting {
                task.add(multiplier, instructions, block, (first, None), currents);
            }
        }
    });
}

impl<'p> TileTask<'p> {
    /// The tiles of all rows.
    fn places(&self) -> impl Iterator<Item = Place> + use<'p> {
        let Self { product, layout, steps, columns, .. } = *self;
        let (axis, rows) = self.rows.clone();
        let (channels, first_row) = (product.channels, self.levels.1);
        let width = columns * channels;
        // Outputs whose levels are evenly apart: of all steps, or of each.
        let (runs, count, turn) =
            if product.by_column { (1, columns * steps, steps) } else { (steps, columns, 1) };
        let taps = rows.map(|row| axis.at(row)).enumerate();
        taps.filter(|(_, taps)| taps.count > 0).flat_map(move |(row, taps)| {
            (0..runs).flat_map(move |run| {
                (0..count).step_by(TILE).map(move |first| {
                    let (column, step) = (first / turn, first % turn);
                    Place {
                        taps,
                        start: (taps.input - first_row) * layout.row
                            + run * layout.step
                            + first * product.row_stride(),
                        outputs: Outputs {
                            at: (row * steps + run + step) * width + column * channels,
                            column,
                            step,
                            count: (count - first).min(TILE),
                            turn,
                        },
                    }
                })
            })
        })
    }

    /// Adds one tile or two of a block of outputs.
    #[inline]
    fn add(
        &self,
        multiplier: &mut Multiplier,
        instructions: Available,
        block: usize,
        (first, second): (Place, Option<Place>),
        currents: &mut [i32],
    ) {
        let Self { product, layout, levels: (levels, _), .. } = *self;
        let lanes = (product.channels - block * SIDE).min(SIDE);
        let starts = (first.start, second.map(|place| place.start));
        let rows = ByteRows::new(levels, starts, product.row_stride());
        let pairs = product.weights(block, first.taps.first);
        let steps = (0..first.taps.count)
            .flat_map(|tap| {
                let place = tap * self.rows.0.dilation * layout.row;
                product.chunks.iter().map(move |chunk| place + chunk.place(&layout))
            })
            .zip(pairs);
        let mut sums = ByteSums::ZERO;
        multiplier.sum_bytes(&rows, steps, lanes.div_ceil(TILE), &mut sums);
        let halves = sums.0.as_chunks::<{ TILE * SIDE }>().0;
        for (place, sums) in [Some(first), second].into_iter().flatten().zip(halves) {
            let to = Scatter {
                outputs: place.outputs,
                first_lane: block * SIDE,
                lanes,
                channels: product.channels,
                width: self.columns * product.channels,
                multipliers: product.multipliers(block),
                base: self.base,
            };
            scatter(instructions, sums, to, currents);
        }
    }
}

/// Where the sums of a tile go.
#[derive(Debug, Clone, Copy)]
struct Scatter<'p> {
    outputs: Outputs,
    first_lane: usize,
    lanes: usize,
    channels: usize,
    /// Currents of an image row at a step.
    width: usize,
    multipliers: &'p [i32; SIDE],
    base: Option<&'p [i32]>,
}

/// Lanes that are computed at once.
const VECTOR: usize = 16;

compiled! {
    /// Adds the sums of a tile, times the multipliers of their outputs, to the currents, or to the
    /// base in their place.
    fn scatter(sums: &[i32; TILE * SIDE], to: Scatter<'_>, currents: &mut [i32]) = scatter_rows;
}

#[inline(always)]
fn scatter_rows(sums: &[i32; TILE * SIDE], to: Scatter<'_>, currents: &mut [i32]) {
    let Scatter { outputs, first_lane, lanes, channels, width, multipliers, base } = to;
    let (mut at, mut step) = (outputs.at.wrapping_add(first_lane), outputs.step);
    let mut base_at = outputs.column.wrapping_mul(channels).wrapping_add(first_lane);
    for sums in sums.as_chunks::<SIDE>().0.iter().take(outputs.count) {
        let (vectors, rest) = currents[at..][..lanes].as_chunks_mut::<VECTOR>();
        let (bases, base_rest) =
            base.map_or(&[][..], |base| &base[base_at..][..lanes]).as_chunks::<VECTOR>();
        let each = sums.as_chunks::<VECTOR>().0.iter().zip(multipliers.as_chunks::<VECTOR>().0);
        for (vector, (currents, (sums, multipliers))) in vectors.iter_mut().zip(each).enumerate() {
            // A copy, which overlaps with nothing, so that all lanes are computed at once.
            let mut values = *bases.get(vector).unwrap_or(currents);
            add_products(sums, multipliers, &mut values);
            *currents = values;
        }
        let first = lanes.wrapping_sub(rest.len());
        rest.iter_mut().zip(base_rest).for_each(|(current, &base)| *current = base);
        add_products(&sums[first..], &multipliers[first..], rest);
        step = step.wrapping_add(1);
        at = at.wrapping_add(width);
        if step == outputs.turn {
            step = 0;
            at = at.wrapping_sub(outputs.turn.wrapping_mul(width)).wrapping_add(channels);
            base_at = base_at.wrapping_add(channels);
        }
    }
}

#[inline(always)]
fn add_products(sums: &[i32], multipliers: &[i32], currents: &mut [i32]) {
    for ((current, &sum), &multiplier) in currents.iter_mut().zip(sums).zip(multipliers) {
        *current = current.wrapping_add(sum.wrapping_mul(multiplier));
    }
}
