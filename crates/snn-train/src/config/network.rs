//! The network of a run.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_ir::networks::{ResNet, SmallNet};
use snn_ir::{Graph, Lif};
use std::path::PathBuf;

/// The network; its input shape and classes are those of the data, its neuron is `neuron`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkConfig {
    /// [`ResNet`]; the defaults are `ResNet`-20.
    Resnet {
        /// Channels of the first stage.
        #[serde(default = "resnet_width")]
        width: usize,
        /// Basic blocks of each stage.
        #[serde(default = "resnet_blocks")]
        blocks: Vec<usize>,
    },
    /// [`SmallNet`].
    Small {
        /// Channels of the stem.
        #[serde(default = "small_width")]
        width: usize,
    },
    /// A graph in a file, or the graph of a model file; its neurons are its own.
    File {
        /// The file: JSON, TOML or a model. A relative path starts from the working folder.
        path: PathBuf,
    },
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::Resnet { width: resnet_width(), blocks: resnet_blocks() }
    }
}

fn resnet_width() -> usize {
    ResNet::default().width
}
fn resnet_blocks() -> Vec<usize> {
    ResNet::default().blocks
}
fn small_width() -> usize {
    SmallNet::default().width
}

impl NetworkConfig {
    /// The graph for samples `[C, H, W]` of so many classes, before a policy changes its sites: all
    /// of them are `neuron`, or those of the file.
    ///
    /// # Errors
    /// The file cannot be read, or its graph is for other samples or classes.
    pub fn build(&self, input: [usize; 3], classes: usize, neuron: &Lif) -> Result<Graph> {
        let neuron = neuron.clone();
        let graph = match self {
            Self::Resnet { width, blocks } => {
                ResNet { input, classes, width: *width, blocks: blocks.clone(), neuron }.build()
            }
            Self::Small { width } => SmallNet { input, classes, width: *width, neuron }.build(),
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
