//! The plan of a conversion: every node with what becomes of it and why, as data.

use serde::{Deserialize, Serialize};
use snn_ir::Code;
use std::fmt;

/// Everything that a conversion does, node by node in the order of the graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// One or more entries for each node.
    pub entries: Vec<Entry>,
}

/// Action of one pass on one node.
///
/// As JSON an entry has the text of its action beside it: `node`, `op`, `action` (the effect),
/// `detail` (the text) and `what` (the data that the text is made of, which alone is read back).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Written")]
pub struct Entry {
    /// Name of the node.
    pub node: String,
    /// Operation of the node; `?` where no node has the name.
    pub op: String,
    /// Action of the pass.
    pub action: Action,
}

/// The JSON form of an entry.
#[derive(Serialize, Deserialize)]
struct Written {
    node: String,
    op: String,
    action: Effect,
    detail: String,
    what: Action,
}

impl From<Entry> for Written {
    fn from(Entry { node, op, action }: Entry) -> Self {
        Self { node, op, action: action.effect(), detail: action.to_string(), what: action }
    }
}

impl From<Written> for Entry {
    fn from(Written { node, op, what, .. }: Written) -> Self {
        Self { node, op, action: what }
    }
}

/// Action of a pass on a node; its text is the [`Display`](fmt::Display) form.
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
    /// Weights become integers of 8 bits.
    Rounded {
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
pub(crate) const EXACT: f64 = 1e-9;

impl Fraction {
    /// The fraction less the factor.
    pub fn error(&self) -> f64 {
        f64::from(self.multiplier) / 2_f64.powi(i32::from(self.shift)) - self.factor
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/2^{}", self.multiplier, self.shift)?;
        let error = self.error();
        if error == 0.0 { f.write_str(" (exact)") } else { write!(f, " (off by {error:.1e})") }
    }
}

/// Why a node has no exact event form, or none on the grid; each reason names a way out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    /// A batch norm reads something else than a layer.
    #[error(
        "its input `{input}` is not a convolution or linear layer; norms fold only into the layer \
         before them, or through max poolings into the layer before those"
    )]
    NormWithoutLayer {
        /// The input of the node.
        input: String,
    },
    /// The layer before a batch norm has other readers.
    #[error("`{layer}` before it has {readers} readers; folding would change what the others read")]
    NormBesideReaders {
        /// The layer.
        layer: String,
        /// Its readers, the norm among them.
        readers: usize,
    },
    /// A batch norm after a max pooling has a factor that is not positive.
    #[error(
        "it follows the max pooling `{pooling}` and its factor κ = γ/√(σ² + ε) of channel {channel} \
         is {factor}; only κ > 0 commutes with a maximum: keep the scale γ at 1 (`scale = false`), \
         or put the norm before the pooling"
    )]
    NormAfterMax {
        /// The max pooling.
        pooling: String,
        /// The first channel with such a factor.
        channel: usize,
        /// Its factor κ.
        factor: f64,
    },
    /// A sum has so many streams that separate ones need too many copies of their readers.
    #[error(
        "it is a sum of so many streams that its readers need over {limit} copies; put a site \
         before it"
    )]
    TooManyStreams {
        /// The most copies.
        limit: usize,
    },
    /// A reader of a sum of events is not linear.
    #[error(
        "it reads a sum of event streams, over which it does not distribute; put a site before it"
    )]
    NonLinearReader,
    /// A concatenation joins streams of different kinds.
    #[error(
        "it joins streams of different kinds (pixels, spikes, currents); put an activation site \
         before those that are not spikes"
    )]
    MixedStreams,
    /// A mask masks pixels or a current.
    #[error(
        "it masks `{input}`, which is not spikes (pixels or a current); put an activation site \
         before its second input"
    )]
    MasksOtherThanEvents {
        /// The second input of the node.
        input: String,
    },
    /// An averaged current has other readers.
    #[error(
        "it averages the current `{current}`, which others read too; average after a site instead"
    )]
    SharedCurrent {
        /// The current.
        current: String,
    },
    /// An averaged sum contains events.
    #[error(
        "it averages a sum that contains the events of `{stream}`; average after a site instead"
    )]
    AverageWithEvents {
        /// The events.
        stream: String,
    },
    /// A layer reads a current with something between, over which it does not compose.
    #[error(
        "it reads `{input}`, a current and not spikes, through `{between}` ({operation}), over \
         which it cannot be composed with the layers below; put an activation site before it"
    )]
    BehindCurrent {
        /// The input of the node.
        input: String,
        /// What stands between.
        between: String,
        /// Its operation.
        operation: String,
    },
    /// Compositions would make too many layers.
    #[error(
        "it reads a sum of so many currents that compositions with them would make over {limit} \
         layers; put an activation site before it"
    )]
    TooManyComposed {
        /// The most layers.
        limit: usize,
    },
    /// Compositions would have too many weights.
    #[error(
        "composed with the layers below, layers would have over {limit} weights; put an activation \
         site before it"
    )]
    ComposedTooLarge {
        /// The most weights.
        limit: usize,
    },
    /// A synapse reads a current.
    #[error(
        "it reads `{input}`, a current and not spikes; put an activation site (a spiking \
         shortcut) before it"
    )]
    ReadsCurrent {
        /// The input of the node.
        input: String,
    },
    /// A code was chosen for a site that has but one.
    #[error(
        "a code was chosen for it, but it is not a site of levels: binary and ternary spikes have \
         one code each"
    )]
    NoChoice,
    /// A code was chosen for a name that no node has.
    #[error("a code was chosen for it, but there is no such node")]
    NoSuchNode,
    /// A neuron of a user's own is not in the registry.
    #[error("{message}")]
    UnknownNeuron {
        /// Which one, and which there are.
        message: String,
    },
    /// A site of the grid stands in a trained model.
    #[error("a site of the grid in a trained model")]
    GridSite,
    /// The chosen code does not carry levels.
    #[error("the code {} does not carry levels; choose unary, bitplane or graded", code.label())]
    CodeWithoutLevels {
        /// The code.
        code: Code,
    },
    /// A plain ReLU has no finite code.
    #[error(
        "an unquantised ReLU has no finite spike code; train it as quant_relu, or choose the code \
         graded"
    )]
    UnquantisedRelu,
    /// A plain ReLU has no integers.
    #[error(
        "an unquantised ReLU cannot be on the grid; train it as quant_relu, whose levels the grid \
         keeps"
    )]
    ReluOnGrid,
    /// A neuron of a user's own has no integer counterpart.
    #[error(
        "`{neuron}` is a neuron of a user's own, which has no integer counterpart; keep the \
         network off the grid, or make the site a kind of LIF"
    )]
    CustomOnGrid {
        /// Name of the neuron.
        neuron: String,
    },
    /// A threshold lies above the value at which membranes saturate.
    #[error(
        "with {guard_bits} guard bits its threshold of {threshold} units is above 2^30, where \
         membranes saturate, so that it would never fire; {}", way_out(*most)
    )]
    OutOfReach {
        /// The threshold in units.
        threshold: f64,
        /// Guard bits that were asked for.
        guard_bits: u8,
        /// The most guard bits with which it could be reached.
        most: Option<u8>,
    },
    /// A first membrane lies beyond the value at which membranes saturate.
    #[error(
        "with {guard_bits} guard bits its first membrane of {membrane} units is beyond 2^30, where \
         membranes saturate; {}", way_out(*most)
    )]
    FirstMembraneOutOfReach {
        /// Its absolute value in units.
        membrane: f64,
        /// Guard bits that were asked for.
        guard_bits: u8,
        /// The most guard bits with which it fits.
        most: Option<u8>,
    },
}

fn way_out(most: Option<u8>) -> String {
    most.map_or_else(
        || "no number of guard bits is small enough".into(),
        |most| format!("use at most {most}"),
    )
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
            | Action::Rounded { .. }
            | Action::Thresholds { .. }
            | Action::IntegerNeuron { .. } => Effect::Converted,
            Action::Refused { .. } => Effect::Refused,
        }
    }

    /// `true` if the action changes what a network computes in real arithmetic: only rounding does.
    pub fn is_rounding(&self) -> bool {
        match self {
            Action::Rounded { error, .. } => *error > EXACT,
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

    /// The line of a summary that counts the action; `None` for what stays as it is.
    fn heading(&self) -> Option<String> {
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
            Action::Rounded { .. } => "layers with weights of 8 bits".into(),
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
            Action::Rounded { multiplier, error } => write!(
                f,
                "8-bit weights, multipliers up to {multiplier}, rounding up to {:.2} % of a \
                 channel's largest weight",
                100.0 * error
            ),
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

impl Entry {
    /// The refusal of this entry, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.action {
            Action::Refused { reason } => Some(reason),
            _ => None,
        }
    }
}

impl Plan {
    /// Adds an entry.
    pub(crate) fn note(&mut self, node: &str, op: &str, action: Action) {
        self.entries.push(Entry { node: node.into(), op: op.into(), action });
    }

    /// Refuses a node, once for one reason.
    pub(crate) fn refuse(&mut self, node: &str, op: &str, reason: Refusal) {
        let entry = Entry { node: node.into(), op: op.into(), action: Action::Refused { reason } };
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// This plan and then another one, of the conversion that followed.
    #[must_use]
    pub fn then(mut self, next: Plan) -> Self {
        self.entries.extend(next.entries);
        self
    }

    /// Entries that refuse a node.
    pub fn refused(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.refusal().is_some())
    }

    /// `true` if anything was refused.
    pub fn is_refused(&self) -> bool {
        self.refused().next().is_some()
    }

    /// The refused nodes with their reasons, one a line.
    pub fn refusals(&self) -> String {
        let line = |entry: &Entry| format!("  {} ({}): {}", entry.node, entry.op, entry.action);
        self.refused().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Counts of actions: one line for each kind of action, in the order in which they were first
    /// taken.
    pub fn summary(&self) -> String {
        let mut lines: Vec<(String, usize)> = Vec::new();
        for heading in self.entries.iter().filter_map(|entry| entry.action.heading()) {
            match lines.iter_mut().find(|(line, _)| *line == heading) {
                Some((_, count)) => *count += 1,
                None => lines.push((heading, 1)),
            }
        }
        let width = lines.iter().map(|(_, count)| count.to_string().len()).max().unwrap_or(0);
        let line = |(line, count): &(String, usize)| format!("{count:>width$}  {line}\n");
        lines.iter().map(line).collect::<Vec<_>>().concat()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Entry) -> &str| {
            self.entries.iter().map(|e| text(e).chars().count()).max().unwrap_or(0)
        };
        let (node, op) = (width(|e| &e.node), width(|e| &e.op));
        for entry in &self.entries {
            let line = format!(
                "{:node$}  {:op$}  {:9}  {}",
                entry.node,
                entry.op,
                entry.action.effect(),
                entry.action
            );
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
