//! The naive evaluator: nested loops written from `docs/semantics.md` alone, on `i64` (grid) and `f64` (off it). Slow, obviously right, and
//! the third opinion beside libtorch and the event runtime. It evaluates what a code *means* (eq. 15, right column), not its micro-steps.

use crate::error::{Error, Result};
use crate::evaluate::{Evaluate, Evaluation, Input, Logits, Record, SiteOutput, SiteTrace, TIE};
use crate::graph::{Conv, Node, Op, PoolKind};
use crate::model::{Form, Model};
use crate::resolve::Resolved;
use crate::site::{GridReset, Leak, Lif, Reset, Site};
use crate::weights;
use ndarray::{Array2, ArrayD, IxDyn};
use std::ops::{Add, Mul};

/// The naive evaluator of a model in any form.
#[derive(Debug)]
pub struct Naive<'m> {
    model: &'m Model,
    resolved: Resolved,
}

impl<'m> Naive<'m> {
    /// Validates the model.
    ///
    /// # Errors
    /// It is not valid.
    pub fn new(model: &'m Model) -> Result<Self> {
        Ok(Self { model, resolved: model.validate()? })
    }
}

impl Evaluate for Naive<'_> {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        input.check(&self.resolved.nodes[0].shape, self.model.time_steps)?;
        let (logits, sites) = match self.model.form {
            Form::Grid { .. } => {
                let (sums, sites) = run::<i64>(self.model, &self.resolved, input, record)?;
                (Logits::Integer(sums), sites)
            }
            Form::Trained | Form::Events => {
                let (sums, sites) = run::<f64>(self.model, &self.resolved, input, record)?;
                (Logits::Real(sums / self.model.time_steps as f64), sites)
            }
        };
        Ok(Evaluation { logits, sites })
    }
}

/// Arithmetic of the evaluator: what differs between the grid and the reals.
trait Number: Copy + Default + PartialOrd + Add<Output = Self> + Mul<Output = Self> + 'static {
    fn pixel(pixel: u8, mean: u8, std: f64) -> Self;
    fn part(model: &Model, node: &str, part: &str) -> Result<ArrayD<Self>>;
    fn divided(self, by: usize) -> Option<Self>;
    fn batch_norm(model: &Model, node: &str, eps: f64, c: usize, x: Self) -> Result<Self>;
    /// One site at one macro-step and position: `(level, emitted value, tie)`; `membrane` is `None` at rest.
    fn step(site: &SiteParameters<Self>, c: usize, current: Self, membrane: &mut Option<Self>) -> (i16, Self, bool);
    fn values(output: Vec<Self>, shape: &[usize]) -> Result<ArrayD<f64>>;
}

/// A site with its weights at hand.
struct SiteParameters<'m, A> {
    site: &'m Site,
    /// `leak`, `step`, `threshold` or `thresholds`, whichever the kind has.
    weights: Option<ArrayD<A>>,
    coded: bool,
}

impl Number for f64 {
    fn pixel(pixel: u8, mean: u8, std: f64) -> Self {
        (f64::from(pixel) - f64::from(mean)) / std
    }

    fn part(model: &Model, node: &str, part: &str) -> Result<ArrayD<Self>> {
        weights::real(&model.weights, node, part)
    }

    fn divided(self, by: usize) -> Option<Self> {
        Some(self / by as f64)
    }

    /// Eq. 4.
    fn batch_norm(model: &Model, node: &str, eps: f64, c: usize, x: Self) -> Result<Self> {
        let part = |part| Ok::<f64, Error>(weights::real(&model.weights, node, part)?[[c]]);
        Ok(part("weight")? * (x - part("running_mean")?) / (part("running_var")? + eps).sqrt() + part("bias")?)
    }

    fn step(site: &SiteParameters<Self>, c: usize, current: Self, membrane: &mut Option<Self>) -> (i16, Self, bool) {
        match (site.site, &site.weights) {
            (Site::Lif(lif), leak) => {
                let u = charge(lif, leak.as_ref().map(|a| a[[0]]), current, *membrane);
                let fires = u >= lif.threshold;
                *membrane = Some(match lif.reset {
                    Reset::Hard { potential } if fires => potential,
                    Reset::Soft if fires => u - lif.threshold,
                    Reset::Hard { .. } | Reset::Soft => u,
                });
                let tie = (u - lif.threshold).abs() <= TIE * lif.threshold.abs().max(1.0);
                (i16::from(fires), f64::from(u8::from(fires)), tie)
            }
            (Site::QuantRelu(q), Some(steps)) => {
                let s = steps[[if steps.len() == 1 { 0 } else { c }]];
                let ratio = current / s + 0.5;
                let level = ratio.floor().clamp(0.0, f64::from(q.levels));
                let tie = (ratio - ratio.round()).abs() <= TIE && (0.0..=f64::from(q.levels) + 0.5).contains(&ratio);
                #[expect(clippy::cast_possible_truncation, reason = "a level is a whole number of 0 to 255")]
                let spikes = level as i16;
                (spikes, if site.coded { level } else { s * level }, tie)
            }
            (Site::Relu, _) => (0, current.max(0.0), false),
            (Site::QuantRelu(_) | Site::GridLif(_) | Site::GridQuantRelu { .. }, _) => {
                unreachable!("Model::validate gives every real site its weights")
            }
        }
    }

    fn values(output: Vec<Self>, shape: &[usize]) -> Result<ArrayD<f64>> {
        shaped(output, shape)
    }
}

/// Eq. 8, first line.
fn charge(lif: &Lif, leak: Option<f64>, current: f64, membrane: Option<f64>) -> f64 {
    let rest = match lif.reset {
        Reset::Hard { potential } => potential,
        Reset::Soft => 0.0,
    };
    let factor = match (lif.leak, leak) {
        (Leak::Factor { factor }, _) => factor,
        (Leak::Learned { .. }, Some(a)) => logistic(a),
        (Leak::Learned { initial }, None) => initial,
    };
    let decayed = factor * (membrane.unwrap_or(rest) - rest);
    rest + decayed + current
}

/// `1/(1 + e^(−a))`, the leak factor of PLIF (eq. 8).
pub fn logistic(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

/// Membranes on the grid saturate at ±2³⁰ (eq. 13).
pub const MEMBRANE_LIMIT: i64 = 1 << 30;

impl Number for i64 {
    fn pixel(pixel: u8, mean: u8, _std: f64) -> Self {
        i64::from(pixel) - i64::from(mean)
    }

    fn part(model: &Model, node: &str, part: &str) -> Result<ArrayD<Self>> {
        weights::integer(&model.weights, node, part)
    }

    fn divided(self, _by: usize) -> Option<Self> {
        None
    }

    fn batch_norm(_model: &Model, node: &str, _eps: f64, _c: usize, _x: Self) -> Result<Self> {
        Err(Error::Refused { node: node.into(), reason: "batch norm does not exist on the grid".into() })
    }

    /// Eq. 13.
    fn step(site: &SiteParameters<Self>, c: usize, current: Self, membrane: &mut Option<Self>) -> (i16, Self, bool) {
        let level: u8 = match (site.site, &site.weights) {
            (Site::GridQuantRelu { levels }, Some(thresholds)) => {
                (0..*levels).map(|d| u8::from(current >= thresholds[[usize::from(d), c]])).sum()
            }
            (Site::GridLif(lif), Some(threshold)) => {
                let threshold = threshold[[c]] << lif.guard_bits;
                let decayed = (membrane.unwrap_or(0) * i64::from(lif.leak_multiplier)) >> lif.leak_shift;
                let u = (decayed + (current << lif.guard_bits)).clamp(-MEMBRANE_LIMIT, MEMBRANE_LIMIT);
                let fires = u >= threshold;
                *membrane = Some(match lif.reset {
                    GridReset::Hard if fires => 0,
                    GridReset::Soft if fires => u - threshold,
                    GridReset::Hard | GridReset::Soft => u,
                });
                u8::from(fires)
            }
            _ => unreachable!("Model::validate admits only grid sites with their weights on the grid"),
        };
        (i16::from(level), i64::from(level), false)
    }

    fn values(output: Vec<Self>, shape: &[usize]) -> Result<ArrayD<f64>> {
        shaped(output.into_iter().map(|v| v as f64).collect(), shape)
    }
}

fn shaped<V>(values: Vec<V>, shape: &[usize]) -> Result<ArrayD<V>> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|e| Error::Graph(e.to_string()))
}

/// What a site did so far, in `[T, B, …]` order of samples within time.
struct Recording<A> {
    levels: Vec<Vec<i16>>,
    values: Vec<Vec<A>>,
    ties: u64,
}

fn run<A: Number>(
    model: &Model,
    resolved: &Resolved,
    input: &Input<'_>,
    record: Record,
) -> Result<(Array2<A>, Vec<SiteTrace>)> {
    let count = resolved.nodes.len();
    let classes = resolved.nodes[count - 1].shape[0];
    let sites: Vec<Option<SiteParameters<'_, A>>> =
        model.graph.nodes.iter().map(|node| site_parameters(model, node)).collect::<Result<_>>()?;
    let mut sums = Array2::default((input.batch(), classes));
    let steps = model.time_steps;
    let mut recordings: Vec<Recording<A>> = sites
        .iter()
        .map(|site| if site.is_some() { steps } else { 0 })
        .map(|steps| Recording { levels: vec![Vec::new(); steps], values: vec![Vec::new(); steps], ties: 0 })
        .collect();
    for sample in 0..input.batch() {
        let mut values: Vec<Vec<A>> = vec![Vec::new(); count];
        let neurons = |index: usize| resolved.nodes[index].shape.iter().product();
        let mut membranes: Vec<Vec<Option<A>>> =
            (0..count).map(|index| vec![None; if sites[index].is_some() { neurons(index) } else { 0 }]).collect();
        for t in 0..steps {
            for index in 0..count {
                let (node, info) = (&model.graph.nodes[index], &resolved.nodes[index]);
                if t > 0 && !(info.varies || input.varies()) && !matches!(node.op, Op::TimeMean) {
                    continue;
                }
                let [channels, height, width] = info.chw();
                let output = if let (Op::Activation { .. }, Some(site)) = (&node.op, &sites[index]) {
                    let current = &values[info.inputs[0]];
                    let recording = &mut recordings[index];
                    let mut emitted = Vec::with_capacity(current.len());
                    for (position, &x) in current.iter().enumerate() {
                        let (level, value, tie) =
                            A::step(site, position / (height * width), x, &mut membranes[index][position]);
                        recording.levels[t].push(level);
                        recording.values[t].push(value);
                        recording.ties += u64::from(tie);
                        emitted.push(value);
                    }
                    emitted
                } else if matches!(node.op, Op::Input { .. }) {
                    let frame = input.frame(t);
                    let pixels = frame.index_axis(ndarray::Axis(0), sample);
                    let pre = &model.preprocessing;
                    pixels
                        .iter()
                        .enumerate()
                        .map(|(i, &p)| A::pixel(p, pre.mean[i / (height * width)], pre.std[i / (height * width)]))
                        .collect()
                } else if matches!(node.op, Op::TimeMean) {
                    for class in 0..channels {
                        sums[[sample, class]] = sums[[sample, class]] + values[info.inputs[0]][class];
                    }
                    Vec::new()
                } else {
                    let inputs: Vec<(&[A], [usize; 3])> =
                        info.inputs.iter().map(|&i| (values[i].as_slice(), resolved.nodes[i].chw())).collect();
                    stateless(model, node, &inputs, [channels, height, width])?
                };
                values[index] = output;
            }
        }
    }
    let traces = match record {
        Record::Logits => Vec::new(),
        Record::Sites => traces(model, resolved, input, recordings)?,
    };
    Ok((sums, traces))
}

fn site_parameters<'m, A: Number>(model: &'m Model, node: &'m Node) -> Result<Option<SiteParameters<'m, A>>> {
    let Op::Activation { site, code } = &node.op else { return Ok(None) };
    let part = match site {
        Site::Lif(lif) if matches!(lif.leak, Leak::Learned { .. }) => Some("leak"),
        Site::Lif(_) | Site::Relu => None,
        Site::QuantRelu(_) => Some("step"),
        Site::GridLif(_) => Some("threshold"),
        Site::GridQuantRelu { .. } => Some("thresholds"),
    };
    let weights = part.map(|part| A::part(model, &node.name, part)).transpose()?;
    Ok(Some(SiteParameters { site, weights, coded: code.is_some() }))
}

fn traces<A: Number>(
    model: &Model,
    resolved: &Resolved,
    input: &Input<'_>,
    recordings: Vec<Recording<A>>,
) -> Result<Vec<SiteTrace>> {
    let mut traces = Vec::new();
    for ((node, info), recording) in model.graph.nodes.iter().zip(&resolved.nodes).zip(recordings) {
        let Op::Activation { site, .. } = &node.op else { continue };
        let steps = if info.varies || input.varies() { model.time_steps } else { 1 };
        let mut shape = vec![steps, input.batch()];
        shape.extend(&info.shape);
        let output = if matches!(site, Site::Relu) {
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
            let conv = Conv { bias: *bias, ..Conv::square(*features, 1, 1) };
            convolution(model, node, &conv, x, shape, output)?
        }
        Op::Scale => {
            let weight = A::part(model, &node.name, "weight")?;
            x.iter().enumerate().map(|(i, &v)| weight[[i / (height * width)]] * v).collect()
        }
        Op::BatchNorm { eps } => x
            .iter()
            .enumerate()
            .map(|(i, &v)| A::batch_norm(model, &node.name, *eps, i / (height * width), v))
            .collect::<Result<_>>()?,
        Op::Pool { pool, window } => {
            let mut y = Vec::with_capacity(channels * height * width);
            for_each(output, |c, i, j| y.push(pooled(node, *pool, x, shape, c, [i, j], window.as_2d(), window.size())));
            y.into_iter().collect::<Result<_>>()?
        }
        Op::GlobalPool { pool } => {
            let [_, h, w] = shape;
            (0..channels)
                .map(|c| pooled(node, *pool, x, shape, c, [0, 0], ([h, w], [1, 1], [0, 0]), h * w))
                .collect::<Result<_>>()?
        }
        Op::Flatten => x.to_vec(),
        Op::Add => (0..x.len()).map(|i| inputs[1..].iter().fold(x[i], |sum, (other, _)| sum + other[i])).collect(),
        Op::Concat => inputs.iter().flat_map(|(x, _)| x.iter().copied()).collect(),
        Op::Input { .. } | Op::Activation { .. } | Op::TimeMean => {
            return Err(Error::Refused { node: node.name.clone(), reason: "is not stateless".into() });
        }
    })
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
    let multiplier = if matches!(model.form, Form::Grid { .. }) { Some(part("multiplier")?) } else { None };
    let (kernel, stride, padding, dilation) = conv.as_2d();
    let group_inputs = shape[0] / conv.groups;
    let weight: Vec<A> = weight.iter().copied().collect();
    let mut y = Vec::with_capacity(output.iter().product());
    for_each(output, |o, i, j| {
        let first = o / (conv.channels / conv.groups) * group_inputs;
        let mut sum = A::default();
        for c in 0..group_inputs {
            for a in 0..kernel[0] {
                for b in 0..kernel[1] {
                    let row = (i * stride[0] + a * dilation[0]).checked_sub(padding[0]).filter(|r| *r < shape[1]);
                    let column = (j * stride[1] + b * dilation[1]).checked_sub(padding[1]).filter(|k| *k < shape[2]);
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
    (kernel, stride, padding): ([usize; 2], [usize; 2], [usize; 2]),
    size: usize,
) -> Result<A> {
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
        PoolKind::Max => {
            inside.into_iter().reduce(|largest, v| if v > largest { v } else { largest }).ok_or_else(|| {
                Error::Refused { node: node.name.clone(), reason: "a window lies outside the image".into() }
            })
        }
    }
}
