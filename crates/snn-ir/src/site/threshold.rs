//! Threshold of a LIF neuron: a number, or learned.

use super::Share;
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Threshold θ of a LIF neuron. As data it is a number (`threshold = 1.0`) or a table
/// (`threshold = { kind = "learned", initial = 1.0 }`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// A constant.
    Fixed(f64),
    /// The weight `<node>.threshold`, shape `[1]` or `[C]`: θ itself, kept above the reset
    /// potential and 0 by projection after each step of the optimiser. So a file and a conversion
    /// need no mapping, and the gradient is θ's own.
    Learned {
        /// θ at the start of training.
        initial: f64,
        /// Which neurons share it.
        share: Share,
    },
}

impl Threshold {
    /// Its value, or that at the start of training.
    pub fn initial(self) -> f64 {
        match self {
            Threshold::Fixed(value) | Threshold::Learned { initial: value, .. } => value,
        }
    }
}

impl From<f64> for Threshold {
    fn from(value: f64) -> Self {
        Threshold::Fixed(value)
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Threshold::Fixed(value) => serializer.serialize_f64(*value),
            Threshold::Learned { initial, share } => {
                let mut table = serializer.serialize_struct("Threshold", 3)?;
                table.serialize_field("kind", "learned")?;
                table.serialize_field("initial", initial)?;
                table.serialize_field("share", share)?;
                table.end()
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Table {
    Learned {
        initial: f64,
        #[serde(default)]
        share: Share,
    },
}

struct ThresholdVisitor;

impl<'de> Visitor<'de> for ThresholdVisitor {
    type Value = Threshold;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a threshold: a number, or a table { kind = \"learned\", initial = .. }")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Threshold, E> {
        Ok(Threshold::Fixed(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Threshold, E> {
        Ok(Threshold::Fixed(value as f64))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Threshold, E> {
        Ok(Threshold::Fixed(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Threshold, A::Error> {
        let Table::Learned { initial, share } =
            Table::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
        Ok(Threshold::Learned { initial, share })
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ThresholdVisitor)
    }
}
