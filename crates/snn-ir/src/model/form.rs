//! Forms of a model.

use crate::strict::no_fields;
use serde::{Deserialize, Serialize};

/// The three forms of a model (`docs/semantics.md`, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Form {
    /// As trained: batch norm, real weights, sites emit values.
    #[serde(deserialize_with = "no_fields")]
    Trained,
    /// Converted: folded f64 weights, sites emit levels in codes.
    #[serde(deserialize_with = "no_fields")]
    Events,
    /// Converted and on the integer grid.
    Grid {
        /// Value of one unit of the summed logits (eq. 13).
        logit_unit: f64,
    },
}

impl Form {
    /// Name as used in reports.
    pub fn label(&self) -> &'static str {
        match self {
            Form::Trained => "trained",
            Form::Events => "events",
            Form::Grid { .. } => "grid",
        }
    }
}
