//! Initial weights: explicit laws, one seed, the same on every device.

use super::weights::{Tensor, Weights};
use super::{Form, WeightSpec, weight_specs};
use crate::error::Result;
use crate::graph::Graph;
use crate::site::parts::Initial;
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

impl Graph {
    /// Initial weights of the trained form, f32.
    ///
    /// Convolutions: normal with variance `2/(kernel size · channels / groups)` (He 2015, fan-out,
    /// as ResNet does). Linear layers and biases: uniform in `±1/√fan_in`. Batch norm: γ = 1, β =
    /// 0, mean 0, variance 1. Steps, leaks, thresholds and the parameters of a user's neurons: the
    /// values in the graph. Scale: 1. Where a node has an
    /// [`InitialWeights`](crate::InitialWeights), its law.
    ///
    /// # Errors
    /// The graph is invalid or not in the trained form.
    pub fn initial_weights(&self, seed: u64) -> Result<Weights> {
        let resolved = self.resolve()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = Weights::new();
        for WeightSpec { name, part, .. } in weight_specs(self, &resolved, Form::Trained)? {
            let mut draw = || match part.initial {
                Some(Initial::Constant(value)) => value,
                Some(Initial::Normal { deviation }) => deviation * normal(&mut random),
                Some(Initial::Uniform { bound } | Initial::Dirac { bound, .. }) => {
                    random.random_range(-bound..bound)
                }
                Some(Initial::Voting) | None => 0.0,
            };
            #[expect(clippy::cast_possible_truncation, reason = "initial weights are f32")]
            let values: Vec<f32> =
                (0..part.shape.iter().product()).map(|_| draw() as f32).collect();
            let mut array = ArrayD::from_shape_vec(IxDyn(&part.shape), values)
                .map_err(|e| crate::Error::Graph(e.to_string()))?;
            match part.initial {
                Some(Initial::Dirac { groups, .. }) => pass_channels_on(&mut array, groups),
                Some(Initial::Voting) => vote(&mut array),
                _ => {}
            }
            weights.insert(name, Tensor::F32(array));
        }
        Ok(weights)
    }
}

/// Lets the first filters of each group pass one channel on, see [`Initial::Dirac`].
fn pass_channels_on(weight: &mut ArrayD<f32>, groups: usize) {
    let (outputs, inputs) = (weight.shape()[0], weight.shape()[1]);
    let centre: Vec<usize> = weight.shape()[2..].iter().map(|size| size / 2).collect();
    let each = outputs / groups.max(1);
    for group in 0..groups {
        for channel in 0..each.min(inputs) {
            let mut filter = weight.index_axis_mut(Axis(0), group * each + channel);
            filter.fill(0.0);
            filter[IxDyn(&[&[channel], centre.as_slice()].concat())] = 1.0;
        }
    }
}

/// Weights of means of inputs in a row, see [`Initial::Voting`].
#[expect(clippy::cast_possible_truncation, reason = "initial weights are f32")]
fn vote(weight: &mut ArrayD<f32>) {
    let votes = weight.shape()[1] / weight.shape()[0].max(1);
    for (class, mut row) in weight.outer_iter_mut().enumerate() {
        let voters = Slice::from(class * votes..(class + 1) * votes);
        row.slice_axis_mut(Axis(0), voters).fill((1.0 / votes as f64) as f32);
    }
}

/// A standard normal value (Box and Muller 1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}
