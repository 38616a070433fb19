//! What passes do to nodes.

use super::Refusal;
use serde::{Deserialize, Serialize};
use snn_ir::Code;

/// Action of a pass on a node; its text is the [`Display`](std::fmt::Display) form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Dropout is for training and removed.
    TrainingOnly,
    /// A batch norm is absorbed by the layer before it.
    FoldedInto {
        /// The convolution or linear layer.
        layer: String,
        /// Max poolings between the two, which commute with the norm because all of its factors κ
        /// are positive; the norm's input first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        poolings: Vec<String>,
    },
    /// A channel sum becomes a convolution or linear layer of weights 1.
    BecomesLayer {
        /// Groups of channels.
        groups: usize,
    },
    /// A layer that reads a sum of currents is composed with the layers below it.
    Composed {
        /// The sum.
        input: String,
        /// Layers and event streams that it sums: as many layers there are now.
        streams: usize,
    },
    /// A layer or sum is gone, since its readers are composed with it.
    ComposedAway,
    /// A linear reader of a sum of events is copied to every stream; the add comes behind it.
    MovedBefore {
        /// The add.
        add: String,
        /// Streams that it sums.
        streams: usize,
    },
    /// An average of currents becomes a sum; its divisor goes into the weights before it.
    SumOfCurrents {
        /// Values in a window: the divisor.
        window: usize,
    },
    /// An average of events becomes a sum; its divisor goes into the weights after it.
    SumOfEvents {
        /// Values in a window: the divisor.
        window: usize,
    },
    /// The input yields integers; its deviation goes into the weights after it.
    IntegerPixels,
    /// A site emits levels; its step goes into the weights after it.
    StepMerged {
        /// Highest level D.
        levels: u8,
    },
    /// A delay yields the levels of a site of macro-steps before; the site's step goes into the
    /// weights after the delay too.
    Delayed {
        /// The site.
        site: String,
        /// Macro-steps.
        steps: usize,
    },
    /// A one-to-one synapse is put where a stream of events enters a sum as it is.
    SynapseAdded {
        /// The stream.
        stream: String,
    },
    /// A site sends its values in a code.
    Coded {
        /// The code.
        code: Code,
        /// Micro-steps of one macro-step.
        micro_steps: u32,
    },
    /// A ReLU sends its real values as payloads of graded events.
    RealPayload,
    /// A max pooling compares levels, before planes are formed.
    MaxOfLevels,
    /// A mask passes levels on or holds them back, before planes are formed; their scale passes
    /// with them.
    MasksLevels,
    /// Weights of a layer carry the scales before it.
    CarriesScales {
        /// `true` if they also carry the norm after it.
        norm: bool,
    },
    /// An add joins currents.
    JoinsCurrents,
    /// The head is the mean over macro-steps.
    MeanOverTime,
    /// The head is the last macro-step.
    LastOverTime,
    /// The head is the maximum over macro-steps.
    MaxOverTime,
    /// Nothing changes.
    Kept,
    /// A ReLU becomes a quantised ReLU with a step for each channel.
    Quantised {
        /// Number of levels D.
        levels: u8,
        /// Relative error of what it yields, `√(Σ(s·q − x)² / Σx²)`, on the samples that its steps
        /// were chosen by.
        error: f64,
        /// Share of the positive values that are clipped to the highest level.
        clipped: f64,
        /// Channels that yielded nothing but zeros, whose step is that of the others.
        silent: usize,
    },
    /// A batch norm of the image becomes its mean and deviation, the mean rounded, and what is
    /// lacking goes into the layers that read the image.
    OfImage {
        /// Upper bound of what remains in a current at a border of zero padding.
        at_border: f64,
    },
    /// The bias of a layer, or the mean of the norm after it, takes up what the mean of its inputs
    /// changed by.
    BiasCorrected {
        /// The largest change of a channel.
        largest: f64,
    },
    /// Weights become integers.
    Rounded {
        /// Their bits: 8, or 16 as two of 8.
        #[serde(default = "usual_bits", skip_serializing_if = "are_usual")]
        bits: u8,
        /// Largest multiplier of a channel.
        multiplier: f64,
        /// Largest rounding error of a weight, in parts of its channel's largest weight.
        error: f64,
    },
    /// A quantised ReLU becomes integer thresholds.
    Thresholds {
        /// Thresholds of a channel.
        levels: u8,
    },
    /// A LIF neuron becomes its integer counterpart (eq. 13).
    IntegerNeuron {
        /// The membrane's leak.
        leak: Fraction,
        /// Decay of the synaptic current, if there is one.
        synapse: Option<Fraction>,
        /// Decay of the adaptation, if there is one.
        adaptation: Option<Fraction>,
        /// Largest relative rounding error of the adaptation's jump.
        jump_error: f64,
        /// Largest relative rounding error of a threshold that must be whole.
        threshold_error: f64,
        /// Largest relative rounding error of a first membrane that is not at rest.
        #[serde(default)]
        initial_error: f64,
        /// Fractional bits of the membrane.
        guard_bits: u8,
        /// `true` if the floor of the leak never rounds in T macro-steps.
        floor_exact: bool,
    },
    /// Sums of a layer are bounded: `|Σ n·x|` stays below a power of two.
    SumBelow {
        /// The exponent.
        bits: u32,
        /// `true` if every such sum is an f32 exactly.
        single_precision: bool,
    },
    /// The node has no exact event form, or none on the grid; the conversion fails.
    Refused {
        /// Why.
        reason: Refusal,
    },
}

fn usual_bits() -> u8 {
    snn_ir::DEFAULT_WEIGHT_BITS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn are_usual(bits: &u8) -> bool {
    *bits == usual_bits()
}

/// A factor between 0 and 1 as an integer over a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fraction {
    /// The factor.
    pub factor: f64,
    /// Numerator k.
    pub multiplier: u32,
    /// Exponent m: the fraction is `k/2^m`.
    pub shift: u8,
}

/// Relative error below which an integer counts as exact.
pub(super) const EXACT: f64 = 1e-9;

impl Fraction {
    /// The fraction less the factor.
    pub fn error(&self) -> f64 {
        f64::from(self.multiplier) / 2_f64.powi(i32::from(self.shift)) - self.factor
    }
}

/// Effect on a node, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The node stays as it is.
    Kept,
    /// The node is rewritten.
    Converted,
    /// The node is absorbed by another one.
    Merged,
    /// The node is gone: it did nothing but in training.
    Removed,
    /// The node is new.
    Added,
    /// The node has no exact event form; the conversion fails.
    Refused,
}

impl Action {
    /// The action in one word.
    pub fn effect(&self) -> Effect {
        match self {
            Action::FoldedInto { .. } | Action::ComposedAway => Effect::Merged,
            Action::TrainingOnly => Effect::Removed,
            Action::SynapseAdded { .. } => Effect::Added,
            Action::Coded { code: Code::Binary | Code::Ternary, .. }
            | Action::MaxOfLevels
            | Action::MasksLevels
            | Action::CarriesScales { .. }
            | Action::JoinsCurrents
            | Action::MeanOverTime
            | Action::Delayed { .. }
            | Action::LastOverTime
            | Action::MaxOverTime
            | Action::Kept
            | Action::SumBelow { .. } => Effect::Kept,
            Action::MovedBefore { .. }
            | Action::BecomesLayer { .. }
            | Action::Composed { .. }
            | Action::SumOfCurrents { .. }
            | Action::SumOfEvents { .. }
            | Action::IntegerPixels
            | Action::StepMerged { .. }
            | Action::Coded { .. }
            | Action::RealPayload
            | Action::Quantised { .. }
            | Action::OfImage { .. }
            | Action::BiasCorrected { .. }
            | Action::Rounded { .. }
            | Action::Thresholds { .. }
            | Action::IntegerNeuron { .. } => Effect::Converted,
            Action::Refused { .. } => Effect::Refused,
        }
    }

    /// `true` if the action changes what a network computes in real arithmetic: rounding does,
    /// of weights or of what a ReLU yields.
    pub fn is_rounding(&self) -> bool {
        match self {
            Action::Rounded { error, .. } => *error > EXACT,
            Action::Quantised { .. } | Action::BiasCorrected { .. } => true,
            Action::OfImage { at_border } => *at_border > 0.0,
            Action::IntegerNeuron {
                leak,
                synapse,
                adaptation,
                jump_error,
                threshold_error,
                initial_error,
                floor_exact,
                ..
            } => {
                let off = |fraction: &Fraction| fraction.error() != 0.0;
                !floor_exact
                    || jump_error.max(*threshold_error).max(*initial_error) > EXACT
                    || [Some(*leak), *synapse, *adaptation].iter().flatten().any(off)
            }
            _ => false,
        }
    }
}
