//! `shapes10`: an image set that is computed, not downloaded.
//!
//! Ten classes of 3×16×16 images: figures and textures at random places, sizes, angles and colours,
//! light on dark or (one in four) dark on light, with noise. Small enough to train on in a minute,
//! and not linearly separable, so that a network which learns it has learnt features. Only
//! additions, multiplications, divisions and comparisons of `f64` are used (no `sin`, whose last
//! bit differs between systems): the bytes are the same everywhere.

use std::f64::consts::FRAC_1_SQRT_2;

use crate::images::{Images, Split};
use crate::loader::{Purpose, SampleRng};
use crate::{Error, Result};
use ndarray::Array4;
use serde::{Deserialize, Serialize};

/// Height and width of an image, in pixels.
pub const SIDE: usize = 16;
/// Colour channels of an image.
pub const CHANNELS: usize = 3;
/// Names of the ten classes, by label.
pub const CLASSES: [&str; 10] = [
    "disc",
    "ring",
    "square",
    "frame",
    "triangle",
    "plus",
    "saltire",
    "rows",
    "columns",
    "checkerboard",
];
/// Integer mean pixel of the default training split, per channel (computed; `tests/shapes.rs`
/// checks it).
pub const CHANNEL_MEAN_U8: [u8; 3] = [113, 113, 113];
/// Standard deviation of the default training split, in pixel units (computed; `tests/shapes.rs`
/// checks it).
pub const CHANNEL_STD: [f64; 3] = [68.652_650, 68.611_738, 68.641_639];

/// Points tested along each side of a pixel: 4×4, so an edge has 17 levels.
const SAMPLES_PER_SIDE: usize = 4;
/// Largest |noise| added to a byte.
const NOISE: u32 = 48;
/// Most images of one split: 768 bytes each, so at most 768 MB.
const MAX_IMAGES: usize = 1_000_000;

/// The procedural set: its seed and sizes.
///
/// ```
/// use snn_data::{Split, shapes::Shapes10};
/// let train = Shapes10 { train: 100, ..Shapes10::default() }.images(Split::Train)?;
/// assert_eq!(train.pixels().dim(), (100, 3, 16, 16));
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shapes10 {
    /// Seed of every image; the published set is seed 0.
    pub seed: u64,
    /// Number of training images.
    pub train: usize,
    /// Number of test images.
    pub test: usize,
}

impl Default for Shapes10 {
    /// Seed 0, 8,000 training and 2,000 test images.
    fn default() -> Self {
        Self { seed: 0, train: 8_000, test: 2_000 }
    }
}

impl Shapes10 {
    /// All images of one split; image `i` has label `i mod 10`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the split is empty or has more than a million images.
    pub fn images(&self, split: Split) -> Result<Images> {
        let (field, count) = match split {
            Split::Train => ("train", self.train),
            Split::Test => ("test", self.test),
        };
        if !(1..=MAX_IMAGES).contains(&count) {
            return Err(Error::InvalidConfig {
                field,
                expected: format!("1 to {MAX_IMAGES} images"),
                found: count.to_string(),
            });
        }
        let mut pixels = Array4::zeros((count, CHANNELS, SIDE, SIDE));
        let mut labels = Vec::with_capacity(count);
        if let Some(bytes) = pixels.as_slice_mut() {
            for (index, image) in bytes.chunks_exact_mut(CHANNELS * SIDE * SIDE).enumerate() {
                labels.push(draw(self.seed, split, index, image));
            }
        }
        Images::new(pixels, labels, CLASSES.len())
    }
}

/// A figure placed in the image.
struct Pose {
    centre_x: f64,
    centre_y: f64,
    /// Half of the figure's extent, in pixels.
    half_size: f64,
    cosine: f64,
    sine: f64,
}

impl Pose {
    fn random(rng: &mut SampleRng) -> Self {
        let half_size = rng.uniform(4.0, 7.0);
        let centre = SIDE as f64 / 2.0;
        let jitter = 8.5 - half_size;
        // The rational parametrisation of the circle by tan(angle / 2): about ±15 degrees.
        let tangent = rng.uniform(-0.16, 0.16);
        let norm = 1.0 + tangent * tangent;
        Self {
            centre_x: centre + rng.uniform(-jitter, jitter),
            centre_y: centre + rng.uniform(-jitter, jitter),
            half_size,
            cosine: (1.0 - tangent * tangent) / norm,
            sine: 2.0 * tangent / norm,
        }
    }

    /// Image coordinates → the figure's own, in which it fills about `[-1, 1]²`.
    fn to_figure(&self, x: f64, y: f64) -> (f64, f64) {
        let (dx, dy) = (x - self.centre_x, y - self.centre_y);
        (
            (self.cosine * dx + self.sine * dy) / self.half_size,
            (self.cosine * dy - self.sine * dx) / self.half_size,
        )
    }
}

/// Draws image `index` into `image` (planes R, G, B) and returns its label.
fn draw(seed: u64, split: Split, index: usize, image: &mut [u8]) -> u16 {
    let purpose = match split {
        Split::Train => Purpose::ShapesTrain,
        Split::Test => Purpose::ShapesTest,
    };
    let mut rng = SampleRng::new(seed, purpose, index as u64, 0);
    let class = index % CLASSES.len();
    let pose = Pose::random(&mut rng);
    let inverted = rng.below(4) == 0;
    let dark: [u32; CHANNELS] = std::array::from_fn(|_| 10 + rng.below(111));
    let light: [u32; CHANNELS] = std::array::from_fn(|_| 135 + rng.below(111));
    let (figure, ground) = if inverted { (dark, light) } else { (light, dark) };

    let covered: [usize; SIDE * SIDE] =
        std::array::from_fn(|position| coverage(class, &pose, position % SIDE, position / SIDE));
    let samples = SAMPLES_PER_SIDE * SAMPLES_PER_SIDE;
    for (plane, bytes) in image.chunks_exact_mut(SIDE * SIDE).enumerate() {
        for (byte, covered) in bytes.iter_mut().zip(covered) {
            let mixed =
                figure[plane] as usize * covered + ground[plane] as usize * (samples - covered);
            let value = (mixed + samples / 2) / samples + rng.below(2 * NOISE + 1) as usize;
            *byte = u8::try_from(value.saturating_sub(NOISE as usize)).unwrap_or(u8::MAX);
        }
    }
    u16::try_from(class).unwrap_or(u16::MAX)
}

/// How many of a pixel's sample points lie in the figure.
fn coverage(class: usize, pose: &Pose, column: usize, row: usize) -> usize {
    let offset = |step: usize| (step as f64 + 0.5) / SAMPLES_PER_SIDE as f64;
    let mut covered = 0;
    for step_y in 0..SAMPLES_PER_SIDE {
        for step_x in 0..SAMPLES_PER_SIDE {
            let (u, v) =
                pose.to_figure(column as f64 + offset(step_x), row as f64 + offset(step_y));
            covered += usize::from(contains(class, u, v));
        }
    }
    covered
}

/// `true` if the figure of class `class` contains the point `(u, v)`.
fn contains(class: usize, u: f64, v: f64) -> bool {
    let radius_squared = u * u + v * v;
    let reach = u.abs().max(v.abs());
    match class {
        0 => radius_squared <= 1.0,
        1 => (0.36..=1.0).contains(&radius_squared),
        2 => reach <= 0.9,
        3 => (0.55..=0.9).contains(&reach),
        4 => (-0.9..=0.85).contains(&v) && u.abs() <= (v + 0.9) * 0.6,
        5 => cross(u, v),
        6 => cross((u + v) * FRAC_1_SQRT_2, (u - v) * FRAC_1_SQRT_2),
        7 => reach <= 1.0 && is_even_band(v, 2.5),
        8 => reach <= 1.0 && is_even_band(u, 2.5),
        _ => reach <= 1.0 && is_even_band(u, 2.0) == is_even_band(v, 2.0),
    }
}

fn cross(u: f64, v: f64) -> bool {
    u.abs().max(v.abs()) <= 1.0 && u.abs().min(v.abs()) <= 0.28
}

/// `true` if `position` (in `[-1, 1]`) lies in an even band, with `bands_per_unit` bands a unit of
/// length.
fn is_even_band(position: f64, bands_per_unit: f64) -> bool {
    let band = ((position + 1.0) * bands_per_unit).floor();
    (band * 0.5).fract() < 0.25
}
