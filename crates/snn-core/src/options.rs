//! Options of a network on tensors: where and how it computes. Options of training change speed
//! and memory, and results only by rounding.

use crate::error::{Error, Result};
use crate::neuron::registry::Registry;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tch::{Device, Kind};

/// The purpose of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Gradients; batch norm uses batch statistics and updates the running ones.
    Train,
    /// No gradients; batch norm uses running statistics.
    Evaluate,
    /// [`Evaluate`](Self::Evaluate) that computes as training passes do, in their precision and
    /// with fused sites: faster, and equal but for rounding. For a teacher, say, or to follow a
    /// training; accuracies and proofs are those of the plain evaluation.
    EvaluateFast,
}

/// Options of [`Network::with_options`](crate::Network::with_options) and
/// [`Libtorch::with_options`](crate::Libtorch::with_options).
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// The device that holds the tensors.
    pub device: Device,
    /// The kind of the parameters, `Float` or `Double`; a model on the grid, whose integers have a
    /// kind each, ignores it.
    pub kind: Kind,
    /// Execution of training passes.
    pub training: TrainingOptions,
    /// Custom neurons and surrogate gradients that the graph names.
    pub registry: Registry,
}

impl NetworkOptions {
    /// Single precision on a device, the default training options, an empty registry.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            kind: Kind::Float,
            training: TrainingOptions::default(),
            registry: Registry::default(),
        }
    }
}

/// Execution of training passes ([`Mode::Train`]): precision, which is that of
/// [`Mode::EvaluateFast`] too, and activation checkpointing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrainingOptions {
    /// Precision of activations, and of the weights that convolutions and linear layers multiply
    /// with.
    pub precision: Precision,
    /// Activation checkpointing.
    pub checkpointing: Checkpointing,
}

/// A precision of training passes. Parameters, their gradients, batch statistics, membranes and
/// scores are in single precision in any case, and so is [`Mode::Evaluate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Activations and their gradients rounded to bf16, which halves their size; for GPUs and
    /// processors that multiply bf16.
    ///
    /// On other processors convolutions compute in single precision on the rounded values, of which
    /// libtorch keeps copies in single precision.
    Bf16,
}

/// Activation checkpointing (Chen 2016, "Training deep nets with sublinear memory cost"): which
/// activations a training pass keeps for the backward pass. In files `keep`, `recompute`, or a size
/// such as `4 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Checkpointing {
    /// Every activation that the backward pass reads is kept.
    #[default]
    Off,
    /// Only the input of each block is kept, spikes packed as bits. The backward pass computes the
    /// rest again, block by block: gradients are the same to the bit, for the time of one more
    /// forward pass.
    Blocks,
    /// As many blocks are recomputed as must be for the activations of a step to stay below so many
    /// bytes: first those that take most memory for their multiplications.
    Within(u64),
}

/// Units of a size, the largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl fmt::Display for Checkpointing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Off => f.write_str("keep"),
            Self::Blocks => f.write_str("recompute"),
            Self::Within(bytes) => {
                let fits = |(_, size): &&(&str, u64)| bytes.is_multiple_of(*size);
                let (unit, size) = UNITS.iter().find(fits).unwrap_or(&UNITS[3]);
                write!(f, "{} {unit}", bytes / size)
            }
        }
    }
}

impl FromStr for Checkpointing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let size = || {
            let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
            let number: f64 = text.strip_suffix(unit.0)?.trim().parse().ok()?;
            let bytes = number * unit.1 as f64;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a size from 1 to 2⁶³ bytes"
            )]
            (1.0..9.2e18).contains(&bytes).then_some(Self::Within(bytes as u64))
        };
        match text {
            "keep" => Ok(Self::Off),
            "recompute" => Ok(Self::Blocks),
            _ => size().ok_or_else(|| Error::Argument {
                what: "memory",
                expected: "keep, recompute, or a size such as 4 GiB or 512 MiB".into(),
                found: format!("`{text}`"),
            }),
        }
    }
}

impl TryFrom<String> for Checkpointing {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Checkpointing> for String {
    fn from(checkpointing: Checkpointing) -> Self {
        checkpointing.to_string()
    }
}

impl Precision {
    /// The kind of the tensors.
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

/// `true` where this processor multiplies bf16; without such instructions libtorch takes many times
/// as long as in single precision.
pub fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
