#![doc = include_str!("../README.md")]

mod check_site;
pub mod conversion;
pub mod encode;
pub mod error;
pub mod evaluate;
pub mod file;
pub mod graph;
pub mod init;
pub mod model;
pub mod networks;
#[doc(hidden)]
pub use networks as models;
pub mod naive;
mod naive_site;
pub mod neurons;
pub mod random;
pub mod site;
pub mod streams;
mod strict;
pub mod weights;

pub use conversion::{CodeChoice, ConversionOptions, GridOptions};
pub use encode::Encoder;
pub use error::{Error, Result};
pub use evaluate::{Evaluate, Evaluation, Input, Logits, Record, SiteOutput, SiteTrace};
pub use graph::{
    BATCH_NORM_EPS, Conv, Geometry, Graph, GraphBuilder, Node, Op, PoolKind, Role, Window, resolve,
};
pub use model::{Form, Model, Preprocessing, Signature};
pub use neurons::{Neuron, NeuronKind, Neurons};
pub use resolve::{Resolved, ResolvedNode, SiteInfo};
pub use site::{
    Adaptation, Code, Custom, GridLif, Leak, Lif, QuantRelu, Reset, Share, Site, Spike, Surrogate,
    Synapse, Threshold,
};
pub use weights::{Tensor, Weights};

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
