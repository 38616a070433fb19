//! Pass 1: batch norm into the convolution or linear layer before it.
//!
//! With `κ = γ/√(σ² + ε)`: `Ŵ = κ·W`, `b̂ = β + κ·(b − μ)`. Holds for every sign of κ and for κ =
//! 0, where the channel becomes its bias; no other form of folding survives the floor of the grid's
//! leak (folding a negative κ into a threshold turns `≥` around).

use crate::error::Result;
use crate::graph_edit::Draft;
use crate::plan::{Action, Plan, Refusal};
use ndarray::{ArrayD, Axis};
use snn_ir::{Node, Op};

/// Folds every batch norm; those that cannot be folded are refused in the plan.
pub(crate) fn batch_norms(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let norm = |node: &Node| match node.op {
        Op::BatchNorm { eps } => Some((node.name.clone(), eps)),
        _ => None,
    };
    let norms: Vec<(String, f64)> = draft.graph.nodes.iter().filter_map(norm).collect();
    for (norm, eps) in norms {
        match layer_before(draft, &norm) {
            Ok(layer) => {
                fold(draft, &norm, &layer, eps)?;
                draft.remove(&norm, &layer);
                plan.note(&norm, "batch_norm", Action::FoldedInto { layer });
            }
            Err(reason) => plan.refuse(&norm, "batch_norm", reason),
        }
    }
    Ok(())
}

/// The layer that a norm can be folded into. Inputs are looked up when the turn of the norm has
/// come: the norm before it may just have been folded away.
fn layer_before(draft: &Draft, norm: &str) -> std::result::Result<String, Refusal> {
    let input = draft.graph.node(norm).and_then(|node| node.inputs.first());
    let input = input.cloned().unwrap_or_default();
    match draft.graph.node(&input).map(|node| &node.op) {
        Some(Op::Conv(_) | Op::Linear { .. }) => {}
        _ => return Err(Refusal::NormWithoutLayer { input }),
    }
    match draft.graph.readers(&input).count() {
        1 => Ok(input),
        readers => Err(Refusal::NormBesideReaders { layer: input, readers }),
    }
}

fn fold(draft: &mut Draft, norm: &str, layer: &str, eps: f64) -> Result<()> {
    let part = |part: &str| draft.real(norm, part);
    let (gamma, beta, mean, variance) =
        (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
    let kappa: ArrayD<f64> = gamma / variance.mapv(|v| (v + eps).sqrt());
    let mut weight = draft.real(layer, "weight")?;
    for (mut row, k) in weight.axis_iter_mut(Axis(0)).zip(&kappa) {
        row.mapv_inplace(|w| k * w);
    }
    let bias = if draft.has(layer, "bias") {
        draft.real(layer, "bias")?
    } else {
        ArrayD::zeros(mean.raw_dim())
    };
    let bias = beta + &kappa * &(bias - mean);
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
