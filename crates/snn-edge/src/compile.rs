//! The compiler: from a model in form `grid` to the bytes of a program.

mod check;
mod emit;
mod fuse;
mod memory;
mod parameters;
mod range;

use crate::error::Error;
use crate::program::Program;
use snn_ir::Model;
use std::string::String;
use std::vec::Vec;
use std::{fmt, format};

/// A node that a program cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the node; empty for the model as a whole.
    pub node: String,
    /// The reason, and what to do.
    pub reason: String,
}

/// An error of [`compile`].
#[derive(Debug)]
#[non_exhaustive]
pub enum CompileError {
    /// The model is not valid.
    Model(snn_ir::Error),
    /// The model has what no program can say: all of it.
    Refused(Vec<Refusal>),
    /// The program would be larger than the format allows.
    TooLarge(Error),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Model(error) => write!(f, "{error}"),
            CompileError::TooLarge(error) => write!(f, "the model is too large: {error}"),
            CompileError::Refused(refusals) => {
                let lines: Vec<String> = refusals
                    .iter()
                    .map(|Refusal { node, reason }| match node.as_str() {
                        "" => reason.clone(),
                        node => format!("node `{node}`: {reason}"),
                    })
                    .collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for CompileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CompileError::Model(error) => Some(error),
            CompileError::TooLarge(error) => Some(error),
            CompileError::Refused(_) => None,
        }
    }
}

impl From<snn_ir::Error> for CompileError {
    fn from(error: snn_ir::Error) -> Self {
        CompileError::Model(error)
    }
}

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
