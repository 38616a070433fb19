//! Weights of 16 bits as two of 8 bits each (eq. G5).

use super::integers::set_integers;
use super::to_grid::bytes;
use crate::error::Result;
use crate::graph_edit::free_name;
use snn_ir::{Graph, Node, Op, Weights, weights as parts};

/// Distance of the high weights: the low ones cover what lies between two of them, 0 in the middle.
const BASE: f64 = 2.0 * snn_ir::GRID_WEIGHT_MAX as f64 + 1.0;
/// Largest weight: both parts at their largest, `127·255 + 127`.
pub(super) const WEIGHT_MAX: f64 =
    snn_ir::GRID_WEIGHT_MAX as f64 * BASE + snn_ir::GRID_WEIGHT_MAX as f64;

/// Splits every convolution and linear layer into two that read the same events, and a sum of their
/// currents in its place: `M·Σ n·x + b = 255·M·Σ n_h·x + (M·Σ n_l·x + b)` for `n = 255·n_h + n_l`.
pub(super) fn split_layers(graph: &mut Graph, weights: &mut Weights) -> Result<()> {
    let mut taken: Vec<String> = graph.nodes.iter().map(|node| node.name.clone()).collect();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        let Some(high_op) = without_bias(&node.op) else {
            nodes.push(node);
            continue;
        };
        let mut new_name = |part: &str| {
            let name = free_name(format!("{}.{part}", node.name), |name| {
                taken.iter().any(|other| other == name)
            });
            taken.push(name.clone());
            name
        };
        let (high, low) = (new_name("high"), new_name("low"));
        let weight = parts::real(weights, &node.name, "weight")?;
        let multiplier = parts::real(weights, &node.name, "multiplier")?;
        let high_weight = weight.mapv(|n| (n / BASE).round());
        let low_weight = &weight - &(&high_weight * BASE);
        weights.insert(format!("{high}.weight"), bytes(&high_weight));
        weights.insert(format!("{low}.weight"), bytes(&low_weight));
        set_integers(weights, &high, "multiplier", &(&multiplier * BASE))?;
        set_integers(weights, &low, "multiplier", &multiplier)?;
        if let Some(bias) = weights.remove(&format!("{}.bias", node.name)) {
            weights.insert(format!("{low}.bias"), bias);
        }
        for part in ["weight", "multiplier"] {
            weights.remove(&format!("{}.{part}", node.name));
        }
        nodes.push(Node::new(high.clone(), high_op, node.inputs.clone()));
        nodes.push(Node::new(low.clone(), node.op, node.inputs));
        nodes.push(Node::new(node.name, Op::Add, vec![high, low]));
    }
    graph.nodes = nodes;
    Ok(())
}

/// A convolution or linear layer without its bias.
fn without_bias(op: &Op) -> Option<Op> {
    match op.clone() {
        Op::Conv(conv) => Some(Op::Conv(snn_ir::Conv { bias: false, ..conv })),
        Op::Linear { features, .. } => Some(Op::Linear { features, bias: false }),
        _ => None,
    }
}
