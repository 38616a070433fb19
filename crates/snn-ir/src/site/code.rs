//! How a converted site sends its level.

use super::Spike;
use serde::{Deserialize, Serialize};

/// How a converted site sends its level (eq. 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// One plane: the spikes of a LIF neuron.
    Binary,
    /// Two planes, first of the spikes +1, then of the spikes −1.
    Ternary,
    /// D planes, a thermometer.
    Unary,
    /// ⌈log₂(D+1)⌉ planes, most significant first.
    BitPlane,
    /// One event with the level (or, for a ReLU, the value) as payload.
    Graded,
}

impl Code {
    /// Number of micro-steps K of a macro-step for levels up to `levels` (eq. 15).
    pub fn micro_steps(self, levels: u32) -> u32 {
        match self {
            Code::Binary | Code::Graded => 1,
            Code::Ternary => 2,
            Code::Unary => levels,
            Code::BitPlane => u32::BITS - levels.leading_zeros(),
        }
    }

    /// Name as used on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Code::Binary => "binary",
            Code::Ternary => "ternary",
            Code::Unary => "unary",
            Code::BitPlane => "bitplane",
            Code::Graded => "graded",
        }
    }

    /// `true` if a site that emits `spike` can be sent in this code (eq. 15).
    pub fn carries(self, spike: Spike) -> bool {
        match (spike, self) {
            (Spike::Binary, Code::Binary)
            | (Spike::Ternary, Code::Ternary)
            | (Spike::Integer { .. }, Code::Unary | Code::BitPlane | Code::Graded) => true,
            (Spike::Binary | Spike::Ternary | Spike::Integer { .. }, _) => false,
        }
    }
}
