//! ResNets for CIFAR.

use crate::graph::{Conv, Graph, GraphBuilder, PoolKind};
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
    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron).conv_site("stem", Conv::square(self.width, 3, 1));
        let mut channels = self.width;
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            for block in 0..blocks {
                let halve = stage > 0 && block == 0;
                channels = if halve { channels.saturating_mul(2) } else { channels };
                let stride = if halve { 2 } else { 1 };
                net.basic_block(&format!("layer{}.{block}", stage + 1), channels, stride);
            }
        }
        net.global_pool("pool", PoolKind::Average).linear("fc", self.classes).finish()
    }
}
