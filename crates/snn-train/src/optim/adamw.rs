//! Adam with decoupled weight decay.

use crate::config::check::{check, within};
use crate::error::Result;
use crate::optim::slot::Slot;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Peak learning rate (Kingma & Ba 2015, algorithm 1).
pub const DEFAULT_LEARNING_RATE: f64 = 1e-3;
/// Decay of the mean of gradients (Kingma & Ba 2015, algorithm 1).
pub const DEFAULT_BETA1: f64 = 0.9;
/// Decay of the mean of their squares (Kingma & Ba 2015, algorithm 1).
pub const DEFAULT_BETA2: f64 = 0.999;
/// ε, which keeps the quotient finite (Kingma & Ba 2015, algorithm 1).
pub const DEFAULT_EPS: f64 = 1e-8;
/// Weight decay (`PyTorch`'s default).
pub const DEFAULT_WEIGHT_DECAY: f64 = 0.01;

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019), in `PyTorch`'s form:
/// `p ← p − r·w·p`, `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`, then at step t (from 1)
/// `p ← p − r/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)`.
///
/// Weight decay `w` acts on the weights of convolutions and linear layers only: not on batch norm,
/// biases, steps or leaks, unless a group says so
/// ([`GroupConfig::weight_decay`](crate::GroupConfig::weight_decay)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Learning rate r, the largest of the schedule.
    pub learning_rate: f64,
    /// Decay β₁ of the mean of gradients, 0 to below 1.
    pub beta1: f64,
    /// Decay β₂ of the mean of their squares, 0 to below 1.
    pub beta2: f64,
    /// ε.
    pub eps: f64,
    /// Weight decay w.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            learning_rate: DEFAULT_LEARNING_RATE,
            beta1: DEFAULT_BETA1,
            beta2: DEFAULT_BETA2,
            eps: DEFAULT_EPS,
            weight_decay: DEFAULT_WEIGHT_DECAY,
        }
    }
}

impl AdamWConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        within("optimiser", self.ranges())
    }

    /// Checks the ranges, without the table in the name of the key.
    pub(crate) fn ranges(&self) -> Result<()> {
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        check("learning_rate", rate.is_finite() && rate > 0.0, "positive", rate)?;
        check("beta1", (0.0..1.0).contains(&self.beta1), "0 to below 1", self.beta1)?;
        check("beta2", (0.0..1.0).contains(&self.beta2), "0 to below 1", self.beta2)?;
        check("eps", self.eps.is_finite() && self.eps > 0.0, "positive", self.eps)?;
        check("weight_decay", decay.is_finite() && decay >= 0.0, "at least 0", decay)
    }

    /// One step of one parameter, the step of that number.
    pub(crate) fn update(
        &self,
        slot: &mut Slot,
        gradient: &Tensor,
        learning_rate: f64,
        number: u32,
    ) -> Result<()> {
        let Self { beta1, beta2, eps, .. } = *self;
        let [first, second] = slot.moments.as_mut_slice() else { return Ok(()) };
        if slot.decay > 0.0 {
            let _ = slot.tensor.f_mul_scalar_(1.0 - learning_rate * slot.decay)?;
        }
        let _ = first.f_mul_scalar_(beta1)?.f_add_(&gradient.f_mul_scalar(1.0 - beta1)?)?;
        let _ = second
            .f_mul_scalar_(beta2)?
            .f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - beta2)?)?;
        let correction = |beta: f64| 1.0 - beta.powf(f64::from(number));
        let root = second.f_sqrt()?.f_div_scalar(correction(beta2).sqrt())?.f_add_scalar(eps)?;
        let rate = learning_rate * slot.size / correction(beta1);
        let _ = slot.tensor.f_sub_(&first.f_div(&root)?.f_mul_scalar(rate)?)?;
        Ok(())
    }
}
