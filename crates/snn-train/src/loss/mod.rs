//! Losses, the teacher of distillation, and the regulariser of firing rates.

pub(crate) mod activity;
mod cross_entropy;
mod distillation;
pub(crate) mod teacher;

pub use cross_entropy::cross_entropy;
pub use distillation::{distillation, right_steps, step_distillation};

use crate::config::check::check;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use snn_core::{Forward, arrays};
use tch::{Device, Kind, Tensor};

/// Weight of the regulariser (Deng 2022, section 5.1, static images).
pub const DEFAULT_REGULARISER: f64 = 0.05;
/// Target of the regulariser: the threshold (Deng 2022, section 4.2).
pub const DEFAULT_REGULARISER_TARGET: f64 = 1.0;

/// Which loss, label smoothing apart.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LossConfig {
    /// Cross entropy of the mean over macro-steps of the class scores.
    #[default]
    CrossEntropy,
    /// Temporal efficient training (Deng 2022, eqs. 10 to 12): `(1 − λ)·L + λ·M`, where L is the
    /// mean over macro-steps of the cross entropy of each one's class scores, and M the mean square
    /// of their distance from φ. A network whose scores do not vary over time has one macro-step of
    /// them.
    Tet {
        /// λ, 0 to 1.
        #[serde(default = "default_regulariser")]
        regulariser: f64,
        /// φ.
        #[serde(default = "default_regulariser_target")]
        regulariser_target: f64,
    },
}

fn default_regulariser() -> f64 {
    DEFAULT_REGULARISER
}
fn default_regulariser_target() -> f64 {
    DEFAULT_REGULARISER_TARGET
}

/// Targets of a batch.
#[derive(Debug)]
pub struct Targets {
    /// The labels, `[B]`, i64.
    pub labels: Tensor,
    /// The other label of each image of a mixed batch, and the share of `labels`; `None` for a
    /// batch that is not mixed.
    pub mixed: Option<(Tensor, f64)>,
    /// Share of the target that goes evenly to all classes.
    pub smoothing: f64,
}

impl Targets {
    /// The targets of a batch of a loader, on a device.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn of(targets: &snn_data::Targets, smoothing: f64, device: Device) -> Result<Self> {
        let tensor =
            |labels: &[i64]| arrays::tensor(&ndarray::ArrayView1::from(labels).into_dyn(), device);
        let mixture = targets.mixture.as_ref().filter(|mixture| mixture.share < 1.0);
        let mixed = match mixture {
            Some(mixture) => Some((tensor(&mixture.others)?, mixture.share)),
            None => None,
        };
        Ok(Self { labels: tensor(&targets.labels)?, mixed, smoothing })
    }

    /// The targets of the samples from `first` on, `count` of them, without a copy.
    pub(crate) fn part(&self, first: usize, count: usize) -> Result<Self> {
        let [first, count] = [first, count].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let part = |labels: &Tensor| labels.f_narrow(0, first, count);
        let mixed = match &self.mixed {
            Some((others, share)) => Some((part(others)?, *share)),
            None => None,
        };
        Ok(Self { labels: part(&self.labels)?, mixed, smoothing: self.smoothing })
    }

    /// The label of each sample, of a mixed one that of the larger share.
    pub(crate) fn dominant(&self) -> &Tensor {
        match &self.mixed {
            Some((others, share)) if *share < 0.5 => others,
            _ => &self.labels,
        }
    }

    /// Cross entropy of `logits` `[B, K]`; of a mixed batch the mean over both labels, weighted by
    /// their shares (Zhang 2018).
    fn cross_entropy(&self, logits: &Tensor) -> Result<Tensor> {
        let own = cross_entropy(logits, &self.labels, self.smoothing)?;
        let Some((others, share)) = &self.mixed else { return Ok(own) };
        let other = cross_entropy(logits, others, self.smoothing)?;
        Ok(own.f_mul_scalar(*share)?.f_add(&other.f_mul_scalar(1.0 - share)?)?)
    }
}

impl LossConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::CrossEntropy => Ok(()),
            Self::Tet { regulariser, regulariser_target } => {
                check(
                    "loss.regulariser",
                    (0.0..=1.0).contains(&regulariser),
                    "0 to 1",
                    regulariser,
                )?;
                let finite = regulariser_target.is_finite();
                check("loss.regulariser_target", finite, "a finite number", regulariser_target)
            }
        }
    }

    /// The loss of a forward pass, a scalar.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn of(&self, scores: &Forward, targets: &Targets) -> Result<Tensor> {
        match *self {
            Self::CrossEntropy => targets.cross_entropy(&scores.logits),
            Self::Tet { regulariser, regulariser_target } => {
                let steps = scores.step_logits.f_unbind(0)?;
                let losses = steps
                    .iter()
                    .map(|logits| targets.cross_entropy(logits))
                    .collect::<Result<Vec<_>>>()?;
                let loss = Tensor::f_stack(&losses, 0)?.f_mean(None::<Kind>)?;
                let distance = scores
                    .step_logits
                    .f_sub_scalar(regulariser_target)?
                    .f_square()?
                    .f_mean(None::<Kind>)?;
                Ok(loss
                    .f_mul_scalar(1.0 - regulariser)?
                    .f_add(&distance.f_mul_scalar(regulariser)?)?)
            }
        }
    }
}
