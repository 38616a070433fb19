//! Weights of random networks.

use super::{Draw, Numbers, follows_maxima};
use crate::graph::{Norm, Op};
use crate::model::weights::{Tensor, Weights};
use crate::model::{Form, Model, Preprocessing, Signature, WeightSpec, weight_specs};
use crate::site::Site;
use crate::site::parts::{Initial, PartSpec, Range};
use ndarray::{ArrayD, IxDyn};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

impl Draw {
    pub(super) fn finish(mut self, channels: usize) -> Model {
        let graph = std::mem::take(&mut self.graph);
        let mut weights = Weights::new();
        if let Ok(resolved) = graph.resolve()
            && let Ok(specs) = weight_specs(&graph, &resolved, Form::Trained)
        {
            for WeightSpec { name, node, part: spec } in specs {
                let op = &graph.nodes[node].op;
                let size = spec.shape.iter().product();
                let mut values: Vec<f64> = (0..size).map(|_| self.value(op, &spec)).collect();
                if spec.part == "weight" && follows_maxima(&graph, &graph.nodes[node]) {
                    // Only what ascends commutes with a maximum.
                    for v in &mut values {
                        *v = if *v == 0.0 { 1.0 } else { v.abs() };
                    }
                }
                if self.numbers == Numbers::Dyadic && is_synapse(op, &spec) {
                    // One full-scale weight in each row makes the unit of the grid a power of two.
                    let row = size / spec.shape[0];
                    values.iter_mut().step_by(row).for_each(|v| *v = 127.0 / 128.0);
                }
                if let Ok(array) = ArrayD::from_shape_vec(IxDyn(&spec.shape), values) {
                    weights.insert(name, Tensor::F64(array));
                }
            }
        }
        let dyadic = self.numbers == Numbers::Dyadic;
        let std = (0..channels)
            .map(|_| if dyadic { 64.0 } else { self.random.random_range(40.0..90.0) })
            .collect();
        let mean = (0..channels).map(|_| self.random.random_range(90..=160)).collect();
        let time_steps = self.random.random_range(1..=6);
        Model::new(
            Signature::new(Form::Trained, graph, time_steps, Preprocessing::new(mean, std)),
            weights,
        )
    }

    /// A value of a weight of an operation.
    pub(super) fn value(&mut self, op: &Op, spec: &PartSpec) -> f64 {
        let dyadic = self.numbers == Numbers::Dyadic;
        let eighth = |random: &mut ChaCha8Rng| f64::from(random.random_range(-8_i32..=8)) / 8.0;
        match (op, spec.initial) {
            (Op::Activation { site, .. }, Some(Initial::Constant(initial))) => {
                match (spec.range, site) {
                    (Range::Finite, _) => initial,
                    _ if dyadic => initial,
                    (_, Site::QuantRelu(_)) => initial * self.random.random_range(0.5..1.5),
                    _ => initial * self.random.random_range(0.7..1.5),
                }
            }
            (Op::BatchNorm(_), Some(Initial::Constant(1.0))) if spec.learned => {
                if dyadic {
                    return self.choose(&[1.0, 0.5, -1.0, -0.5, 0.0]);
                }
                let usual = self.random.random_range(0.3..1.5);
                self.choose(&[usual, usual, usual, -usual, 1e-8, -1e-8, 0.0])
            }
            (Op::BatchNorm(Norm { eps, .. }), _) if spec.range != Range::Finite => {
                if dyadic {
                    1.0 - eps
                } else {
                    self.random.random_range(0.2..3.0)
                }
            }
            _ if dyadic && is_synapse(op, spec) => eighth(&mut self.random) * 0.5,
            _ if dyadic => eighth(&mut self.random),
            _ => self.random.random_range(-0.8..0.8),
        }
    }
}

/// `true` for the weights of convolutions and linear layers, frozen ones too.
fn is_synapse(op: &Op, spec: &PartSpec) -> bool {
    matches!(op, Op::Conv(_) | Op::Linear { .. }) && spec.part == "weight"
}
