//! The graph: nodes in topological order, each with a path name, an operation and its inputs.

mod build;
mod file;
mod op;
pub(crate) mod resolve;
mod role;

pub use build::GraphBuilder;
pub use op::{BATCH_NORM_EPS, BATCH_NORM_MOMENTUM, Conv, Geometry, Norm, Op, PoolKind, Window};
pub use role::{Kind, Role};

use serde::{Deserialize, Serialize};

/// A network as data. Nodes stand in topological order; the first is the input, the last the head.
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
        self.nodes.push(Node {
            name: name.clone(),
            op,
            inputs: inputs.iter().map(ToString::to_string).collect(),
        });
        name
    }
}
