//! Random crop, flip and cutout of `u8` images.

use crate::{Error, Result, SampleRng};
use ndarray::{ArrayView3, ArrayViewMut3, Axis, s};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Largest crop padding or cutout that is taken for meant, in pixels.
const MAX_PIXELS: usize = 1 << 16;

/// Something that changes a training image at random.
///
/// [`Augment`] is the one of this crate; implement the trait for your own and give it to
/// [`Loader::with_transform`](crate::Loader::with_transform).
pub trait Transform: fmt::Debug + Send + Sync {
    /// Changes one image in place.
    ///
    /// All randomness must come from `rng`, whose numbers are a function of (seed, epoch, sample
    /// index): then batches do not depend on the number of loader threads.
    ///
    /// # Shapes
    /// `image` is `[C, H, W]`, contiguous.
    ///
    /// # Errors
    /// Whatever the transform wants to report; the loader passes it on as [`Error::Transform`].
    fn apply(
        &self,
        image: ArrayViewMut3<'_, u8>,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Whether images are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// Never.
    #[default]
    None,
    /// Left becomes right in half of the cases.
    Horizontal,
}

/// Random crop with padding, then random flip, then cutout; the default changes nothing.
///
/// ```
/// use snn_data::{Augment, Flip};
/// let augment = Augment { crop_padding: 4, flip: Flip::Horizontal, cutout: 8, fill: vec![125, 123, 114] };
/// augment.validate(3)?;
/// assert!(augment.validate(1).is_err(), "three fill values do not fit one channel");
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// The image is shifted by −padding to +padding pixels in each direction, which is what
    /// cropping a padded image does.
    pub crop_padding: usize,
    /// Whether to mirror.
    pub flip: Flip,
    /// Side in pixels of the square that is blanked, 0 for none. Its centre is any pixel of the
    /// image with equal chance, so that a part of it may lie outside (`DeVries` & Taylor 2017).
    pub cutout: usize,
    /// The pixel that a shift brings in and a cutout leaves, one value a channel.
    ///
    /// Give the integer channel means (`Dataset::channel_mean_u8`): they are what is subtracted
    /// later, so that padding is exactly zero for the network, like zero padding of normalised
    /// images. May be empty without crop and cutout.
    pub fill: Vec<u8>,
}

impl Augment {
    /// The usual augmentation of CIFAR (He et al. 2016): padding 4 and horizontal flip.
    pub fn standard(channel_mean: &[u8]) -> Self {
        Self { crop_padding: 4, flip: Flip::Horizontal, cutout: 0, fill: channel_mean.to_vec() }
    }

    /// Checks the settings for images of `channels` channels.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if `fill` does not have one value a channel (none is enough without
    /// crop and cutout), or the padding or the cutout is absurd.
    pub fn validate(&self, channels: usize) -> Result<()> {
        for (field, pixels) in [("crop_padding", self.crop_padding), ("cutout", self.cutout)] {
            if pixels > MAX_PIXELS {
                let expected = format!("at most {MAX_PIXELS} pixels");
                return Err(Error::InvalidConfig { field, expected, found: pixels.to_string() });
            }
        }
        let unused = self.crop_padding == 0 && self.cutout == 0 && self.fill.is_empty();
        if self.fill.len() != channels && !unused {
            return Err(Error::InvalidConfig {
                field: "fill",
                expected: format!("{channels} values, one a channel"),
                found: format!("{} values", self.fill.len()),
            });
        }
        Ok(())
    }
}

impl Transform for Augment {
    fn apply(
        &self,
        mut image: ArrayViewMut3<'_, u8>,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.validate(image.dim().0)?;
        if self.crop_padding > 0 {
            let offsets = u32::try_from(2 * self.crop_padding + 1)?;
            let mut offset = || isize::try_from(rng.below(offsets));
            let padding = isize::try_from(self.crop_padding)?;
            let (down, right) = (offset()? - padding, offset()? - padding);
            let cropped = crop(&image.view(), [down, right], &self.fill);
            image.assign(&cropped);
        }
        match self.flip {
            Flip::None => {}
            Flip::Horizontal => {
                if rng.below(2) == 1 {
                    flip_horizontal(image.view_mut());
                }
            }
        }
        if self.cutout > 0 {
            let (_, height, width) = image.dim();
            let centre = [rng.below(u32::try_from(height)?), rng.below(u32::try_from(width)?)];
            cut_out(image, centre.map(|pixel| pixel as usize), self.cutout, &self.fill);
        }
        Ok(())
    }
}

/// The image seen through a window of its own size, moved `[down, right]` pixels; outside it lies
/// `fill` (0 for channels without a value).
///
/// # Shapes
/// `[C, H, W]` in and out: `out[c, y, x] = image[c, y + down, x + right]`.
pub fn crop(
    image: &ArrayView3<'_, u8>,
    [down, right]: [isize; 2],
    fill: &[u8],
) -> ndarray::Array3<u8> {
    let (channels, height, width) = image.dim();
    let mut out = ndarray::Array3::zeros((channels, height, width));
    for (channel, mut plane) in out.outer_iter_mut().enumerate() {
        plane.fill(fill.get(channel).copied().unwrap_or(0));
    }
    let (from_y, to_y, rows) = overlap(height, down);
    let (from_x, to_x, columns) = overlap(width, right);
    out.slice_mut(s![.., to_y..to_y + rows, to_x..to_x + columns]).assign(&image.slice(s![
        ..,
        from_y..from_y + rows,
        from_x..from_x + columns
    ]));
    out
}

/// Mirrors `[C, H, W]` left to right, in place.
pub fn flip_horizontal(mut image: ArrayViewMut3<'_, u8>) {
    for mut row in image.rows_mut() {
        if let Some(row) = row.as_slice_mut() {
            row.reverse();
        } else {
            row.invert_axis(Axis(0));
            let mirrored = row.to_owned();
            row.invert_axis(Axis(0));
            row.assign(&mirrored);
        }
    }
}

/// Blanks a square of side `side` of `[C, H, W]`, in place: rows `y − side/2` to below
/// `y − side/2 + side`, columns alike, as far as they lie inside; they become `fill` (0 for
/// channels without a value).
pub fn cut_out(mut image: ArrayViewMut3<'_, u8>, [y, x]: [usize; 2], side: usize, fill: &[u8]) {
    let (_, height, width) = image.dim();
    let range = |centre: usize, length: usize| {
        let end = (centre + side).saturating_sub(side / 2).min(length);
        centre.saturating_sub(side / 2).min(end)..end
    };
    let (rows, columns) = (range(y, height), range(x, width));
    for (channel, mut plane) in image.outer_iter_mut().enumerate() {
        plane
            .slice_mut(s![rows.clone(), columns.clone()])
            .fill(fill.get(channel).copied().unwrap_or(0));
    }
}

/// Where a window moved by `shift` overlaps `0..length`: start in the image, start in the window,
/// length.
fn overlap(length: usize, shift: isize) -> (usize, usize, usize) {
    let moved = shift.unsigned_abs().min(length);
    if shift >= 0 { (moved, 0, length - moved) } else { (0, moved, length - moved) }
}
