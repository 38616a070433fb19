//! SEW-ResNets.

use super::stem::stem_pool;
use super::{Stem, stage_width, widened};
use crate::graph::{Graph, GraphBuilder, PoolKind, SpikeJoin};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A spike-element-wise ResNet (Fang 2021, `NeurIPS`, figure 1c): each block joins the spikes of
/// its branch with those that it reads; added, as usual, the stream counts spikes. Shortcuts where
/// the shape changes are a strided 1×1 convolution with batch norm and a site. The default is
/// SEW-ResNet-18.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SewResNet {
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
    /// How blocks join spikes.
    pub join: SpikeJoin,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for SewResNet {
    fn default() -> Self {
        Self {
            input: [3, 224, 224],
            classes: 1000,
            width: 64,
            blocks: vec![2, 2, 2, 2],
            stem: Stem::Auto,
            inner_width: 1.0,
            join: SpikeJoin::Add,
            neuron: Lif::default(),
        }
    }
}

impl SewResNet {
    pub(super) const KEYS: &'static [&'static str] =
        &["width", "blocks", "stem", "inner_width", "join"];

    /// SEW-ResNet-34.
    pub fn of_34() -> Self {
        Self { blocks: vec![3, 4, 6, 3], ..Self::default() }
    }

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron).conv_site("stem", self.stem.conv(self.input, self.width));
        if self.stem.is_imagenet(self.input) {
            stem_pool(&mut net);
        }
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            let channels = stage_width(self.width, stage);
            let inner = widened(channels, self.inner_width);
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                net.sew_block(&name, channels, inner, stride, self.join);
            }
        }
        net.global_pool("pool", PoolKind::Average).linear("fc", self.classes).finish()
    }
}
