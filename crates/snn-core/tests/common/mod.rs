//! Random images and models for the tests of this crate.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use ndarray::{ArrayD, IxDyn};
use snn_ir::{Evaluation, Form, Graph, Logits, Model, Preprocessing, SiteOutput, Tensor, Weights};

/// A small generator, so that tests need no seedable one of a crate's.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// An integer of `low..=high`.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low + 1).unwrap()).unwrap()
    }

    /// A real number of `low..high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() & 0xFFFF_FFFF) as f64 / 4_294_967_296.0
    }

    pub fn array<A>(&mut self, shape: &[usize], mut value: impl FnMut(&mut Self) -> A) -> ArrayD<A> {
        let values = (0..shape.iter().product::<usize>()).map(|_| value(self)).collect();
        ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()
    }

    pub fn images(&mut self, shape: &[usize]) -> ArrayD<u8> {
        self.array(shape, |random| u8::try_from(random.int(0, 255)).unwrap())
    }

    /// Weights as after some training: batch norm and steps away from where they start.
    pub fn weights(&mut self, graph: &Graph) -> Weights {
        let mut weights = graph.initial_weights(self.next()).unwrap();
        for (name, tensor) in &mut weights {
            let (low, high) = match name.rsplit('.').next().unwrap() {
                "running_mean" => (-0.3, 0.3),
                "running_var" => (0.3, 1.5),
                "step" => (0.1, 0.5),
                "leak" => (-1.0, 2.0),
                "weight" if tensor.shape().len() == 1 => (0.5, 2.0),
                "bias" if name.contains("bn") => (-0.2, 0.6),
                _ => continue,
            };
            let shape = tensor.shape().to_vec();
            *tensor = Tensor::F32(self.array(&shape, |random| random.real(low, high) as f32));
        }
        weights
    }
}

/// A model in the trained form.
pub fn trained(graph: Graph, weights: Weights, time_steps: usize) -> Model {
    let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![63.0, 62.1, 66.7]);
    Model { form: Form::Trained, graph, weights, time_steps, preprocessing, classes: Vec::new() }
}

/// All levels equal, all values and logits close; every site active unless `quiet`.
pub fn assert_same(ours: &Evaluation, theirs: &Evaluation, what: &str) {
    assert_eq!(ours.sites.len(), theirs.sites.len(), "{what}");
    for (a, b) in ours.sites.iter().zip(&theirs.sites) {
        assert_eq!(a.site, b.site, "{what}");
        assert_eq!(a.ties, b.ties, "{what}: ties of {}", a.site);
        match (&a.output, &b.output) {
            (SiteOutput::Levels(x), SiteOutput::Levels(y)) => assert!(x == y, "{what}: levels of {} differ", a.site),
            (SiteOutput::Values(x), SiteOutput::Values(y)) => {
                assert_eq!(x.shape(), y.shape(), "{what}: {}", a.site);
                assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-9), "{what}: values of {} differ", a.site);
            }
            _ => panic!("{what}: kinds of {} differ", a.site),
        }
        assert!(a.output.active() > 0, "{what}: site {} is silent, the test shows nothing", a.site);
    }
    match (&ours.logits, &theirs.logits) {
        (Logits::Real(x), Logits::Real(y)) => {
            assert_eq!(x.dim(), y.dim(), "{what}");
            assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-9), "{what}: logits {x} and {y}");
        }
        (x, y) => assert_eq!(x, y, "{what}"),
    }
}
