//! What was done to nodes.

use crate::graph::NirGraph;
use crate::op::Op;
use crate::time::Discretisation;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Account of a NIR graph that became a model, or of a model that became a NIR graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Primitives of the graph and of those in it, with how many nodes there are of each.
    pub primitives: BTreeMap<&'static str, usize>,
    /// Duration of a macro-step, in seconds.
    pub dt: f64,
    /// Macro-steps.
    pub time_steps: usize,
    /// How differential equations became steps; what is exported is meant for Euler's.
    pub discretisation: Discretisation,
    /// What became of nodes, where it is more than the node under its name.
    pub notes: Vec<Note>,
}

/// What became of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The node.
    pub node: String,
    /// What was done.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.node, self.text)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: usize = self.primitives.values().sum();
        let each: Vec<String> =
            self.primitives.iter().map(|(label, count)| format!("{count} {label}")).collect();
        writeln!(f, "NIR of {nodes} nodes: {}", each.join(", "))?;
        let Self { time_steps, dt, discretisation, .. } = self;
        writeln!(f, "{time_steps} steps of {dt} s, {discretisation}")?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}

/// Counts the primitives of a graph and of those in it.
pub(crate) fn primitives(graph: &NirGraph) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    count(graph, &mut counts);
    counts
}

fn count(graph: &NirGraph, counts: &mut BTreeMap<&'static str, usize>) {
    for node in graph.nodes.values() {
        *counts.entry(node.op.label()).or_default() += 1;
        if let Op::Graph(inner) = &node.op {
            count(inner, counts);
        }
    }
}
