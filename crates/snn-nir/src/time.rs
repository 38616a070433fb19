//! Steps of time.

use crate::error::{Error, Result};
use serde::Serialize;
use std::fmt;

/// The step of time of snnTorch and `SpikingJelly`, 10⁻⁴ s.
pub const DEFAULT_DT: f64 = 1e-4;

/// How a differential equation becomes steps of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Discretisation {
    /// Forward Euler: `λ = 1 − dt/τ`, gain `R·dt/τ`. That of snnTorch, Norse and `SpikingJelly`.
    #[default]
    Euler,
    /// Exact for a current that is constant during a step: `λ = e^(−dt/τ)`, gain `R·(1 − λ)`.
    Exponential,
}

impl fmt::Display for Discretisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Discretisation::Euler => "forward Euler",
            Discretisation::Exponential => "exponential",
        })
    }
}

/// Refuses a step of time that is none.
pub(crate) fn check_dt(dt: f64) -> Result<()> {
    if dt.is_finite() && dt > 0.0 {
        return Ok(());
    }
    Err(Error::Graph(format!("the step of time must be positive and finite, found {dt}")))
}
