//! Weights of a convolution or linear layer packed for events: an active input finds the weights of
//! many outputs side by side.

use crate::deploy::aligned::Aligned;
use crate::deploy::events::EventsView;
use crate::deploy::events::step_tree;
use crate::deploy::kernels::vectors;
use crate::geometry::{Axis, AxisWindow, Taps};
use snn_ir::Conv;
use std::ops::Range;

/// Accumulator width within one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// 16, all levels are one.
    Unit,
    /// The same, with weights paired to words ([`vectors::Pairs`]).
    Pairs,
    /// 16, levels multiply.
    Narrow,
    /// 32, levels multiply.
    Wide,
    /// f32, all levels are one.
    RealUnit,
    /// f32, levels multiply.
    Real,
}

/// Products that a 16-bit sum must be able to take before it is widened; below it 32-bit sums are
/// faster.
const LEAST_PRODUCTS: usize = 16;
pub(crate) const I16_MAX: i64 = i16::MAX as i64;
/// Bytes of weights that are processed at a time, and what a row of so many costs, in eighths.
const BLOCK_COSTS: [(usize, usize); 3] = [(KEPT_BYTES, 8), (320 << 10, 10), (usize::MAX, 13)];
/// Bytes of weights that stay in the second-level cache beside events and currents: a block of more
/// is processed in tiles of a few vertical taps.
const KEPT_BYTES: usize = 192 << 10;
/// Vertical taps that one kernel takes.
pub(crate) const MAX_TAPS: usize = 16;
/// Lanes of a block at most: their sums are to stay in registers.
const MAX_LANES: usize = 128;
const MAX_ROW_BYTES: usize = 256;
/// Cost of handling an entry in additions of 16 lanes: its load, its address, the loop.
const ENTRY_COST: usize = 2;

/// Packed weights `[block][vertical tap][horizontal tap][input][lane]`.
///
/// Lanes are the output channels of `pixels` neighbouring outputs, one after another: where output
/// channels are few, one row serves several pixels (the kernel is then as wide as all their windows
/// together, with zeros where a tap is not in a pixel's window).
#[derive(Debug)]
pub(crate) struct PackedWeights<W> {
    pub(crate) lanes: usize,
    pub(crate) blocks: usize,
    pub(crate) width: Width,
    /// How many rows may be added to a 16-bit sum of each tile of weights before it is widened; 0
    /// for a tile without weights. `[vertical taps][block]`.
    limits: Vec<usize>,
    /// Currents of an image row at a macro-step, and of one group of pixels in it.
    pub(crate) width_out: usize,
    pub(crate) group_width: usize,
    /// Runs of horizontal taps of each group along an image row, `segments` a group.
    pub(crate) spans: Vec<Span>,
    pub(crate) segments: usize,
    /// Minimum number of weight rows that the step tree must save for an output in one group of
    /// steps; `usize::MAX` where events are never sorted into it.
    pub(crate) min_saved: usize,
    /// Vertical dilation.
    pub(crate) dilation: usize,
    /// Weight rows of a vertical tap.
    pub(crate) row_length: usize,
    /// Vertical taps of every output row.
    pub(crate) vertical: Axis,
    /// Number of vertical taps in one weight tile of a block.
    pub(crate) taps_at_once: usize,
    pixels: usize,
    inputs: usize,
    /// M of eq. 12, for each block and lane; empty if all are one.
    multipliers: Vec<i32>,
    weights: Aligned<W>,
}

/// Consecutive horizontal taps of a group that lie inside the image: their positions, and what is
/// added to an entry to find its weights.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) begin: u32,
    pub(crate) end: u32,
    pub(crate) base: usize,
}

/// Some vertical taps of a block, a tile of its weights.
#[derive(Debug, Clone)]
pub(crate) struct Slab {
    pub(crate) taps: Range<usize>,
    pub(crate) block: usize,
    /// How many of its rows may be added to a 16-bit sum.
    pub(crate) limit: usize,
}

/// A convolution of one group as the model has it.
#[derive(Debug)]
pub(crate) struct WeightSource<'m, W> {
    pub(crate) conv: &'m Conv,
    /// `[output][input][vertical tap][horizontal tap]`.
    pub(crate) weight: &'m [W],
    /// One an output; empty if all are one.
    pub(crate) multiplier: &'m [i32],
    /// Channels, height and width.
    pub(crate) input: [usize; 3],
    pub(crate) output: [usize; 3],
    /// Largest absolute level of each input channel.
    pub(crate) bounds: &'m [f64],
    /// `true` if all levels are one.
    pub(crate) unit: bool,
    /// `true` if levels may be negative.
    pub(crate) signed: bool,
    /// Range of the levels of each input channel as bytes.
    pub(crate) bytes: Bytes,
    /// Macro-steps that are computed at once.
    pub(crate) steps: usize,
}

/// How levels are held in bytes without sign.
#[derive(Debug)]
pub(crate) struct Bytes {
    /// What is added to the levels of each input channel; empty where none is negative.
    pub(crate) offsets: Vec<u8>,
    /// The largest level with what is added: more than a byte holds where they do not fit.
    pub(crate) largest: f64,
}

impl<W: Copy + Default> PackedWeights<W> {
    /// Packs weights whose sums are not limited yet.
    fn pack(source: &WeightSource<'_, W>, width: Width) -> Self {
        let snn_ir::Geometry {
            kernel: [kernel_y, kernel_x],
            stride: [stride_y, stride_x],
            padding: [padding_y, _],
            dilation: [dilation_y, dilation_x],
            ..
        } = source.conv.as_2d();
        let [inputs, height, _] = source.input;
        let [channels, rows, columns] = source.output;
        let (pixels, lanes) = tiling(source, kernel_x, stride_x, dilation_x);
        let blocks = (pixels * channels).div_ceil(lanes);
        let taps = if dilation_x == 1 { kernel_x + (pixels - 1) * stride_x } else { kernel_x };
        let row_length = taps * inputs;
        let mut weights = Aligned::zeros(blocks * kernel_y * row_length * lanes);
        for lane in 0..pixels * channels {
            let (pixel, output) = (lane / channels, lane % channels);
            let (block, lane) = (lane / lanes, lane % lanes);
            for input in 0..inputs {
                for y in 0..kernel_y {
                    for x in 0..kernel_x {
                        let row = (block * kernel_y + y) * row_length
                            + (pixel * stride_x + x) * inputs
                            + input;
                        weights[row * lanes + lane] = source.weight
                            [((output * inputs + input) * kernel_y + y) * kernel_x + x];
                    }
                }
            }
        }
        let window = AxisWindow {
            kernel: kernel_y,
            stride: stride_y,
            padding: padding_y,
            dilation: dilation_y,
        };
        let scaled = source.multiplier.iter().any(|m| *m != 1);
        let lane =
            |lane| if lane < pixels * channels { source.multiplier[lane % channels] } else { 0 };
        // Without dilation all taps are one run, else each is one.
        let (segments, length) = if dilation_x == 1 { (1, taps) } else { (taps, 1) };
        Self {
            lanes,
            blocks,
            width,
            limits: Vec::new(),
            width_out: columns * channels,
            group_width: pixels * channels,
            spans: spans(source, pixels * stride_x, columns.div_ceil(pixels), (segments, length)),
            segments,
            min_saved: if channels < step_tree::LEAST_OUTPUTS {
                usize::MAX
            } else {
                step_tree::MIN_ROWS_SAVED
            },
            dilation: dilation_y,
            row_length,
            vertical: Axis::new(window, height, rows),
            taps_at_once: taps_at_once(row_length * lanes * size_of::<W>(), kernel_y),
            pixels,
            inputs,
            multipliers: if scaled { (0..blocks * lanes).map(lane).collect() } else { Vec::new() },
            weights,
        }
    }
}

impl<W> PackedWeights<W> {
    /// `true` if events of so many macro-steps are read sorted by steps where that pays: levels are
    /// one.
    pub(crate) fn may_sort(&self, steps: usize) -> bool {
        matches!(self.width, Width::Unit | Width::Pairs | Width::RealUnit)
            && steps > 1
            && self.min_saved < usize::MAX
    }

    /// Minimum number of entries that the step tree must save for an input position in one group
    /// of steps, so that it pays for the outputs.
    pub(crate) fn min_saved_by_position(&self) -> usize {
        let least = self.min_saved / (self.vertical.kernel * self.taps()).max(1);
        // Where sorting is not forced, what saves nothing is not worth it.
        least.max(usize::from(self.min_saved > 0))
    }

    /// `true` if a row of outputs reads its events through the step tree.
    pub(crate) fn uses_step_tree(&self, row: usize, events: EventsView<'_>, steps: usize) -> bool {
        if !self.may_sort(steps) {
            return false;
        }
        let Taps { count, input, .. } = self.vertical.at(row);
        let saved: Option<usize> =
            (0..count).map(|tap| events.saved(input + tap * self.dilation)).sum();
        let positions = events.extent.columns * step_tree::saving_groups(steps);
        saved.is_some_and(|saved| saved * self.taps() >= self.min_saved.saturating_mul(positions))
    }

    /// Inputs whose weights rows of outputs add, of so many that are active: those whose weights
    /// are added once for several steps count once.
    pub(crate) fn added(
        &self,
        outputs: Range<usize>,
        events: EventsView<'_>,
        (steps, active): (usize, usize),
    ) -> usize {
        if !outputs.clone().all(|row| self.uses_step_tree(row, events, steps)) {
            return active;
        }
        let saved: usize = self.vertical.read(outputs).filter_map(|row| events.saved(row)).sum();
        active - saved
    }

    /// Horizontal taps.
    fn taps(&self) -> usize {
        self.row_length / self.inputs
    }

    /// Channels that it reads.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Weight rows of a block.
    #[inline(always)]
    pub(crate) fn block(&self, block: usize) -> &[W] {
        let size = self.weights.len() / self.blocks;
        &self.weights[block * size..][..size]
    }

    /// Weight tiles, processed one after another: of each few taps all blocks that have weights.
    pub(crate) fn slabs(&self) -> impl Iterator<Item = Slab> {
        let limits = self.taps_of_slabs().zip(self.limits.chunks_exact(self.blocks));
        limits.flat_map(|(taps, limits)| {
            let limits = limits.iter().enumerate().filter(|(_, limit)| **limit > 0);
            limits.map(move |(block, &limit)| Slab { taps: taps.clone(), block, limit })
        })
    }

    /// Vertical taps of its tiles.
    fn taps_of_slabs(&self) -> impl Iterator<Item = Range<usize>> + use<W> {
        let (kernel, count) = (self.vertical.kernel, self.taps_at_once);
        (0..kernel).step_by(count).map(move |first| first..kernel.min(first + count))
    }

    /// `true` if a tile has no weights: it is skipped, and nothing begins its lanes.
    pub(crate) fn skips(&self) -> bool {
        self.limits.contains(&0)
    }

    /// Its weights.
    pub(crate) fn rows_of(&self, slab: &Slab) -> &[W] {
        let size = self.row_length * self.lanes;
        &self.block(slab.block)[slab.taps.start * size..slab.taps.end * size]
    }

    /// Multipliers of a block, one a lane; empty if all are one.
    #[inline(always)]
    pub(crate) fn multipliers(&self, block: usize) -> &[i32] {
        if self.multipliers.is_empty() {
            &[]
        } else {
            &self.multipliers[block * self.lanes..][..self.lanes]
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.weights)
    }

    /// In words, for reports of so many macro-steps.
    pub(crate) fn description(&self, steps: usize) -> String {
        let sums = match self.width {
            Width::Unit => "16-bit sums of weights",
            Width::Pairs => "16-bit sums of paired weights",
            Width::Narrow => "16-bit sums of products",
            Width::Wide => "32-bit sums of products",
            Width::RealUnit => "f32 sums of weights",
            Width::Real => "f32 sums of products",
        };
        let widened = match self.limits.iter().copied().filter(|limit| *limit > 0).min() {
            Some(usize::MAX) | None => String::new(),
            Some(limit) => format!(", widened every {limit} rows"),
        };
        let sorted = if self.may_sort(steps) { ", sorted by steps where that pays" } else { "" };
        format!(
            "events, {} outputs × {} pixels in {} × {} lanes, {sums}{widened}{sorted}",
            self.group_width / self.pixels,
            self.pixels,
            self.blocks,
            self.lanes
        )
    }
}

impl PackedWeights<i8> {
    /// Weights on the grid.
    pub(crate) fn integers(source: &WeightSource<'_, i8>) -> Self {
        let mut rows = Self::pack(source, Width::Unit);
        rows.prove(source);
        rows
    }

    /// Chooses the width of the sums, and proves from the weights how many rows 16 bits can take:
    /// as many as the largest products of a lane of a tile, of one sign, fit.
    #[expect(clippy::cast_possible_truncation, reason = "bounds on the grid are below 2³¹")]
    fn prove(&mut self, source: &WeightSource<'_, i8>) {
        let tap_size = self.row_length * self.lanes;
        let (mut least, mut limits) = (usize::MAX, Vec::new());
        let mut signs = [Vec::new(), Vec::new()];
        for (taps, block) in
            self.taps_of_slabs().flat_map(|taps| (0..self.blocks).map(move |b| (taps.clone(), b)))
        {
            let tile = &self.block(block)[taps.start * tap_size..taps.end * tap_size];
            let (mut largest, mut limit) = (0, usize::MAX);
            for lane in 0..self.lanes {
                signs.iter_mut().for_each(Vec::clear);
                for (row, weights) in tile.chunks_exact(self.lanes).enumerate() {
                    let product =
                        i64::from(weights[lane]) * source.bounds[row % self.inputs] as i64;
                    // Levels of both signs can turn every product.
                    signs[usize::from(product < 0 && !source.signed)].push(product.abs());
                }
                for products in &mut signs {
                    limit = limit.min(fitting(products));
                    largest = products.iter().copied().fold(largest, i64::max);
                }
            }
            if largest == 0 {
                limit = 0;
            }
            if largest > 0 {
                least = least.min(limit);
            }
            limits.push(limit);
        }
        self.limits = limits;
        if source.unit {
            if self.lanes.is_multiple_of(vectors::PAIRED) {
                self.width = Width::Pairs;
                vectors::pair(&mut self.weights);
            }
            return;
        }
        self.width = if least >= LEAST_PRODUCTS { Width::Narrow } else { Width::Wide };
        if self.width == Width::Wide {
            self.limits
                .iter_mut()
                .filter(|limit| **limit > 0 || least == 0)
                .for_each(|limit| *limit = usize::MAX);
        }
    }

    /// Instructions for one output of an image row at one vertical tap if all inputs are active.
    pub(crate) fn cost(&self) -> usize {
        let each = match self.width {
            Width::Pairs => self.lanes / 32 * 4,
            Width::Unit => self.lanes / 16 * 2,
            Width::Narrow => self.lanes / 16 * 4,
            Width::Wide | Width::RealUnit | Width::Real => self.lanes / 16 * 8,
        };
        let payload = if matches!(self.width, Width::Narrow | Width::Wide) { 2 } else { 0 };
        self.row_length * self.blocks * (each + 5 + payload) / self.pixels
    }
}

impl PackedWeights<f32> {
    /// Weights off the grid, of which sums take any number.
    pub(crate) fn reals(source: &WeightSource<'_, f32>) -> Self {
        let mut rows = Self::pack(source, if source.unit { Width::RealUnit } else { Width::Real });
        let tap_size = rows.row_length * rows.lanes;
        let limit = |taps: Range<usize>, block| {
            let tile = &rows.block(block)[taps.start * tap_size..taps.end * tap_size];
            if tile.iter().any(|weight| *weight != 0.0) { usize::MAX } else { 0 }
        };
        rows.limits = rows
            .taps_of_slabs()
            .flat_map(|taps| (0..rows.blocks).map(move |block| (taps.clone(), block)))
            .map(|(taps, block)| limit(taps, block))
            .collect();
        rows
    }
}

/// How many of the largest products sum to what 16 bits hold; any number if all do. Sorts them.
fn fitting(products: &mut [i64]) -> usize {
    if products.iter().sum::<i64>() <= I16_MAX {
        return usize::MAX;
    }
    products.sort_unstable_by(|a, b| b.cmp(a));
    let mut sum = 0;
    products
        .iter()
        .take_while(|product| {
            sum += **product;
            sum <= I16_MAX
        })
        .count()
}

/// The runs of taps of each group, `step` inputs apart, clipped to the image.
#[expect(clippy::cast_possible_truncation, reason = "a row has at most 2²⁶ positions")]
fn spans<W>(
    source: &WeightSource<'_, W>,
    step: usize,
    groups: usize,
    (segments, length): (usize, usize),
) -> Vec<Span> {
    let snn_ir::Geometry { padding: [_, padding], dilation: [_, dilation], .. } =
        source.conv.as_2d();
    let [inputs, _, columns] = source.input;
    let clip = |position: usize| position.saturating_sub(padding).min(columns) as u32;
    let span = |group: usize, segment: usize| {
        let begin = group * step + segment * dilation;
        Span {
            begin: clip(begin),
            end: clip(begin + length),
            base: ((segment + padding) * inputs).wrapping_sub(begin * inputs),
        }
    };
    (0..groups).flat_map(|group| (0..segments).map(move |segment| span(group, segment))).collect()
}

/// Number of vertical taps, of so many bytes each, in one weight tile of a block.
fn taps_at_once(bytes: usize, kernel: usize) -> usize {
    (KEPT_BYTES / bytes.max(1)).clamp(1, kernel)
}

/// Pixels that share a row and lanes of a block, such that a spike costs least.
fn tiling<W>(
    source: &WeightSource<'_, W>,
    kernel: usize,
    stride: usize,
    dilation: usize,
) -> (usize, usize) {
    let [channels, _, columns] = source.output;
    let widest = MAX_LANES.min(MAX_ROW_BYTES / size_of::<W>());
    let mut best = (usize::MAX, (1, widest));
    for pixels in [1, 2, 4] {
        if pixels > 1 && (pixels > columns || dilation > 1 || stride >= kernel) {
            continue;
        }
        let taps = kernel + (pixels - 1) * stride;
        for lanes in [16, 32, 64, 128].into_iter().filter(|lanes| *lanes <= widest) {
            let blocks = (pixels * channels).div_ceil(lanes);
            let (kernel_y, tap_bytes) =
                (source.conv.as_2d().kernel[0], source.input[0] * taps * lanes * size_of::<W>());
            let bytes = taps_at_once(tap_bytes, kernel_y) * tap_bytes;
            let additions = blocks * (ENTRY_COST + lanes * size_of::<W>() / 16);
            let memory =
                BLOCK_COSTS.iter().find(|(most, _)| bytes <= *most).map_or(1, |(_, cost)| *cost);
            // In sixteenths, since pixels divide it.
            let cost = 16 * taps * additions * memory / pixels;
            if cost < best.0 {
                best = (cost, (pixels, lanes));
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_fit_as_of_the_largest_do() {
        assert_eq!(fitting(&mut [127; 258]), usize::MAX);
        assert_eq!(fitting(&mut [127; 259]), 258);
        assert_eq!(fitting(&mut [1, 32_767, 0, 3]), 1);
        assert_eq!(fitting(&mut [32_768, 1]), 0);
        assert_eq!(fitting(&mut []), usize::MAX);
    }
}
