//! Activation sites on the grid (eq. 13).

use crate::bytes::Integers;
use crate::format::{Lif, Reset, Spike};

/// Limit of membranes, synaptic currents and adaptations: `sat` of eq. 13.
const LIMIT: i64 = 1 << 30;

/// `sat(x) = clip(x, −2³⁰, 2³⁰)`.
#[inline]
fn saturated(value: i64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "the limits are those of 31 bits")]
    let saturated = value.clamp(-LIMIT, LIMIT) as i32;
    saturated
}

/// Level of a quantised ReLU: the number of thresholds that a current meets. The thresholds of a
/// channel lie one behind another and ascend, so they are searched by bisection.
pub(crate) fn level(thresholds: Integers<'_>, levels: usize, channel: usize, current: i32) -> i32 {
    let first = channel * levels;
    let (mut met, mut end) = (0, levels);
    while met < end {
        let middle = usize::midpoint(met, end);
        if current >= thresholds.get(first + middle) {
            met = middle + 1;
        } else {
            end = middle;
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "at most 255")]
    let level = met as i32;
    level
}

/// LIF neurons of one position: their attributes, parameters, and number of channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neurons<'p> {
    lif: Lif,
    channels: usize,
    /// Thresholds, then jumps of the adaptation, then first membranes, where there are such.
    parameters: Integers<'p>,
}

impl<'p> Neurons<'p> {
    /// Neurons whose parameters these bytes begin with.
    pub(crate) fn new(lif: Lif, channels: usize, parameters: &'p [u8]) -> Self {
        Self { lif, channels, parameters: Integers(parameters) }
    }

    /// Sets what the neurons remember to their first state.
    pub(crate) fn rest(&self, states: &mut [i32]) {
        states.fill(0);
        if self.lif.initial {
            let first = self.channels * (self.lif.parameters() - 1);
            for (channel, membrane) in states.iter_mut().take(self.channels).enumerate() {
                *membrane = self.parameters.get(first + channel);
            }
        }
    }

    /// One macro-step of a neuron: its level (eq. 13). `states` holds the membranes of all
    /// channels, then synaptic currents, then adaptations, where there are such.
    #[inline]
    pub(crate) fn step(&self, channel: usize, current: i32, states: &mut [i32]) -> i32 {
        let (lif, channels) = (&self.lif, self.channels);
        let mut input = i64::from(current) << lif.guard_bits;
        if let Some(decay) = lif.synapse {
            let held = &mut states[channels + channel];
            *held = saturated(decay.of(i64::from(*held)) + input);
            input = i64::from(*held);
        }
        let u = saturated(lif.leak.of(i64::from(states[channel])) + input);
        let base = i64::from(self.parameters.get(channel)) << lif.guard_bits;
        let adaptation = channels * (lif.states() - 1) + channel;
        let edge = match lif.adaptation {
            Some(_) => base + i64::from(states[adaptation]),
            None => base,
        };
        let level = level_of(lif.spike, i64::from(u), edge);
        states[channel] = match lif.reset {
            Reset::Hard if level != 0 => 0,
            Reset::Soft => saturated(i64::from(u) - base * i64::from(level)),
            Reset::Hard | Reset::None => u,
        };
        if let Some(decay) = lif.adaptation {
            let jump = i64::from(self.parameters.get(channels + channel));
            let held = &mut states[adaptation];
            *held = saturated(decay.of(i64::from(*held)) + jump * i64::from(level.abs()));
        }
        level
    }
}

/// Level of a membrane and an effective threshold.
#[inline]
fn level_of(spike: Spike, u: i64, edge: i64) -> i32 {
    match spike {
        Spike::Binary => i32::from(u >= edge),
        Spike::Ternary => i32::from(u >= edge) - i32::from(u <= -edge),
        Spike::Integer(levels) => {
            let level = (2 * u + edge).div_euclid(2 * edge).clamp(0, i64::from(levels));
            #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
            let level = level as i32;
            level
        }
    }
}
