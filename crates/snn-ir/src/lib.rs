#![doc = include_str!("../README.md")]

mod custom_neurons;
pub mod encode;
mod error;
mod evaluate;
mod graph;
mod model;
mod moments;
pub mod networks;
mod oracle;
mod site;
mod streams;
mod strict;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use custom_neurons::{Neuron, NeuronKind, Neurons, unknown as unknown_neuron};
pub use encode::Encoder;
pub use error::{Error, Result};
pub use evaluate::{
    Evaluate, Evaluation, Input, Logits, Record, SiteOutput, SiteTrace, TIE, count_correct,
};
pub use graph::resolve::{
    MAX_CHANNELS, MAX_NODES, MAX_TIME_STEPS, MAX_VALUES, MAX_WEIGHTS, Resolved, ResolvedNode,
    SiteInfo, chw,
};
pub use graph::{
    BATCH_NORM_EPS, BATCH_NORM_MOMENTUM, Conv, Counts, Geometry, Graph, GraphBuilder,
    InitialWeights, MASKED, MAX_DELAY, Node, Norm, Op, PoolKind, Readout, Role, SpikeJoin, Stage,
    WHITENING_EPS, Window,
};
pub use model::conversion::{
    CodeChoice, ConversionOptions, DEFAULT_GUARD_BITS, DEFAULT_LEAK_BITS, DEFAULT_WEIGHT_BITS,
    GridOptions, WIDE_WEIGHT_BITS,
};
pub use model::file::{MAX_HEADER_BYTES, MAX_WEIGHT_BYTES, VERSION, printable, write_atomically};
pub use model::weights::{self, Tensor, Weights};
pub use model::{
    Checked, Form, Framing, Model, Preprocessing, Signature, SliceBy, WeightSpec, weight_specs,
};
pub use moments::{InputMoments, LayerInputs};
pub use oracle::Naive;
pub use site::parts::{GRID_WEIGHT_MAX, Initial, PartSpec, Range};
pub use site::*;
pub use streams::{F32_EXACT, Kind as StreamKind, Streams};

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/own-neuron.md")]
    mod own_neuron {}
    #[doc = include_str!("../../../docs/book/src/encoders.md")]
    mod encoders {}
    #[doc = include_str!("../../../docs/book/src/networks.md")]
    mod networks {}
    #[doc = include_str!("../../../docs/book/src/files.md")]
    mod files {}
}
