//! Summary of a plan for each node, as data and as text.

use crate::deploy::number::Number;
use crate::deploy::plan::{Connection, Operation, Plan, Stage};
use serde::Serialize;
use snn_ir::Readout;
use snn_simd::InstructionSet;
use std::fmt;

/// The plan of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Instruction set.
    pub instruction_set: &'static str,
    /// Every node that fills a buffer, in the order in which they run.
    pub nodes: Vec<NodeSummary>,
}

/// Summary of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeSummary {
    /// Its name.
    pub node: String,
    /// Its operation.
    pub op: &'static str,
    /// How it runs; synapses that it sums up itself, and their form.
    pub form: String,
    /// Bytes of packed weights.
    pub weight_bytes: usize,
}

impl Summary {
    pub(crate) fn of<N: Number>(plan: &Plan<N>, instruction_set: InstructionSet) -> Self {
        let nodes = plan.nodes.iter().filter_map(|node| {
            let form = match node.step.as_ref()? {
                Operation::Stage(stage) => stage_form(
                    stage,
                    &stage
                        .incoming
                        .iter()
                        .map(|i| plan.nodes[i.node].name.as_str())
                        .collect::<Vec<_>>(),
                    plan.steps_at_once,
                ),
                Operation::Pixels { .. } => "pixels less their mean".into(),
                Operation::Delay { .. } => {
                    format!("keeps `{}`", plan.nodes[node.inputs[0]].name)
                }
                step if step.rearranges() => "rearranges".into(),
                _ => match plan.readout {
                    Readout::Mean => "sums over macro-steps".into(),
                    Readout::Last => "keeps the last macro-step".into(),
                    Readout::Max => "keeps the largest over macro-steps".into(),
                },
            };
            let weight_bytes = match node.step.as_ref()? {
                Operation::Stage(stage) => {
                    stage.incoming.iter().map(|incoming| bytes(&incoming.connection)).sum()
                }
                _ => 0,
            };
            Some(NodeSummary { node: node.name.clone(), op: node.label, form, weight_bytes })
        });
        Self { instruction_set: instruction_set.label(), nodes: nodes.collect() }
    }
}

fn stage_form<N: Number>(stage: &Stage<N>, sources: &[&str], steps: usize) -> String {
    let steps = if stage.varies { steps } else { 1 };
    let mut parts: Vec<String> = stage
        .incoming
        .iter()
        .zip(sources)
        .map(|(incoming, source)| {
            let form = match &incoming.connection {
                Connection::Packed(rows, dense) => {
                    let dense = dense.as_ref().and_then(|dense| dense.description(steps));
                    let events = Some(rows.description(steps));
                    [events, dense].into_iter().flatten().collect::<Vec<_>>().join("; ")
                }
                Connection::Grouped(_, dense) => {
                    let dense = dense.as_ref().map(|dense| dense.description());
                    let events = Some("events, in groups".to_owned());
                    [events, dense].into_iter().flatten().collect::<Vec<_>>().join("; ")
                }
                Connection::Scale(_) => "events, one to one".into(),
                Connection::Current => "a stored current".into(),
            };
            format!("{source}: {form}")
        })
        .collect();
    if let Some(neurons) = &stage.neurons {
        parts.push(neurons.description().into());
    }
    parts.join("; ")
}

fn bytes<N: Number>(synapse: &Connection<N>) -> usize {
    match synapse {
        Connection::Packed(rows, dense) => {
            rows.bytes() + dense.as_ref().map_or(0, |dense| dense.bytes())
        }
        Connection::Grouped(grouped, dense) => {
            grouped.bytes() + dense.as_ref().map_or(0, |dense| dense.bytes())
        }
        Connection::Scale(weights) => size_of_val(weights.as_slice()),
        Connection::Current => 0,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "instructions: {}", self.instruction_set)?;
        for node in &self.nodes {
            writeln!(formatter, "{} ({}): {}", node.node, node.op, node.form)?;
        }
        Ok(())
    }
}
