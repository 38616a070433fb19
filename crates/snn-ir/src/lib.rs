#![doc = include_str!("../README.md")]

pub mod error;
pub mod evaluate;
pub mod file;
pub mod graph;
pub mod init;
pub mod model;
pub mod models;
pub mod naive;
pub mod random;
pub mod resolve;
pub mod site;
pub mod streams;
pub mod weights;

pub use error::{Error, Result};
pub use evaluate::{Evaluate, Evaluation, Input, Logits, Record, SiteOutput, SiteTrace};
pub use graph::{Conv, Graph, Node, Op, PoolKind, Window};
pub use model::{Form, Model, Preprocessing};
pub use resolve::{Resolved, ResolvedNode, SiteInfo};
pub use site::{Code, GridLif, Leak, Lif, QuantRelu, Reset, Share, Site, Surrogate};
pub use weights::{Tensor, Weights};

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/own-neuron.md")]
    mod own_neuron {}
    #[doc = include_str!("../../../docs/book/src/encoders.md")]
    mod encoders {}
    #[doc = include_str!("../../../docs/book/src/files.md")]
    mod files {}
}
