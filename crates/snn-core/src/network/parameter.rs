//! One named tensor of a network, and the bounds of learned ones.

use crate::error::{Error, Result};
use snn_ir::Range;
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
    /// The values that the parameter may have, as its node says
    /// ([`PartSpec`](snn_ir::PartSpec)).
    pub range: Range,
    /// `true` if weight decay applies: to weights of convolutions and linear layers alone.
    pub decays: bool,
}

impl Parameter {
    /// The least value that [`Network::project`](crate::Network::project) leaves it; `None` where
    /// it has no bound.
    pub(crate) fn least(&self) -> Option<f64> {
        match self.range {
            Range::Positive => Some(LEAST_STEP),
            Range::Above(least) => Some(least + LEAST_THRESHOLD),
            Range::Finite
            | Range::AtLeast(_)
            | Range::GridWeight
            | Range::Membrane
            | Range::Ascending => None,
        }
    }

    /// The name of its node.
    pub fn node(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(node, _)| node)
    }

    /// The name of this part of the node's weights: `weight`, `bias`, `running_mean`, `step`, …
    pub fn part(&self) -> &str {
        self.name.rsplit_once('.').map_or(self.name.as_str(), |(_, part)| part)
    }
}

/// Makes parameters those of another network, in memory; gradients stay apart.
pub(crate) fn share(own: &mut [Parameter], others: &[Parameter]) -> Result<()> {
    let same = |(own, other): (&Parameter, &Parameter)| {
        own.name == other.name && own.tensor.size() == other.tensor.size()
    };
    if own.len() != others.len() || !own.iter().zip(others).all(same) {
        return Err(Error::Argument {
            what: "parameters",
            expected: "those of a network of the same model".into(),
            found: format!("{} of another, for {}", others.len(), own.len()),
        });
    }
    let shared = |other: &Parameter| -> Result<Tensor> {
        let tensor = other.tensor.f_detach()?;
        Ok(tensor.f_set_requires_grad(other.tensor.requires_grad())?)
    };
    let tensors = others.iter().map(shared).collect::<Result<Vec<_>>>()?;
    for (own, tensor) in own.iter_mut().zip(tensors) {
        own.tensor = tensor;
    }
    Ok(())
}
