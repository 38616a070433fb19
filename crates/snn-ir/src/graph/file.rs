//! Graph files: a graph alone, as JSON or TOML, which a person may write.

use super::{Graph, Node, Op};
use crate::error::{Error, Result};
use crate::model::Signature;
use crate::model::file::{MAX_HEADER_BYTES, read_plain};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// A graph as a file says it, before its nodes are read one by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nodes {
    nodes: Vec<Value>,
}

impl Graph {
    /// Reads and checks a graph: a graph file, JSON (`.json`) or TOML (`.toml`), or the graph of a
    /// model file (`.safetensors`).
    ///
    /// Attributes may be absent where they have a default (`docs/book/src/files.md`), and `inputs`
    /// where a node reads the one before it.
    ///
    /// # Errors
    /// The file cannot be read, is of another kind, or its graph does not fit; the message names
    /// the file and the node, with what was expected and found.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named =
            |error: Error| Error::File { path: path.to_path_buf(), reason: error.to_string() };
        let text = || -> Result<String> {
            let bytes = read_plain(path, MAX_HEADER_BYTES)?;
            String::from_utf8(bytes)
                .map_err(|_| named(Error::Graph("expected text in UTF-8".into())))
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Self::from_json(&text()?).map_err(named),
            Some("toml") => Self::from_toml(&text()?).map_err(named),
            Some("safetensors") => Signature::load(path).map(|signature| signature.graph),
            _ => Err(named(Error::Graph(
                "expected a file name that ends in .json, .toml or .safetensors".into(),
            ))),
        }
    }

    /// Reads and checks a graph from the text of a JSON file; see [`Graph::load`].
    ///
    /// ```
    /// let graph = snn_ir::Graph::from_json(r#"{"nodes": [
    ///     {"name": "image", "op": {"op": "input", "shape": [1, 8, 8]}},
    ///     {"name": "conv", "op": {"op": "conv", "channels": 4, "kernel": [3, 3]}},
    ///     {"name": "act", "op": {"op": "activation", "site": {"kind": "lif"}}},
    ///     {"name": "pool", "op": {"op": "global_pool", "pool": "average"}},
    ///     {"name": "fc", "op": {"op": "linear", "features": 10}},
    ///     {"name": "head", "op": {"op": "time_mean"}}
    /// ]}"#)?;
    /// assert_eq!(graph.shapes()?[1], [4, 6, 6]); // stride 1, no padding
    /// # Ok::<(), snn_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Graph::load`], without the name of the file.
    pub fn from_json(text: &str) -> Result<Self> {
        nodes(serde_json::from_str(text).map_err(|e| Error::Graph(format!("JSON: {e}")))?)
    }

    /// Reads and checks a graph from the text of a TOML file; see [`Graph::load`].
    ///
    /// ```
    /// let graph = snn_ir::Graph::from_toml(r#"
    /// nodes = [
    ///     { name = "image", op = { op = "input", shape = [16] } },
    ///     { name = "fc1", op = { op = "linear", features = 8 } },
    ///     { name = "act", op = { op = "activation", site = { kind = "lif" } } },
    ///     { name = "fc2", op = { op = "linear", features = 2, bias = true } },
    ///     { name = "head", op = { op = "time_mean" } },
    /// ]"#)?;
    /// assert_eq!(graph.sites()?.len(), 1);
    /// # Ok::<(), snn_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Graph::load`], without the name of the file.
    pub fn from_toml(text: &str) -> Result<Self> {
        nodes(toml::from_str(text).map_err(|e| Error::Graph(format!("TOML: {e}")))?)
    }
}

fn nodes(file: Nodes) -> Result<Graph> {
    let mut graph = Graph::default();
    for (position, value) in file.nodes.into_iter().enumerate() {
        let name = match value.get("name") {
            Some(Value::String(name)) => format!("node `{name}`"),
            _ => format!("node {position} (without a name)"),
        };
        let mut node: Node = serde_json::from_value(value)
            .map_err(|error| Error::Graph(format!("{name}: {error}")))?;
        if node.inputs.is_empty()
            && !matches!(node.op, Op::Input { .. })
            && let Some(before) = graph.nodes.last()
        {
            node.inputs.push(before.name.clone());
        }
        graph.nodes.push(node);
    }
    graph.resolve()?;
    Ok(graph)
}
