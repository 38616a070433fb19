//! Refusing unknown fields where serde does not: a unit variant of an internally tagged enum
//! ignores whatever stands beside its tag.

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

/// For `#[serde(deserialize_with = "no_fields")]` on a unit variant: takes its tag alone.
pub(crate) fn no_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    NoFields::deserialize(deserializer).map(|NoFields {}| ())
}
