//! Convolutions of several groups, depth-wise ones among them: each event adds to the outputs of
//! its own group.

use crate::deploy::events::EventsView;
use crate::deploy::number::Number;
use crate::geometry::{Taps, Window2d};
use crate::packing::{self, WeightShape};
use snn_ir::Conv;

/// Weights `[tap][input][output of its group]`, times the multiplier of the output.
#[derive(Debug)]
pub(crate) struct Grouped<N> {
    pub(crate) grid: Window2d,
    shape: WeightShape,
    weights: Vec<N>,
}

impl<N: Number> Grouped<N> {
    /// `weight` is `[output][input of its group][tap]`; no multipliers are ones. On the grid a
    /// product of weight and multiplier is at most a current, and so below 2³¹, if its input can be
    /// active at all.
    pub(crate) fn pack(
        conv: &Conv,
        weight: &[N],
        multiplier: &[i32],
        input: [usize; 3],
        output: [usize; 3],
    ) -> Self {
        let geometry = conv.as_2d();
        let shape = WeightShape {
            groups: conv.groups,
            outputs: conv.channels / conv.groups,
            inputs: input[0] / conv.groups,
            taps: geometry.kernel[0] * geometry.kernel[1],
        };
        let each = weight.len() / conv.channels;
        let of = |index: usize| multiplier.get(index / each).map_or(N::ONE, |&m| N::of(m));
        let products: Vec<N> =
            weight.iter().enumerate().map(|(index, w)| w.times(of(index))).collect();
        let grid = Window2d::new(geometry, [input[1], input[2]], [output[1], output[2]]);
        Self { grid, shape, weights: packing::rows(&products, shape) }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice())
    }

    /// Adds the events of one step to the currents of an image row.
    pub(crate) fn deliver(
        &self,
        events: EventsView<'_>,
        row: Taps,
        step: usize,
        currents: &mut [N],
    ) {
        let WeightShape { groups, outputs, inputs, .. } = self.shape;
        let (channels_in, width) = (groups * inputs, groups * outputs);
        let columns = &self.grid.columns;
        for y in 0..row.count {
            let line = events.at(row.input + y * self.grid.rows.dilation, step);
            for (taps, currents) in columns.taps.iter().zip(currents.chunks_exact_mut(width)) {
                for x in 0..taps.count {
                    let tap = (row.first + y) * columns.kernel + taps.first + x;
                    let position = taps.input + x * columns.dilation;
                    for (entry, level) in line.levels(position..position + 1) {
                        let channel = entry - position * channels_in;
                        let weights =
                            &self.weights[(tap * channels_in + channel) * outputs..][..outputs];
                        let sums = &mut currents[channel / inputs * outputs..][..outputs];
                        for (sum, &weight) in sums.iter_mut().zip(weights) {
                            *sum = sum.plus(weight.times(N::of(level)));
                        }
                    }
                }
            }
        }
    }
}
