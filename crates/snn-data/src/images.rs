//! Labelled images in memory, cheap to share between threads.

use crate::statistics::ChannelStatistics;
use crate::{Batch, Error, Result, Samples, Targets};
use ndarray::{ArcArray, Array4, ArrayView4, Ix4};
use std::sync::Arc;

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Images to train on (hold-out for validation is taken from these, see
    /// [`split_holdout`](crate::split_holdout)).
    Train,
    /// Images to report accuracy on.
    Test,
}

/// Labelled `u8` images; cloning shares the memory.
///
/// # Shapes
/// Pixels are `[N, C, H, W]`, contiguous; there is one label an image, below
/// [`classes`](Self::classes).
#[derive(Debug, Clone)]
pub struct Images {
    pixels: ArcArray<u8, Ix4>,
    labels: Arc<[u16]>,
    classes: usize,
}

impl Images {
    /// Images from an array `[N, C, H, W]` and one label each.
    ///
    /// # Errors
    /// [`Error::InvalidImages`] if the counts differ, a dimension other than N is zero, or a label
    /// is not below `classes`.
    pub fn new(pixels: Array4<u8>, labels: Vec<u16>, classes: usize) -> Result<Self> {
        let (count, channels, height, width) = pixels.dim();
        let invalid =
            |expected: String, found: String| Err(Error::InvalidImages { expected, found });
        if channels == 0 || height == 0 || width == 0 {
            return invalid(
                "channels, height and width of at least 1".into(),
                format!("{:?}", pixels.shape()),
            );
        }
        if labels.len() != count {
            return invalid(
                format!("{count} labels for {count} images"),
                format!("{} labels", labels.len()),
            );
        }
        if let Some(index) = labels.iter().position(|&label| usize::from(label) >= classes) {
            return invalid(
                format!("labels below {classes}"),
                format!("{} at image {index}", labels[index]),
            );
        }
        let pixels = if pixels.is_standard_layout() {
            pixels
        } else {
            pixels.as_standard_layout().into_owned()
        };
        Ok(Self { pixels: pixels.into_shared(), labels: labels.into(), classes })
    }

    /// The pixels, `[N, C, H, W]`.
    pub fn pixels(&self) -> ArrayView4<'_, u8> {
        self.pixels.view()
    }

    /// The labels, `[N]`.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Number of classes (labels are below it).
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// `true` if there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// `[channels, height, width]` of every image.
    pub fn image_shape(&self) -> [usize; 3] {
        let (_, channels, height, width) = self.pixels.dim();
        [channels, height, width]
    }

    /// The bytes of one image, planes in order; `None` past the end.
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let length = self.image_shape().iter().product::<usize>();
        let start = index.checked_mul(length)?;
        self.pixels.as_slice()?.get(start..start.checked_add(length)?)
    }

    /// The images of `indices`, in that order and unchanged, as one batch (for evaluation;
    /// [`Loader`](crate::Loader) trains).
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] for an index that is not below [`len`](Self::len).
    pub fn batch(&self, indices: &[usize]) -> Result<Batch> {
        let [channels, height, width] = self.image_shape();
        let mut bytes = Vec::with_capacity(indices.len() * channels * height * width);
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            let (Some(image), Some(&label)) = (self.image(index), self.labels.get(index)) else {
                return Err(Error::IndexOutOfRange { index, count: self.len() });
            };
            bytes.extend_from_slice(image);
            labels.push(i64::from(label));
        }
        let shape = (indices.len(), channels, height, width);
        let images =
            Array4::from_shape_vec(shape, bytes).map_err(|error| Error::InvalidImages {
                expected: format!("bytes for {shape:?}"),
                found: error.to_string(),
            })?;
        let samples = Samples::Static(images);
        Ok(Batch { samples, targets: Targets::new(labels), indices: indices.to_vec() })
    }

    /// The images of `indices` as a set of their own (labels as they were).
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] for an index that is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        let Samples::Static(images) = self.batch(indices)?.samples else {
            let expected = "static images".into();
            return Err(Error::InvalidImages { expected, found: "frames".into() });
        };
        let labels = indices.iter().filter_map(|&index| self.labels.get(index).copied()).collect();
        Self::new(images, labels, self.classes)
    }

    /// Mean and standard deviation of every channel, exact up to the last division.
    pub fn channel_statistics(&self) -> ChannelStatistics {
        ChannelStatistics::of(&self.pixels())
    }
}
