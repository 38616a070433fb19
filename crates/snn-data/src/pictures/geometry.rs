//! Where pictures are cut.

use super::{Filter, Picture, resize, resize_window};
use crate::{Error, Result, SampleRng};
use serde::{Deserialize, Serialize};

/// Windows are drawn this often before the middle is taken (torchvision).
const ATTEMPTS: usize = 10;

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Window {
    pub(super) fn check(self, picture: &Picture) -> Result<()> {
        let inside = |start: usize, length: usize, side: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= side)
        };
        if inside(self.left, self.width, picture.width)
            && inside(self.top, self.height, picture.height)
        {
            return Ok(());
        }
        let expected = format!("a part of {}x{} pixels", picture.width, picture.height);
        Err(Error::InvalidConfig { field: "window", expected, found: format!("{self:?}") })
    }
}

/// A random part of a picture, resized: the usual augmentation of ImageNet (Szegedy et al. 2015),
/// torchvision's `RandomResizedCrop`.
///
/// Area is uniform in `scale` of the picture's, the logarithm of width / height in that of `ratio`;
/// ten draws that do not fit give the largest part in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomResizedCrop {
    /// Side of the result in pixels.
    pub size: usize,
    /// Least and greatest share of the area.
    pub scale: [f64; 2],
    /// Least and greatest width / height.
    pub ratio: [f64; 2],
    /// The filter.
    pub filter: Filter,
}

impl Default for RandomResizedCrop {
    /// 224 pixels, area 0.08 to 1, ratio ¾ to 4/3, bilinear: torchvision's.
    fn default() -> Self {
        Self {
            size: 224,
            scale: [0.08, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            filter: Filter::Bilinear,
        }
    }
}

impl RandomResizedCrop {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let rising = |[low, high]: [f64; 2], most: f64| low > 0.0 && low <= high && high <= most;
        if !rising(self.scale, 1.0) {
            let expected = "0 < least ≤ greatest ≤ 1".into();
            return Err(Error::InvalidConfig {
                field: "scale",
                expected,
                found: format!("{:?}", self.scale),
            });
        }
        if !rising(self.ratio, 1e6) {
            let expected = "0 < least ≤ greatest ≤ 1e6".into();
            return Err(Error::InvalidConfig {
                field: "ratio",
                expected,
                found: format!("{:?}", self.ratio),
            });
        }
        Ok(())
    }

    /// Draws a window.
    pub fn window(&self, picture: &Picture, rng: &mut SampleRng) -> Window {
        let (width, height) = (picture.width, picture.height);
        let area = width as f64 * height as f64;
        for _ in 0..ATTEMPTS {
            let target = area * rng.uniform(self.scale[0], self.scale[1]);
            let ratio = rng.uniform(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let (w, h) = (rounded((target * ratio).sqrt()), rounded((target / ratio).sqrt()));
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                return Window {
                    top: below(rng, height - h + 1),
                    left: below(rng, width - w + 1),
                    width: w,
                    height: h,
                };
            }
        }
        let natural = width as f64 / height as f64;
        let (w, h) = if natural < self.ratio[0] {
            (width, rounded(width as f64 / self.ratio[0]))
        } else if natural > self.ratio[1] {
            (rounded(height as f64 * self.ratio[1]), height)
        } else {
            (width, height)
        };
        let (w, h) = (w.clamp(1, width), h.clamp(1, height));
        Window { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }

    /// Draws a window and resizes it.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if a number is out of range.
    pub fn apply(&self, picture: &Picture, rng: &mut SampleRng) -> Result<Picture> {
        self.validate()?;
        resize_window(picture, self.window(picture, rng), self.size, self.size, self.filter)
    }
}

/// The middle of a picture whose shorter side was resized: the usual evaluation of ImageNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CentreCrop {
    /// The shorter side after resizing, in pixels; the longer one is rounded down.
    pub resize: usize,
    /// Side of the result in pixels, at most `resize`.
    pub size: usize,
    /// The filter.
    pub filter: Filter,
}

impl Default for CentreCrop {
    /// 256, then 224 pixels, bilinear: torchvision's.
    fn default() -> Self {
        Self { resize: 256, size: 224, filter: Filter::Bilinear }
    }
}

impl CentreCrop {
    /// Resizes and cuts.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if `size` is above `resize` or a side is out of range.
    pub fn apply(&self, picture: &Picture) -> Result<Picture> {
        if self.size > self.resize {
            let expected = format!("at most `resize`, {}", self.resize);
            return Err(Error::InvalidConfig {
                field: "size",
                expected,
                found: self.size.to_string(),
            });
        }
        let (width, height) = (picture.width, picture.height);
        let longer = |long: usize, short: usize| self.resize.saturating_mul(long) / short;
        let (width, height) = if width <= height {
            (self.resize, longer(height, width))
        } else {
            (longer(width, height), self.resize)
        };
        let resized = resize(picture, width, height, self.filter)?;
        // Halves go to the even neighbour, as Python rounds.
        let start = |side: usize| {
            let rest = side - self.size;
            if rest % 4 == 3 { rest / 2 + 1 } else { rest / 2 }
        };
        resized.crop(Window {
            left: start(width),
            top: start(height),
            width: self.size,
            height: self.size,
        })
    }
}

fn below(rng: &mut SampleRng, bound: usize) -> usize {
    rng.below(u32::try_from(bound).unwrap_or(u32::MAX)) as usize
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; beyond any picture is refused"
)]
fn rounded(value: f64) -> usize {
    value.round_ties_even() as usize
}
