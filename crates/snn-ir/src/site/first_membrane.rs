//! Membrane of a LIF neuron before the first macro-step: at rest, a number, or a share of the
//! threshold.

use super::parts::Fault;
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Membrane `v₀` of a LIF neuron before the first macro-step, `u⁺[0]` of eq. 8. As data it is a
/// number (`initial = 0.5`) or a table (`initial = { kind = "threshold", share = 0.5 }`), and
/// absent at rest.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum FirstMembrane {
    /// At rest: the reset potential.
    #[default]
    Rest,
    /// A potential, the same for every neuron.
    Potential(f64),
    /// So far on the way from rest to the threshold: `v_r + share·(θ − v_r)`. It follows a
    /// threshold that is learned or differs between channels; ½ is that of QCFS (Bu 2022).
    Threshold {
        /// −1 to 1.
        share: f64,
    },
}

impl FirstMembrane {
    /// `v₀` of a neuron of this reset potential and threshold.
    pub fn of(self, rest: f64, threshold: f64) -> f64 {
        match self {
            FirstMembrane::Rest => rest,
            FirstMembrane::Potential(potential) => potential,
            FirstMembrane::Threshold { share } => rest + share * (threshold - rest),
        }
    }

    /// The first attribute that is outside its range.
    pub(super) fn fault(self) -> Option<Fault> {
        match self {
            FirstMembrane::Potential(potential) if !potential.is_finite() => {
                Some(("initial", "finite", potential.to_string()))
            }
            FirstMembrane::Threshold { share } if !(-1.0..=1.0).contains(&share) => {
                Some(("initial.share", "−1 to 1", share.to_string()))
            }
            FirstMembrane::Rest | FirstMembrane::Potential(_) | FirstMembrane::Threshold { .. } => {
                None
            }
        }
    }
}

impl From<f64> for FirstMembrane {
    fn from(potential: f64) -> Self {
        FirstMembrane::Potential(potential)
    }
}

impl Serialize for FirstMembrane {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = match self {
            FirstMembrane::Potential(potential) => return serializer.serialize_f64(*potential),
            FirstMembrane::Rest => {
                let mut table = serializer.serialize_struct("FirstMembrane", 1)?;
                table.serialize_field("kind", "rest")?;
                table
            }
            FirstMembrane::Threshold { share } => {
                let mut table = serializer.serialize_struct("FirstMembrane", 2)?;
                table.serialize_field("kind", "threshold")?;
                table.serialize_field("share", share)?;
                table
            }
        };
        table.end()
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Table {
    #[serde(deserialize_with = "crate::strict::no_fields")]
    Rest,
    Threshold {
        share: f64,
    },
}

struct FirstMembraneVisitor;

impl<'de> Visitor<'de> for FirstMembraneVisitor {
    type Value = FirstMembrane;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a first membrane: a number, or a table { kind = \"threshold\", share = .. }")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<FirstMembrane, E> {
        Ok(FirstMembrane::Potential(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<FirstMembrane, E> {
        Ok(FirstMembrane::Potential(value as f64))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<FirstMembrane, E> {
        Ok(FirstMembrane::Potential(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FirstMembrane, A::Error> {
        let table =
            Table::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
        Ok(match table {
            Table::Rest => FirstMembrane::Rest,
            Table::Threshold { share } => FirstMembrane::Threshold { share },
        })
    }
}

impl<'de> Deserialize<'de> for FirstMembrane {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstMembraneVisitor)
    }
}
