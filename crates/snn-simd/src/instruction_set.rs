//! The instruction sets.

use crate::{amx, limit};
use std::fmt;
use std::str::FromStr;

/// An instruction set that kernels are compiled for, ordered from the slowest to the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionSet {
    /// The baseline of the architecture, which every machine has.
    Scalar,
    /// AVX2, with BMI1 and POPCNT (x86-64).
    Avx2,
    /// AVX-512 with byte, word and double-word instructions (F, BW, DQ, VL; x86-64).
    Avx512,
    /// AVX-512 as above, with VNNI for products of bytes (x86-64).
    Avx512Vnni,
    /// AVX-512 and VNNI as above, and the tiles of AMX with products of bytes and of bf16, which
    /// the system lets this process use (x86-64, Linux).
    ///
    /// Asking whether they are there asks the system to save tiles of all threads, for which signal
    /// stacks that are set up later must have room (12 KiB; Rust's and glibc's have).
    Amx,
}

impl InstructionSet {
    /// All instruction sets, the slowest first.
    pub const ALL: [Self; 5] =
        [Self::Scalar, Self::Avx2, Self::Avx512, Self::Avx512Vnni, Self::Amx];

    /// `true` if the processor has these instructions, whatever `SNN_INSTRUCTION_SET` says.
    pub(crate) fn is_detected(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_detected()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx512.is_detected() && is_x86_feature_detected!("avx512vnni")
            }
            Self::Amx => Self::Avx512Vnni.is_detected() && amx::is_detected(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 | Self::Avx512Vnni => false,
        }
    }

    /// `true` if this process may use the instruction set: the processor has it, and
    /// `SNN_INSTRUCTION_SET` does not name a slower one.
    pub fn is_available(self) -> bool {
        self <= limit::limit() && self.is_detected()
    }

    /// Every instruction set that this process may use, the slowest first: what tests and proofs
    /// force one after another.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.into_iter().filter(|set| set.is_available())
    }

    /// The fastest instruction set that this process may use.
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self::Scalar)
    }

    /// Name as used in reports, options and `SNN_INSTRUCTION_SET`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
            Self::Amx => "amx",
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.label())
    }
}

/// A name that no instruction set has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownInstructionSet(String);

impl fmt::Display for UnknownInstructionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "unknown instruction set `{}`; expected scalar, avx2, avx512, avx512vnni or amx",
            self.0
        )
    }
}

impl std::error::Error for UnknownInstructionSet {}

impl FromStr for InstructionSet {
    type Err = UnknownInstructionSet;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|set| set.label() == name)
            .ok_or_else(|| UnknownInstructionSet(name.into()))
    }
}
