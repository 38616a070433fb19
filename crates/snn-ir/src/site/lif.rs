//! The leaky integrate-and-fire neuron and its attributes (eq. 8).

use super::parts::{Fault, Initial, PartSpec, Range, positive};
use super::{FirstMembrane, Surrogate, Threshold};
use crate::model::form::Form;
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
    /// Membrane before the first macro-step, `v₀`.
    #[serde(skip_serializing_if = "is_default")]
    pub initial: FirstMembrane,
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
            initial: FirstMembrane::default(),
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

    /// The potential a membrane decays and is reset to, `v_r`: 0 unless the reset is hard.
    pub fn rest(&self) -> f64 {
        match self.reset {
            Reset::Hard { potential } => potential,
            Reset::Soft | Reset::None => 0.0,
        }
    }

    /// The weights over `channels` channels.
    pub(super) fn parts(&self, channels: usize, form: Form) -> Result<Vec<PartSpec>, &'static str> {
        let mut parts = Vec::new();
        if let Leak::Learned { initial } = self.leak {
            if form != Form::Trained {
                return Err("a learned leak becomes a fixed one in conversion");
            }
            let initial = Initial::Constant((initial / (1.0 - initial)).ln());
            parts.push(PartSpec::learned("leak", vec![1], form, initial));
        }
        if let Threshold::Learned { initial, share } = self.threshold {
            let part = Initial::Constant(initial);
            // A threshold below the reset potential would fire for ever.
            let range = Range::Above(self.rest().max(0.0));
            let part = PartSpec::learned("threshold", share.shape(channels), form, part);
            parts.push(part.within(range));
        }
        Ok(parts)
    }

    /// The first attribute that is outside its range.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.leak {
            Leak::Factor { factor } if !(0.0..=1.0).contains(&factor) => {
                return Some(("leak.factor", "in [0, 1]", factor.to_string()));
            }
            Leak::Learned { initial } if !(initial > 0.0 && initial < 1.0) => {
                return Some(("leak.initial", "in (0, 1)", initial.to_string()));
            }
            Leak::Factor { .. } | Leak::Learned { .. } => {}
        }
        let rest = self.rest();
        if !rest.is_finite() {
            return Some(("reset.potential", "finite", rest.to_string()));
        }
        match self.threshold {
            Threshold::Fixed(threshold) if !(threshold.is_finite() && threshold > rest) => {
                return Some((
                    "threshold",
                    "finite and above the reset potential",
                    threshold.to_string(),
                ));
            }
            Threshold::Learned { initial, .. } if !(positive(initial) && initial > rest) => {
                return Some((
                    "threshold.initial",
                    "positive and above the reset potential",
                    initial.to_string(),
                ));
            }
            Threshold::Fixed(_) | Threshold::Learned { .. } => {}
        }
        if let Some(fault) = self.spike.fault().or(self.initial.fault()) {
            return Some(fault);
        }
        // Both are defined symmetrically, or in multiples of the threshold, from 0.
        if self.spike != Spike::Binary {
            if matches!(self.reset, Reset::Hard { potential } if potential != 0.0) {
                return Some((
                    "reset.potential",
                    "0 for ternary and integer spikes",
                    rest.to_string(),
                ));
            }
            if self.threshold.initial() <= 0.0 {
                return Some((
                    "threshold",
                    "positive for ternary and integer spikes",
                    self.threshold.initial().to_string(),
                ));
            }
        }
        if let Synapse::Current { alpha } = self.synapse
            && !(0.0..=1.0).contains(&alpha)
        {
            return Some(("synapse.alpha", "in [0, 1]", alpha.to_string()));
        }
        if let Adaptation::Threshold { decay, strength } = self.adaptation {
            if !(0.0..=1.0).contains(&decay) {
                return Some(("adaptation.decay", "in [0, 1]", decay.to_string()));
            }
            if !(strength.is_finite() && strength >= 0.0) {
                return Some((
                    "adaptation.strength",
                    "finite and at least 0",
                    strength.to_string(),
                ));
            }
            if matches!(self.spike, Spike::Integer { .. }) {
                return Some(("adaptation", NO_ADAPTATION, format!("{:?}", self.adaptation)));
            }
        }
        self.surrogate.fault().map(|(expected, found)| ("surrogate", expected, found))
    }
}

/// `1/(1 + e^(−a))`, the leak factor of PLIF (eq. 8).
pub fn logistic(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
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

/// Why integer spikes do not adapt.
pub(super) const NO_ADAPTATION: &str =
    "none for integer spikes, whose levels are multiples of one threshold";

impl Spike {
    /// The first attribute that is outside its range.
    pub(super) fn fault(self) -> Option<Fault> {
        (self == Spike::Integer { levels: 0 }).then(|| ("spike.levels", "1 to 255", "0".into()))
    }

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
