//! MS-ResNets.

use super::{Stem, stage_width, widened};
use crate::graph::{Graph, GraphBuilder, PoolKind};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A membrane-shortcut ResNet (Hu 2024, *Advancing Spiking Neural Networks Toward Deep Residual
/// Learning*): sites stand before convolutions, and shortcuts add currents. For `ImageNet` the stem
/// has no pooling, and the first stage halves the size in its place; the default is MS-ResNet-18.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MsResNet {
    /// Shape of one image.
    #[serde(skip)]
    pub input: [usize; 3],
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Channels of the first stage.
    pub width: usize,
    /// Basic blocks of each stage.
    pub blocks: Vec<usize>,
    /// First layers.
    pub stem: Stem,
    /// Channels inside of a block, as a factor of those outside of it.
    pub inner_width: f64,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for MsResNet {
    fn default() -> Self {
        Self {
            input: [3, 224, 224],
            classes: 1000,
            width: 64,
            blocks: vec![2, 2, 2, 2],
            stem: Stem::Auto,
            inner_width: 1.0,
            neuron: Lif::default(),
        }
    }
}

impl MsResNet {
    pub(super) const KEYS: &'static [&'static str] = &["width", "blocks", "stem", "inner_width"];

    /// MS-ResNet-34.
    pub fn of_34() -> Self {
        Self { blocks: vec![3, 4, 6, 3], ..Self::default() }
    }

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron).conv_norm("stem", self.stem.conv(self.input, self.width));
        let first = if self.stem.is_imagenet(self.input) { 2 } else { 1 };
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            let channels = stage_width(self.width, stage);
            let inner = widened(channels, self.inner_width);
            for block in 0..blocks {
                let halves = if stage == 0 { first } else { 2 };
                let stride = if block == 0 { halves } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                net.pre_activation_block(&name, channels, inner, stride);
            }
        }
        net.site("act").global_pool("pool", PoolKind::Average);
        net.linear("fc", self.classes).finish()
    }
}
