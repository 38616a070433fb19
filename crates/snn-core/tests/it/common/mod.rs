//! Random images and models for the tests of this crate.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

pub mod golden;

use ndarray::{ArrayD, IxDyn};
use snn_ir::{
    Code, Conv, Evaluation, Form, Graph, Logits, Model, Op, PoolKind, Preprocessing, Resolved,
    Signature, Site, SiteOutput, Tensor, Weights, Window,
};
use snn_ir::{GridLif, GridReset};

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

    /// A position of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count).unwrap()).unwrap()
    }

    /// A real number of `low..high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() & 0xFFFF_FFFF) as f64 / 4_294_967_296.0
    }

    pub fn array<A>(
        &mut self,
        shape: &[usize],
        mut value: impl FnMut(&mut Self) -> A,
    ) -> ArrayD<A> {
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
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let values = self.array(&shape, |random| random.real(low, high) as f32);
            *tensor = Tensor::F32(values);
        }
        weights
    }
}

/// A model in the trained form.
pub fn trained(graph: Graph, weights: Weights, time_steps: usize) -> Model {
    let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![63.0, 62.1, 66.7]);
    Model::new(Signature::new(Form::Trained, graph, time_steps, preprocessing), weights)
}

/// All levels equal, all values and logits close; every site active unless `quiet`.
pub fn assert_same(ours: &Evaluation, theirs: &Evaluation, what: &str, quiet: bool) {
    assert_eq!(ours.sites.len(), theirs.sites.len(), "{what}");
    for (a, b) in ours.sites.iter().zip(&theirs.sites) {
        assert_eq!(a.site, b.site, "{what}");
        assert_eq!(a.ties, b.ties, "{what}: ties of {}", a.site);
        match (&a.output, &b.output) {
            (SiteOutput::Levels(x), SiteOutput::Levels(y)) => {
                assert!(x == y, "{what}: levels of {} differ", a.site);
            }
            (SiteOutput::Values(x), SiteOutput::Values(y)) => {
                assert_eq!(x.shape(), y.shape(), "{what}: {}", a.site);
                assert!(
                    x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-9),
                    "{what}: values of {} differ",
                    a.site
                );
            }
            _ => panic!("{what}: kinds of {} differ", a.site),
        }
        assert!(
            quiet || a.output.active() > 0,
            "{what}: site {} is silent, the test shows nothing",
            a.site
        );
    }
    match (&ours.logits, &theirs.logits) {
        (Logits::Real(x), Logits::Real(y)) => {
            assert_eq!(x.dim(), y.dim(), "{what}");
            assert!(
                x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-9),
                "{what}: logits {x} and {y}"
            );
        }
        (x, y) => assert_eq!(x, y, "{what}"),
    }
}

/// A model on the grid by hand: groups, stride, dilation, multipliers, biases, a residual stream,
/// both kinds of sites, both resets, all poolings.
pub fn grid_model(seed: u64, time_steps: usize) -> Model {
    let mut random = Random::new(seed + 100);
    let mut graph = Graph::default();
    let conv = |channels, kernel, stride, groups, bias| {
        Op::Conv(Conv { groups, bias, ..Conv::square(channels, kernel, stride) })
    };
    let quant =
        |levels| Op::Activation { site: Site::GridQuantRelu { levels }, code: Some(Code::Unary) };
    let lif = |k, m, f, reset| {
        let site = GridLif::new(k, m, f, reset);
        Op::Activation { site: Site::GridLif(site), code: Some(Code::Binary) }
    };
    let pool = |pool, kernel, stride, padding| Op::Pool {
        pool,
        window: Window {
            kernel: vec![kernel; 2],
            stride: vec![stride; 2],
            padding: vec![padding; 2],
        },
    };
    graph.push("image", Op::Input { shape: vec![2, 8, 8] }, &[]);
    graph.push("stem", conv(4, 3, 1, 1, true), &["image"]);
    graph.push("act1", quant(3), &["stem"]);
    graph.push("conv2", conv(8, 3, 2, 2, false), &["act1"]);
    graph.push("act2", lif(5, 3, 4, GridReset::Hard), &["conv2"]);
    graph.push("max", pool(PoolKind::Max, 3, 1, 1), &["act2"]);
    graph.push(
        "conv3",
        Op::Conv(Conv {
            padding: vec![2; 2],
            dilation: vec![2; 2],
            groups: 4,
            bias: true,
            ..Conv::square(8, 3, 1)
        }),
        &["max"],
    );
    graph.push("short", Op::Scale, &["act2"]);
    graph.push("add", Op::Add, &["conv3", "short"]);
    graph.push("act3", lif(1, 0, 0, GridReset::Soft), &["add"]);
    graph.push("sum", pool(PoolKind::Sum, 3, 2, 1), &["act3"]);
    graph.push("still", pool(PoolKind::Sum, 4, 4, 0), &["act1"]);
    graph.push("both", Op::Concat, &["sum", "still"]);
    graph.push("flat", Op::Flatten, &["both"]);
    graph.push("hidden", Op::Linear { features: 6, bias: true }, &["flat"]);
    graph.push("act4", quant(1), &["hidden"]);
    graph.push("fc", Op::Linear { features: 5, bias: true }, &["act4"]);
    graph.push("all", Op::GlobalPool { pool: PoolKind::Sum }, &["act1"]);
    graph.push("side", Op::Linear { features: 5, bias: false }, &["all"]);
    graph.push("scores", Op::Add, &["fc", "side"]);
    graph.push("head", Op::TimeMean, &["scores"]);
    let form = Form::Grid { logit_unit: 0.001 };
    let resolved: Resolved = graph.resolve().unwrap();
    let mut weights = Weights::new();
    for spec in snn_ir::weight_specs(&graph, &resolved, form).unwrap() {
        let (node, part) = spec.name.rsplit_once('.').unwrap();
        let (low, high) = match (node, part) {
            ("short", "weight") => (-200, 200),
            (_, "weight") => (-127, 127),
            (_, "multiplier") => (1, 9),
            (_, "bias") => (-300, 300),
            (_, "threshold") => (300, 2000),
            _ => (-4000, 9000),
        };
        let mut values =
            random.array(&spec.part.shape, |random| i32::try_from(random.int(low, high)).unwrap());
        if part == "thresholds" {
            for mut levels in values.lanes_mut(ndarray::Axis(0)) {
                let mut sorted = levels.to_vec();
                sorted.sort_unstable();
                levels.iter_mut().zip(sorted).for_each(|(a, b)| *a = b);
            }
        }
        let tensor = if part == "weight" && node != "short" {
            Tensor::I8(values.mapv(|v| i8::try_from(v).unwrap()))
        } else {
            Tensor::I32(values)
        };
        weights.insert(spec.name, tensor);
    }
    let preprocessing = Preprocessing::new(vec![120, 99], vec![1.0, 1.0]);
    Model::new(Signature::new(form, graph, time_steps, preprocessing), weights)
}
