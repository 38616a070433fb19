//! `EventMix`: parts of two recordings in one, divided by a random surface in time and space.

use crate::{Batch, Error, Mixture, Result, SampleRng};
use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

/// Gaussians of a mask at most.
pub const GAUSSIANS: u32 = 4;

/// Mixes each image of a batch of frames with another one of it: a mask over time, rows and columns
/// says where each is from, the same for both polarities.
///
/// The mask holds the places where a random mixture of two to [`GAUSSIANS`] Gaussians over (t, y,
/// x) is largest, a share 1 − λ of them, λ uniform (Beta(1, 1)): they become the other's.
///
/// Masks are drawn as in the authors' code (`BrainCog`, `cut_mix.py`). Two things differ: there the
/// share of a label is that of the recordings' events on either side of the mask (and, in the
/// paper, their distance), here that of the places, one number for a batch; and there noise is
/// added afterwards, here none.
///
/// # References
/// Shen, Zhao, Zeng 2022, *`EventMix`: an efficient augmentation strategy for event-based data*.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMix {
    /// Chance that a batch is mixed.
    pub chance: f64,
}

impl EventMix {
    /// Mixes a batch of frames `[B, T · 2, H, W]` in place, each with that at its place in a random
    /// permutation.
    ///
    /// Give [`SampleRng::for_batch`]: then the result is a function of (seed, epoch, batch).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the chance is not 0 to 1; [`Error::InvalidImages`] if the
    /// channels are not pairs of polarities.
    pub fn apply(&self, batch: &mut Batch, rng: &mut SampleRng) -> Result<Mixture> {
        if !(0.0..=1.0).contains(&self.chance) {
            let expected = "0 to 1".into();
            return Err(Error::InvalidConfig {
                field: "chance",
                expected,
                found: self.chance.to_string(),
            });
        }
        let (_, channels, height, width) = batch.images.dim();
        if channels % 2 != 0 || batch.images.is_empty() {
            let expected = "frames [B, T · 2, H, W] of two polarities".into();
            return Err(Error::InvalidImages {
                expected,
                found: format!("{:?}", batch.images.dim()),
            });
        }
        if rng.uniform(0.0, 1.0) >= self.chance {
            return Ok(Mixture { share: 1.0, others: batch.labels.clone() });
        }
        let mut partners: Vec<usize> = (0..batch.labels.len()).collect();
        rng.shuffle(&mut partners);
        let others =
            partners.iter().filter_map(|&partner| batch.labels.get(partner).copied()).collect();
        let second = batch.images.select(Axis(0), &partners);
        let share = rng.uniform(0.0, 1.0);
        let mask = mask([channels / 2, height, width], share, rng);
        for (mut image, second) in batch.images.outer_iter_mut().zip(second.outer_iter()) {
            for ((channel, mut plane), second) in
                image.outer_iter_mut().enumerate().zip(second.outer_iter())
            {
                let mask = mask.index_axis(Axis(0), channel / 2);
                ndarray::Zip::from(&mut plane).and(&second).and(&mask).for_each(
                    |own, &other, &stays| {
                        if !stays {
                            *own = other;
                        }
                    },
                );
            }
        }
        let stays = mask.iter().filter(|&&stays| stays).count();
        Ok(Mixture { share: stays as f64 / mask.len() as f64, others })
    }
}

/// The places that stay, `[T, H, W]`: all but those where a random mixture of Gaussians is largest,
/// `share` of them.
fn mask(shape: [usize; 3], share: f64, rng: &mut SampleRng) -> Array3<bool> {
    let count = 2 + rng.below(GAUSSIANS - 1);
    // Axes are 0 to 1; a Gaussian is as wide as a twentieth to a half of them.
    let gaussians: Vec<(f64, [[f64; 2]; 3])> = (0..count)
        .map(|_| {
            let weight = rng.uniform(0.0, 1.0);
            (
                weight,
                std::array::from_fn(|_| {
                    [rng.uniform(0.0, 1.0), 0.5 * rng.uniform(0.0, 1.0).max(0.1)]
                }),
            )
        })
        .collect();
    let along = |axis: usize, at: usize, [centre, width]: [f64; 2]| {
        let distance = ((at as f64 + 0.5) / shape[axis] as f64 - centre) / width;
        distance * distance
    };
    let density = Array3::from_shape_fn(shape, |(t, y, x)| {
        let of = |(weight, axes): &(f64, [[f64; 2]; 3])| {
            weight
                * (-0.5 * (along(0, t, axes[0]) + along(1, y, axes[1]) + along(2, x, axes[2])))
                    .exp()
        };
        gaussians.iter().map(of).sum::<f64>()
    });
    let mut sorted: Vec<f64> = density.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let kept = super::rounded(share * sorted.len() as f64);
    match kept.checked_sub(1).and_then(|last| sorted.get(last)) {
        Some(&most) => density.mapv(|value| value <= most),
        None => Array3::from_elem(shape, false),
    }
}
