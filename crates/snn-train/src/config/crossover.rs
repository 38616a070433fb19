//! Settings of a crossover: sites that become LIF in several stages.

use crate::config::check::check;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use snn_hybrid::End;

/// Each stage has a folder in that of the next.
const MOST_STAGES: usize = 100;

/// A crossover schedule (`[crossover]`): the sites that are ReLUs in the twin and LIF in the run
/// change in several stages, each of which trains for some epochs before the next begins.
///
/// In stage k of n the first ⌈m·k/n⌉ of the m sites that the policy leaves spiking are LIF: the
/// policy [`Crossover`](snn_hybrid::Policy::Crossover).
///
/// A stage starts from the one before as the run starts from a twin, with thresholds fitted and
/// norms measured again, and has the twin as teacher. Stages before the last train at the run's
/// learning rate, without a schedule, warm-up, `activity` or `batch_norm_reestimation`; the last is
/// the run itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossoverConfig {
    /// Number n of stages with LIF sites; 1 changes all at once.
    pub stages: usize,
    /// Epochs of each stage before the last, which has those of the run.
    pub epochs: usize,
    /// The end of the network whose sites change first.
    pub from: End,
}

impl Default for CrossoverConfig {
    fn default() -> Self {
        Self { stages: 1, epochs: 1, from: End::Output }
    }
}

impl CrossoverConfig {
    /// `true` for a config that says nothing of it.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let stages = self.stages;
        check("crossover.stages", (1..=MOST_STAGES).contains(&stages), "1 to 100", stages)?;
        check("crossover.epochs", self.epochs > 0, "at least 1", self.epochs)
    }
}
