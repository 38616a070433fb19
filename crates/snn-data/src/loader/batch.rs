//! Batches: samples with their targets.

use crate::{SampleMut, SampleRng, SampleShape};
use ndarray::{Array4, Array5, ArrayView5, ArrayViewD, ArrayViewMut5, Axis, s};
use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;

/// Samples of a batch, contiguous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    /// Static images, `[B, C, H, W]`.
    Static(Array4<u8>),
    /// Frames, time first, `[T, B, C, H, W]`.
    Frames(Array5<u8>),
}

impl Samples {
    /// Zeros for `count` samples of a shape.
    pub fn zeros(shape: SampleShape, count: usize) -> Self {
        let [channels, height, width] = shape.image();
        match shape {
            SampleShape::Static(_) => Self::Static(Array4::zeros((count, channels, height, width))),
            SampleShape::Frames([steps, ..]) => {
                Self::Frames(Array5::zeros((steps, count, channels, height, width)))
            }
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Static(images) => images.len_of(Axis(0)),
            Self::Frames(frames) => frames.len_of(Axis(1)),
        }
    }

    /// `true` if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of each sample.
    pub fn shape(&self) -> SampleShape {
        match self {
            Self::Static(images) => {
                let (_, channels, height, width) = images.dim();
                SampleShape::Static([channels, height, width])
            }
            Self::Frames(frames) => {
                let (steps, _, channels, height, width) = frames.dim();
                SampleShape::Frames([steps, channels, height, width])
            }
        }
    }

    /// The samples as they are, `[B, C, H, W]` or `[T, B, C, H, W]`.
    pub fn view(&self) -> ArrayViewD<'_, u8> {
        match self {
            Self::Static(images) => images.view().into_dyn(),
            Self::Frames(frames) => frames.view().into_dyn(),
        }
    }

    /// The samples with a time axis, `[T, B, C, H, W]`; T is 1 for static images.
    pub fn frames(&self) -> ArrayView5<'_, u8> {
        match self {
            Self::Static(images) => images.view().insert_axis(Axis(0)),
            Self::Frames(frames) => frames.view(),
        }
    }

    /// The samples with a time axis, to change.
    pub fn frames_mut(&mut self) -> ArrayViewMut5<'_, u8> {
        match self {
            Self::Static(images) => images.view_mut().insert_axis(Axis(0)),
            Self::Frames(frames) => frames.view_mut(),
        }
    }

    /// The static images, `[B, C, H, W]`; `None` for frames.
    pub fn images(&self) -> Option<&Array4<u8>> {
        match self {
            Self::Static(images) => Some(images),
            Self::Frames(_) => None,
        }
    }

    /// All bytes in order, for memory that a GPU can read by itself (pinned) or that a library has
    /// given.
    pub fn bytes(&self) -> &[u8] {
        let bytes = match self {
            Self::Static(images) => images.as_slice(),
            Self::Frames(frames) => frames.as_slice(),
        };
        bytes.unwrap_or_default()
    }

    /// Each sample in order, to fill or change.
    pub(crate) fn each_mut(&mut self) -> Box<dyn Iterator<Item = SampleMut<'_>> + '_> {
        match self {
            Self::Static(images) => Box::new(images.outer_iter_mut().map(SampleMut::from_image)),
            Self::Frames(frames) => {
                Box::new(frames.axis_iter_mut(Axis(1)).map(SampleMut::from_frames))
            }
        }
    }
}

/// Targets of the samples of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Label of each sample, `[B]`.
    pub labels: Vec<i64>,
    /// Samples that were mixed into each sample; `None` in a batch as it is.
    pub mixture: Option<Mixture>,
}

/// The other labels of a mixed batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// λ: the share of each sample's own label in its target, 0 to 1.
    pub share: f64,
    /// The other label of each sample, whose share is 1 − λ.
    pub others: Vec<i64>,
}

impl Targets {
    /// Targets of samples as they are.
    pub fn new(labels: Vec<i64>) -> Self {
        Self { labels, mixture: None }
    }

    /// The label of each sample that has the larger share.
    pub fn dominant(&self) -> &[i64] {
        match &self.mixture {
            Some(mixture) if mixture.share < 0.5 => &mixture.others,
            _ => &self.labels,
        }
    }
}

/// Some samples with their targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Images `[B, C, H, W]` or frames `[T, B, C, H, W]`.
    pub samples: Samples,
    /// Labels, and what was mixed.
    pub targets: Targets,
    /// Index of each sample in its source, `[B]`.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// `true` if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The samples in a range.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        let mixture = self.targets.mixture.as_ref().map(|mixture| Mixture {
            share: mixture.share,
            others: mixture.others[range.clone()].to_vec(),
        });
        let samples = match &self.samples {
            Samples::Static(all) => {
                Samples::Static(all.slice(s![range.clone(), .., .., ..]).to_owned())
            }
            Samples::Frames(all) => {
                let part = all.slice(s![.., range.clone(), .., .., ..]);
                Samples::Frames(part.as_standard_layout().into_owned())
            }
        };
        Self {
            samples,
            targets: Targets { labels: self.targets.labels[range.clone()].to_vec(), mixture },
            indices: self.indices[range].to_vec(),
        }
    }
}

/// The part that rank `rank` of `ranks` has of a batch of `samples`: parts follow each other, and
/// the first ones have one sample more where they cannot be equal.
///
/// ```
/// let parts = (0..3).map(|rank| snn_data::part_of_batch(8, rank, 3));
/// assert!(parts.eq([0..3, 3..6, 6..8]));
/// ```
pub fn part_of_batch(samples: usize, rank: usize, ranks: usize) -> Range<usize> {
    let ranks = ranks.max(1);
    let (least, more) = (samples / ranks, samples % ranks);
    let first = |rank: usize| rank * least + rank.min(more);
    first(rank)..first(rank + 1)
}

/// The samples that those of a batch are mixed with, and their labels.
pub(super) struct Partners {
    pub(super) samples: Samples,
    pub(super) others: Vec<i64>,
}

impl Partners {
    /// Draws a permutation of a batch.
    pub(super) fn draw(batch: &Batch, rng: &mut SampleRng) -> Self {
        let labels = &batch.targets.labels;
        let mut partners: Vec<usize> = (0..labels.len()).collect();
        rng.shuffle(&mut partners);
        let others = partners.iter().filter_map(|&at| labels.get(at).copied()).collect();
        let samples = match &batch.samples {
            Samples::Static(images) => Samples::Static(images.select(Axis(0), &partners)),
            Samples::Frames(frames) => Samples::Frames(frames.select(Axis(1), &partners)),
        };
        Self { samples, others }
    }
}

/// Work on whole batches in the loader's threads, after mixing: encoding images into frames, for
/// example ([`Loader::with_batch_transform`](crate::Loader::with_batch_transform)).
pub trait BatchTransform: fmt::Debug + Send + Sync {
    /// Changes a batch in place, its shape too.
    ///
    /// All randomness must come from `rng`, whose numbers are a function of (seed, epoch, batch)
    /// and are no others' ([`SampleRng::for_batch_transform`]).
    ///
    /// # Errors
    /// Whatever the transform wants to report; the loader passes it on with the batch's number.
    fn apply(
        &self,
        batch: &mut Batch,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn StdError + Send + Sync>>;
}
