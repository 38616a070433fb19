//! Levels of a displaced picture: the loop over all pixels and all times.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

use super::sensor::SIDE;
use snn_simd::{Kernel, run_with_avx2};

/// Levels of a picture, with the levels of its edge around it as far as it moves.
#[derive(Debug)]
pub(super) struct Map {
    levels: Vec<f32>,
    /// Levels of a row.
    row: usize,
    margin: usize,
}

impl Map {
    /// `levels` are `SIDE` rows of `SIDE`; `reach` is how far the picture moves in pixels.
    pub(super) fn new(levels: &[f32], reach: usize) -> Self {
        let margin = reach + 1;
        let row = SIDE + 2 * margin;
        let place = |at: usize| at.saturating_sub(margin).min(SIDE - 1);
        let levels = (0..row)
            .flat_map(|y| (0..row).map(move |x| levels[place(y) * SIDE + place(x)]))
            .collect();
        Self { levels, row, margin }
    }

    /// The levels of all pixels where the picture is displaced by `shift` 256ths of a pixel to the
    /// right and down: pixel (x, y) sees the picture at (x, y) − shift.
    pub(super) fn shifted(&self, shift: [i32; 2], frame: &mut [f32]) {
        let [x, y] = shift.map(|shift| (-shift).div_euclid(256));
        let [right, below] = shift.map(|shift| share((-shift).rem_euclid(256)));
        let start = |whole: i32| {
            let margin = i32::try_from(self.margin).unwrap_or(i32::MAX);
            usize::try_from(margin + whole).unwrap_or(0)
        };
        run_with_avx2(Shift { map: self, left: start(x), top: start(y), right, below, frame });
    }
}

/// 256ths, which are exact.
#[expect(clippy::cast_precision_loss, reason = "0 to 255")]
fn share(part: i32) -> f32 {
    part as f32 / 256.0
}

struct Shift<'s> {
    map: &'s Map,
    left: usize,
    top: usize,
    /// Shares of the right and of the lower neighbours.
    right: f32,
    below: f32,
    frame: &'s mut [f32],
}

impl Kernel for Shift<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { map, left, top, right, below, frame } = self;
        for (y, out) in frame.chunks_exact_mut(SIDE).enumerate() {
            // Slices of a length that is known, so that nothing is asked of a place.
            let start = (top + y) * map.row + left;
            let row = |at: usize| map.levels[at..].first_chunk::<SIDE>();
            let four = (row(start), row(start + 1), row(start + map.row), row(start + map.row + 1));
            let ((Some(a), Some(b), Some(c), Some(d)), Some(out)) =
                (four, out.first_chunk_mut::<SIDE>())
            else {
                continue;
            };
            for x in 0..SIDE {
                let above = a[x] + right * (b[x] - a[x]);
                let under = c[x] + right * (d[x] - c[x]);
                out[x] = above + below * (under - above);
            }
        }
    }
}
