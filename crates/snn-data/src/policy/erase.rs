//! Random erasing.

use crate::{Error, Result, SampleRng, Transform};
use ndarray::{ArrayViewMut3, s};
use serde::{Deserialize, Serialize};

/// Rectangles are drawn this often before the image is left as it is (torchvision).
const ATTEMPTS: usize = 10;

/// Blanks a random rectangle (Zhong et al. 2020), as torchvision's `RandomErasing` chooses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomErasing {
    /// Chance that an image is changed.
    pub chance: f64,
    /// Least and greatest share of the area; torchvision's defaults are 0.02 and 0.33.
    pub scale: [f64; 2],
    /// Least and greatest height / width; torchvision's defaults are 0.3 and 3.3.
    pub ratio: [f64; 2],
    /// What remains, one value a channel.
    pub fill: Vec<u8>,
}

impl RandomErasing {
    /// The usual settings, with a chance of one half.
    pub fn standard(fill: &[u8]) -> Self {
        Self { chance: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], fill: fill.to_vec() }
    }

    /// Checks the numbers for images of `channels` channels.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(&self, channels: usize) -> Result<()> {
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
        if self.fill.len() != channels {
            return wrong(
                "fill",
                &format!("{channels} values, one a channel"),
                format!("{} values", self.fill.len()),
            );
        }
        Ok(())
    }
}

impl Transform for RandomErasing {
    fn apply(
        &self,
        mut image: ArrayViewMut3<'_, u8>,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (channels, height, width) = image.dim();
        self.validate(channels)?;
        if rng.uniform(0.0, 1.0) >= self.chance {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let area = (height * width) as f64 * rng.uniform(self.scale[0], self.scale[1]);
            let ratio = rng.uniform(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let [h, w] = [(area * ratio).sqrt(), (area / ratio).sqrt()].map(rounded);
            if h < height && w < width {
                let top = rng.below(u32::try_from(height - h + 1)?) as usize;
                let left = rng.below(u32::try_from(width - w + 1)?) as usize;
                for (mut plane, &fill) in image.outer_iter_mut().zip(&self.fill) {
                    plane.slice_mut(s![top..top + h, left..left + w]).fill(fill);
                }
                break;
            }
        }
        Ok(())
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
