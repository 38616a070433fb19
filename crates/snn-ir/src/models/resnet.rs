//! ResNets for CIFAR.

use super::{basic_block, conv_bn, lif};
use crate::graph::{Conv, Graph, Op, PoolKind};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A post-activation ResNet for small images (He 2016, section 4.2): a 3×3 stem, stages of basic
/// blocks whose width doubles and whose size halves, 1×1 convolution shortcuts where the shape
/// changes, global average, one linear layer. The default is ResNet-20.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet {
    /// Shape of one image.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Channels of the first stage.
    pub width: usize,
    /// Basic blocks of each stage.
    pub blocks: Vec<usize>,
    /// Every site, before a policy changes some.
    pub neuron: Lif,
}

impl Default for ResNet {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            classes: 10,
            width: 16,
            blocks: vec![3, 3, 3],
            neuron: Lif::default(),
        }
    }
}

impl ResNet {
    /// The graph.
    pub fn build(&self) -> Graph {
        let mut graph = Graph::default();
        let image = graph.push("image", Op::Input { shape: self.input.to_vec() }, &[]);
        let norm =
            conv_bn(&mut graph, "stem.conv", "stem.bn", Conv::square(self.width, 3, 1), &image);
        let mut stream = lif(&mut graph, "stem.act", &self.neuron, &norm);
        let mut channels = self.width;
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            for block in 0..blocks {
                let (inputs, halve) = (channels, stage > 0 && block == 0);
                channels = if halve { channels * 2 } else { channels };
                let name = format!("layer{}.{block}", stage + 1);
                stream = basic_block(
                    &mut graph,
                    &name,
                    (inputs, channels, if halve { 2 } else { 1 }),
                    &self.neuron,
                    &stream,
                );
            }
        }
        let pooled = graph.push("pool", Op::GlobalPool { pool: PoolKind::Average }, &[&stream]);
        let scores =
            graph.push("fc", Op::Linear { features: self.classes, bias: true }, &[&pooled]);
        graph.push("head", Op::TimeMean, &[&scores]);
        graph
    }
}
