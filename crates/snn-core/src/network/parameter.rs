//! One named tensor of a network, and the bounds of learned ones.

use tch::Tensor;

/// Smallest quantisation step that [`Network::project`](crate::Network::project) leaves.
pub const LEAST_STEP: f64 = 1e-6;

/// Distance to the reset potential, and to 0, that [`Network::project`](crate::Network::project)
/// leaves a learned threshold.
pub const LEAST_THRESHOLD: f64 = 1e-3;

/// One named tensor of a network.
#[derive(Debug)]
pub struct Parameter {
    /// `<node>.<part>`.
    pub name: String,
    /// The tensor, which the network shares: a change in place changes the network. Requires a
    /// gradient if it is learned.
    pub tensor: Tensor,
    /// `true` if training changes the parameter by gradient (not so for running statistics).
    pub learned: bool,
}

impl Parameter {
    /// The name of its node.
    pub fn node(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(node, _)| node)
    }

    /// The name of this part of the node's weights: `weight`, `bias`, `running_mean`, `step`, …
    pub fn part(&self) -> &str {
        self.name.rsplit_once('.').map_or(self.name.as_str(), |(_, part)| part)
    }
}
