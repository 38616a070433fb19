//! The gradient of the weights.

use super::axis::Axis;
use super::blocks::blocks_of;
use super::scratch::with_scratch;
use crate::autograd::parallel;
use crate::fused::Parts;
use snn_simd::tiles::{Multiplier, Pair, Rows, SIDE, Sums, Tiles};
use std::ops::Range;
use std::sync::OnceLock;

/// Blocks of 32 input channels that stay in the cache while those of outputs pass.
const RESIDENT: usize = 4;

/// `∂w[k, c, t] = Σ x[n, i, c]·g[n, o, k]` over all images n and the positions o at which tap t is
/// inside, with the input i that stands there.
#[derive(Debug)]
pub(super) struct WeightGradient<'a> {
    pub(super) x: &'a [u16],
    pub(super) gradient: &'a [u16],
    pub(super) rows: &'a Axis,
    pub(super) columns: &'a Axis,
    pub(super) images: usize,
    /// Channels of x.
    pub(super) inputs: usize,
    /// Channels of the gradient.
    pub(super) outputs: usize,
    /// Bytes of factors that stay in the cache.
    pub(super) cache: usize,
}

/// Images and rows whose factors are in memory at a time.
#[derive(Debug, Clone, Copy)]
struct Slab {
    /// Blocks of 32 images.
    blocks: usize,
    /// Rows of outputs.
    rows: usize,
    /// Rows of inputs that these read.
    input_rows: usize,
}

/// Where factors stand: for each 32 channels, each 32 images and each row, its columns.
#[derive(Debug, Clone, Copy)]
struct Layout {
    blocks: usize,
    rows: usize,
    columns: usize,
}

impl Layout {
    fn size(self, channels: usize) -> usize {
        blocks_of(channels) * self.blocks * self.rows * self.columns
    }

    /// The columns of a row, whose place is taken again by the row that many behind.
    fn row(self, channels: usize, block: usize, row: usize) -> Range<usize> {
        let first = (channels * self.blocks + block) * self.rows + row % self.rows;
        first * self.columns..(first + 1) * self.columns
    }
}

impl WeightGradient<'_> {
    /// Writes the gradient `[K, C, rows, columns]`. Each thread adds up a part of the images, and
    /// the parts are added in order: the bits depend on the number of threads, and on nothing
    /// else.
    pub(super) fn run(&self, tiles: Tiles, threads: usize, gradient: &Parts<'_, f32>) {
        let blocks = blocks_of(self.images);
        let parts = threads.clamp(1, blocks.max(1));
        let share = |part: usize| part * blocks / parts;
        let count = blocks_of(self.inputs) * blocks_of(self.outputs) * self.taps();
        let places = Places::new(self.rows, self.columns);
        let sums: Vec<OnceLock<Vec<Sums>>> = (0..parts).map(|_| OnceLock::new()).collect();
        parallel(parts, 1, |range| {
            for part in range {
                let mut of_part = vec![Sums::ZERO; count];
                tiles.run(|multiplier| {
                    let blocks = share(part)..share(part + 1);
                    self.add(multiplier, blocks, &places, &mut of_part);
                });
                // Each part is computed once.
                let _ = sums[part].set(of_part);
            }
        });
        let sums: Vec<&[Sums]> =
            sums.iter().filter_map(|sums| Some(sums.get()?.as_slice())).collect();
        parallel(self.outputs, 1, |outputs| {
            let size = self.inputs * self.taps();
            let range = outputs.start * size..outputs.end * size;
            #[expect(unsafe_code, reason = "threads write parts of one tensor")]
            // SAFETY: each output is written by one thread.
            let to = unsafe { gradient.part(range) };
            self.total(&sums, outputs, to);
        });
    }

    fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// Writes the sum of all parts for some outputs. Sums stand by blocks of 32 inputs, blocks of
    /// 32 outputs, taps; in each the inputs and the outputs.
    fn total(&self, parts: &[&[Sums]], outputs: Range<usize>, to: &mut [f32]) {
        let (taps, out_blocks) = (self.taps(), blocks_of(self.outputs));
        let Some((first, others)) = parts.split_first() else { return };
        for (index, to) in to.chunks_exact_mut(taps).enumerate() {
            let (output, input) = (outputs.start + index / self.inputs, index % self.inputs);
            let block = (input / SIDE * out_blocks + output / SIDE) * taps;
            let place = Sums::place(input % SIDE, output % SIDE);
            for (tap, to) in to.iter_mut().enumerate() {
                let of = |part: &[Sums]| part[block + tap].0[place];
                *to = others.iter().fold(of(first), |sum, part| sum + of(part));
            }
        }
    }

    /// Images and rows for which the cache has room: for the inputs of [`RESIDENT`] blocks of
    /// channels, and the gradient of two.
    fn slab(&self, blocks: usize) -> Slab {
        let resident = blocks_of(self.inputs).min(RESIDENT);
        let (count, pair) = (self.rows.outputs.len(), size_of::<Pair>());
        let size = |rows: usize| {
            let inputs = self.rows.widest(rows) * self.columns.inputs * resident;
            (inputs + rows * self.columns.outputs.len() * 2) * pair
        };
        let rows = (2..=count).take_while(|&rows| size(rows) <= self.cache).last().unwrap_or(1);
        let all = if rows >= count { self.cache / size(count).max(1) } else { 1 };
        let input_rows = self.rows.widest(rows).max(1);
        Slab { blocks: all.clamp(1, blocks.max(1)), rows, input_rows }
    }

    /// Adds what these blocks of 32 images contribute.
    fn add(
        &self,
        multiplier: &mut Multiplier,
        blocks: Range<usize>,
        places: &Places,
        sums: &mut [Sums],
    ) {
        let slab = self.slab(blocks.len());
        let columns = [self.columns.inputs, self.columns.outputs.len()];
        let of_x = Layout { blocks: slab.blocks, rows: slab.input_rows, columns: columns[0] };
        let of_g = Layout { blocks: slab.blocks, rows: slab.rows, columns: columns[1] };
        let size = [of_x.size(self.inputs), of_g.size(self.outputs)];
        with_scratch(size[0] + size[1], |scratch| {
            let (x, g) = scratch.split_at_mut(size[0]);
            for first in blocks.clone().step_by(slab.blocks) {
                let blocks = first..(first + slab.blocks).min(blocks.end);
                let mut loaded = 0;
                for row in (0..self.rows.outputs.len()).step_by(slab.rows) {
                    let rows = row..(row + slab.rows).min(self.rows.outputs.len());
                    let needed = self.rows.window(rows.start, rows.end);
                    let new = loaded.max(needed.start)..needed.end;
                    loaded = loaded.max(needed.end);
                    let images = Images {
                        values: self.x,
                        count: self.images,
                        rows: self.rows.inputs,
                        columns: columns[0],
                        channels: self.inputs,
                    };
                    images.load([blocks.clone(), new], of_x, x, |rows, to| {
                        multiplier.left_of_columns(rows, to);
                    });
                    let images = Images {
                        values: self.gradient,
                        count: self.images,
                        rows: self.rows.outputs.len(),
                        columns: columns[1],
                        channels: self.outputs,
                    };
                    images.load([blocks.clone(), rows.clone()], of_g, g, |rows, to| {
                        multiplier.right(rows, to);
                    });
                    let slab = Factors { blocks: blocks.len(), rows, x: (of_x, x), g: (of_g, g) };
                    self.add_slab(multiplier, &slab, places, sums);
                }
            }
        });
    }

    fn add_slab(
        &self,
        multiplier: &mut Multiplier,
        slab: &Factors<'_>,
        places: &Places,
        sums: &mut [Sums],
    ) {
        let (in_blocks, out_blocks) = (blocks_of(self.inputs), blocks_of(self.outputs));
        let (width, taps) = (self.columns.kernel, self.taps());
        let ((of_x, x), (of_g, g)) = (slab.x, slab.g);
        let of_slab = |places: &Vec<(usize, usize)>| -> Vec<(usize, usize)> {
            places.iter().copied().filter(|(_, output)| slab.rows.contains(output)).collect()
        };
        let by_row: Vec<_> = places.by_row.iter().map(of_slab).collect();
        for resident in (0..in_blocks).step_by(RESIDENT) {
            for output in 0..out_blocks {
                for input in resident..(resident + RESIDENT).min(in_blocks) {
                    let of_blocks = (input * out_blocks + output) * taps;
                    let of_blocks = &mut sums[of_blocks..][..taps];
                    for (rows, sums) in by_row.iter().zip(of_blocks.chunks_exact_mut(width)) {
                        let pairs = (0..slab.blocks).flat_map(|block| {
                            rows.iter().map(move |&(from, to)| {
                                (&x[of_x.row(input, block, from)], &g[of_g.row(output, block, to)])
                            })
                        });
                        if let (Some(padding), Ok(sums)) = (places.neighbours, sums.try_into()) {
                            multiplier.add_neighbours(&pairs, padding, sums);
                            continue;
                        }
                        for (columns, sums) in places.by_column.iter().zip(sums) {
                            let steps = pairs.clone().flat_map(|(x, g)| {
                                columns.iter().map(move |&(from, to)| (&x[from], &g[to]))
                            });
                            multiplier.add(steps, sums);
                        }
                    }
                }
            }
        }
    }
}

/// Inputs and outputs of each tap.
#[derive(Debug)]
struct Places {
    by_row: Vec<Vec<(usize, usize)>>,
    by_column: Vec<Vec<(usize, usize)>>,
    /// The padding of columns whose taps are neighbours.
    neighbours: Option<usize>,
}

impl Places {
    fn new(rows: &Axis, columns: &Axis) -> Self {
        let of = |axis: &Axis| (0..axis.kernel).map(|tap| axis.places(tap)).collect();
        Self { by_row: of(rows), by_column: of(columns), neighbours: columns.neighbours() }
    }
}

/// The factors of a slab.
#[derive(Debug)]
struct Factors<'a> {
    /// Blocks of 32 images.
    blocks: usize,
    /// Rows of outputs.
    rows: Range<usize>,
    x: (Layout, &'a [Pair]),
    g: (Layout, &'a [Pair]),
}

/// Images in memory, channels last.
#[derive(Debug)]
struct Images<'a> {
    values: &'a [u16],
    count: usize,
    rows: usize,
    columns: usize,
    channels: usize,
}

impl Images<'_> {
    /// Makes factors of some rows of some blocks of 32 images.
    fn load(
        &self,
        [blocks, rows]: [Range<usize>; 2],
        layout: Layout,
        to: &mut [Pair],
        load: impl Fn(Rows<'_>, &mut Pair),
    ) {
        let of_image = self.rows * self.columns * self.channels;
        for (index, block) in blocks.enumerate() {
            let images = (self.count - block * SIDE).min(SIDE);
            for row in rows.clone() {
                for part in 0..blocks_of(self.channels) {
                    let channels = (self.channels - part * SIDE).min(SIDE);
                    for (column, to) in to[layout.row(part, index, row)].iter_mut().enumerate() {
                        let from = block * SIDE * of_image
                            + (row * self.columns + column) * self.channels
                            + part * SIDE;
                        load(Rows::new(&self.values[from..], of_image, [images, channels]), to);
                    }
                }
            }
        }
    }
}
