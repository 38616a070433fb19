//! Names of codes, conversions and budgets, as the command line, tables and their records have them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use snn_ir::{Code, GridOptions};
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

/// What a table converts a network to: a code, and weights of 8 bits or of 16. Written
/// `unary` or `unary-int16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TargetName {
    /// The code of ReLU sites.
    pub(crate) code: CodeName,
    /// `true` for weights of 16 bits.
    pub(crate) is_wide: bool,
}

/// What stands behind the code of a target with weights of 16 bits.
const WIDE: &str = "-int16";

impl TargetName {
    /// Settings of its grid.
    pub(crate) fn grid(self) -> GridOptions {
        if self.is_wide { GridOptions::int16() } else { GridOptions::default() }
    }
}

impl From<CodeName> for TargetName {
    fn from(code: CodeName) -> Self {
        Self { code, is_wide: false }
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = if self.is_wide { WIDE } else { "" };
        write!(f, "{}{wide}", Code::from(self.code).label())
    }
}

impl From<TargetName> for String {
    fn from(target: TargetName) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for TargetName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (code, is_wide) = match text.strip_suffix(WIDE) {
            Some(code) => (code, true),
            None => (text.as_str(), false),
        };
        let codes = CodeName::value_variants();
        match codes.iter().find(|name| Code::from(**name).label() == code) {
            Some(code) => Ok(Self { code: *code, is_wide }),
            None => {
                let codes: Vec<_> = codes.iter().map(|name| Code::from(*name).label()).collect();
                Err(format!(
                    "unknown code `{text}`, expected one of {}, or one of them and `{WIDE}`",
                    codes.join(", ")
                ))
            }
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
