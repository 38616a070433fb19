//! The graph: nodes in the order in which a macro-step computes them, each with a path name, an
//! operation and its inputs.

mod build;
mod counts;
mod file;
mod initial;
mod op;
mod recurrence;
pub(crate) mod resolve;
mod role;

pub use build::{GraphBuilder, SpikeJoin};
pub use counts::Counts;
pub use initial::{InitialWeights, WHITENING_EPS};
pub use op::{
    BATCH_NORM_EPS, BATCH_NORM_MOMENTUM, Conv, Geometry, MAX_DELAY, Norm, Op, PoolKind, Window,
};
pub use recurrence::Stage;
pub use role::{Kind, MASKED, Readout, Role};

use crate::model::form::Form;
use crate::site::parts::PartSpec;
use serde::{Deserialize, Serialize};

/// A network as data. Nodes stand in topological order, the order in which a macro-step computes
/// them: each reads nodes before it. A delay alone may read a later one, whose value is of an
/// earlier macro-step. The first node is the input, the last the head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// One operation of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Path name, unique (`layer2.0.conv1`); weights are `<name>.<part>`.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// Names of the nodes it reads.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// First weights of a convolution or linear layer; `None`, which files leave out, for those
    /// of [`Graph::initial_weights`]. Conversion drops them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<InitialWeights>,
    /// `true` if training leaves the `weight` of a convolution or linear layer as it begins: no
    /// gradient step, no decay; a bias learns. Files leave `false` out, and conversion drops it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
}

impl Node {
    /// A node whose weights begin as usual and learn.
    pub fn new(name: impl Into<String>, op: Op, inputs: Vec<String>) -> Self {
        Self { name: name.into(), op, inputs, initial: None, frozen: false }
    }

    /// The weights of this node, of `channels` channels, which reads `inputs` channels, in a form:
    /// those of its operation ([`Op::parts`]) with the first values of [`Node::initial`], and not
    /// learned where the node is [frozen](Node::frozen).
    ///
    /// # Errors
    /// The operation does not exist in the form, or the node says how weights begin or that they
    /// are frozen after conversion; the message says why.
    pub fn parts(
        &self,
        inputs: usize,
        channels: usize,
        form: Form,
    ) -> Result<Vec<PartSpec>, &'static str> {
        let mut parts = self.op.parts(inputs, channels, form)?;
        if self.initial.is_none() && !self.frozen {
            return Ok(parts);
        }
        if form != Form::Trained {
            return Err("`initial` and `frozen` are for training; conversion drops them");
        }
        for part in &mut parts {
            if let Some(initial) = self.initial {
                initial.apply(&self.op, part);
            }
            if self.frozen && part.part == "weight" {
                (part.learned, part.decays) = (false, false);
            }
        }
        Ok(parts)
    }
}

impl Graph {
    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The node of this name, to change.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// Names of the nodes that read `name`.
    pub fn readers(&self, name: &str) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.inputs.iter().any(|input| input == name))
    }

    /// Appends a node and returns its name; the way builders write a network.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[&str]) -> String {
        let name = name.into();
        let inputs = inputs.iter().map(ToString::to_string).collect();
        self.nodes.push(Node::new(name.clone(), op, inputs));
        name
    }
}
