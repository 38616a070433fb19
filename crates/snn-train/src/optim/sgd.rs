//! Stochastic gradient descent with momentum.

use crate::config::check::{check, within};
use crate::error::Result;
use crate::optim::slot::Slot;
use serde::{Deserialize, Serialize};
use snn_core::lists;

/// Peak learning rate for batches of 128 (He 2016, section 4.2).
pub const DEFAULT_LEARNING_RATE: f64 = 0.1;
/// Momentum (He 2016, section 4.2).
pub const DEFAULT_MOMENTUM: f64 = 0.9;
/// Weight decay of CIFAR recipes (Zagoruyko & Komodakis 2016).
pub const DEFAULT_WEIGHT_DECAY: f64 = 5e-4;

/// Stochastic gradient descent with momentum, in `PyTorch`'s form: `d = g + w·p`, `b ← m·b + d`,
/// then `p ← p − r·(d + m·b)` with Nesterov's momentum and `p ← p − r·b` without.
///
/// Weight decay `w` acts on the weights of convolutions and linear layers only: not on batch norm,
/// biases, steps or leaks, unless a group says so
/// ([`GroupConfig::weight_decay`](crate::GroupConfig::weight_decay)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdConfig {
    /// Learning rate r, the largest of the schedule.
    pub learning_rate: f64,
    /// Momentum m, 0 to below 1.
    pub momentum: f64,
    /// `true` if the momentum is Nesterov's.
    pub nesterov: bool,
    /// Weight decay w.
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            learning_rate: DEFAULT_LEARNING_RATE,
            momentum: DEFAULT_MOMENTUM,
            nesterov: true, // Zagoruyko & Komodakis 2016
            weight_decay: DEFAULT_WEIGHT_DECAY,
        }
    }
}

impl SgdConfig {
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
        check("momentum", (0.0..1.0).contains(&self.momentum), "0 to below 1", self.momentum)?;
        check("weight_decay", decay.is_finite() && decay >= 0.0, "at least 0", decay)
    }

    /// The step of a parameter at a learning rate.
    pub(crate) fn step_of(&self, slot: &Slot, learning_rate: f64) -> lists::Sgd {
        let Self { momentum, nesterov, .. } = *self;
        let learning_rate = learning_rate * slot.size.powi(2);
        lists::Sgd { learning_rate, momentum, weight_decay: slot.decay, nesterov }
    }
}
