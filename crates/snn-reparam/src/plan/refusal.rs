//! Reasons for which a node is refused.

use serde::{Deserialize, Serialize};
use snn_ir::Code;

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
    /// A batch norm reads the image.
    #[error(
        "it reads the image itself, and events are of integer pixels; `snn quantise` moves it into \
         the layers that read it where it alone reads the image and all its factors κ are \
         positive, and `snn import --round-means` makes none"
    )]
    NormOfImage,
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
        "it follows the max pooling `{pooling}` and its factor κ = γ/√(σ² + ε) of channel \
         {channel} is {factor}; only κ > 0 commutes with a maximum: keep the scale γ at 1 \
         (`scale = false`), or put the norm before the pooling"
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
    /// Nothing was seen of a ReLU that is to be quantised.
    #[error("no values of its {channels} channels were seen; run samples through this network")]
    NoValues {
        /// Its channels.
        channels: usize,
    },
    /// A plain ReLU has no finite code.
    #[error(
        "an unquantised ReLU has no finite spike code; train it as quant_relu, quantise it (`snn \
         quantise`), or choose the code graded"
    )]
    UnquantisedRelu,
    /// A plain ReLU has no integers.
    #[error(
        "an unquantised ReLU cannot be on the grid; quantise it (`snn quantise`), or train it as \
         quant_relu, whose levels the grid keeps"
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
