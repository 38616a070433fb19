//! The site that a chosen site becomes.

use crate::Result;
use crate::choose::Network;
use crate::named::{self, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use snn_ir::{QuantRelu, Site};

/// The site that a chosen site becomes. As data it is a name (`"relu"`) or a table
/// (`{ kind = "quant_relu", levels = 4 }`).
///
/// Only [`QuantRelu`] can go on the integer grid, so it is the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "snake_case")]
pub enum Replacement {
    /// `max(x, 0)`.
    Relu,
    /// Clipped and quantised `ReLU` with a learned step.
    QuantRelu {
        /// Levels, first step and sharing of the step.
        #[serde(flatten)]
        relu: QuantRelu,
        /// Sites with a number of levels of their own; a site has that of the first entry that
        /// matches it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sites: Vec<SiteLevels>,
    },
}

/// The number of levels of sites that match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteLevels {
    /// A glob over names of sites, as those of [`Policy::Sites`](crate::Policy::Sites).
    pub names: String,
    /// Their number of levels D, 1 to 255. The first step is larger by as much as they are fewer:
    /// the largest output stays.
    pub levels: u8,
}

impl Default for Replacement {
    fn default() -> Self {
        QuantRelu::default().into()
    }
}

impl From<QuantRelu> for Replacement {
    fn from(relu: QuantRelu) -> Self {
        Replacement::QuantRelu { relu, sites: Vec::new() }
    }
}

impl Replacement {
    /// `true` if every site has as many levels as with the other; steps may differ.
    pub fn has_levels_of(&self, other: &Self) -> bool {
        let of = |replacement: &Self| match replacement {
            Replacement::Relu => None,
            Replacement::QuantRelu { relu, sites } => Some((relu.levels, sites.clone())),
        };
        of(self) == of(other)
    }

    /// The site that each site of a network would become.
    pub(crate) fn sites(&self, network: &Network<'_>) -> Result<Vec<Site>> {
        let count = network.sites.len();
        Ok(match self {
            Replacement::Relu => vec![Site::RELU; count],
            Replacement::QuantRelu { relu, sites } => {
                let mut all = vec![Site::QuantRelu(relu.clone()); count];
                // The first entry has the last word.
                for SiteLevels { names, levels } in sites.iter().rev() {
                    let step = relu.step * f64::from(relu.levels) / f64::from((*levels).max(1));
                    let own = QuantRelu { levels: *levels, step, share: relu.share };
                    let matched =
                        network.matched("replacement.sites", std::slice::from_ref(names))?;
                    for (site, _) in all.iter_mut().zip(matched).filter(|(_, matched)| *matched) {
                        *site = Site::QuantRelu(own.clone());
                    }
                }
                all
            }
        })
    }
}

const KINDS: &[Kind] = &[("relu", &[]), ("quant_relu", &["levels", "step", "share", "sites"])];

impl Serialize for Replacement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Replacement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named::read(deserializer, "a replacement", KINDS, Self::deserialize)
    }
}
