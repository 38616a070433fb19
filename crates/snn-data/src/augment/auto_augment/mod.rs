//! Augmentation by policies: AutoAugment, RandAugment, TrivialAugment; each operation to the bit as
//! Pillow does it.

mod affine;
mod learned;
mod operation;
mod tone;

pub use operation::Operation;

use crate::{Error, Result, SampleRng};
use learned::{CIFAR10, IMAGENET, SVHN};
use serde::{Deserialize, Serialize};

/// Strengths that RandAugment and TrivialAugment choose from.
const BINS: usize = 31;

/// A policy: which operations an image gets, and how strong they are. Names and ranges are those of
/// torchvision 0.26.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AugmentPolicy {
    /// AutoAugment's policy for CIFAR-10 (Cubuk et al. 2019), also used for CIFAR-100.
    AutoAugmentCifar,
    /// AutoAugment's policy for ImageNet.
    #[serde(rename = "auto-augment-imagenet")]
    AutoAugmentImageNet,
    /// AutoAugment's policy for SVHN.
    AutoAugmentSvhn,
    /// `operations` random operations of one strength (Cubuk et al. 2020).
    RandAugment {
        /// Operations for each image.
        operations: usize,
        /// Strength, 0 to 30; torchvision's default is 9.
        magnitude: usize,
    },
    /// One random operation of random strength (Müller & Hutter 2021), the wide ranges.
    TrivialAugment,
}

impl AugmentPolicy {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a strength above 30 or more than 16 operations.
    pub fn validate(self) -> Result<()> {
        let (field, most, found) = match self {
            Self::RandAugment { magnitude, .. } if magnitude >= BINS => {
                ("magnitude", BINS - 1, magnitude)
            }
            Self::RandAugment { operations, .. } if operations > 16 => {
                ("operations", 16, operations)
            }
            Self::AutoAugmentCifar
            | Self::AutoAugmentImageNet
            | Self::AutoAugmentSvhn
            | Self::RandAugment { .. }
            | Self::TrivialAugment => return Ok(()),
        };
        Err(Error::InvalidConfig {
            field,
            expected: format!("at most {most}"),
            found: found.to_string(),
        })
    }

    /// Draws the operations for an image of `height` and `width`, in the order in which they are
    /// applied.
    pub fn draw(self, [height, width]: [usize; 2], rng: &mut SampleRng) -> Vec<Operation> {
        let learned = match self {
            Self::AutoAugmentCifar => &CIFAR10,
            Self::AutoAugmentImageNet => &IMAGENET,
            Self::AutoAugmentSvhn => &SVHN,
            Self::RandAugment { operations, magnitude } => {
                let range = operation::Range::new(BINS, [height, width]);
                return (0..operations).map(|_| range.random(magnitude, rng)).collect();
            }
            Self::TrivialAugment => {
                let range = operation::Range::wide(BINS);
                let magnitude = rng.below(31) as usize;
                return vec![range.random(magnitude, rng)];
            }
        };
        let range = operation::Range::new(learned::BINS, [height, width]);
        // All numbers are drawn, whether they are used or not.
        let pair = learned[rng.below(25) as usize];
        let chances = [rng.uniform(0.0, 1.0), rng.uniform(0.0, 1.0)];
        let negative = [rng.below(2) == 0, rng.below(2) == 0];
        let drawn = pair.into_iter().zip(chances).zip(negative);
        drawn
            .filter(|((step, chance), _)| *chance <= step.chance)
            .map(|((step, _), negative)| range.operation(step.kind, step.magnitude, negative))
            .collect()
    }
}
