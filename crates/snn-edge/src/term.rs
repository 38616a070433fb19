//! What terms add to the accumulators of one position.

use crate::bytes::Integers;
use crate::format::{Operation, Term, Window};
use crate::lanes::Lanes;

/// Values of a tensor at one macro-step. Index `(y·W + x)·C + c` is the value of channel `c` at
/// `(y, x)`: channels come last, so that those of a position lie together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'v> {
    /// The pixels of a frame, channels first, less their means (eq. 1).
    Frame { pixels: &'v [u8], means: &'v [u8] },
    /// What a stage has stored.
    Stored { words: &'v [i32], lanes: Lanes },
}

impl Values<'_> {
    /// Visits those of `count` values from index `start` that are not zero, each with its distance
    /// from `start`.
    #[inline]
    fn active(self, start: usize, count: usize, mut visit: impl FnMut(usize, i32)) {
        match self {
            Values::Stored { words, lanes } => lanes.active(words, start, count, visit),
            Values::Frame { pixels, means } => {
                let (channels, plane) = (means.len(), pixels.len() / means.len());
                let (mut position, mut channel) = (start / channels, start % channels);
                for distance in 0..count {
                    let pixel = i32::from(pixels[channel * plane + position]);
                    let value = pixel - i32::from(means[channel]);
                    if value != 0 {
                        visit(distance, value);
                    }
                    channel += 1;
                    if channel == channels {
                        (position, channel) = (position + 1, 0);
                    }
                }
            }
        }
    }

    /// The value of this index.
    #[inline]
    fn get(self, index: usize) -> i32 {
        match self {
            Values::Stored { words, lanes } => lanes.get(words, index),
            Values::Frame { pixels, means } => {
                let (position, channel) = (index / means.len(), index % means.len());
                let pixel = pixels[channel * (pixels.len() / means.len()) + position];
                i32::from(pixel) - i32::from(means[channel])
            }
        }
    }
}

/// A term, with its parameters and the shapes that it reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'p> {
    pub(crate) term: Term,
    /// Shape of what it reads.
    pub(crate) shape: [usize; 3],
    /// Shape of its mask, where it has one.
    pub(crate) mask_shape: [usize; 3],
    /// The bytes of the program from its parameters on.
    pub(crate) parameters: &'p [u8],
}

impl Bound<'_> {
    /// Adds the term to the accumulators of position `at`. Sums wrap where a program is none that
    /// a model was compiled to: for a model eq. 12 proves that they stay within 32 bits.
    pub(crate) fn add(
        &self,
        at: [usize; 2],
        values: Values<'_>,
        mask: Option<Values<'_>>,
        accumulators: &mut [i32],
        sums: &mut [i32],
    ) {
        let [channels, height, width] = self.shape;
        let outputs = &mut accumulators[self.term.first..][..self.term.outputs];
        let sums = sums.get_mut(..self.term.outputs).unwrap_or_default();
        let position = at[0] * width + at[1];
        match self.term.operation {
            Operation::Synapse { groups, window } => {
                self.synapse(groups, &window, at, values, outputs, sums);
            }
            Operation::Scale => values.active(position * channels, channels, |channel, value| {
                let weight = Integers(self.parameters).get(channel);
                add(&mut outputs[channel], weight.wrapping_mul(value));
            }),
            Operation::Copy | Operation::Delay { .. } => {
                values.active(position * channels, channels, |channel, value| {
                    add(&mut outputs[channel], value);
                });
            }
            Operation::MaxPool(window) => {
                sums.fill(i32::MIN);
                self.for_each_tap(&window, at, |index| {
                    for (channel, largest) in sums.iter_mut().enumerate() {
                        *largest = values.get(index * channels + channel).max(*largest);
                    }
                });
                outputs.iter_mut().zip(sums).for_each(|(output, largest)| add(output, *largest));
            }
            Operation::SumPool(window) => self.for_each_tap(&window, at, |index| {
                values.active(index * channels, channels, |channel, value| {
                    add(&mut outputs[channel], value);
                });
            }),
            Operation::Flatten => {
                let positions = height * width;
                values.active(0, channels * positions, |index, value| {
                    let (position, channel) = (index / channels, index % channels);
                    add(&mut outputs[channel * positions + position], value);
                });
            }
            Operation::Mask { inverted, .. } => {
                let [groups, rows, columns] = self.mask_shape;
                // A mask of one position is the same at every one.
                let first = if [rows, columns] == [1, 1] { 0 } else { position * groups };
                values.active(position * channels, channels, |channel, value| {
                    let group = first + channel / (channels / groups);
                    let passes = mask.is_some_and(|mask| mask.get(group) != 0);
                    if passes != inverted {
                        add(&mut outputs[channel], value);
                    }
                });
            }
        }
    }

    /// Visits the positions under a window, inside the image.
    fn for_each_tap(&self, window: &Window, at: [usize; 2], mut visit: impl FnMut(usize)) {
        let [_, height, width] = self.shape;
        let (top, bottom) = window.taps(0, at[0], height);
        let (left, right) = window.taps(1, at[1], width);
        for row in top..bottom {
            for column in left..right {
                let (y, x) = (window.reads(0, at[0], row), window.reads(1, at[1], column));
                visit(y * width + x);
            }
        }
    }

    /// `M · Σ n·x + b` (eqs. 2 and 12). Weights lie in the order group, kernel row, kernel column,
    /// input channel, output channel: each active input adds one row of them to the sums, and the
    /// inputs under a row of the kernel are one run.
    fn synapse(
        &self,
        groups: usize,
        window: &Window,
        at: [usize; 2],
        values: Values<'_>,
        outputs: &mut [i32],
        sums: &mut [i32],
    ) {
        let [channels, height, width] = self.shape;
        let (inputs, each) = (channels / groups, outputs.len() / groups);
        let [rows, columns] = window.kernel;
        let weights = outputs.len() * inputs * rows * columns;
        sums.fill(0);
        let (top, bottom) = window.taps(0, at[0], height);
        let (left, right) = window.taps(1, at[1], width);
        // Neighbouring taps read neighbouring values where all channels are of one group.
        let run = if groups == 1 && window.dilation[1] == 1 { right.max(left) - left } else { 1 };
        for row in top..bottom {
            let y = window.reads(0, at[0], row);
            for column in (left..right).step_by(run.max(1)) {
                let position = y * width + window.reads(1, at[1], column);
                for (group, sums) in sums.chunks_exact_mut(each).enumerate() {
                    let first = ((group * rows + row) * columns + column) * inputs;
                    let start = position * channels + group * inputs;
                    values.active(start, run * inputs, |input, value| {
                        let weights = &self.parameters[(first + input) * each..][..each];
                        accumulate(sums, weights, value);
                    });
                }
            }
        }
        let multipliers = Integers(&self.parameters[weights.next_multiple_of(4)..]);
        for (output, (sum, current)) in sums.iter().zip(&mut *outputs).enumerate() {
            let bias = multipliers.get(sums.len() + output);
            add(current, multipliers.get(output).wrapping_mul(*sum).wrapping_add(bias));
        }
    }
}

/// Adds a row of weights times a value; of a spike the row itself.
#[inline]
fn accumulate(sums: &mut [i32], weights: &[u8], value: i32) {
    if value == 1 {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            add(sum, i32::from(weight.cast_signed()));
        }
    } else {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            add(sum, i32::from(weight.cast_signed()).wrapping_mul(value));
        }
    }
}

#[inline]
fn add(sum: &mut i32, value: i32) {
    *sum = sum.wrapping_add(value);
}
