//! Initial weights: explicit laws, one seed, the same on every device.

use crate::error::Result;
use crate::graph::{Graph, Op};
use crate::model::{Form, weight_specs};
use crate::site::{Leak, Site};
use crate::weights::{Tensor, Weights};
use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

impl Graph {
    /// Initial weights of the trained form, f32.
    ///
    /// Convolutions: normal with variance `2/(kernel size · channels / groups)` (He 2015, fan-out,
    /// as ResNet does). Linear layers and biases: uniform in `±1/√fan_in`. Batch norm: γ = 1, β =
    /// 0, mean 0, variance 1. Steps, leaks, thresholds and the parameters of a user's neurons: the
    /// values in the graph. Scale: 1.
    ///
    /// # Errors
    /// The graph is invalid or not in the trained form.
    pub fn initial_weights(&self, seed: u64) -> Result<Weights> {
        let resolved = self.resolve()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = Weights::new();
        for spec in weight_specs(self, &resolved, Form::Trained)? {
            let (node_name, part) = spec.name.rsplit_once('.').unwrap_or((&spec.name, ""));
            let random = &mut random;
            let fan_in = |inputs: usize| 1.0 / (inputs as f64).sqrt();
            let shape = spec.shape.as_slice();
            let mut law: Box<dyn FnMut() -> f64> = match (self.node(node_name).map(|n| &n.op), part)
            {
                (Some(Op::Conv(conv)), "weight") => {
                    let fan_out =
                        conv.kernel.iter().product::<usize>() * conv.channels / conv.groups;
                    let deviation = (2.0 / fan_out as f64).sqrt();
                    Box::new(move || deviation * normal(random))
                }
                (Some(Op::Linear { .. }), "weight") => {
                    let bound = fan_in(shape[1]);
                    Box::new(move || random.random_range(-bound..bound))
                }
                (Some(Op::Conv(_) | Op::Linear { .. }), "bias") => {
                    let inputs = weights
                        .get(&format!("{node_name}.weight"))
                        .map_or(1, |w: &Tensor| w.len() / w.shape()[0]);
                    let bound = fan_in(inputs);
                    Box::new(move || random.random_range(-bound..bound))
                }
                (Some(Op::BatchNorm { .. }), "bias" | "running_mean") => Box::new(|| 0.0),
                (Some(Op::Activation { site: Site::QuantRelu(q), .. }), "step") => {
                    Box::new(|| q.step)
                }
                (Some(Op::Activation { site: Site::Lif(lif), .. }), "leak") => {
                    let factor = match lif.leak {
                        Leak::Factor { factor } => factor,
                        Leak::Learned { initial } => initial,
                    };
                    Box::new(move || (factor / (1.0 - factor)).ln())
                }
                (Some(Op::Activation { site: Site::Lif(lif), .. }), "threshold") => {
                    let threshold = lif.threshold.initial();
                    Box::new(move || threshold)
                }
                (Some(Op::Activation { site: Site::Custom(custom), .. }), part) => {
                    let initial =
                        custom.learned.get(part).map_or(0.0, |parameter| parameter.initial);
                    Box::new(move || initial)
                }
                _ => Box::new(|| 1.0),
            };
            #[expect(clippy::cast_possible_truncation, reason = "initial weights are f32")]
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| law() as f32).collect();
            drop(law);
            let array = ArrayD::from_shape_vec(IxDyn(shape), values)
                .map_err(|e| crate::Error::Graph(e.to_string()))?;
            weights.insert(spec.name.clone(), Tensor::F32(array));
        }
        Ok(weights)
    }
}

/// A standard normal value (Box and Muller 1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}
