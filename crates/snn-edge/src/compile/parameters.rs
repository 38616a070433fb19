//! Weights and parameters of sites as the bytes of a program.

use crate::format::{Fraction, Lif, Reset, Spike};
use ndarray::ArrayD;
use snn_ir::{
    Conv, GridAdaptation, GridLif, GridReset, GridSynapse, Result, Tensor, Weights, weights,
};
use std::format;
use std::vec::Vec;

/// Part of a node: integers of 32 bits.
pub(super) fn integers(weights: &Weights, node: &str, part: &str) -> Result<ArrayD<i32>> {
    let name = format!("{node}.{part}");
    match weights::get(weights, &name)? {
        Tensor::I32(array) => Ok(array.clone()),
        other => {
            Err(snn_ir::Error::Weight { name, expected: "i32".into(), found: other.dtype().into() })
        }
    }
}

/// Integers as bytes, in row-major order.
pub(super) fn bytes_of(integers: &ArrayD<i32>) -> Vec<u8> {
    integers.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Parameters of a convolution, or of a linear layer as one: weights in the order group, kernel
/// row, kernel column, input channel, output channel; multipliers; biases.
pub(super) fn synapse(all: &Weights, node: &str, conv: &Conv) -> Result<Vec<u8>> {
    let name = format!("{node}.weight");
    let Tensor::I8(weight) = weights::get(all, &name)? else {
        return Err(snn_ir::Error::Weight { name, expected: "i8".into(), found: "floats".into() });
    };
    let flat: Vec<i8> = weight.iter().copied().collect();
    let (outputs, groups) = (conv.channels, conv.groups);
    let taps: usize = conv.kernel.iter().product();
    let inputs = flat.len() / (outputs * taps);
    let each = outputs / groups;
    let mut bytes = Vec::with_capacity(flat.len().next_multiple_of(4) + 8 * outputs);
    for group in 0..groups {
        for tap in 0..taps {
            for input in 0..inputs {
                for output in group * each..(group + 1) * each {
                    let weight = flat[(output * inputs + input) * taps + tap];
                    bytes.push(weight.cast_unsigned());
                }
            }
        }
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(bytes_of(&integers(all, node, "multiplier")?));
    if conv.bias {
        bytes.extend(bytes_of(&integers(all, node, "bias")?));
    } else {
        bytes.resize(bytes.len() + 4 * outputs, 0);
    }
    Ok(bytes)
}

/// Thresholds of a quantised ReLU, those of a channel one behind another.
pub(super) fn thresholds(weights: &Weights, node: &str) -> Result<Vec<u8>> {
    let by_level = integers(weights, node, "thresholds")?;
    Ok(bytes_of(&by_level.t().to_owned()))
}

/// Attributes and parameters of a LIF site.
pub(super) fn lif(weights: &Weights, node: &str, lif: &GridLif) -> Result<(Lif, Vec<u8>)> {
    // All of them by name, so that none that is added is overlooked.
    let GridLif {
        leak_multiplier,
        leak_shift,
        guard_bits,
        reset,
        spike,
        synapse,
        adaptation,
        initial,
    } = *lif;
    let fraction = |multiplier, shift| Fraction { multiplier, shift: u32::from(shift) };
    let site = Lif {
        leak: fraction(leak_multiplier, leak_shift),
        guard_bits: guard_bits.into(),
        reset: match reset {
            GridReset::Hard => Reset::Hard,
            GridReset::Soft => Reset::Soft,
            GridReset::None => Reset::None,
        },
        spike: match spike {
            snn_ir::Spike::Binary => Spike::Binary,
            snn_ir::Spike::Ternary => Spike::Ternary,
            snn_ir::Spike::Integer { levels } => Spike::Integer(levels.into()),
        },
        synapse: match synapse {
            GridSynapse::Instant => None,
            GridSynapse::Current { multiplier, shift } => Some(fraction(multiplier, shift)),
        },
        adaptation: match adaptation {
            GridAdaptation::None => None,
            GridAdaptation::Threshold { multiplier, shift } => Some(fraction(multiplier, shift)),
        },
        initial,
    };
    let mut bytes = bytes_of(&integers(weights, node, "threshold")?);
    if site.adaptation.is_some() {
        bytes.extend(bytes_of(&integers(weights, node, "adaptation")?));
    }
    if site.initial {
        bytes.extend(bytes_of(&integers(weights, node, "initial")?));
    }
    Ok((site, bytes))
}
