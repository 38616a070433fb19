//! Times of layers on this machine, by which a plan chooses between events and dense products.

mod measure;

use serde::{Deserialize, Serialize};
use snn_ir::{Conv, Geometry};
use snn_simd::InstructionSet;
use std::collections::BTreeMap;
use std::fmt;

/// Active inputs of a thousand at which layers are measured.
pub const SHARES: [u16; 9] = [0, 20, 50, 100, 150, 250, 400, 600, 1000];
/// All inputs of a thousand: from here on a dense product never pays.
const ALL: usize = 1000;

/// Times of one layer with its neurons, for one sample over all macro-steps on one thread, at each
/// of [`SHARES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerTimes {
    /// Inputs whose weights are added through events, of a thousand: fewer than are active where
    /// several macro-steps share additions.
    pub added: [u16; SHARES.len()],
    /// Nanoseconds through events.
    pub events: [u64; SHARES.len()],
    /// Nanoseconds as a dense product.
    pub dense: [u64; SHARES.len()],
}

impl LayerTimes {
    /// Inputs whose weights are added, of a thousand, from which on the dense product is taken: the
    /// split of what was measured that loses least; 1000 where it never pays.
    pub fn break_even(&self) -> usize {
        // What a dense product gains, by what events add.
        let gains = self.points().map(|(added, [events, dense])| (added, events - dense));
        let (mut best, mut split, mut sum) = (0.0, 0, 0.0);
        for (index, (_, gain)) in gains.iter().enumerate() {
            sum += gain;
            if sum < best {
                (best, split) = (sum, index + 1);
            }
        }
        if split == 0 {
            return 0;
        }
        let Some(&(high, after)) = gains.get(split) else { return ALL };
        let (low, before) = gains[split - 1];
        // Where the line between the two crosses zero.
        let part = if after > before { (-before / (after - before)).clamp(0.0, 1.0) } else { 1.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two of the shares"
        )]
        let crossing = (low + (high - low) * part).ceil() as usize;
        crossing
    }

    /// Nanoseconds through events and as a dense product where so many of a thousand inputs have
    /// their weights added: on the line between what was measured.
    pub fn at(&self, added: f64) -> [f64; 2] {
        let points = self.points();
        let next = points.iter().position(|(x, _)| *x >= added).unwrap_or(points.len() - 1);
        let ((low, before), (high, after)) = (points[next.saturating_sub(1)], points[next]);
        let part = if high > low { ((added - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        [0, 1].map(|form| before[form] + part * (after[form] - before[form]))
    }

    /// What was measured, `(added, [events, dense])`, in ascending order of what is added.
    fn points(&self) -> [(f64, [f64; 2]); SHARES.len()] {
        let mut points = std::array::from_fn(|index| {
            let times = [self.events[index], self.dense[index]];
            (f64::from(self.added[index]), times.map(|time| time as f64))
        });
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        points
    }
}

/// How long the two forms of layers take on this machine, measured by [`Tuning::measure`]; as JSON
/// or another format of serde it can be kept for the next deployment
/// ([`Options::tuning`](super::Options::tuning)). It decides which form of a layer runs and changes
/// no bit of a result.
///
/// ```
/// # use snn_runtime::deploy::{Deployment, Options, Tuning};
/// # use std::sync::Arc;
/// # fn example(model: &snn_ir::Model) -> snn_runtime::Result<()> {
/// let mut tuning = Tuning::default();
/// tuning.measure(model, &Options::default())?;
/// let options = Options { tuning: Some(Arc::new(tuning)), ..Options::default() };
/// let deployment = Deployment::new(model, &options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tuning {
    /// By the text of a layer, which says its instruction set, shapes, macro-steps and levels.
    layers: BTreeMap<String, LayerTimes>,
}

impl Tuning {
    /// Layers with their times, in the order of their texts.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &LayerTimes)> {
        self.layers.iter().map(|(layer, times)| (layer.as_str(), times))
    }

    /// `true` if no layer was measured.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Takes over what another one measured; its times replace those of the same layers.
    pub fn merge(&mut self, other: Self) {
        self.layers.extend(other.layers);
    }

    pub(crate) fn of(&self, layer: &Layer) -> Option<&LayerTimes> {
        self.layers.get(&layer.to_string())
    }
}

/// A layer of a model with its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelLayer {
    /// The convolution or linear layer.
    pub node: String,
    /// Macro-steps that are computed at once.
    pub time_steps: usize,
    /// What its time depends on, in words.
    pub layer: String,
    /// Its times.
    #[serde(flatten)]
    pub times: LayerTimes,
}

/// What a layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// Levels from 0 up to this one.
    Levels(u8),
    /// Pixels less their mean.
    Pixels,
}

/// What the time of a layer depends on, but for its weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) instruction_set: InstructionSet,
    /// Of two spatial axes, without a bias.
    pub(crate) conv: Conv,
    /// Channels, height, width.
    pub(crate) input: [usize; 3],
    pub(crate) steps: usize,
    pub(crate) reads: Inputs,
}

impl Layer {
    pub(crate) fn new(
        instruction_set: InstructionSet,
        conv: &Conv,
        input: [usize; 3],
        steps: usize,
        reads: Inputs,
    ) -> Self {
        let Geometry { kernel, stride, padding, padding_after, dilation } = conv.as_2d();
        let lopsided = conv.as_2d().is_lopsided();
        let conv = Conv {
            kernel: kernel.to_vec(),
            stride: stride.to_vec(),
            padding: if lopsided { [padding, padding_after].concat() } else { padding.to_vec() },
            dilation: dilation.to_vec(),
            bias: false,
            ..conv.clone()
        };
        Self { instruction_set, conv, input, steps, reads }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instruction_set, conv, input: [channels, height, width], steps, reads } = self;
        let joined =
            |values: &[usize]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
        write!(
            f,
            "{instruction_set}: {channels}×{height}×{width} to {} channels, kernel {}, stride {}, \
             padding {}, dilation {}, {} groups, T = {steps}, ",
            conv.channels,
            joined(&conv.kernel),
            joined(&conv.stride),
            joined(&conv.padding),
            joined(&conv.dilation),
            conv.groups,
        )?;
        match reads {
            Inputs::Levels(levels) => write!(f, "levels up to {levels}"),
            Inputs::Pixels => f.write_str("pixels"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_break_even_where_their_lines_cross() {
        let events = SHARES.map(|share| 100 + u64::from(share));
        let times = |dense| LayerTimes { added: SHARES, events, dense: [dense; SHARES.len()] };
        assert_eq!(times(50).break_even(), 0);
        assert_eq!(times(250).break_even(), 150);
        assert_eq!(times(1099).break_even(), 999);
        assert_eq!(times(1100).break_even(), 1000);
        assert_eq!(times(5000).break_even(), 1000);
        // One noisy place does not decide.
        let mut noisy = times(250);
        noisy.events[1] = 260;
        assert_eq!(noisy.break_even(), 150);
        noisy.events[8] = 240;
        assert_eq!(noisy.break_even(), 150);
        // Where additions are shared, what is active all the time costs little.
        let mut shared = times(250);
        (shared.added[8], shared.events[8]) = (140, 220);
        assert_eq!(shared.break_even(), 150);
        let at = |share| times(250).at(share).map(f64::to_bits);
        assert_eq!(at(150.0), [250.0_f64, 250.0].map(f64::to_bits));
        assert_eq!(at(0.0), [100.0_f64, 250.0].map(f64::to_bits));
        assert_eq!(at(1e9), [1100.0_f64, 250.0].map(f64::to_bits));
        // Times go by what is added, not by what is active.
        assert_eq!(shared.at(140.0).map(f64::to_bits), [220.0_f64, 250.0].map(f64::to_bits));
    }
}
