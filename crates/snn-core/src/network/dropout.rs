//! Dropout and drop-path in training passes.

use crate::error::{Error, Result};
use crate::network::stateless::split_time;
use crate::network::value::Value;
use crate::tensor::tensor;
use std::ops::Range;
use tch::{Device, Tensor};

/// What the masks of a training pass are drawn from. They are a function of it, of the node and of
/// the place in the batch, so that a pass that is computed again (activation checkpointing, an
/// exact resume) has the same masks, and no state of a generator is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DropoutKey {
    /// Seed of the run.
    pub seed: u64,
    /// Optimisation step.
    pub step: u64,
    /// Place in the batch of the first sample of the pass: 0, but for a replica that has a part of
    /// the batch.
    pub first_sample: u64,
}

/// Which values a mask drops together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Each by itself (Srivastava 2014).
    Value,
    /// All of a sample (stochastic depth, Huang 2016).
    Sample,
}

/// `x·m/(1 − p)`, with one mask `m` of zeros and ones for all macro-steps: a neuron that is dropped
/// is dropped for the whole sample, as `SpikingJelly` does it for spiking networks.
pub(crate) fn drop(
    x: &Value,
    rate: f64,
    unit: Unit,
    node: &str,
    key: Option<DropoutKey>,
) -> Result<Value> {
    let key = key.ok_or_else(|| Error::Argument {
        what: "masks",
        expected: format!(
            "a key for dropout node `{node}`: call Network::set_dropout_key with the seed and the \
             step before a training pass"
        ),
        found: "none".into(),
    })?;
    if rate == 0.0 {
        return Ok(x.with(x.data.shallow_clone()));
    }
    let steps = split_time(&x.data, x.steps)?;
    let device = x.data.device();
    let mask = tch::no_grad(|| mask(&steps.size()[1..], rate, unit, node, key, device))?
        .f_to_kind(x.data.f_kind()?)?
        .f_mul_scalar(1.0 / (1.0 - rate))?;
    Ok(x.with(steps.f_mul(&mask)?.f_flatten(0, 1)?))
}

/// Flags of the values of one macro-step `[B, C, H, W]` or `[B, F]` that stay.
fn mask(
    size: &[i64],
    rate: f64,
    unit: Unit,
    node: &str,
    key: DropoutKey,
    device: Device,
) -> Result<Tensor> {
    let shape: Vec<i64> = match unit {
        Unit::Value => size.to_vec(),
        Unit::Sample => {
            size.iter().enumerate().map(|(axis, &n)| if axis == 0 { n } else { 1 }).collect()
        }
    };
    let count = shape.iter().product::<i64>().unsigned_abs();
    let before = key.first_sample * (count / shape[0].unsigned_abs().max(1));
    let flags = kept(before..before + count, rate, node, key);
    let flags = tensor(&ndarray::ArrayView1::from(&flags).into_dyn(), device)?;
    // In the order of memory, channels last.
    Ok(match shape[..] {
        [batch, channels, height, width] => {
            flags.f_view([batch, height, width, channels])?.f_permute([0, 3, 1, 2])?
        }
        _ => flags.f_view(shape.as_slice())?,
    })
}

/// 1 for what stays at these places, with probability `1 − rate` each.
fn kept(places: Range<u64>, rate: f64, node: &str, key: DropoutKey) -> Vec<u8> {
    // FNV-1a, so that a mask does not depend on the nodes before.
    let name = node.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    });
    let stream = [key.seed, key.step, name]
        .into_iter()
        .fold(0_u64, |state, word| mixed(state.wrapping_add(word).wrapping_add(GOLDEN)));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is in [0, 1), so this is below 2³²"
    )]
    let dropped = (rate * 4_294_967_296.0).round() as u64;
    places
        .map(|place| mixed(stream.wrapping_add((place + 1).wrapping_mul(GOLDEN))) >> 32)
        .map(|number| u8::from(number >= dropped))
        .collect()
}

/// The increment of `SplitMix64`.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output function of `SplitMix64` (Steele, Lea and Flood 2014).
fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        // The first outputs of the reference implementation with seed 0.
        let numbers = [1_u64, 2, 3].map(|place| mixed(place.wrapping_mul(GOLDEN)));
        assert_eq!(numbers, [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]);
    }

    #[test]
    fn masks_are_of_their_rate_and_of_their_key_alone() {
        let key = DropoutKey { seed: 3, step: 7, first_sample: 0 };
        let count = 100_000_u64;
        for rate in [0.1, 0.5, 0.9] {
            let flags = kept(0..count, rate, "drop", key);
            let share = flags.iter().map(|&flag| f64::from(flag)).sum::<f64>() / count as f64;
            // Five standard deviations.
            let most = 5.0 * (rate * (1.0 - rate) / count as f64).sqrt();
            assert!((share - (1.0 - rate)).abs() < most, "{rate}: {share}");
            assert_eq!(flags, kept(0..count, rate, "drop", key));
            assert_eq!(flags[50..100], kept(50..100, rate, "drop", key));
            for (node, other) in [
                ("other", key),
                ("drop", DropoutKey { seed: 4, ..key }),
                ("drop", DropoutKey { step: 8, ..key }),
                ("drop", DropoutKey { seed: 7, step: 3, ..key }),
            ] {
                let flags_of_other = kept(0..count, rate, node, other);
                let equal = flags.iter().zip(&flags_of_other).filter(|(a, b)| a == b).count();
                let expected = rate * rate + (1.0 - rate) * (1.0 - rate);
                assert!((equal as f64 / count as f64 - expected).abs() < 0.01, "{node}, {other:?}");
            }
        }
    }
}
