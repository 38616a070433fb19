//! Augmentation of samples: crop, flip, colours and geometry, cutout, random erasing.

pub mod auto_augment;
mod crop;
mod erase;

pub use auto_augment::AugmentPolicy;
pub use crop::{crop, crop_reflected, cut_out, flip_horizontal};
pub use erase::RandomErasing;

use crate::{Error, Result, SampleMut, SampleRng, SampleShape};
use serde::{Deserialize, Serialize};
use std::error::Error as StdError;
use std::fmt;

/// Largest crop padding or cutout that is taken for meant, in pixels.
const MAX_PIXELS: usize = 1 << 16;

/// Something that changes a training sample at random.
///
/// [`Augment`] is the one of this crate; implement the trait for your own and give it to
/// [`Loader::with_transform`](crate::Loader::with_transform).
pub trait Transform: fmt::Debug + Send + Sync {
    /// Changes one sample in place; all frames of a sample alike, unless it says otherwise.
    ///
    /// All randomness must come from `rng`, whose numbers are a function of (seed, epoch, sample
    /// index): then batches do not depend on the number of loader threads.
    ///
    /// # Errors
    /// Whatever the transform wants to report; the loader passes it on as [`Error::Transform`].
    fn apply(
        &self,
        sample: &mut SampleMut<'_>,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// `true` if images are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// Never.
    #[default]
    None,
    /// Left becomes right in half of the cases.
    Horizontal,
    /// Left becomes right in every other epoch, for half of the samples in the even ones and for
    /// the other half in the odd ones (Jordan 2024, *94% on CIFAR-10 in 3.29 seconds on a single
    /// GPU*).
    Alternating,
}

/// Pixels outside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Border {
    /// The pixel [`Augment::fill`].
    #[default]
    Fill,
    /// The mirror image, without repeating the border.
    Reflect,
}

/// Random changes of a sample, in this order: crop, flip, policy, cutout, erasing; the default
/// changes nothing. All frames of a sample change alike.
///
/// ```
/// use snn_data::{Augment, Flip, SampleShape};
/// let fill = vec![125, 123, 114];
/// let augment =
///     Augment { crop_padding: 4, flip: Flip::Horizontal, cutout: 8, fill, ..Augment::default() };
/// augment.validate(SampleShape::Static([3, 32, 32]))?;
/// let grey = SampleShape::Static([1, 28, 28]);
/// assert!(augment.validate(grey).is_err(), "three fill values do not fit one channel");
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// The image is shifted by −padding to +padding pixels in each direction, which is what
    /// cropping a padded image does.
    pub crop_padding: usize,
    /// Pixels that a shift brings in.
    pub crop_border: Border,
    /// Random mirroring.
    pub flip: Flip,
    /// Side in pixels of the square that is blanked, 0 for none. Its centre is any pixel of the
    /// image with equal chance, so that a part of it may lie outside (`DeVries` & Taylor 2017).
    pub cutout: usize,
    /// The pixel that a shift or a policy brings in and a cutout or an erasing leaves, one value a
    /// channel.
    ///
    /// Give the integer channel means (`Dataset::channel_mean_u8`): they are what is subtracted
    /// later, so that padding is exactly zero for the network, like zero padding of normalised
    /// images. May be empty where nothing is filled.
    pub fill: Vec<u8>,
    /// Changes of colours and geometry, for static images of 1 or 3 channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<AugmentPolicy>,
    /// A random rectangle that is blanked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasing: Option<RandomErasing>,
}

impl Augment {
    /// The usual augmentation of CIFAR (He et al. 2016): padding 4 and horizontal flip.
    pub fn standard(channel_mean: &[u8]) -> Self {
        let fill = channel_mean.to_vec();
        Self { crop_padding: 4, flip: Flip::Horizontal, fill, ..Self::default() }
    }

    /// Checks the settings for samples of a shape.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if `fill` does not have one value a channel (none is enough where
    /// nothing is filled), the padding or the cutout is absurd, or a setting does not fit the
    /// shape.
    pub fn validate(&self, shape: SampleShape) -> Result<()> {
        let invalid = |field, expected: String, found: String| Error::InvalidConfig {
            field,
            expected,
            found,
        };
        for (field, pixels) in [("crop_padding", self.crop_padding), ("cutout", self.cutout)] {
            if pixels > MAX_PIXELS {
                let expected = format!("at most {MAX_PIXELS} pixels");
                return Err(invalid(field, expected, pixels.to_string()));
            }
        }
        let [channels, height, width] = shape.image();
        let side = height.min(width);
        if self.crop_border == Border::Reflect && self.crop_padding >= side {
            let expected =
                format!("less than {side}, the shorter side, as the border is reflected");
            return Err(invalid("crop_padding", expected, self.crop_padding.to_string()));
        }
        if let Some(policy) = self.policy {
            policy.validate()?;
            if !matches!(shape, SampleShape::Static([1 | 3, ..])) {
                let expected = "none: policies are for static images of 1 or 3 channels".into();
                return Err(invalid("policy", expected, format!("{policy:?} for {shape}")));
            }
        }
        if let Some(erasing) = &self.erasing {
            erasing.validate()?;
        }
        let filled = (self.crop_padding > 0 && self.crop_border == Border::Fill)
            || self.cutout > 0
            || self.policy.is_some()
            || self.erasing.is_some();
        if self.fill.len() != channels && (filled || !self.fill.is_empty()) {
            let expected = format!("{channels} values, one a channel");
            return Err(invalid("fill", expected, format!("{} values", self.fill.len())));
        }
        Ok(())
    }
}

impl Transform for Augment {
    fn apply(
        &self,
        sample: &mut SampleMut<'_>,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let shape = sample.shape();
        self.validate(shape)?;
        let [_, height, width] = shape.image();
        let mut frames = sample.frames();
        if self.crop_padding > 0 {
            let offsets = u32::try_from(2 * self.crop_padding + 1)?;
            let mut offset = || isize::try_from(rng.below(offsets));
            let padding = isize::try_from(self.crop_padding)?;
            let shift = [offset()? - padding, offset()? - padding];
            for mut image in frames.outer_iter_mut() {
                let cropped = match self.crop_border {
                    Border::Fill => crop(&image.view(), shift, &self.fill),
                    Border::Reflect => crop_reflected(&image.view(), shift),
                };
                image.assign(&cropped);
            }
        }
        if self.flip.draw(rng) {
            frames.outer_iter_mut().for_each(flip_horizontal);
        }
        if let Some(policy) = self.policy {
            for operation in policy.draw([height, width], rng) {
                for mut image in frames.outer_iter_mut() {
                    operation.apply(&mut image, &self.fill)?;
                }
            }
        }
        if self.cutout > 0 {
            let centre = [rng.below(u32::try_from(height)?), rng.below(u32::try_from(width)?)];
            let centre = centre.map(|pixel| pixel as usize);
            for image in frames.outer_iter_mut() {
                cut_out(image, centre, self.cutout, &self.fill);
            }
        }
        if let Some(erasing) = &self.erasing {
            erasing.apply(frames, &self.fill, rng);
        }
        Ok(())
    }
}

impl Flip {
    /// `true` if a sample is mirrored.
    fn draw(self, rng: &mut SampleRng) -> bool {
        match self {
            Self::None => false,
            Self::Horizontal => rng.below(2) == 1,
            Self::Alternating => rng.coin_of_sample() == rng.epoch().is_multiple_of(2),
        }
    }
}
