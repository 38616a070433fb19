//! Spike-driven transformers.

use super::drop_path;
use crate::graph::{Conv, Graph, GraphBuilder, Op, PoolKind, Window};
use crate::site::{Lif, Site, Threshold};
use serde::{Deserialize, Serialize};

/// A spike-driven transformer (Yao 2023, arXiv 2307.01694): four 3×3 convolutions as patch
/// embedding, two of them max-pooled, a fifth one with a membrane shortcut, then blocks of
/// spike-driven self-attention and two 1×1 convolutions, both with membrane shortcuts. Attention
/// masks and adds alone: where keys and values both spike, the spikes of each channel are added
/// over all positions; where a site fires for a channel, its queries pass. The last site stands
/// before the average over positions, as in MS-ResNet; the source averages the current first, which
/// several readers share and which could not be converted. The default is the network of CIFAR, two
/// blocks of 512 channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpikeDrivenTransformer {
    /// Shape of one image.
    #[serde(skip)]
    pub input: [usize; 3],
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Channels of the blocks; the convolutions before have an eighth, a quarter, half of them.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Channels between the two convolutions after attention, as a multiple of the width.
    pub mlp: usize,
    /// Rate of the drop-path of each branch, of attention and of the convolutions after it; 0 for
    /// none.
    pub drop_path: f64,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for SpikeDrivenTransformer {
    fn default() -> Self {
        let neuron = Lif::default();
        let (input, width, depth, mlp) = ([3, 32, 32], 512, 2, 4);
        Self { input, classes: 10, width, depth, mlp, drop_path: 0.0, neuron }
    }
}

impl SpikeDrivenTransformer {
    pub(super) const KEYS: &'static [&'static str] = &["width", "depth", "mlp", "drop_path"];

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron);
        let part = |share: usize| (self.width / share).max(1);
        let window = Window { kernel: vec![3; 2], stride: vec![2; 2], padding: vec![1; 2] };
        let pool = Op::Pool { pool: PoolKind::Max, window };
        net.conv_site("embed.1", Conv::square(part(8), 3, 1));
        net.conv_site("embed.2", Conv::square(part(4), 3, 1));
        net.conv_site("embed.3", Conv::square(part(2), 3, 1)).op("embed.pool3", pool.clone());
        net.conv_norm("embed.4", Conv::square(self.width, 3, 1)).op("embed.pool4", pool);
        net.site("embed.4.act").conv_norm("embed.5", Conv::square(self.width, 3, 1));
        net.add("embed.add", &["embed.5.bn", "embed.pool4"]);
        for block in 0..self.depth {
            self.attend(&mut net, &format!("block{}.attention", block + 1));
            self.mix(&mut net, &format!("block{}.mlp", block + 1));
        }
        net.site("act").global_pool("pool", PoolKind::Average).linear("fc", self.classes).finish()
    }

    /// Spike-driven self-attention with its membrane shortcut.
    fn attend(&self, net: &mut GraphBuilder, name: &str) {
        let at = |part: &str| format!("{name}.{part}");
        let stream = net.tip().to_string();
        net.site(&at("act"));
        for part in ["q", "k", "v"] {
            net.at(&at("act")).conv_site(&at(part), Conv::square(self.width, 1, 1));
        }
        net.mask(&at("kv"), &at("k.act"), &at("v.act")).global_pool(&at("sum"), PoolKind::Sum);
        let threshold = Threshold::Fixed(0.5);
        net.site_of(&at("kv.act"), Site::Lif(Lif { threshold, ..self.neuron.clone() }));
        net.mask(&at("mask"), &at("kv.act"), &at("q.act"));
        net.conv_norm(&at("out"), Conv { bias: true, ..Conv::square(self.width, 1, 1) });
        self.join(net, name, &stream);
    }

    /// Two 1×1 convolutions, each behind a site, with their membrane shortcut.
    fn mix(&self, net: &mut GraphBuilder, name: &str) {
        let at = |part: &str| format!("{name}.{part}");
        let stream = net.tip().to_string();
        let conv = |channels| Conv { bias: true, ..Conv::square(channels, 1, 1) };
        net.site(&at("act1")).conv_norm(&at("1"), conv(self.width.saturating_mul(self.mlp)));
        net.site(&at("act2")).conv_norm(&at("2"), conv(self.width));
        self.join(net, name, &stream);
    }

    /// The membrane shortcut: the sum of the tip, the end of a branch, with the stream before it.
    fn join(&self, net: &mut GraphBuilder, name: &str, stream: &str) {
        drop_path(net, &format!("{name}.drop"), self.drop_path);
        let branch = net.tip().to_string();
        net.add(&format!("{name}.add"), &[stream, &branch]);
    }
}
