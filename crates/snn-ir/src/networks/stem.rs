//! Stems of residual networks.

use crate::graph::{Conv, GraphBuilder, PoolKind, Window};
use serde::{Deserialize, Serialize};

/// First layers of a residual network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// That of `ImageNet` where the shorter side of the samples is at least
    /// [`Stem::LEAST_SIDE`], else that of CIFAR.
    #[default]
    Auto,
    /// A 3×3 convolution of stride 1 (He 2016, section 4.2).
    Cifar,
    /// A 7×7 convolution of stride 2 and, where the network has it, a 3×3 max pooling of stride 2
    /// (He 2016, table 1).
    Imagenet,
}

impl Stem {
    /// Shorter side of a sample, in pixels, from which [`Stem::Auto`] takes the stem of `ImageNet`.
    pub const LEAST_SIDE: usize = 96;

    /// `true` if it is that of `ImageNet` for samples `[C, H, W]`.
    pub(super) fn is_imagenet(self, input: [usize; 3]) -> bool {
        match self {
            Self::Auto => input[1].min(input[2]) >= Self::LEAST_SIDE,
            Self::Cifar => false,
            Self::Imagenet => true,
        }
    }

    /// Its convolution.
    pub(super) fn conv(self, input: [usize; 3], channels: usize) -> Conv {
        if self.is_imagenet(input) {
            Conv::square(channels, 7, 2)
        } else {
            Conv::square(channels, 3, 1)
        }
    }
}

/// The max pooling of the stem of `ImageNet`, of events.
pub(super) fn stem_pool(net: &mut GraphBuilder) {
    let window = Window { kernel: vec![3; 2], stride: vec![2; 2], padding: vec![1; 2] };
    net.op("stem.pool", crate::graph::Op::Pool { pool: PoolKind::Max, window });
}
