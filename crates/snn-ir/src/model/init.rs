//! Initial weights: explicit laws, one seed, the same on every device.

use super::weights::{Tensor, Weights};
use super::{Form, WeightSpec, weight_specs};
use crate::error::Result;
use crate::graph::Graph;
use crate::site::parts::Initial;
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Values that a core draws at a time.
const CHUNK: usize = 1 << 14;
/// Words of the random stream in a normal value: two f64.
const WORDS: u128 = 4;

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
    #[expect(clippy::cast_possible_truncation, reason = "initial weights are f32")]
    pub fn initial_weights(&self, seed: u64) -> Result<Weights> {
        let resolved = self.resolve()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = Weights::new();
        for WeightSpec { name, part, .. } in weight_specs(self, &resolved, Form::Trained)? {
            let count = part.shape.iter().product();
            let values = match part.initial {
                Some(Initial::Constant(value)) => vec![value as f32; count],
                Some(Initial::Normal { deviation }) => normal_values(&mut random, deviation, count),
                Some(Initial::Uniform { bound } | Initial::Dirac { bound, .. }) => {
                    let draw = |_| random.random_range(-bound..bound) as f32;
                    (0..count).map(draw).collect()
                }
                Some(Initial::Voting) | None => vec![0.0; count],
            };
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

/// Normal values of this standard deviation, drawn on all cores. They are those that one core would
/// draw, and the stream is left where that would leave it: the place of each value in it is known.
fn normal_values(random: &mut ChaCha8Rng, deviation: f64, count: usize) -> Vec<f32> {
    let start = random.get_word_pos();
    let mut values = vec![0.0; count];
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(index, chunk)| {
        let mut random = random.clone();
        random.set_word_pos(start + WORDS * (index * CHUNK) as u128);
        chunk.fill_with(|| normal(&mut random, deviation));
    });
    random.set_word_pos(start + WORDS * count as u128);
    values
}

/// A normal value of mean 0 (Box and Muller 1958).
#[expect(clippy::cast_possible_truncation, reason = "initial weights are f32")]
fn normal(random: &mut ChaCha8Rng, deviation: f64) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    (deviation * (radius * (std::f64::consts::TAU * random.random::<f64>()).cos())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cores_draw_what_one_draws() {
        for (count, before) in [(0, 0), (1, 0), (CHUNK, 3), (3 * CHUNK + 17, 0), (5 * CHUNK, 1)] {
            let mut plain = ChaCha8Rng::seed_from_u64(7);
            // A stream that has been read from, also by an odd number of words.
            for _ in 0..before {
                plain.random::<u32>();
            }
            let mut fast = plain.clone();
            let expected: Vec<f32> = (0..count).map(|_| normal(&mut plain, 0.3)).collect();
            let values = normal_values(&mut fast, 0.3, count);
            assert!(values.iter().map(|v| v.to_bits()).eq(expected.iter().map(|v| v.to_bits())));
            assert_eq!(fast.random::<u64>(), plain.random::<u64>(), "{count} after {before}");
        }
    }
}
