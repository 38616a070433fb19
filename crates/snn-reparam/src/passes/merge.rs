//! Every scale goes into the weights that read it ("ReLU-to-spike weight merging"), so that
//! what travels is levels.
//!
//! A QuantRelu's step, the divisor of an average and the deviation of the input are per-channel
//! factors `r_c` of a stream. Poolings, flattening, concatenation and masks pass them on (a mask
//! those of what it masks); a synapse absorbs them, `Ŵ[o,c] = W[o,c]·r_c`; where a stream enters a
//! sum as it is (an identity shortcut), a one-to-one synapse with weight `r_c` is put.

use crate::error::Result;
use crate::graph_edit::Draft;
use crate::passes::sum_pool::to_sum;
use crate::plan::{Action, Plan};
use ndarray::{ArrayD, Axis, IxDyn};
use snn_ir::StreamKind as Kind;
use snn_ir::{Node, Op, PoolKind, QuantRelu, Role, Site};
use std::collections::HashMap;

/// Merges all scales.
pub(crate) fn scales(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    insert_identities(draft, plan)?;
    let resolved = draft.graph.resolve()?;
    let kinds = draft.graph.kinds();
    let mut factors: HashMap<String, Vec<f64>> = HashMap::new();
    for (index, node) in draft.graph.nodes.clone().iter().enumerate() {
        let channels = resolved.nodes[index].shape[0];
        let input =
            || node.inputs.first().and_then(|name| factors.get(name)).cloned().unwrap_or_default();
        let factor = match &node.op {
            Op::Input { .. } => {
                plan.note(&node.name, node.op.label(), Action::IntegerPixels);
                draft.std.iter().map(|std| 1.0 / std).collect()
            }
            Op::Activation { site, .. } => {
                if let Site::QuantRelu(QuantRelu { levels, .. }) = site {
                    plan.note(&node.name, node.op.label(), Action::StepMerged { levels: *levels });
                }
                steps_of(draft, node, channels)?
            }
            // The site may stand later, and its factors follow from its own attributes.
            Op::Delay { steps, .. } => {
                let site = draft.graph.nodes[resolved.nodes[index].inputs[0]].clone();
                let action = Action::Delayed { site: site.name.clone(), steps: *steps };
                plan.note(&node.name, node.op.label(), action);
                steps_of(draft, &site, channels)?
            }
            Op::Pool { pool, .. } | Op::GlobalPool { pool } => {
                let window = match &node.op {
                    Op::Pool { window, .. } => window.size(),
                    _ => {
                        resolved.nodes[resolved.nodes[index].inputs[0]].shape[1..].iter().product()
                    }
                };
                let mut factor = input();
                let action = match pool {
                    PoolKind::Average if kinds[index] != Kind::Current => {
                        for f in &mut factor {
                            *f /= window as f64;
                        }
                        to_sum(&mut draft.graph, &node.name);
                        Action::SumOfEvents { window }
                    }
                    PoolKind::Max => Action::MaxOfLevels,
                    PoolKind::Average | PoolKind::Sum => Action::Kept,
                };
                plan.note(&node.name, node.op.label(), action);
                factor
            }
            Op::Add => Vec::new(),
            op => match op.role() {
                Role::Shape | Role::Join | Role::Gate => passed(&factors, node, channels),
                Role::Synapse => {
                    absorb(draft, node, &input())?;
                    Vec::new()
                }
                Role::Source
                | Role::Norm
                | Role::Site
                | Role::Delay
                | Role::Pool
                | Role::Dropout
                | Role::Head => Vec::new(),
            },
        };
        factors.insert(node.name.clone(), factor);
    }
    draft.std.fill(1.0);
    Ok(())
}

/// The factors of a site, for each channel: its step, if it has one.
fn steps_of(draft: &Draft, site: &Node, channels: usize) -> Result<Vec<f64>> {
    let Op::Activation { site: Site::QuantRelu(_), .. } = &site.op else {
        return Ok(vec![1.0; channels]);
    };
    let steps = draft.real(&site.name, "step")?;
    Ok((0..channels).map(|c| steps[[if steps.len() == 1 { 0 } else { c }]]).collect())
}

/// The factors that a node without weights passes on.
pub(crate) fn passed(
    factors: &HashMap<String, Vec<f64>>,
    node: &Node,
    channels: usize,
) -> Vec<f64> {
    let inputs: Vec<&[f64]> =
        node.inputs.iter().map(|name| factors.get(name).map_or(&[][..], Vec::as_slice)).collect();
    let widths: Vec<usize> = inputs.iter().map(|factor| factor.len()).collect();
    // Currents have no factors, and the current of such a node has none.
    if widths.contains(&0) {
        return Vec::new();
    }
    let mut factor = vec![1.0; channels];
    for (input, pairs) in inputs.iter().zip(node.op.passed_channels(&widths, channels)) {
        for (own, its) in pairs {
            factor[own] = input[its];
        }
    }
    factor
}

/// `Ŵ[o,c] = W[o,c]·r_c`, minding groups; a scale is one factor a channel.
pub(crate) fn absorb(draft: &mut Draft, node: &Node, factor: &[f64]) -> Result<()> {
    if factor.is_empty() || factor.iter().all(|f| f.to_bits() == 1.0_f64.to_bits()) {
        return Ok(());
    }
    let mut weight = draft.real(&node.name, "weight")?;
    if weight.ndim() == 1 {
        weight.iter_mut().zip(factor).for_each(|(w, f)| *w *= f);
    } else {
        let groups = match node.op {
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
    draft.set_real(&node.name, "weight", weight);
    Ok(())
}

/// Puts a one-to-one synapse of weight 1 wherever events enter a sum, a site or the head as they
/// are.
fn insert_identities(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let channels = draft.channel_counts()?;
    // Kinds grow with the graph: a sum is one of currents once its streams have synapses.
    let mut kinds: HashMap<String, Kind> = HashMap::new();
    let mut position = 0;
    while position < draft.graph.nodes.len() {
        let node = draft.graph.nodes[position].clone();
        if matches!(node.op, Op::Add | Op::Activation { .. }) || node.op.readout().is_some() {
            let streams = node.inputs.iter().enumerate();
            let streams = streams.filter(|(_, input)| kinds[*input] != Kind::Current);
            for (number, (slot, input)) in streams.collect::<Vec<_>>().into_iter().enumerate() {
                let number = if number == 0 { String::new() } else { (number + 1).to_string() };
                let name = draft.free_name(format!("{}.identity{number}", node.name));
                let weight = ArrayD::from_elem(IxDyn(&[channels[input]]), 1.0);
                draft.set_real(&name, "weight", weight);
                plan.note(&name, "scale", Action::SynapseAdded { stream: input.clone() });
                kinds.insert(name.clone(), Kind::Current);
                draft
                    .graph
                    .nodes
                    .insert(position, Node::new(name.clone(), Op::Scale, vec![input.clone()]));
                position += 1;
                draft.graph.nodes[position].inputs[slot] = name;
            }
        }
        let node = &draft.graph.nodes[position];
        // Of a delay's kind nothing depends on the site, which may stand later.
        let before = node.inputs.iter().filter_map(|input| kinds.get(input).copied());
        let kind = node.op.yields(before);
        kinds.insert(node.name.clone(), kind);
        position += 1;
    }
    Ok(())
}
