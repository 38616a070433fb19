//! Value of one accumulator unit, in thresholds or steps of the site that reads it.

use crate::error::Result;
use ndarray::Axis;
use snn_ir::{Form, Model, Node, Op, Resolved, Role, Site};

/// For each node that yields a current, the value of its unit for each channel; 1 for others.
pub(crate) fn units(model: &Model, resolved: &Resolved) -> Result<Vec<Vec<f64>>> {
    let mut units: Vec<Option<Vec<f64>>> = vec![None; resolved.nodes.len()];
    for (index, (node, info)) in model.graph().nodes.iter().zip(&resolved.nodes).enumerate().rev() {
        let own = units[index].clone().unwrap_or_else(|| vec![1.0; info.shape[0]]);
        let mut channel = 0;
        for &read in &info.inputs {
            let count = resolved.nodes[read].shape[0];
            let of_input = match node.op.role() {
                Role::Site => site_unit(model, node)?,
                Role::Head => match model.form() {
                    Form::Grid { logit_unit } => vec![logit_unit; count],
                    Form::Trained | Form::Events => vec![1.0; count],
                },
                Role::Shape => own.iter().step_by(own.len() / count).copied().collect(),
                Role::Join if matches!(node.op, Op::Concat) => {
                    own[channel..channel + count].to_vec()
                }
                Role::Pool | Role::Join | Role::Dropout => own.clone(),
                // These read events.
                Role::Source | Role::Synapse | Role::Norm | Role::Delay | Role::Gate => continue,
            };
            channel += count;
            units[read].get_or_insert(of_input);
        }
    }
    Ok(units
        .into_iter()
        .zip(&resolved.nodes)
        .map(|(unit, info)| unit.unwrap_or_else(|| vec![1.0; info.shape[0]]))
        .collect())
}

/// One over the threshold, or over the mean spacing of the thresholds.
fn site_unit(model: &Model, node: &Node) -> Result<Vec<f64>> {
    let Op::Activation { site, .. } = &node.op else { return Ok(Vec::new()) };
    let node = &node.name;
    Ok(match site {
        Site::GridLif(_) => snn_ir::weights::real(model.weights(), node, "threshold")?
            .iter()
            .map(|t| 1.0 / t)
            .collect(),
        Site::GridQuantRelu { levels } => {
            snn_ir::weights::real(model.weights(), node, "thresholds")?
                .axis_iter(Axis(1))
                .map(|column| {
                    let (first, last) = (column[[0]], column[[column.len() - 1]]);
                    // A single threshold stands at half a step.
                    let spacing = if *levels == 1 {
                        2.0 * first.abs()
                    } else {
                        (last - first) / f64::from(*levels - 1)
                    };
                    1.0 / spacing.max(1.0)
                })
                .collect()
        }
        Site::Lif(_) | Site::Relu { .. } | Site::QuantRelu(_) | Site::Custom(_) => Vec::new(),
    })
}
