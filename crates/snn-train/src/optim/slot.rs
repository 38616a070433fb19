//! State of an optimiser for one parameter.

use crate::optim::groups::GroupConfig;
use tch::Tensor;

/// One learned parameter, shared with the network, and what is kept of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    /// Its learning rate in that of the optimiser.
    pub(crate) rate: f64,
    /// Its weight decay.
    pub(crate) decay: f64,
    pub(crate) group: Option<GroupConfig>,
    /// `true` in epochs in which its group is frozen.
    pub(crate) frozen: bool,
    /// Steps of the run before its first.
    pub(crate) skipped: u32,
    /// `true` if it is the weight of a convolution or linear layer.
    pub(crate) synapse: bool,
    /// Its size, in that of initial weights that read values of about 1.
    pub(crate) size: f64,
    pub(crate) tensor: Tensor,
    /// In the order of their names.
    pub(crate) moments: Vec<Tensor>,
}
