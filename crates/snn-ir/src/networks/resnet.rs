//! Post-activation ResNets.

use super::stem::stem_pool;
use super::{Stem, stage_width, widened};
use crate::graph::{Graph, GraphBuilder, PoolKind};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A post-activation ResNet (He 2016): a stem, stages of basic blocks whose width doubles and whose
/// size halves, 1×1 convolution shortcuts where the shape changes, global average, one linear
/// layer. The default is ResNet-20 for CIFAR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet {
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
    /// Channels of the stem; `None` for those of the first stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stem_width: Option<usize>,
    /// Channels inside of a block, as a factor of those outside of it.
    pub inner_width: f64,
    /// Outputs of fully connected layers with sites before the classifier.
    pub hidden: Vec<usize>,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for ResNet {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            classes: 10,
            width: 16,
            blocks: vec![3, 3, 3],
            stem: Stem::Cifar,
            stem_width: None,
            inner_width: 1.0,
            hidden: Vec::new(),
            neuron: Lif::default(),
        }
    }
}

impl ResNet {
    pub(super) const KEYS: &'static [&'static str] =
        &["width", "blocks", "stem", "stem_width", "inner_width", "hidden"];

    /// ResNet-18 (He 2016, table 1), with the stem that the samples ask for.
    pub fn of_18() -> Self {
        Self { width: 64, blocks: vec![2, 2, 2, 2], stem: Stem::Auto, ..Self::default() }
    }

    /// ResNet-34 (He 2016, table 1), with the stem that the samples ask for.
    pub fn of_34() -> Self {
        Self { blocks: vec![3, 4, 6, 3], ..Self::of_18() }
    }

    /// ResNet-19 as Guo et al. use it (IM-Loss and later work): stem and stages of 128, 256 and 512
    /// channels, one linear layer.
    pub fn of_19() -> Self {
        Self { width: 128, blocks: vec![3, 3, 2], ..Self::default() }
    }

    /// ResNet-19 as in TET (Deng 2022), after Zheng et al. (tdBN, 2021): a stem of 64 channels,
    /// stages of 128, 256 and 512, a layer of 256 outputs before the classifier.
    pub fn of_19_tet() -> Self {
        Self { stem_width: Some(64), hidden: vec![256], ..Self::of_19() }
    }

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        let stem = self.stem.conv(self.input, self.stem_width.unwrap_or(self.width));
        net.neuron(&self.neuron).conv_site("stem", stem);
        if self.stem.is_imagenet(self.input) {
            stem_pool(&mut net);
        }
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            let channels = stage_width(self.width, stage);
            let inner = widened(channels, self.inner_width);
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                net.wide_block(&name, channels, inner, stride);
            }
        }
        net.global_pool("pool", PoolKind::Average);
        for (layer, &features) in self.hidden.iter().enumerate() {
            net.linear(&format!("hidden{}", layer + 1), features);
            net.site(&format!("hidden{}.act", layer + 1));
        }
        net.linear("fc", self.classes).finish()
    }
}
