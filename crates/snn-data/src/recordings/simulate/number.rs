//! Numbers of a simulation.

use crate::{Error, Result};

/// The nearest number of single precision.
#[expect(clippy::cast_possible_truncation, reason = "the nearest single is asked for")]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}

/// Refuses a number that is not `least` to `most`.
pub(super) fn check(field: &'static str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let expected = format!("{least} to {most}");
    Err(Error::InvalidConfig { field, expected, found: value.to_string() })
}
