//! A depth-wise convolution as a dense integer product: each channel has a kernel of its own.

use crate::deploy::events::EventsView;
use crate::deploy::plan::layout::Layout;
use crate::deploy::size::product;
use crate::geometry::{Axis, AxisWindow};
use snn_ir::Conv;
use std::ops::Range;

/// Channels that are worked on together.
pub(crate) const LANES: usize = 16;
/// Largest level: that of a byte. Its product with a weight of 8 bits fits in 16 bits.
const MAX_LEVEL: f64 = 255.0;
/// Active inputs of a thousand from which the dense form is the faster one, by a count of
/// instructions and not measured: an event costs a dozen at each tap, a value in vectors a quarter
/// of one.
const BREAK_EVEN: usize = 30;

/// Weights `[tap][channel]`, channels filled up with zeros to a multiple of [`LANES`].
#[derive(Debug)]
pub(crate) struct DepthWise {
    pub(crate) channels: usize,
    /// Groups of [`LANES`] channels.
    pub(crate) blocks: usize,
    /// Horizontal taps, and how far apart outputs and taps read.
    pub(crate) taps: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) weights: Vec<[i8; LANES]>,
    pub(crate) multipliers: Vec<i32>,
    pub(crate) vertical: Axis,
    padding: usize,
    /// Columns of an input row, those of its padding among them.
    padded: usize,
    least: usize,
}

impl DepthWise {
    /// `None` where channels share kernels, levels are signed or too large for a byte, weights
    /// take more than 8 bits, or it never pays. `weight` is `[channel][tap]`; `least` overrules the
    /// break-even.
    pub(crate) fn pack(
        conv: &Conv,
        weight: &[i32],
        multiplier: &[i32],
        (input, output): ([usize; 3], [usize; 3]),
        (level, signed): (f64, bool),
        least: Option<usize>,
    ) -> Option<Self> {
        let channels = conv.channels;
        let least = least.unwrap_or(BREAK_EVEN);
        let never = signed || level > MAX_LEVEL || least >= 1000;
        if never || conv.groups != channels || input[0] != channels {
            return None;
        }
        let geometry = conv.as_2d();
        let [_, taps] = geometry.kernel;
        let ([_, stride], [_, padding]) = (geometry.stride, geometry.padding);
        let ([_, dilation], each) = (geometry.dilation, geometry.kernel[0] * taps);
        let blocks = channels.div_ceil(LANES);
        let mut weights = vec![[0_i8; LANES]; each * blocks];
        for (channel, kernel) in weight.chunks_exact(each).enumerate() {
            for (tap, &weight) in kernel.iter().enumerate() {
                weights[tap * blocks + channel / LANES][channel % LANES] =
                    i8::try_from(weight).ok()?;
            }
        }
        let window = AxisWindow {
            kernel: geometry.kernel[0],
            stride: geometry.stride[0],
            padding: geometry.padding[0],
            dilation: geometry.dilation[0],
        };
        let padded = (output[2] - 1) * stride + (taps - 1) * dilation + 1;
        Some(Self {
            channels,
            blocks,
            taps,
            stride,
            dilation,
            weights,
            multipliers: multiplier.to_vec(),
            vertical: Axis::new(window, input[1], output[1]),
            padding,
            padded: padded.max(input[2] + padding),
            least,
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice())
    }

    /// In words.
    pub(crate) fn description(&self) -> String {
        format!("a dense product where more than {} of 1000 inputs are active", self.least)
    }

    /// Bytes of an image row at one step.
    fn line(&self) -> usize {
        self.padded * self.blocks * LANES
    }

    pub(crate) fn layout(&self, steps: usize) -> Layout {
        let column = self.blocks * LANES;
        Layout { phases: 1, phase: 0, column, step: self.line(), row: steps * self.line() }
    }

    /// Bytes that the input of so many rows of outputs needs.
    pub(crate) fn room(&self, outputs: usize, steps: usize) -> usize {
        product(&[self.vertical.most_read(outputs), self.layout(steps).row])
    }

    /// `true` if these rows of outputs read enough events.
    pub(crate) fn pays(&self, outputs: Range<usize>, events: EventsView<'_>, steps: usize) -> bool {
        let read = self.vertical.read(outputs);
        let values = read.len() * steps * events.extent.width();
        let active = events.count(read, steps);
        active > 0 && active * 1000 >= values * self.least
    }

    /// Spreads the levels that rows of outputs read out; says which input row is the first.
    pub(crate) fn spread(
        &self,
        outputs: Range<usize>,
        events: EventsView<'_>,
        (steps, levels): (usize, &mut [u8]),
    ) -> usize {
        let read = self.vertical.read(outputs);
        let first = read.start;
        self.layout(steps).spread((self.padding, &[]), read, events, (steps, levels));
        first
    }
}
