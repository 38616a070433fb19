//! State of an optimiser for one parameter.

use tch::Tensor;

/// One learned parameter, shared with the network, and what is kept of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    /// `true` if it is the weight of a convolution or linear layer: the only ones that decay.
    pub(crate) synapse: bool,
    /// Its size, in that of initial weights that read values of about 1.
    pub(crate) size: f64,
    pub(crate) tensor: Tensor,
    /// In the order of their names.
    pub(crate) moments: Vec<Tensor>,
}
