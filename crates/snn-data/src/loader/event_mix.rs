//! `EventMix`: parts of two recordings in one, divided by a random surface in time and space.

use super::batch::{Batch, Mixture, Partners};
use super::rng::SampleRng;
use crate::{Error, Result, SampleShape};
use ndarray::Array3;
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
    /// Checks the chance, and that samples are frames of two polarities.
    pub(super) fn check(self, shape: SampleShape) -> Result<()> {
        if !(0.0..=1.0).contains(&self.chance) {
            let expected = "0 to 1".into();
            let found = self.chance.to_string();
            return Err(Error::InvalidConfig { field: "chance", expected, found });
        }
        match shape {
            SampleShape::Frames([_, 2, ..]) => Ok(()),
            SampleShape::Frames(_) | SampleShape::Static(_) => Err(Error::InvalidImages {
                expected: "frames [T, 2, H, W] of two polarities, which `EventMix` mixes".into(),
                found: shape.to_string(),
            }),
        }
    }

    /// Mixes a batch of frames `[T, B, 2, H, W]` in place, each sample with that at its place in a
    /// random permutation; the other labels are written to its targets.
    ///
    /// Give [`SampleRng::for_batch`]: then the result is a function of (seed, epoch, batch).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the chance is not 0 to 1; [`Error::InvalidImages`] if the
    /// samples are not frames of two polarities.
    pub fn apply(&self, batch: &mut Batch, rng: &mut SampleRng) -> Result<()> {
        let shape = batch.samples.shape();
        self.check(shape)?;
        if rng.uniform(0.0, 1.0) >= self.chance {
            return Ok(());
        }
        let Partners { samples, others } = Partners::draw(batch, rng);
        let share = rng.uniform(0.0, 1.0);
        let [steps, _, height, width] = shape.frames();
        let mask = mask([steps, height, width], share, rng);
        let second = samples.frames();
        let mut first = batch.samples.frames_mut();
        for ((mut first, second), mask) in
            first.outer_iter_mut().zip(second.outer_iter()).zip(mask.outer_iter())
        {
            // [B, 2, H, W] with the mask of this time step.
            for (mut first, second) in first.outer_iter_mut().zip(second.outer_iter()) {
                for (mut own, other) in first.outer_iter_mut().zip(second.outer_iter()) {
                    ndarray::Zip::from(&mut own).and(&other).and(&mask).for_each(
                        |own, &other, &stays| {
                            if !stays {
                                *own = other;
                            }
                        },
                    );
                }
            }
        }
        let stays = mask.iter().filter(|&&stays| stays).count();
        let share = stays as f64 / mask.len().max(1) as f64;
        batch.targets.mixture = Some(Mixture { share, others });
        Ok(())
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
    let kept = rounded(share * sorted.len() as f64);
    match kept.checked_sub(1).and_then(|last| sorted.get(last)) {
        Some(&most) => density.mapv(|value| value <= most),
        None => Array3::from_elem(shape, false),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number is at most the number"
)]
fn rounded(value: f64) -> usize {
    (value + 0.5) as usize
}
