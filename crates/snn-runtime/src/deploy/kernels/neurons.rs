//! Sites over image rows: on the grid (eq. 13), and plain LIF off it (eq. 8).

use snn_ir::MEMBRANE_LIMIT;
use snn_ir::{GridReset, Reset};
use snn_simd::compiled;

/// LIF neurons of binary spikes whose arithmetic was proved to stay within 32 bits.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) multiplier: i32,
    pub(crate) shift: u8,
    pub(crate) guard_bits: u8,
    pub(crate) reset: GridReset,
    /// `θ·2^f` of each channel.
    pub(crate) thresholds: Vec<i32>,
}

compiled! {
    /// One macro-step of an image row: currents in, flags of 0 and 1 out.
    pub(crate) fn fire(
        neurons: &Binary,
        currents: &[i32],
        membranes: &mut [i32],
        flags: &mut [u8],
    ) = fire_row;
}

#[inline(always)]
fn fire_row(neurons: &Binary, currents: &[i32], membranes: &mut [i32], flags: &mut [u8]) {
    let (multiplier, shift) = (neurons.multiplier, neurons.shift);
    if multiplier == 1 {
        // A leak by a power of two needs no product.
        fire_leaking(neurons, currents, membranes, flags, |membrane| membrane >> shift);
    } else {
        // ⌊u·k/2^m⌋ of u = 2^m·h + l is h·k + ⌊l·k/2^m⌋, of which 32 bits hold every part.
        let (rest, factor) = ((1_u32 << shift).wrapping_sub(1), multiplier.cast_unsigned());
        fire_leaking(neurons, currents, membranes, flags, |membrane| {
            let low = (membrane.cast_unsigned() & rest).wrapping_mul(factor) >> shift;
            (membrane >> shift).wrapping_mul(multiplier).wrapping_add(low.cast_signed())
        });
    }
}

#[inline(always)]
fn fire_leaking(
    neurons: &Binary,
    currents: &[i32],
    membranes: &mut [i32],
    flags: &mut [u8],
    leak: impl Fn(i32) -> i32,
) {
    match neurons.reset {
        GridReset::Hard => fire_with(neurons, currents, membranes, flags, (leak, |_, _| 0)),
        GridReset::Soft => {
            fire_with(neurons, currents, membranes, flags, (leak, |u, threshold| u - threshold));
        }
        GridReset::None => fire_with(neurons, currents, membranes, flags, (leak, |u, _| u)),
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "2³⁰ is an i32")]
fn fire_with(
    neurons: &Binary,
    currents: &[i32],
    membranes: &mut [i32],
    flags: &mut [u8],
    (leak, reset): (impl Fn(i32) -> i32, impl Fn(i32, i32) -> i32),
) {
    const LIMIT: i32 = MEMBRANE_LIMIT as i32;
    let channels = neurons.thresholds.len();
    let guard_bits = neurons.guard_bits;
    let rows = currents.chunks_exact(channels).zip(membranes.chunks_exact_mut(channels));
    for ((currents, membranes), flags) in rows.zip(flags.chunks_exact_mut(channels)) {
        let each = currents.iter().zip(membranes).zip(&neurons.thresholds).zip(flags);
        for (((&current, membrane), &threshold), flag) in each {
            let u = leak(*membrane).wrapping_add(current << guard_bits).clamp(-LIMIT, LIMIT);
            let fires = u >= threshold;
            *flag = u8::from(fires);
            *membrane = if fires { reset(u, threshold) } else { u };
        }
    }
}

/// LIF neurons of binary spikes off the grid, without synaptic current or adaptation.
#[derive(Debug)]
pub(crate) struct RealBinary {
    pub(crate) factor: f32,
    /// The potential at rest.
    pub(crate) rest: f32,
    pub(crate) reset: Reset,
    pub(crate) thresholds: Vec<f32>,
}

compiled! {
    /// One macro-step of an image row: currents in, flags of 0 and 1 out.
    pub(crate) fn fire_reals(
        neurons: &RealBinary,
        currents: &[f32],
        membranes: &mut [f32],
        flags: &mut [u8],
    ) = fire_real_row;
}

#[inline(always)]
fn fire_real_row(neurons: &RealBinary, currents: &[f32], membranes: &mut [f32], flags: &mut [u8]) {
    match neurons.reset {
        Reset::Hard { .. } => {
            fire_reals_with(neurons, currents, membranes, flags, |_, _| neurons.rest);
        }
        Reset::Soft => {
            fire_reals_with(neurons, currents, membranes, flags, |u, threshold| u - threshold);
        }
        Reset::None => fire_reals_with(neurons, currents, membranes, flags, |u, _| u),
    }
}

/// In the order of operations of [`crate::neuron::real`].
#[inline(always)]
fn fire_reals_with(
    neurons: &RealBinary,
    currents: &[f32],
    membranes: &mut [f32],
    flags: &mut [u8],
    reset: impl Fn(f32, f32) -> f32,
) {
    let channels = neurons.thresholds.len();
    let (factor, rest) = (neurons.factor, neurons.rest);
    let rows = currents.chunks_exact(channels).zip(membranes.chunks_exact_mut(channels));
    for ((currents, membranes), flags) in rows.zip(flags.chunks_exact_mut(channels)) {
        let each = currents.iter().zip(membranes).zip(&neurons.thresholds).zip(flags);
        for (((&current, membrane), &threshold), flag) in each {
            let decayed = factor * (*membrane - rest);
            let u = rest + decayed + current;
            let fires = u >= threshold;
            *flag = u8::from(fires);
            *membrane = if fires { reset(u, threshold) } else { u };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use snn_simd::Available;

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "a leak makes nothing larger")]
    fn leaks_round_down_at_every_membrane() {
        let limit = i32::try_from(MEMBRANE_LIMIT).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(0);
        for shift in 0..=16_u8 {
            let one = 1_i32 << shift;
            for multiplier in [0, 1, 2, one / 3, one - 1, one, random.random_range(0..=one)] {
                let multiplier = multiplier.min(one);
                let mut before = vec![limit, -limit, 0, -1, 1, one, -one, limit - 1];
                before.extend((0..56).map(|_| random.random_range(-limit..=limit)));
                let neurons = Binary {
                    multiplier,
                    shift,
                    guard_bits: 0,
                    reset: GridReset::None,
                    thresholds: vec![i32::MAX; before.len()],
                };
                let expected: Vec<i32> = before
                    .iter()
                    .map(|&u| ((i64::from(u) * i64::from(multiplier)) >> shift) as i32)
                    .collect();
                for instructions in Available::each() {
                    let (mut found, mut flags) = (before.clone(), vec![1; before.len()]);
                    fire(instructions, &neurons, &vec![0; before.len()], &mut found, &mut flags);
                    assert_eq!(found, expected, "{multiplier}/2^{shift}, {instructions:?}");
                    assert!(flags.iter().all(|flag| *flag == 0));
                }
            }
        }
    }
}
