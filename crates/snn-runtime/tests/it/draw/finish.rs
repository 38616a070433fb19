//! The end of a random graph, and its weights.

use super::{Draw, MEAN, Numbers};
use ndarray::{ArrayD, IxDyn};
use rand::RngExt;
use snn_ir::StreamKind as Kind;
use snn_ir::{Form, Model, Preprocessing, Signature, weight_specs};
use snn_ir::{Op, Readout};
use snn_ir::{Tensor, Weights};

impl Draw {
    /// Connects nodes without a reader to the classes.
    pub(super) fn finish(mut self) -> Model {
        let channels = self.nodes[0].1[0];
        let classes = self.random.random_range(2..=5);
        let mut scores: Vec<String> = Vec::new();
        for (name, shape, kind) in self.nodes.clone() {
            // What a delay alone reads might not reach the head.
            if self.graph.readers(&name).any(|node| !matches!(node.op, Op::Delay { .. })) {
                continue;
            }
            let mut last = name;
            if kind == Kind::Current {
                if shape == [classes] {
                    scores.push(last);
                    continue;
                }
                last = self.site(&last);
            }
            if shape.len() > 1 {
                last = self.flatten(&last);
            }
            scores.push(self.node(
                Op::Linear { features: classes, bias: true },
                &[&last],
                vec![classes],
                Kind::Current,
            ));
        }
        let mut last = scores[0].clone();
        if scores.len() > 1 {
            let names: Vec<&str> = scores.iter().map(String::as_str).collect();
            last = self.node(Op::Add, &names, vec![classes], Kind::Current);
        }
        let readout = self.choose(&[Readout::Mean, Readout::Mean, Readout::Last, Readout::Max]);
        self.graph.push("head", readout.op(), &[&last]);
        let form = match self.numbers {
            Numbers::Integer => Form::Grid { logit_unit: 0.125 },
            Numbers::Dyadic | Numbers::Coarse => Form::Events,
        };
        let most = if self.numbers == Numbers::Coarse { 3 } else { 6 };
        let mut model = Model::new(
            Signature::new(
                form,
                std::mem::take(&mut self.graph),
                self.upto(most),
                Preprocessing::new(vec![MEAN; channels], vec![1.0; channels]),
            ),
            Weights::new(),
        );
        let resolved = model.graph().resolve().expect("a valid graph");
        for spec in weight_specs(model.graph(), &resolved, form).expect("a converted graph") {
            let tensor = self.weight(
                spec.name.rsplit('.').next().unwrap_or_default(),
                &spec.part.shape,
                spec.part.dtypes[0],
            );
            model.weights_mut().insert(spec.name, tensor);
        }
        model
    }

    fn weight(&mut self, part: &str, shape: &[usize], dtype: &str) -> Tensor {
        let random = &mut self.random;
        let shape = IxDyn(shape);
        match (dtype, part) {
            ("i8", _) => {
                Tensor::I8(ArrayD::from_shape_simple_fn(shape, || random.random_range(-3..=3)))
            }
            ("i32", "thresholds") => {
                let mut thresholds =
                    ArrayD::from_shape_simple_fn(shape, || random.random_range(-3..=12));
                for mut column in thresholds.lanes_mut(ndarray::Axis(0)) {
                    let mut sorted = column.to_vec();
                    sorted.sort_unstable();
                    column.assign(&ndarray::Array1::from(sorted));
                }
                Tensor::I32(thresholds)
            }
            ("i32", "threshold") => {
                Tensor::I32(ArrayD::from_shape_simple_fn(shape, || random.random_range(1..=8)))
            }
            ("i32", "adaptation") => {
                Tensor::I32(ArrayD::from_shape_simple_fn(shape, || random.random_range(0..=40)))
            }
            ("i32", "initial") => {
                Tensor::I32(ArrayD::from_shape_simple_fn(shape, || random.random_range(-900..=900)))
            }
            ("i32", "multiplier") => {
                Tensor::I32(ArrayD::from_shape_simple_fn(shape, || random.random_range(1..=3)))
            }
            ("i32", _) => {
                Tensor::I32(ArrayD::from_shape_simple_fn(shape, || random.random_range(-4..=4)))
            }
            (_, "step" | "threshold") => Tensor::F64(ArrayD::from_shape_simple_fn(shape, || {
                [0.5, 1.0, 2.0][random.random_range(0..3)]
            })),
            (_, _) if self.numbers == Numbers::Coarse => {
                Tensor::F64(ArrayD::from_shape_simple_fn(shape, || {
                    f64::from(random.random_range(-2..=2_i8))
                }))
            }
            _ => Tensor::F64(ArrayD::from_shape_simple_fn(shape, || {
                f64::from(random.random_range(-4..=4_i8)) / 4.0
            })),
        }
    }
}
