//! Type check of converted graphs: pixels, events and currents, and the proof that the grid cannot
//! overflow.

use crate::error::{Error, Result};
pub use crate::graph::Kind;

use crate::graph::resolve::Resolved;
use crate::graph::{MASKED, Op, PoolKind};
use crate::model::weights::{Weights, real};
use crate::model::{Form, Preprocessing, Signature};
use crate::site::{Code, Site, Spike};
use ndarray::{ArrayD, Axis};

/// Kinds and bounds of every edge of a converted model.
#[derive(Debug, Clone)]
pub struct Streams {
    /// Kind of each node's output.
    pub kinds: Vec<Kind>,
    /// Largest absolute value that each node yields, for each channel; `f64::INFINITY` where there
    /// is no bound (real payloads, real currents).
    pub bounds: Vec<Vec<f64>>,
    /// For convolutions and linear layers: the largest absolute value of `Σ n·x` before multiplier
    /// and bias.
    pub sums: Vec<f64>,
}

/// Below this every integer is an f32 exactly: the bound under which libtorch may convolve in f32.
pub const F32_EXACT: f64 = 16_777_216.0;
/// Accumulators of the runtime are i32.
const I32_LIMIT: f64 = 2_147_483_648.0;

impl Streams {
    /// Derives kinds and bounds.
    ///
    /// # Errors
    /// A node reads a kind it cannot, or an accumulator on the grid could overflow.
    pub(crate) fn of(
        signature: &Signature,
        weights: &Weights,
        resolved: &Resolved,
    ) -> Result<Self> {
        let grid = matches!(signature.form, Form::Grid { .. });
        let count = resolved.nodes.len();
        let mut streams = Streams {
            kinds: Vec::with_capacity(count),
            bounds: Vec::with_capacity(count),
            sums: vec![0.0; count],
        };
        for (index, (node, info)) in signature.graph.nodes.iter().zip(&resolved.nodes).enumerate() {
            let refuse =
                |reason: &str| Error::Refused { node: node.name.clone(), reason: reason.into() };
            // The site that a delay reads may stand later.
            let before: &[usize] =
                if matches!(node.op, Op::Delay { .. }) { &[] } else { &info.inputs };
            let kinds: Vec<Kind> = before.iter().map(|&i| streams.kinds[i]).collect();
            let inputs: Vec<&[f64]> =
                before.iter().map(|&i| streams.bounds[i].as_slice()).collect();
            let uniform = kinds.iter().all(|k| *k == kinds[0]);
            let channels = info.shape[0];
            let bound = match &node.op {
                Op::Input { .. } => pixel_bound(&signature.preprocessing).map_err(refuse)?,
                Op::Conv(_) | Op::Linear { .. } | Op::Scale => {
                    if kinds[0] == Kind::Current {
                        return Err(refuse(
                            "a synapse cannot read a current; put an activation site before it",
                        ));
                    }
                    let (sum, bound) =
                        synapse_bound(weights, &node.name, &node.op, inputs[0], grid)?;
                    streams.sums[index] = sum;
                    if grid && sum >= I32_LIMIT {
                        return Err(refuse("the sum of weights times inputs could leave 32 bits"));
                    }
                    bound
                }
                Op::Activation { site, code } => {
                    if kinds[0] != Kind::Current {
                        return Err(refuse("a site reads a current; put a synapse before it"));
                    }
                    check_code(site, *code).map_err(refuse)?;
                    site_bound(site, channels)
                }
                Op::Delay { .. } => match &signature.graph.nodes[info.inputs[0]].op {
                    Op::Activation { site, .. } => site_bound(site, channels),
                    _ => return Err(refuse("it delays what is no site")),
                },
                Op::Add => {
                    if !uniform || kinds[0] != Kind::Current {
                        return Err(refuse(
                            "an add joins currents; give each event stream its own synapse",
                        ));
                    }
                    (0..channels).map(|c| inputs.iter().map(|b| b[c]).sum()).collect()
                }
                Op::Pool { pool, window } => {
                    pooled(*pool, window.size(), inputs[0]).map_err(refuse)?
                }
                Op::GlobalPool { pool } => {
                    let size: usize = resolved.nodes[info.inputs[0]].shape[1..].iter().product();
                    pooled(*pool, size, inputs[0]).map_err(refuse)?
                }
                Op::Mask { .. } if kinds[MASKED] != Kind::Events => {
                    return Err(refuse(
                        "a mask passes events or holds them back; put an activation site before \
                         its second input",
                    ));
                }
                Op::Concat if !uniform => {
                    return Err(refuse("a concatenation joins streams of one kind"));
                }
                op if op.readout().is_some() && kinds[0] != Kind::Current => {
                    return Err(refuse(
                        "the head reads a current (the last layer must be a synapse)",
                    ));
                }
                Op::TimeMean | Op::TimeLast | Op::TimeMax => inputs[0].to_vec(),
                Op::ChannelSum { .. } => {
                    return Err(refuse("channel sums do not exist after conversion"));
                }
                Op::BatchNorm { .. } => {
                    return Err(refuse("batch norm does not exist after conversion"));
                }
                Op::Dropout { .. } | Op::DropPath { .. } => {
                    return Err(refuse("dropout does not exist after conversion"));
                }
                // Values that are moved and not changed.
                op => moved_bound(op, &inputs, channels),
            };
            let kind = node.op.yields(kinds);
            if grid && bound.iter().any(|b| *b >= I32_LIMIT) {
                return Err(refuse("its value could leave 32 bits"));
            }
            streams.kinds.push(kind);
            streams.bounds.push(bound);
        }
        Ok(streams)
    }
}

/// Largest absolute value of each channel of an operation that moves values as they are.
fn moved_bound(op: &Op, inputs: &[&[f64]], channels: usize) -> Vec<f64> {
    let widths: Vec<usize> = inputs.iter().map(|bound| bound.len()).collect();
    let mut bound = vec![0.0; channels];
    for (input, pairs) in inputs.iter().zip(op.passed_channels(&widths, channels)) {
        for (own, its) in pairs {
            bound[own] = input[its];
        }
    }
    bound
}

/// Largest absolute value that a site emits in each channel.
fn site_bound(site: &Site, channels: usize) -> Vec<f64> {
    vec![site.levels().map_or(f64::INFINITY, f64::from); channels]
}

/// Largest absolute value of each channel of the input.
fn pixel_bound(preprocessing: &Preprocessing) -> std::result::Result<Vec<f64>, &'static str> {
    if preprocessing.std.iter().any(|s| s.to_bits() != 1.0_f64.to_bits()) {
        return Err("deviations must have been merged into the weights (std = 1)");
    }
    Ok(preprocessing.mean.iter().map(|m| f64::from(*m.max(&(255 - m)))).collect())
}

/// Checks that a site can be sent in its code (eq. 15).
fn check_code(site: &Site, code: Option<Code>) -> std::result::Result<(), &'static str> {
    let (fits, expected) = match site.spike() {
        None => (code == Some(Code::Graded), "an unquantised ReLU can only be sent graded"),
        Some(spike) => (
            code.is_some_and(|code| code.carries(spike)),
            match spike {
                Spike::Binary => "a site of binary spikes has the code binary",
                Spike::Ternary => "a site of ternary spikes has the code ternary",
                Spike::Integer { .. } => "a site of levels has the code unary, bit_plane or graded",
            },
        ),
    };
    if fits { Ok(()) } else { Err(expected) }
}

fn pooled(
    pool: PoolKind,
    size: usize,
    bound: &[f64],
) -> std::result::Result<Vec<f64>, &'static str> {
    match pool {
        PoolKind::Max => Ok(bound.to_vec()),
        PoolKind::Sum => Ok(bound.iter().map(|b| b * size as f64).collect()),
        PoolKind::Average => {
            Err("averages do not exist after conversion; the divisor goes into the next weights")
        }
    }
}

/// Bound of `Σ n·x` over all outputs, and of the current for each channel. Exact in f64: on the
/// grid all terms are integers below 2⁵³.
fn synapse_bound(
    weights: &Weights,
    name: &str,
    op: &Op,
    input: &[f64],
    grid: bool,
) -> Result<(f64, Vec<f64>)> {
    let weight = real(weights, name, "weight")?.mapv(f64::abs);
    if !grid {
        return Ok((f64::INFINITY, vec![f64::INFINITY; weight.shape()[0]]));
    }
    if matches!(op, Op::Scale) {
        let bound: Vec<f64> = weight.iter().zip(input).map(|(w, b)| w * b).collect();
        return Ok((bound.iter().copied().fold(0.0, f64::max), bound));
    }
    let (groups, bias) = match op {
        Op::Conv(conv) => (conv.groups, conv.bias),
        Op::Linear { bias, .. } => (1, *bias),
        _ => (1, false),
    };
    let multiplier = real(weights, name, "multiplier")?;
    let bias: ArrayD<f64> =
        if bias { real(weights, name, "bias")? } else { ArrayD::zeros(multiplier.raw_dim()) };
    let outputs = weight.shape()[0];
    let mut largest = 0.0_f64;
    let mut bound = Vec::with_capacity(outputs);
    for (o, row) in weight.axis_iter(Axis(0)).enumerate() {
        let first = o / (outputs / groups) * row.shape()[0];
        let sum: f64 =
            row.axis_iter(Axis(0)).enumerate().map(|(c, taps)| taps.sum() * input[first + c]).sum();
        largest = largest.max(sum);
        bound.push(multiplier[[o]] * sum + bias[[o]].abs());
    }
    Ok((largest, bound))
}
