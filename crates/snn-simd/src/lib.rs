#![doc = include_str!("../README.md")]

mod kernel;
mod limit;
mod set;

pub use kernel::{Available, Kernel, run_with_avx2};
pub use limit::{LimitError, VARIABLE, check_limit};
pub use set::{InstructionSet, UnknownInstructionSet};
