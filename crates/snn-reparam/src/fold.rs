//! Pass 1: batch norm into the convolution or linear layer before it.
//!
//! With `κ = γ/√(σ² + ε)`: `Ŵ = κ·W`, `b̂ = β + κ·(b − μ)`. Holds for every sign of κ and for κ =
//! 0, where the channel becomes its bias; no other form of folding survives the floor of the grid's
//! leak (folding a negative κ into a threshold turns `≥` around).

use crate::error::Result;
use crate::plan::{Action, Plan};
use ndarray::{Array1, ArrayD, Axis, Ix1};
use snn_ir::{Graph, Model, Node, Op, Tensor, weights};

/// Folds every batch norm; those that cannot be folded are refused in the plan.
pub(crate) fn batch_norms(model: &mut Model, plan: &mut Plan) -> Result<()> {
    let norms: Vec<(Node, f64)> = model
        .graph()
        .nodes
        .iter()
        .filter_map(|node| match node.op {
            Op::BatchNorm { eps } => Some((node.clone(), eps)),
            _ => None,
        })
        .collect();
    for (norm, eps) in norms {
        // Inputs are looked up again: the norm before this one may just have been folded away.
        let before =
            model.graph().node(&norm.name).map_or_else(String::new, |node| node.inputs[0].clone());
        let synapse = model
            .graph()
            .node(&before)
            .filter(|node| matches!(node.op, Op::Conv(_) | Op::Linear { .. }));
        let Some(synapse) = synapse else {
            plan.note(
                &norm.name,
                "batch_norm",
                Action::Refused,
                format!(
                    "its input `{before}` is not a convolution or linear layer; norms fold \
                         only into the layer before them"
                ),
            );
            continue;
        };
        let name = synapse.name.clone();
        let readers = model.graph().readers(&name).count();
        if readers != 1 {
            plan.note(
                &norm.name,
                "batch_norm",
                Action::Refused,
                format!(
                    "`{name}` before it has {readers} readers; folding would change what the \
                         others read"
                ),
            );
            continue;
        }
        fold(model, &norm.name, &name, eps)?;
        remove(model.graph_mut(), &norm.name, &name);
        plan.note(&norm.name, "batch_norm", Action::Merged, format!("folded into `{name}`"));
    }
    Ok(())
}

fn fold(model: &mut Model, norm: &str, synapse: &str, eps: f64) -> Result<()> {
    let part = |part: &str| weights::real(model.weights(), norm, part);
    let (gamma, beta, mean, variance) =
        (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
    let kappa: ArrayD<f64> = gamma / variance.mapv(|v| (v + eps).sqrt());
    let mut weight = weights::real(model.weights(), synapse, "weight")?;
    for (mut row, k) in weight.axis_iter_mut(Axis(0)).zip(&kappa) {
        row.mapv_inplace(|w| k * w);
    }
    let bias = match model.weights().get(&format!("{synapse}.bias")) {
        Some(bias) => bias.to_f64(),
        None => ArrayD::zeros(mean.raw_dim()),
    };
    let bias = beta + &kappa * &(bias - mean);
    set_real(model, synapse, "weight", weight);
    set_real(model, synapse, "bias", bias);
    if let Some(node) = model.graph_mut().node_mut(synapse) {
        match &mut node.op {
            Op::Conv(conv) => conv.bias = true,
            Op::Linear { bias, .. } => *bias = true,
            _ => {}
        }
    }
    for part in ["weight", "bias", "running_mean", "running_var"] {
        model.weights_mut().remove(&format!("{norm}.{part}"));
    }
    Ok(())
}

/// Replaces a weight.
pub(crate) fn set_real(model: &mut Model, node: &str, part: &str, values: ArrayD<f64>) {
    model.weights_mut().insert(format!("{node}.{part}"), Tensor::F64(values));
}

/// A per-channel weight as a vector.
pub(crate) fn channels(model: &Model, node: &str, part: &str) -> Result<Array1<f64>> {
    let values = weights::real(model.weights(), node, part)?;
    let shape = values.shape().to_vec();
    values.into_dimensionality::<Ix1>().map_err(|_| {
        snn_ir::Error::Weight {
            name: format!("{node}.{part}"),
            expected: "one axis".into(),
            found: format!("{shape:?}"),
        }
        .into()
    })
}

/// Takes a node out; its readers read `instead`.
pub(crate) fn remove(graph: &mut Graph, name: &str, instead: &str) {
    graph.nodes.retain(|node| node.name != name);
    for input in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if input == name {
            instead.clone_into(input);
        }
    }
}
