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
/// With `per_step` it is `L + α·mean_t KD_τ(o_t, teacher) + β·mean_t KD_τ(o_t, right steps)` (Yu et
/// al. 2025), where `KD_τ = τ²·KL`, `o_t` are the class scores of macro-step t, α is `weight`, β is
/// `own_weight`, and the right steps are the mean of those `o_s` that name the label
/// ([`loss::right_steps`](crate::loss::right_steps)); for the cross entropy of each step as L take
/// `loss = { kind = "tet", regulariser = 0.0 }`. β needs no teacher.
///
/// The teacher is any run off the grid on the same data, for instance the one whose every site is
/// `ReLU` (`policy = "all"`). It sees the images as the student does, and does not learn. With the
/// same `seed` and `held_out` it has never seen the images the student is watched on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillationConfig {
    /// Its run folder; empty for none.
    pub teacher: PathBuf,
    /// Its weight w, 0 to 1; with `per_step` α, at least 0.
    pub weight: f64,
    /// Temperature τ.
    pub temperature: f64,
    /// `true` if it teaches each macro-step by itself.
    pub per_step: bool,
    /// Weight β of the network's own right macro-steps; 0 without `per_step`.
    pub own_weight: f64,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            teacher: PathBuf::new(),
            weight: DEFAULT_DISTILLATION_WEIGHT,
            temperature: DEFAULT_TEMPERATURE,
            per_step: false,
            own_weight: 0.0,
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
        let Self { weight, temperature, per_step, own_weight: own, .. } = *self;
        if per_step {
            let fits = weight.is_finite() && weight >= 0.0;
            check("distillation.weight", fits, "at least 0", weight)?;
        } else {
            check("distillation.weight", (0.0..=1.0).contains(&weight), "0 to 1", weight)?;
        }
        check("distillation.own_weight", own.is_finite() && own >= 0.0, "at least 0", own)?;
        let told = per_step || own <= 0.0;
        check("distillation.own_weight", told, "0 without `distillation.per_step`", own)?;
        let fits = temperature.is_finite() && temperature > 0.0;
        check("distillation.temperature", fits, "positive", temperature)
    }
}
