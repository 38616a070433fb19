//! Writes our graph, node by node.

use super::order::Order;
use super::{numbers, shapes, soft_reset};
use crate::error::{Error, Result};
use crate::flat::Flat;
use crate::op::{Conv, Op, Pool};
use crate::report::Note;
use crate::time::Discretisation;
use ndarray::{Array1, ArrayD, Axis, IxDyn};
use snn_ir::{self as ir, Graph, MAX_DELAY, PoolKind, Readout, Tensor, Weights, Window};
use std::collections::{BTreeMap, BTreeSet};

/// The most weights of all the diagonals that stand for a gain and an offset of each value of a
/// vector.
const MAX_DIAGONALS: usize = 1 << 24;

/// A graph that is being written.
pub(super) struct Builder<'f> {
    pub(super) flat: &'f Flat,
    /// Duration of a macro-step, in seconds.
    pub(super) dt: f64,
    pub(super) discretisation: Discretisation,
    pub(super) shapes: BTreeMap<String, Vec<usize>>,
    delayed: BTreeSet<(String, String)>,
    order: Vec<String>,
    /// Delays of NIR, in macro-steps.
    delays: BTreeMap<String, usize>,
    /// Nodes that together are one neuron with a soft reset, by the name of its threshold.
    soft: soft_reset::SoftResets,
    pub(super) graph: Graph,
    pub(super) weights: Weights,
    pub(super) notes: Vec<Note>,
    used: BTreeSet<String>,
    /// Integrators, whose output is the difference of two sites.
    pub(super) integrators: BTreeMap<String, [String; 2]>,
    /// Names of NIR for which another node of ours stands.
    stands: BTreeMap<String, String>,
    /// What delays a node by some steps, once it is written.
    late: BTreeMap<(String, usize), String>,
    /// Weights of diagonals that were made.
    diagonals: usize,
}

impl<'f> Builder<'f> {
    pub(super) fn new(flat: &'f Flat, dt: f64, discretisation: Discretisation) -> Result<Self> {
        let shapes = shapes::infer(flat)?;
        let mut delays = BTreeMap::new();
        for (name, op) in &flat.nodes {
            if let Op::Delay { delay } = op {
                delays.insert(name.clone(), steps_of(name, delay, dt)?);
            }
        }
        let waits: BTreeSet<String> =
            delays.iter().filter(|(_, steps)| **steps > 0).map(|(name, _)| name.clone()).collect();
        let Order { nodes: order, delayed } = Order::new(flat, &waits)?;
        let soft = soft_reset::find(flat, &delays, discretisation);
        Ok(Self {
            flat,
            dt,
            discretisation,
            shapes,
            delayed,
            order,
            delays,
            soft,
            graph: Graph::default(),
            weights: Weights::new(),
            notes: Vec::new(),
            used: flat.nodes.keys().cloned().collect(),
            integrators: BTreeMap::new(),
            stands: BTreeMap::new(),
            late: BTreeMap::new(),
            diagonals: 0,
        })
    }

    /// Writes all nodes; returns the channels of the input.
    pub(super) fn build(&mut self, readout: Readout) -> Result<usize> {
        let input = self.flat.input.clone();
        let shape = self.shapes[&input].clone();
        let channels = shape[0];
        self.graph.push(input.clone(), ir::Op::Input { shape }, &[]);
        for (from, to) in self.delayed.clone() {
            self.note(
                &to,
                &format!("reads `{from}` a step later: the edge from it closes a cycle"),
            );
        }
        for name in self.order.clone() {
            if name != input && name != self.flat.output && !self.soft.is_part(&name) {
                self.node(&name)?;
            }
        }
        self.head(readout)?;
        Ok(channels)
    }

    fn node(&mut self, name: &str) -> Result<()> {
        let flat = self.flat;
        let op = &flat.nodes[name];
        if let Op::Delay { .. } = op {
            return self.delay(name);
        }
        if let Some(soft) = self.soft.of(name) {
            return self.soft_reset(name, &soft);
        }
        let read = self.read(name)?;
        match op {
            Op::Affine { weight, bias } => self.linear(name, &read, weight, Some(bias)),
            Op::Linear { weight } => self.linear(name, &read, weight, None),
            Op::Scale { scale } => {
                let values = self.parameter(name, "scale", scale)?;
                let op = ir::Op::Scale;
                self.graph.push(name, op, &[&read]);
                self.weights.insert(format!("{name}.weight"), typed(&values, scale));
                Ok(())
            }
            Op::Conv1d(conv) | Op::Conv2d(conv) => self.conv(name, &read, conv),
            Op::AvgPool2d(pool) => {
                self.pool(name, &read, pool, PoolKind::Average);
                Ok(())
            }
            Op::SumPool2d(pool) => {
                self.pool(name, &read, pool, PoolKind::Sum);
                Ok(())
            }
            Op::Flatten { .. } => self.flatten(name, &read),
            Op::If { .. } | Op::Lif { .. } | Op::CubaLif { .. } | Op::Threshold { .. } => {
                self.neuron(name, &read)
            }
            Op::Li { .. } | Op::CubaLi { .. } | Op::I { .. } => self.integrator(name, &read),
            Op::Input { .. } | Op::Output { .. } | Op::Delay { .. } | Op::Graph(_) => {
                Err(Error::refused(name, format!("a {} cannot stand here", op.label())))
            }
        }
    }

    // === What a node reads ===

    /// Our node that yields what a node of NIR reads: the sum of its edges.
    pub(super) fn read(&mut self, name: &str) -> Result<String> {
        let mut all = Vec::new();
        for source in self.flat.sources_of(name).to_vec() {
            if self.soft.is_part(&source) {
                continue;
            }
            let edge = (source, name.to_owned());
            all.push(if self.delayed.contains(&edge) {
                self.late(&edge.0, 1)
            } else {
                self.value(edge.0)
            });
        }
        self.sum(name, all)
    }

    /// The sum of our nodes, called `NAME.sum` where there are several.
    pub(super) fn sum(&mut self, name: &str, mut all: Vec<String>) -> Result<String> {
        match all.len() {
            0 => Err(Error::refused(name, "no edge leads to it")),
            1 => Ok(all.remove(0)),
            _ => {
                let sum = self.fresh(&format!("{name}.sum"));
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                self.graph.push(sum.clone(), ir::Op::Add, &all);
                Ok(sum)
            }
        }
    }

    /// The output of a node some steps before.
    fn late(&mut self, source: &str, steps: usize) -> String {
        let key = (source.to_owned(), steps);
        if let Some(late) = self.late.get(&key) {
            return late.clone();
        }
        let suffix = if steps == 1 { "delay".into() } else { format!("delay{steps}") };
        let shape = self.shapes[source].clone();
        let op = ir::Op::Delay { steps, shape };
        let late = if is_integrator(&self.flat.nodes[source]) {
            let [positive, negative] = self.parts_of(source);
            let [late, minus, out] = ["late", "late.minus", "late.sum"]
                .map(|part| self.fresh(&format!("{source}.{suffix}.{part}")));
            let late_negative = self.fresh(&format!("{source}.{suffix}.negative"));
            self.graph.push(late.clone(), op.clone(), &[&positive]);
            self.graph.push(late_negative.clone(), op, &[&negative]);
            self.scale(&minus, &late_negative, &vec![-1.0; self.shapes[source][0]], None);
            self.graph.push(out.clone(), ir::Op::Add, &[&late, &minus]);
            out
        } else {
            let late = self.fresh(&format!("{source}.{suffix}"));
            self.graph.push(late.clone(), op, &[source]);
            late
        };
        self.late.insert(key, late.clone());
        late
    }

    fn delay(&mut self, name: &str) -> Result<()> {
        let steps = self.delays[name];
        let mut all = Vec::new();
        for source in self.flat.sources_of(name).to_vec() {
            let op = &self.flat.nodes[&source];
            if steps > 0 && !is_site(op) && !is_integrator(op) {
                return Err(Error::refused(
                    name,
                    format!(
                        "it delays `{source}`, a {}; ours delay what a neuron emits: put the \
                         Delay directly behind the neuron",
                        op.label()
                    ),
                ));
            }
            all.push(if steps > 0 { self.late(&source, steps) } else { self.value(source) });
        }
        let sum = self.sum(name, all)?;
        self.stands.insert(name.into(), sum);
        Ok(())
    }

    /// Our node that yields the output of a node of NIR.
    fn value(&self, name: String) -> String {
        self.stands.get(&name).cloned().unwrap_or(name)
    }

    // === Nodes without state ===

    fn linear(
        &mut self,
        name: &str,
        read: &str,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<()> {
        let bias = bias.filter(|bias| bias.to_f64().iter().any(|&value| value != 0.0));
        finite(name, "weight", weight)?;
        let op = ir::Op::Linear { features: weight.shape()[0], bias: bias.is_some() };
        self.graph.push(name, op, &[read]);
        self.weights.insert(format!("{name}.weight"), weight.clone());
        if let Some(bias) = bias {
            finite(name, "bias", bias)?;
            self.weights.insert(format!("{name}.bias"), bias.clone());
        }
        Ok(())
    }

    fn conv(&mut self, name: &str, read: &str, conv: &Conv) -> Result<()> {
        finite(name, "weight", &conv.weight)?;
        finite(name, "bias", &conv.bias)?;
        let bias = conv.bias.to_f64().iter().any(|&value| value != 0.0);
        let kernel = conv.weight.shape()[2..].to_vec();
        let mut padding = shapes::padding(conv);
        if padding[..kernel.len()] == padding[kernel.len()..] {
            padding.truncate(kernel.len());
        }
        let op = ir::Op::Conv(ir::Conv {
            channels: conv.weight.shape()[0],
            kernel,
            stride: conv.stride.clone(),
            padding,
            dilation: conv.dilation.clone(),
            groups: conv.groups,
            bias,
        });
        self.graph.push(name, op, &[read]);
        self.weights.insert(format!("{name}.weight"), conv.weight.clone());
        if bias {
            self.weights.insert(format!("{name}.bias"), conv.bias.clone());
        }
        Ok(())
    }

    fn pool(&mut self, name: &str, read: &str, pool: &Pool, kind: PoolKind) {
        let window = Window {
            kernel: pool.kernel_size.to_vec(),
            stride: pool.stride.to_vec(),
            padding: pool.padding.to_vec(),
        };
        self.graph.push(name, ir::Op::Pool { pool: kind, window }, &[read]);
    }

    fn flatten(&mut self, name: &str, read: &str) -> Result<()> {
        let source = &self.flat.sources_of(name)[0];
        let (input, output) = (self.shapes[source].clone(), self.shapes[name].clone());
        if output.len() == 1 {
            if let Op::Flatten { start_dim: 1, .. } = &self.flat.nodes[name]
                && input.len() > 1
            {
                self.note(name, "flattens all axes: its first one counts that of the batch");
            }
            self.graph.push(name, ir::Op::Flatten, &[read]);
            return Ok(());
        }
        if input == output {
            self.stands.insert(name.into(), read.into());
            return Ok(());
        }
        Err(Error::refused(
            name,
            format!("it makes {output:?} of {input:?}; ours flattens all axes or none"),
        ))
    }

    /// A one-to-one synapse.
    pub(super) fn scale(&mut self, name: &str, read: &str, values: &[f64], like: Option<&Tensor>) {
        self.graph.push(name, ir::Op::Scale, &[read]);
        let values = match like {
            Some(tensor) => typed(values, tensor),
            None => as_f32(values),
        };
        self.weights.insert(format!("{name}.weight"), values);
    }

    // === Currents ===

    /// Our node of the current `gain·x + offset` of node `name`, where x is what it reads: the
    /// weights before it take both on where nothing else reads them, else a synapse of its own.
    pub(super) fn current(
        &mut self,
        name: &str,
        read: &str,
        gain: &[f64],
        offset: &[f64],
        like: &Tensor,
    ) -> Result<String> {
        let (scales, moves) = (gain.iter().any(|&g| g != 1.0), offset.iter().any(|&o| o != 0.0));
        if !scales && !moves {
            return Ok(read.into());
        }
        let mut sources = self.flat.sources_of(name).to_vec();
        sources.retain(|source| !self.soft.is_part(source));
        let is_own = |source: &String| {
            matches!(
                self.flat.nodes[source],
                Op::Affine { .. } | Op::Linear { .. } | Op::Conv1d(_) | Op::Conv2d(_)
            ) && self.flat.targets_of(source).len() == 1
        };
        if sources.iter().all(is_own) {
            for (place, source) in sources.iter().enumerate() {
                let nothing = vec![0.0; offset.len()];
                self.absorb(source, gain, if place == 0 { offset } else { &nothing });
            }
            let what = if moves { "its gain and constant current" } else { "its gain" };
            let sources = sources.join("`, `");
            self.note(
                name,
                &format!("the weights of `{sources}` took on {what}, {}", listed(gain)),
            );
            return Ok(read.into());
        }
        let own = self.fresh(&format!("{name}.gain"));
        let channels = gain.len();
        if !moves {
            self.scale(&own, read, gain, Some(like));
            self.note(name, &format!("its gain is the synapse `{own}`, {}", listed(gain)));
            return Ok(own);
        }
        let shape = self.shapes[name].clone();
        let axes = shape.len() - 1;
        if axes > 0 {
            let op = ir::Op::Conv(ir::Conv {
                channels,
                kernel: vec![1; axes],
                stride: vec![1; axes],
                padding: vec![0; axes],
                dilation: vec![1; axes],
                groups: channels,
                bias: true,
            });
            self.graph.push(own.clone(), op, &[read]);
            let weight = typed(gain, like).to_f64();
            let shape = [vec![channels, 1], vec![1; axes]].concat();
            let weight = weight.into_shape_with_order(IxDyn(&shape));
            let weight = weight.map_err(|error| Error::refused(name, error.to_string()))?;
            self.weights.insert(format!("{own}.weight"), retyped(weight, like));
        } else {
            self.diagonals = self.diagonals.saturating_add(channels.saturating_mul(channels));
            if self.diagonals > MAX_DIAGONALS {
                return Err(Error::refused(
                    name,
                    "it needs a constant current for each neuron, and no layer before it can take \
                     a bias on: put an Affine directly before it",
                ));
            }
            self.graph.push(
                own.clone(),
                ir::Op::Linear { features: channels, bias: true },
                &[read],
            );
            let weight = ndarray::Array2::from_diag(&Array1::from(gain.to_vec()));
            self.weights.insert(format!("{own}.weight"), retyped(weight.into_dyn(), like));
        }
        self.weights.insert(format!("{own}.bias"), typed(offset, like));
        self.note(name, &format!("its gain and constant current are the layer `{own}`"));
        Ok(own)
    }

    /// Multiplies the outputs of a layer and moves them.
    fn absorb(&mut self, layer: &str, gain: &[f64], offset: &[f64]) {
        let weight_name = format!("{layer}.weight");
        let Some(weight) = self.weights.get(&weight_name).cloned() else { return };
        let mut values = weight.to_f64();
        for (mut row, gain) in values.axis_iter_mut(Axis(0)).zip(gain) {
            row.mapv_inplace(|value| value * gain);
        }
        self.weights.insert(weight_name, retyped(values, &weight));
        let bias_name = format!("{layer}.bias");
        let bias = self.weights.get(&bias_name).map(Tensor::to_f64);
        if bias.is_none() && offset.iter().all(|&value| value == 0.0) {
            return;
        }
        let mut bias = bias.unwrap_or_else(|| ArrayD::zeros(IxDyn(&[gain.len()])));
        for ((value, gain), offset) in bias.iter_mut().zip(gain).zip(offset) {
            *value = *value * gain + offset;
        }
        self.weights.insert(bias_name, retyped(bias, &weight));
        match self.graph.node_mut(layer).map(|node| &mut node.op) {
            Some(ir::Op::Linear { bias, .. }) => *bias = true,
            Some(ir::Op::Conv(conv)) => conv.bias = true,
            _ => {}
        }
    }

    // === The end ===

    fn head(&mut self, readout: Readout) -> Result<()> {
        let output = self.flat.output.clone();
        let mut read = self.read(&output)?;
        let shape = self.shapes[&output].clone();
        if shape.len() > 1 {
            let flat = self.fresh(&format!("{output}.flatten"));
            self.graph.push(flat.clone(), ir::Op::Flatten, &[&read]);
            self.note(&output, &format!("its shape {shape:?} is flattened to class scores"));
            read = flat;
        }
        if self.yields_events(&read) {
            let own = self.fresh(&format!("{output}.read"));
            self.scale(&own, &read, &vec![1.0; shape.iter().product()], None);
            self.note(&output, "class scores are what neurons emit, by a synapse of weight 1");
            read = own;
        }
        self.graph.push(output, readout.op(), &[&read]);
        Ok(())
    }

    /// `true` if a node of ours yields what sites emit, and no current.
    fn yields_events(&self, name: &str) -> bool {
        let Some(node) = self.graph.node(name) else { return false };
        match &node.op {
            ir::Op::Activation { .. } | ir::Op::Delay { .. } => true,
            ir::Op::Pool { .. } | ir::Op::Flatten | ir::Op::Add => {
                node.inputs.iter().all(|input| self.yields_events(input))
            }
            _ => false,
        }
    }

    // === Small things ===

    pub(super) fn note(&mut self, node: &str, text: &str) {
        self.notes.push(Note { node: node.into(), text: text.into() });
    }

    /// A name that no node has yet.
    pub(super) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while !self.used.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    /// One value for each channel of a parameter of a node.
    pub(super) fn parameter(&self, name: &str, field: &str, tensor: &Tensor) -> Result<Vec<f64>> {
        finite(name, field, tensor)?;
        numbers::per_channel(tensor, &self.shapes[name])
            .map_err(|reason| Error::refused(name, format!("`{field}` {reason}")))
    }
}

fn finite(name: &str, field: &str, tensor: &Tensor) -> Result<()> {
    match tensor.first_not_finite() {
        None => Ok(()),
        Some((at, _)) => {
            Err(Error::refused(name, format!("`{field}` is not finite at position {at}")))
        }
    }
}

/// `true` for what becomes a site.
pub(super) fn is_site(op: &Op) -> bool {
    matches!(op, Op::If { .. } | Op::Lif { .. } | Op::CubaLif { .. } | Op::Threshold { .. })
}

/// `true` for what becomes an integrator, the difference of two sites.
pub(super) fn is_integrator(op: &Op) -> bool {
    matches!(op, Op::Li { .. } | Op::CubaLi { .. } | Op::I { .. })
}

/// A delay in steps.
fn steps_of(name: &str, delay: &Tensor, dt: f64) -> Result<usize> {
    let values = delay.to_f64();
    let first = values.iter().next().copied().unwrap_or(0.0);
    if values.iter().any(|value| *value != first) {
        return Err(Error::refused(
            name,
            "`delay` differs between values; ours is one for all of a node",
        ));
    }
    let steps = first / dt;
    let whole = steps.round();
    let close = (steps - whole).abs() <= 8.0 * numbers::precision(&[delay]) * whole.max(1.0);
    if !(close && (0.0..=MAX_DELAY as f64).contains(&whole)) {
        return Err(Error::refused(
            name,
            format!(
                "`delay` must be 0 to {MAX_DELAY} whole steps of dt = {dt}; found {first}, which \
                 is {steps} steps"
            ),
        ));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to MAX_DELAY")]
    Ok(whole as usize)
}

/// Values as a tensor of another's type.
pub(super) fn typed(values: &[f64], like: &Tensor) -> Tensor {
    retyped(Array1::from(values.to_vec()).into_dyn(), like)
}

fn as_f32(values: &[f64]) -> Tensor {
    #[expect(clippy::cast_possible_truncation, reason = "weights of 1 and −1")]
    Tensor::F32(values.iter().map(|&value| value as f32).collect::<Array1<f32>>().into_dyn())
}

fn retyped(values: ArrayD<f64>, like: &Tensor) -> Tensor {
    #[expect(clippy::cast_possible_truncation, reason = "rounded to the type of the file")]
    match like {
        Tensor::F32(_) => Tensor::F32(values.mapv(|value| value as f32)),
        Tensor::F64(_) | Tensor::I8(_) | Tensor::I32(_) => Tensor::F64(values),
    }
}

/// Factors in short.
fn listed(values: &[f64]) -> String {
    match numbers::uniform(values) {
        Some(value) => format!("{value}"),
        None => format!("one for each of {} channels", values.len()),
    }
}
