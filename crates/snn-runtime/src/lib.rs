#![doc = include_str!("../README.md")]
#![expect(clippy::inline_always, reason = "the inner loops consist of these calls")]

mod arithmetic;
mod axis;
mod counts;
mod currents;
pub mod deploy;
mod engine;
mod grid_site;
mod layout;
mod links;
mod list;
mod own;
mod planes;
mod pool;
mod program;
mod real;
mod real_site;
mod runtime;
mod session;
mod simd;
mod site;
mod stream;
mod synapse;
mod trace;

pub use arithmetic::Scores;
pub use counts::{Counts, NodeCounts, Tally};
pub use deploy::{Deploy, Deployment, Options};
pub use program::MAX_TOTAL_VALUES;
pub use runtime::{Precision, Runtime, Session};
pub use snn_simd::InstructionSet;

/// The array library of this crate's signatures.
pub use ndarray;
/// What a user of the runtime needs of the graph crate.
pub use snn_ir::{
    self, Error, Evaluate, Evaluation, Input, Logits, Model, Neurons, Record, Result, Signature,
};

/// Name of this interpreter in reports.
pub(crate) const NAME: &str = "events";

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/runtime.md")]
    mod runtime {}
}
