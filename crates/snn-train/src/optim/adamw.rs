//! Adam with decoupled weight decay.

use crate::config::check::{check, within};
use crate::error::Result;
use crate::optim::slot::Slot;
use serde::{Deserialize, Serialize};
use snn_core::lists;

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

    /// The step of a parameter at a learning rate, the step of that number.
    pub(crate) fn step_of(&self, slot: &Slot, learning_rate: f64, number: u32) -> lists::AdamW {
        let Self { beta1, beta2, eps, .. } = *self;
        // Weight decay does not depend on the size. A weight without one is 0.
        let weight_decay = if slot.size > 0.0 { slot.decay / slot.size } else { 0.0 };
        let learning_rate = learning_rate * slot.size;
        lists::AdamW { learning_rate, beta1, beta2, eps, weight_decay, number }
    }
}
