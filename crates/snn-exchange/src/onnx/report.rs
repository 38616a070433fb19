//! What became of each node.

use crate::pixels::Remainder;
use serde::Serialize;
use std::fmt;

/// Account of a network that was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Program that wrote the file.
    pub producer: String,
    /// Version of the operator set.
    pub opset: i64,
    /// Every node on which the output depends, in topological order.
    pub entries: Vec<Entry>,
    /// What integer means left over, and where it went.
    pub remainder: Remainder,
}

/// Account of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name in the file.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// What it became.
    pub became: Became,
}

/// What a node became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// A node of this name and operation.
    Node {
        /// Its name.
        name: String,
        /// Its operation.
        op: &'static str,
    },
    /// A part of this node: padding, a bias.
    PartOf(String),
    /// A part of the preprocessing: a normalisation of the image.
    Preprocessing,
    /// Nothing: in evaluation, and for one sample, it passes values on.
    Passed,
    /// A constant, which was computed.
    Constant,
    /// Left out, for a reason.
    Dropped(&'static str),
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Became::Node { name, op } => write!(f, "{op} `{name}`"),
            Became::PartOf(name) => write!(f, "part of `{name}`"),
            Became::Preprocessing => f.write_str("part of the preprocessing"),
            Became::Passed => f.write_str("nothing: it passes values on"),
            Became::Constant => f.write_str("a constant"),
            Became::Dropped(reason) => write!(f, "left out: {reason}"),
        }
    }
}

impl Report {
    /// The account in two lines: where the network comes from, how many nodes it had, and what
    /// integer means left over.
    pub fn summary(&self) -> String {
        let nodes = self.entries.len();
        let became = |entry: &&Entry| matches!(entry.became, Became::Node { .. });
        let ours = self.entries.iter().filter(became).count();
        format!(
            "ONNX of {}, operator set {}: {ours} of its {nodes} nodes have one here, the others \
             are parts of them or constants\n{}",
            self.producer, self.opset, self.remainder
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ONNX of {}, operator set {}", self.producer, self.opset)?;
        for entry in &self.entries {
            writeln!(f, "  {} `{}`: {}", entry.operator, entry.node, entry.became)?;
        }
        writeln!(f, "{}", self.remainder)
    }
}
