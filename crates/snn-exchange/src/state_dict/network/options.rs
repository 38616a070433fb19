//! What is said of a network beside its weights, and what is found.

use snn_ir::{BATCH_NORM_EPS, Graph, Weights};

/// Facts of a network that its weights do not tell. What is not given is that of the published
/// layout.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkOptions {
    /// Shape of an image, `[C, H, W]`. Of a `ResNet` with the stem of `ImageNet` 224×224, with that
    /// of CIFAR 32×32; of a VGG what its first linear layer needs.
    pub input: Option<[usize; 3]>,
    /// ε of all batch norms.
    pub eps: f64,
    /// Stride of the first convolution of a `ResNet`: 2 if it is 7×7 or one of three, else 1.
    pub stem_stride: Option<usize>,
    /// `true` for a max pooling, 3×3 of stride 2, after the first layers of a `ResNet`: where
    /// their stride is 2, unless it is said here.
    pub stem_pool: Option<bool>,
    /// Stride of each stage of a `ResNet`: 1, then 2.
    pub stage_strides: Option<Vec<usize>>,
    /// Which convolution of a bottleneck has the stride.
    pub bottleneck_stride: BottleneckStride,
}

/// Which convolution of a bottleneck block has the stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BottleneckStride {
    /// The 3×3 convolution, as in torchvision and timm ("`ResNet` v1.5").
    #[default]
    Middle,
    /// The first 1×1 convolution (He 2016).
    First,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            input: None,
            eps: BATCH_NORM_EPS,
            stem_stride: None,
            stem_pool: None,
            stage_strides: None,
            bottleneck_stride: BottleneckStride::default(),
        }
    }
}

/// A network that was recognised. Its nodes have the names that the tensors have, so that a tensor
/// is the weight of its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// The network; its sites are `ReLUs`.
    pub graph: Graph,
    /// The layout, in words.
    pub layout: String,
    /// Weights that the layout fixes and the file does not hold: of shortcuts that subsample.
    pub fixed: Weights,
}
