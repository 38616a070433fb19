//! The primitives of NIR, a closed set, with the fields of the Python package `nir`.

use crate::graph::NirGraph;
use snn_ir::Tensor;

/// The primitives of NIR (Pedersen 2024). Equations are those of the package `nir`, in continuous
/// time; parameters of neurons are arrays of the shape of what flows through them, or of one
/// value. What they become in steps of time is in `docs/nir.md`.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a graph has few nodes, of large arrays")]
pub enum Op {
    /// Where data enters.
    Input {
        /// Shape of one sample at one time.
        shape: Vec<usize>,
    },
    /// Where data leaves.
    Output {
        /// Shape of one sample at one time.
        shape: Vec<usize>,
    },
    /// `y = W·x + b`.
    Affine {
        /// W, `[outputs, inputs]`.
        weight: Tensor,
        /// b, `[outputs]`.
        bias: Tensor,
    },
    /// `y = W·x`.
    Linear {
        /// W, `[outputs, inputs]`.
        weight: Tensor,
    },
    /// `y = s ⊙ x`.
    Scale {
        /// s, of the shape of x.
        scale: Tensor,
    },
    /// Convolution over one axis.
    Conv1d(Conv),
    /// Convolution over two axes.
    Conv2d(Conv),
    /// Integrate and fire: `v̇ = R·I`; a spike where `v > v_threshold`, then `v = v_reset`.
    If {
        /// R.
        r: Tensor,
        /// Firing threshold.
        v_threshold: Tensor,
        /// Reset potential.
        v_reset: Tensor,
    },
    /// Leaky integrate and fire: `τ·v̇ = (v_leak − v) + R·I`; spike and reset as [`Op::If`].
    Lif {
        /// τ, in seconds.
        tau: Tensor,
        /// R.
        r: Tensor,
        /// Leak potential.
        v_leak: Tensor,
        /// Firing threshold.
        v_threshold: Tensor,
        /// Reset potential.
        v_reset: Tensor,
    },
    /// Leaky integrator, whose output is `v`: `τ·v̇ = (v_leak − v) + R·I`.
    Li {
        /// τ, in seconds.
        tau: Tensor,
        /// R.
        r: Tensor,
        /// Leak potential.
        v_leak: Tensor,
    },
    /// Current-based LIF: `τ_syn·İ = −I + w_in·S`, `τ_mem·v̇ = (v_leak − v) + R·I`; spike and
    /// reset as [`Op::If`].
    CubaLif {
        /// τ of the synapse, in seconds.
        tau_syn: Tensor,
        /// τ of the membrane, in seconds.
        tau_mem: Tensor,
        /// R.
        r: Tensor,
        /// Leak potential.
        v_leak: Tensor,
        /// Firing threshold.
        v_threshold: Tensor,
        /// Reset potential.
        v_reset: Tensor,
        /// Weight of the input.
        w_in: Tensor,
    },
    /// Current-based leaky integrator, whose output is `v`.
    CubaLi {
        /// τ of the synapse, in seconds.
        tau_syn: Tensor,
        /// τ of the membrane, in seconds.
        tau_mem: Tensor,
        /// R.
        r: Tensor,
        /// Leak potential.
        v_leak: Tensor,
        /// Weight of the input.
        w_in: Tensor,
    },
    /// Integrator, whose output is `v`: `v̇ = R·I`.
    I {
        /// R.
        r: Tensor,
    },
    /// `y(t) = x(t − delay)`.
    Delay {
        /// In seconds.
        delay: Tensor,
    },
    /// Some axes made one.
    Flatten {
        /// Shape of x, where the file has it.
        input_shape: Option<Vec<usize>>,
        /// The first of the axes; there is none for the batch.
        start_dim: i64,
        /// The last of them; −1 is the last of x.
        end_dim: i64,
    },
    /// Mean over a window.
    AvgPool2d(Pool),
    /// Sum over a window.
    SumPool2d(Pool),
    /// 1 where `x > threshold`, else 0.
    Threshold {
        /// The threshold.
        threshold: Tensor,
    },
    /// A graph as a node of another.
    Graph(NirGraph),
}

/// Fields of a convolution. Lists have one entry for each spatial axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// Spatial shape of the input, where the file has it.
    pub input_shape: Option<Vec<usize>>,
    /// `[outputs, inputs / groups, …kernel]`.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Tensor,
    /// Stride, each ≥ 1.
    pub stride: Vec<usize>,
    /// Padding.
    pub padding: Padding,
    /// Dilation, each ≥ 1.
    pub dilation: Vec<usize>,
    /// Groups.
    pub groups: usize,
}

/// Padding of a convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Padding {
    /// None.
    Valid,
    /// As much as keeps the size, at stride 1; the smaller half stands first.
    Same,
    /// Zeros on both sides of each axis.
    Zeros(Vec<usize>),
}

/// Fields of a pooling: height, then width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Size of the window.
    pub kernel_size: [usize; 2],
    /// Stride, each ≥ 1.
    pub stride: [usize; 2],
    /// Zeros on both sides of each axis.
    pub padding: [usize; 2],
}

impl Op {
    /// Its name in files.
    pub fn label(&self) -> &'static str {
        match self {
            Op::Input { .. } => "Input",
            Op::Output { .. } => "Output",
            Op::Affine { .. } => "Affine",
            Op::Linear { .. } => "Linear",
            Op::Scale { .. } => "Scale",
            Op::Conv1d(_) => "Conv1d",
            Op::Conv2d(_) => "Conv2d",
            Op::If { .. } => "IF",
            Op::Lif { .. } => "LIF",
            Op::Li { .. } => "LI",
            Op::CubaLif { .. } => "CubaLIF",
            Op::CubaLi { .. } => "CubaLI",
            Op::I { .. } => "I",
            Op::Delay { .. } => "Delay",
            Op::Flatten { .. } => "Flatten",
            Op::AvgPool2d(_) => "AvgPool2d",
            Op::SumPool2d(_) => "SumPool2d",
            Op::Threshold { .. } => "Threshold",
            Op::Graph(_) => "NIRGraph",
        }
    }

    /// The arrays of floats, by the names of their fields.
    pub fn arrays(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Op::Affine { weight, bias } => vec![("weight", weight), ("bias", bias)],
            Op::Linear { weight } => vec![("weight", weight)],
            Op::Scale { scale } => vec![("scale", scale)],
            Op::Conv1d(conv) | Op::Conv2d(conv) => {
                vec![("weight", &conv.weight), ("bias", &conv.bias)]
            }
            Op::If { r, v_threshold, v_reset } => {
                vec![("r", r), ("v_threshold", v_threshold), ("v_reset", v_reset)]
            }
            Op::Lif { tau, r, v_leak, v_threshold, v_reset } => vec![
                ("tau", tau),
                ("r", r),
                ("v_leak", v_leak),
                ("v_threshold", v_threshold),
                ("v_reset", v_reset),
            ],
            Op::Li { tau, r, v_leak } => vec![("tau", tau), ("r", r), ("v_leak", v_leak)],
            Op::CubaLif { tau_syn, tau_mem, r, v_leak, v_threshold, v_reset, w_in } => vec![
                ("tau_syn", tau_syn),
                ("tau_mem", tau_mem),
                ("r", r),
                ("v_leak", v_leak),
                ("v_threshold", v_threshold),
                ("v_reset", v_reset),
                ("w_in", w_in),
            ],
            Op::CubaLi { tau_syn, tau_mem, r, v_leak, w_in } => vec![
                ("tau_syn", tau_syn),
                ("tau_mem", tau_mem),
                ("r", r),
                ("v_leak", v_leak),
                ("w_in", w_in),
            ],
            Op::I { r } => vec![("r", r)],
            Op::Delay { delay } => vec![("delay", delay)],
            Op::Threshold { threshold } => vec![("threshold", threshold)],
            Op::Input { .. }
            | Op::Output { .. }
            | Op::Flatten { .. }
            | Op::AvgPool2d(_)
            | Op::SumPool2d(_)
            | Op::Graph(_) => Vec::new(),
        }
    }

    /// `true` for what acts on each value for itself, so that its arrays have the shape of what
    /// flows through it.
    pub fn is_elementwise(&self) -> bool {
        match self {
            Op::Scale { .. }
            | Op::If { .. }
            | Op::Lif { .. }
            | Op::Li { .. }
            | Op::CubaLif { .. }
            | Op::CubaLi { .. }
            | Op::I { .. }
            | Op::Delay { .. }
            | Op::Threshold { .. } => true,
            Op::Input { .. }
            | Op::Output { .. }
            | Op::Affine { .. }
            | Op::Linear { .. }
            | Op::Conv1d(_)
            | Op::Conv2d(_)
            | Op::Flatten { .. }
            | Op::AvgPool2d(_)
            | Op::SumPool2d(_)
            | Op::Graph(_) => false,
        }
    }
}
