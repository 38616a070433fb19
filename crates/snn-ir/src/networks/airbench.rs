//! The airbench networks.

use super::widened;
use crate::graph::{Conv, Graph, GraphBuilder, InitialWeights, Norm, Op, PoolKind};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// A network of the airbench family (Jordan 2024, arXiv 2404.00498): a frozen whitening convolution
/// with a learned bias, groups of convolutions whose first one is max-pooled before its norm, norms
/// without scale, Dirac first weights, a linear layer without bias whose weights begin a ninth as
/// large as usual (the source multiplies the logits by 1/9 instead). Sites stand in the place of
/// GELU. The default is airbench94.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Airbench {
    /// Shape of one image.
    #[serde(skip)]
    pub input: [usize; 3],
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Channels of each group.
    pub widths: Vec<usize>,
    /// Convolutions of each group; with three or more, a shortcut goes around all but the first.
    pub convolutions: usize,
    /// Channels inside of a shortcut, as a factor of those outside of it.
    pub inner_width: f64,
    /// Weight of a new batch in the running statistics of the norms.
    pub norm_momentum: f64,
    /// Factor of the first weights of the classifier.
    pub head_scale: f64,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for Airbench {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            classes: 10,
            widths: vec![64, 256, 256],
            convolutions: 2,
            inner_width: 1.0,
            norm_momentum: 0.4,
            head_scale: 1.0 / 9.0,
            neuron: Lif::default(),
        }
    }
}

impl Airbench {
    pub(super) const KEYS: &'static [&'static str] =
        &["widths", "convolutions", "inner_width", "norm_momentum", "head_scale"];

    /// Side of the whitening convolution's kernel.
    const WHITENING: usize = 2;

    /// airbench95: wider groups.
    pub fn of_95() -> Self {
        Self { widths: vec![128, 384, 384], ..Self::default() }
    }

    /// airbench96: three convolutions in each group, a shortcut around the last two.
    pub fn of_96() -> Self {
        let widths = vec![128, 384, 512];
        Self { widths, convolutions: 3, norm_momentum: 0.1, ..Self::default() }
    }

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        let taps = self.input[0].saturating_mul(Self::WHITENING * Self::WHITENING);
        let whitening = Conv {
            padding: vec![0; 2],
            bias: true,
            ..Conv::square(taps.saturating_mul(2), Self::WHITENING, 1)
        };
        net.neuron(&self.neuron).conv("whiten", whitening).initial(InitialWeights::Whitening);
        net.frozen().site("whiten.act");
        for (group, &width) in self.widths.iter().enumerate() {
            self.group(&mut net, &format!("group{}", group + 1), width);
        }
        let features = net.shape().map_or(1, |shape| shape[0]);
        let bound = self.head_scale / (features as f64).sqrt();
        net.global_pool("pool", PoolKind::Max);
        net.op("fc", Op::Linear { features: self.classes, bias: false });
        net.initial(InitialWeights::Uniform(bound)).finish()
    }

    fn group(&self, net: &mut GraphBuilder, name: &str, width: usize) {
        let norm = Norm { eps: 1e-12, scale: false, momentum: self.norm_momentum };
        let conv = |net: &mut GraphBuilder, at: &str, channels| {
            net.conv(at, Conv::square(channels, 3, 1)).initial(InitialWeights::Dirac);
        };
        conv(net, &format!("{name}.conv1"), width);
        net.pool(&format!("{name}.pool"), PoolKind::Max, 2).norm_of(&format!("{name}.bn1"), norm);
        net.site(&format!("{name}.act1"));
        let shortcut = net.tip().to_string();
        let has_shortcut = self.convolutions > 2;
        for number in 2..=self.convolutions {
            let is_last = number == self.convolutions;
            let inner = has_shortcut && !is_last;
            let channels = if inner { widened(width, self.inner_width) } else { width };
            conv(net, &format!("{name}.conv{number}"), channels);
            net.norm_of(&format!("{name}.bn{number}"), norm);
            if has_shortcut && is_last {
                let branch = net.tip().to_string();
                net.add(&format!("{name}.add"), &[&branch, &shortcut]);
            }
            net.site(&format!("{name}.act{number}"));
        }
    }
}
