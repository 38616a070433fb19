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
    for (position, mut value) in file.nodes.into_iter().enumerate() {
        let name = match value.get("name") {
            Some(Value::String(name)) => format!("node `{name}`"),
            _ => format!("node {position} (without a name)"),
        };
        let axes = graph.nodes.first().and_then(|first| match &first.op {
            Op::Input { shape } => Some(shape.len().saturating_sub(1)),
            _ => None,
        });
        spread(&mut value, axes.unwrap_or(2));
        let mut node: Node = serde_json::from_value(value).map_err(|error| {
            let error = error.to_string();
            Error::Graph(format!("{name}: {error}{}", meant(&error)))
        })?;
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

/// Windows may be written as one number for all axes (`kernel = 3`): it becomes as many as the
/// lists beside it have, or as images have axes. A list of paddings says nothing: one of two
/// entries may be of two axes, or of both sides of one.
fn spread(node: &mut Value, axes: usize) {
    const KEYS: [&str; 4] = ["kernel", "stride", "padding", "dilation"];
    let Some(op) = node.get_mut("op").and_then(Value::as_object_mut) else { return };
    if !matches!(op.get("op").and_then(Value::as_str), Some("conv" | "pool")) {
        return;
    }
    let lists = KEYS.iter().filter(|&&key| key != "padding");
    let lengths = lists.filter_map(|&key| op.get(key)?.as_array().map(Vec::len));
    let length = lengths.max().unwrap_or(axes).clamp(1, 2);
    for key in KEYS {
        if let Some(value) = op.get_mut(key).filter(|value| value.is_u64()) {
            *value = vec![value.clone(); length].into();
        }
    }
}

/// The name that was probably meant, after serde's list of those that exist; empty where the error
/// is another.
fn meant(error: &str) -> String {
    let mut names = error.split('`').skip(1).step_by(2);
    let known = error.starts_with("unknown variant") || error.starts_with("unknown field");
    let found = names.next().filter(|_| known);
    let nearest = found.and_then(|found| {
        names.filter(|name| *name != found).min_by_key(|name| strsim::levenshtein(found, name))
    });
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use crate::graph::{Graph, Op};

    fn graph(op: &str) -> crate::error::Result<Graph> {
        Graph::from_toml(&format!(
            "nodes = [\n{{ name = 'image', op = {{ op = 'input', shape = [1, 8, 8] }} }},\n\
             {{ name = 'conv', op = {op} }},\n\
             {{ name = 'act', op = {{ op = 'activation', site = {{ kind = 'lif' }} }} }},\n\
             {{ name = 'flat', op = {{ op = 'flatten' }} }},\n\
             {{ name = 'fc', op = {{ op = 'linear', features = 2 }} }},\n\
             {{ name = 'head', op = {{ op = 'time_mean' }} }},\n]"
        ))
    }

    #[test]
    fn one_number_stands_for_equal_ones() {
        let listed = "{ op = 'conv', channels = 4, kernel = [3, 3], stride = [2, 2] }";
        for op in [
            "{ op = 'conv', channels = 4, kernel = 3, stride = 2 }",
            "{ op = 'conv', channels = 4, kernel = [3, 3], stride = 2 }",
        ] {
            assert_eq!(graph(op).unwrap(), graph(listed).unwrap(), "{op}");
        }
        assert!(matches!(graph(listed).unwrap().nodes[1].op, Op::Conv(_)));
        // Of a signal two paddings are those of both sides.
        let signal = |window: &str| {
            Graph::from_toml(&format!(
                "nodes = [\n{{ name = 'image', op = {{ op = 'input', shape = [1, 8] }} }},\n\
                 {{ name = 'conv', op = {{ op = 'conv', channels = 4, {window} }} }},\n\
                 {{ name = 'act', op = {{ op = 'activation', site = {{ kind = 'lif' }} }} }},\n\
                 {{ name = 'pool', op = {{ op = 'global_pool', pool = 'sum' }} }},\n\
                 {{ name = 'fc', op = {{ op = 'linear', features = 2 }} }},\n\
                 {{ name = 'head', op = {{ op = 'time_mean' }} }},\n]"
            ))
        };
        let sided = signal("kernel = 4, padding = [1, 2]").unwrap();
        assert_eq!(sided, signal("kernel = [4], stride = [1], padding = [1, 2]").unwrap());
        assert_eq!(sided.shapes().unwrap()[1], [4, 8]);
        let sided = "{ op = 'conv', channels = 4, kernel = 3, stride = 2, padding = [0, 0, 1, 1] }";
        assert_eq!(graph(sided).unwrap().shapes().unwrap()[1], [4, 4, 4]);
        assert!(graph("{ op = 'conv', channels = 4, kernel = -3 }").is_err());
    }

    #[test]
    fn unknown_names_say_what_was_meant() {
        for (op, meant) in [
            ("{ op = 'convv', channels = 4, kernel = 3 }", "conv"),
            ("{ op = 'conv', channels = 4, kernels = 3 }", "kernel"),
        ] {
            let message = graph(op).unwrap_err().to_string();
            assert!(message.contains("node `conv`: unknown"), "{message}");
            assert!(message.contains(&format!("did you mean `{meant}`?")), "{message}");
        }
    }
}
