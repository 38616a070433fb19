//! The network of a run.

use crate::error::{Error, Result};
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use snn_ir::networks::{BuiltIn, KeyError, NETWORKS};
use snn_ir::{Graph, Lif};
use std::path::PathBuf;
use std::sync::OnceLock;

/// The network; its input shape and classes are those of the data, its neuron is `neuron`.
///
/// In a config it is a table of a `kind` and the keys of that kind.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a config has one")]
pub enum NetworkConfig {
    /// A network of [`snn_ir::networks`]; `kind` is its name.
    BuiltIn(BuiltIn),
    /// A graph in a file, or the graph of a model file (`kind = "file"`); its neurons are its own.
    File {
        /// The file: JSON, TOML or a model. A relative path starts from the working folder.
        path: PathBuf,
    },
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::BuiltIn(BuiltIn::of(&NETWORKS[0]))
    }
}

/// The kind that is no built-in network.
const FILE: &str = "file";

impl Serialize for NetworkConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (kind, keys) = match self {
            Self::BuiltIn(network) => (network.kind(), network.keys()),
            Self::File { path } => {
                let path = path.to_str().ok_or_else(|| {
                    serde::ser::Error::custom("the path of the network is not UTF-8")
                })?;
                (FILE, Map::from_iter([("path".to_string(), path.into())]))
            }
        };
        let mut map = serializer.serialize_map(Some(1 + keys.len()))?;
        map.serialize_entry("kind", kind)?;
        for (key, value) in &keys {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for NetworkConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut keys = Map::<String, Value>::deserialize(deserializer)?;
        let kind = match keys.remove("kind") {
            Some(Value::String(kind)) => kind,
            Some(other) => {
                return Err(D::Error::custom(format!("`kind` must be a name, found {other}")));
            }
            None => return Err(D::Error::missing_field("kind")),
        };
        if kind == FILE {
            let path = keys.remove("path");
            if let Some(key) = keys.keys().next() {
                return Err(D::Error::unknown_field(key, &["path"]));
            }
            return match path {
                Some(Value::String(path)) => Ok(Self::File { path: path.into() }),
                Some(other) => {
                    Err(D::Error::custom(format!("`path` must be a path, found {other}")))
                }
                None => Err(D::Error::missing_field("path")),
            };
        }
        BuiltIn::with_keys(&kind, keys).map(Self::BuiltIn).map_err(|error| match error {
            KeyError::Kind(kind) => D::Error::unknown_variant(&kind, all_kinds()),
            KeyError::Unknown { key, known } => D::Error::unknown_field(&key, known),
            KeyError::Value(_) | KeyError::Range { .. } => D::Error::custom(error),
        })
    }
}

/// Every kind of network.
fn all_kinds() -> &'static [&'static str] {
    static KINDS: OnceLock<Vec<&'static str>> = OnceLock::new();
    KINDS.get_or_init(|| [BuiltIn::kinds(), &[FILE]].concat())
}

impl NetworkConfig {
    /// The graph for samples `[C, H, W]` of so many classes, before a policy changes its sites: all
    /// of them are `neuron`, or those of the file.
    ///
    /// # Errors
    /// The file cannot be read, or its graph is for other samples or classes.
    pub fn build(&self, input: [usize; 3], classes: usize, neuron: &Lif) -> Result<Graph> {
        let graph = match self {
            Self::BuiltIn(network) => network.graph(input, classes, neuron),
            Self::File { path } => {
                let graph = Graph::load(path)?;
                let nodes = graph.resolve()?.nodes;
                let shape = |index: usize| nodes.get(index).map(|node| node.shape.clone());
                let found = (shape(0), shape(nodes.len().saturating_sub(1)));
                let (images, heads) = (found.0.unwrap_or_default(), found.1.unwrap_or_default());
                if images != input || heads != [classes] {
                    return Err(Error::NetworkFile {
                        path: path.clone(),
                        expected: format!(
                            "input {input:?} and {classes} classes, those of the data"
                        ),
                        found: format!("input {images:?} and classes {heads:?}"),
                    });
                }
                graph
            }
        };
        Ok(graph)
    }
}
