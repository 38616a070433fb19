//! Weights as factors.

use super::blocks_of;
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
        let mut values = vec![0; weights.len()];
        for (index, weights) in weights.chunks_exact(taps).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                values[tap * outputs * inputs + index] = weight;
            }
        }
        Self { values, taps, outputs, inputs }
    }

    /// Right factors of the convolution: for each 32 outputs, each tap, each 32 inputs.
    pub(super) fn of_inputs(&self, multiplier: &Multiplier) -> Vec<Pair> {
        let mut factors = Vec::with_capacity(self.len());
        for output in 0..blocks_of(self.outputs) {
            for tap in 0..self.taps {
                for input in 0..blocks_of(self.inputs) {
                    let mut factor = Pair::ZERO;
                    multiplier.right_of_columns(self.block(tap, output, input), &mut factor);
                    factors.push(factor);
                }
            }
        }
        factors
    }

    /// Right factors of the gradient of the input: for each 32 inputs, each tap, each 32 outputs.
    pub(super) fn of_outputs(&self, multiplier: &Multiplier) -> Vec<Pair> {
        let mut factors = Vec::with_capacity(self.len());
        for input in 0..blocks_of(self.inputs) {
            for tap in 0..self.taps {
                for output in 0..blocks_of(self.outputs) {
                    let mut factor = Pair::ZERO;
                    multiplier.right(self.block(tap, output, input), &mut factor);
                    factors.push(factor);
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
