//! Random erasing.

use crate::{Error, Result, SampleRng};
use ndarray::{ArrayViewMut4, s};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Rectangles are drawn this often before the image is left as it is (torchvision).
const ATTEMPTS: usize = 10;

/// A random rectangle that is blanked (Zhong et al. 2020), as torchvision's `RandomErasing` chooses
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomErasing {
    /// Chance that a sample is changed.
    pub chance: f64,
    /// Least and greatest share of the area.
    pub scale: [f64; 2],
    /// Least and greatest height / width.
    pub ratio: [f64; 2],
}

impl Default for RandomErasing {
    /// torchvision's: a chance of one half, 0.02 to 0.33 of the area, ratios of 0.3 to 3.3.
    fn default() -> Self {
        Self { chance: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3] }
    }
}

impl RandomErasing {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub(super) fn validate(&self) -> Result<()> {
        let wrong = |field, expected: &str, found: String| {
            Err(Error::InvalidConfig { field, expected: expected.to_owned(), found })
        };
        if !(0.0..=1.0).contains(&self.chance) {
            return wrong("chance", "0 to 1", self.chance.to_string());
        }
        for (field, [low, high], most) in [("scale", self.scale, 1.0), ("ratio", self.ratio, 1e6)] {
            if !(low > 0.0 && low <= high && high <= most) {
                return wrong(field, "0 < least ≤ greatest", format!("[{low}, {high}]"));
            }
        }
        Ok(())
    }

    /// Blanks a rectangle of `[T, C, H, W]` with `fill`, the same in all frames.
    pub(super) fn apply(&self, frames: ArrayViewMut4<'_, u8>, fill: &[u8], rng: &mut SampleRng) {
        let (_, _, height, width) = frames.dim();
        if rng.uniform(0.0, 1.0) >= self.chance {
            return;
        }
        let draw = |rng: &mut SampleRng, bound: usize| {
            rng.below(u32::try_from(bound).unwrap_or(u32::MAX)) as usize
        };
        for _ in 0..ATTEMPTS {
            let area = (height * width) as f64 * rng.uniform(self.scale[0], self.scale[1]);
            let ratio = rng.uniform(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let [h, w] = [(area * ratio).sqrt(), (area / ratio).sqrt()].map(rounded);
            if h < height && w < width {
                let top = draw(rng, height - h + 1);
                let left = draw(rng, width - w + 1);
                blank(frames, [top..top + h, left..left + w], fill);
                return;
            }
        }
    }
}

/// Fills rows and columns of all frames.
fn blank(mut frames: ArrayViewMut4<'_, u8>, [rows, columns]: [Range<usize>; 2], fill: &[u8]) {
    for mut image in frames.outer_iter_mut() {
        for (mut plane, &fill) in image.outer_iter_mut().zip(fill) {
            plane.slice_mut(s![rows.clone(), columns.clone()]).fill(fill);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; beyond any image is not taken"
)]
fn rounded(value: f64) -> usize {
    value.round_ties_even() as usize
}
