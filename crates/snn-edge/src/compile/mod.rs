//! The compiler: from a model in form `grid` to the bytes of a program.

mod check;
mod emit;
mod error;
mod fuse;
mod memory;
mod parameters;
mod range;

pub use error::{CompileError, Refusal};

use crate::program::Program;
use snn_ir::Model;
use std::vec::Vec;

/// Compiles a model in form `grid` to a program, whose scores equal those of every other
/// interpreter of the model to the bit.
///
/// A synapse, what is added to its current, a pooling behind it and the site that reads it become
/// one stage, so that no current takes memory where a single site reads it.
///
/// # Errors
/// The model is not valid or not in form `grid`, or has what a program cannot say; the error lists
/// every such node with the reason and a way out.
pub fn compile(model: &Model) -> Result<Vec<u8>, CompileError> {
    check::run(model)?;
    let mut stages = fuse::Fusion::of(model)?.stages()?;
    memory::plan(&mut stages, model.time_steps());
    let bytes = emit::bytes(model, &stages)?;
    Program::new(&bytes).map_err(CompileError::TooLarge)?;
    Ok(bytes)
}
