//! Sums of products along both axes: the convolution, and the gradient of its input.

use super::axis::Axis;
use super::blocks::blocks_of;
use super::scratch::with_scratch;
use crate::autograd::parallel;
use crate::fused::Parts;
use snn_simd::tiles::{Multiplier, Pair, Rows, SIDE, Sums, Tiles};

/// `y[n, o, k] = Σ x[n, i, c]·w[t, c, k]` over the taps t of the positions o, the inputs i that
/// stand there, and all channels c; images n, positions and channels stand in memory in this order.
#[derive(Debug)]
pub(super) struct Product<'a> {
    pub(super) x: &'a [u16],
    /// Right factors: for each 32 outputs, each tap, each 32 inputs.
    pub(super) weights: &'a [Pair],
    pub(super) rows: &'a Axis,
    pub(super) columns: &'a Axis,
    pub(super) images: usize,
    /// Channels of x.
    pub(super) inputs: usize,
    /// Channels of y.
    pub(super) outputs: usize,
    /// Bytes of left factors that stay in the cache.
    pub(super) cache: usize,
}

/// How a walk goes over the rows of an image.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// Rows of outputs that are computed at a time.
    group: usize,
    /// Rows of inputs whose factors are kept.
    ring: usize,
}

impl Product<'_> {
    /// Writes y. A left factor has 32 images at one position, so that no position of a small image
    /// is padding.
    pub(super) fn run(&self, tiles: Tiles, y: &Parts<'_, u16>) {
        let walk = self.walk();
        let size = self.rows.outputs.len() * self.columns.outputs.len() * self.outputs;
        let factors = walk.ring * self.columns.inputs * blocks_of(self.inputs);
        parallel(blocks_of(self.images), 1, |blocks| {
            tiles.run(|multiplier| {
                with_scratch(factors, |ring| {
                    for block in blocks {
                        let first = block * SIDE;
                        let last = (first + SIDE).min(self.images);
                        #[expect(unsafe_code, reason = "threads write parts of one tensor")]
                        // SAFETY: each image is written by one thread.
                        let y = unsafe { y.part(first * size..last * size) };
                        self.block(multiplier, walk, ring, [first, last - first], y);
                    }
                });
            });
        });
    }

    /// As many rows at a time as the cache has room for the factors of: all weights of 32 outputs
    /// are read once for them.
    fn walk(&self) -> Walk {
        let row = self.columns.inputs * blocks_of(self.inputs) * size_of::<Pair>();
        let fits = |group: &usize| self.rows.widest(*group) * row <= self.cache;
        let group = (2..=self.rows.outputs.len()).take_while(fits).last().unwrap_or(1);
        Walk { group, ring: self.rows.widest(group).max(1) }
    }

    fn block(
        &self,
        multiplier: &mut Multiplier,
        walk: Walk,
        ring: &mut [Pair],
        [image, images]: [usize; 2],
        y: &mut [u16],
    ) {
        let (in_blocks, out_blocks) = (blocks_of(self.inputs), blocks_of(self.outputs));
        let (width, out_width) = (self.columns.inputs, self.columns.outputs.len());
        let row_size = width * in_blocks;
        let of_image = [self.rows.inputs * width * self.inputs, y.len() / images];
        let x = &self.x[image * of_image[0]..];
        let taps = self.rows.kernel * self.columns.kernel;
        let mut sums = Sums::ZERO;
        let mut loaded = 0;
        for first in (0..self.rows.outputs.len()).step_by(walk.group) {
            let last = (first + walk.group).min(self.rows.outputs.len());
            let needed = self.rows.window(first, last);
            for row in loaded.max(needed.start)..needed.end {
                for (at, to) in
                    ring[row % walk.ring * row_size..][..row_size].iter_mut().enumerate()
                {
                    let (column, block) = (at / in_blocks, at % in_blocks);
                    let channels = (self.inputs - block * SIDE).min(SIDE);
                    let from = (row * width + column) * self.inputs + block * SIDE;
                    let rows = Rows::new(&x[from..], of_image[0], [images, channels]);
                    multiplier.left(rows, to);
                }
            }
            loaded = loaded.max(needed.end);
            for block in 0..out_blocks {
                let weights = &self.weights[block * taps * in_blocks..][..taps * in_blocks];
                let channels = (self.outputs - block * SIDE).min(SIDE);
                for (row, of_row) in (first..last).zip(&self.rows.outputs[first..last]) {
                    for (column, of_column) in self.columns.outputs.iter().enumerate() {
                        let steps = of_row.iter().flat_map(|y| {
                            let ring = &ring[y.input % walk.ring * row_size..][..row_size];
                            of_column.iter().flat_map(move |x| {
                                let tap = y.tap * self.columns.kernel + x.tap;
                                let left = &ring[x.input * in_blocks..][..in_blocks];
                                left.iter().zip(&weights[tap * in_blocks..][..in_blocks])
                            })
                        });
                        multiplier.sum(steps, &mut sums);
                        let to = (row * out_width + column) * self.outputs + block * SIDE;
                        multiplier.round(&sums, &mut y[to..], of_image[1], [images, channels]);
                    }
                }
            }
        }
    }
}
