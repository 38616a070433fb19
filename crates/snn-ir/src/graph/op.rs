//! Operations and their attributes.

use crate::model::form::Form;
use crate::site::parts::{Initial, PartSpec, Range};
use crate::site::{Code, Site};
use crate::strict::no_fields;
use serde::{Deserialize, Serialize};

/// The operations, a closed set: a new one makes every interpreter fail to compile until it handles
/// it. Equations in `docs/semantics.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// The image (eq. 1).
    Input {
        /// Shape of one sample: `[C, H, W]`, `[C, L]` or `[F]`.
        shape: Vec<usize>,
    },
    /// Convolution over one or two axes (eq. 2).
    Conv(Conv),
    /// Fully connected layer on `[F]` (eq. 2).
    Linear {
        /// Number of outputs.
        features: usize,
        /// `true` if it has a bias; absent in a file: no.
        #[serde(default)]
        bias: bool,
    },
    /// One-to-one synapse `y_c = w_c · x_c` (eq. 3); conversion makes it from identity shortcuts.
    #[serde(deserialize_with = "no_fields")]
    Scale,
    /// Batch normalisation (eq. 4).
    BatchNorm(Norm),
    /// Pooling over a window (eq. 5).
    Pool {
        /// Sum, average or max.
        pool: PoolKind,
        /// Its window.
        window: Window,
    },
    /// Pooling over the whole image, to `[C]` (eq. 5).
    GlobalPool {
        /// Sum, average or max.
        pool: PoolKind,
    },
    /// To `[F]`, in C, H, W order (eq. 6).
    #[serde(deserialize_with = "no_fields")]
    Flatten,
    /// Sum of two or more equal shapes (eq. 6).
    #[serde(deserialize_with = "no_fields")]
    Add,
    /// Concatenation of two or more inputs along channels (eq. 6).
    #[serde(deserialize_with = "no_fields")]
    Concat,
    /// The sum over the channels of each group of consecutive channels, `[C, …]` to
    /// `[groups, …]` (eq. 6c). Conversion makes it the convolution of weights 1 that it is.
    ChannelSum {
        /// Groups; they divide the channels. Absent in a file: 1, the sum over all channels.
        #[serde(default = "one")]
        groups: usize,
    },
    /// A stream of events where a mask of binary spikes has a spike, and zero elsewhere:
    /// `y = m · x` of the inputs `m` and `x` in this order (eq. 6b).
    Mask {
        /// `true` for `y = (1 − m) · x`: events pass where the mask has no spike. Absent in a file:
        /// no.
        #[serde(default)]
        inverted: bool,
    },
    /// An activation site (eqs. 8 to 13).
    Activation {
        /// The operation.
        site: Site,
        /// How it sends its level, once converted (eq. 15).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
    },
    /// Dropout of values in training, one mask for all macro-steps (eq. 6a); conversion removes
    /// it.
    Dropout {
        /// Share of the values that are dropped, at least 0 and below 1.
        rate: f64,
    },
    /// Dropout of a whole branch for a sample in training (eq. 6a); conversion removes it.
    DropPath {
        /// Share of the samples for which the branch is dropped, at least 0 and below 1.
        rate: f64,
    },
    /// The output of a site some macro-steps before, zeros before the first (eq. D1): the one edge
    /// that carries values from one macro-step to another. The site may stand later in the list of
    /// nodes, which makes a recurrence.
    Delay {
        /// Macro-steps d, 1 to [`MAX_DELAY`].
        steps: usize,
        /// Shape of the site that it reads.
        shape: Vec<usize>,
    },
    /// The head: the mean over macro-steps of the class scores (eq. 7).
    #[serde(deserialize_with = "no_fields")]
    TimeMean,
    /// The head: the class scores of the last macro-step (eq. 7).
    #[serde(deserialize_with = "no_fields")]
    TimeLast,
    /// The head: the largest score of each class over macro-steps (eq. 7).
    #[serde(deserialize_with = "no_fields")]
    TimeMax,
}

impl Op {
    /// Name as used in reports and errors.
    pub fn label(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Conv(_) => "conv",
            Op::Linear { .. } => "linear",
            Op::Scale => "scale",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Pool { pool, .. } => match pool {
                PoolKind::Sum => "sum_pool",
                PoolKind::Average => "average_pool",
                PoolKind::Max => "max_pool",
            },
            Op::GlobalPool { pool } => match pool {
                PoolKind::Sum => "global_sum_pool",
                PoolKind::Average => "global_average_pool",
                PoolKind::Max => "global_max_pool",
            },
            Op::Flatten => "flatten",
            Op::Add => "add",
            Op::Concat => "concat",
            Op::ChannelSum { .. } => "channel_sum",
            Op::Mask { .. } => "mask",
            Op::Activation { site, .. } => site.label(),
            Op::Delay { .. } => "delay",
            Op::Dropout { .. } => "dropout",
            Op::DropPath { .. } => "drop_path",
            Op::TimeMean => "time_mean",
            Op::TimeLast => "time_last",
            Op::TimeMax => "time_max",
        }
    }

    /// The weights of a node of `channels` channels that reads `inputs` channels, in a form.
    ///
    /// # Errors
    /// The operation does not exist in the form; the message says why.
    pub fn parts(
        &self,
        inputs: usize,
        channels: usize,
        form: Form,
    ) -> Result<Vec<PartSpec>, &'static str> {
        let vector = vec![channels];
        match self {
            Op::Conv(conv) => {
                let groups = conv.groups.max(1);
                let mut shape = vec![conv.channels, inputs / groups];
                shape.extend(&conv.kernel);
                // He 2015, fan-out, as ResNet does.
                let taps: f64 = conv.kernel.iter().map(|&size| size as f64).product();
                let fan_out = taps * (conv.channels / groups) as f64;
                let initial = Initial::Normal { deviation: (2.0 / fan_out).sqrt() };
                Ok(PartSpec::synapse(shape, conv.bias, form, initial))
            }
            Op::Linear { features, bias } => {
                let initial = Initial::Uniform { bound: 1.0 / (inputs as f64).sqrt() };
                Ok(PartSpec::synapse(vec![*features, inputs], *bias, form, initial))
            }
            Op::Scale => {
                Ok(vec![PartSpec::learned("weight", vector, form, Initial::Constant(1.0))])
            }
            Op::BatchNorm { .. } if form != Form::Trained => {
                Err("batch norm does not exist after conversion; it is folded into the convolution")
            }
            Op::BatchNorm(norm) => {
                let mut parts = vec![
                    PartSpec::learned("bias", vector.clone(), form, Initial::Constant(0.0)),
                    PartSpec::measured("running_mean", vector.clone(), form, 0.0),
                    PartSpec::measured("running_var", vector.clone(), form, 1.0)
                        .within(Range::AtLeast(0.0)),
                ];
                if norm.scale {
                    let scale = PartSpec::learned("weight", vector, form, Initial::Constant(1.0));
                    parts.insert(0, scale);
                }
                Ok(parts)
            }
            Op::ChannelSum { .. } if form != Form::Trained => {
                Err("a channel sum does not exist after conversion; it is a convolution there")
            }
            Op::Dropout { .. } | Op::DropPath { .. } if form != Form::Trained => {
                Err("dropout is for training; conversion removes it")
            }
            Op::Activation { code, .. } if code.is_some() == (form == Form::Trained) => {
                Err("a site has a code after conversion and only then")
            }
            Op::Activation { site, .. } => site.parts(channels, form),
            Op::Input { .. }
            | Op::Pool { .. }
            | Op::GlobalPool { .. }
            | Op::Flatten
            | Op::Add
            | Op::Concat
            | Op::Delay { .. }
            | Op::ChannelSum { .. }
            | Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::Mask { .. }
            | Op::TimeMean
            | Op::TimeLast
            | Op::TimeMax => Ok(Vec::new()),
        }
    }
}

/// The most macro-steps of one delay; a limit for untrusted files.
pub const MAX_DELAY: usize = 1 << 10;

/// ε of batch norm (PyTorch's default, which all surveyed recipes keep).
pub const BATCH_NORM_EPS: f64 = 1e-5;

/// Weight of a new batch in the running statistics of batch norm (PyTorch's default, which all
/// surveyed recipes keep).
pub const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// Attributes of a batch norm (eq. 4); in a file each may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Norm {
    /// ε, added to the variance.
    pub eps: f64,
    /// `true` if it has a learned scale γ; without one γ is the constant 1, so that every factor
    /// `κ = 1/√(σ² + ε)` is positive and the norm may stand after a max pooling.
    #[serde(skip_serializing_if = "is_true")]
    pub scale: bool,
    /// Weight of a new batch in the running statistics, in (0, 1].
    #[serde(skip_serializing_if = "is_usual_momentum")]
    pub momentum: f64,
}

impl Default for Norm {
    fn default() -> Self {
        Self { eps: BATCH_NORM_EPS, scale: true, momentum: BATCH_NORM_MOMENTUM }
    }
}

impl Norm {
    /// A norm with a learned scale, the usual momentum and another ε.
    pub fn with_eps(eps: f64) -> Self {
        Self { eps, ..Self::default() }
    }

    /// The usual norm without a learned scale: γ is 1.
    pub fn without_scale() -> Self {
        Self { scale: false, ..Self::default() }
    }
}

// Attributes newer than the first files are written only where they say something.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_usual_momentum(momentum: &f64) -> bool {
    momentum.to_bits() == BATCH_NORM_MOMENTUM.to_bits()
}

/// Attributes of a convolution; lists have one entry for each spatial axis (1 or 2). In a file all
/// but `channels` and `kernel` may be absent: stride 1, padding 0, dilation 1, one group, no bias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ConvInFile")]
pub struct Conv {
    /// Output channels.
    pub channels: usize,
    /// Kernel size.
    pub kernel: Vec<usize>,
    /// Stride, each ≥ 1.
    pub stride: Vec<usize>,
    /// Zero padding: on both sides of each axis; or, twice as many entries, before the first
    /// position of each axis and then behind the last of each (ONNX's `pads`).
    pub padding: Vec<usize>,
    /// Dilation, each ≥ 1.
    pub dilation: Vec<usize>,
    /// Groups; divides the channels on both sides.
    pub groups: usize,
    /// `true` if it has a bias.
    pub bias: bool,
}

/// A convolution as a file may say it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConvInFile {
    channels: usize,
    kernel: Vec<usize>,
    stride: Option<Vec<usize>>,
    padding: Option<Vec<usize>>,
    dilation: Option<Vec<usize>>,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default)]
    bias: bool,
}

fn one() -> usize {
    1
}

impl From<ConvInFile> for Conv {
    fn from(file: ConvInFile) -> Self {
        let rank = file.kernel.len();
        Self {
            channels: file.channels,
            stride: file.stride.unwrap_or_else(|| vec![1; rank]),
            padding: file.padding.unwrap_or_else(|| vec![0; rank]),
            dilation: file.dilation.unwrap_or_else(|| vec![1; rank]),
            kernel: file.kernel,
            groups: file.groups,
            bias: file.bias,
        }
    }
}

impl Conv {
    /// A square two-dimensional convolution with "same" padding `kernel/2`, without bias, groups or
    /// dilation.
    pub fn square(channels: usize, kernel: usize, stride: usize) -> Self {
        Self {
            channels,
            kernel: vec![kernel; 2],
            stride: vec![stride; 2],
            padding: vec![kernel / 2; 2],
            dilation: vec![1; 2],
            groups: 1,
            bias: false,
        }
    }

    /// A convolution over one axis, otherwise as [`Conv::square`].
    pub fn line(channels: usize, kernel: usize, stride: usize) -> Self {
        Self {
            channels,
            kernel: vec![kernel],
            stride: vec![stride],
            padding: vec![kernel / 2],
            dilation: vec![1],
            groups: 1,
            bias: false,
        }
    }

    /// A linear layer as the convolution that it is: 1×1, over an image of one pixel (eq. 2).
    pub fn from_linear(features: usize, bias: bool) -> Self {
        Self { bias, padding: vec![0; 2], ..Self::square(features, 1, 1) }
    }

    /// The same with the padding that TensorFlow calls "same" for an input of this shape, channels
    /// first: `⌈n/stride⌉` outputs along an axis of n positions, and behind the last position one
    /// zero more than before the first where their number is odd.
    #[must_use]
    pub fn with_same_padding(mut self, input: &[usize]) -> Self {
        let extents: Vec<usize> = self
            .kernel
            .iter()
            .zip(&self.dilation)
            .map(|(&kernel, &dilation)| extent(kernel, dilation))
            .collect();
        self.padding = same_padding(input, &extents, &self.stride);
        self
    }

    /// Geometry over two axes; that of one axis is a row.
    pub fn as_2d(&self) -> Geometry {
        let (before, after) = sides(&self.padding, self.kernel.len());
        Geometry {
            kernel: pair(&self.kernel, 1),
            stride: pair(&self.stride, 1),
            padding: pair(before, 0),
            padding_after: pair(after, 0),
            dilation: pair(&self.dilation, 1),
        }
    }
}

/// Geometry of a sliding window over two axes, each `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Size.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Zero padding before the first position; with the number of outputs it says where each
    /// window stands.
    pub padding: [usize; 2],
    /// Zero padding behind the last position.
    pub padding_after: [usize; 2],
    /// Dilation; 1 for poolings.
    pub dilation: [usize; 2],
}

impl Geometry {
    /// The one window of a global pooling over an image of this height and width.
    pub fn whole(image: [usize; 2]) -> Self {
        let padding = [0; 2];
        Self { kernel: image, stride: [1; 2], padding, padding_after: padding, dilation: [1; 2] }
    }

    /// `true` if the padding differs between the sides of an axis.
    pub fn is_lopsided(&self) -> bool {
        self.padding != self.padding_after
    }
}

/// Function that a pooling computes over its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// Sum.
    Sum,
    /// Sum divided by the window's size.
    Average,
    /// Maximum inside the image.
    Max,
}

/// Window of a pooling; lists have one entry for each spatial axis (1 or 2). In a file the stride
/// may be absent, which is then the kernel, and the padding, which is then 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WindowInFile")]
pub struct Window {
    /// Size.
    pub kernel: Vec<usize>,
    /// Stride, each ≥ 1.
    pub stride: Vec<usize>,
    /// Padding, at most half the size on any side: of both sides of each axis; or before each axis
    /// and then behind each, as [`Conv::padding`].
    pub padding: Vec<usize>,
}

/// A window as a file may say it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowInFile {
    kernel: Vec<usize>,
    stride: Option<Vec<usize>>,
    padding: Option<Vec<usize>>,
}

impl From<WindowInFile> for Window {
    fn from(file: WindowInFile) -> Self {
        let rank = file.kernel.len();
        Self {
            stride: file.stride.unwrap_or_else(|| file.kernel.clone()),
            padding: file.padding.unwrap_or_else(|| vec![0; rank]),
            kernel: file.kernel,
        }
    }
}

impl Window {
    /// A square window whose stride is its size.
    pub fn square(size: usize) -> Self {
        Self { kernel: vec![size; 2], stride: vec![size; 2], padding: vec![0; 2] }
    }

    /// The same with the padding that TensorFlow calls "same", as [`Conv::with_same_padding`]. An
    /// average still counts the whole window, where TensorFlow's counts what lies inside.
    #[must_use]
    pub fn with_same_padding(mut self, input: &[usize]) -> Self {
        self.padding = same_padding(input, &self.kernel, &self.stride);
        self
    }

    /// Geometry over two axes; that of one axis is a row.
    pub fn as_2d(&self) -> Geometry {
        let (before, after) = sides(&self.padding, self.kernel.len());
        Geometry {
            kernel: pair(&self.kernel, 1),
            stride: pair(&self.stride, 1),
            padding: pair(before, 0),
            padding_after: pair(after, 0),
            dilation: [1, 1],
        }
    }

    /// Number of positions in the window.
    pub fn size(&self) -> usize {
        self.kernel.iter().product()
    }
}

/// Padding before and behind each of `rank` axes, of a list of either length.
pub(super) fn sides(padding: &[usize], rank: usize) -> (&[usize], &[usize]) {
    if padding.len() == 2 * rank { padding.split_at(rank) } else { (padding, padding) }
}

/// Positions that a kernel of a dilation spans; what cannot be is refused with the graph.
pub(super) fn extent(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

/// "Same" padding of windows of these extents over an input `[C, …]`.
fn same_padding(input: &[usize], extents: &[usize], strides: &[usize]) -> Vec<usize> {
    let total = input.iter().skip(1).zip(extents).zip(strides).map(|((&size, extent), &stride)| {
        let last = (size.div_ceil(stride.max(1)).max(1) - 1) * stride;
        last.saturating_add(*extent).saturating_sub(size)
    });
    let total: Vec<usize> = total.collect();
    let before: Vec<usize> = total.iter().map(|total| total / 2).collect();
    let after: Vec<usize> =
        total.iter().zip(&before).map(|(total, before)| total - before).collect();
    if before == after { before } else { [before, after].concat() }
}

/// The last two entries as a pair; a missing vertical entry is `unit`.
fn pair(axes: &[usize], unit: usize) -> [usize; 2] {
    match axes {
        [vertical, horizontal] => [*vertical, *horizontal],
        [horizontal] => [unit, *horizontal],
        _ => [unit, unit],
    }
}
