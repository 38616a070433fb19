//! From a model to a NIR graph: exactly, with the primitives that NIR has, or not at all.

mod layers;
mod sites;

use crate::error::{Error, Result};
use crate::graph::NirGraph;
use crate::names;
use crate::op::Op;
use crate::report::{Note, Report, primitives};
use crate::time::{DEFAULT_DT, Discretisation, check_dt};
use crate::value::{Table, Value};
use ndarray::{ArrayD, IxDyn};
use snn_ir::{self as ir, Form, Model, PoolKind, Site, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How a model becomes a NIR graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExportOptions {
    /// Duration of a macro-step, in seconds; time constants are multiples of it.
    pub dt: f64,
    /// Which of two equivalent forms LIF neurons have.
    pub gain: Gain,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { dt: DEFAULT_DT, gain: Gain::default() }
    }
}

/// Form of LIF neurons in which an Euler step of dt yields `u = λ·u + I`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gain {
    /// `r = τ/dt`: the numbers are those of the model.
    #[default]
    Resistance,
    /// `r = 1`, and potentials times `1 − λ`: the membrane is that of the model in another unit,
    /// rounded where `1 − λ` is no power of two. Norse takes no other `r`.
    Unit,
}

/// A NIR graph that was made of a model, and what was done.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The graph; valid.
    pub graph: NirGraph,
    /// What was done.
    pub report: Report,
}

/// Writes a model as a `.nir` file: [`NirGraph::from_model`], then [`NirGraph::write`].
///
/// # Errors
/// As those two.
pub fn write(model: &Model, path: &Path, options: &ExportOptions) -> Result<Report> {
    let exported = NirGraph::from_model(model, options)?;
    exported.graph.write(path)?;
    Ok(exported.report)
}

/// What a node of ours yields in NIR.
#[derive(Debug, Clone, Default)]
struct Stream {
    /// Nodes of NIR whose sum it is.
    nodes: Vec<String>,
    /// `true` if each of them is 0 or 1 and none is 1 where one before is 0, so that the maximum
    /// of levels is the sum of theirs.
    thermometer: bool,
    /// What the sum is to be multiplied with, for each channel.
    step: Option<Vec<f64>>,
}

impl Stream {
    fn of(node: impl Into<String>) -> Self {
        Self { nodes: vec![node.into()], ..Self::default() }
    }
}

/// A NIR graph that is being written.
struct Writer<'m> {
    model: &'m Model,
    options: ExportOptions,
    shapes: BTreeMap<&'m str, &'m [usize]>,
    graph: NirGraph,
    notes: Vec<Note>,
    streams: BTreeMap<&'m str, Stream>,
    /// Nodes that multiply a stream with its step.
    scaled: BTreeMap<&'m str, String>,
    /// Delays, which read sites that may come later.
    delays: Vec<(&'m str, &'m str)>,
    used: BTreeSet<String>,
}

impl NirGraph {
    /// The NIR graph of a model in the form `trained` or `events`, in f32.
    ///
    /// # Errors
    /// The model is not valid, or has what cannot be expressed with NIR's primitives; the message
    /// names the node and says why.
    pub fn from_model(model: &Model, options: &ExportOptions) -> Result<Exported> {
        check_dt(options.dt)?;
        if let Form::Grid { .. } = model.form() {
            return Err(Error::Graph(
                "a model on the grid rounds its membranes to integers at each step, which no \
                 primitive of NIR does: export the model of the form `events` that it was made of"
                    .into(),
            ));
        }
        let checked = model.validate()?;
        let nodes = checked.nodes();
        let mut writer = Writer {
            model,
            options: *options,
            shapes: nodes.iter().map(|node| (node.name.as_str(), &*node.shape)).collect(),
            graph: NirGraph::default(),
            notes: Vec::new(),
            streams: BTreeMap::new(),
            scaled: BTreeMap::new(),
            delays: Vec::new(),
            used: nodes.iter().map(|node| node.name.clone()).collect(),
        };
        for node in &model.graph().nodes {
            writer.node(node)?;
        }
        writer.close_delays()?;
        writer.graph.metadata = writer.metadata();
        writer.graph.check()?;
        let report = Report {
            primitives: primitives(&writer.graph),
            dt: options.dt,
            time_steps: model.time_steps(),
            discretisation: Discretisation::Euler,
            notes: writer.notes,
        };
        Ok(Exported { graph: writer.graph, report })
    }
}

impl<'m> Writer<'m> {
    fn node(&mut self, node: &'m ir::Node) -> Result<()> {
        let name = node.name.as_str();
        let refuse = |reason: &str| Err(Error::refused(name, reason));
        let input = node.inputs.first().map_or("", String::as_str);
        let stream = match &node.op {
            ir::Op::Input { shape } => {
                let own = self.named(name, "input");
                self.graph.push(own.clone(), Op::Input { shape: shape.clone() });
                Stream::of(own)
            }
            ir::Op::Conv(conv) => self.conv(name, input, conv)?,
            ir::Op::Linear { .. } => self.linear(name, input)?,
            ir::Op::Scale => {
                let weight = self.weight(name, "weight")?;
                let weight: Vec<f64> = weight.iter().copied().collect();
                let scale = self.full(name, &weight)?;
                self.push(name, input, Op::Scale { scale })?
            }
            ir::Op::BatchNorm(norm) => self.batch_norm(name, input, norm)?,
            ir::Op::Pool { pool, window } => self.pool(name, input, *pool, window)?,
            ir::Op::GlobalPool { pool } => self.global_pool(name, input, *pool)?,
            ir::Op::Flatten => self.flatten(name, input)?,
            ir::Op::Add => {
                let inputs: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
                self.add(name, &inputs)?
            }
            ir::Op::Concat => {
                return refuse(
                    "NIR has no node that concatenates; an add of two convolutions, each of one \
                     input, is the same as a convolution of both",
                );
            }
            ir::Op::ChannelSum { groups } => self.channel_sum(name, input, *groups)?,
            ir::Op::Mask { inverted } => self.mask(name, input, &node.inputs[1], *inverted)?,
            ir::Op::Activation { site, code } => self.site(name, input, site, code.is_some())?,
            ir::Op::Delay { steps, .. } => {
                let shape = self.shapes[name];
                let delay = full(shape, *steps as f64 * self.options.dt);
                self.graph.push(name, Op::Delay { delay });
                self.delays.push((name, input));
                // Levels are delayed, and multiplied with their step behind the delay.
                let step = match self.model.graph().node(input).map(|node| &node.op) {
                    Some(ir::Op::Activation { site: Site::QuantRelu(_), code: None }) => {
                        Some(self.weight(input, "step")?.iter().copied().collect())
                    }
                    _ => None,
                };
                Stream { step, ..Stream::of(name) }
            }
            // In evaluation they pass on what they read.
            ir::Op::Dropout { .. } | ir::Op::DropPath { .. } => self.stream(input)?,
            ir::Op::TimeMean | ir::Op::TimeLast | ir::Op::TimeMax => {
                let shape = self.shapes[name].to_vec();
                let own = self.named(name, "output");
                self.feed(input, &own)?;
                self.graph.push(own.clone(), Op::Output { shape });
                Stream::of(own)
            }
        };
        self.streams.insert(name, stream);
        Ok(())
    }

    /// `usual`, unless a node of the model has the name.
    fn named(&mut self, name: &str, usual: &str) -> String {
        if self.shapes.contains_key(usual) { name.into() } else { usual.into() }
    }

    // === Streams ===

    fn stream(&self, node: &str) -> Result<Stream> {
        self.streams
            .get(node)
            .cloned()
            .ok_or_else(|| Error::refused(node, "it is read before it is there"))
    }

    /// Connects what a node of ours yields with a node of NIR.
    fn feed(&mut self, node: &'m str, to: &str) -> Result<()> {
        for from in self.whole(node)? {
            self.graph.connect(from, to);
        }
        Ok(())
    }

    /// Nodes of NIR whose sum is what a node of ours yields, its step multiplied.
    fn whole(&mut self, node: &'m str) -> Result<Vec<String>> {
        let stream = self.stream(node)?;
        let Some(step) = stream.step else { return Ok(stream.nodes) };
        if let Some(scaled) = self.scaled.get(node) {
            return Ok(vec![scaled.clone()]);
        }
        let scaled = self.fresh(&format!("{node}.step"));
        let scale = self.full(node, &step)?;
        self.graph.push(scaled.clone(), Op::Scale { scale });
        for from in stream.nodes {
            self.graph.connect(from, &scaled);
        }
        self.scaled.insert(node, scaled.clone());
        Ok(vec![scaled])
    }

    /// A node of NIR under the name of ours, which reads what `input` yields.
    fn push(&mut self, name: &str, input: &'m str, op: Op) -> Result<Stream> {
        self.feed(input, name)?;
        self.graph.push(name, op);
        Ok(Stream::of(name))
    }

    fn close_delays(&mut self) -> Result<()> {
        for (delay, site) in std::mem::take(&mut self.delays) {
            for from in self.stream(site)?.nodes {
                self.graph.connect(from, delay);
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &'m str, inputs: &[&'m str]) -> Result<Stream> {
        let mut nodes: Vec<String> = Vec::new();
        for input in inputs {
            for node in self.whole(input)? {
                if !nodes.contains(&node) {
                    nodes.push(node);
                    continue;
                }
                // An edge stands once: what is added again goes by a node that copies it.
                let copy = self.fresh(&format!("{name}.again"));
                let scale = full(self.shapes[name], 1.0);
                self.graph.push(copy.clone(), Op::Scale { scale });
                self.graph.connect(node, &copy);
                nodes.push(copy);
            }
        }
        Ok(Stream { nodes, ..Stream::default() })
    }

    // === Small things ===

    fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while !self.used.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    fn note(&mut self, node: &str, text: impl Into<String>) {
        self.notes.push(Note { node: node.into(), text: text.into() });
    }

    fn weight(&self, node: &str, part: &str) -> Result<ArrayD<f64>> {
        Ok(ir::weights::real(self.model.weights(), node, part)?)
    }

    /// An array of the shape of a node of ours, from one value for each channel or for all.
    fn full(&self, node: &str, values: &[f64]) -> Result<Tensor> {
        spread(self.shapes[node], values)
            .ok_or_else(|| Error::refused(node, "it has not one value for each channel"))
    }

    fn metadata(&self) -> Table {
        let pre = self.model.preprocessing();
        let steps = i64::try_from(self.model.time_steps()).unwrap_or(i64::MAX);
        let mean: ndarray::Array1<i64> = pre.mean.iter().map(|&mean| i64::from(mean)).collect();
        let std = ndarray::Array1::from(pre.std.clone());
        let readout = self.model.graph().readout();
        Table::from([
            (names::TIME_STEPS.into(), Value::integer(steps)),
            (names::READOUT.into(), Value::from(names::name_of(readout))),
            (names::MEAN.into(), Value::Integers(mean.into_dyn())),
            (names::DEVIATION.into(), Value::Floats(Tensor::F64(std.into_dyn()))),
            (names::DT.into(), Value::float(self.options.dt)),
        ])
    }
}

/// As an f32, the type of all arrays that are written.
fn single(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "arrays are written in f32")]
    let value = value as f32;
    value
}

/// The largest f32 below a threshold: for every f32 `v ≥ threshold` is `v > below(threshold)`.
fn below(threshold: f64) -> f64 {
    let rounded = single(threshold);
    let below = if f64::from(rounded) < threshold { rounded } else { rounded.next_down() };
    f64::from(below)
}

/// An array of one value.
fn full(shape: &[usize], value: f64) -> Tensor {
    Tensor::F32(ArrayD::from_elem(IxDyn(shape), single(value)))
}

/// An array with a value for each channel, the first axis.
fn spread(shape: &[usize], values: &[f64]) -> Option<Tensor> {
    match values {
        [value] => Some(full(shape, *value)),
        _ if shape.first() == Some(&values.len()) => {
            let positions: usize = shape[1..].iter().product();
            let all =
                values.iter().flat_map(|&value| std::iter::repeat_n(single(value), positions));
            ArrayD::from_shape_vec(IxDyn(shape), all.collect()).ok().map(Tensor::F32)
        }
        _ => None,
    }
}

/// Real weights in f32.
fn rounded(values: &ArrayD<f64>) -> Tensor {
    Tensor::F32(values.mapv(single))
}

/// The name of a pooling for messages.
fn pool_name(pool: PoolKind) -> &'static str {
    match pool {
        PoolKind::Sum => "sum",
        PoolKind::Average => "average",
        PoolKind::Max => "max",
    }
}
