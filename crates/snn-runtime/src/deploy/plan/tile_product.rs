//! A dense integer product on the tiles of AMX: levels as they lie in memory, 64 of them in a row
//! of a tile, times the weights of 16 outputs.

use crate::deploy::plan::layout::Layout;
use crate::deploy::plan::weights::{PackedWeights, WeightSource};
use snn_simd::tiles::{BYTE_ROWS, BytePair, SIDE};

/// Largest level: that of a byte.
pub(crate) const MAX_LEVEL: f64 = 255.0;
/// Rows of a tile, and columns.
pub(crate) const TILE: usize = SIDE / 2;

/// Weights of a convolution, and how its levels are laid out.
///
/// The rows of a tile are outputs, evenly apart in memory. Where a column has its steps one after
/// another (`by_column`), all outputs of an image row at all its steps are; a column's channels are
/// then filled up to whole rows of 64 bytes, and columns between which a stride leaves others out
/// are put together. Few channels are better off where a step has its columns one after another: a
/// row of 64 bytes then holds several columns of a window.
#[derive(Debug)]
pub(crate) struct TileProduct {
    pub(crate) channels: usize,
    /// Blocks of 32 outputs.
    pub(crate) blocks: usize,
    pub(crate) by_column: bool,
    /// Bytes of the channels of a column at a step.
    inputs: usize,
    /// Columns of an input row, those of its padding among them, in each phase of the layout.
    columns: usize,
    phases: usize,
    /// Columns from an output to the next.
    stride: usize,
    /// What the steps of a product read at one vertical tap.
    pub(crate) chunks: Vec<Chunk>,
    /// One an output, filled up with zeros.
    multipliers: Vec<i32>,
    /// `[block][vertical tap][chunk]`.
    weights: Vec<BytePair>,
    /// Outputs of an image row.
    outputs: usize,
}

/// Sixty-four bytes of the windows of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    phase: usize,
    column: usize,
    byte: usize,
}

impl Chunk {
    /// Where it stands, from the place of an output on.
    #[inline(always)]
    pub(crate) fn place(self, layout: &Layout) -> usize {
        self.phase * layout.phase + self.column * layout.column + self.byte
    }
}

/// Taps whose levels lie together in memory, for chunks that run over them.
fn runs(by_column: bool, taps: usize, dilation: usize) -> Vec<usize> {
    if dilation == 1 && !by_column { vec![taps] } else { vec![1; taps] }
}

impl TileProduct {
    pub(crate) fn pack(source: &WeightSource<'_, i8>) -> Self {
        let snn_ir::Geometry {
            kernel: [kernel_y, kernel_x],
            stride: [_, stride],
            padding: [_, padding],
            dilation: [_, dilation],
            ..
        } = source.conv.as_2d();
        let [inputs, _, columns_in] = source.input;
        let [channels, _, columns] = source.output;
        // One column has none behind it, however far away a stride puts that.
        let stride = if columns == 1 { 1 } else { stride };
        let cost = |by_column: bool| {
            let runs = runs(by_column, kernel_x, dilation).into_iter();
            let chunks: usize = runs.map(|taps| (taps * inputs).div_ceil(BYTE_ROWS)).sum();
            tile_rows(by_column, columns, source.steps) * chunks
        };
        let by_column = cost(true) <= cost(false);
        let (phases, stride) = if by_column { (stride, 1) } else { (1, stride) };
        // Chunks, and the tap and the input of each of their bytes.
        let mut chunks: Vec<(Chunk, Vec<(usize, usize)>)> = Vec::new();
        let mut tap = 0;
        for taps in runs(by_column, kernel_x, dilation) {
            let bytes: Vec<(usize, usize)> = (tap..tap + taps)
                .flat_map(|tap| (0..inputs).map(move |input| (tap, input)))
                .collect();
            let (phase, column) = (tap * dilation % phases, tap * dilation / phases);
            chunks.extend(bytes.chunks(BYTE_ROWS).enumerate().map(|(part, bytes)| {
                (Chunk { phase, column, byte: part * BYTE_ROWS }, bytes.to_vec())
            }));
            tap += taps;
        }
        let blocks = channels.div_ceil(SIDE);
        let mut weights = vec![BytePair::ZERO; blocks * kernel_y * chunks.len()];
        for output in 0..channels {
            for tap_y in 0..kernel_y {
                let first = (output / SIDE * kernel_y + tap_y) * chunks.len();
                for (pair, (_, bytes)) in weights[first..].iter_mut().zip(&chunks) {
                    for (row, &(tap, input)) in bytes.iter().enumerate() {
                        pair.0[BytePair::place(row, output % SIDE)] = source.weight
                            [((output * inputs + input) * kernel_y + tap_y) * kernel_x + tap];
                    }
                }
            }
        }
        let read = (columns - 1) * stride + (kernel_x - 1) * dilation / phases + 1;
        Self {
            channels,
            blocks,
            by_column,
            inputs: if by_column { inputs.next_multiple_of(BYTE_ROWS) } else { inputs },
            columns: read.max((columns_in + padding).div_ceil(phases)),
            phases,
            stride,
            chunks: chunks.into_iter().map(|(chunk, _)| chunk).collect(),
            multipliers: (0..blocks * SIDE)
                .map(|lane| source.multiplier.get(lane).copied().unwrap_or(0))
                .collect(),
            weights,
            outputs: columns,
        }
    }

    pub(crate) fn layout(&self, steps: usize) -> Layout {
        let Self { inputs, columns, phases, .. } = *self;
        if self.by_column {
            let column = steps * inputs;
            let phase = columns * column;
            Layout { phases, phase, column, step: inputs, row: phases * phase }
        } else {
            let step = columns * inputs;
            Layout { phases, phase: 0, column: inputs, step, row: steps * step }
        }
    }

    /// Bytes from a row of a tile to the next.
    #[inline(always)]
    pub(crate) fn row_stride(&self) -> usize {
        self.stride * self.inputs
    }

    /// Bytes behind the last level that the last rows of tiles may read.
    pub(crate) fn behind(&self) -> usize {
        (TILE - 1) * self.row_stride() + BYTE_ROWS
    }

    /// Weights of a block at vertical taps from one on.
    #[inline(always)]
    pub(crate) fn weights(&self, block: usize, first_tap: usize) -> &[BytePair] {
        let size = self.weights.len() / self.blocks;
        &self.weights[block * size..][..size][first_tap * self.chunks.len()..]
    }

    #[inline(always)]
    pub(crate) fn multipliers(&self, block: usize) -> &[i32; SIDE] {
        &self.multipliers.as_chunks().0[block]
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice())
    }

    /// Active inputs of a thousand at which events of so many macro-steps take as long, by cycles
    /// that were fitted to `layer-chart` on AMX.
    pub(crate) fn break_even(&self, rows: &PackedWeights<i8>, steps: usize) -> usize {
        /// Weights of a block that stay in the first cache beside levels.
        const NEAR: usize = 24 << 10;
        /// Finding the window of an output, and writing 16 of its sums.
        const WINDOW: usize = 60;
        const WRITE: usize = 12;
        let (kernel, tiles) = (rows.vertical.kernel, self.channels.div_ceil(TILE));
        // A product takes a cycle for each row of a tile; loads from the second cache half as much
        // again. All in halves.
        let far = usize::from(self.bytes() / self.blocks > NEAR);
        let products = (2 + far) * tiles * self.chunks.len() * self.tile_rows(steps)
            / (self.outputs * steps).max(1);
        let dense = (products + 2 * WRITE * tiles / kernel).saturating_sub(2 * WINDOW / kernel);
        // Instructions of AVX2, half as many of AVX-512, of which about three take a cycle.
        1000 * dense / (rows.cost() / 3).max(1)
    }

    /// Rows of tiles that an image row of outputs takes at so many macro-steps.
    fn tile_rows(&self, steps: usize) -> usize {
        tile_rows(self.by_column, self.outputs, steps)
    }
}

/// Rows of tiles for a row of so many outputs.
fn tile_rows(by_column: bool, outputs: usize, steps: usize) -> usize {
    if by_column {
        (outputs * steps).next_multiple_of(TILE)
    } else {
        outputs.next_multiple_of(TILE) * steps
    }
}
