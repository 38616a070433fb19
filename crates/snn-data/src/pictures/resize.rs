//! Resizing with an antialiasing filter, to the bit as Pillow does it.
//!
//! Weights are rounded to 22 bits, the picture is first resized in width, rounded to bytes, then in
//! height.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

use super::{Picture, Window};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_simd::{Kernel, run_with_avx2};

/// Bits of the weights: a byte and a sign are left for the sum.
const PRECISION: u32 = 32 - 8 - 2;
/// First value of a sum, with which truncation rounds.
const HALF: i32 = 1 << (PRECISION - 1);

/// How much of a neighbour an output pixel takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// `max(0, 1 − |x|)`.
    #[default]
    Bilinear,
    /// Cubic convolution with a = −½ (Keys 1981).
    Bicubic,
}

impl Filter {
    /// Where the filter ends, in output pixels if the picture shrinks.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            // Written as Pillow evaluates it, for the same bits.
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// The whole picture in another size.
///
/// # Errors
/// [`Error::InvalidConfig`] for a side of zero, or above 65,535.
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Result<Picture> {
    let all = Window { left: 0, top: 0, width: picture.width, height: picture.height };
    resize_window(picture, all, width, height, filter)
}

/// A window of the image in another size, as cropping and then resizing gives it.
///
/// # Errors
/// [`Error::InvalidConfig`] if the window does not lie inside the picture, or for a side of zero or
/// above 65,535.
pub fn resize_window(
    picture: &Picture,
    window: Window,
    width: usize,
    height: usize,
    filter: Filter,
) -> Result<Picture> {
    window.check(picture)?;
    for (field, side) in [("width", width), ("height", height)] {
        if !(1..=usize::from(u16::MAX)).contains(&side) {
            let expected = format!("1 to {} pixels", u16::MAX);
            return Err(Error::InvalidConfig { field, expected, found: side.to_string() });
        }
    }
    let columns = 3 * window.left..3 * (window.left + window.width);
    let rows = (window.top..window.top + window.height).map(|y| &picture.row(y)[columns.clone()]);
    let narrowed = if window.width == width {
        rows.flatten().copied().collect()
    } else {
        let taps = Taps::new(window.width, width, filter);
        let mut out = vec![0; 3 * width * window.height];
        let rows: Vec<&[u8]> = rows.collect();
        let mut cells = Vec::new();
        for (rows, to) in rows.chunks(ROWS).zip(out.chunks_mut(3 * width * ROWS)) {
            run_with_avx2(Along { taps: &taps, rows, cells: &mut cells, to });
        }
        out
    };
    let pixels = if window.height == height {
        narrowed
    } else {
        let taps = Taps::new(window.height, height, filter);
        let mut out = vec![0; 3 * width * height];
        run_with_avx2(Across { taps: &taps, from: &narrowed, row: 3 * width, to: &mut out });
        out
    };
    Picture::new(width, height, pixels)
}

/// The weights of every output pixel of one axis.
struct Taps {
    /// For each output pixel: the first input pixel it takes from, and how many.
    starts: Vec<(usize, usize)>,
    /// `stride` weights an output pixel, the unused ones 0.
    weights: Vec<i32>,
    stride: usize,
}

impl Taps {
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let stride = index(support.ceil()) * 2 + 1;
        let (mut starts, mut weights) = (Vec::with_capacity(to), vec![0; stride * to]);
        for (out, weights) in weights.chunks_exact_mut(stride).enumerate() {
            let centre = (out as f64 + 0.5) * scale;
            let first = index((centre - support + 0.5).max(0.0));
            let end = index(centre + support + 0.5).min(from);
            // Pillow multiplies by the inverse, which is not always the same number as the
            // quotient.
            let weight = |at: usize| filter.weight((at as f64 - centre + 0.5) * (1.0 / stretch));
            let raw: Vec<f64> = (first..end).map(weight).collect();
            let total: f64 = raw.iter().sum();
            for (weight, raw) in weights.iter_mut().zip(raw) {
                *weight = fixed(if total == 0.0 { raw } else { raw / total });
            }
            starts.push((first, end - first));
        }
        Self { starts, weights, stride }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.stride);
        self.starts.iter().zip(weights).map(|(&(first, count), weights)| (first, &weights[..count]))
    }
}

/// Rows that are resized together.
const ROWS: usize = 8;

/// Resizes up to [`ROWS`] rows: pixels of one column lie side by side, so that a weight multiplies
/// a vector.
struct Along<'r> {
    taps: &'r Taps,
    rows: &'r [&'r [u8]],
    cells: &'r mut Vec<[u8; 3 * ROWS]>,
    to: &'r mut [u8],
}

impl Kernel for Along<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { taps, rows, cells, to } = self;
        cells.resize(rows.first().map_or(0, |row| row.len() / 3), [0; 3 * ROWS]);
        for (place, row) in (0..).step_by(3).zip(rows) {
            for (cell, pixel) in cells.iter_mut().zip(row.as_chunks::<3>().0) {
                cell[place..place + 3].copy_from_slice(pixel);
            }
        }
        let width = to.len() / rows.len().max(1);
        for (out, (first, weights)) in (0..).step_by(3).zip(taps.iter()) {
            let mut sums = [HALF; 3 * ROWS];
            for (&weight, cell) in weights.iter().zip(&cells[first..]) {
                for (sum, &value) in sums.iter_mut().zip(cell) {
                    *sum += i32::from(value) * weight;
                }
            }
            let sums = sums.map(byte);
            for (row, pixel) in to.chunks_exact_mut(width).zip(sums.as_chunks::<3>().0) {
                row[out..out + 3].copy_from_slice(pixel);
            }
        }
    }
}

/// Bytes whose sums are kept in registers.
const STRIPE: usize = 32;

/// Resizes all columns.
struct Across<'r> {
    taps: &'r Taps,
    from: &'r [u8],
    /// Bytes of a row.
    row: usize,
    to: &'r mut [u8],
}

impl Kernel for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { taps, from, row, to } = self;
        for ((first, weights), to) in taps.iter().zip(to.chunks_exact_mut(row)) {
            let rows = &from[first * row..];
            let (stripes, rest) = to.as_chunks_mut::<STRIPE>();
            let done = STRIPE * stripes.len();
            for (start, to) in (0..).step_by(STRIPE).zip(stripes) {
                let mut sums = [HALF; STRIPE];
                for (&weight, row) in weights.iter().zip(rows.chunks_exact(row)) {
                    let Some(values) = row[start..].first_chunk::<STRIPE>() else { break };
                    for (sum, &value) in sums.iter_mut().zip(values) {
                        *sum += i32::from(value) * weight;
                    }
                }
                *to = sums.map(byte);
            }
            for (column, to) in (done..).zip(rest) {
                let values = rows.chunks_exact(row).map(|row| i32::from(row[column]));
                *to = byte(
                    weights
                        .iter()
                        .zip(values)
                        .fold(HALF, |sum, (&weight, value)| sum + value * weight),
                );
            }
        }
    }
}

/// The sum of a pixel as a byte.
#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// A weight with 22 bits behind the point, rounded away from zero.
#[expect(clippy::cast_possible_truncation, reason = "weights are at most 2")]
fn fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << PRECISION)).round() as i32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and below the sides of a picture"
)]
fn index(value: f64) -> usize {
    value as usize
}
