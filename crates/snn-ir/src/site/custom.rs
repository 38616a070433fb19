//! A user's own neuron as data.

use super::parts::{Fault, Initial, PartSpec};
use super::{Share, Spike};
use crate::model::form::Form;
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

    /// The weights over `channels` channels.
    pub(super) fn parts(&self, channels: usize, form: Form) -> Vec<PartSpec> {
        let part = |(name, learned): (&String, &LearnedParam)| {
            let initial = Initial::Constant(learned.initial);
            PartSpec::learned(name, learned.share.shape(channels), form, initial)
        };
        self.learned.iter().map(part).collect()
    }

    /// The first attribute that is outside its range.
    pub(super) fn fault(&self) -> Option<Fault> {
        let finite = |(name, value): (&String, f64)| {
            (!value.is_finite()).then(|| ("params", "finite", format!("{name} = {value}")))
        };
        if self.name.is_empty() {
            return Some(("name", "a name", "nothing".into()));
        }
        if let Some(part) = self.learned.keys().find(|part| part.is_empty() || part.contains('.')) {
            return Some(("learned", "of names without a dot", format!("`{part}`")));
        }
        if let Some(part) = self.learned.keys().find(|part| self.params.contains_key(*part)) {
            return Some((
                "learned",
                "of names that are not among the constants",
                format!("`{part}`"),
            ));
        }
        let constants = self.params.iter().map(|(name, value)| (name, *value));
        let learned = self.learned.iter().map(|(name, learned)| (name, learned.initial));
        constants.chain(learned).find_map(finite).or_else(|| self.spike.fault())
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
