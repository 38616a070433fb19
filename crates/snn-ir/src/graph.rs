//! The graph: nodes in topological order, each with a path name, an operation and its inputs.

use crate::site::{Code, Site};
use crate::strict::no_fields;
use serde::{Deserialize, Serialize};

/// A network as data. Nodes stand in topological order; the first is the input, the last the head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// One operation of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Path name, unique (`layer2.0.conv1`); weights are `<name>.<part>`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Names of the nodes it reads.
    #[serde(default)]
    pub inputs: Vec<String>,
}

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
        /// Whether it has a bias.
        bias: bool,
    },
    /// One-to-one synapse `y_c = w_c · x_c` (eq. 3); conversion makes it from identity shortcuts.
    #[serde(deserialize_with = "no_fields")]
    Scale,
    /// Batch normalisation (eq. 4).
    BatchNorm {
        /// Added to the variance.
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
        /// What it computes.
        site: Site,
        /// How it sends its level, once converted (eq. 15).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
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
            Op::TimeMean => "time_mean",
        }
    }
}

/// Attributes of a convolution; lists have one entry for each spatial axis (1 or 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Whether it has a bias.
    pub bias: bool,
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

    /// Kernel, stride, padding and dilation as `[vertical, horizontal]`; one axis is a row.
    pub fn as_2d(&self) -> ([usize; 2], [usize; 2], [usize; 2], [usize; 2]) {
        (
            pair(&self.kernel, 1),
            pair(&self.stride, 1),
            pair(&self.padding, 0),
            pair(&self.dilation, 1),
        )
    }
}

/// What a pooling computes over its window.
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

/// Window of a pooling; lists have one entry for each spatial axis (1 or 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Size.
    pub kernel: Vec<usize>,
    /// Stride, each ≥ 1.
    pub stride: Vec<usize>,
    /// Padding on both sides, at most half the size.
    pub padding: Vec<usize>,
}

impl Window {
    /// A square window whose stride is its size.
    pub fn square(size: usize) -> Self {
        Self { kernel: vec![size; 2], stride: vec![size; 2], padding: vec![0; 2] }
    }

    /// Kernel, stride and padding as `[vertical, horizontal]`; one axis is a row.
    pub fn as_2d(&self) -> ([usize; 2], [usize; 2], [usize; 2]) {
        (pair(&self.kernel, 1), pair(&self.stride, 1), pair(&self.padding, 0))
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

impl Graph {
    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The node of this name, to change.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// Names of the nodes that read `name`.
    pub fn readers(&self, name: &str) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.inputs.iter().any(|input| input == name))
    }

    /// Appends a node and returns its name; the way builders write a network.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[&str]) -> String {
        let name = name.into();
        self.nodes.push(Node {
            name: name.clone(),
            op,
            inputs: inputs.iter().map(ToString::to_string).collect(),
        });
        name
    }
}
