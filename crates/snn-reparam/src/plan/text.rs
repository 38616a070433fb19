//! Text of actions.

use super::action::EXACT;
use super::{Action, Effect, Fraction};
use snn_ir::Code;
use std::fmt;

impl Action {
    /// The line of a summary that counts the action; `None` for what stays as it is.
    pub(super) fn heading(&self) -> Option<String> {
        Some(match self {
            Action::TrainingOnly => "dropouts removed, which are for training".into(),
            Action::FoldedInto { .. } => "batch norms folded into the layers before them".into(),
            Action::MovedBefore { .. } => "readers of a sum copied to its streams".into(),
            Action::BecomesLayer { .. } => "channel sums made layers of weights 1".into(),
            Action::Composed { .. } => "layers composed with those below them".into(),
            Action::ComposedAway => "layers and sums gone, since their readers hold them".into(),
            Action::SumOfCurrents { .. } | Action::SumOfEvents { .. } => {
                "averages made sums, their divisors merged into weights".into()
            }
            Action::IntegerPixels => {
                "input of integers, its deviation merged into the weights after it".into()
            }
            Action::StepMerged { .. } => {
                "quantised ReLUs that emit levels, their steps merged into weights".into()
            }
            Action::SynapseAdded { .. } => "one-to-one synapses added for shortcuts".into(),
            Action::Coded { .. } | Action::RealPayload => format!("sites: {self}"),
            Action::Quantised { .. } => "ReLUs quantised, with a step for each channel".into(),
            Action::OfImage { .. } => "norm of the image, for which integer means stand".into(),
            Action::BiasCorrected { .. } => "biases corrected for the mean error of inputs".into(),
            Action::Rounded { bits, .. } => format!("layers with weights of {bits} bits"),
            Action::Thresholds { .. } => "quantised ReLUs with integer thresholds".into(),
            Action::IntegerNeuron { .. } => "LIF sites with integer membranes".into(),
            Action::Refused { .. } => "refused".into(),
            Action::MaxOfLevels
            | Action::MasksLevels
            | Action::CarriesScales { .. }
            | Action::JoinsCurrents
            | Action::MeanOverTime
            | Action::Delayed { .. }
            | Action::LastOverTime
            | Action::MaxOverTime
            | Action::Kept
            | Action::SumBelow { .. } => return None,
        })
    }
}

fn composed(input: &str, streams: usize) -> String {
    match streams {
        1 => format!("composed with the layer below it, `{input}`"),
        _ => format!("composed with each of the {streams} streams that `{input}` sums"),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::TrainingOnly => f.write_str("for training only"),
            Action::FoldedInto { layer, poolings } => folded(f, layer, poolings),
            Action::MovedBefore { add, streams } => {
                write!(f, "moved before `{add}`, one for each of its {streams} streams")
            }
            Action::BecomesLayer { groups: 1 } => f.write_str("a layer of weights 1"),
            Action::BecomesLayer { groups } => write!(f, "a layer of weights 1 in {groups} groups"),
            Action::Composed { input, streams } => f.write_str(&composed(input, *streams)),
            Action::ComposedAway => f.write_str("composed into all that read it"),
            Action::SumOfCurrents { window } => {
                write!(f, "sum; 1/{window} merged into the weights before it")
            }
            Action::SumOfEvents { window } => {
                write!(f, "sum of events; 1/{window} merged into the weights that follow")
            }
            Action::IntegerPixels => {
                f.write_str("integers p − mean; 1/std merged into the weights that follow")
            }
            Action::StepMerged { levels } => {
                write!(f, "emits levels 0 to {levels}; step merged into the weights that follow")
            }
            Action::Delayed { site, steps } => {
                let plural = if *steps == 1 { "" } else { "s" };
                write!(f, "the levels of `{site}` of {steps} macro-step{plural} before")
            }
            Action::SynapseAdded { stream } => {
                write!(f, "one-to-one synapse for `{stream}`; its weight is the merged step")
            }
            Action::Coded { code, micro_steps } => coded(f, *code, *micro_steps),
            Action::RealPayload => f.write_str("graded events with real payload"),
            Action::MaxOfLevels | Action::MasksLevels => {
                f.write_str("on levels, before planes are formed")
            }
            Action::CarriesScales { norm: true } => {
                f.write_str("weights carry the norm after it and the scales before it")
            }
            Action::CarriesScales { norm: false } => {
                f.write_str("weights carry the scales before it")
            }
            Action::JoinsCurrents => f.write_str("joins currents"),
            Action::MeanOverTime => f.write_str("the mean over macro-steps"),
            Action::LastOverTime => f.write_str("the last macro-step"),
            Action::MaxOverTime => f.write_str("the largest of each class over macro-steps"),
            Action::Kept => Ok(()),
            Action::Rounded { bits, multiplier, error } => write!(
                f,
                "{bits}-bit weights, multipliers up to {multiplier}, rounding up to {:.*} % of a \
                 channel's largest weight",
                if *bits == snn_ir::DEFAULT_WEIGHT_BITS { 2 } else { 4 },
                100.0 * error
            ),
            Action::Quantised { levels, error, clipped, silent } => {
                quantised(f, *levels, *error, *clipped, *silent)
            }
            Action::OfImage { at_border } => write!(
                f,
                "goes into an integer mean, the deviation and the layers that read the image; at a \
                 border of zeros at most {at_border:.3e} of a current remains"
            ),
            Action::BiasCorrected { largest } => {
                write!(f, "its inputs' mean error taken from the bias, at most {largest:.2e}")
            }
            Action::Thresholds { levels } => write!(f, "{levels} integer thresholds a channel"),
            Action::IntegerNeuron {
                leak,
                synapse,
                adaptation,
                jump_error,
                threshold_error,
                initial_error,
                guard_bits,
                floor_exact,
            } => {
                write!(f, "leak {leak}")?;
                for (what, fraction) in [("synapse", synapse), ("adaptation", adaptation)] {
                    if let Some(fraction) = fraction {
                        write!(f, ", {what} {fraction}")?;
                    }
                }
                for (what, error) in [
                    ("jump", jump_error),
                    ("threshold", threshold_error),
                    ("first membrane", initial_error),
                ] {
                    if *error > EXACT {
                        write!(f, ", {what} off by up to {:.2} %", 100.0 * error)?;
                    }
                }
                let floor =
                    if *floor_exact { "exact" } else { "loses less than a guard bit a step" };
                write!(f, ", {guard_bits} guard bits, floor {floor}")
            }
            Action::SumBelow { bits, single_precision } => {
                let width = if *single_precision { "f32" } else { "f64" };
                write!(f, "|Σ n·x| < 2^{bits}, exact in {width}")
            }
            Action::Refused { reason } => reason.fmt(f),
        }
    }
}

/// A ReLU that became a quantised one: levels, shares of error and of clipped values, channels that
/// never fired.
fn quantised(
    f: &mut fmt::Formatter<'_>,
    levels: u8,
    error: f64,
    clipped: f64,
    silent: usize,
) -> fmt::Result {
    let plural = if levels == 1 { "" } else { "s" };
    write!(
        f,
        "{levels} level{plural}, off by {:.2} %, {:.2} % of the positive values clipped",
        100.0 * error,
        100.0 * clipped
    )?;
    match silent {
        0 => Ok(()),
        1 => f.write_str(", 1 channel was silent"),
        silent => write!(f, ", {silent} channels were silent"),
    }
}

/// The layer that a batch norm was folded into.
fn folded(f: &mut fmt::Formatter<'_>, layer: &str, poolings: &[String]) -> fmt::Result {
    write!(f, "folded into `{layer}`")?;
    for (number, pooling) in poolings.iter().enumerate() {
        let before = if number == 0 { ", through the max pooling" } else { " and" };
        write!(f, "{before} `{pooling}`")?;
    }
    if poolings.is_empty() { Ok(()) } else { f.write_str(" (every κ > 0)") }
}

/// The code of a site.
fn coded(f: &mut fmt::Formatter<'_>, code: Code, micro_steps: u32) -> fmt::Result {
    let plural = if micro_steps == 1 { "" } else { "s" };
    match code {
        Code::Binary => f.write_str("binary spikes"),
        Code::Ternary => write!(f, "ternary spikes, {micro_steps} micro-steps"),
        code => write!(f, "{} code, {micro_steps} micro-step{plural}", code.label()),
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/2^{}", self.multiplier, self.shift)?;
        let error = self.error();
        if error == 0.0 { f.write_str(" (exact)") } else { write!(f, " (off by {error:.1e})") }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Effect::Kept => "kept",
            Effect::Converted => "converted",
            Effect::Merged => "merged",
            Effect::Removed => "removed",
            Effect::Added => "added",
            Effect::Refused => "refused",
        })
    }
}
