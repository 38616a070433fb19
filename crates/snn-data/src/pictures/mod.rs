//! Picture files: decoding, cropping, resizing, and sets of them as sources.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

mod decode;
mod exif;
mod geometry;
mod info;
mod jpeg_scans;
mod resize;
mod sets;

pub use crate::OnDamage;
pub use decode::{DecodeOptions, Exif, decode, decode_with};
pub use geometry::{CentreCrop, RandomResizedCrop, Window};
pub use info::{PictureInfo, picture_info};
pub use resize::{Filter, resize, resize_window};
pub use sets::{PictureSource, Pictures, View};

use crate::{Error, Result};
use ndarray::{Array3, ArrayViewMut3};
use snn_simd::{Kernel, run_with_avx2};

/// A colour picture in memory: rows from the top, pixels from the left, red, green and blue of each
/// pixel together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture from its pixels, `height · width · 3` bytes.
    ///
    /// # Errors
    /// [`Error::InvalidImages`] if the bytes are more or fewer, or a side is zero.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        let expected = width
            .checked_mul(height)
            .and_then(|pixels| pixels.checked_mul(3))
            .filter(|&bytes| bytes > 0);
        if expected != Some(pixels.len()) {
            let expected = format!("3 bytes for each of {width}x{height} pixels, at least one");
            return Err(Error::InvalidImages {
                expected,
                found: format!("{} bytes", pixels.len()),
            });
        }
        Ok(Self { width, height, pixels })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, `[H, W, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The bytes as planes, `[3, H, W]`, as networks take them.
    pub fn planes(&self) -> Array3<u8> {
        let mut planes = Array3::zeros((3, self.height, self.width));
        self.write_planes(&mut planes.view_mut());
        planes
    }

    /// Writes the planes into an array `[3, H, W]` of this picture's size; what does not fit is
    /// left out.
    pub fn write_planes(&self, planes: &mut ArrayViewMut3<'_, u8>) {
        let rows = self.pixels.chunks_exact(3 * self.width);
        let area = planes.dim().1 * planes.dim().2;
        match planes.as_slice_mut() {
            Some(all) if all.len() == 3 * area && area == self.width * self.height => {
                let (red, rest) = all.split_at_mut(area);
                let (green, blue) = rest.split_at_mut(area);
                run_with_avx2(Split {
                    pixels: self.pixels.as_chunks().0,
                    planes: [red, green, blue],
                });
            }
            _ => {
                for (y, pixels) in rows.enumerate().take(planes.dim().1) {
                    for (channel, mut plane) in planes.outer_iter_mut().enumerate().take(3) {
                        let values = pixels.as_chunks::<3>().0.iter().map(|pixel| pixel[channel]);
                        plane.row_mut(y).iter_mut().zip(values).for_each(|(to, value)| *to = value);
                    }
                }
            }
        }
    }

    /// The row `y`; empty past the end.
    fn row(&self, y: usize) -> &[u8] {
        let bytes = 3 * self.width;
        self.pixels.get(y * bytes..(y + 1) * bytes).unwrap_or_default()
    }

    /// The pixels inside a window.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the window does not lie inside the picture.
    pub fn crop(&self, window: Window) -> Result<Self> {
        window.check(self)?;
        let columns = 3 * window.left..3 * (window.left + window.width);
        let rows = window.top..window.top + window.height;
        let pixels = rows.flat_map(|y| &self.row(y)[columns.clone()]).copied().collect();
        Ok(Self { width: window.width, height: window.height, pixels })
    }
}

/// Takes the colours of pixels apart.
struct Split<'s> {
    pixels: &'s [[u8; 3]],
    planes: [&'s mut [u8]; 3],
}

impl Kernel for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [reds, greens, blues] = self.planes;
        for (((pixel, red), green), blue) in self.pixels.iter().zip(reds).zip(greens).zip(blues) {
            [*red, *green, *blue] = *pixel;
        }
    }
}
