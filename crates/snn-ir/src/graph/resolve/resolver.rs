//! One node after another: names, inputs, and what earlier nodes say of it.

use super::attributes::{check_arity, check_attributes};
use super::shapes::output_shape;
use super::values::{Values, check_mask};
use super::{MAX_CHANNELS, MAX_VALUES, ResolvedNode};
use crate::error::{Error, Result};
use crate::graph::{Node, Op, initial};
use std::collections::HashMap;

/// Checks nodes one after another.
#[derive(Debug, Default)]
pub(in crate::graph) struct Resolver {
    index: HashMap<String, usize>,
    pub(super) nodes: Vec<ResolvedNode>,
    /// Values of each node.
    values: Vec<Values>,
    channels: usize,
}

impl Resolver {
    /// The shape of a node that was added.
    pub(in crate::graph) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.index.get(name).map(|&position| self.nodes[position].shape.as_slice())
    }

    /// Checks a node for itself and against those before it.
    pub(in crate::graph) fn add(&mut self, node: &Node) -> Result<()> {
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
