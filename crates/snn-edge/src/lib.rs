#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "compile")]
extern crate std;

mod bytes;
#[cfg(feature = "c")]
pub mod c;
#[cfg(feature = "compile")]
mod compile;
mod engine;
mod error;
mod format;
mod lanes;
mod mode;
mod program;
mod scores;
mod site;
mod summary;
mod term;

#[cfg(feature = "compile")]
pub use compile::{CompileError, Refusal, compile};
pub use engine::Engine;
pub use error::{Error, ErrorKind, Expected, Result};
pub use mode::Mode;
pub use program::Program;
pub use scores::Scores;
pub use summary::Summary;
