#![doc = include_str!("../README.md")]
#![expect(clippy::inline_always, reason = "the inner loops consist of these calls")]

mod arithmetic;
mod batch;
mod by_form;
pub mod counting;
pub mod deploy;
mod geometry;
mod idle;
mod limits;
mod mask;
mod neuron;
mod packing;
mod per_process;
mod pixels;
mod pool;
mod scores;
mod threads;

pub use counting::Counting;
pub use deploy::{Deployment, Options};
pub use limits::MAX_TOTAL_VALUES;
pub use pixels::Pixels;
pub use scores::{Prediction, Scores, Sums, softmax};
pub use snn_simd::{InstructionSet, TooManyThreads, check_threads};

/// The array library of this crate's signatures.
pub use ndarray;
/// Types of the graph crate that users of the runtime need.
pub use snn_ir::{
    self, Error, Evaluate, Evaluation, Input, Logits, Model, Neurons, Record, Result, Signature,
};

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/runtime.md")]
    mod runtime {}
}
