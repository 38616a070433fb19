//! Pass 2: streams stay separate. The sum of two event streams is not an event stream, but every
//! linear operation distributes over it: `S(x₁ + x₂) = S·x₁ + S·x₂`. An add of events that a
//! synapse or a linear pooling reads moves behind it.

use crate::plan::{Action, Plan};
use snn_ir::{Graph, Model, Node, Op, PoolKind};
use std::collections::{HashMap, HashSet};

/// The most copies of readers that separate streams may need: adds of adds of adds double them each
/// time.
const MAX_COPIES: usize = 1 << 12;

/// Moves adds of events behind their linear readers until none is left; a max pooling that reads
/// one is refused.
pub(crate) fn adds(model: &mut Model, plan: &mut Plan) {
    let mut copies = 0;
    while let Some((add, reader)) = next(model, plan) {
        copies += add.inputs.len();
        if copies > MAX_COPIES {
            let reason = format!(
                "it is a sum of so many streams that its readers need over {MAX_COPIES} copies; \
                 put a site before it"
            );
            plan.note(&add.name, "add", Action::Refused, reason);
            return;
        }
        rewrite(model, &add, &reader);
        plan.note(
            &reader.name,
            reader.op.label(),
            Action::Converted,
            format!("moved before `{}`, one for each stream", add.name),
        );
        drop_unread(model, &add.name);
    }
}

/// Whether a node yields events or pixels, before scales are merged.
pub(crate) fn is_events(model: &Model, name: &str) -> bool {
    events(model.graph()).contains(name)
}

/// Names of all nodes that yield events or pixels; one pass in topological order, since a chain of
/// adds has more paths than nodes.
pub(crate) fn events(graph: &Graph) -> HashSet<&str> {
    let mut events = HashSet::new();
    for node in &graph.nodes {
        if yields_events(node, |input| events.contains(input)) {
            events.insert(node.name.as_str());
        }
    }
    events
}

/// Whether a node yields events or pixels, given whether its inputs do.
pub(crate) fn yields_events(node: &Node, is_events: impl Fn(&str) -> bool) -> bool {
    match node.op {
        Op::Activation { .. } | Op::Input { .. } => true,
        Op::Pool { .. } | Op::GlobalPool { .. } | Op::Flatten | Op::Concat | Op::Add => {
            node.inputs.iter().all(|input| is_events(input))
        }
        Op::Conv(_) | Op::Linear { .. } | Op::Scale | Op::BatchNorm { .. } | Op::TimeMean => false,
    }
}

/// The next add of events with a reader that is neither a site, another add nor the head.
fn next(model: &Model, plan: &mut Plan) -> Option<(Node, Node)> {
    let events = events(model.graph());
    let adds: HashMap<&str, &Node> = model
        .graph()
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Add) && events.contains(node.name.as_str()))
        .map(|node| (node.name.as_str(), node))
        .collect();
    for reader in &model.graph().nodes {
        let Some(add) = reader.inputs.iter().find_map(|input| adds.get(input.as_str())) else {
            continue;
        };
        match reader.op {
            Op::Conv(_)
            | Op::Linear { .. }
            | Op::Scale
            | Op::Flatten
            | Op::Pool { pool: PoolKind::Sum | PoolKind::Average, .. }
            | Op::GlobalPool { pool: PoolKind::Sum | PoolKind::Average } => {
                return Some(((*add).clone(), reader.clone()));
            }
            Op::Pool { pool: PoolKind::Max, .. }
            | Op::GlobalPool { pool: PoolKind::Max }
            | Op::Concat => {
                let reason = "it reads a sum of event streams, over which it does not distribute; \
                              put a site before it";
                if !plan
                    .entries
                    .iter()
                    .any(|e| e.node == reader.name && e.action == Action::Refused)
                {
                    plan.note(&reader.name, reader.op.label(), Action::Refused, reason);
                }
            }
            Op::Add
            | Op::Activation { .. }
            | Op::TimeMean
            | Op::Input { .. }
            | Op::BatchNorm { .. } => {}
        }
    }
    None
}

/// `reader(add(a, b))` becomes `reader = add(reader#1(a), reader#2(b))`; the bias goes with the
/// first.
fn rewrite(model: &mut Model, add: &Node, reader: &Node) {
    let position = model
        .graph()
        .nodes
        .iter()
        .position(|node| node.name == reader.name)
        .unwrap_or(model.graph().nodes.len());
    let mut copies = Vec::new();
    for (number, input) in add.inputs.iter().enumerate() {
        let name = crate::name::free(model.graph(), format!("{}#{}", reader.name, number + 1));
        let mut op = reader.op.clone();
        match &mut op {
            Op::Conv(conv) if number > 0 => conv.bias = false,
            Op::Linear { bias, .. } if number > 0 => *bias = false,
            _ => {}
        }
        for part in ["weight", "bias"] {
            if let Some(tensor) = model.weights().get(&format!("{}.{part}", reader.name)).cloned()
                && !(part == "bias" && number > 0)
            {
                model.weights_mut().insert(format!("{name}.{part}"), tensor);
            }
        }
        copies.push(Node { name, op, inputs: vec![input.clone()] });
    }
    for part in ["weight", "bias"] {
        model.weights_mut().remove(&format!("{}.{part}", reader.name));
    }
    let inputs = copies.iter().map(|copy| copy.name.clone()).collect();
    let sum = Node { name: reader.name.clone(), op: Op::Add, inputs };
    model.graph_mut().nodes.splice(position..=position, copies.into_iter().chain([sum]));
}

fn drop_unread(model: &mut Model, name: &str) {
    if model.graph().readers(name).next().is_none() {
        model.graph_mut().nodes.retain(|node| node.name != name);
    }
}
