#![doc = include_str!("../README.md")]

mod amx;
mod instruction_set;
mod kernel;
mod limit;
mod prefetch;
mod threads;
pub mod tiles;

pub use instruction_set::{InstructionSet, UnknownInstructionSet};
pub use kernel::{Available, Kernel, run_with_avx2};
pub use limit::{LimitError, VARIABLE, check_limit};
pub use prefetch::prefetch;
pub use threads::{TooManyThreads, check_threads};
