#![doc = include_str!("../README.md")]

mod error;
pub mod onnx;
pub mod pixels;
pub mod state_dict;
pub mod torch;

/// Runs the book's samples as tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/import.md")]
    mod import {}
}

pub use error::{Error, Refusal, Result};

/// A network of another framework that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported<R> {
    /// The network in the form `trained`; it is valid.
    pub model: snn_ir::Model,
    /// What became of each of its parts.
    pub report: R,
}
