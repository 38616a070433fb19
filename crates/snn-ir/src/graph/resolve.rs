//! Names to indices, shapes, and what varies over time: computed once here, so that no interpreter
//! checks a graph again.

use super::op::sides;
use super::{Conv, Graph, MASKED, MAX_DELAY, Node, Norm, Op, PoolKind, Window, initial};
use crate::error::{Error, Result};
use crate::site::{Site, Spike};
use std::collections::HashMap;
use std::fmt;

/// The most nodes a graph may have; a limit for untrusted files.
pub const MAX_NODES: usize = 100_000;
/// The most values one sample may have at one node; a limit for untrusted files.
pub const MAX_VALUES: usize = 1 << 28;
/// The most weights one convolution or linear layer may have; a limit for untrusted files.
pub const MAX_WEIGHTS: usize = 1 << 28;
/// The most macro-steps a model may have; a limit for untrusted files.
pub const MAX_TIME_STEPS: usize = 1 << 16;
/// The most channels all nodes may have together, counted once for each input that is read. What is
/// kept and computed for each channel (bounds, units) is then small, however many nodes flatten a
/// large image and however often one is added to itself.
pub const MAX_CHANNELS: usize = 1 << 24;

/// A graph whose names, shapes and attributes have been checked.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// One entry for each node, in the same order.
    pub nodes: Vec<ResolvedNode>,
}

/// A node of a checked graph, with its shape.
#[derive(Debug, Clone)]
pub struct ResolvedNode {
    /// Its name.
    pub name: String,
    /// Positions of its inputs, which stand before it; that of a delay may stand after it.
    pub inputs: Vec<usize>,
    /// Shape of its output for one sample.
    pub shape: Vec<usize>,
    /// `true` if its output differs between macro-steps for a static image (eq. 14).
    pub varies: bool,
}

impl ResolvedNode {
    /// Output shape as `[C, H, W]`.
    pub fn chw(&self) -> [usize; 3] {
        chw(&self.shape)
    }
}

/// A shape as `[C, H, W]`: `[C, L]` is one row, `[F]` one pixel.
pub fn chw(shape: &[usize]) -> [usize; 3] {
    match shape {
        [c, h, w] => [*c, *h, *w],
        [c, l] => [*c, 1, *l],
        [f] => [*f, 1, 1],
        _ => [shape.iter().product(), 1, 1],
    }
}

/// An activation site of a graph.
#[derive(Debug, Clone)]
pub struct SiteInfo {
    /// Position of its node.
    pub index: usize,
    /// Name of its node.
    pub name: String,
    /// Output shape for one sample.
    pub shape: Vec<usize>,
    /// The operation.
    pub site: Site,
}

impl SiteInfo {
    /// Number of neurons.
    pub fn neurons(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Graph {
    /// Checks names, order, arity, attributes and shapes.
    ///
    /// # Errors
    /// The first node that does not fit, with what was expected and found.
    pub fn resolve(&self) -> Result<Resolved> {
        if self.nodes.len() > MAX_NODES {
            return Err(Error::Graph(format!(
                "expected at most {MAX_NODES} nodes, found {}",
                self.nodes.len()
            )));
        }
        let mut nodes = self.resolve_nodes()?;
        self.resolve_delays(&mut nodes)?;
        self.check_ends(&nodes)?;
        Ok(Resolved { nodes })
    }

    /// Every node for itself and against those before it, delays without what they read; whether
    /// the graph as a whole is complete is [`Graph::check_ends`]'s to say.
    fn resolve_nodes(&self) -> Result<Vec<ResolvedNode>> {
        let mut resolver = Resolver::default();
        for node in &self.nodes {
            resolver.add(node).map_err(|error| match error {
                Error::UnknownInput { node, input } if self.node(&input).is_some() => {
                    Error::Refused {
                        node,
                        reason: format!(
                            "input `{input}` is not a node before it (nodes are listed in \
                             topological order); only a delay of a site, which takes a value of \
                             an earlier macro-step, may read a later node"
                        ),
                    }
                }
                error => error,
            })?;
        }
        Ok(resolver.nodes)
    }

    /// Finds what delays read, now that all nodes are known.
    fn resolve_delays(&self, nodes: &mut [ResolvedNode]) -> Result<()> {
        let is_delay = |node: &Node| matches!(node.op, Op::Delay { .. });
        if !self.nodes.iter().any(is_delay) {
            return Ok(());
        }
        let index: HashMap<&str, usize> =
            self.nodes.iter().enumerate().map(|(at, node)| (node.name.as_str(), at)).collect();
        for (position, node) in self.nodes.iter().enumerate().filter(|(_, node)| is_delay(node)) {
            let Some(input) = node.inputs.first() else { continue };
            let refuse = |reason: String| Error::Refused { node: node.name.clone(), reason };
            let Some(&read) = index.get(input.as_str()) else {
                return Err(refuse(format!("input `{input}` is not a node of the graph")));
            };
            if !matches!(self.nodes[read].op, Op::Activation { .. }) {
                return Err(refuse(format!(
                    "it delays `{input}`, which is no activation site ({}); only what a site \
                     emits can be delayed: put the delay directly behind the site",
                    self.nodes[read].op.label()
                )));
            }
            if nodes[read].shape != nodes[position].shape {
                return Err(Error::Shape {
                    node: node.name.clone(),
                    expected: format!(
                        "as its shape that of the site `{input}`, {:?}",
                        nodes[read].shape
                    ),
                    found: nodes[position].shape.clone(),
                });
            }
            nodes[position].inputs = vec![read];
        }
        Ok(())
    }

    /// Shape of every node of a graph that may still lack its end; what a builder needs while it
    /// builds.
    ///
    /// # Errors
    /// As [`Graph::resolve`], without the demand for a head and for readers.
    pub fn shapes(&self) -> Result<Vec<Vec<usize>>> {
        Ok(self.resolve_nodes()?.into_iter().map(|node| node.shape).collect())
    }

    /// One input, first; one head, last; every other node reaches the head.
    fn check_ends(&self, nodes: &[ResolvedNode]) -> Result<()> {
        let is_input = |node: &Node| matches!(node.op, Op::Input { .. });
        let is_head = |node: &Node| node.op.readout().is_some();
        let (Some(first), Some(last)) = (self.nodes.first(), self.nodes.last()) else {
            return Err(Error::Graph("it has no nodes".into()));
        };
        if !is_input(first) || self.nodes.iter().filter(|n| is_input(n)).count() != 1 {
            return Err(Error::Graph("expected exactly one input, as the first node".into()));
        }
        if !is_head(last) || self.nodes.iter().filter(|n| is_head(n)).count() != 1 {
            return Err(Error::Graph(
                "expected exactly one head (time_mean, time_last or time_max), as the last node"
                    .into(),
            ));
        }
        let mut read = vec![false; nodes.len()];
        for &input in nodes.iter().flat_map(|node| &node.inputs) {
            read[input] = true;
        }
        if let Some(unread) = read.iter().take(nodes.len() - 1).position(|r| !r) {
            let unread = &nodes[unread].name;
            return Err(Error::Graph(format!("the output of node `{unread}` is read by nothing")));
        }
        // Nodes that read each other through a delay alone are all read, and yet of no use.
        let mut reached = vec![false; nodes.len()];
        let mut pending = vec![nodes.len() - 1];
        while let Some(index) = pending.pop() {
            if !std::mem::replace(&mut reached[index], true) {
                pending.extend(&nodes[index].inputs);
            }
        }
        match reached.iter().position(|r| !r) {
            Some(lost) => Err(Error::Graph(format!(
                "the output of node `{}` does not reach the head: a loop of delays alone reads it",
                nodes[lost].name
            ))),
            None => Ok(()),
        }
    }

    /// The activation sites in order, with shapes.
    ///
    /// # Errors
    /// The graph is invalid.
    pub fn sites(&self) -> Result<Vec<SiteInfo>> {
        let resolved = self.resolve()?;
        Ok(self
            .nodes
            .iter()
            .zip(resolved.nodes)
            .enumerate()
            .filter_map(|(index, (node, resolved))| match &node.op {
                Op::Activation { site, .. } => Some(SiteInfo {
                    index,
                    name: node.name.clone(),
                    shape: resolved.shape,
                    site: site.clone(),
                }),
                _ => None,
            })
            .collect())
    }
}

/// Checks nodes one after another.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    index: HashMap<String, usize>,
    nodes: Vec<ResolvedNode>,
    /// Values of each node.
    values: Vec<Values>,
    channels: usize,
}

impl Resolver {
    /// The shape of a node that was added.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.index.get(name).map(|&position| self.nodes[position].shape.as_slice())
    }

    /// Checks a node for itself and against those before it.
    pub(super) fn add(&mut self, node: &Node) -> Result<()> {
        let position = self.nodes.len();
        if node.name.is_empty() {
            return Err(Error::Graph(format!("node {position} has an empty name")));
        }
        let is_delay = matches!(node.op, Op::Delay { .. });
        // What a delay reads may stand later.
        let read: &[String] = if is_delay { &[] } else { &node.inputs };
        let inputs = read
            .iter()
            .map(|input| {
                self.index.get(input).copied().ok_or_else(|| Error::UnknownInput {
                    node: node.name.clone(),
                    input: input.clone(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        check_arity(node)?;
        check_attributes(node)?;
        let nodes = &self.nodes;
        let shapes: Vec<&[usize]> = inputs.iter().map(|&i| nodes[i].shape.as_slice()).collect();
        let shape = output_shape(node, &shapes)?;
        let emitted = Values::of(&node.op, inputs.iter().map(|&input| self.values[input]));
        if matches!(node.op, Op::Mask { .. }) {
            check_mask(node, self.values[inputs[0]])?;
        }
        if node.initial.is_some() || node.frozen {
            initial::check(node, shapes.first().copied().unwrap_or_default(), inputs == [0])?;
        }
        let values = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        if shape.is_empty() || values.is_none_or(|v| v == 0 || v > MAX_VALUES) {
            return Err(Error::Shape {
                node: node.name.clone(),
                expected: format!("an output of 1 to {MAX_VALUES} values"),
                found: shape,
            });
        }
        if let Op::Delay { steps, .. } = node.op
            && values.is_none_or(|values| values.saturating_mul(steps) > MAX_VALUES)
        {
            return Err(Error::Shape {
                node: node.name.clone(),
                expected: format!("at most {MAX_VALUES} values in the {steps} steps of the delay"),
                found: shape,
            });
        }
        let more = shape[0].saturating_mul(inputs.len().max(1));
        self.channels = self.channels.saturating_add(more);
        if self.channels > MAX_CHANNELS {
            return Err(Error::Shape {
                node: node.name.clone(),
                expected: format!(
                    "at most {MAX_CHANNELS} channels in all nodes up to this one, counted for \
                     each input"
                ),
                found: shape,
            });
        }
        let stateful = matches!(&node.op, Op::Activation { site, .. } if site.is_stateful());
        let varies = stateful || is_delay || inputs.iter().any(|&i| nodes[i].varies);
        if self.index.insert(node.name.clone(), position).is_some() {
            return Err(Error::DuplicateName { node: node.name.clone() });
        }
        self.nodes.push(ResolvedNode { name: node.name.clone(), inputs, shape, varies });
        self.values.push(emitted);
        Ok(())
    }
}

/// Values that a node yields, as far as a mask needs to know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Spikes 0 and 1: what a mask is made of.
    Binary,
    Ternary,
    Levels(u8),
    /// Of a ReLU.
    Real,
    /// Sums or averages of events.
    Sums,
    /// Of a site that may stand later.
    Delayed,
    /// Spikes that dropout makes 0 or 1/(1 − p) in training.
    Dropped,
    Pixels,
    Current,
}

impl Values {
    fn of(op: &Op, mut inputs: impl Iterator<Item = Self>) -> Self {
        match op {
            Op::Input { .. } => Self::Pixels,
            Op::Delay { .. } => Self::Delayed,
            Op::Conv(_)
            | Op::Linear { .. }
            | Op::Scale
            | Op::BatchNorm { .. }
            | Op::TimeMean
            | Op::TimeLast
            | Op::TimeMax => Self::Current,
            Op::Activation { site, .. } => match site.spike() {
                None => Self::Real,
                Some(Spike::Binary) => Self::Binary,
                Some(Spike::Ternary) => Self::Ternary,
                Some(Spike::Integer { levels }) => Self::Levels(levels),
            },
            Op::Pool { pool: PoolKind::Max, .. }
            | Op::GlobalPool { pool: PoolKind::Max }
            | Op::Flatten
            | Op::Concat => inputs.find(|values| *values != Self::Binary).unwrap_or(Self::Binary),
            Op::Pool { .. } | Op::GlobalPool { .. } | Op::ChannelSum { .. } | Op::Add => {
                inputs.find(|values| *values == Self::Current).unwrap_or(Self::Sums)
            }
            Op::Dropout { .. } | Op::DropPath { .. } => match inputs.next() {
                Some(Self::Binary) => Self::Dropped,
                values => values.unwrap_or(Self::Current),
            },
            Op::Mask { .. } => inputs.nth(MASKED).unwrap_or(Self::Current),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary => f.write_str("binary spikes"),
            Self::Ternary => f.write_str("ternary spikes"),
            Self::Levels(levels) => write!(f, "levels of 0 to {levels}, not spikes"),
            Self::Real => f.write_str("real values of a ReLU"),
            Self::Sums => f.write_str("sums or averages of events"),
            Self::Delayed => f.write_str("events of earlier macro-steps"),
            Self::Dropped => f.write_str(
                "spikes that dropout scales in training (put the dropout behind the mask)",
            ),
            Self::Pixels => f.write_str("pixels"),
            Self::Current => f.write_str("a current"),
        }
    }
}

/// A mask is binary spikes: with any other values `m · x` would not be events of the levels of `x`.
fn check_mask(node: &Node, mask: Values) -> Result<()> {
    if mask == Values::Binary {
        return Ok(());
    }
    Err(Error::Refused {
        node: node.name.clone(),
        reason: format!(
            "its mask, the first input `{}`, yields {mask}; a mask must be binary spikes: a LIF \
             site of binary spikes, perhaps max-pooled, flattened, concatenated or masked",
            node.inputs[0]
        ),
    })
}

fn check_arity(node: &Node) -> Result<()> {
    let (expected, fits): (&'static str, fn(usize) -> bool) = match node.op {
        Op::Input { .. } => ("no", |n| n == 0),
        Op::Add | Op::Concat => ("two or more", |n| n >= 2),
        Op::Mask { .. } => ("two (the mask, then what it masks)", |n| n == 2),
        Op::Conv(_)
        | Op::Linear { .. }
        | Op::Scale
        | Op::BatchNorm { .. }
        | Op::Pool { .. }
        | Op::GlobalPool { .. }
        | Op::ChannelSum { .. }
        | Op::Flatten
        | Op::Activation { .. }
        | Op::Delay { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. }
        | Op::TimeMean
        | Op::TimeLast
        | Op::TimeMax => ("one", |n| n == 1),
    };
    if fits(node.inputs.len()) {
        return Ok(());
    }
    Err(Error::Arity {
        node: node.name.clone(),
        op: node.op.label(),
        expected,
        found: node.inputs.len(),
    })
}

/// Lengths of a convolution's padding.
const PADDING: &str = "a list as long as the kernel, or twice as long (before each axis, then \
                       behind each)";
/// Lengths of the lists of a window.
const WINDOW: &str = "lists of one or two axes, the padding perhaps twice as long (before each \
                      axis, then behind each)";

fn check_attributes(node: &Node) -> Result<()> {
    let fail = |field, expected, found: String| {
        Err(Error::Attribute { node: node.name.clone(), field, expected, found })
    };
    match &node.op {
        Op::Conv(conv) => {
            let rank = conv.kernel.len();
            if !(1..=2).contains(&rank) {
                return fail("kernel", "of one or two axes", format!("{:?}", conv.kernel));
            }
            for (field, axes, least) in [
                ("kernel", &conv.kernel, 1),
                ("stride", &conv.stride, 1),
                ("padding", &conv.padding, 0),
                ("dilation", &conv.dilation, 1),
            ] {
                let (fits, expected) = match field {
                    "padding" => (axes.len() == rank || axes.len() == 2 * rank, PADDING),
                    _ => (axes.len() == rank, "a list as long as the kernel, of positive sizes"),
                };
                if !fits || axes.iter().any(|&n| n < least || n > MAX_VALUES) {
                    return fail(field, expected, format!("{axes:?}"));
                }
            }
            if conv.channels == 0 || conv.groups == 0 || !conv.channels.is_multiple_of(conv.groups)
            {
                return fail(
                    "groups",
                    "a divisor of the channels",
                    format!("{} of {}", conv.groups, conv.channels),
                );
            }
        }
        Op::Pool { window, .. } => {
            let rank = window.kernel.len();
            if !(1..=2).contains(&rank)
                || window.stride.len() != rank
                || ![rank, 2 * rank].contains(&window.padding.len())
            {
                return fail("window", WINDOW, format!("{window:?}"));
            }
            let (before, after) = sides(&window.padding, rank);
            let bad = (0..rank).any(|i| {
                window.kernel[i] == 0
                    || window.kernel[i] > MAX_VALUES
                    || window.stride[i] == 0
                    || window.stride[i] > MAX_VALUES
                    || before[i].max(after[i]) > window.kernel[i] / 2
            });
            if bad {
                return fail(
                    "window",
                    "positive, with padding of at most half the kernel",
                    format!("{window:?}"),
                );
            }
            if window.size() > MAX_VALUES {
                return fail("window", "of at most 2^28 positions", format!("{window:?}"));
            }
        }
        Op::BatchNorm(Norm { eps, momentum, .. }) => {
            if !(eps.is_finite() && *eps > 0.0) {
                return fail("eps", "positive", eps.to_string());
            }
            if !(*momentum > 0.0 && *momentum <= 1.0) {
                return fail("momentum", "above 0 and at most 1", momentum.to_string());
            }
        }
        Op::Delay { steps, .. } if !(1..=MAX_DELAY).contains(steps) => {
            return fail("steps", "1 to 1024 macro-steps", steps.to_string());
        }
        Op::Dropout { rate } | Op::DropPath { rate } => {
            if !(0.0..1.0).contains(rate) {
                return fail("rate", "at least 0 and below 1", rate.to_string());
            }
        }
        Op::Activation { site, .. } => {
            if let Some((field, expected, found)) = site.fault() {
                return fail(field, expected, found);
            }
        }
        Op::Input { .. }
        | Op::Linear { .. }
        | Op::Scale
        | Op::GlobalPool { .. }
        | Op::Flatten
        | Op::Add
        | Op::Concat
        | Op::Delay { .. }
        | Op::ChannelSum { .. }
        | Op::Mask { .. }
        | Op::TimeMean
        | Op::TimeLast
        | Op::TimeMax => {}
    }
    Ok(())
}

fn output_shape(node: &Node, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    let misfit = |expected: String, found: &[usize]| Error::Shape {
        node: node.name.clone(),
        expected,
        found: found.to_vec(),
    };
    match &node.op {
        Op::Input { shape } | Op::Delay { shape, .. } => {
            if (1..=3).contains(&shape.len()) {
                Ok(shape.clone())
            } else {
                Err(misfit("a shape [C, H, W], [C, L] or [F]".into(), shape))
            }
        }
        Op::Conv(conv) => {
            conv_shape(conv, inputs[0]).map_err(|expected| misfit(expected, inputs[0]))
        }
        Op::Linear { features, .. } => match inputs[0] {
            [inputs] if *features > 0 => {
                check_weight_count(&[*features, *inputs])
                    .map_err(|expected| misfit(expected, &[*features, *inputs]))?;
                Ok(vec![*features])
            }
            other => Err(misfit("[F] (flatten first)".into(), other)),
        },
        Op::Pool { window, .. } => {
            pool_shape(window, inputs[0]).map_err(|expected| misfit(expected, inputs[0]))
        }
        Op::GlobalPool { .. } => Ok(vec![inputs[0][0]]),
        Op::Flatten => Ok(vec![inputs[0].iter().product()]),
        Op::Scale
        | Op::BatchNorm { .. }
        | Op::Activation { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. } => Ok(inputs[0].to_vec()),
        Op::Add => match inputs.iter().find(|shape| **shape != inputs[0]) {
            Some(other) => Err(misfit(format!("equal shapes {:?}", inputs[0]), other)),
            None => Ok(inputs[0].to_vec()),
        },
        Op::Concat => {
            if let Some(other) = inputs.iter().find(|shape| shape[1..] != inputs[0][1..]) {
                Err(misfit(format!("shapes [C, {:?}]", &inputs[0][1..]), other))
            } else {
                let mut shape = inputs[0].to_vec();
                shape[0] = inputs.iter().fold(0_usize, |sum, s| sum.saturating_add(s[0]));
                Ok(shape)
            }
        }
        Op::ChannelSum { groups } => {
            if *groups == 0 || !inputs[0][0].is_multiple_of(*groups) {
                return Err(misfit(format!("channels that {groups} groups divide"), inputs[0]));
            }
            let mut shape = inputs[0].to_vec();
            shape[0] = *groups;
            Ok(shape)
        }
        Op::Mask { .. } => {
            mask_shape(inputs[0], inputs[MASKED]).map_err(|expected| misfit(expected, inputs[0]))
        }
        Op::TimeMean | Op::TimeLast | Op::TimeMax => match inputs[0] {
            [_] => Ok(inputs[0].to_vec()),
            other => Err(misfit("[classes]".into(), other)),
        },
    }
}

/// Eq. 6b: the mask has one channel for each group of channels of `x`, and one position or those of
/// `x`.
fn mask_shape(mask: &[usize], x: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let positions = mask[1..] == x[1..] || mask[1..].iter().all(|&size| size == 1);
    if positions && x[0].is_multiple_of(mask[0]) {
        return Ok(x.to_vec());
    }
    let expected = format!("a mask [G] or [G, …] with G a divisor of {}", x[0]);
    Err(if x.len() > 1 {
        format!("{expected} and {:?} (or 1) positions, for the masked shape {x:?}", &x[1..])
    } else {
        format!("{expected}, for the masked shape {x:?}")
    })
}

fn conv_shape(conv: &Conv, input: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let rank = conv.kernel.len();
    if input.len() != rank + 1 {
        return Err(format!("[C] and {rank} spatial axes"));
    }
    if !input[0].is_multiple_of(conv.groups) {
        return Err(format!("channels that {} groups divide", conv.groups));
    }
    check_weight_count(
        &[&[conv.channels, input[0] / conv.groups], conv.kernel.as_slice()].concat(),
    )?;
    let mut shape = vec![conv.channels];
    let (before, after) = sides(&conv.padding, rank);
    for axis in 0..rank {
        let extent = (conv.kernel[axis] - 1).saturating_mul(conv.dilation[axis]).saturating_add(1);
        let padding = before[axis] + after[axis];
        shape.push(windows(input[axis + 1], extent, conv.stride[axis], padding)?);
    }
    Ok(shape)
}

fn check_weight_count(shape: &[usize]) -> std::result::Result<(), String> {
    match shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)) {
        Some(count) if count <= MAX_WEIGHTS => Ok(()),
        _ => Err(format!("at most {MAX_WEIGHTS} weights, not {shape:?}")),
    }
}

fn pool_shape(window: &Window, input: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let rank = window.kernel.len();
    if input.len() != rank + 1 {
        return Err(format!("[C] and {rank} spatial axes"));
    }
    let mut shape = vec![input[0]];
    let (before, after) = sides(&window.padding, rank);
    for axis in 0..rank {
        let padding = before[axis] + after[axis];
        shape.push(windows(input[axis + 1], window.kernel[axis], window.stride[axis], padding)?);
    }
    Ok(shape)
}

/// Number of positions of a window along an axis (eq. 5); `padding` is that of both sides together.
fn windows(
    size: usize,
    extent: usize,
    stride: usize,
    padding: usize,
) -> std::result::Result<usize, String> {
    let padded = size + padding;
    if padded < extent {
        return Err(format!("an axis of at least {extent} with padding {padding} in all"));
    }
    Ok((padded - extent) / stride + 1)
}
