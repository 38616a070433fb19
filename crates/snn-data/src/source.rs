//! Where a loader takes its samples from.

use crate::{Error, Images, Result, SampleRng};
use ndarray::{ArrayView3, ArrayViewMut3};
use std::fmt;

/// Labelled images of one shape that a [`Loader`](crate::Loader) can ask for by index, from any
/// thread.
///
/// What a sample is may depend on `rng`, whose numbers are a function of (seed, epoch, index), and
/// on nothing else that changes: then batches do not depend on the number of threads, and an epoch
/// can start in the middle.
pub trait Source: fmt::Debug + Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[channels, height, width]` of every sample.
    fn image_shape(&self) -> [usize; 3];

    /// The name or the file of a sample, for messages; images in memory have none.
    fn sample_name(&self, index: usize) -> Option<String> {
        let _ = index;
        None
    }

    /// Writes sample `index` into `image`, zeros of shape [`image_shape`](Self::image_shape), and
    /// returns its label.
    ///
    /// # Errors
    /// [`Error::Sample`] naming the file, or another error that says what is wrong.
    fn load(&self, index: usize, image: ArrayViewMut3<'_, u8>, rng: &mut SampleRng) -> Result<u16>;
}

impl Source for Images {
    fn len(&self) -> usize {
        self.len()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape()
    }

    fn load(
        &self,
        index: usize,
        mut image: ArrayViewMut3<'_, u8>,
        _: &mut SampleRng,
    ) -> Result<u16> {
        let range = Error::IndexOutOfRange { index, count: self.len() };
        let (Some(pixels), Some(&label)) = (self.image(index), self.labels().get(index)) else {
            return Err(range);
        };
        match (image.as_slice_mut(), ArrayView3::from_shape(self.image_shape(), pixels)) {
            (Some(image), _) if image.len() == pixels.len() => copy(pixels, image),
            (_, Ok(pixels)) => image.assign(&pixels),
            (_, Err(_)) => return Err(range),
        }
        Ok(label)
    }
}

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 10;

/// Copies a sample, by the kilobyte: for more the C library takes `rep movsb`, which some
/// processors (Zen 3) do at a tenth of the speed of memory where both sides lie alike in their
/// pages.
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    for (from, to) in from.chunks(PIECE).zip(to.chunks_mut(PIECE)) {
        to.copy_from_slice(from);
    }
}
