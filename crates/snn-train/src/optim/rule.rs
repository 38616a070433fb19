//! How a parameter moves.

use crate::optim::adamw::AdamWConfig;
use crate::optim::muon::MuonConfig;
use crate::optim::sgd::SgdConfig;

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
