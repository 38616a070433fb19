//! LIF on the grid (eq. 13).

use super::Spike;
use super::lif::{NO_ADAPTATION, is_default};
use super::parts::{Fault, PartSpec, Range};
use crate::model::form::Form;
use crate::strict::no_fields;
use serde::{Deserialize, Serialize};

/// LIF on the grid (eq. 13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridLif {
    /// k of the leak k/2^m, 0 to 2^m.
    pub leak_multiplier: u32,
    /// m of the leak k/2^m, at most 16.
    pub leak_shift: u8,
    /// f: fractional bits of the membrane, at most 16.
    pub guard_bits: u8,
    /// Hard (to 0), soft or none.
    pub reset: GridReset,
    /// Which levels it emits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spike: Spike,
    /// Synapse between the input and the membrane.
    #[serde(default, skip_serializing_if = "is_default")]
    pub synapse: GridSynapse,
    /// Effect of spikes on the threshold; the jump is the weight `<node>.adaptation`, i32 `[C]`, in
    /// units of the membrane.
    #[serde(default, skip_serializing_if = "is_default")]
    pub adaptation: GridAdaptation,
    /// `true` if membranes start at the weight `<node>.initial`, i32 `[C]`, in units of the
    /// membrane; else they start at 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initial: bool,
}

impl GridLif {
    /// Binary spikes, no synaptic current, no adaptation; leak k/2^m, f guard bits.
    pub fn new(leak_multiplier: u32, leak_shift: u8, guard_bits: u8, reset: GridReset) -> Self {
        Self {
            leak_multiplier,
            leak_shift,
            guard_bits,
            reset,
            spike: Spike::default(),
            synapse: GridSynapse::default(),
            adaptation: GridAdaptation::default(),
            initial: false,
        }
    }

    /// The weights over `channels` channels.
    pub(super) fn parts(&self, channels: usize, form: Form) -> Vec<PartSpec> {
        let part =
            |name, least| PartSpec::new(name, vec![channels], form).within(Range::AtLeast(least));
        let mut parts = vec![part("threshold", 1.0)];
        if let GridAdaptation::Threshold { .. } = self.adaptation {
            parts.push(part("adaptation", 0.0));
        }
        if self.initial {
            let initial = PartSpec::new("initial", vec![channels], form);
            parts.push(initial.within(Range::Membrane));
        }
        parts
    }

    /// The first attribute that is outside its range.
    pub(super) fn fault(&self) -> Option<Fault> {
        const RANGE: &str = "k/2^m with m ≤ 16 and k ≤ 2^m";
        let fits = |multiplier: u32, shift: u8| shift <= 16 && multiplier <= 1 << shift;
        if !fits(self.leak_multiplier, self.leak_shift) {
            return Some(("leak", RANGE, format!("{self:?}")));
        }
        if self.guard_bits > 16 {
            return Some(("guard_bits", "at most 16", self.guard_bits.to_string()));
        }
        if let GridSynapse::Current { multiplier, shift } = self.synapse
            && !fits(multiplier, shift)
        {
            return Some(("synapse", RANGE, format!("{:?}", self.synapse)));
        }
        if let GridAdaptation::Threshold { multiplier, shift } = self.adaptation {
            if !fits(multiplier, shift) {
                return Some(("adaptation", RANGE, format!("{:?}", self.adaptation)));
            }
            if matches!(self.spike, Spike::Integer { .. }) {
                return Some(("adaptation", NO_ADAPTATION, format!("{:?}", self.adaptation)));
            }
        }
        self.spike.fault()
    }
}

/// Reset on the grid; a hard reset goes to 0, since other potentials have been moved into the
/// threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GridReset {
    /// To zero.
    Hard,
    /// The threshold is subtracted, times the level.
    Soft,
    /// Nothing: the membrane keeps integrating.
    None,
}

/// Synaptic current on the grid, with the guard bits of the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GridSynapse {
    /// None.
    #[default]
    #[serde(deserialize_with = "no_fields")]
    Instant,
    /// `i[t] = sat(⌊i[t−1]·k/2^m⌋ + J[t]·2^f)`.
    Current {
        /// k, 0 to 2^m.
        multiplier: u32,
        /// m, at most 16.
        shift: u8,
    },
}

/// Adaptive threshold on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GridAdaptation {
    /// None.
    #[default]
    #[serde(deserialize_with = "no_fields")]
    None,
    /// `b[t] = sat(⌊b[t−1]·k/2^m⌋ + B·|o[t−1]|)`, threshold `θ·2^f + b[t]`.
    Threshold {
        /// k, 0 to 2^m.
        multiplier: u32,
        /// m, at most 16.
        shift: u8,
    },
}
