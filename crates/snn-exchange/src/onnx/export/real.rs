//! Nodes of the form `trained`, in f32.

use super::graph::Attribute;
use super::{Exporter, State, of, pads, refusal};
use crate::Result;
use crate::onnx::proto::DataType;
use snn_ir::{
    Adaptation, Conv, FirstMembrane, Geometry, Leak, Lif, Node, Norm, Op, PoolKind, QuantRelu,
    Reset, Site, Spike, Synapse, Threshold, Window, logistic, weights,
};

impl Exporter<'_> {
    pub(super) fn real_node(
        &mut self,
        index: usize,
        node: &Node,
        inputs: &[&str],
    ) -> Result<String> {
        let x = inputs[0];
        let name = node.name.as_str();
        Ok(match &node.op {
            Op::Conv(conv) => self.conv(name, conv, x)?,
            Op::Linear { bias, .. } => self.linear(index, name, *bias, x)?,
            Op::Scale => {
                let weight = self.reals(name, "weight", true)?;
                self.builder.node(name, "Mul", &[x, &weight], &[])
            }
            Op::BatchNorm(norm) => self.batch_norm(name, *norm, x)?,
            Op::Pool { pool, window } => self.pool(name, *pool, window, x),
            Op::GlobalPool { pool } => match pool {
                PoolKind::Average => self.builder.node(name, "GlobalAveragePool", &[x], &[]),
                PoolKind::Max => self.builder.node(name, "GlobalMaxPool", &[x], &[]),
                PoolKind::Sum => {
                    let axes = self.builder.i64s("axes:positions", &[2], &[2, 3]);
                    self.builder.node(name, "ReduceSum", &[x, &axes], &[])
                }
            },
            Op::ChannelSum { groups } => {
                let [_, height, width] = self.checked.nodes()[index].chw();
                let input = self.checked.nodes()[index].inputs[0];
                let each = self.checked.nodes()[input].shape[0] / groups;
                let by_group = [-1, of(*groups), of(each), of(height * width)];
                let x = self.shaped(&format!("{name}.groups"), x, &by_group);
                let axes = self.builder.i64s("axes:channels", &[1], &[2]);
                let sum = self.builder.node(&format!("{name}.sum"), "ReduceSum", &[&x, &axes], &[]);
                self.shaped(name, &sum, &[-1, of(*groups), of(height), of(width)])
            }
            Op::Activation { site, .. } => match site {
                Site::Relu { limit: None } => self.builder.node(name, "Relu", &[x], &[]),
                Site::Relu { limit: Some(limit) } => {
                    let least = self.float(0.0);
                    let most = self.float(*limit);
                    self.builder.node(name, "Clip", &[x, &least, &most], &[])
                }
                Site::QuantRelu(relu) => self.quant_relu(name, relu, x)?,
                Site::Lif(lif) => self.lif(name, lif, x)?,
                Site::Custom(custom) => {
                    return Err(refusal(
                        node,
                        format!(
                            "ONNX has no counterpart of a user's own neuron (`{}`)",
                            custom.name
                        ),
                    ));
                }
                Site::GridLif(_) | Site::GridQuantRelu { .. } => {
                    return Err(refusal(node, "it exists on the grid only"));
                }
            },
            _ => return Err(refusal(node, "ONNX has no counterpart of it")),
        })
    }

    fn float(&mut self, value: f64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "the graph computes in f32")]
        self.builder.float(value as f32)
    }

    /// A weight, as `[C, 1, 1]` where it is to be spread over positions.
    fn reals(&mut self, node: &str, part: &str, spread: bool) -> Result<String> {
        let weight = weights::real(self.model.weights(), node, part)?;
        #[expect(clippy::cast_possible_truncation, reason = "the graph computes in f32")]
        let values: Vec<f32> = weight.iter().map(|v| *v as f32).collect();
        let mut shape = weight.shape().to_vec();
        match (spread, shape.len()) {
            (true, _) => shape.extend([1, 1]),
            // A convolution over one axis.
            (false, 3) => shape.insert(2, 1),
            (false, _) => {}
        }
        Ok(self.builder.f32s(&format!("{node}.{part}"), &shape, &values))
    }

    fn conv(&mut self, name: &str, conv: &Conv, x: &str) -> Result<String> {
        let weight = self.reals(name, "weight", false)?;
        let mut inputs = vec![x.to_string(), weight];
        if conv.bias {
            inputs.push(self.reals(name, "bias", false)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let geometry = conv.as_2d();
        let Geometry { kernel, stride, dilation, .. } = geometry;
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel.map(of))),
            ("strides", Attribute::Ints(&stride.map(of))),
            ("pads", Attribute::Ints(&pads(geometry))),
            ("dilations", Attribute::Ints(&dilation.map(of))),
            ("group", Attribute::Int(of(conv.groups))),
        ];
        Ok(self.builder.node(name, "Conv", &inputs, &attributes))
    }

    fn linear(&mut self, index: usize, name: &str, bias: bool, x: &str) -> Result<String> {
        let input = self.checked.nodes()[index].inputs[0];
        let [read, _, _] = self.checked.nodes()[input].chw();
        let [features, _, _] = self.checked.nodes()[index].chw();
        let flat = self.shaped(&format!("{name}.input"), x, &[-1, of(read)]);
        let mut inputs = vec![flat, self.reals(name, "weight", false)?];
        if bias {
            inputs.push(self.reals(name, "bias", false)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = [("transB", Attribute::Int(1))];
        let product = self.builder.node(&format!("{name}.product"), "Gemm", &inputs, &attributes);
        Ok(self.shaped(name, &product, &[-1, of(features), 1, 1]))
    }

    fn batch_norm(&mut self, name: &str, norm: Norm, x: &str) -> Result<String> {
        let mean = self.reals(name, "running_mean", false)?;
        let variance = self.reals(name, "running_var", false)?;
        let bias = self.reals(name, "bias", false)?;
        let scale = if norm.scale {
            self.reals(name, "weight", false)?
        } else {
            let channels = weights::real(self.model.weights(), name, "bias")?.len();
            self.builder.f32s(&format!("{name}.weight"), &[channels], &vec![1.0; channels])
        };
        #[expect(clippy::cast_possible_truncation, reason = "attributes are f32")]
        let eps = [("epsilon", Attribute::Float(norm.eps as f32))];
        let inputs = [x, &scale, &bias, &mean, &variance];
        Ok(self.builder.node(name, "BatchNormalization", &inputs, &eps))
    }

    fn pool(&mut self, name: &str, pool: PoolKind, window: &Window, x: &str) -> String {
        let geometry = window.as_2d();
        let Geometry { kernel, stride, .. } = geometry;
        let (kernel, stride, pads) = (kernel.map(of), stride.map(of), pads(geometry));
        let mut attributes = vec![
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("strides", Attribute::Ints(&stride)),
            ("pads", Attribute::Ints(&pads)),
        ];
        if pool == PoolKind::Max {
            return self.builder.node(name, "MaxPool", &[x], &attributes);
        }
        attributes.push(("count_include_pad", Attribute::Int(1)));
        if pool == PoolKind::Average {
            return self.builder.node(name, "AveragePool", &[x], &attributes);
        }
        let mean = self.builder.node(&format!("{name}.mean"), "AveragePool", &[x], &attributes);
        let size = self.float(window.size() as f64);
        self.builder.node(name, "Mul", &[&mean, &size], &[])
    }

    /// `clip(⌊x/step + ½⌋, 0, D)`.
    fn rounded(&mut self, name: &str, x: &str, step: &str, levels: u8) -> String {
        let half = self.float(0.5);
        let ratio = self.builder.node(&format!("{name}.ratio"), "Div", &[x, step], &[]);
        let shifted = self.builder.node(&format!("{name}.shifted"), "Add", &[&ratio, &half], &[]);
        let whole = self.builder.node(&format!("{name}.whole"), "Floor", &[&shifted], &[]);
        let (least, most) = (self.float(0.0), self.float(levels.into()));
        self.builder.node(&format!("{name}.level"), "Clip", &[&whole, &least, &most], &[])
    }

    fn quant_relu(&mut self, name: &str, relu: &QuantRelu, x: &str) -> Result<String> {
        let step = self.reals(name, "step", true)?;
        let level = self.rounded(name, x, &step, relu.levels);
        Ok(self.builder.node(name, "Mul", &[&level, &step], &[]))
    }

    /// A comparison as a float.
    fn fires(&mut self, wanted: &str, operator: &str, a: &str, b: &str) -> String {
        let met = self.builder.node(&format!("{wanted}.met"), operator, &[a, b], &[]);
        self.builder.cast(wanted, &met, DataType::Float)
    }

    /// `factor·value`, which is the value itself of a factor 1.
    fn times(&mut self, wanted: &str, value: &str, factor: f64) -> String {
        if factor.to_bits() == 1.0_f64.to_bits() {
            return value.to_string();
        }
        let factor = self.float(factor);
        self.builder.node(wanted, "Mul", &[value, &factor], &[])
    }

    /// One macro-step of eq. 8.
    fn lif(&mut self, name: &str, lif: &Lif, x: &str) -> Result<String> {
        let at = |part: &str| format!("{name}.{part}");
        let state = self.states.get(name).cloned();
        let rest = lif.rest();
        let leak = match lif.leak {
            Leak::Factor { factor } => factor,
            Leak::Learned { .. } => {
                logistic(weights::real(self.model.weights(), name, "leak")?.sum())
            }
        };
        let (base, thresholds) = match lif.threshold {
            Threshold::Fixed(threshold) => (self.float(threshold), vec![threshold]),
            Threshold::Learned { .. } => {
                let values = weights::real(self.model.weights(), name, "threshold")?;
                (self.reals(name, "threshold", true)?, values.iter().copied().collect())
            }
        };
        let mut current = x.to_string();
        if let Synapse::Current { alpha } = lif.synapse
            && let Some(before) = state.as_ref().and_then(|state| state.current.clone())
        {
            let decayed = self.times(&at("decayed"), &before, alpha);
            current = self.builder.node(&at("current"), "Add", &[&decayed, &current], &[]);
        }
        // The membrane counts from rest: u − v_r.
        let before = match (&state, lif.initial) {
            (Some(state), _) => Some(state.membrane.clone()),
            (None, FirstMembrane::Rest) => None,
            (None, initial) => {
                let away = |threshold: &f64| initial.of(rest, *threshold) - rest;
                #[expect(clippy::cast_possible_truncation, reason = "the graph computes in f32")]
                let values: Vec<f32> = thresholds.iter().map(|t| away(t) as f32).collect();
                Some(self.builder.f32s(&at("initial"), &[values.len(), 1, 1], &values))
            }
        };
        let mut membrane = current.clone();
        if let Some(before) = before {
            let kept = self.times(&at("kept"), &before, leak);
            membrane = self.builder.node(&at("sum"), "Add", &[&kept, &current], &[]);
        }
        let mut edge = base.clone();
        if rest != 0.0 {
            let potential = self.float(rest);
            edge = self.builder.node(&at("distance"), "Sub", &[&edge, &potential], &[]);
        }
        let adaptation = state.as_ref().and_then(|state| state.adaptation.clone());
        if let (Adaptation::Threshold { strength, .. }, Some(before)) =
            (lif.adaptation, &adaptation)
        {
            let raised = self.times(&at("raised"), before, strength);
            edge = self.builder.node(&at("edge"), "Add", &[&edge, &raised], &[]);
        }
        let level = match lif.spike {
            Spike::Binary => self.fires(name, "GreaterOrEqual", &membrane, &edge),
            Spike::Ternary => {
                let up = self.fires(&at("up"), "GreaterOrEqual", &membrane, &edge);
                let below = self.builder.node(&at("below"), "Neg", &[&edge], &[]);
                let down = self.fires(&at("down"), "LessOrEqual", &membrane, &below);
                self.builder.node(name, "Sub", &[&up, &down], &[])
            }
            Spike::Integer { levels } => self.rounded(name, &membrane, &edge, levels),
        };
        let after = match lif.reset {
            Reset::None => membrane,
            Reset::Hard { .. } => {
                let zero = self.float(0.0);
                let silent = self.builder.node(&at("silent"), "Equal", &[&level, &zero], &[]);
                self.builder.node(&at("reset"), "Where", &[&silent, &membrane, &zero], &[])
            }
            Reset::Soft => {
                let taken = self.builder.node(&at("taken"), "Mul", &[&base, &level], &[]);
                self.builder.node(&at("reset"), "Sub", &[&membrane, &taken], &[])
            }
        };
        let adaptation = match lif.adaptation {
            Adaptation::None => None,
            Adaptation::Threshold { decay, .. } => {
                let mut next = self.builder.node(&at("spikes"), "Abs", &[&level], &[]);
                if let Some(before) = &adaptation {
                    let decayed = self.times(&at("forgotten"), before, decay);
                    next = self.builder.node(&at("adaptation"), "Add", &[&decayed, &next], &[]);
                }
                Some(next)
            }
        };
        let current = matches!(lif.synapse, Synapse::Current { .. }).then_some(current);
        let state = State { membrane: after, current, adaptation };
        self.states.insert(name.into(), state);
        Ok(level)
    }
}
