//! Measuring the statistics of batch norm again after training.

use serde::{Deserialize, Serialize};

/// Measuring the running statistics of batch norm again after training, with the final weights
/// ([`Network::reestimate_batch_norm`](snn_core::Network::reestimate_batch_norm)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchNormReestimationConfig {
    /// Over so many training batches, those of an epoch after the last, augmented but not mixed; 0
    /// for none.
    pub batches: usize,
}
