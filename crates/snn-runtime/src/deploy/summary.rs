//! What a plan does with each node, as data and as text.

use crate::deploy::number::Number;
use crate::deploy::plan::{Plan, Stage, Step, Synapse};
use serde::Serialize;
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

/// What one node does.
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
                Step::Stage(stage) => stage_form(
                    stage,
                    &stage
                        .incoming
                        .iter()
                        .map(|i| plan.nodes[i.node].name.as_str())
                        .collect::<Vec<_>>(),
                    plan.time_steps,
                ),
                Step::Pixels { .. } => "pixels less their mean".into(),
                Step::Pool(_) | Step::Flatten | Step::Concat { .. } => "rearranges".into(),
                Step::Head => "sums over macro-steps".into(),
            };
            let weight_bytes = match node.step.as_ref()? {
                Step::Stage(stage) => {
                    stage.incoming.iter().map(|incoming| bytes(&incoming.synapse)).sum()
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
            let form = match &incoming.synapse {
                Synapse::Rows(rows, None) => rows.description(steps),
                Synapse::Rows(rows, Some(dense)) => {
                    format!("{}; {}", rows.description(steps), dense.description())
                }
                Synapse::Grouped(_) => "events, in groups".into(),
                Synapse::Scale(_) => "events, one to one".into(),
                Synapse::Current => "a stored current".into(),
            };
            format!("{source}: {form}")
        })
        .collect();
    if let Some(neurons) = &stage.neurons {
        parts.push(neurons.description().into());
    }
    parts.join("; ")
}

fn bytes<N: Number>(synapse: &Synapse<N>) -> usize {
    match synapse {
        Synapse::Rows(rows, dense) => {
            rows.bytes() + dense.as_ref().map_or(0, |dense| dense.bytes())
        }
        Synapse::Grouped(grouped) => grouped.bytes(),
        Synapse::Scale(weights) => size_of_val(weights.as_slice()),
        Synapse::Current => 0,
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
