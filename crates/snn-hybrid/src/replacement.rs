//! The site that a chosen site becomes.

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
    QuantRelu(QuantRelu),
}

impl Default for Replacement {
    fn default() -> Self {
        Replacement::QuantRelu(QuantRelu::default())
    }
}

impl Replacement {
    /// The site it makes.
    pub fn site(&self) -> Site {
        match self {
            Replacement::Relu => Site::Relu,
            Replacement::QuantRelu(quantised) => Site::QuantRelu(quantised.clone()),
        }
    }
}

const KINDS: &[Kind] = &[("relu", &[]), ("quant_relu", &["levels", "step", "share"])];

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
