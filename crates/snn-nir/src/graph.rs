//! A NIR graph: nodes by name, and edges.

use crate::check;
use crate::error::{Error, Result};
use crate::file::{read_table, write_table};
use crate::node_fields::{graph_from_table, graph_to_table};
use crate::op::Op;
use crate::value::{Table, Value};
use std::collections::BTreeMap;
use std::path::Path;

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
    /// Reads a `.nir` file, as [`NirGraph::from_bytes`].
    ///
    /// # Errors
    /// The file cannot be read, or [`NirGraph::from_bytes`] refuses it; the message names it.
    pub fn read(path: &Path) -> Result<Self> {
        let size = fs_err::metadata(path)?.len();
        if size > snn_ir::MAX_WEIGHT_BYTES {
            let most = snn_ir::MAX_WEIGHT_BYTES;
            let reason = format!("expected at most {most} bytes, found {size}");
            return Err(Error::container("/", reason).within(path));
        }
        Self::from_bytes(fs_err::read(path)?).map_err(|error| error.within(path))
    }

    /// Reads the bytes of a `.nir` file and [checks](NirGraph::check) the graph.
    ///
    /// # Errors
    /// The bytes are no HDF5 file, declare more than they can hold, or hold something that is no
    /// NIR graph; the message names the node and the field.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let mut file = read_table(bytes)?;
        match file.remove("node") {
            Some(Value::Table(node)) => {
                let graph = graph_from_table(node, "")?;
                graph.check()?;
                Ok(graph)
            }
            Some(other) => Err(Error::container(
                "/node",
                format!("expected the group of a NIR graph, found {}", other.describe()),
            )),
            None => Err(Error::container("/", "no group `node`: this is HDF5, but no NIR graph")),
        }
    }

    /// The bytes of a `.nir` file, laid out as Python's `nir` does it.
    ///
    /// # Errors
    /// The graph is not valid ([`NirGraph::check`]), or a name cannot be one in HDF5.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check()?;
        let file = Table::from([
            ("version".into(), Value::from(NIR_VERSION)),
            ("node".into(), Value::Table(graph_to_table(self))),
        ]);
        write_table(&file)
    }

    /// Writes a `.nir` file; there is the old file or the new one at any time.
    ///
    /// # Errors
    /// As [`NirGraph::to_bytes`], or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes().map_err(|error| error.within(path))?;
        Ok(snn_ir::write_atomically(path, &bytes)?)
    }

    /// Checks the graph and those in it: edges between nodes that are there, each once; ranks and
    /// shapes of arrays that belong together; no NaN; strides and groups that can be.
    ///
    /// # Errors
    /// The first node or edge that does not fit.
    pub fn check(&self) -> Result<()> {
        check::graph(self, "")
    }

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
