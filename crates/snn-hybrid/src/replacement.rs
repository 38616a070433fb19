//! What a chosen site becomes.

use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use snn_ir::{QuantRelu, Share, Site};
use std::fmt;

/// What a chosen site becomes. As data it is a name (`"relu"`) or a table (`{ kind = "quant_relu", levels = 4 }`).
///
/// Only [`QuantRelu`] can go on the integer grid, so it is the default.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: String,
    levels: Option<u8>,
    step: Option<f64>,
    share: Option<Share>,
}

impl Table {
    fn replacement<E: serde::de::Error>(self) -> Result<Replacement, E> {
        match self.kind.as_str() {
            "relu" if self.levels.is_none() && self.step.is_none() && self.share.is_none() => Ok(Replacement::Relu),
            "relu" => Err(E::custom("replacement `relu` takes no `levels`, `step` or `share`")),
            "quant_relu" => {
                let QuantRelu { levels, step, share } = QuantRelu::default();
                Ok(Replacement::QuantRelu(QuantRelu {
                    levels: self.levels.unwrap_or(levels),
                    step: self.step.unwrap_or(step),
                    share: self.share.unwrap_or(share),
                }))
            }
            other => Err(E::unknown_variant(other, &["relu", "quant_relu"])),
        }
    }
}

struct ReplacementVisitor;

impl<'de> Visitor<'de> for ReplacementVisitor {
    type Value = Replacement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a replacement: relu, quant_relu, or a table with `kind`")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Replacement, E> {
        Table { kind: name.to_string(), levels: None, step: None, share: None }.replacement()
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Replacement, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        table.replacement().map_err(|e: serde::de::value::Error| A::Error::custom(e))
    }
}

impl<'de> Deserialize<'de> for Replacement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReplacementVisitor)
    }
}
