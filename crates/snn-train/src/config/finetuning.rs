//! Settings of fine-tuning on the grid.

use crate::config::check::check;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Fine-tuning of the converted network on the grid (`[finetuning]`), the last stage of a recipe:
/// [`finetune`](crate::finetune()) takes its epochs and its rate from it. Training the network
/// itself does not read it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuningConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// Learning rate of the first step, from where it falls to zero along half a cosine.
    pub learning_rate: f64,
}

/// Learning rate at which fine-tuning begins. Steps are relative to the size of the weights of a
/// layer, batch norm folded; gradients are those of a network near its end.
pub const DEFAULT_FINETUNING_RATE: f64 = 0.005;

impl Default for FinetuningConfig {
    fn default() -> Self {
        Self { epochs: 1, learning_rate: DEFAULT_FINETUNING_RATE }
    }
}

impl FinetuningConfig {
    /// `true` for a config that says nothing of it.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        check("finetuning.epochs", self.epochs > 0, "at least 1", self.epochs)?;
        let rate = self.learning_rate;
        let is_rate = rate.is_finite() && rate > 0.0;
        check("finetuning.learning_rate", is_rate, "above 0", rate)
    }
}
