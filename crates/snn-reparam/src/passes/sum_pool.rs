//! Average pooling becomes sum pooling. The divisor goes into weights: those that follow
//! where events are pooled (done when scales are merged), those that come before where currents are
//! pooled, which is this pass.

use crate::error::Result;
use crate::graph_edit::{Draft, kinds};
use crate::plan::{Action, Plan, Refusal};
use snn_ir::StreamKind as Kind;
use snn_ir::{Graph, Op, PoolKind, Role};
use std::collections::{BTreeSet, HashSet};

/// Turns averages of currents into sums.
pub(crate) fn of_currents(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let resolved = draft.graph.resolve()?;
    let currents: HashSet<String> = kinds(&draft.graph)
        .into_iter()
        .filter(|(_, kind)| *kind == Kind::Current)
        .map(|(name, _)| name.to_string())
        .collect();
    let mut averages: Vec<(String, &'static str, usize)> = Vec::new();
    for (node, info) in draft.graph.nodes.iter().zip(&resolved.nodes) {
        let size = match &node.op {
            Op::Pool { pool: PoolKind::Average, window } => window.size(),
            Op::GlobalPool { pool: PoolKind::Average } => {
                resolved.nodes[info.inputs[0]].shape[1..].iter().product()
            }
            _ => continue,
        };
        if currents.contains(&node.name) {
            averages.push((node.name.clone(), node.op.label(), size));
        }
    }
    for (name, label, size) in averages {
        match synapses_before(&draft.graph, &currents, &name) {
            Ok(synapses) => {
                for synapse in synapses {
                    divide(draft, &synapse, size as f64)?;
                }
                to_sum(&mut draft.graph, &name);
                plan.note(&name, label, Action::SumOfCurrents { window: size });
            }
            Err(reason) => plan.refuse(&name, label, reason),
        }
    }
    Ok(())
}

/// Makes a pooling a sum.
pub(crate) fn to_sum(graph: &mut Graph, name: &str) {
    if let Some(node) = graph.node_mut(name)
        && let Op::Pool { pool, .. } | Op::GlobalPool { pool } = &mut node.op
    {
        *pool = PoolKind::Sum;
    }
}

fn divide(draft: &mut Draft, synapse: &str, size: f64) -> Result<()> {
    for part in ["weight", "bias"] {
        if draft.has(synapse, part) {
            let values = draft.real(synapse, part)? / size;
            draft.set_real(synapse, part, values);
        }
    }
    Ok(())
}

/// The synapses whose currents `reader` averages, once each, however often an add or a
/// concatenation reads one; nothing on the way may have another reader.
fn synapses_before(
    graph: &Graph,
    currents: &HashSet<String>,
    reader: &str,
) -> std::result::Result<BTreeSet<String>, Refusal> {
    let mut pending = vec![reader.to_string()];
    let mut visited = BTreeSet::new();
    let mut synapses = BTreeSet::new();
    while let Some(name) = pending.pop() {
        if !visited.insert(name.clone()) {
            continue;
        }
        let inputs = graph.node(&name).map(|node| node.inputs.clone()).unwrap_or_default();
        for input in inputs {
            if graph.readers(&input).count() != 1 {
                return Err(Refusal::SharedCurrent { current: input });
            }
            match graph.node(&input).map(|node| node.op.role()) {
                Some(Role::Synapse) => {
                    synapses.insert(input);
                }
                Some(role) if role.is_stateless() && currents.contains(&input) => {
                    pending.push(input);
                }
                _ => return Err(Refusal::AverageWithEvents { stream: input }),
            }
        }
    }
    Ok(synapses)
}
