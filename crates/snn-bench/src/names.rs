//! Names of codes and budgets, as the command line, tables and their records have them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use snn_ir::Code;
use std::fmt;

/// Codes of ReLU sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CodeName {
    /// As many binary micro-steps as levels.
    Unary,
    /// One binary micro-step a bit.
    Bitplane,
    /// One event with a payload.
    Graded,
}

impl From<CodeName> for Code {
    fn from(name: CodeName) -> Self {
        match name {
            CodeName::Unary => Self::Unary,
            CodeName::Bitplane => Self::BitPlane,
            CodeName::Graded => Self::Graded,
        }
    }
}

/// How much a table may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BudgetName {
    /// Minutes: shows that the command works; the accuracy says little.
    Quick,
    /// Hours on the cores of one machine.
    Cpu,
    /// The whole recipe, meant for a GPU.
    Full,
}

impl fmt::Display for BudgetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Quick => "quick",
            Self::Cpu => "cpu",
            Self::Full => "full",
        })
    }
}
