//! A convolution or linear layer as a dense integer product, for inputs of which so many are active
//! that going through events costs more.

use crate::deploy::aligned::Aligned;
use crate::deploy::events::EventsView;
use crate::deploy::plan::weights::{I16_MAX, PackedWeights, WeightSource};
use crate::deploy::size::product;
use snn_simd::InstructionSet;
use std::ops::Range;

/// Largest level: products of two levels below it with two weights of 8 bits fit in 16 bits.
const MAX_LEVEL: f64 = 128.0;
/// How products are made: so many inputs at once, for each lane; and the image columns that are
/// worked on together, for 16, 32 and 64 lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProductForm {
    /// Two, in 16 bits.
    Pairs,
    /// Four, in 32 bits, with VNNI.
    Quads,
}

impl ProductForm {
    /// The form of an instruction set.
    pub(crate) fn of(instruction_set: InstructionSet) -> Self {
        if instruction_set == InstructionSet::Avx512Vnni { Self::Quads } else { Self::Pairs }
    }

    fn inputs(self) -> usize {
        match self {
            Self::Pairs => 2,
            Self::Quads => 4,
        }
    }

    fn pixels(self, lanes: usize) -> usize {
        match (self, lanes) {
            (Self::Pairs, 64) => 2,
            _ => 4,
        }
    }
}

/// Weights `[block][vertical tap][horizontal tap][group of inputs][lane][input of the group]`.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) lanes: usize,
    pub(crate) blocks: usize,
    /// Neighbouring outputs that share the loads of the weights.
    pub(crate) pixels: usize,
    pub(crate) channels: usize,
    pub(crate) products: ProductForm,
    /// Groups of inputs, [`ProductForm::inputs`] each; the last is filled up with inputs that are
    /// always zero.
    pub(crate) groups: usize,
    /// Horizontal taps, and how far apart outputs and taps read.
    pub(crate) taps: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// How many groups of each block the sums can take.
    pub(crate) limits: Vec<usize>,
    padding: usize,
    /// Columns of an input row, those of its padding among them.
    padded: usize,
    multipliers: Vec<i32>,
    weights: Aligned<i8>,
    /// Active inputs of a thousand from which this form is the faster one.
    least: usize,
}

impl Dense {
    /// `None` where levels are negative or too large for it, or `rows` is never slower. `least`
    /// overrules the model of costs.
    pub(crate) fn pack(
        source: &WeightSource<'_, i8>,
        rows: &PackedWeights<i8>,
        products: ProductForm,
        least: Option<usize>,
    ) -> Option<Self> {
        let snn_ir::Geometry {
            kernel: [kernel_y, kernel_x],
            stride: [_, stride],
            padding: [_, padding],
            dilation: [_, dilation],
            ..
        } = source.conv.as_2d();
        let [inputs, ..] = source.input;
        let [channels, _, columns] = source.output;
        let level = source.bounds.iter().fold(1.0_f64, |a, b| a.max(*b));
        if source.signed || level > MAX_LEVEL {
            return None;
        }
        let lanes = channels.next_power_of_two().clamp(16, 64);
        let (group, pixels) = (products.inputs(), products.pixels(lanes).min(columns));
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
        let mut dense = Self {
            lanes,
            blocks,
            pixels,
            channels,
            products,
            groups,
            taps: kernel_x,
            stride,
            dilation,
            limits: Vec::new(),
            padding,
            padded: padded.max(source.input[2] + padding),
            multipliers: (0..blocks * lanes)
                .map(|lane| source.multiplier.get(lane).copied().unwrap_or(0))
                .collect(),
            weights,
            least: 0,
        };
        match products {
            ProductForm::Pairs => dense.prove(level),
            // Sums of 32 bits on the grid are proved when the model is validated.
            ProductForm::Quads => dense.limits = vec![usize::MAX; blocks],
        }
        dense.least = least.unwrap_or_else(|| dense.break_even(rows));
        (dense.least < 1000).then_some(dense)
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
    fn break_even(&self, rows: &PackedWeights<i8>) -> usize {
        /// Finding the input of a pixel at a tap.
        const TAP: usize = 10;
        let vectors = self.lanes / 16;
        // A load of each vector for all pixels; a broadcast, products and sums for each.
        let (each, rows) = match self.products {
            ProductForm::Pairs => (2, rows.cost()),
            // Events have vectors twice as long then.
            ProductForm::Quads => (1, rows.cost() / 2),
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

    pub(crate) fn description(&self) -> String {
        format!("a dense product where more than {} of 1000 inputs are active", self.least)
    }

    /// Bytes of an image row at one step.
    #[inline(always)]
    pub(crate) fn line(&self) -> usize {
        self.padded * self.groups * self.products.inputs()
    }

    /// Bytes that the input of so many rows of outputs needs.
    pub(crate) fn room<W>(&self, rows: &PackedWeights<W>, outputs: usize, steps: usize) -> usize {
        product(&[rows.vertical.most_read(outputs), steps, self.line()])
    }

    /// `true` if these rows of outputs read enough events, less the additions that sharing over
    /// steps saves.
    pub(crate) fn pays<W>(
        &self,
        rows: &PackedWeights<W>,
        outputs: Range<usize>,
        events: EventsView<'_>,
        steps: usize,
    ) -> bool {
        let read = rows.vertical.read(outputs.clone());
        let values = read.len() * steps * events.extent.width();
        let active: usize = read
            .clone()
            .flat_map(|row| (0..steps).map(move |step| events.at(row, step).count()))
            .sum();
        let shares = outputs.into_iter().all(|row| rows.uses_step_tree(row, events, steps));
        let saved: usize = if shares { read.filter_map(|row| events.saved(row)).sum() } else { 0 };
        (active - saved) * 1000 >= values * self.least && active > 0
    }

    /// Spreads the levels that rows of outputs read out, `[input row][step][column][channel]`; says
    /// which input row is the first.
    pub(crate) fn spread<W>(
        &self,
        rows: &PackedWeights<W>,
        outputs: Range<usize>,
        events: EventsView<'_>,
        (steps, levels): (usize, &mut [u8]),
    ) -> usize {
        let channels = events.extent.channels;
        let read = rows.vertical.read(outputs);
        let first = read.start;
        let mut lines = levels.chunks_exact_mut(self.line());
        for row in read {
            for step in 0..steps {
                let Some(levels) = lines.next() else { return first };
                levels.fill(0);
                let line = events.at(row, step);
                for column in 0..events.extent.columns {
                    // Entries are `column · channels + channel`, and channels are filled up to
                    // whole groups here.
                    let shift = ((column + self.padding) * self.groups * self.products.inputs())
                        .wrapping_sub(column * channels);
                    for (entry, level) in line.levels(column..column + 1) {
                        levels[entry.wrapping_add(shift)] = level.to_le_bytes()[0];
                    }
                }
            }
        }
        first
    }
}
