//! The small network of the demo.

use super::{basic_block, conv_bn, lif};
use crate::graph::{Conv, Graph, Op, PoolKind, Window};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A stem, max pooling, two residual blocks, global average and a linear layer: the least network
/// that has everything conversion must handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmallNet {
    /// Shape of one image.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Channels of the stem.
    pub width: usize,
    /// Every site, before a policy changes some.
    pub neuron: Lif,
}

impl Default for SmallNet {
    fn default() -> Self {
        Self { input: [3, 16, 16], classes: 10, width: 16, neuron: Lif::default() }
    }
}

impl SmallNet {
    /// The graph.
    pub fn build(&self) -> Graph {
        let mut graph = Graph::default();
        let image = graph.push("image", Op::Input { shape: self.input.to_vec() }, &[]);
        let norm =
            conv_bn(&mut graph, "stem.conv", "stem.bn", Conv::square(self.width, 3, 1), &image);
        let stem = lif(&mut graph, "stem.act", &self.neuron, &norm);
        let block1 =
            basic_block(&mut graph, "block1", (self.width, self.width, 1), &self.neuron, &stem);
        let pooled = graph.push(
            "pool1",
            Op::Pool { pool: PoolKind::Max, window: Window::square(2) },
            &[&block1],
        );
        let block2 = basic_block(
            &mut graph,
            "block2",
            (self.width, 2 * self.width, 1),
            &self.neuron,
            &pooled,
        );
        let pooled = graph.push("pool2", Op::GlobalPool { pool: PoolKind::Average }, &[&block2]);
        let scores =
            graph.push("fc", Op::Linear { features: self.classes, bias: true }, &[&pooled]);
        graph.push("head", Op::TimeMean, &[&scores]);
        graph
    }
}
