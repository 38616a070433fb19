//! A user's own neuron as data.

use super::{Share, Spike};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A user's own neuron. The graph knows its name, its parameters and what it emits; what it
/// computes is looked up in the registry that each interpreter is given ([`crate::Neurons`] here,
/// that of `snn-core` in training).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// Its name in the registry.
    pub name: String,
    /// Constants.
    #[serde(default)]
    pub params: BTreeMap<String, f64>,
    /// Weights `<node>.<part>` that training changes by gradient.
    #[serde(default)]
    pub learned: BTreeMap<String, LearnedParam>,
    /// Which levels it emits.
    #[serde(default)]
    pub spike: Spike,
}

impl Custom {
    /// A binary neuron of this name without parameters.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            params: BTreeMap::new(),
            learned: BTreeMap::new(),
            spike: Spike::Binary,
        }
    }
}

/// A learned parameter of a user's own neuron.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedParam {
    /// Its value at the start of training.
    pub initial: f64,
    /// Which neurons share it: shape `[1]` or `[C]`.
    #[serde(default)]
    pub share: Share,
}
