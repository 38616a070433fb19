//! A convolution or linear layer as a dense integer product, for inputs of which so many are active
//! that going through events costs more.

use crate::deploy::events::EventsView;
use crate::deploy::plan::layout::Layout;
use crate::deploy::plan::tile_product::{self, TileProduct};
use crate::deploy::plan::vector_product::{Grouping, VectorProduct};
use crate::deploy::plan::weights::{PackedWeights, WeightSource};
use crate::deploy::size::product;
use crate::geometry::Taps;
use snn_simd::InstructionSet;
use std::ops::Range;

/// A dense product, and from where on it pays.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) product: Product,
    padding: usize,
    /// Added to the levels of each channel, in columns of padding too, so that none is negative;
    /// empty where none is.
    offsets: Vec<u8>,
    /// What the products of all vertical taps before one are larger by for that, `[tap][output]`,
    /// those of all taps last.
    surplus: Vec<i32>,
    /// Active inputs of a thousand from which this form is the faster one, at one macro-step and at
    /// several.
    least: [usize; 2],
}

/// The product itself.
#[derive(Debug)]
pub(crate) enum Product {
    /// In vectors.
    Vectors(VectorProduct),
    /// On the tiles of AMX.
    Tiles(TileProduct),
}

impl Product {
    /// Output channels.
    fn channels(&self) -> usize {
        match self {
            Self::Vectors(vectors) => vectors.channels,
            Self::Tiles(tiles) => tiles.channels,
        }
    }
}

impl Dense {
    /// `None` where levels are too large for it, or `rows` is never slower. `least`
    /// overrules the model of costs, at one macro-step and at several.
    pub(crate) fn pack(
        source: &WeightSource<'_, i8>,
        rows: &PackedWeights<i8>,
        instruction_set: InstructionSet,
        least: [Option<usize>; 2],
    ) -> Option<Self> {
        let level = source.bytes.largest;
        let has_tiles = instruction_set >= InstructionSet::Amx;
        let has_quads = instruction_set >= InstructionSet::Avx512Vnni;
        let grouping = if has_quads { Grouping::Quads } else { Grouping::Pairs };
        let most = if has_tiles { tile_product::MAX_LEVEL } else { grouping.max_level() };
        if level > most {
            return None;
        }
        let product = if has_tiles {
            Product::Tiles(TileProduct::pack(source))
        } else {
            Product::Vectors(VectorProduct::pack(source, grouping, level))
        };
        let break_even = |steps: usize| match &product {
            Product::Vectors(vectors) => vectors.break_even(rows),
            Product::Tiles(tiles) => tiles.break_even(rows, steps),
        };
        let [one, several] = least;
        let least = [(1, one), (source.steps, several)]
            .map(|(steps, least)| least.unwrap_or_else(|| break_even(steps)));
        let snn_ir::Geometry { padding: [_, padding], .. } = source.conv.as_2d();
        let (mut offsets, mut surplus) = (Vec::new(), Vec::new());
        if source.bytes.offsets.iter().any(|offset| *offset > 0) {
            offsets.clone_from(&source.bytes.offsets);
            surplus = surplus_before(source);
        }
        let dense = Self { product, padding, offsets, surplus, least };
        least.iter().any(|least| *least < 1000).then_some(dense)
    }

    pub(crate) fn bytes(&self) -> usize {
        match &self.product {
            Product::Vectors(vectors) => vectors.bytes(),
            Product::Tiles(tiles) => tiles.bytes(),
        }
    }

    /// In words, for so many macro-steps; `None` where it never pays at these.
    pub(crate) fn description(&self, steps: usize) -> Option<String> {
        let least = self.least(steps);
        let form = match self.product {
            Product::Vectors(_) => "a dense product",
            Product::Tiles(_) => "a dense product on tiles",
        };
        (least < 1000).then(|| format!("{form} where more than {least} of 1000 inputs are active"))
    }

    fn least(&self, steps: usize) -> usize {
        self.least[usize::from(steps > 1)]
    }

    pub(crate) fn layout(&self, steps: usize) -> Layout {
        match &self.product {
            Product::Vectors(vectors) => vectors.layout(steps),
            Product::Tiles(tiles) => tiles.layout(steps),
        }
    }

    /// Bytes that the input of so many rows of outputs needs.
    pub(crate) fn room<W>(&self, rows: &PackedWeights<W>, outputs: usize, steps: usize) -> usize {
        let layout = self.layout(steps);
        let read = product(&[rows.vertical.most_read(outputs), layout.row]);
        match &self.product {
            Product::Vectors(_) => read,
            Product::Tiles(tiles) => read.saturating_add(tiles.behind()),
        }
    }

    /// `true` if these rows of outputs read enough events, of which there are so many, less the
    /// additions that sharing over steps saves.
    pub(crate) fn pays<W>(
        &self,
        rows: &PackedWeights<W>,
        outputs: Range<usize>,
        events: EventsView<'_>,
        (steps, active): (usize, usize),
    ) -> bool {
        let values = rows.vertical.read(outputs.clone()).len() * steps * events.extent.width();
        rows.added(outputs, events, (steps, active)) * 1000 >= values * self.least(steps)
    }

    /// Spreads the levels that rows of outputs read out; says which input row is the first.
    pub(crate) fn spread<W>(
        &self,
        rows: &PackedWeights<W>,
        outputs: Range<usize>,
        events: EventsView<'_>,
        (steps, levels): (usize, &mut [u8]),
    ) -> usize {
        let read = rows.vertical.read(outputs);
        let first = read.start;
        self.layout(steps).spread((self.padding, &self.offsets), read, events, (steps, levels));
        first
    }

    /// Whether its products are larger than those of the levels.
    pub(crate) fn has_surplus(&self) -> bool {
        !self.surplus.is_empty()
    }

    /// Takes what the products of these vertical taps are larger by off currents, `[x][channel]`.
    pub(crate) fn correct(&self, taps: Taps, currents: &mut [i32]) {
        // A row that reads nothing names a tap that there is not.
        if taps.count == 0 {
            return;
        }
        let outputs = self.product.channels();
        let before = &self.surplus[taps.first * outputs..][..outputs];
        let after = &self.surplus[(taps.first + taps.count) * outputs..][..outputs];
        for currents in currents.chunks_exact_mut(outputs) {
            for (current, (before, after)) in currents.iter_mut().zip(before.iter().zip(after)) {
                *current = current.wrapping_sub(after.wrapping_sub(*before));
            }
        }
    }
}

/// Products of the weights of all vertical taps before one with what is added to levels,
/// `[tap][output]`: the padding has it too, so that they are the same everywhere along a row. Sums
/// may wrap, as they may on the way to those that are proved.
fn surplus_before(source: &WeightSource<'_, i8>) -> Vec<i32> {
    let snn_ir::Geometry { kernel: [kernel_y, kernel_x], .. } = source.conv.as_2d();
    let ([inputs, ..], [outputs, ..]) = (source.input, source.output);
    let mut surplus = vec![0_i32; (kernel_y + 1) * outputs];
    for (index, weight) in source.weight.iter().enumerate() {
        let (tap, input) = (index / kernel_x % kernel_y, index / (kernel_x * kernel_y) % inputs);
        let output = index / (kernel_x * kernel_y * inputs);
        let product = i32::from(*weight) * i32::from(source.bytes.offsets[input]);
        let sum = &mut surplus[(tap + 1) * outputs + output];
        *sum = sum.wrapping_add(product.wrapping_mul(source.multiplier[output]));
    }
    for index in outputs..surplus.len() {
        surplus[index] = surplus[index].wrapping_add(surplus[index - outputs]);
    }
    surplus
}
