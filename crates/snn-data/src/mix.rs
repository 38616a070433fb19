//! Mixup and cutmix: each image of a batch is combined with another one of it, and so are their
//! labels.

use crate::loader::Batch;
use crate::{Error, Result, SampleRng};
use ndarray::{Array4, Axis, Zip, s};
use serde::{Deserialize, Serialize};

/// Largest α: draws by Jöhnk's method become slow beyond it, and no recipe goes there.
pub const MAX_ALPHA: f64 = 2.0;
/// Blending weights are multiples of one over this, so that mixed pixels are the same integers on
/// every machine.
const UNIT: u32 = 1 << 16;

/// How batches are mixed; the default leaves them as they are. If both are on, each batch is mixed
/// by one or the other with equal chance.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// α of mixup (Zhang 2018): `x = λ·x₁ + (1 − λ)·x₂` with λ from Beta(α, α), rounded to whole
    /// pixel values; 0 for none.
    pub mixup: f64,
    /// α of cutmix (Yun 2019): a box of the second image, of the same shape as the image and a
    /// share `1 − λ` of its area, replaces that of the first, λ from Beta(α, α); 0 for none. What
    /// lies outside the image is cut off, and λ corrected.
    pub cutmix: f64,
}

/// What a batch is after mixing, beside its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// λ: the share of each image's own label in its target, 0 to 1.
    pub share: f64,
    /// The other label of each image, whose share is 1 − λ.
    pub others: Vec<i64>,
}

impl Mixture {
    /// The label of each image that has the larger share.
    pub fn dominant<'a>(&'a self, labels: &'a [i64]) -> &'a [i64] {
        if self.share >= 0.5 { labels } else { &self.others }
    }
}

impl Mix {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if an α is not 0 to [`MAX_ALPHA`].
    pub fn validate(&self) -> Result<()> {
        for (field, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if !(0.0..=MAX_ALPHA).contains(&alpha) {
                let expected = format!("0 to {MAX_ALPHA}");
                return Err(Error::InvalidConfig { field, expected, found: alpha.to_string() });
            }
        }
        Ok(())
    }

    /// Mixes a batch in place, each image with that at its place in a random permutation.
    ///
    /// Give [`SampleRng::for_batch`]: then the result is a function of (seed, epoch, batch).
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn apply(&self, batch: &mut Batch, rng: &mut SampleRng) -> Result<Mixture> {
        self.validate()?;
        let (mixup, cutmix) = (self.mixup > 0.0, self.cutmix > 0.0);
        if !mixup && !cutmix {
            return Ok(Mixture { share: 1.0, others: batch.labels.clone() });
        }
        let by_mixup = if mixup && cutmix { rng.below(2) == 0 } else { mixup };
        let mut partners: Vec<usize> = (0..batch.labels.len()).collect();
        rng.shuffle(&mut partners);
        let others =
            partners.iter().filter_map(|&partner| batch.labels.get(partner).copied()).collect();
        let second = batch.images.select(Axis(0), &partners);
        let share = if by_mixup {
            mixup_images(&mut batch.images, &second, symmetric_beta(self.mixup, rng))
        } else {
            cutmix_images(&mut batch.images, &second, symmetric_beta(self.cutmix, rng), rng)
        };
        Ok(Mixture { share, others })
    }
}

/// Returns λ as it was used, a multiple of 2⁻¹⁶.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "λ is 0 to 1")]
fn mixup_images(first: &mut Array4<u8>, second: &Array4<u8>, share: f64) -> f64 {
    let weight = (share * f64::from(UNIT)).round() as u32;
    Zip::from(first).and(second).for_each(|a, &b| {
        let sum = u32::from(*a) * weight + u32::from(b) * (UNIT - weight) + UNIT / 2;
        *a = u8::try_from(sum / UNIT).unwrap_or(u8::MAX);
    });
    f64::from(weight) / f64::from(UNIT)
}

/// Returns the share of the first images' area.
fn cutmix_images(
    first: &mut Array4<u8>,
    second: &Array4<u8>,
    share: f64,
    rng: &mut SampleRng,
) -> f64 {
    let (_, _, height, width) = first.dim();
    let side = (1.0 - share).max(0.0).sqrt();
    let (rows, columns) = (span(height, side, rng), span(width, side, rng));
    let area = rows.len() * columns.len();
    let window = s![.., .., rows, columns];
    first.slice_mut(window).assign(&second.slice(window));
    1.0 - area as f64 / (height * width) as f64
}

/// A span of `share` of a length around a uniform centre, cut off at the ends.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is at most the length"
)]
fn span(length: usize, share: f64, rng: &mut SampleRng) -> std::ops::Range<usize> {
    let size = (share * length as f64) as usize;
    let centre = rng.below(u32::try_from(length).unwrap_or(u32::MAX)) as usize;
    let end = (centre + size).saturating_sub(size / 2).min(length);
    centre.saturating_sub(size / 2).min(end)..end
}

/// A draw from Beta(α, α) by Jöhnk's method (1964), in logarithms: small α would underflow.
fn symmetric_beta(alpha: f64, rng: &mut SampleRng) -> f64 {
    loop {
        // In (0, 1]: the logarithm of 0 is no number.
        let mut log_power = || (1.0 - rng.uniform(0.0, 1.0)).ln() / alpha;
        let (x, y) = (log_power(), log_power());
        let largest = x.max(y);
        let log_sum = largest + ((x - largest).exp() + (y - largest).exp()).ln();
        if log_sum <= 0.0 {
            return (x - log_sum).exp();
        }
    }
}
