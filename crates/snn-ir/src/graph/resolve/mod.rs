//! Names to indices, shapes, and what varies over time: computed once here, so that no interpreter
//! checks a graph again.

mod attributes;
mod resolver;
mod shapes;
mod values;

pub(super) use resolver::Resolver;

use super::{Graph, Node, Op};
use crate::error::{Error, Result};
use crate::site::Site;
use std::collections::HashMap;

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
