//! Mixup, cutmix and `EventMix`: each sample of a batch is combined with another one of it, and so
//! are their labels.

use super::batch::{Batch, Mixture, Partners, Samples};
use super::event_mix::EventMix;
use super::rng::SampleRng;
use crate::{Error, Result, SampleShape};
use ndarray::{Zip, s};
use serde::{Deserialize, Serialize};

/// Largest α: draws by Jöhnk's method become slow beyond it, and no recipe goes there.
pub const MAX_ALPHA: f64 = 2.0;
/// Blending weights are multiples of one over this, so that mixed pixels are the same integers on
/// every machine.
const UNIT: u32 = 1 << 16;
/// Mixup and cutmix alike often.
const EVEN: f64 = 0.5;

/// How batches are mixed; the default leaves them as they are. If mixup and cutmix are on, each
/// batch is mixed by one or the other, [`switch`](Self::switch) being the chance of cutmix.
///
/// Frames are mixed in all time steps alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// α of mixup (Zhang 2018): `x = λ·x₁ + (1 − λ)·x₂` with λ from Beta(α, α), rounded to whole
    /// pixel values; 0 for none.
    pub mixup: f64,
    /// α of cutmix (Yun 2019): a box of the second image, of the same shape as the image and a
    /// share `1 − λ` of its area, replaces that of the first, λ from Beta(α, α); 0 for none. What
    /// lies outside the image is cut off, and λ corrected.
    pub cutmix: f64,
    /// Chance that a batch is mixed by mixup or cutmix at all (timm's `mixup_prob`).
    pub chance: f64,
    /// Chance of cutmix where both are on (timm's `mixup_switch_prob`).
    pub switch: f64,
    /// Chance that a batch of frames of recordings is mixed by [`EventMix`]; 0 for none. It does
    /// not go together with mixup and cutmix.
    pub event_mix: f64,
    /// Mixes in the first so many epochs only; in all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
}

impl Default for Mix {
    fn default() -> Self {
        Self::NONE
    }
}

impl Mix {
    /// No mixing: the default.
    pub const NONE: Self =
        Self { mixup: 0.0, cutmix: 0.0, chance: 1.0, switch: EVEN, event_mix: 0.0, epochs: None };

    /// `true` if it mixes batches at all.
    pub(super) fn is_on(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0 || self.event_mix > 0.0
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if an α is not 0 to [`MAX_ALPHA`], a chance is not 0 to 1, one of
    /// mixup or cutmix is set and neither is on, `switch` is set and not both are, both ways of
    /// mixing are on, or epochs are set and nothing is mixed.
    pub fn validate(&self) -> Result<()> {
        let both = self.event_mix > 0.0 && (self.mixup > 0.0 || self.cutmix > 0.0);
        for (field, value, most) in [
            ("mixup", self.mixup, MAX_ALPHA),
            ("cutmix", self.cutmix, MAX_ALPHA),
            ("event_mix", self.event_mix, 1.0),
            ("mix_probability", self.chance, 1.0),
            ("mix_switch", self.switch, 1.0),
        ] {
            if !(0.0..=most).contains(&value) {
                let expected = format!("0 to {most}");
                return Err(Error::InvalidConfig { field, expected, found: value.to_string() });
            }
        }
        let (mixup, cutmix) = (self.mixup > 0.0, self.cutmix > 0.0);
        for (field, value, usual, fits, expected) in [
            ("mix_probability", self.chance, 1.0, mixup || cutmix, "1 without mixup and cutmix"),
            ("mix_switch", self.switch, EVEN, mixup && cutmix, "0.5 but with mixup and cutmix"),
        ] {
            if value.to_bits() != usual.to_bits() && !fits {
                let (expected, found) = (expected.into(), value.to_string());
                return Err(Error::InvalidConfig { field, expected, found });
            }
        }
        if self.epochs.is_some() && !mixup && !cutmix && self.event_mix <= 0.0 {
            let expected = "0 where nothing is mixed".into();
            let found = self.epochs.unwrap_or_default().to_string();
            return Err(Error::InvalidConfig { field: "epochs", expected, found });
        }
        if both {
            let expected = "0 where mixup or cutmix is on".into();
            let found = self.event_mix.to_string();
            return Err(Error::InvalidConfig { field: "event_mix", expected, found });
        }
        Ok(())
    }

    /// Checks the settings for samples of a shape.
    pub(super) fn validate_for(&self, shape: SampleShape) -> Result<()> {
        self.validate()?;
        if self.event_mix > 0.0 { EventMix { chance: self.event_mix }.check(shape) } else { Ok(()) }
    }

    /// Mixes a batch in place, each sample with that at its place in a random permutation; the
    /// other labels are written to its targets.
    ///
    /// Give [`SampleRng::for_batch`]: then the result is a function of (seed, epoch, batch), and
    /// [`epochs`](Self::epochs) has an effect.
    ///
    /// # Errors
    /// As [`validate`](Self::validate); [`Error::InvalidImages`] if `EventMix` is on and the
    /// samples are not frames of two polarities.
    pub fn apply(&self, batch: &mut Batch, rng: &mut SampleRng) -> Result<()> {
        self.validate()?;
        let (mixup, cutmix) = (self.mixup > 0.0, self.cutmix > 0.0);
        if self.epochs.is_some_and(|epochs| rng.epoch() >= epochs) {
            return Ok(());
        }
        if self.event_mix > 0.0 {
            return EventMix { chance: self.event_mix }.apply(batch, rng);
        }
        if !mixup && !cutmix {
            return Ok(());
        }
        if self.chance < 1.0 && rng.uniform(0.0, 1.0) >= self.chance {
            return Ok(());
        }
        let by_mixup = match (mixup, cutmix) {
            // A draw of its own, so that runs from before there was a switch stay what they were.
            (true, true) if self.switch.to_bits() == EVEN.to_bits() => rng.below(2) == 0,
            (true, true) => rng.uniform(0.0, 1.0) >= self.switch,
            (mixup, _) => mixup,
        };
        let Partners { samples, others } = Partners::draw(batch, rng);
        let share = if by_mixup {
            let share = symmetric_beta(self.mixup, rng);
            mixup_samples(&mut batch.samples, &samples, share)
        } else {
            let share = symmetric_beta(self.cutmix, rng);
            cutmix_samples(&mut batch.samples, &samples, share, rng)
        };
        batch.targets.mixture = Some(Mixture { share, others });
        Ok(())
    }
}

/// Returns λ as it was used, a multiple of 2⁻¹⁶.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "λ is 0 to 1")]
fn mixup_samples(first: &mut Samples, second: &Samples, share: f64) -> f64 {
    let weight = (share * f64::from(UNIT)).round() as u32;
    Zip::from(&mut first.frames_mut()).and(&second.frames()).for_each(|a, &b| {
        let sum = u32::from(*a) * weight + u32::from(b) * (UNIT - weight) + UNIT / 2;
        *a = u8::try_from(sum / UNIT).unwrap_or(u8::MAX);
    });
    f64::from(weight) / f64::from(UNIT)
}

/// Returns the share of the first samples' area.
fn cutmix_samples(first: &mut Samples, second: &Samples, share: f64, rng: &mut SampleRng) -> f64 {
    let [_, height, width] = first.shape().image();
    let side = (1.0 - share).max(0.0).sqrt();
    let (rows, columns) = (span(height, side, rng), span(width, side, rng));
    let area = rows.len() * columns.len();
    let window = s![.., .., .., rows, columns];
    first.frames_mut().slice_mut(window).assign(&second.frames().slice(window));
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
