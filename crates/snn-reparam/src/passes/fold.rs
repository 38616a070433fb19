//! Batch norm goes into the convolution or linear layer before it.
//!
//! With `κ = γ/√(σ² + ε)`: `Ŵ = κ·W`, `b̂ = β + κ·(b − μ)`. Holds for every sign of κ and for κ =
//! 0, where the channel becomes its bias; no other form of folding survives the floor of the grid's
//! leak (folding a negative κ into a threshold turns `≥` around).
//!
//! A norm after max poolings folds through them: `κ·x + b` ascends where κ > 0, and a maximum
//! commutes with what ascends, `norm(max x) = max(norm x)`. Where κ ≤ 0 it does not.

use crate::error::Result;
use crate::graph_edit::{Draft, factors};
use crate::plan::{Action, Plan, Refusal};
use ndarray::{ArrayD, Axis};
use snn_ir::{Node, Norm, Op, PoolKind};

/// Folds every batch norm; those that cannot be folded are refused in the plan.
pub(crate) fn batch_norms(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let norm = |node: &Node| match node.op {
        Op::BatchNorm(norm) => Some((node.name.clone(), norm)),
        _ => None,
    };
    let norms: Vec<(String, Norm)> = draft.graph.nodes.iter().filter_map(norm).collect();
    for (name, norm) in norms {
        let refusal = match layer_before(draft, &name) {
            Err(reason) => reason,
            Ok(Before { layer, poolings }) => {
                let kappa = factors(&draft.weights, &name, norm)?;
                let bad = kappa.iter().position(|factor| *factor <= 0.0);
                match (bad, poolings.first()) {
                    (Some(channel), Some(pooling)) => Refusal::NormAfterMax {
                        pooling: pooling.clone(),
                        channel,
                        factor: kappa[[channel]],
                    },
                    (_, pooling) => {
                        fold(draft, &name, &layer, &kappa)?;
                        draft.remove(&name, pooling.unwrap_or(&layer));
                        plan.note(&name, "batch_norm", Action::FoldedInto { layer, poolings });
                        continue;
                    }
                }
            }
        };
        plan.refuse(&name, "batch_norm", refusal);
    }
    Ok(())
}

/// Nodes before a norm.
struct Before {
    /// The layer that the norm can be folded into.
    layer: String,
    /// Max poolings between them, the norm's input first.
    poolings: Vec<String>,
}

/// The layer that a norm can be folded into. Inputs are looked up when the turn of the norm has
/// come: the norm before it may just have been folded away.
fn layer_before(draft: &Draft, norm: &str) -> std::result::Result<Before, Refusal> {
    let mut poolings = Vec::new();
    let mut reader = norm.to_string();
    loop {
        let input = draft.graph.node(&reader).and_then(|node| node.inputs.first());
        let input = input.cloned().unwrap_or_default();
        let is_pooling = match draft.graph.node(&input).map(|node| &node.op) {
            Some(Op::Conv(_) | Op::Linear { .. }) => false,
            Some(Op::Pool { pool: PoolKind::Max, .. } | Op::GlobalPool { pool: PoolKind::Max }) => {
                true
            }
            Some(Op::Input { .. }) => return Err(Refusal::NormOfImage),
            _ => return Err(Refusal::NormWithoutLayer { input }),
        };
        match draft.graph.readers(&input).count() {
            1 if is_pooling => {
                poolings.push(input.clone());
                reader = input;
            }
            1 => return Ok(Before { layer: input, poolings }),
            readers => return Err(Refusal::NormBesideReaders { layer: input, readers }),
        }
    }
}

fn fold(draft: &mut Draft, norm: &str, layer: &str, kappa: &ArrayD<f64>) -> Result<()> {
    let (beta, mean) = (draft.real(norm, "bias")?, draft.real(norm, "running_mean")?);
    let mut weight = draft.real(layer, "weight")?;
    for (mut row, k) in weight.axis_iter_mut(Axis(0)).zip(kappa) {
        row.mapv_inplace(|w| k * w);
    }
    let bias = if draft.has(layer, "bias") {
        draft.real(layer, "bias")?
    } else {
        ArrayD::zeros(mean.raw_dim())
    };
    let bias = beta + kappa * &(bias - mean);
    draft.set_real(layer, "weight", weight);
    draft.set_real(layer, "bias", bias);
    if let Some(node) = draft.graph.node_mut(layer) {
        match &mut node.op {
            Op::Conv(conv) => conv.bias = true,
            Op::Linear { bias, .. } => *bias = true,
            _ => {}
        }
    }
    for part in ["weight", "bias", "running_mean", "running_var"] {
        draft.weights.remove(&format!("{norm}.{part}"));
    }
    Ok(())
}
