//! Statistics of what layers read, by which weights are rounded.

use ndarray::{Array1, Array2};
use std::collections::BTreeMap;

/// Sums and products of the inputs of a group of channels of a layer, over samples, macro-steps and
/// positions: of a convolution a position has the values under the kernel, channels outside, in the
/// order of a row of its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct InputMoments {
    /// Number of positions N.
    pub count: f64,
    /// `Σ x`, `[K]`.
    pub sums: Array1<f64>,
    /// `Σ x·xᵀ`, `[K, K]`.
    pub products: Array2<f64>,
}

/// Moments of each layer by the name of its node, one for each of its groups.
pub type LayerInputs = BTreeMap<String, Vec<InputMoments>>;

impl InputMoments {
    /// Nothing seen yet of K inputs.
    pub fn new(inputs: usize) -> Self {
        Self { count: 0.0, sums: Array1::zeros(inputs), products: Array2::zeros((inputs, inputs)) }
    }

    /// The mean input, `[K]`.
    pub fn mean(&self) -> Array1<f64> {
        &self.sums / self.count.max(1.0)
    }

    /// The mean product of two inputs, `[K, K]`.
    pub fn mean_products(&self) -> Array2<f64> {
        &self.products / self.count.max(1.0)
    }

    /// The covariance of the inputs, `[K, K]`.
    pub fn covariance(&self) -> Array2<f64> {
        let mean = self.mean();
        let mut covariance = self.mean_products();
        for (mut row, own) in covariance.outer_iter_mut().zip(&mean) {
            row.scaled_add(-own, &mean);
        }
        covariance
    }
}
