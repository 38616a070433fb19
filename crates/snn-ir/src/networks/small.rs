//! The small network of the demo.

use crate::graph::{Conv, Graph, GraphBuilder, PoolKind};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A stem, max pooling, two residual blocks, global average and a linear layer: the least network
/// that has everything conversion must handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmallNet {
    /// Shape of one image.
    #[serde(skip)]
    pub input: [usize; 3],
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Channels of the stem.
    pub width: usize,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for SmallNet {
    fn default() -> Self {
        Self { input: [3, 16, 16], classes: 10, width: 16, neuron: Lif::default() }
    }
}

impl SmallNet {
    pub(super) const KEYS: &'static [&'static str] = &["width"];

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron)
            .conv_site("stem", Conv::square(self.width, 3, 1))
            .basic_block("block1", self.width, 1)
            .pool("pool1", PoolKind::Max, 2)
            .basic_block("block2", self.width.saturating_mul(2), 1)
            .global_pool("pool2", PoolKind::Average)
            .linear("fc", self.classes)
            .finish()
    }
}
