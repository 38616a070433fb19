//! VGGs, for images and for frames of events.

use super::dropout;
use crate::graph::{Conv, Graph, GraphBuilder, PoolKind};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A VGG with batch norm (Simonyan and Zisserman 2015): stages of 3×3 convolutions, each with a
/// pooling of 2×2 after it, then fully connected layers. The default is VGG-11 for CIFAR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vgg {
    /// Shape of one image or frame.
    #[serde(skip)]
    pub input: [usize; 3],
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Channels of the convolutions of each stage.
    pub stages: Vec<Vec<usize>>,
    /// Pooling after each stage.
    pub pool: PoolKind,
    /// Outputs of fully connected layers with sites before the classifier.
    pub hidden: Vec<usize>,
    /// Rate of the dropout before each fully connected layer; 0 for none.
    pub dropout: f64,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for Vgg {
    fn default() -> Self {
        let stages: [&[usize]; 5] = [&[64], &[128], &[256; 2], &[512; 2], &[512; 2]];
        Self {
            input: [3, 32, 32],
            classes: 10,
            stages: stages.map(<[usize]>::to_vec).to_vec(),
            pool: PoolKind::Max,
            hidden: Vec::new(),
            dropout: 0.0,
            neuron: Lif::default(),
        }
    }
}

impl Vgg {
    pub(super) const KEYS: &'static [&'static str] = &["stages", "pool", "hidden", "dropout"];

    /// VGG-16 for CIFAR.
    pub fn of_16() -> Self {
        let stages: [&[usize]; 5] = [&[64; 2], &[128; 2], &[256; 3], &[512; 3], &[512; 3]];
        Self { stages: stages.map(<[usize]>::to_vec).to_vec(), ..Self::default() }
    }

    /// VGGSNN for frames of events (Deng 2022, TET): average pooling, one linear layer.
    pub fn of_events() -> Self {
        let stages: [&[usize]; 4] = [&[64, 128], &[256; 2], &[512; 2], &[512; 2]];
        Self {
            input: [2, 48, 48],
            stages: stages.map(<[usize]>::to_vec).to_vec(),
            pool: PoolKind::Average,
            ..Self::default()
        }
    }

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron);
        for (stage, layers) in self.stages.iter().enumerate() {
            for (layer, &channels) in layers.iter().enumerate() {
                let conv = Conv { bias: true, ..Conv::square(channels, 3, 1) };
                net.conv_site(&format!("stage{}.{layer}", stage + 1), conv);
            }
            net.pool(&format!("pool{}", stage + 1), self.pool, 2);
        }
        net.flatten("flat");
        for (layer, &features) in self.hidden.iter().enumerate() {
            dropout(&mut net, &format!("drop{}", layer + 1), self.dropout);
            net.linear(&format!("hidden{}", layer + 1), features);
            net.site(&format!("hidden{}.act", layer + 1));
        }
        dropout(&mut net, &format!("drop{}", self.hidden.len() + 1), self.dropout);
        net.linear("fc", self.classes).finish()
    }
}
