//! Pass 4: every scale goes into the weights that read it ("ReLU-to-spike weight merging"), so that
//! what travels is levels.
//!
//! A QuantRelu's step, the divisor of an average and the deviation of the input are per-channel
//! factors `r_c` of a stream. Poolings, flattening and concatenation pass them on; a synapse
//! absorbs them, `Ŵ[o,c] = W[o,c]·r_c`; where a stream enters a sum as it is (an identity
//! shortcut), a one-to-one synapse with weight `r_c` is put.

use crate::average::to_sum;
use crate::distribute::{is_events, yields_events};
use crate::error::Result;
use crate::fold::set_real;
use crate::plan::{Action, Plan};
use ndarray::{ArrayD, Axis, IxDyn};
use snn_ir::{Model, Node, Op, PoolKind, QuantRelu, Resolved, Site, weights};
use std::collections::{HashMap, HashSet};

/// Merges all scales.
pub(crate) fn scales(model: &mut Model, plan: &mut Plan) -> Result<()> {
    insert_identities(model, plan);
    let resolved = model.graph().resolve()?;
    let mut factors: HashMap<String, Vec<f64>> = HashMap::new();
    for (index, node) in model.graph().nodes.clone().iter().enumerate() {
        let channels = resolved.nodes[index].shape[0];
        let input =
            || node.inputs.first().and_then(|name| factors.get(name)).cloned().unwrap_or_default();
        let factor = match &node.op {
            Op::Input { .. } => {
                let factor = model.preprocessing().std.iter().map(|std| 1.0 / std).collect();
                plan.note(
                    &node.name,
                    "input",
                    Action::Converted,
                    "integers p − mean; 1/std merged into the weights that follow",
                );
                factor
            }
            Op::Activation { site: Site::QuantRelu(QuantRelu { levels, .. }), .. } => {
                let steps = weights::real(model.weights(), &node.name, "step")?;
                plan.note(
                    &node.name,
                    "quant_relu",
                    Action::Converted,
                    format!("emits levels 0 to {levels}; step merged into the weights that follow"),
                );
                (0..channels).map(|c| steps[[if steps.len() == 1 { 0 } else { c }]]).collect()
            }
            Op::Activation { .. } => vec![1.0; channels],
            Op::Pool { pool, window } => pooled(model, plan, node, *pool, window.size(), input()),
            Op::GlobalPool { pool } => {
                let size =
                    resolved.nodes[resolved.nodes[index].inputs[0]].shape[1..].iter().product();
                pooled(model, plan, node, *pool, size, input())
            }
            Op::Flatten => {
                let factor = input();
                let each = channels / factor.len().max(1);
                factor.iter().flat_map(|f| std::iter::repeat_n(*f, each)).collect()
            }
            Op::Concat => node
                .inputs
                .iter()
                .flat_map(|name| factors.get(name).cloned().unwrap_or_default())
                .collect(),
            Op::Conv(_) | Op::Linear { .. } | Op::Scale => {
                absorb(model, &resolved, index, &input())?;
                Vec::new()
            }
            Op::Add | Op::BatchNorm { .. } | Op::TimeMean => Vec::new(),
        };
        factors.insert(node.name.clone(), factor);
    }
    model.signature_mut().preprocessing.std.fill(1.0);
    Ok(())
}

fn pooled(
    model: &mut Model,
    plan: &mut Plan,
    node: &Node,
    pool: PoolKind,
    size: usize,
    mut factor: Vec<f64>,
) -> Vec<f64> {
    if pool == PoolKind::Average && is_events(model, &node.name) {
        for f in &mut factor {
            *f /= size as f64;
        }
        to_sum(model, &node.name);
        plan.note(
            &node.name,
            node.op.label(),
            Action::Converted,
            format!("sum of events; 1/{size} merged into the weights that follow"),
        );
    } else {
        plan.note(
            &node.name,
            node.op.label(),
            Action::Kept,
            if pool == PoolKind::Max { "on levels, before planes are formed" } else { "" },
        );
    }
    factor
}

/// `Ŵ[o,c] = W[o,c]·r_c`, minding groups; a scale is one factor a channel.
fn absorb(model: &mut Model, resolved: &Resolved, index: usize, factor: &[f64]) -> Result<()> {
    if factor.is_empty() || factor.iter().all(|f| f.to_bits() == 1.0_f64.to_bits()) {
        return Ok(());
    }
    let name = &resolved.nodes[index].name;
    let mut weight = weights::real(model.weights(), name, "weight")?;
    if weight.ndim() == 1 {
        weight.iter_mut().zip(factor).for_each(|(w, f)| *w *= f);
    } else {
        let groups = match model.graph().nodes[index].op {
            Op::Conv(ref conv) => conv.groups,
            _ => 1,
        };
        let per_group = weight.shape()[0] / groups;
        for (o, mut row) in weight.axis_iter_mut(Axis(0)).enumerate() {
            let first = o / per_group * row.shape()[0];
            for (c, mut taps) in row.axis_iter_mut(Axis(0)).enumerate() {
                taps.mapv_inplace(|w| w * factor[first + c]);
            }
        }
    }
    set_real(model, &name.clone(), "weight", weight);
    Ok(())
}

/// Puts a one-to-one synapse of weight 1 wherever events enter a sum, a site or the head as they
/// are.
fn insert_identities(model: &mut Model, plan: &mut Plan) {
    let mut events = HashSet::new();
    let mut position = 0;
    while position < model.graph().nodes.len() {
        let node = model.graph().nodes[position].clone();
        if matches!(node.op, Op::Add | Op::Activation { .. } | Op::TimeMean) {
            let streams =
                node.inputs.iter().enumerate().filter(|(_, input)| events.contains(*input));
            for (number, (slot, input)) in streams.collect::<Vec<_>>().into_iter().enumerate() {
                let number = if number == 0 { String::new() } else { (number + 1).to_string() };
                let name =
                    crate::name::free(model.graph(), format!("{}.identity{number}", node.name));
                let channels = channels(model, input);
                set_real(model, &name, "weight", ArrayD::from_elem(IxDyn(&[channels]), 1.0));
                plan.note(
                    &name,
                    "scale",
                    Action::Added,
                    format!("one-to-one synapse for `{input}`; its weight is the merged step"),
                );
                model.graph_mut().nodes.insert(
                    position,
                    Node { name: name.clone(), op: Op::Scale, inputs: vec![input.clone()] },
                );
                position += 1;
                model.graph_mut().nodes[position].inputs[slot] = name;
            }
        }
        let node = &model.graph().nodes[position];
        if yields_events(node, |input| events.contains(input)) {
            events.insert(node.name.clone());
        }
        position += 1;
    }
}

fn channels(model: &Model, name: &str) -> usize {
    let position = model.graph().nodes.iter().position(|node| node.name == name).unwrap_or(0);
    model
        .graph()
        .shapes()
        .ok()
        .and_then(|shapes| shapes.get(position).map(|shape| shape[0]))
        .unwrap_or(0)
}
