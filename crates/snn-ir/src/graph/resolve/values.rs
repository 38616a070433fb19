//! Values that nodes yield, and whether they can be a mask.

use crate::error::{Error, Result};
use crate::graph::{MASKED, Node, Op, PoolKind};
use crate::site::Spike;
use std::fmt;

/// Values that a node yields, as far as a mask needs to know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Spikes 0 and 1: what a mask is made of.
    Binary,
    Ternary,
    Levels(u8),
    /// Of a ReLU.
    Real,
    /// Sums or averages of events.
    Sums,
    /// Of a site that may stand later.
    Delayed,
    /// Spikes that training drops, and scales where it does not: 0 and 1/(1 − p).
    Dropped,
    Pixels,
    Current,
}

impl Values {
    pub(super) fn of(op: &Op, mut inputs: impl Iterator<Item = Self>) -> Self {
        match op {
            Op::Input { .. } => Self::Pixels,
            Op::Delay { .. } => Self::Delayed,
            Op::Conv(_)
            | Op::Linear { .. }
            | Op::Scale
            | Op::BatchNorm { .. }
            | Op::TimeMean
            | Op::TimeLast
            | Op::TimeMax => Self::Current,
            Op::Activation { site, .. } => match site.spike() {
                None => Self::Real,
                Some(Spike::Binary) => Self::Binary,
                Some(Spike::Ternary) => Self::Ternary,
                Some(Spike::Integer { levels }) => Self::Levels(levels),
            },
            Op::Pool { pool: PoolKind::Max, .. }
            | Op::GlobalPool { pool: PoolKind::Max }
            | Op::Flatten
            | Op::Concat => inputs.find(|values| *values != Self::Binary).unwrap_or(Self::Binary),
            Op::Pool { .. } | Op::GlobalPool { .. } | Op::ChannelSum { .. } | Op::Add => {
                inputs.find(|values| *values == Self::Current).unwrap_or(Self::Sums)
            }
            Op::Dropout { .. } | Op::DropPath { .. } => match inputs.next() {
                Some(Self::Binary) | None => Self::Dropped,
                Some(values) => values,
            },
            Op::Mask { .. } => inputs.nth(MASKED).unwrap_or(Self::Current),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary => f.write_str("binary spikes"),
            Self::Ternary => f.write_str("ternary spikes"),
            Self::Levels(levels) => write!(f, "levels of 0 to {levels}, not spikes"),
            Self::Real => f.write_str("real values of a ReLU"),
            Self::Sums => f.write_str("sums or averages of events"),
            Self::Delayed => f.write_str("events of earlier macro-steps"),
            Self::Dropped => f.write_str(
                "spikes that dropout scales in training (put the dropout behind the mask)",
            ),
            Self::Pixels => f.write_str("pixels"),
            Self::Current => f.write_str("a current"),
        }
    }
}

/// A mask is binary spikes: with any other values `m · x` would not be events of the levels of `x`.
pub(super) fn check_mask(node: &Node, mask: Values) -> Result<()> {
    if mask == Values::Binary {
        return Ok(());
    }
    Err(Error::Refused {
        node: node.name.clone(),
        reason: format!(
            "its mask, the first input `{}`, yields {mask}; a mask must be binary spikes: a LIF \
             site of binary spikes, perhaps max-pooled, flattened, concatenated or masked",
            node.inputs[0]
        ),
    })
}
