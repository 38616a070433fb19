//! A network as a dense graph of ONNX, its macro-steps one after another.

mod graph;
mod grid;
mod real;

use super::proto::DataType;
use crate::{Error, Refusal, Result};
use graph::{Attribute, Builder, Size};
use snn_ir::{Checked, Encoder, Form, Geometry, MASKED, Model, Node, Op, Readout, chw};
use std::collections::BTreeMap;

/// The most nodes that are written: macro-steps multiply them.
const MAX_NODES: usize = 1 << 18;

/// What an operator needs: its names of values, one macro-step at a time.
struct Exporter<'m> {
    model: &'m Model,
    checked: &'m Checked,
    builder: Builder,
    /// Type of the values of streams.
    kind: DataType,
    /// State of LIF sites, by name: what macro-steps before have left.
    states: BTreeMap<String, State>,
    /// Batch of the input, `[1]`, once it is read.
    batch: Option<String>,
}

/// Values of a LIF site after a macro-step.
#[derive(Clone)]
struct State {
    membrane: String,
    /// Synaptic current.
    current: Option<String>,
    adaptation: Option<String>,
}

pub(super) fn to_bytes(model: &Model) -> Result<Vec<u8>> {
    let checked = model.validate()?;
    let kind = match model.form() {
        Form::Trained => DataType::Float,
        Form::Grid { .. } => DataType::Int64,
        Form::Events => {
            let node = model.graph().nodes.last();
            return Err(Error::Refused(vec![Refusal {
                node: node.map_or_else(String::new, |node| node.name.clone()),
                operator: node.map_or("graph", |node| node.op.label()).into(),
                reason: "a network of real events is not written; write the trained one, or \
                         convert it to the grid"
                    .into(),
            }]));
        }
    };
    let builder = Builder::default();
    let (states, batch) = (BTreeMap::new(), None);
    Exporter { model, checked, builder, kind, states, batch }.write()
}

impl Exporter<'_> {
    fn write(mut self) -> Result<Vec<u8>> {
        let model = self.model;
        let nodes = &model.graph().nodes;
        let infos = self.checked.nodes();
        let framed = model.encoder() != Encoder::Direct;
        let input = if framed { "frames" } else { "image" };
        let steps = model.time_steps();
        self.builder.name(input);
        for output in ["scores", "logits"] {
            self.builder.name(output);
        }
        // Of each node what it yielded in every macro-step so far; the last stands for the present.
        let mut values: Vec<Vec<String>> = vec![Vec::new(); nodes.len()];
        let mut held: Option<String> = None;
        for t in 0..steps {
            for (index, (node, info)) in nodes.iter().zip(infos).enumerate() {
                if let Some(readout) = node.op.readout() {
                    let score = last(&values[info.inputs[0]]).to_string();
                    held = Some(self.read_out(readout, held, score));
                    continue;
                }
                if t > 0 && !(info.varies || framed) {
                    continue;
                }
                let value = match &node.op {
                    Op::Input { .. } => self.pixels(input, framed.then_some(t)),
                    Op::Delay { steps, .. } => match t.checked_sub(*steps) {
                        Some(then) => {
                            let before = &values[info.inputs[0]];
                            before[then.min(before.len() - 1)].clone()
                        }
                        None => self.zeros(info.chw()),
                    },
                    _ => {
                        let inputs: Vec<String> =
                            info.inputs.iter().map(|&i| last(&values[i]).to_string()).collect();
                        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                        self.node(index, node, &inputs)?
                    }
                };
                values[index].push(value);
                if self.builder.node_count() > MAX_NODES {
                    return Err(refusal(
                        node,
                        format!("{steps} macro-steps make more than {MAX_NODES} nodes of ONNX"),
                    ));
                }
            }
        }
        let held = held.unwrap_or_default();
        Ok(self.finish(input, &held, framed))
    }

    fn finish(mut self, input: &str, held: &str, framed: bool) -> Vec<u8> {
        let model = self.model;
        let steps = model.time_steps();
        let classes = self.checked.classes();
        let mut outputs = Vec::new();
        let scores = || vec![Size::Free("N"), Size::Fixed(classes)];
        if let Form::Grid { .. } = model.form() {
            self.builder.named("scores", "Flatten", &[held], &[("axis", Attribute::Int(1))]);
            let scale = model.logit_scale(steps as u64).unwrap_or(1.0);
            let scale = self.builder.f64s("logit_scale", &[], &[scale]);
            let real = self.builder.cast("scores.real", "scores", DataType::Double);
            self.builder.named("logits", "Mul", &[&real, &scale], &[]);
            outputs.push(("scores", DataType::Int64, scores()));
            outputs.push(("logits", DataType::Double, scores()));
        } else {
            let divisor = model.graph().readout().divisor(steps as u64);
            let flat = self.builder.node(
                "scores.flat",
                "Flatten",
                &[held],
                &[("axis", Attribute::Int(1))],
            );
            let divisor = self.builder.float(divisor as f32);
            self.builder.named("logits", "Div", &[&flat, &divisor], &[]);
            outputs.push(("logits", DataType::Float, scores()));
        }
        let mut shape: Vec<Size<'_>> = vec![Size::Free("N")];
        if framed {
            shape.insert(0, Size::Fixed(steps));
        }
        shape.extend(self.checked.input_shape().iter().map(|size| Size::Fixed(*size)));
        let metadata = vec![
            ("form", model.form().label().to_string()),
            ("classes", model.classes().join("\n")),
        ];
        self.builder.finish(&[(input, DataType::Uint8, shape)], &outputs, metadata)
    }

    /// Scores after one more macro-step.
    fn read_out(&mut self, readout: Readout, held: Option<String>, score: String) -> String {
        match (readout, held) {
            (Readout::Mean, Some(held)) => {
                self.builder.node("head.sum", "Add", &[&held, &score], &[])
            }
            (Readout::Max, Some(held)) => {
                self.builder.node("head.max", "Max", &[&held, &score], &[])
            }
            (_, None) | (Readout::Last, _) => score,
        }
    }

    /// The input (eq. 1), as `[N, C, H, W]`.
    fn pixels(&mut self, input: &str, frame: Option<usize>) -> String {
        let [c, h, w] = chw(self.checked.input_shape());
        let mut value = input.to_string();
        if let Some(t) = frame {
            let t = self.builder.integer(i64::try_from(t).unwrap_or(i64::MAX));
            value =
                self.builder.node("frame", "Gather", &[input, &t], &[("axis", Attribute::Int(0))]);
        }
        if self.checked.input_shape().len() != 3 {
            value = self.shaped("pixels.chw", &value, &[-1, of(c), of(h), of(w)]);
        }
        let kind = self.kind;
        let value = self.builder.cast("pixels", &value, kind);
        let preprocessing = self.model.preprocessing();
        let mean: Vec<i64> = preprocessing.mean.iter().map(|m| i64::from(*m)).collect();
        if kind == DataType::Int64 {
            let mean = self.builder.i64s("mean", &[c, 1, 1], &mean);
            return self.builder.node("input", "Sub", &[&value, &mean], &[]);
        }
        let mean: Vec<f32> = mean.iter().map(|m| *m as f32).collect();
        #[expect(clippy::cast_possible_truncation, reason = "the graph computes in f32")]
        let std: Vec<f32> = preprocessing.std.iter().map(|s| *s as f32).collect();
        let mean = self.builder.f32s("mean", &[c, 1, 1], &mean);
        let std = self.builder.f32s("std", &[c, 1, 1], &std);
        let centred = self.builder.node("centred", "Sub", &[&value, &mean], &[]);
        self.builder.node("input", "Div", &[&centred, &std], &[])
    }

    fn shaped(&mut self, wanted: &str, value: &str, shape: &[i64]) -> String {
        let text: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let shape = self.builder.i64s(&format!("shape:{}", text.join("x")), &[shape.len()], shape);
        self.builder.node(wanted, "Reshape", &[value, &shape], &[])
    }

    /// Zeros of a shape for each sample of the batch.
    fn zeros(&mut self, [c, h, w]: [usize; 3]) -> String {
        let batch = if let Some(batch) = &self.batch {
            batch.clone()
        } else {
            let framed = self.model.encoder() != Encoder::Direct;
            let input = if framed { "frames" } else { "image" };
            let axis = i64::from(framed);
            let span = [("start", Attribute::Int(axis)), ("end", Attribute::Int(axis + 1))];
            let batch = self.builder.node("batch", "Shape", &[input], &span);
            self.batch.insert(batch).clone()
        };
        let sizes = self.builder.i64s(&format!("sizes:{c}x{h}x{w}"), &[3], &[of(c), of(h), of(w)]);
        let axis = [("axis", Attribute::Int(0))];
        let shape = self.builder.node("zeros.shape", "Concat", &[&batch, &sizes], &axis);
        // Of floats, which is what it yields where no value is named.
        let zeros = self.builder.node("zeros.real", "ConstantOfShape", &[&shape], &[]);
        let kind = self.kind;
        self.builder.cast("zeros", &zeros, kind)
    }

    /// A node of one macro-step.
    fn node(&mut self, index: usize, node: &Node, inputs: &[&str]) -> Result<String> {
        let name = node.name.as_str();
        let info = &self.checked.nodes()[index];
        Ok(match &node.op {
            Op::Flatten => {
                let [features, _, _] = info.chw();
                self.shaped(name, inputs[0], &[-1, of(features), 1, 1])
            }
            Op::Add => {
                let mut sum = inputs[0].to_string();
                for input in &inputs[1..] {
                    sum = self.builder.node(name, "Add", &[&sum, input], &[]);
                }
                sum
            }
            Op::Concat => self.builder.node(name, "Concat", inputs, &[("axis", Attribute::Int(1))]),
            Op::Dropout { .. } | Op::DropPath { .. } => inputs[0].to_string(),
            Op::Mask { inverted } => self.mask(index, name, inputs, *inverted),
            _ if self.kind == DataType::Int64 => self.grid_node(index, node, inputs)?,
            _ => self.real_node(index, node, inputs)?,
        })
    }

    /// Eq. 6b. A group of channels is one axis while its channel of the mask is spread over it.
    fn mask(&mut self, index: usize, name: &str, inputs: &[&str], inverted: bool) -> String {
        let infos = self.checked.nodes();
        let [groups, rows, columns] = infos[infos[index].inputs[0]].chw();
        let [channels, height, width] = infos[index].chw();
        let mut mask = inputs[0].to_string();
        if inverted {
            let one = if self.kind == DataType::Int64 {
                self.builder.integer(1)
            } else {
                self.builder.float(1.0)
            };
            mask = self.builder.node(&format!("{name}.inverted"), "Sub", &[&one, &mask], &[]);
        }
        if groups == channels || groups == 1 {
            return self.builder.node(name, "Mul", &[&mask, inputs[MASKED]], &[]);
        }
        let mask =
            self.shaped(&format!("{name}.mask"), &mask, &[-1, of(groups), 1, of(rows * columns)]);
        let by_group = [-1, of(groups), of(channels / groups), of(height * width)];
        let x = self.shaped(&format!("{name}.groups"), inputs[MASKED], &by_group);
        let masked = self.builder.node(&format!("{name}.masked"), "Mul", &[&mask, &x], &[]);
        self.shaped(name, &masked, &[-1, of(channels), of(height), of(width)])
    }
}

fn last(values: &[String]) -> &str {
    values.last().map_or("", String::as_str)
}

/// A size as ONNX has it; sizes of a checked model are below 2²⁸.
fn of(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// `pads` of ONNX: before each axis, then behind each.
fn pads(geometry: Geometry) -> [i64; 4] {
    let Geometry { padding, padding_after, .. } = geometry;
    [padding[0], padding[1], padding_after[0], padding_after[1]].map(of)
}

fn refusal(node: &Node, reason: impl Into<String>) -> Error {
    Error::Refused(vec![Refusal {
        node: node.name.clone(),
        operator: node.op.label().into(),
        reason: reason.into(),
    }])
}
