//! Names of codes, conversions and budgets, as the command line, tables and their records have
//! them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use snn_ir::{Code, GridOptions};
use snn_reparam::proof::Tuning;
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

/// What a table converts a network to: a code, and how its weights become integers. Written
/// `unary`, `unary-calibrated`, `unary-int16` or `unary-finetuned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TargetName {
    /// The code of ReLU sites.
    pub(crate) code: CodeName,
    /// How weights become integers.
    pub(crate) rounding: RoundingName,
}

/// How the weights of a table's networks become integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoundingName {
    /// Of 8 bits, the nearest.
    Nearest,
    /// Of 8 bits, by what layers read of [`CALIBRATION`] training samples.
    Calibrated,
    /// Of 16 bits, the nearest.
    Int16,
    /// Of 8 bits, the nearest, and then trained further on the grid.
    Finetuned,
}

/// Training samples by which tables calibrate.
pub(crate) const CALIBRATION: u32 = 512;

impl RoundingName {
    const ALL: [Self; 4] = [Self::Nearest, Self::Calibrated, Self::Int16, Self::Finetuned];

    /// What stands behind the code.
    fn suffix(self) -> &'static str {
        match self {
            Self::Nearest => "",
            Self::Calibrated => "-calibrated",
            Self::Int16 => "-int16",
            Self::Finetuned => "-finetuned",
        }
    }

    /// What a proof may find changed in the weights of such a network.
    pub(crate) fn tuning(self) -> Tuning {
        if self.is_tuned() { Tuning::Weights } else { Tuning::None }
    }

    /// `true` if the weights are trained further on the grid.
    pub(crate) fn is_tuned(self) -> bool {
        self == Self::Finetuned
    }

    /// Settings of its grid.
    pub(crate) fn grid(self) -> GridOptions {
        match self {
            Self::Nearest | Self::Finetuned => GridOptions::default(),
            Self::Calibrated => GridOptions { calibration: CALIBRATION, ..GridOptions::default() },
            Self::Int16 => GridOptions::int16(),
        }
    }
}

impl TargetName {
    /// Every target.
    fn all() -> impl Iterator<Item = Self> {
        let codes = CodeName::value_variants().iter();
        codes.flat_map(|&code| RoundingName::ALL.map(|rounding| Self { code, rounding }))
    }
}

impl From<CodeName> for TargetName {
    fn from(code: CodeName) -> Self {
        Self { code, rounding: RoundingName::Nearest }
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Code::from(self.code).label(), self.rounding.suffix())
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
        Self::all().find(|target| target.to_string() == text).ok_or_else(|| {
            let all: Vec<String> = Self::all().map(String::from).collect();
            format!("unknown code `{text}`, expected one of {}", all.join(", "))
        })
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
