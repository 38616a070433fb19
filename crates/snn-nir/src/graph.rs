//! A NIR graph: nodes by name, and edges.

use crate::op::Op;
use crate::value::Table;
use std::collections::BTreeMap;

/// The version of the Python package `nir` whose files this crate reads and writes.
pub const NIR_VERSION: &str = "1.0.8";

/// A graph of NIR: what a file holds, every field of it. Files do not keep the order of nodes.
///
/// An edge adds the output of its source to the input of its target; a node with several edges
/// reads their sum.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NirGraph {
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Source and target of each edge.
    pub edges: Vec<(String, String)>,
    /// What the file says of the graph beside it.
    pub metadata: Table,
}

/// A node of a NIR graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// What the file says of it beside that; by NIR's rules nothing may rely on it, and nothing
    /// here does.
    pub metadata: Table,
}

impl From<Op> for Node {
    fn from(op: Op) -> Self {
        Self { op, metadata: Table::new() }
    }
}

impl NirGraph {
    /// Names of the nodes that send edges to `name`, in the order of the edges.
    pub fn sources<'g>(&'g self, name: &'g str) -> impl Iterator<Item = &'g str> {
        self.edges.iter().filter(move |(_, to)| to == name).map(|(from, _)| from.as_str())
    }

    /// Names of the nodes that `name` sends edges to, in the order of the edges.
    pub fn targets<'g>(&'g self, name: &'g str) -> impl Iterator<Item = &'g str> {
        self.edges.iter().filter(move |(from, _)| from == name).map(|(_, to)| to.as_str())
    }

    /// Adds a node.
    pub fn push(&mut self, name: impl Into<String>, op: Op) {
        self.nodes.insert(name.into(), op.into());
    }

    /// Adds an edge.
    pub fn connect(&mut self, from: impl Into<String>, to: impl Into<String>) {
        self.edges.push((from.into(), to.into()));
    }
}

/// A name with that of the graph it is in.
pub(crate) fn path_of(graph: &str, name: &str) -> String {
    if graph.is_empty() { name.into() } else { format!("{graph}.{name}") }
}
