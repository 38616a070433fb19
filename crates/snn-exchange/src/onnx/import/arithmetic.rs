//! Sums of streams, and sums and products with constants.

use super::{Edge, Importer, Inputs, Outcome, Stream};
use crate::onnx::report::Became;
use crate::onnx::tensor::Constant;
use ndarray::{ArrayD, IxDyn};
use snn_ir::{Norm, Op, Tensor};

/// ε of a batch norm that stands for `a·x + b`: with the variance 1 − ε, also exact, its root is 1.
const AFFINE_EPS: f64 = 1.0 / 1024.0;

/// `factor·x + offset` for each channel.
struct Affine {
    factor: Vec<f64>,
    offset: Vec<f64>,
}

impl<'s> Importer<'s> {
    pub(super) fn arithmetic(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let operator = node.operator.as_str();
        let streams: Vec<&Edge> = inputs.edges.iter().flatten().collect();
        if streams.iter().all(|edge| matches!(edge, Edge::Stream(_))) {
            if !matches!(operator, "Add" | "Sum") {
                return Err(format!(
                    "{operator} of two values that depend on the image is not taken over; \
                     attention and gates have no counterpart"
                ));
            }
            return self.add(inputs);
        }
        if inputs.edges.len() != 2 {
            return Err("it must have two inputs where one is a constant".into());
        }
        if self.source.opset < 7 {
            return Err("operator sets before 7 broadcast otherwise; export with 13 or more".into());
        }
        let (stream, constant, stream_first) = match (inputs.get(0), inputs.get(1)) {
            (Some(Edge::Stream(stream)), Some(Edge::Constant(constant))) => {
                (stream, constant, true)
            }
            (Some(Edge::Constant(constant)), Some(Edge::Stream(stream))) => {
                (stream, constant, false)
            }
            _ => return Err("its inputs are missing".into()),
        };
        if !stream.pad.is_empty() {
            return Err(
                "it reads a Pad; only a convolution or pooling can take the padding in".into()
            );
        }
        let values = per_channel(constant, stream)?;
        let ones = vec![1.0; values.len()];
        let zeros = vec![0.0; values.len()];
        let negative = |values: &[f64]| values.iter().map(|v| -v).collect();
        let affine = match (operator, stream_first) {
            ("Add" | "Sum", _) => Affine { factor: ones, offset: values },
            ("Sub", true) => Affine { factor: ones, offset: negative(&values) },
            ("Sub", false) => Affine { factor: negative(&ones), offset: values },
            ("Mul", _) => Affine { factor: values, offset: zeros },
            ("Div", true) => {
                let factor = values.iter().map(|v| 1.0 / v).collect();
                Affine { factor, offset: zeros }
            }
            _ => {
                return Err(
                    "a constant divided by what depends on the image is not taken over".into()
                );
            }
        };
        if affine.factor.iter().chain(&affine.offset).any(|value| !value.is_finite()) {
            return Err("its constant divides by 0 or is not finite".into());
        }
        let stream = stream.clone();
        if let Some(became) = self.normalise(inputs, &stream, &affine) {
            return Ok(became);
        }
        if stream.channel_axis != 1 {
            return Err(
                "it reads an image whose channels come last; transpose the image first".into()
            );
        }
        if let Some(became) = self.bias(inputs, &stream, &affine) {
            return Ok(became);
        }
        self.affine(inputs, &stream, &affine)
    }

    fn add(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let streams = (0..inputs.edges.len()).map(|i| inputs.stream(i));
        let streams = streams.collect::<Outcome<Vec<_>>>()?;
        let [first, rest @ ..] = streams.as_slice() else { return Err("it has no inputs".into()) };
        if rest.is_empty() {
            let first = (*first).clone();
            return Ok(self.pass(inputs.node, first, Became::Passed));
        }
        if let Some(other) = rest.iter().find(|other| other.onnx != first.onnx) {
            return Err(format!(
                "it must add equal shapes, found {:?} and {:?}",
                first.onnx, other.onnx
            ));
        }
        let positive = streams.iter().all(|stream| stream.positive);
        let (name, shape) = self.push(inputs.node, None, Op::Add, &streams)?;
        let onnx = first.onnx.clone();
        self.yields(inputs.node, &name, shape, onnx, positive);
        Ok(Became::Node { name, op: Op::Add.label() })
    }

    pub(super) fn concat(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let streams = (0..inputs.edges.len()).map(|i| inputs.stream(i));
        let streams = streams.collect::<Outcome<Vec<_>>>()?;
        let [first, rest @ ..] = streams.as_slice() else { return Err("it has no inputs".into()) };
        let axis = inputs.node.int("axis")?.ok_or("it names no axis")?;
        if super::super::fold::position(axis, first.onnx.len())? != 1 {
            return Err(format!("only channels (axis 1) can be concatenated, not axis {axis}"));
        }
        if rest.is_empty() {
            let first = (*first).clone();
            return Ok(self.pass(inputs.node, first, Became::Passed));
        }
        let positive = streams.iter().all(|stream| stream.positive);
        let mut onnx = first.onnx.clone();
        if streams
            .iter()
            .any(|other| other.onnx.len() != onnx.len() || other.onnx[2..] != onnx[2..])
        {
            let shapes: Vec<_> = streams.iter().map(|stream| &stream.onnx).collect();
            return Err(format!("its inputs differ in more than channels: {shapes:?}"));
        }
        let (name, shape) = self.push(inputs.node, None, Op::Concat, &streams)?;
        onnx[1] = shape[0];
        self.yields(inputs.node, &name, shape, onnx, positive);
        Ok(Became::Node { name, op: Op::Concat.label() })
    }

    /// Takes a normalisation of the image, which nothing else reads, into the preprocessing.
    fn normalise(
        &mut self,
        inputs: &Inputs<'s>,
        stream: &Stream,
        affine: &Affine,
    ) -> Option<Became> {
        if !stream.sole || self.graph.nodes.first().is_none_or(|image| image.name != stream.node) {
            return None;
        }
        let scaled = |c: usize| self.normalisation.scaled(c, affine.factor[c], affine.offset[c]);
        let (mean, std) =
            (0..stream.shape[0]).map(scaled).collect::<Option<Vec<_>>>()?.into_iter().unzip();
        self.normalisation.mean = mean;
        self.normalisation.std = std;
        Some(self.pass(inputs.node, stream.clone(), Became::Preprocessing))
    }

    /// Adds a constant to the bias of the layer before it, which nothing else reads.
    fn bias(&mut self, inputs: &Inputs<'s>, stream: &Stream, affine: &Affine) -> Option<Became> {
        if !stream.sole || affine.factor.iter().any(|factor| factor.to_bits() != 1.0_f64.to_bits())
        {
            return None;
        }
        let producer = self.graph.node_mut(&stream.node)?;
        let (Op::Conv(snn_ir::Conv { bias, .. }) | Op::Linear { bias, .. }) = &mut producer.op
        else {
            return None;
        };
        let had_bias = std::mem::replace(bias, true);
        let (part, weight) = (format!("{}.bias", stream.node), format!("{}.weight", stream.node));
        let mut values = affine.offset.clone();
        if had_bias && let Some(before) = self.weights.get(&part) {
            values.iter_mut().zip(&before.to_f64()).for_each(|(value, before)| *value += before);
        }
        let array = ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).ok()?;
        let is_double = matches!(self.weights.get(&weight), Some(Tensor::F64(_)));
        #[expect(clippy::cast_possible_truncation, reason = "the type of the network's weights")]
        let tensor =
            if is_double { Tensor::F64(array) } else { Tensor::F32(array.mapv(|v| v as f32)) };
        self.weights.insert(part, tensor);
        let name = stream.node.clone();
        Some(self.pass(inputs.node, stream.clone(), Became::PartOf(name)))
    }

    /// A batch norm that is `factor·x + offset`.
    fn affine(&mut self, inputs: &Inputs<'s>, stream: &Stream, affine: &Affine) -> Outcome<Became> {
        let norm = Norm::with_eps(AFFINE_EPS);
        let became = self.push_like(inputs.node, Op::BatchNorm(norm), stream, false)?;
        let channels = affine.factor.len();
        if let Became::Node { name, .. } = &became {
            for (part, values) in [
                ("weight", affine.factor.clone()),
                ("bias", affine.offset.clone()),
                ("running_mean", vec![0.0; channels]),
                ("running_var", vec![1.0 - AFFINE_EPS; channels]),
            ] {
                let array = ArrayD::from_shape_vec(IxDyn(&[channels]), values);
                let array = array.map_err(|error| error.to_string())?;
                self.add_weight(name, part, &Constant::F64(array));
            }
        }
        Ok(became)
    }
}

/// The values of a constant for each channel of a stream, along whose other axes it must not vary.
fn per_channel(constant: &Constant, stream: &Stream) -> Outcome<Vec<f64>> {
    let rank = stream.onnx.len();
    let misfit = || {
        format!(
            "its constant {:?} must have one value, or one for each channel, of {:?}",
            constant.shape(),
            stream.onnx
        )
    };
    let values = constant.reals();
    let before = rank.checked_sub(constant.shape().len()).ok_or_else(misfit)?;
    for (axis, size) in (before..).zip(constant.shape()) {
        if *size != 1 && (axis != stream.channel_axis || *size != stream.shape[0]) {
            return Err(misfit());
        }
    }
    match values.len() {
        1 => Ok(vec![values[0]; stream.shape[0]]),
        _ => Ok(values),
    }
}
