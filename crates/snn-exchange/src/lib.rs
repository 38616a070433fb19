#![doc = include_str!("../README.md")]

mod error;
pub mod onnx;
pub mod pixels;
pub mod state_dict;
pub mod torch;

pub use error::{Error, Refusal, Result};
