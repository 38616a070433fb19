//! Samples: a static image or frames over time.

use crate::{Error, Result};
use ndarray::{ArrayView3, ArrayView4, ArrayViewMut3, ArrayViewMut4, Axis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Shape of every sample of a [`Source`](crate::Source).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleShape {
    /// One image, `[C, H, W]`, which a network sees at every time step.
    Static([usize; 3]),
    /// One frame a time step, `[T, C, H, W]`.
    Frames([usize; 4]),
}

impl SampleShape {
    /// `[C, H, W]` of the image or of each frame.
    pub fn image(self) -> [usize; 3] {
        match self {
            Self::Static(image) | Self::Frames([_, image @ ..]) => image,
        }
    }

    /// Number of channels of the image or of each frame.
    pub fn channels(self) -> usize {
        self.image()[0]
    }

    /// Number of time steps; `None` for a static image.
    pub fn time_steps(self) -> Option<usize> {
        match self {
            Self::Static(_) => None,
            Self::Frames([steps, ..]) => Some(steps),
        }
    }

    /// `[T, C, H, W]`, T being 1 for a static image.
    pub fn frames(self) -> [usize; 4] {
        let [channels, height, width] = self.image();
        [self.time_steps().unwrap_or(1), channels, height, width]
    }

    /// `[C, H, W]` or `[T, C, H, W]`.
    pub fn sizes(self) -> Vec<usize> {
        match self {
            Self::Static(image) => image.to_vec(),
            Self::Frames(frames) => frames.to_vec(),
        }
    }

    /// Bytes of a sample, saturating at `usize::MAX`.
    pub fn bytes(self) -> usize {
        self.frames().into_iter().fold(1, usize::saturating_mul)
    }
}

impl fmt::Display for SampleShape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(image) => write!(formatter, "image {image:?}"),
            Self::Frames(frames) => write!(formatter, "frames {frames:?}"),
        }
    }
}

/// Memory for one sample, which a [`Source`](crate::Source) fills and a
/// [`Transform`](crate::Transform) changes.
///
/// Each frame is contiguous; frames of one sample are not next to each other in a batch, which has
/// time first.
#[derive(Debug)]
pub struct SampleMut<'a> {
    frames: ArrayViewMut4<'a, u8>,
    is_static: bool,
}

impl<'a> SampleMut<'a> {
    /// A static image, `[C, H, W]`.
    pub fn from_image(image: ArrayViewMut3<'a, u8>) -> Self {
        Self { frames: image.insert_axis(Axis(0)), is_static: true }
    }

    /// Frames, `[T, C, H, W]`.
    pub fn from_frames(frames: ArrayViewMut4<'a, u8>) -> Self {
        Self { frames, is_static: false }
    }

    /// A sample of this shape in contiguous memory.
    ///
    /// # Errors
    /// [`Error::InvalidImages`] if the memory has another size.
    pub fn from_bytes(shape: SampleShape, bytes: &'a mut [u8]) -> Result<Self> {
        let found = format!("{} bytes", bytes.len());
        let frames = ArrayViewMut4::from_shape(shape.frames(), bytes);
        let frames = frames.map_err(|_| Error::InvalidImages {
            expected: format!("{} bytes, {shape}", shape.bytes()),
            found,
        })?;
        Ok(Self { frames, is_static: shape.time_steps().is_none() })
    }

    /// Shape of the sample.
    pub fn shape(&self) -> SampleShape {
        let (steps, channels, height, width) = self.frames.dim();
        if self.is_static {
            SampleShape::Static([channels, height, width])
        } else {
            SampleShape::Frames([steps, channels, height, width])
        }
    }

    /// The static image, `[C, H, W]`.
    ///
    /// # Errors
    /// [`Error::InvalidImages`] for frames.
    pub fn image(&mut self) -> Result<ArrayViewMut3<'_, u8>> {
        if !self.is_static {
            return Err(self.other("a static image"));
        }
        Ok(self.frames.index_axis_mut(Axis(0), 0))
    }

    /// All frames, `[T, C, H, W]`; a static image is one frame.
    pub fn frames(&mut self) -> ArrayViewMut4<'_, u8> {
        self.frames.view_mut()
    }

    /// All frames, to read.
    pub fn view(&self) -> ArrayView4<'_, u8> {
        self.frames.view()
    }

    /// Copies the sample from bytes in the order of its shape.
    ///
    /// # Errors
    /// [`Error::InvalidImages`] if there are more or fewer bytes.
    pub fn copy_from(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() != self.frames.len() {
            return Err(self.other(&format!("{} bytes", bytes.len())));
        }
        let (_, channels, height, width) = self.frames.dim();
        let frames = bytes.chunks_exact((channels * height * width).max(1));
        for (mut to, from) in self.frames.outer_iter_mut().zip(frames) {
            match (to.as_slice_mut(), ArrayView3::from_shape((channels, height, width), from)) {
                (Some(to), _) => copy(from, to),
                (None, Ok(from)) => to.assign(&from),
                // As many bytes as a frame has.
                (None, Err(_)) => {}
            }
        }
        Ok(())
    }

    fn other(&self, expected: &str) -> Error {
        Error::InvalidImages { expected: expected.to_owned(), found: self.shape().to_string() }
    }
}

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 10;

/// Copies bytes by the kilobyte: for more the C library takes `rep movsb`, which some processors
/// (Zen 3) do at a tenth of the speed of memory where both sides lie alike in their pages.
fn copy(from: &[u8], to: &mut [u8]) {
    for (from, to) in from.chunks(PIECE).zip(to.chunks_mut(PIECE)) {
        to.copy_from_slice(from);
    }
}
