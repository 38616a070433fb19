//! Geometry along one axis: which taps of a window fall inside the image.

use snn_ir::Geometry;
use std::ops::Range;

/// Window along one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AxisWindow {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
}

/// The taps of one output position that fall inside the image: `first`, `first + 1`, … (`count` of
/// them), of which the first reads `input`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taps {
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) input: usize,
}

impl Taps {
    /// The positions inside a range, where taps read positions `dilation` apart.
    #[inline(always)]
    pub(crate) fn within(self, taps: &Range<usize>, dilation: usize) -> Self {
        let first = self.first.max(taps.start);
        let count = (self.first + self.count).min(taps.end).saturating_sub(first);
        Self { first, count, input: self.input + (first - self.first) * dilation }
    }
}

/// A window along an axis of `inputs` positions, for every output position.
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) inputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) taps: Vec<Taps>,
}

impl Axis {
    pub(crate) fn new(window: AxisWindow, inputs: usize, outputs: usize) -> Self {
        let AxisWindow { kernel, stride, padding, dilation } = window;
        let taps = (0..outputs)
            .map(|output| {
                // Tap `a` reads position `origin + a·dilation − padding`.
                let origin = output * stride;
                let first = padding.saturating_sub(origin).div_ceil(dilation);
                let end = (inputs + padding).saturating_sub(origin).div_ceil(dilation).min(kernel);
                let count = end.saturating_sub(first);
                let input = if count > 0 { origin + first * dilation - padding } else { 0 };
                Taps { first, count, input }
            })
            .collect();
        Self { inputs, kernel, stride, dilation, taps }
    }

    /// The taps of an output. Outputs behind the last are those of another image, whose inputs
    /// stand behind those of this one, and so on.
    #[inline(always)]
    pub(crate) fn at(&self, output: usize) -> Taps {
        let (image, output) = (output / self.taps.len(), output % self.taps.len());
        let taps = self.taps[output];
        Taps { input: taps.input + image * self.inputs, ..taps }
    }

    /// The input positions that consecutive outputs read, and those between them.
    pub(crate) fn read(&self, outputs: Range<usize>) -> Range<usize> {
        let inside = || outputs.clone().map(|output| self.at(output)).filter(|taps| taps.count > 0);
        let start = inside().map(|taps| taps.input).min().unwrap_or(0);
        start
            ..inside()
                .map(|taps| taps.input + (taps.count - 1) * self.dilation + 1)
                .max()
                .unwrap_or(start)
    }

    /// The most input positions that so many consecutive outputs read, of one image or of several
    /// one behind the other, or a few more.
    pub(crate) fn most_read(&self, outputs: usize) -> usize {
        let (each, further) = (self.taps.len(), outputs.saturating_sub(1));
        // The inputs of the next image begin so much later than its outputs would have them.
        let gap = self.inputs.saturating_sub(each * self.stride);
        let images = further.div_ceil(each);
        let apart = further.saturating_mul(self.stride).saturating_add(images.saturating_mul(gap));
        apart
            .saturating_add((self.kernel - 1) * self.dilation + 1)
            .min(self.inputs.saturating_mul(images + 1))
    }

    /// For each input position, how many (output, tap) pairs read it.
    pub(crate) fn fan_out(&self) -> Vec<u64> {
        // A window begins at its first input and ends `dilation` behind its last; what lies between
        // is summed up in steps of `dilation`.
        let mut begun = vec![0_u64; self.inputs];
        let mut ended = vec![0_u64; self.inputs];
        for taps in self.taps.iter().filter(|taps| taps.count > 0) {
            begun[taps.input] += 1;
            if let Some(ended) = ended.get_mut(taps.input + taps.count * self.dilation) {
                *ended += 1;
            }
        }
        for input in self.dilation..self.inputs {
            begun[input] += begun[input - self.dilation] - ended[input];
        }
        begun
    }

    /// The most values that a window holds.
    fn largest_window(&self) -> usize {
        self.taps.iter().map(|taps| taps.count).max().unwrap_or(0)
    }

    /// How many values the windows of all outputs hold.
    pub(crate) fn inside(&self) -> u64 {
        self.taps.iter().map(|taps| taps.count as u64).sum()
    }
}

/// Windows over an image.
#[derive(Debug)]
pub(crate) struct Window2d {
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
}

impl Window2d {
    pub(crate) fn new(
        // The padding behind is in the number of outputs.
        Geometry { kernel, stride, padding, dilation, .. }: Geometry,
        inputs: [usize; 2],
        outputs: [usize; 2],
    ) -> Self {
        let axis = |i: usize| {
            let window = AxisWindow {
                kernel: kernel[i],
                stride: stride[i],
                padding: padding[i],
                dilation: dilation[i],
            };
            Axis::new(window, inputs[i], outputs[i])
        };
        Self { rows: axis(0), columns: axis(1) }
    }

    pub(crate) fn outputs(&self) -> usize {
        self.rows.taps.len() * self.columns.taps.len()
    }

    /// For each input position, how many (output, tap) pairs read it: the border-aware part of a
    /// fan-out.
    pub(crate) fn fan_out(&self) -> Vec<u64> {
        let columns = self.columns.fan_out();
        self.rows
            .fan_out()
            .iter()
            .flat_map(|row| columns.iter().map(move |column| row * column))
            .collect()
    }

    /// The most values that a window holds.
    pub(crate) fn largest_window(&self) -> usize {
        self.rows.largest_window().saturating_mul(self.columns.largest_window())
    }

    /// How many values the windows of all outputs hold.
    pub(crate) fn inside(&self) -> u64 {
        self.rows.inside() * self.columns.inside()
    }

    /// Visits the outputs in order with the taps of both axes.
    #[inline(always)]
    pub(crate) fn for_each_output(&self, mut visit: impl FnMut(usize, Taps, Taps)) {
        let mut output = 0;
        for &row in &self.rows.taps {
            for &column in &self.columns.taps {
                visit(output, row, column);
                output += 1;
            }
        }
    }

    /// Visits the `(tap, input position)` pairs of one output.
    #[inline(always)]
    pub(crate) fn for_each_tap(
        &self,
        row: Taps,
        column: Taps,
        mut visit: impl FnMut(usize, usize),
    ) {
        for a in 0..row.count {
            let tap = (row.first + a) * self.columns.kernel + column.first;
            let input = (row.input + a * self.rows.dilation) * self.columns.inputs + column.input;
            for b in 0..column.count {
                visit(tap + b, input + b * self.columns.dilation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn outputs_of_several_images_read_no_more_than_the_most() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        for _ in 0..2000 {
            let window = AxisWindow {
                kernel: random.random_range(1..=5),
                stride: random.random_range(1..=4),
                padding: random.random_range(0..=5),
                dilation: random.random_range(1..=3),
            };
            let inputs = random.random_range(1..=12);
            let padded = inputs + window.padding + random.random_range(0..=5);
            let reach = (window.kernel - 1) * window.dilation + 1;
            let Some(free) = padded.checked_sub(reach) else { continue };
            let axis = Axis::new(window, inputs, free / window.stride + 1);
            for image in 0..2 {
                for (output, taps) in axis.taps.iter().enumerate() {
                    let found = axis.at(image * axis.taps.len() + output);
                    assert_eq!((found.first, found.count), (taps.first, taps.count));
                    assert_eq!(found.input, taps.input + image * inputs);
                }
            }
            for outputs in 1..=3 * axis.taps.len() {
                for first in 0..axis.taps.len() {
                    let read = axis.read(first..first + outputs);
                    let most = axis.most_read(outputs);
                    assert!(read.len() <= most, "{axis:?}: {first}, {outputs}: {read:?}, {most}");
                }
            }
        }
    }
}
