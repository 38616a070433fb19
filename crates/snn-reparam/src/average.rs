//! Pass 3: no means. An average is a sum whose divisor goes into weights: those that follow where
//! events are pooled (done when scales are merged), those that come before where currents are
//! pooled, which is this pass.

use crate::distribute::is_events;
use crate::error::Result;
use crate::fold::set_real;
use crate::plan::{Action, Plan};
use snn_ir::{Model, Op, PoolKind, weights};
use std::collections::BTreeSet;

/// Turns averages of currents into sums.
pub(crate) fn of_currents(model: &mut Model, plan: &mut Plan) -> Result<()> {
    let resolved = model.graph().resolve()?;
    let averages: Vec<(String, &'static str, usize)> = model
        .graph()
        .nodes
        .iter()
        .zip(&resolved.nodes)
        .filter_map(|(node, info)| {
            let size = match &node.op {
                Op::Pool { pool: PoolKind::Average, window } => window.size(),
                Op::GlobalPool { pool: PoolKind::Average } => {
                    resolved.nodes[info.inputs[0]].shape[1..].iter().product()
                }
                _ => return None,
            };
            Some((node.name.clone(), node.op.label(), size))
        })
        .collect();
    for (name, label, size) in averages {
        if is_events(model, &name) {
            continue;
        }
        match divide_sources(model, &name, size as f64)? {
            Ok(()) => {
                to_sum(model, &name);
                plan.note(
                    &name,
                    label,
                    Action::Converted,
                    format!("sum; 1/{size} merged into the weights before it"),
                );
            }
            Err(reason) => plan.note(&name, label, Action::Refused, reason),
        }
    }
    Ok(())
}

/// Makes a pooling a sum.
pub(crate) fn to_sum(model: &mut Model, name: &str) {
    if let Some(node) = model.graph_mut().node_mut(name)
        && let Op::Pool { pool, .. } | Op::GlobalPool { pool } = &mut node.op
    {
        *pool = PoolKind::Sum;
    }
}

/// Divides the synapses whose currents `reader` averages; all must have no other reader.
fn divide_sources(
    model: &mut Model,
    reader: &str,
    size: f64,
) -> Result<std::result::Result<(), String>> {
    let mut pending = vec![reader.to_string()];
    let mut visited = BTreeSet::new();
    let mut synapses = Vec::new();
    while let Some(name) = pending.pop() {
        if !visited.insert(name.clone()) {
            continue;
        }
        let inputs = model.graph().node(&name).map(|node| node.inputs.clone()).unwrap_or_default();
        for input in inputs {
            if model.graph().readers(&input).count() != 1 {
                return Ok(Err(format!(
                    "it averages the current `{input}`, which others read too; average after a \
                     site instead"
                )));
            }
            match model.graph().node(&input).map(|node| &node.op) {
                Some(Op::Conv(_) | Op::Linear { .. } | Op::Scale) => synapses.push(input),
                Some(
                    Op::Add | Op::Pool { .. } | Op::GlobalPool { .. } | Op::Flatten | Op::Concat,
                ) if !is_events(model, &input) => {
                    pending.push(input);
                }
                _ => {
                    return Ok(Err(format!(
                        "it averages a sum that contains the events of `{input}`; average after a \
                         site instead"
                    )));
                }
            }
        }
    }
    // Once each, however often an add or a concatenation reads one.
    for synapse in synapses.into_iter().collect::<BTreeSet<_>>() {
        for part in ["weight", "bias"] {
            if model.weights().contains_key(&format!("{synapse}.{part}")) {
                let values = weights::real(model.weights(), &synapse, part)? / size;
                set_real(model, &synapse, part, values);
            }
        }
    }
    Ok(Ok(()))
}
