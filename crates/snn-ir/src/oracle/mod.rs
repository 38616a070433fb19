//! The naive evaluator: nested loops written from `docs/semantics.md` alone, on `i64` (grid) and
//! `f64` (off it). Slow, obviously right, and the third opinion beside libtorch and the event
//! runtime. It evaluates what a code *means* (eq. 15, right column), not its micro-steps.

mod site;

use crate::custom_neurons::Neurons;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluate, Evaluation, Input, Logits, Record, SiteOutput, SiteTrace};
use crate::graph::resolve::Resolved;
use crate::graph::{Conv, Geometry, MASKED, Node, Norm, Op, PoolKind};
use crate::model::weights;
use crate::model::{Form, Model, Preprocessing};
use crate::site::Site;
use ndarray::{Array2, ArrayD, IxDyn};
use site::{Emitted, Memory, NaiveSite};
use std::ops::{Add, Mul};

/// The naive evaluator of a model in any form.
#[derive(Debug)]
pub struct Naive<'m> {
    model: &'m Model,
    resolved: &'m Resolved,
    neurons: Neurons,
}

impl<'m> Naive<'m> {
    /// Validates the model.
    ///
    /// # Errors
    /// It is not valid, or has a user's own neuron (see [`Naive::with_neurons`]).
    pub fn new(model: &'m Model) -> Result<Self> {
        Self::with_neurons(model, &Neurons::default())
    }

    /// Validates a model that may have neurons of a user's own.
    ///
    /// # Errors
    /// It is not valid, or a neuron is unknown or refuses its parameters; the message names node
    /// and neuron.
    pub fn with_neurons(model: &'m Model, neurons: &Neurons) -> Result<Self> {
        let resolved = model.validate()?.resolved();
        if !matches!(model.form(), Form::Grid { .. }) {
            for (node, info) in model.graph().nodes.iter().zip(&resolved.nodes) {
                NaiveSite::<f64>::new(model, node, info.shape[0], neurons)?;
            }
        }
        Ok(Self { model, resolved, neurons: neurons.clone() })
    }
}

impl Evaluate for Naive<'_> {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        let (model, resolved, neurons) = (self.model, self.resolved, &self.neurons);
        let time_steps = model.time_steps();
        model.encoder().with_input(input, time_steps, |input| {
            input.check(&resolved.nodes[0].shape, time_steps)?;
            let (logits, sites) = match model.form() {
                Form::Grid { .. } => {
                    let (sums, sites) = run::<i64>(model, resolved, neurons, input, record)?;
                    (Logits::Integer(sums), sites)
                }
                Form::Trained | Form::Events => {
                    let (sums, sites) = run::<f64>(model, resolved, neurons, input, record)?;
                    let divisor = model.graph().readout().divisor(time_steps as u64);
                    (Logits::Real(sums / divisor as f64), sites)
                }
            };
            Ok(Evaluation { logits, sites })
        })
    }
}

/// Arithmetic of the evaluator: what differs between the grid and the reals.
pub(crate) trait Number:
    Copy + Default + PartialOrd + Add<Output = Self> + Mul<Output = Self> + 'static
{
    fn pixel(pixel: u8, mean: u8, std: f64) -> Self;
    fn part(model: &Model, node: &str, part: &str) -> Result<ArrayD<Self>>;
    fn divided(self, by: usize) -> Option<Self>;
    /// `1 − m`.
    fn complement(self) -> Self;
    fn batch_norm(model: &Model, node: &str, norm: Norm, c: usize, x: Self) -> Result<Self>;
    /// One neuron of channel `c` at one macro-step.
    fn step(
        site: &NaiveSite<'_, Self>,
        c: usize,
        current: Self,
        memory: &mut Memory<Self>,
    ) -> Result<Emitted<Self>>;
    fn values(output: Vec<Self>, shape: &[usize]) -> Result<ArrayD<f64>>;
}

impl Number for f64 {
    fn pixel(pixel: u8, mean: u8, std: f64) -> Self {
        (f64::from(pixel) - f64::from(mean)) / std
    }

    fn part(model: &Model, node: &str, part: &str) -> Result<ArrayD<Self>> {
        weights::real(model.weights(), node, part)
    }

    fn divided(self, by: usize) -> Option<Self> {
        Some(self / by as f64)
    }

    fn complement(self) -> Self {
        1.0 - self
    }

    /// Eq. 4.
    fn batch_norm(model: &Model, node: &str, norm: Norm, c: usize, x: Self) -> Result<Self> {
        let part = |part| Ok::<f64, Error>(weights::real(model.weights(), node, part)?[[c]]);
        let scale = if norm.scale { part("weight")? } else { 1.0 };
        let deviation = (part("running_var")? + norm.eps).sqrt();
        Ok(scale * (x - part("running_mean")?) / deviation + part("bias")?)
    }

    fn step(
        site: &NaiveSite<'_, Self>,
        c: usize,
        current: Self,
        memory: &mut Memory<Self>,
    ) -> Result<Emitted<Self>> {
        site.step_real(c, current, memory)
    }

    fn values(output: Vec<Self>, shape: &[usize]) -> Result<ArrayD<f64>> {
        shaped(output, shape)
    }
}

impl Number for i64 {
    fn pixel(pixel: u8, mean: u8, _std: f64) -> Self {
        i64::from(pixel) - i64::from(mean)
    }

    fn part(model: &Model, node: &str, part: &str) -> Result<ArrayD<Self>> {
        weights::integer(model.weights(), node, part)
    }

    fn divided(self, _by: usize) -> Option<Self> {
        None
    }

    fn complement(self) -> Self {
        1 - self
    }

    fn batch_norm(_model: &Model, node: &str, _: Norm, _c: usize, _x: Self) -> Result<Self> {
        Err(Error::Refused {
            node: node.into(),
            reason: "batch norm does not exist on the grid".into(),
        })
    }

    fn step(
        site: &NaiveSite<'_, Self>,
        c: usize,
        current: Self,
        memory: &mut Memory<Self>,
    ) -> Result<Emitted<Self>> {
        site.step_grid(c, current, memory)
    }

    fn values(output: Vec<Self>, shape: &[usize]) -> Result<ArrayD<f64>> {
        shaped(output.into_iter().map(|v| v as f64).collect(), shape)
    }
}

fn shaped<V>(values: Vec<V>, shape: &[usize]) -> Result<ArrayD<V>> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|e| Error::Graph(e.to_string()))
}

/// Output of a site so far, in `[T, B, …]` order of samples within time.
struct Recording<A> {
    levels: Vec<Vec<i16>>,
    values: Vec<Vec<A>>,
    ties: u64,
}

fn run<A: Number>(
    model: &Model,
    resolved: &Resolved,
    neurons: &Neurons,
    input: &Input<'_>,
    record: Record,
) -> Result<(Array2<A>, Vec<SiteTrace>)> {
    let count = resolved.nodes.len();
    let classes = resolved.nodes[count - 1].shape[0];
    let sites: Vec<Option<NaiveSite<'_, A>>> = model
        .graph()
        .nodes
        .iter()
        .zip(&resolved.nodes)
        .map(|(node, info)| NaiveSite::new(model, node, info.shape[0], neurons))
        .collect::<Result<_>>()?;
    let mut sums = Array2::default((input.batch(), classes));
    let steps = model.time_steps();
    let mut recordings: Vec<Recording<A>> = sites
        .iter()
        .map(|site| if site.is_some() { steps } else { 0 })
        .map(|steps| Recording {
            levels: vec![Vec::new(); steps],
            values: vec![Vec::new(); steps],
            ties: 0,
        })
        .collect();
    for sample in 0..input.batch() {
        let mut values: Vec<Vec<A>> = vec![Vec::new(); count];
        let size = |index: usize| resolved.nodes[index].shape.iter().product();
        let mut memories: Vec<Vec<Memory<A>>> = (0..count)
            .map(|index| {
                vec![Memory::default(); if sites[index].is_some() { size(index) } else { 0 }]
            })
            .collect();
        // Of each delay what its site yielded at every macro-step so far.
        let mut histories: Vec<Vec<Vec<A>>> = vec![Vec::new(); count];
        for t in 0..steps {
            for index in 0..count {
                let (node, info) = (&model.graph().nodes[index], &resolved.nodes[index]);
                let readout = node.op.readout();
                if t > 0 && !(info.varies || input.varies()) && readout.is_none() {
                    continue;
                }
                let [channels, height, width] = info.chw();
                let output = if let (Op::Activation { .. }, Some(site)) = (&node.op, &sites[index])
                {
                    let current = &values[info.inputs[0]];
                    let recording = &mut recordings[index];
                    let mut emitted = Vec::with_capacity(current.len());
                    for (position, &x) in current.iter().enumerate() {
                        let channel = position / (height * width);
                        let Emitted { level, value, tie } =
                            A::step(site, channel, x, &mut memories[index][position])?;
                        recording.levels[t].push(level);
                        recording.values[t].push(value);
                        recording.ties += u64::from(tie);
                        emitted.push(value);
                    }
                    emitted
                } else if matches!(node.op, Op::Input { .. }) {
                    let frame = input.frame(t);
                    let pixels = frame.index_axis(ndarray::Axis(0), sample);
                    let Preprocessing { mean, std, .. } = model.preprocessing();
                    let of = |i: usize| i / (height * width);
                    let pixels = pixels.iter().enumerate();
                    pixels.map(|(i, &p)| A::pixel(p, mean[of(i)], std[of(i)])).collect()
                } else if let Some(readout) = readout {
                    for class in 0..channels {
                        let held = &mut sums[[sample, class]];
                        let score = values[info.inputs[0]][class];
                        *held = readout.after((t > 0).then_some(*held), score, A::add);
                    }
                    Vec::new()
                } else if let Op::Delay { steps: delay, .. } = node.op {
                    match t.checked_sub(delay) {
                        Some(then) => histories[index][then].clone(),
                        None => vec![A::default(); size(index)],
                    }
                } else {
                    let inputs: Vec<(&[A], [usize; 3])> = info
                        .inputs
                        .iter()
                        .map(|&i| (values[i].as_slice(), resolved.nodes[i].chw()))
                        .collect();
                    stateless(model, node, &inputs, [channels, height, width])?
                };
                values[index] = output;
            }
            for (index, history) in histories.iter_mut().enumerate() {
                if matches!(model.graph().nodes[index].op, Op::Delay { .. }) {
                    history.push(values[resolved.nodes[index].inputs[0]].clone());
                }
            }
        }
    }
    let traces = match record {
        Record::Logits => Vec::new(),
        Record::Sites => traces(model, resolved, input, recordings)?,
    };
    Ok((sums, traces))
}

fn traces<A: Number>(
    model: &Model,
    resolved: &Resolved,
    input: &Input<'_>,
    recordings: Vec<Recording<A>>,
) -> Result<Vec<SiteTrace>> {
    let mut traces = Vec::new();
    for ((node, info), recording) in model.graph().nodes.iter().zip(&resolved.nodes).zip(recordings)
    {
        let Op::Activation { site, .. } = &node.op else { continue };
        let steps = if info.varies || input.varies() { model.time_steps() } else { 1 };
        let mut shape = vec![steps, input.batch()];
        shape.extend(&info.shape);
        let output = if matches!(site, Site::Relu { .. }) {
            SiteOutput::Values(A::values(recording.values.concat(), &shape)?)
        } else {
            SiteOutput::Levels(shaped(recording.levels.concat(), &shape)?)
        };
        traces.push(SiteTrace { site: node.name.clone(), output, ties: recording.ties });
    }
    Ok(traces)
}

/// A node without state on one sample at one macro-step (eqs. 2 to 6).
fn stateless<A: Number>(
    model: &Model,
    node: &Node,
    inputs: &[(&[A], [usize; 3])],
    output: [usize; 3],
) -> Result<Vec<A>> {
    let (x, shape) = inputs[0];
    let [channels, height, width] = output;
    Ok(match &node.op {
        Op::Conv(conv) => convolution(model, node, conv, x, shape, output)?,
        Op::Linear { features, bias } => {
            let conv = Conv::from_linear(*features, *bias);
            convolution(model, node, &conv, x, shape, output)?
        }
        Op::Scale => {
            let weight = A::part(model, &node.name, "weight")?;
            x.iter().enumerate().map(|(i, &v)| weight[[i / (height * width)]] * v).collect()
        }
        Op::BatchNorm(norm) => x
            .iter()
            .enumerate()
            .map(|(i, &v)| A::batch_norm(model, &node.name, *norm, i / (height * width), v))
            .collect::<Result<_>>()?,
        Op::Pool { pool, window } => {
            let mut y = Vec::with_capacity(channels * height * width);
            for_each(output, |c, i, j| {
                y.push(pooled(node, *pool, x, shape, c, [i, j], window.as_2d(), window.size()));
            });
            y.into_iter().collect::<Result<_>>()?
        }
        Op::GlobalPool { pool } => {
            let [_, h, w] = shape;
            (0..channels)
                .map(|c| pooled(node, *pool, x, shape, c, [0, 0], Geometry::whole([h, w]), h * w))
                .collect::<Result<_>>()?
        }
        // Dropout is for training.
        Op::Flatten | Op::Dropout { .. } | Op::DropPath { .. } => x.to_vec(),
        Op::Add => (0..x.len())
            .map(|i| inputs[1..].iter().fold(x[i], |sum, (other, _)| sum + other[i]))
            .collect(),
        Op::Concat => inputs.iter().flat_map(|(x, _)| x.iter().copied()).collect(),
        Op::ChannelSum { groups } => {
            let (each, size) = (shape[0] / groups, height * width);
            let value = |g: usize, p: usize| {
                (0..each).fold(A::default(), |sum, c| sum + x[(g * each + c) * size + p])
            };
            (0..*groups)
                .flat_map(|g| (0..size).map(move |p| (g, p)))
                .map(|(g, p)| value(g, p))
                .collect()
        }
        Op::Mask { inverted } => masked(inputs[0], inputs[MASKED], *inverted),
        Op::Input { .. }
        | Op::Activation { .. }
        | Op::Delay { .. }
        | Op::TimeMean
        | Op::TimeLast
        | Op::TimeMax => {
            return Err(Error::Refused {
                node: node.name.clone(),
                reason: "is not stateless".into(),
            });
        }
    })
}

/// Eq. 6b.
fn masked<A: Number>(
    (mask, [groups, rows, columns]): (&[A], [usize; 3]),
    (x, shape): (&[A], [usize; 3]),
    inverted: bool,
) -> Vec<A> {
    let mut y = Vec::with_capacity(x.len());
    for_each(shape, |c, i, j| {
        let g = c / (shape[0] / groups);
        // A mask of one position is the same at every one.
        let (row, column) = if [rows, columns] == [1, 1] { (0, 0) } else { (i, j) };
        let m = mask[(g * rows + row) * columns + column];
        let value = x[(c * shape[1] + i) * shape[2] + j];
        y.push(if inverted { m.complement() * value } else { m * value });
    });
    y
}

fn for_each([channels, height, width]: [usize; 3], mut visit: impl FnMut(usize, usize, usize)) {
    for c in 0..channels {
        for i in 0..height {
            for j in 0..width {
                visit(c, i, j);
            }
        }
    }
}

/// Eqs. 2 and 12.
fn convolution<A: Number>(
    model: &Model,
    node: &Node,
    conv: &Conv,
    x: &[A],
    shape: [usize; 3],
    output: [usize; 3],
) -> Result<Vec<A>> {
    let part = |part| A::part(model, &node.name, part);
    let weight = part("weight")?;
    let bias = if conv.bias { Some(part("bias")?) } else { None };
    let multiplier =
        if matches!(model.form(), Form::Grid { .. }) { Some(part("multiplier")?) } else { None };
    let Geometry { kernel, stride, padding, dilation, .. } = conv.as_2d();
    let group_inputs = shape[0] / conv.groups;
    let weight: Vec<A> = weight.iter().copied().collect();
    let mut y = Vec::with_capacity(output.iter().product());
    for_each(output, |o, i, j| {
        let first = o / (conv.channels / conv.groups) * group_inputs;
        let mut sum = A::default();
        for c in 0..group_inputs {
            for a in 0..kernel[0] {
                for b in 0..kernel[1] {
                    let row = (i * stride[0] + a * dilation[0])
                        .checked_sub(padding[0])
                        .filter(|r| *r < shape[1]);
                    let column = (j * stride[1] + b * dilation[1])
                        .checked_sub(padding[1])
                        .filter(|k| *k < shape[2]);
                    if let (Some(row), Some(column)) = (row, column) {
                        let w = weight[((o * group_inputs + c) * kernel[0] + a) * kernel[1] + b];
                        sum = sum + w * x[((first + c) * shape[1] + row) * shape[2] + column];
                    }
                }
            }
        }
        let scaled = multiplier.as_ref().map_or(sum, |m| m[[o]] * sum);
        y.push(bias.as_ref().map_or(scaled, |b| scaled + b[[o]]));
    });
    Ok(y)
}

/// Eq. 5 at one output position.
#[expect(clippy::too_many_arguments, reason = "one place of a window is all of these")]
fn pooled<A: Number>(
    node: &Node,
    pool: PoolKind,
    x: &[A],
    shape: [usize; 3],
    c: usize,
    at: [usize; 2],
    geometry: Geometry,
    size: usize,
) -> Result<A> {
    let Geometry { kernel, stride, padding, .. } = geometry;
    let mut inside = Vec::new();
    for a in 0..kernel[0] {
        for b in 0..kernel[1] {
            let row = (at[0] * stride[0] + a).checked_sub(padding[0]).filter(|r| *r < shape[1]);
            let column = (at[1] * stride[1] + b).checked_sub(padding[1]).filter(|k| *k < shape[2]);
            if let (Some(row), Some(column)) = (row, column) {
                inside.push(x[(c * shape[1] + row) * shape[2] + column]);
            }
        }
    }
    let sum = |values: &[A]| values.iter().fold(A::default(), |sum, &v| sum + v);
    match pool {
        PoolKind::Sum => Ok(sum(&inside)),
        PoolKind::Average => sum(&inside).divided(size).ok_or_else(|| Error::Refused {
            node: node.name.clone(),
            reason: "averages do not exist on the grid".into(),
        }),
        PoolKind::Max => inside
            .into_iter()
            .reduce(|largest, v| if v > largest { v } else { largest })
            .ok_or_else(|| Error::Refused {
                node: node.name.clone(),
                reason: "a window lies outside the image".into(),
            }),
    }
}
