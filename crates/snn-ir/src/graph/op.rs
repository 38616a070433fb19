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
    BatchNorm {
        /// Added to the variance; absent in a file: [`BATCH_NORM_EPS`].
        #[serde(default = "default_eps")]
        eps: f64,
    },
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
    /// An activation site (eqs. 8 to 13).
    Activation {
        /// The operation.
        site: Site,
        /// How it sends its level, once converted (eq. 15).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
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
            Op::Activation { site, .. } => site.label(),
            Op::Delay { .. } => "delay",
            Op::TimeMean => "time_mean",
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
            Op::BatchNorm { .. } => Ok(vec![
                PartSpec::learned("weight", vector.clone(), form, Initial::Constant(1.0)),
                PartSpec::learned("bias", vector.clone(), form, Initial::Constant(0.0)),
                PartSpec::measured("running_mean", vector.clone(), form, 0.0),
                PartSpec::measured("running_var", vector, form, 1.0).within(Range::AtLeast(0.0)),
            ]),
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
            | Op::TimeMean => Ok(Vec::new()),
        }
    }
}

/// The most macro-steps of one delay; a limit for untrusted files.
pub const MAX_DELAY: usize = 1 << 10;

/// ε of batch norm (PyTorch's default, which all surveyed recipes keep).
pub const BATCH_NORM_EPS: f64 = 1e-5;

fn default_eps() -> f64 {
    BATCH_NORM_EPS
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
    /// Zero padding on both sides.
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

    /// Geometry over two axes; that of one axis is a row.
    pub fn as_2d(&self) -> Geometry {
        Geometry {
            kernel: pair(&self.kernel, 1),
            stride: pair(&self.stride, 1),
            padding: pair(&self.padding, 0),
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
    /// Zero padding on both sides.
    pub padding: [usize; 2],
    /// Dilation; 1 for poolings.
    pub dilation: [usize; 2],
}

impl Geometry {
    /// The one window of a global pooling over an image of this height and width.
    pub fn whole(image: [usize; 2]) -> Self {
        Self { kernel: image, stride: [1; 2], padding: [0; 2], dilation: [1; 2] }
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
    /// Padding on both sides, at most half the size.
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

    /// Geometry over two axes; that of one axis is a row.
    pub fn as_2d(&self) -> Geometry {
        Geometry {
            kernel: pair(&self.kernel, 1),
            stride: pair(&self.stride, 1),
            padding: pair(&self.padding, 0),
            dilation: [1, 1],
        }
    }

    /// Number of positions in the window.
    pub fn size(&self) -> usize {
        self.kernel.iter().product()
    }
}

/// The last two entries as a pair; a missing vertical entry is `unit`.
fn pair(axes: &[usize], unit: usize) -> [usize; 2] {
    match axes {
        [vertical, horizontal] => [*vertical, *horizontal],
        [horizontal] => [unit, *horizontal],
        _ => [unit, unit],
    }
}
