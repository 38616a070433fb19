//! `QKFormer`s with Q-K attention alone.

use super::drop_path;
use crate::graph::{Conv, Graph, GraphBuilder, InitialWeights, Op, PoolKind, Window};
use crate::site::{Lif, Site, Threshold};
use serde::{Deserialize, Serialize};

/// A hierarchical spiking transformer with token Q-K attention in every stage (Zhou 2024,
/// `QKFormer`, arXiv 2403.16552): a patch embedding, then blocks of attention and two 1×1
/// convolutions, whose spikes are added to the stream. Attention is linear in the number of
/// positions: a site sees how many query spikes a position has in each head, and where it fires the
/// position's keys pass.
///
/// The published network has spiking self-attention with products of three matrices in its last
/// stage; here it is Q-K attention as in the other two, since a product of two streams of events
/// has no exact form on events. The default has the sizes of HST-4-384.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QkFormer {
    /// Shape of one image.
    #[serde(skip)]
    pub input: [usize; 3],
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Channels of the last stage; the stages before it have a quarter and half of them.
    pub width: usize,
    /// Blocks of each of the three stages.
    pub blocks: Vec<usize>,
    /// Heads of attention.
    pub heads: usize,
    /// Channels between the two convolutions after attention, as a multiple of those of the stage.
    pub mlp: usize,
    /// Rate of the drop-path of each branch, of attention and of the convolutions after it; 0 for
    /// none.
    pub drop_path: f64,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for QkFormer {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            classes: 10,
            width: 384,
            blocks: vec![1, 1, 2],
            heads: 8,
            mlp: 4,
            drop_path: 0.0,
            neuron: Lif::default(),
        }
    }
}

impl QkFormer {
    pub(super) const KEYS: &'static [&'static str] =
        &["width", "blocks", "heads", "mlp", "drop_path"];

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron);
        let stages = self.blocks.len();
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            // A quarter, half, all of the width, where there are three stages.
            let channels = (0..stages - 1 - stage).fold(self.width, |width, _| width / 2).max(1);
            let name = format!("stage{}", stage + 1);
            embed(&mut net, &format!("{name}.embed"), channels, stage == 0);
            for block in 0..blocks {
                self.attend(&mut net, &format!("{name}.{block}.attention"), channels);
                self.mix(&mut net, &format!("{name}.{block}.mlp"), channels);
            }
        }
        net.global_pool("pool", PoolKind::Average).linear("fc", self.classes).finish()
    }

    /// Token Q-K attention with its residual sum.
    fn attend(&self, net: &mut GraphBuilder, name: &str, channels: usize) {
        let at = |part: &str| format!("{name}.{part}");
        let stream = net.tip().to_string();
        let threshold = Threshold::Fixed(0.5);
        net.conv_site(&at("q"), Conv::square(channels, 1, 1));
        // Query spikes of each head at each position.
        let sum = Conv { groups: self.heads, ..Conv::square(self.heads, 1, 1) };
        net.conv(&at("sum"), sum).initial(InitialWeights::Constant(1.0)).frozen();
        net.site_of(&at("act"), Site::Lif(Lif { threshold, ..self.neuron.clone() }));
        net.at(&stream).conv_site(&at("k"), Conv::square(channels, 1, 1));
        net.mask(&at("mask"), &at("act"), &at("k.act"));
        net.conv_site(&at("out"), Conv { bias: true, ..Conv::square(channels, 1, 1) });
        self.join(net, name, &stream);
    }

    /// Two 1×1 convolutions with their residual sum.
    fn mix(&self, net: &mut GraphBuilder, name: &str, channels: usize) {
        let at = |part: &str| format!("{name}.{part}");
        let stream = net.tip().to_string();
        let conv = |channels| Conv { bias: true, ..Conv::square(channels, 1, 1) };
        net.conv_site(&at("1"), conv(channels.saturating_mul(self.mlp)));
        net.conv_site(&at("2"), conv(channels));
        self.join(net, name, &stream);
    }

    /// The residual sum of the tip, the end of a branch, with the stream before it.
    fn join(&self, net: &mut GraphBuilder, name: &str, stream: &str) {
        drop_path(net, &format!("{name}.drop"), self.drop_path);
        let branch = net.tip().to_string();
        net.add(&format!("{name}.add"), &[stream, &branch]);
    }
}

/// Two 3×3 convolutions beside one of 1×1; behind the first stage they halve the size.
fn embed(net: &mut GraphBuilder, name: &str, channels: usize, is_first: bool) {
    let at = |part: &str| format!("{name}.{part}");
    let (first, stride) = if is_first { ((channels / 2).max(1), 1) } else { (channels, 2) };
    let before = net.tip().to_string();
    net.conv_site(&at("1"), Conv::square(first, 3, 1));
    // The first stage's shortcut reads spikes, never pixels.
    let before = if is_first { net.tip().to_string() } else { before };
    net.conv_norm(&at("2"), Conv::square(channels, 3, 1));
    if !is_first {
        let window = Window { kernel: vec![3; 2], stride: vec![2; 2], padding: vec![1; 2] };
        net.op(&at("pool"), Op::Pool { pool: PoolKind::Max, window });
    }
    net.site(&at("2.act"));
    net.at(&before).conv_site(&at("shortcut"), Conv::square(channels, 1, stride));
    net.add(&at("add"), &[&at("2.act"), &at("shortcut.act")]);
}
