//! State of an optimiser for one parameter.

use crate::optim::adamw::AdamWConfig;
use crate::optim::groups::GroupConfig;
use crate::optim::muon::MuonConfig;
use crate::optim::sgd::SgdConfig;
use tch::Tensor;

/// How one parameter moves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    Sgd(SgdConfig),
    AdamW(AdamWConfig),
    Muon(MuonConfig),
}

impl Rule {
    /// Names of what is kept of each parameter.
    pub(crate) fn moments(self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) | Self::Muon(_) => &["momentum"],
            Self::AdamW(_) => &["first_moment", "second_moment"],
        }
    }

    /// Its learning rate at the peak of the schedule.
    pub(crate) fn learning_rate(self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.learning_rate,
            Self::AdamW(adamw) => adamw.learning_rate,
            Self::Muon(muon) => muon.learning_rate,
        }
    }

    pub(crate) fn weight_decay(self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.weight_decay,
            Self::AdamW(adamw) => adamw.weight_decay,
            Self::Muon(muon) => muon.weight_decay,
        }
    }
}

/// One learned parameter, shared with the network, and what is kept of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) rule: Rule,
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
