//! First weights of convolutions and linear layers that a graph asks for.

use super::{Node, Op};
use crate::error::{Error, Result};
use crate::site::parts::{Initial, PartSpec};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The law of the first weights of a convolution or linear layer, where it is not the usual one
/// ([`Graph::initial_weights`](crate::Graph::initial_weights)). In a file: `"dirac"`,
/// `{"constant": 0.1}`, and so on.
///
/// ```
/// use snn_ir::{Conv, GraphBuilder, InitialWeights, PoolKind};
///
/// let mut net = GraphBuilder::new([3, 8, 8]);
/// net.conv("whiten", Conv { padding: vec![0; 2], bias: true, ..Conv::square(24, 2, 1) });
/// net.initial(InitialWeights::Whitening).frozen().site("act");
/// net.conv("conv", Conv::square(32, 3, 1)).initial(InitialWeights::Dirac).norm("bn").site("act2");
/// let graph = net.global_pool("pool", PoolKind::Max).linear("fc", 10).build()?;
/// let weights = graph.initial_weights(0)?;
/// assert_eq!(weights["conv.weight"].to_f64()[[5, 5, 1, 1]], 1.0);
/// # Ok::<(), snn_ir::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialWeights {
    /// One value.
    Constant(f64),
    /// A normal law around 0 with this standard deviation.
    Normal(f64),
    /// A uniform law between minus this bound and this bound.
    Uniform(f64),
    /// A uniform law in `±1/√fan_in`, as `PyTorch`'s layers begin (Kaiming uniform with a = √5).
    KaimingUniform,
    /// The first filters pass one input channel on (1 at the centre of the kernel, else 0; of each
    /// group as many as it has inputs); the others are Kaiming uniform, and biases begin at 0
    /// (Zagoruyko and Komodakis 2017; Jordan 2024).
    Dirac,
    /// The eigenvectors `e` of the second moments of the training images' patches, of the size of
    /// the kernel, as `±e/√(λ + 5·10⁻⁴)` in the order of descending eigenvalues λ; biases begin at
    /// 0 (Jordan 2024, section 3.2). The trainer computes them before the first step; until then
    /// the weights are Kaiming uniform. For a convolution of the input with as many outputs as
    /// `2·fan_in`.
    Whitening,
    /// Each output is the mean of as many inputs in a row as there are for each (the voting layer
    /// of Fang 2021). For a linear layer whose outputs divide its inputs.
    Voting,
}

/// Added to the eigenvalues of [`InitialWeights::Whitening`] (Jordan 2024).
pub const WHITENING_EPS: f64 = 5e-4;

impl fmt::Display for InitialWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(f, "constant {value}"),
            Self::Normal(deviation) => write!(f, "normal, σ = {deviation}"),
            Self::Uniform(bound) => write!(f, "uniform in ±{bound}"),
            Self::KaimingUniform => f.write_str("Kaiming uniform"),
            Self::Dirac => f.write_str("Dirac"),
            Self::Whitening => f.write_str("whitening"),
            Self::Voting => f.write_str("voting"),
        }
    }
}

impl InitialWeights {
    /// Gives a weight of a node of operation `op` its first values.
    pub(super) fn apply(self, op: &Op, part: &mut PartSpec) {
        let zero_bias = matches!(self, Self::Dirac | Self::Whitening);
        if part.part == "bias" && zero_bias {
            part.initial = Some(Initial::Constant(0.0));
        }
        if part.part != "weight" {
            return;
        }
        let fan_in: f64 = part.shape[1..].iter().map(|&size| size as f64).product();
        let bound = 1.0 / fan_in.sqrt();
        let groups = if let Op::Conv(conv) = op { conv.groups } else { 1 };
        part.initial = Some(match self {
            Self::Constant(value) => Initial::Constant(value),
            Self::Normal(deviation) => Initial::Normal { deviation },
            Self::Uniform(bound) => Initial::Uniform { bound },
            Self::KaimingUniform | Self::Whitening => Initial::Uniform { bound },
            Self::Dirac => Initial::Dirac { bound, groups },
            Self::Voting => Initial::Voting,
        });
    }
}

/// Checks how the weights of a node begin, which reads values of this shape.
pub(super) fn check(node: &Node, input: &[usize], reads_input: bool) -> Result<()> {
    let fail = |field, expected, found: String| {
        Err(Error::Attribute { node: node.name.clone(), field, expected, found })
    };
    if !matches!(node.op, Op::Conv(_) | Op::Linear { .. }) {
        let field = if node.frozen { "frozen" } else { "initial" };
        let expected = "an attribute of convolutions and linear layers";
        return fail(field, expected, format!("one of a {}", node.op.label()));
    }
    match (node.initial, &node.op) {
        (Some(InitialWeights::Constant(value)), _) if !value.is_finite() => {
            fail("initial", "a finite constant", value.to_string())
        }
        (Some(InitialWeights::Normal(size) | InitialWeights::Uniform(size)), _)
            if !(size.is_finite() && size > 0.0) =>
        {
            fail("initial", "a positive size of the law", size.to_string())
        }
        (Some(InitialWeights::Whitening), Op::Conv(conv)) => {
            let fan_in = conv.kernel.iter().product::<usize>().saturating_mul(input[0]);
            let plain = conv.groups == 1 && conv.dilation.iter().all(|&step| step == 1);
            if reads_input && plain && conv.channels == fan_in.saturating_mul(2) {
                return Ok(());
            }
            let expected = "whitening only of a convolution of the input, without groups and \
                            dilation, of 2·fan_in channels";
            let reads = if reads_input { "the input" } else { "another node" };
            let found = format!(
                "{} channels, fan_in {fan_in}, {} groups, dilation {:?}, reading {reads}",
                conv.channels, conv.groups, conv.dilation
            );
            fail("initial", expected, found)
        }
        (Some(InitialWeights::Whitening), _) => {
            fail("initial", "whitening only of a convolution of the input", node.op.label().into())
        }
        (Some(InitialWeights::Voting), Op::Linear { features, .. })
            if input[0].is_multiple_of(*features) =>
        {
            Ok(())
        }
        (Some(InitialWeights::Voting), op) => {
            let expected = "voting only of a linear layer whose outputs divide its inputs";
            let outputs = if let Op::Linear { features, .. } = op { *features } else { 0 };
            let found = format!("a {} of {outputs} outputs and {} inputs", op.label(), input[0]);
            fail("initial", expected, found)
        }
        _ => Ok(()),
    }
}
