//! Weights as factors.

use super::blocks::blocks_of;
use snn_simd::tiles::{Multiplier, Pair, Rows, SIDE};

/// Weights in bf16: for each tap, each output, the inputs.
#[derive(Debug)]
pub(super) struct Weights {
    values: Vec<u16>,
    taps: usize,
    outputs: usize,
    inputs: usize,
}

impl Weights {
    /// Of weights `[K, C, taps]`.
    pub(super) fn new(weights: &[u16], [outputs, inputs, taps]: [usize; 3]) -> Self {
        /// So few are read again, tap by tap, from the nearest cache.
        const CHUNK: usize = 32;
        let size = outputs * inputs;
        let mut values = vec![0; weights.len()];
        for (chunk, weights) in weights.chunks(CHUNK * taps).enumerate() {
            for tap in 0..taps {
                let to = &mut values[tap * size + chunk * CHUNK..];
                for (to, &weight) in to.iter_mut().zip(weights[tap..].iter().step_by(taps)) {
                    *to = weight;
                }
            }
        }
        Self { values, taps, outputs, inputs }
    }

    /// Right factors of the convolution: for each 32 outputs, each tap, each 32 inputs.
    pub(super) fn of_inputs(&self, multiplier: &Multiplier) -> Vec<Pair> {
        let mut factors = vec![Pair::ZERO; self.len()];
        let mut next = factors.iter_mut();
        for output in 0..blocks_of(self.outputs) {
            for tap in 0..self.taps {
                for (input, factor) in (0..blocks_of(self.inputs)).zip(&mut next) {
                    multiplier.right_of_columns(self.block(tap, output, input), factor);
                }
            }
        }
        factors
    }

    /// Right factors of the gradient of the input: for each 32 inputs, each tap, each 32 outputs.
    pub(super) fn of_outputs(&self, multiplier: &Multiplier) -> Vec<Pair> {
        let mut factors = vec![Pair::ZERO; self.len()];
        let mut next = factors.iter_mut();
        for input in 0..blocks_of(self.inputs) {
            for tap in 0..self.taps {
                for (output, factor) in (0..blocks_of(self.outputs)).zip(&mut next) {
                    multiplier.right(self.block(tap, output, input), factor);
                }
            }
        }
        factors
    }

    /// Number of factors.
    fn len(&self) -> usize {
        blocks_of(self.outputs) * self.taps * blocks_of(self.inputs)
    }

    /// Up to 32 outputs, rows of up to 32 inputs.
    fn block(&self, tap: usize, output: usize, input: usize) -> Rows<'_> {
        let (output, input) = (output * SIDE, input * SIDE);
        let from = (tap * self.outputs + output) * self.inputs + input;
        let size = [self.outputs - output, self.inputs - input].map(|left| left.min(SIDE));
        Rows::new(&self.values[from..], self.inputs, size)
    }
}
