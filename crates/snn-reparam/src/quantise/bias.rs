//! Biases that take up what the mean of a layer's inputs changes by (Nagel 2019, section 4.2).

use super::values::PerChannel;
use crate::error::Result;
use crate::graph_edit::Draft;
use crate::plan::{Action, Plan};
use ndarray::{ArrayD, Axis, IxDyn};
use snn_ir::{Graph, Node, Op, PoolKind, Role};
use std::collections::HashMap;

/// Takes from every layer `Σ_i W_oi·e_i`, e the mean errors of what it reads: from its bias, from
/// the mean of the batch norm that alone reads it, or as a bias of its own. Where padding is read
/// that is a little too much.
pub(super) fn correct(
    draft: &mut Draft,
    errors: &HashMap<String, PerChannel>,
    plan: &mut Plan,
) -> Result<()> {
    let resolved = draft.graph.resolve()?;
    // Mean errors of what nodes yield; absent where there are none or they are not known.
    let mut known: HashMap<String, PerChannel> = HashMap::new();
    for (index, node) in draft.graph.nodes.clone().iter().enumerate() {
        let info = &resolved.nodes[index];
        let of = |slot: usize| node.inputs.get(slot).and_then(|input| known.get(input));
        let yields = match &node.op {
            Op::Activation { .. } => errors.get(&node.name).cloned(),
            Op::Conv(_) | Op::Linear { .. } => {
                if let Some(error) = of(0) {
                    let shift = shift(draft, node, error)?;
                    let largest = shift.iter().fold(0.0_f64, |largest, s| largest.max(s.abs()));
                    take(draft, node, &shift)?;
                    plan.note(&node.name, node.op.label(), Action::BiasCorrected { largest });
                }
                None
            }
            Op::Pool { pool: PoolKind::Average, .. }
            | Op::GlobalPool { pool: PoolKind::Average }
            | Op::Dropout { .. }
            | Op::DropPath { .. } => of(0).cloned(),
            Op::Flatten => of(0).map(|error| {
                let each = info.shape[0] / error.len().max(1);
                (0..info.shape[0]).map(|place| error[place / each.max(1)]).collect()
            }),
            Op::Concat => {
                let widths = info.inputs.iter().map(|&input| resolved.nodes[input].shape[0]);
                let parts = node.inputs.iter().zip(widths).flat_map(|(input, width)| {
                    let error = known.get(input);
                    (0..width).map(move |c| error.map_or(0.0, |error| error[c]))
                });
                Some(parts.collect())
            }
            Op::Add => {
                let mut sum: Option<PerChannel> = None;
                for error in node.inputs.iter().filter_map(|input| known.get(input)) {
                    sum = Some(sum.map_or_else(|| error.clone(), |sum| sum + error));
                }
                sum
            }
            // A maximum of errors is not the error of a maximum; norms stand behind layers.
            _ => None,
        };
        if let Some(yields) = yields {
            known.insert(node.name.clone(), yields);
        }
    }
    Ok(())
}

/// `Σ_i W_oi·e_i` of each output channel o, over all taps.
fn shift(draft: &Draft, node: &Node, error: &PerChannel) -> Result<PerChannel> {
    let weight = draft.real(&node.name, "weight")?;
    let outputs = weight.shape()[0];
    let groups = match &node.op {
        Op::Conv(conv) => conv.groups.max(1),
        _ => 1,
    };
    let per_group = (outputs / groups).max(1);
    let shift = weight.axis_iter(Axis(0)).enumerate().map(|(o, row)| {
        let first = o / per_group * row.shape()[0];
        let taps = row.axis_iter(Axis(0)).enumerate();
        taps.map(|(i, taps)| taps.sum() * error[first + i]).sum::<f64>()
    });
    Ok(shift.collect())
}

/// Takes a shift from what a layer yields.
fn take(draft: &mut Draft, node: &Node, shift: &PerChannel) -> Result<()> {
    let shift: ArrayD<f64> = shift.clone().into_dyn();
    if draft.has(&node.name, "bias") {
        let bias = draft.real(&node.name, "bias")?;
        draft.set_real(&node.name, "bias", bias - shift);
    } else if let Some(norm) = only_norm(&draft.graph, &node.name) {
        let mean = draft.real(&norm, "running_mean")?;
        draft.set_real(&norm, "running_mean", mean + shift);
    } else {
        let channels = shift.len();
        for own in draft.graph.nodes.iter_mut().filter(|own| own.name == node.name) {
            match &mut own.op {
                Op::Conv(conv) => conv.bias = true,
                Op::Linear { bias, .. } => *bias = true,
                _ => {}
            }
        }
        let none = ArrayD::zeros(IxDyn(&[channels]));
        draft.set_real(&node.name, "bias", none - shift);
    }
    Ok(())
}

/// The batch norm that is the one reader of a layer.
fn only_norm(graph: &Graph, layer: &str) -> Option<String> {
    let mut readers =
        graph.nodes.iter().filter(|node| node.inputs.iter().any(|input| input == layer));
    match (readers.next(), readers.next()) {
        (Some(norm), None) if norm.op.role() == Role::Norm => Some(norm.name.clone()),
        _ => None,
    }
}
