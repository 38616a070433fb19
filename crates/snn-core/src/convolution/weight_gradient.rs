//! The gradient of the weights.

use super::axis::Axis;
use super::room::with_room;
use super::{CACHE, blocks_of};
use crate::autograd::parallel;
use snn_simd::tiles::{Multiplier, Pair, Rows, SIDE, Sums, Tiles};
use std::ops::Range;
use std::sync::Mutex;

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
    /// The gradient `[K, C, rows, columns]`. Each thread adds up a part of the images, and the parts
    /// are added in order: the bits depend on the number of threads, and on nothing else.
    pub(super) fn run(&self, tiles: Tiles, threads: usize) -> Vec<f32> {
        let blocks = blocks_of(self.images);
        let parts = threads.clamp(1, blocks.max(1));
        let share = |part: usize| part * blocks / parts;
        let taps = self.rows.kernel * self.columns.kernel;
        let count = blocks_of(self.inputs) * blocks_of(self.outputs) * taps;
        let sums: Vec<Mutex<Vec<Sums>>> = (0..parts).map(|_| Mutex::default()).collect();
        parallel(parts, 1, |range| {
            for part in range {
                let mut of_part = vec![Sums::ZERO; count];
                tiles.run(|multiplier| {
                    self.add(multiplier, share(part)..share(part + 1), &mut of_part);
                });
                if let Ok(mut sums) = sums[part].lock() {
                    *sums = of_part;
                }
            }
        });
        let mut sums = sums.into_iter().filter_map(|sums| sums.into_inner().ok());
        let mut total = sums.next().unwrap_or_default();
        for part in sums {
            for (total, part) in total.iter_mut().zip(&part) {
                for (total, part) in total.0.iter_mut().zip(&part.0) {
                    *total += part;
                }
            }
        }
        self.in_order(&total)
    }

    /// Blocks of 32 inputs, of 32 outputs, taps; in each the inputs and the outputs.
    fn in_order(&self, sums: &[Sums]) -> Vec<f32> {
        let taps = self.rows.kernel * self.columns.kernel;
        let out_blocks = blocks_of(self.outputs);
        let mut values = vec![0.0; self.outputs * self.inputs * taps];
        for (index, values) in values.chunks_exact_mut(taps).enumerate() {
            let (output, input) = (index / self.inputs, index % self.inputs);
            let block = (input / SIDE * out_blocks + output / SIDE) * taps;
            let place = Sums::place(input % SIDE, output % SIDE);
            for (value, sums) in values.iter_mut().zip(&sums[block..]) {
                *value = sums.0[place];
            }
        }
        values
    }

    /// As much as the cache has room for: the inputs of [`RESIDENT`] blocks of channels, and the
    /// gradient of two.
    fn slab(&self, blocks: usize) -> Slab {
        let resident = blocks_of(self.inputs).min(RESIDENT);
        let (count, pair) = (self.rows.outputs.len(), size_of::<Pair>());
        let size = |rows: usize| {
            let inputs = self.rows.widest(rows) * self.columns.inputs * resident;
            (inputs + rows * self.columns.outputs.len() * 2) * pair
        };
        let rows = (2..=count).take_while(|&rows| size(rows) <= CACHE).last().unwrap_or(1);
        let all = if rows >= count { CACHE / size(count).max(1) } else { 1 };
        let input_rows = self.rows.widest(rows).max(1);
        Slab { blocks: all.clamp(1, blocks.max(1)), rows, input_rows }
    }

    /// Adds what these blocks of 32 images contribute.
    fn add(&self, multiplier: &mut Multiplier, blocks: Range<usize>, sums: &mut [Sums]) {
        let slab = self.slab(blocks.len());
        let columns = [self.columns.inputs, self.columns.outputs.len()];
        let of_x = Layout { blocks: slab.blocks, rows: slab.input_rows, columns: columns[0] };
        let of_g = Layout { blocks: slab.blocks, rows: slab.rows, columns: columns[1] };
        let size = [of_x.size(self.inputs), of_g.size(self.outputs)];
        with_room(size[0] + size[1], |room| {
            let (x, g) = room.split_at_mut(size[0]);
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
                        images: self.images,
                        rows: self.rows.inputs,
                        columns: columns[0],
                        channels: self.inputs,
                    };
                    images.load([blocks.clone(), new], of_x, x, |rows, to| {
                        multiplier.left_of_columns(rows, to);
                    });
                    let images = Images {
                        values: self.gradient,
                        images: self.images,
                        rows: self.rows.outputs.len(),
                        columns: columns[1],
                        channels: self.outputs,
                    };
                    images.load([blocks.clone(), rows.clone()], of_g, g, |rows, to| {
                        multiplier.right(rows, to);
                    });
                    self.add_slab(multiplier, blocks.len(), rows, [(of_x, x), (of_g, g)], sums);
                }
            }
        });
    }

    fn add_slab(
        &self,
        multiplier: &mut Multiplier,
        blocks: usize,
        rows: Range<usize>,
        [(of_x, x), (of_g, g)]: [(Layout, &[Pair]); 2],
        sums: &mut [Sums],
    ) {
        let (in_blocks, out_blocks) = (blocks_of(self.inputs), blocks_of(self.outputs));
        let width = self.columns.kernel;
        let taps = self.rows.kernel * width;
        let neighbours = self.columns.neighbours();
        let by_row: Vec<Vec<(usize, usize)>> = (0..self.rows.kernel)
            .map(|tap| {
                let mut places = self.rows.places(tap);
                places.retain(|(_, output)| rows.contains(output));
                places
            })
            .collect();
        let by_column: Vec<_> = (0..width).map(|tap| self.columns.places(tap)).collect();
        for resident in (0..in_blocks).step_by(RESIDENT) {
            for output in 0..out_blocks {
                for input in resident..(resident + RESIDENT).min(in_blocks) {
                    let of_blocks = (input * out_blocks + output) * taps;
                    let of_blocks = &mut sums[of_blocks..][..taps];
                    for (places, sums) in by_row.iter().zip(of_blocks.chunks_exact_mut(width)) {
                        let pairs = (0..blocks).flat_map(|block| {
                            places.iter().map(move |&(from, to)| {
                                (&x[of_x.row(input, block, from)], &g[of_g.row(output, block, to)])
                            })
                        });
                        if let (Some(before), Ok(sums)) = (neighbours, sums.try_into()) {
                            multiplier.add_neighbours(pairs, before, sums);
                            continue;
                        }
                        for (places, sums) in by_column.iter().zip(sums) {
                            let steps = pairs.clone().flat_map(|(x, g)| {
                                places.iter().map(move |&(from, to)| (&x[from], &g[to]))
                            });
                            multiplier.add(steps, sums);
                        }
                    }
                }
            }
        }
    }
}

/// Images in memory, channels last.
struct Images<'a> {
    values: &'a [u16],
    images: usize,
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
            let images = (self.images - block * SIDE).min(SIDE);
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
