//! One operation of a policy.

use super::{affine, tone};
use crate::{Error, Result, SampleRng};
use ndarray::ArrayViewMut3;

/// Operations on an image; strengths as in torchvision's `_apply_op`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Nothing.
    Identity,
    /// Row y moves by `strength · y` pixels to the left.
    ShearX(f64),
    /// Column x moves by `strength · x` pixels upwards.
    ShearY(f64),
    /// Everything moves right by so many pixels (cut to a whole number).
    TranslateX(f64),
    /// Everything moves down by so many pixels (cut to a whole number).
    TranslateY(f64),
    /// Turns by so many degrees against the clock.
    Rotate(f64),
    /// Blends with black: 0 is the image.
    Brightness(f64),
    /// Blends with the grey image: 0 is the image.
    Color(f64),
    /// Blends with the mean grey: 0 is the image.
    Contrast(f64),
    /// Blends with the smoothed image: 0 is the image.
    Sharpness(f64),
    /// Keeps so many of the highest bits.
    Posterize(u32),
    /// Inverts the bytes from this one on.
    Solarize(f64),
    /// Stretches each channel to 0 … 255.
    AutoContrast,
    /// Makes each channel's values equally frequent.
    Equalize,
    /// `255 − byte`.
    Invert,
}

/// The names of operations, in torchvision's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}

/// Operations that `RandAugment` and `TrivialAugment` draw from.
const RANDOM: [Kind; 14] = [
    Kind::Identity,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
    Kind::Rotate,
    Kind::Brightness,
    Kind::Color,
    Kind::Contrast,
    Kind::Sharpness,
    Kind::Posterize,
    Kind::Solarize,
    Kind::AutoContrast,
    Kind::Equalize,
];

/// How strong each operation is at the last of `bins` magnitudes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    bins: usize,
    shear: f32,
    translate: [f32; 2],
    rotate: f32,
    blend: f32,
    /// Bits that are lost at most.
    posterize: f64,
}

impl Range {
    /// The ranges of `AutoAugment` and `RandAugment`.
    pub(super) fn new(bins: usize, [height, width]: [usize; 2]) -> Self {
        let translate = [width, height].map(|side| single(150.0 / 331.0 * side as f64));
        Self { bins, shear: 0.3, translate, rotate: 30.0, blend: 0.9, posterize: 4.0 }
    }

    /// The wide ranges of `TrivialAugment`.
    pub(super) fn wide(bins: usize) -> Self {
        Self {
            bins,
            shear: 0.99,
            translate: [32.0, 32.0],
            rotate: 135.0,
            blend: 0.99,
            posterize: 6.0,
        }
    }

    pub(super) fn random(&self, magnitude: usize, rng: &mut SampleRng) -> Operation {
        let kind = RANDOM[rng.below(14) as usize];
        self.operation(kind, magnitude, rng.below(2) == 1)
    }

    /// An operation at a magnitude; `negative` counts for those that have two directions.
    pub(super) fn operation(&self, kind: Kind, magnitude: usize, negative: bool) -> Operation {
        let signed = |most: f32| {
            let strength = f64::from(self.linear(0.0, most, magnitude));
            if negative { -strength } else { strength }
        };
        match kind {
            Kind::Identity => Operation::Identity,
            Kind::ShearX => Operation::ShearX(signed(self.shear)),
            Kind::ShearY => Operation::ShearY(signed(self.shear)),
            Kind::TranslateX => Operation::TranslateX(signed(self.translate[0])),
            Kind::TranslateY => Operation::TranslateY(signed(self.translate[1])),
            Kind::Rotate => Operation::Rotate(signed(self.rotate)),
            Kind::Brightness => Operation::Brightness(signed(self.blend)),
            Kind::Color => Operation::Color(signed(self.blend)),
            Kind::Contrast => Operation::Contrast(signed(self.blend)),
            Kind::Sharpness => Operation::Sharpness(signed(self.blend)),
            Kind::Posterize => {
                let lost = (magnitude as f64 / ((self.bins - 1) as f64 / self.posterize))
                    .round_ties_even();
                Operation::Posterize(8 - whole(lost))
            }
            Kind::Solarize => Operation::Solarize(f64::from(self.linear(255.0, 0.0, magnitude))),
            Kind::AutoContrast => Operation::AutoContrast,
            Kind::Equalize => Operation::Equalize,
            Kind::Invert => Operation::Invert,
        }
    }

    /// `torch.linspace(start, end, bins)[at]`, in f32 and from both ends as torch computes it.
    fn linear(&self, start: f32, end: f32, at: usize) -> f32 {
        let last = self.bins - 1;
        let step = (end - start) / last as f32;
        if at < self.bins / 2 { start + step * at as f32 } else { end - step * (last - at) as f32 }
    }
}

impl Operation {
    /// Changes an image `[1 or 3, H, W]` in place; `fill` moves in from outside.
    ///
    /// # Errors
    /// [`Error::InvalidImages`] for another number of channels, or memory that is not in order;
    /// [`Error::InvalidConfig`] if `fill` has not one value a channel.
    pub fn apply(self, image: &mut ArrayViewMut3<'_, u8>, fill: &[u8]) -> Result<()> {
        let (channels, height, width) = image.dim();
        let invalid = |expected: &str, found: String| Error::InvalidImages {
            expected: expected.into(),
            found,
        };
        if channels != 1 && channels != 3 {
            return Err(invalid("1 or 3 channels", channels.to_string()));
        }
        if fill.len() != channels {
            let expected = format!("{channels} values, one a channel");
            return Err(Error::InvalidConfig {
                field: "fill",
                expected,
                found: format!("{} values", fill.len()),
            });
        }
        let size = [height, width];
        let pixels = image
            .as_slice_mut()
            .ok_or_else(|| invalid("rows one after the other", "others".into()))?;
        if pixels.is_empty() {
            return Ok(());
        }
        match self {
            Self::Identity => {}
            Self::ShearX(strength) => affine::shear([strength, 0.0], pixels, size, fill),
            Self::ShearY(strength) => affine::shear([0.0, strength], pixels, size, fill),
            Self::TranslateX(strength) => {
                affine::translate([strength.trunc(), 0.0], pixels, size, fill);
            }
            Self::TranslateY(strength) => {
                affine::translate([0.0, strength.trunc()], pixels, size, fill);
            }
            Self::Rotate(degrees) => affine::rotate(degrees, pixels, size, fill),
            Self::Brightness(strength) => tone::brightness(pixels, single(1.0 + strength)),
            Self::Color(strength) => tone::colour(pixels, height * width, single(1.0 + strength)),
            Self::Contrast(strength) => {
                tone::contrast(pixels, height * width, single(1.0 + strength));
            }
            Self::Sharpness(strength) => tone::sharpness(pixels, size, single(1.0 + strength)),
            Self::Posterize(bits) => tone::posterize(pixels, bits),
            Self::Solarize(threshold) => tone::solarize(pixels, threshold),
            Self::AutoContrast => tone::auto_contrast(pixels, height * width),
            Self::Equalize => tone::equalize(pixels, height * width),
            Self::Invert => pixels.iter_mut().for_each(|byte| *byte = 255 - *byte),
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "torch and Pillow compute these in f32")]
fn single(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 6")]
fn whole(bits: f64) -> u32 {
    bits as u32
}
