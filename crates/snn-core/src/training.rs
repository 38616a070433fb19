//! How a network computes while it trains; what it computes stays the same but for rounding.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tch::Kind;

/// Options of training passes ([`Mode::Train`](crate::Mode)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Training {
    /// Of activations and of the weights that convolutions and linear layers multiply with.
    pub precision: Precision,
    /// What is kept for the backward pass.
    pub memory: Memory,
}

/// A precision of training passes. Parameters, their gradients, moments of batch norm, membranes
/// and scores are in single precision in any case, and evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Activations and gradients of activations rounded to bf16, which makes them half as large;
    /// for GPUs and processors that multiply bf16.
    ///
    /// On other processors convolutions compute in single precision on the rounded values, of which
    /// libtorch keeps copies in single precision.
    Bf16,
}

/// What is kept for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// All that it needs.
    #[default]
    Keep,
    /// What each block reads; spikes as bits. The rest is computed again, block by block, with the
    /// same result to the bit, for the time of one more forward pass.
    Recompute,
}

impl Precision {
    /// Of the tensors.
    pub fn kind(self) -> Kind {
        match self {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            _ => Err(Error::Argument {
                what: "precision",
                expected: "f32 or bf16".into(),
                found: text.into(),
            }),
        }
    }
}

/// Whether this processor multiplies bf16: without such instructions libtorch takes many times as
/// long as in single precision.
pub(crate) fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
