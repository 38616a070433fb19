//! The leaky integrate-and-fire neuron and its attributes (eq. 8).

use super::{Surrogate, Threshold};
use crate::strict::no_fields;
use serde::{Deserialize, Serialize};

/// Leaky integrate-and-fire neuron (eq. 8). Attributes combine freely, except where
/// [`crate::Graph::resolve`] says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lif {
    /// How the membrane decays towards the reset potential.
    pub leak: Leak,
    /// Firing threshold θ; the neuron fires at `u ≥ θ`.
    pub threshold: Threshold,
    /// Effect of a spike on the membrane.
    pub reset: Reset,
    /// Which levels it emits.
    #[serde(skip_serializing_if = "is_default")]
    pub spike: Spike,
    /// Synapse between the input and the membrane.
    #[serde(skip_serializing_if = "is_default")]
    pub synapse: Synapse,
    /// Effect of spikes on the threshold.
    #[serde(skip_serializing_if = "is_default")]
    pub adaptation: Adaptation,
    /// Gradient flow through the reset.
    pub reset_gradient: ResetGradient,
    /// Derivative used in place of the step function's.
    pub surrogate: Surrogate,
}

/// Attributes newer than the first files are written only where they say something, so that old and
/// new files of one network have equal bytes.
pub(super) fn is_default<A: Default + PartialEq>(attribute: &A) -> bool {
    *attribute == A::default()
}

/// Leak factor ½, i.e. τ = 2 without input decay: the setting of the peers we compare with (Fang
/// 2021, Zheng 2021).
pub const DEFAULT_LEAK: f64 = 0.5;
/// Threshold 1 (all surveyed recipes normalise to it).
pub const DEFAULT_THRESHOLD: f64 = 1.0;

impl Default for Lif {
    fn default() -> Self {
        Self {
            leak: Leak::Factor { factor: DEFAULT_LEAK },
            threshold: Threshold::Fixed(DEFAULT_THRESHOLD),
            reset: Reset::Hard { potential: 0.0 },
            spike: Spike::default(),
            synapse: Synapse::default(),
            adaptation: Adaptation::default(),
            reset_gradient: ResetGradient::Detached,
            surrogate: Surrogate::default(),
        }
    }
}

impl Lif {
    /// Integer LIF as its authors set it: soft reset, straight-through gradient (Luo 2024).
    pub fn integer(levels: u8) -> Self {
        Self {
            reset: Reset::Soft,
            spike: Spike::Integer { levels },
            surrogate: Surrogate::StraightThrough,
            ..Self::default()
        }
    }

    /// The potential a membrane rests at and is reset to, `v_r`: 0 unless the reset is hard.
    pub fn rest(&self) -> f64 {
        match self.reset {
            Reset::Hard { potential } => potential,
            Reset::Soft | Reset::None => 0.0,
        }
    }
}

/// Leak of a LIF neuron.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Leak {
    /// Fixed λ in [0, 1]; 1 is the IF neuron.
    Factor {
        /// λ.
        factor: f64,
    },
    /// PLIF: λ = 1/(1 + e^(−a)), `a` is the weight `<node>.leak`, shape `[1]` (Fang 2021).
    Learned {
        /// λ at the start of training, in (0, 1).
        initial: f64,
    },
}

/// Effect of a spike on the membrane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reset {
    /// The membrane is set to the reset potential, to which the leak also decays.
    Hard {
        /// `v_r`, below the threshold.
        potential: f64,
    },
    /// The threshold is subtracted, times the level.
    #[serde(deserialize_with = "no_fields")]
    Soft,
    /// Nothing: the membrane keeps integrating.
    #[serde(deserialize_with = "no_fields")]
    None,
}

/// The levels a site emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Spike {
    /// 1 at `u ≥ θ`, else 0.
    #[default]
    #[serde(deserialize_with = "no_fields")]
    Binary,
    /// +1 at `u ≥ θ`, −1 at `u ≤ −θ`, else 0 (Guo 2024).
    #[serde(deserialize_with = "no_fields")]
    Ternary,
    /// I-LIF: `clip(⌊u/θ + ½⌋, 0, D)` (Luo 2024).
    Integer {
        /// Number of levels D, 1 to 255.
        levels: u8,
    },
}

impl Spike {
    /// The largest absolute level.
    pub fn levels(self) -> u8 {
        match self {
            Spike::Binary | Spike::Ternary => 1,
            Spike::Integer { levels } => levels,
        }
    }

    /// The smallest and the largest level.
    pub fn range(self) -> (i16, i16) {
        match self {
            Spike::Binary => (0, 1),
            Spike::Ternary => (-1, 1),
            Spike::Integer { levels } => (0, i16::from(levels)),
        }
    }

    /// Comparisons with thresholds that a macro-step of one neuron takes (`docs/semantics.md`,
    /// section 8).
    pub fn comparisons(self) -> u8 {
        match self {
            Spike::Binary => 1,
            Spike::Ternary => 2,
            Spike::Integer { levels } => levels,
        }
    }
}

/// Synapse between the input of a LIF neuron and its membrane.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Synapse {
    /// Nothing.
    #[default]
    #[serde(deserialize_with = "no_fields")]
    Instant,
    /// A current that decays: `i[t] = α·i[t−1] + I[t]` (snnTorch's `Synaptic`).
    Current {
        /// α in [0, 1].
        alpha: f64,
    },
}

/// Effect of a LIF neuron's spikes on its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Adaptation {
    /// Nothing.
    #[default]
    #[serde(deserialize_with = "no_fields")]
    None,
    /// ALIF: threshold `θ + β·a[t]`, `a[t] = ρ·a[t−1] + |o[t−1]|` (Bellec 2018, in the form of
    /// Bellec 2020).
    Threshold {
        /// ρ in [0, 1].
        decay: f64,
        /// β ≥ 0.
        strength: f64,
    },
}

/// Gradient flow through the reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetGradient {
    /// The reset is a constant for the gradient (Zenke & Vogels 2021 found it trains better).
    Detached,
    /// The gradient passes through the reset.
    Flowing,
}
