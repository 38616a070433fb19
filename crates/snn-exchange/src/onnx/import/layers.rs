//! Convolutions, linear layers, batch norms, limits and dropout.

use super::windows::is_row;
use super::{Importer, Inputs, Outcome};
use crate::onnx::report::Became;
use crate::onnx::tensor::Constant;
use snn_ir::{BATCH_NORM_EPS, BATCH_NORM_MOMENTUM, Conv, Norm, Op};

/// Limits from here on are none: exporters write the largest float for them.
const NO_LIMIT: f64 = 1e30;
/// Weight of the old statistics where a file does not say it (ONNX).
const ONNX_MOMENTUM: f64 = 0.9;

impl<'s> Importer<'s> {
    pub(super) fn conv(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.any_stream(0)?;
        let weight = inputs.needed(1)?;
        let bias = inputs.constant(2)?;
        let [outputs, _, kernel @ ..] = weight.shape() else {
            return Err(format!("its weight must be [M, C, …kernel], found {:?}", weight.shape()));
        };
        if !(1..=2).contains(&kernel.len()) {
            return Err(format!(
                "convolutions over one and two axes are taken over, its kernel is {kernel:?}"
            ));
        }
        let groups = node.int("group")?.unwrap_or(1);
        let groups = usize::try_from(groups).map_err(|_| format!("it has {groups} groups"))?;
        if let Some(named) = node.ints("kernel_shape")?
            && !named.iter().map(|n| usize::try_from(*n).ok()).eq(kernel.iter().map(|n| Some(*n)))
        {
            return Err(format!("kernel_shape is {named:?}, its weight has {kernel:?}"));
        }
        if let Some(bias) = bias
            && bias.shape() != [*outputs]
        {
            return Err(format!("its bias must be [{outputs}], found {:?}", bias.shape()));
        }
        if groups == 0 || weight.shape()[1].checked_mul(groups) != Some(stream.shape[0]) {
            return Err(format!(
                "its weight {:?} with {groups} groups does not fit {} channels",
                weight.shape(),
                stream.shape[0]
            ));
        }
        let window = Self::window(inputs, stream, kernel, true)?;
        // What global pooling yields has no positions here: the 1×1 convolution of it is linear.
        if stream.shape.len() == 1 {
            if groups != 1 || kernel.iter().any(|n| *n != 1) || window.has_padding() {
                return Err(
                    "of one position only a 1×1 convolution in one group is taken over".into()
                );
            }
            let (outputs, bias) = (*outputs, bias.cloned());
            let weight = weight.reshaped(&[outputs, stream.shape[0]])?;
            let axes = stream.onnx.len() - 2;
            let became = self.linear(inputs, &weight, bias.as_ref())?;
            return Ok(self.with_positions(node, axes, became));
        }
        let row = is_row(stream, kernel);
        let [outputs, inputs_of_group] = [*outputs, weight.shape()[1]];
        let kernel = if row { &kernel[1..] } else { kernel };
        let weight = if row {
            weight.reshaped(&[outputs, inputs_of_group, kernel[0]])?
        } else {
            weight.clone()
        };
        let conv = Conv {
            channels: outputs,
            kernel: kernel.to_vec(),
            padding: window.padding(),
            stride: window.stride,
            dilation: window.dilation,
            groups,
            bias: bias.is_some(),
        };
        let became = self.push_plain(node, inputs.name(1), Op::Conv(conv), &[stream], false)?;
        self.add_synapse(&became, &weight, bias);
        if row {
            self.as_row(node);
        }
        Ok(became)
    }

    fn add_synapse(&mut self, became: &Became, weight: &Constant, bias: Option<&Constant>) {
        if let Became::Node { name, .. } = became {
            self.add_weight(name, "weight", weight);
            if let Some(bias) = bias {
                self.add_weight(name, "bias", bias);
            }
        }
    }

    /// A linear layer with weights `[F, C]` on the first input.
    fn linear(
        &mut self,
        inputs: &Inputs<'s>,
        weight: &Constant,
        bias: Option<&Constant>,
    ) -> Outcome<Became> {
        let stream = inputs.stream(0)?;
        let &[features, read] = weight.shape() else {
            return Err(format!("its weight must have two axes, found {:?}", weight.shape()));
        };
        if stream.shape != [read] {
            return Err(format!(
                "its weight reads {read} values, its input has the shape {:?} of one sample; \
                 flatten it first",
                stream.shape
            ));
        }
        let op = Op::Linear { features, bias: bias.is_some() };
        let weight_name = inputs.name(1);
        let became = self.push_plain(inputs.node, weight_name, op, &[stream], false)?;
        self.add_synapse(&became, weight, bias);
        Ok(became)
    }

    pub(super) fn gemm(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.stream(0)?;
        if node.is_on("transA")? || stream.onnx.len() != 2 {
            return Err("its first input must be [N, F], not transposed".into());
        }
        let factor = |name| Ok::<_, String>(node.float(name)?.unwrap_or(1.0));
        let weight = inputs.needed(1)?;
        let mut weight = if node.is_on("transB")? { weight.clone() } else { transposed(weight)? };
        let (alpha, beta) = (factor("alpha")?, factor("beta")?);
        if alpha.to_bits() != 1.0_f64.to_bits() {
            weight = weight.like(weight.real_array().mapv(|v| alpha * v));
        }
        let features = weight.shape().first().copied().unwrap_or(0);
        let bias = inputs.constant(2)?.map(|bias| {
            let values = bias.reals();
            let spread = match bias.shape() {
                _ if values.len() == 1 => vec![values[0]; features],
                [n] | [1, n] if *n == features => values,
                other => return Err(format!("its bias must be [{features}], found {other:?}")),
            };
            let spread = spread.into_iter().map(|v| beta * v).collect();
            Ok(bias.like(ndarray::Array1::from_vec(spread).into_dyn()))
        });
        self.linear(inputs, &weight, bias.transpose()?.as_ref())
    }

    pub(super) fn mat_mul(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        if inputs.stream(0)?.onnx.len() != 2 {
            return Err("only a matrix product of [N, F] by a constant is taken over; flatten \
                        first"
                .into());
        }
        let weight = transposed(inputs.needed(1)?)?;
        self.linear(inputs, &weight, None)
    }

    pub(super) fn batch_norm(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.stream(0)?;
        if node.is_on("training_mode")? {
            return Err("it is in training mode; export the network in evaluation mode".into());
        }
        if (1..node.outputs.len()).any(|output| self.readers(node, output) > 0) {
            return Err("its statistics are read; export the network in evaluation mode".into());
        }
        let channels = stream.shape[0];
        let names = ["weight", "bias", "running_mean", "running_var"];
        let mut parts = Vec::new();
        for (position, part) in (1..).zip(names) {
            let value = inputs.needed(position)?;
            if value.shape() != [channels] {
                return Err(format!("its {part} must be [{channels}], found {:?}", value.shape()));
            }
            parts.push((part, value));
        }
        // ONNX weighs the old statistics, we the new batch.
        let momentum = 1.0 - node.float("momentum")?.unwrap_or(ONNX_MOMENTUM);
        let usual = (momentum - BATCH_NORM_MOMENTUM).abs() < 1e-6;
        let norm = Norm {
            eps: node.float("epsilon")?.unwrap_or(BATCH_NORM_EPS),
            scale: true,
            momentum: if usual || momentum <= 0.0 { BATCH_NORM_MOMENTUM } else { momentum },
        };
        let label = Op::BatchNorm(norm).label();
        let (name, shape) = self.push(node, inputs.name(1), Op::BatchNorm(norm), &[stream])?;
        let onnx = stream.onnx.clone();
        for (part, value) in parts {
            self.add_weight(&name, part, value);
        }
        self.yields(node, &name, shape, onnx, false);
        Ok(Became::Node { name, op: label })
    }

    pub(super) fn clip(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let bound = |position: usize, name: &str| match inputs.constant(position)? {
            Some(value) => value
                .only()
                .map(Some)
                .ok_or_else(|| format!("its {name} must be one number, found {:?}", value.shape())),
            None => node.float(name),
        };
        let (least, most) = (bound(1, "min")?, bound(2, "max")?);
        let limit = most.filter(|most| *most < NO_LIMIT);
        match (least.filter(|least| *least > -NO_LIMIT), limit) {
            (None, None) => {
                let stream = inputs.stream(0)?.clone();
                Ok(self.pass(node, stream, Became::Passed))
            }
            (Some(0.0), limit) => self.site(inputs, limit),
            (least, _) => Err(format!(
                "it clips from {}; only clipping from 0 (a ReLU, perhaps with a limit) is taken \
                 over",
                least.map_or("no value".into(), |least| least.to_string())
            )),
        }
    }

    pub(super) fn dropout(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.stream(0)?;
        if self.readers(node, 1) > 0 {
            return Err("its mask is read; export the network in evaluation mode".into());
        }
        if inputs.constant(2)?.and_then(Constant::only).is_some_and(|mode| mode != 0.0) {
            return Err("it is in training mode; export the network in evaluation mode".into());
        }
        let rate = match inputs.constant(1)? {
            Some(rate) => rate.only(),
            None => node.float("ratio")?,
        };
        let rate = rate.unwrap_or(0.5);
        let positive = stream.positive;
        self.push_like(node, Op::Dropout { rate }, stream, positive)
    }

    pub(super) fn softmax(&mut self, inputs: &Inputs<'s>) -> Outcome<Became> {
        let node = inputs.node;
        let stream = inputs.stream(0)?.clone();
        let is_output = node.outputs.first() == Some(&self.source.output);
        if !is_output || self.readers(node, 0) != 1 || stream.onnx.len() != 2 {
            return Err(
                "only a softmax over the classes at the very end is taken over (it is left \
                        out: logits have the same order)"
                    .into(),
            );
        }
        let reason = "logits have the order of its probabilities";
        Ok(self.pass(node, stream, Became::Dropped(reason)))
    }
}

/// A matrix with its axes exchanged.
fn transposed(weight: &Constant) -> Outcome<Constant> {
    if weight.shape().len() != 2 {
        return Err(format!("its weight must have two axes, found {:?}", weight.shape()));
    }
    Ok(weight.permuted(&[1, 0]))
}
