//! A convolution or linear layer as a dense integer product, for inputs of which so many are active
//! that going through events costs more.

use crate::deploy::events::EventsView;
use crate::deploy::plan::layout::Layout;
use crate::deploy::plan::tile_product::{self, TileProduct};
use crate::deploy::plan::vector_product::{Grouping, VectorProduct};
use crate::deploy::plan::weights::{PackedWeights, WeightSource};
use crate::deploy::size::product;
use snn_simd::InstructionSet;
use std::ops::Range;

/// A dense product, and from where on it pays.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) product: Product,
    padding: usize,
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

impl Dense {
    /// `None` where levels are negative or too large for it, or `rows` is never slower. `least`
    /// overrules the model of costs, at one macro-step and at several.
    pub(crate) fn pack(
        source: &WeightSource<'_, i8>,
        rows: &PackedWeights<i8>,
        instruction_set: InstructionSet,
        least: [Option<usize>; 2],
    ) -> Option<Self> {
        let level = source.bounds.iter().fold(1.0_f64, |a, b| a.max(*b));
        let has_tiles = instruction_set >= InstructionSet::Amx;
        let has_quads = instruction_set >= InstructionSet::Avx512Vnni;
        let grouping = if has_quads { Grouping::Quads } else { Grouping::Pairs };
        let most = if has_tiles { tile_product::MAX_LEVEL } else { grouping.max_level() };
        if source.signed || level > most {
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
        least.iter().any(|least| *least < 1000).then_some(Self { product, padding, least })
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
        self.layout(steps).spread(self.padding, read, events, (steps, levels));
        first
    }
}
