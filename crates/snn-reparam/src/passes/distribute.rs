//! Pass 2: streams stay separate. The sum of two event streams is not an event stream, but every
//! linear operation distributes over it: `S(x₁ + x₂) = S·x₁ + S·x₂`. An add of events that a
//! synapse or a linear pooling reads, or that is masked, moves behind it.

use crate::graph_edit::{Draft, kinds};
use crate::plan::{Action, Plan, Refusal};
use snn_ir::StreamKind as Kind;
use snn_ir::{Node, Op, PoolKind, Role};
use std::collections::HashMap;

/// The most copies of readers that separate streams may need: adds of adds of adds double them each
/// time.
const MAX_COPIES: usize = 1 << 12;

/// Moves adds of events behind their linear readers until none is left; a max pooling that reads
/// one is refused.
pub(crate) fn adds(draft: &mut Draft, plan: &mut Plan) {
    let mut copies = 0;
    while let Some((add, reader)) = next(draft, plan) {
        copies += add.inputs.len();
        if copies > MAX_COPIES {
            plan.refuse(&add.name, "add", Refusal::TooManyStreams { limit: MAX_COPIES });
            return;
        }
        rewrite(draft, &add, &reader);
        let streams = add.inputs.len();
        let action = Action::MovedBefore { add: add.name.clone(), streams };
        plan.note(&reader.name, reader.op.label(), action);
        if draft.graph.readers(&add.name).next().is_none() {
            draft.graph.nodes.retain(|node| node.name != add.name);
        }
    }
}

/// The next add of events with a reader that is neither a site, another add nor the head.
fn next(draft: &Draft, plan: &mut Plan) -> Option<(Node, Node)> {
    let kinds = kinds(&draft.graph);
    let adds: HashMap<&str, &Node> = draft
        .graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Add) && kinds[node.name.as_str()] != Kind::Current)
        .map(|node| (node.name.as_str(), node))
        .collect();
    for reader in &draft.graph.nodes {
        let Some(add) = reader.inputs.iter().find_map(|input| adds.get(input.as_str())) else {
            continue;
        };
        let linear = match reader.op.role() {
            // The mask itself is binary spikes and so no add.
            Role::Synapse | Role::Shape | Role::Gate => true,
            Role::Pool => !is_max(&reader.op),
            Role::Join if matches!(reader.op, Op::Add) => continue,
            Role::Join => false,
            Role::Source | Role::Norm | Role::Site | Role::Delay | Role::Dropout | Role::Head => {
                continue;
            }
        };
        if linear {
            return Some(((*add).clone(), reader.clone()));
        }
        plan.refuse(&reader.name, reader.op.label(), Refusal::NonLinearReader);
    }
    None
}

fn is_max(op: &Op) -> bool {
    matches!(op, Op::Pool { pool, .. } | Op::GlobalPool { pool } if *pool == PoolKind::Max)
}

/// `reader(add(a, b))` becomes `reader = add(reader#1(a), reader#2(b))`; the bias goes with the
/// first.
fn rewrite(draft: &mut Draft, add: &Node, reader: &Node) {
    let position = draft.graph.nodes.iter().position(|node| node.name == reader.name);
    let position = position.unwrap_or(draft.graph.nodes.len());
    let reads = reader.inputs.iter().position(|input| *input == add.name).unwrap_or_default();
    let mut copies = Vec::new();
    for (number, input) in add.inputs.iter().enumerate() {
        let name = draft.free_name(format!("{}#{}", reader.name, number + 1));
        let mut op = reader.op.clone();
        match &mut op {
            Op::Conv(conv) if number > 0 => conv.bias = false,
            Op::Linear { bias, .. } if number > 0 => *bias = false,
            _ => {}
        }
        for part in ["weight", "bias"] {
            if let Some(tensor) = draft.weights.get(&format!("{}.{part}", reader.name)).cloned()
                && !(part == "bias" && number > 0)
            {
                draft.weights.insert(format!("{name}.{part}"), tensor);
            }
        }
        let mut inputs = reader.inputs.clone();
        inputs[reads].clone_from(input);
        copies.push(Node::new(name, op, inputs));
    }
    for part in ["weight", "bias"] {
        draft.weights.remove(&format!("{}.{part}", reader.name));
    }
    let inputs = copies.iter().map(|copy| copy.name.clone()).collect();
    let sum = Node::new(reader.name.clone(), Op::Add, inputs);
    draft.graph.nodes.splice(position..=position, copies.into_iter().chain([sum]));
}
