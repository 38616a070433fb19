//! Why a model cannot be compiled.

use crate::error::Error;
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

/// An error of [`compile`](crate::compile).
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
