//! A dense integer product in vectors: the weights of many outputs times a group of inputs.

use crate::deploy::aligned::Aligned;
use crate::deploy::plan::layout::Layout;
use crate::deploy::plan::weights::{I16_MAX, PackedWeights, WeightSource};

/// How products are made: so many inputs at once, for each lane; and the image columns that are
/// worked on together, for 16, 32 and 64 lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// Two, in 16 bits.
    Pairs,
    /// Four, in 32 bits, with VNNI.
    Quads,
}

impl Grouping {
    fn inputs(self) -> usize {
        match self {
            Self::Pairs => 2,
            Self::Quads => 4,
        }
    }

    /// Largest level: in pairs, products of two levels with two weights of 8 bits fit in 16 bits;
    /// in quads, a level is a byte.
    pub(crate) fn max_level(self) -> f64 {
        match self {
            Self::Pairs => 128.0,
            Self::Quads => 255.0,
        }
    }

    /// Image columns that are worked on together in rows of so many. They share the loads of
    /// weights, and a product waits for the one before it in the same sum, so that narrow layers
    /// need more of them.
    fn pixels(self, lanes: usize, columns: usize) -> usize {
        let most = match (self, lanes) {
            (Self::Pairs, 64) => 2,
            (Self::Quads, 16 | 32) => 8,
            _ => 4,
        };
        [most, most.min(4), 1].into_iter().find(|pixels| *pixels <= columns).unwrap_or(1)
    }
}

/// Weights `[block][vertical tap][horizontal tap][group of inputs][lane][input of the group]`.
#[derive(Debug)]
pub(crate) struct VectorProduct {
    pub(crate) lanes: usize,
    pub(crate) blocks: usize,
    /// Neighbouring outputs that share the loads of the weights.
    pub(crate) pixels: usize,
    pub(crate) channels: usize,
    pub(crate) grouping: Grouping,
    /// Groups of inputs, [`Grouping::inputs`] each; the last is filled up with inputs that are
    /// always zero.
    pub(crate) groups: usize,
    /// Horizontal taps, and how far apart outputs and taps read.
    pub(crate) taps: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// How many groups of each block the sums can take.
    pub(crate) limits: Vec<usize>,
    /// Columns of an input row, those of its padding among them.
    padded: usize,
    multipliers: Vec<i32>,
    weights: Aligned<i8>,
}

impl VectorProduct {
    /// `level` is the largest one.
    pub(crate) fn pack(source: &WeightSource<'_, i8>, grouping: Grouping, level: f64) -> Self {
        let snn_ir::Geometry {
            kernel: [kernel_y, kernel_x],
            stride: [_, stride],
            padding: [_, padding],
            dilation: [_, dilation],
            ..
        } = source.conv.as_2d();
        let [inputs, ..] = source.input;
        let [channels, _, columns] = source.output;
        let lanes = channels.next_power_of_two().clamp(16, 64);
        let (group, pixels) = (grouping.inputs(), grouping.pixels(lanes, columns));
        let (blocks, groups) = (channels.div_ceil(lanes), inputs.div_ceil(group));
        let mut weights = Aligned::zeros(blocks * kernel_y * kernel_x * groups * lanes * group);
        for output in 0..channels {
            for input in 0..inputs {
                for tap in 0..kernel_y * kernel_x {
                    let row = (output / lanes * kernel_y * kernel_x + tap) * groups + input / group;
                    weights[(row * lanes + output % lanes) * group + input % group] =
                        source.weight[(output * inputs + input) * kernel_y * kernel_x + tap];
                }
            }
        }
        let padded =
            (columns.next_multiple_of(pixels) - 1) * stride + (kernel_x - 1) * dilation + 1;
        let mut product = Self {
            lanes,
            blocks,
            pixels,
            channels,
            grouping,
            groups,
            taps: kernel_x,
            stride,
            dilation,
            limits: Vec::new(),
            padded: padded.max(source.input[2] + padding),
            multipliers: (0..blocks * lanes)
                .map(|lane| source.multiplier.get(lane).copied().unwrap_or(0))
                .collect(),
            weights,
        };
        match grouping {
            Grouping::Pairs => product.prove(level),
            // Sums of 32 bits on the grid are proved when the model is validated. With what is
            // added to levels they may wrap, and are right again when it is taken off.
            Grouping::Quads => product.limits = vec![usize::MAX; blocks],
        }
        product
    }

    /// How many pairs 16-bit sums of each block can take.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a level of at most 128"
    )]
    fn prove(&mut self, level: f64) {
        let level = level as i64;
        let size = self.weights.len() / self.blocks;
        for block in self.weights.chunks_exact(size) {
            let mut sums = vec![0_i64; self.lanes];
            for pair in block.chunks_exact(2 * self.lanes) {
                for (sum, weights) in sums.iter_mut().zip(pair.chunks_exact(2)) {
                    *sum +=
                        weights.iter().map(|w| i64::from(w.unsigned_abs()) * level).sum::<i64>();
                }
            }
            let largest =
                block.iter().map(|w| i64::from(w.unsigned_abs())).max().unwrap_or(0).max(1);
            let proved = sums.iter().all(|sum| *sum <= I16_MAX);
            self.limits.push(if proved {
                usize::MAX
            } else {
                (I16_MAX / (2 * largest * level)) as usize
            });
        }
    }

    /// Active inputs of a thousand at which both forms take as long, by their instructions and what
    /// `layer-chart` showed on AVX2 when it was fitted: with 16, 32, 64, 128, 256 and 512 channels
    /// they broke even at 72, 63, 70, 92, 75 and 82 of 100. With VNNI it was not measured: the same
    /// count of instructions.
    pub(crate) fn break_even(&self, rows: &PackedWeights<i8>) -> usize {
        /// Finding the input of a pixel at a tap.
        const TAP: usize = 10;
        let vectors = self.lanes / 16;
        // A load of each vector for all pixels; a broadcast, products and sums for each.
        let (each, rows) = match self.grouping {
            Grouping::Pairs => (2, rows.cost()),
            // Events have vectors twice as long then.
            Grouping::Quads => (1, rows.cost() / 2),
        };
        let group = vectors * self.pixels * each + vectors + self.pixels;
        let dense = self.taps * self.blocks * (self.groups * group / self.pixels + TAP);
        // Levels must be spread out first, and instructions wait for each other more than among
        // events: six tenths.
        1600 * dense / rows.max(1)
    }

    /// Weights of a block.
    #[inline(always)]
    pub(crate) fn block(&self, block: usize) -> &[i8] {
        let size = self.weights.len() / self.blocks;
        &self.weights[block * size..][..size]
    }

    #[inline(always)]
    pub(crate) fn multipliers(&self, block: usize) -> &[i32] {
        &self.multipliers[block * self.lanes..][..self.lanes]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.weights.len()
    }

    /// Runs of groups of inputs that lie together in memory under a row of weights, and the length
    /// of each: all horizontal taps are one, unless a dilation leaves columns out.
    #[inline(always)]
    pub(crate) fn runs(&self) -> (usize, usize) {
        if self.dilation == 1 { (1, self.taps * self.groups) } else { (self.taps, self.groups) }
    }

    /// Bytes of an image row at one step.
    #[inline(always)]
    pub(crate) fn line(&self) -> usize {
        self.padded * self.groups * self.grouping.inputs()
    }

    pub(crate) fn layout(&self, steps: usize) -> Layout {
        let column = self.groups * self.grouping.inputs();
        Layout { phases: 1, phase: 0, column, step: self.line(), row: steps * self.line() }
    }
}
