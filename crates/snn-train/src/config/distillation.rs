//! Settings of distillation.

use crate::config::check::check;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Weight of the teacher (the baseline of Tian 2020, section 4).
pub(crate) const DEFAULT_DISTILLATION_WEIGHT: f64 = 0.9;
/// Temperature (the baseline of Tian 2020, section 4).
pub(crate) const DEFAULT_TEMPERATURE: f64 = 4.0;

/// Learning from a teacher (Hinton 2015): the loss is `(1 − w)·L + w·τ²·KL(teacher ‖ student)`, see
/// [`loss::distillation`](crate::loss::distillation()).
///
/// The teacher is any run off the grid on the same data, for instance the one whose every site is
/// `ReLU` (`policy = "all"`). It sees the images as the student does, and does not learn. With the
/// same `seed` and `held_out` it has never seen the images the student is watched on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillationConfig {
    /// Its run folder; empty for none.
    pub teacher: PathBuf,
    /// Its weight w, 0 to 1.
    pub weight: f64,
    /// Temperature τ.
    pub temperature: f64,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            teacher: PathBuf::new(),
            weight: DEFAULT_DISTILLATION_WEIGHT,
            temperature: DEFAULT_TEMPERATURE,
        }
    }
}

impl DistillationConfig {
    /// `true` if there is a teacher.
    pub fn is_on(&self) -> bool {
        !self.teacher.as_os_str().is_empty()
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { weight, temperature, .. } = *self;
        check("distillation.weight", (0.0..=1.0).contains(&weight), "0 to 1", weight)?;
        let fits = temperature.is_finite() && temperature > 0.0;
        check("distillation.temperature", fits, "positive", temperature)
    }
}
