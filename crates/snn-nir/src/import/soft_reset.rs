//! Nodes that are one neuron with a soft reset or none, as this crate writes them: NIR has a hard
//! reset alone. Without a reset there are a membrane and a threshold, else four nodes:
//!
//! ```text
//! x → membrane (LI or I) → threshold → …
//!          ▲                   │
//!        scale ◄─ delay of dt ◄┘
//! ```

use crate::flat::Flat;
use crate::op::Op;
use crate::time::Discretisation;
use std::collections::{BTreeMap, BTreeSet};

/// The other nodes of a neuron whose threshold has a name.
#[derive(Debug, Clone)]
pub(super) struct SoftReset {
    pub(super) membrane: String,
    /// What comes back after a spike; nothing without a reset.
    pub(super) scale: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct SoftResets {
    by_threshold: BTreeMap<String, SoftReset>,
    parts: BTreeSet<String>,
}

impl SoftResets {
    /// `true` for a node that is part of a neuron and not its threshold.
    pub(super) fn is_part(&self, name: &str) -> bool {
        self.parts.contains(name)
    }

    pub(super) fn of(&self, threshold: &str) -> Option<SoftReset> {
        self.by_threshold.get(threshold).cloned()
    }
}

/// Finds them by what they are, not by names.
pub(super) fn find(
    flat: &Flat,
    delays: &BTreeMap<String, usize>,
    discretisation: Discretisation,
) -> SoftResets {
    let mut found = SoftResets::default();
    // The subtracted amount is known to the neuron where the leak is the Euler step's.
    if discretisation != Discretisation::Euler {
        return found;
    }
    for (threshold, op) in &flat.nodes {
        if !matches!(op, Op::Threshold { .. }) {
            continue;
        }
        let [membrane] = flat.sources_of(threshold) else { continue };
        let alone = flat.targets_of(membrane) == [threshold.clone()];
        if !alone || !matches!(flat.nodes[membrane], Op::Li { .. } | Op::I { .. }) {
            continue;
        }
        if let [_] = flat.sources_of(membrane) {
            found.parts.insert(membrane.clone());
            let neuron = SoftReset { membrane: membrane.clone(), scale: None };
            found.by_threshold.insert(threshold.clone(), neuron);
            continue;
        }
        for delay in flat.targets_of(threshold) {
            let is_step = delays.get(delay) == Some(&1) && flat.sources_of(delay).len() == 1;
            let [scale] = flat.targets_of(delay) else { continue };
            let closes = matches!(flat.nodes[scale], Op::Scale { .. })
                && flat.targets_of(scale) == [membrane.clone()]
                && flat.sources_of(scale).len() == 1;
            if is_step && closes {
                found.parts.extend([membrane.clone(), delay.clone(), scale.clone()]);
                let neuron = SoftReset { membrane: membrane.clone(), scale: Some(scale.clone()) };
                found.by_threshold.insert(threshold.clone(), neuron);
                break;
            }
        }
    }
    found
}
