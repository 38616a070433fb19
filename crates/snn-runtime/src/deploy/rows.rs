//! Weights of a convolution or linear layer packed for events: an active input finds the weights of many outputs side by side.

use crate::axis::{Axis, AxisWindow};
use snn_ir::graph::Conv;
use std::ops::Range;

/// Bits that sums of weights have while a window is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// 16, all levels are one.
    Unit,
    /// 16, levels multiply.
    Narrow,
    /// 32, levels multiply.
    Wide,
}

/// Products that a 16-bit sum must be able to take before it is widened; below it 32-bit sums are faster.
const LEAST_PRODUCTS: usize = 16;
const I16_MAX: i64 = i16::MAX as i64;
/// Weights of one block should stay in the second-level cache with some of the events.
const BLOCK_BYTES: usize = 320 << 10;
/// Cost of handling an entry in additions of 16 lanes: its load, its address, the loop.
const ENTRY_COST: usize = 2;

/// Packed weights `[block][vertical tap][horizontal tap][input][lane]`.
///
/// Lanes are the output channels of `pixels` neighbouring outputs, one after another: where output channels are few, one row serves several pixels (the kernel is then as
/// wide as all their windows together, with zeros where a tap is not in a pixel's window).
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) lanes: usize,
    pub(crate) blocks: usize,
    pub(crate) width: Width,
    /// How many rows may be added to a 16-bit sum of each block before it is widened; 0 for a block without weights.
    pub(crate) limits: Vec<usize>,
    /// M of eq. 12, for each block and lane; `None` if all are one.
    pub(crate) multipliers: Option<Vec<i32>>,
    /// Groups of `pixels` outputs along an image row.
    pub(crate) groups: usize,
    /// Vertical dilation.
    pub(crate) dilation: usize,
    /// Weight rows of a vertical tap.
    pub(crate) row_length: usize,
    /// Vertical taps of every output row.
    pub(crate) vertical: Axis,
    pixels: usize,
    /// Output channels.
    channels: usize,
    /// Outputs along a row.
    columns: usize,
    inputs: usize,
    input_columns: usize,
    step: usize,
    padding: usize,
    segments: Vec<Segment>,
    weights: Vec<i8>,
}

/// Consecutive horizontal taps: where they begin, counted from the first, and how many they are.
#[derive(Debug, Clone, Copy)]
struct Segment {
    first: usize,
    length: usize,
    tap: usize,
}

/// A segment inside the image: its positions, and what is added to an entry to find its weights.
#[derive(Debug)]
pub(crate) struct Clipped {
    pub(crate) positions: Range<usize>,
    pub(crate) base: usize,
}

/// A convolution of one group as the model has it.
#[derive(Debug)]
pub(crate) struct Source<'m> {
    pub(crate) conv: &'m Conv,
    /// `[output][input][vertical tap][horizontal tap]`.
    pub(crate) weight: &'m [i8],
    pub(crate) multiplier: &'m [i32],
    /// Channels, height and width.
    pub(crate) input: [usize; 3],
    pub(crate) output: [usize; 3],
    /// Largest absolute level of each input channel.
    pub(crate) bounds: &'m [f64],
    /// Whether all levels are one.
    pub(crate) unit: bool,
}

impl Rows {
    pub(crate) fn pack(source: &Source<'_>) -> Self {
        let ([kernel_y, kernel_x], [stride_y, stride_x], [padding_y, padding], [dilation_y, dilation_x]) =
            source.conv.as_2d();
        let [inputs, height, input_columns] = source.input;
        let [channels, rows, columns] = source.output;
        let (pixels, lanes) = tiling(source, kernel_x, stride_x, dilation_x);
        let blocks = (pixels * channels).div_ceil(lanes);
        let taps = if dilation_x == 1 { kernel_x + (pixels - 1) * stride_x } else { kernel_x };
        let segments = if dilation_x == 1 {
            vec![Segment { first: 0, length: taps, tap: 0 }]
        } else {
            (0..taps).map(|tap| Segment { first: tap * dilation_x, length: 1, tap }).collect()
        };
        let row_length = taps * inputs;
        let mut weights = vec![0_i8; blocks * kernel_y * row_length * lanes];
        for lane in 0..pixels * channels {
            let (pixel, output) = (lane / channels, lane % channels);
            let (block, lane) = (lane / lanes, lane % lanes);
            for input in 0..inputs {
                for y in 0..kernel_y {
                    for x in 0..kernel_x {
                        let row = (block * kernel_y + y) * row_length + (pixel * stride_x + x) * inputs + input;
                        weights[row * lanes + lane] =
                            source.weight[((output * inputs + input) * kernel_y + y) * kernel_x + x];
                    }
                }
            }
        }
        let window = AxisWindow { kernel: kernel_y, stride: stride_y, padding: padding_y, dilation: dilation_y };
        let multipliers = source.multiplier.iter().any(|m| *m != 1).then(|| {
            let lane = |lane| if lane < pixels * channels { source.multiplier[lane % channels] } else { 0 };
            (0..blocks * lanes).map(lane).collect()
        });
        let mut packed = Self {
            lanes,
            blocks,
            width: Width::Unit,
            limits: Vec::new(),
            multipliers,
            groups: columns.div_ceil(pixels),
            dilation: dilation_y,
            row_length,
            vertical: Axis::new(window, height, rows),
            pixels,
            channels,
            columns,
            inputs,
            input_columns,
            step: pixels * stride_x,
            padding,
            segments,
            weights,
        };
        packed.prove(source);
        packed
    }

    /// Chooses the width of the sums, and proves from the weights how many rows 16 bits can take.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds on the grid are below 2³¹")]
    fn prove(&mut self, source: &Source<'_>) {
        let level = source.bounds.iter().fold(1.0_f64, |a, b| a.max(*b)) as i64;
        let block_rows = self.weights.len() / self.lanes / self.blocks;
        let mut least = usize::MAX;
        for block in self.weights.chunks_exact(block_rows * self.lanes) {
            let largest = block.iter().map(|w| i64::from(w.unsigned_abs())).max().unwrap_or(0);
            let mut sums = vec![0_i64; self.lanes];
            for (row, weights) in block.chunks_exact(self.lanes).enumerate() {
                let bound = source.bounds[row % self.inputs] as i64;
                sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += i64::from(w.unsigned_abs()) * bound);
            }
            let limit = if largest == 0 {
                0
            } else if sums.iter().all(|sum| *sum <= I16_MAX) {
                usize::MAX
            } else {
                (I16_MAX / (largest * level)) as usize
            };
            if largest > 0 {
                least = least.min(limit);
            }
            self.limits.push(limit);
        }
        if source.unit {
            return;
        }
        self.width = if least >= LEAST_PRODUCTS { Width::Narrow } else { Width::Wide };
        if self.width == Width::Wide {
            self.limits.iter_mut().filter(|limit| **limit > 0 || least == 0).for_each(|limit| *limit = usize::MAX);
        }
    }

    /// Weight rows of a block.
    #[inline(always)]
    pub(crate) fn block<const LANES: usize>(&self, block: usize) -> &[[i8; LANES]] {
        let size = self.weights.len() / self.blocks;
        self.weights[block * size..][..size].as_chunks().0
    }

    /// The taps of a group that fall inside the image.
    #[inline(always)]
    pub(crate) fn segments(&self, group: usize) -> impl Iterator<Item = Clipped> {
        let origin = group * self.step;
        self.segments.iter().map(move |segment| {
            let begin = origin + segment.first;
            let positions = begin.saturating_sub(self.padding).min(self.input_columns)
                ..(begin + segment.length).saturating_sub(self.padding).min(self.input_columns);
            let base =
                (segment.tap * self.inputs).wrapping_add(self.padding * self.inputs).wrapping_sub(begin * self.inputs);
            Clipped { positions, base }
        })
    }

    /// Where the currents of a group and block begin in a row.
    #[inline(always)]
    pub(crate) fn start(&self, group: usize, block: usize) -> usize {
        group * self.pixels * self.channels + block * self.lanes
    }

    /// How many they are.
    #[inline(always)]
    pub(crate) fn length(&self, group: usize, block: usize) -> usize {
        let pixels = self.pixels.min(self.columns - group * self.pixels);
        (pixels * self.channels - block * self.lanes).min(self.lanes)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.weights.len()
    }

    /// In words, for reports.
    pub(crate) fn description(&self) -> String {
        let sums = match self.width {
            Width::Unit => "16-bit sums of weights",
            Width::Narrow => "16-bit sums of products",
            Width::Wide => "32-bit sums of products",
        };
        let widened = match self.limits.iter().copied().filter(|limit| *limit > 0).min() {
            Some(usize::MAX) | None => String::new(),
            Some(limit) => format!(", widened every {limit} rows"),
        };
        format!(
            "events, {} outputs × {} pixels in {} × {} lanes, {sums}{widened}",
            self.channels, self.pixels, self.blocks, self.lanes
        )
    }
}

/// Pixels that share a row and lanes of a block, such that a spike costs least.
fn tiling(source: &Source<'_>, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let [channels, _, columns] = source.output;
    let mut best = (usize::MAX, (1, 128));
    for pixels in [1, 2, 4] {
        if pixels > 1 && (pixels > columns || dilation > 1 || stride >= kernel) {
            continue;
        }
        let taps = kernel + (pixels - 1) * stride;
        for lanes in [16, 32, 64, 128] {
            let blocks = (pixels * channels).div_ceil(lanes);
            let bytes = source.input[0] * source.conv.as_2d().0[0] * taps * lanes;
            let additions = blocks * (ENTRY_COST + lanes / 16);
            // In sixteenths, since pixels divide it; half as much again where weights leave the cache.
            let cost = 16 * taps * additions / pixels * if bytes > BLOCK_BYTES { 3 } else { 2 };
            if cost < best.0 {
                best = (cost, (pixels, lanes));
            }
        }
    }
    best.1
}
