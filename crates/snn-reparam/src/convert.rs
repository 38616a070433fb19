//! The conversion off the grid: passes composed, refusals collected.

use crate::error::{Error, Result};
use crate::graph_edit::{Draft, kinds};
use crate::passes::{channel_sum, codes, compose, distribute, dropout, fold, merge, sum_pool};
use crate::plan::{Action, Plan, Refusal};
use snn_ir::Role;
use snn_ir::StreamKind as Kind;
use snn_ir::{Code, CodeChoice, ConversionOptions, Form, MASKED, Model, Neurons, Op};
use std::collections::{HashMap, HashSet};

/// Options of [`convert`].
#[derive(Debug, Clone)]
pub struct ConvertOptions {
    /// Codes of the sites.
    pub codes: CodeChoice,
    /// Neurons of a user's own, by name.
    pub neurons: Neurons,
}

impl From<CodeChoice> for ConvertOptions {
    fn from(codes: CodeChoice) -> Self {
        Self { codes, neurons: Neurons::default() }
    }
}

impl From<Code> for ConvertOptions {
    fn from(code: Code) -> Self {
        CodeChoice::from(code).into()
    }
}

/// A converted model with the plan that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// The model, form `events` or `grid`.
    pub model: Model,
    /// The plan: one or more entries for each node.
    pub plan: Plan,
}

/// Turns a trained hybrid into a network of events, in f64: the same function in real arithmetic,
/// spike for spike. In f64 a decision that lies exactly on its threshold can fall the other way,
/// since sums are rounded in another order (`docs/semantics.md`, section 1).
///
/// # Errors
/// The model is not in the trained form, is not valid, or has something that cannot be converted,
/// such as a neuron of a user's own that the options do not know; the plan in the error lists all
/// of it.
pub fn convert(trained: &Model, options: &ConvertOptions) -> Result<Conversion> {
    if trained.form() != Form::Trained {
        return Err(Error::Form { expected: "trained", found: trained.form().label() });
    }
    trained.validate()?;
    let mut draft = Draft::of(trained);
    let mut plan = Plan::default();
    codes::refuse_unknown_sites(&draft.graph, &options.codes, &mut plan);
    dropout::remove(&mut draft, &mut plan);
    channel_sum::to_layers(&mut draft, &mut plan)?;
    fold::batch_norms(&mut draft, &mut plan)?;
    distribute::adds(&mut draft, &mut plan);
    refuse_mixed_concatenations(&draft, &mut plan);
    refuse_masks_of_other_than_events(&draft, &mut plan);
    stop_if_refused(&plan)?;
    let mut not_composed = compose::layers_of_currents(&mut draft, &mut plan)?;
    sum_pool::of_currents(&mut draft, &mut plan)?;
    stop_if_refused(&plan)?;
    merge::scales(&mut draft, &mut plan)?;
    codes::sites(&mut draft, &options.codes, &options.neurons, &mut plan)?;
    refuse_synapses_of_currents(&draft, &mut not_composed, &mut plan);
    stop_if_refused(&plan)?;
    keep_the_rest(&draft, &mut plan);
    let mut signature = trained.signature().clone();
    signature.form = Form::Events;
    signature.graph = draft.graph;
    signature.preprocessing.std = draft.std;
    signature.conversion = Some(ConversionOptions { codes: options.codes.clone(), grid: None });
    let model = Model::new(signature, draft.weights);
    model.validate()?;
    Ok(Conversion { model, plan })
}

pub(crate) fn stop_if_refused(plan: &Plan) -> Result<()> {
    if plan.is_refused() { Err(Error::Refused(Box::new(plan.clone()))) } else { Ok(()) }
}

/// A stream is of one kind: pixels, events and currents do not travel together.
fn refuse_mixed_concatenations(draft: &Draft, plan: &mut Plan) {
    let kinds = kinds(&draft.graph);
    for node in &draft.graph.nodes {
        let inputs: Vec<Kind> = node.inputs.iter().map(|input| kinds[input.as_str()]).collect();
        if matches!(node.op, Op::Concat) && inputs.iter().any(|kind| *kind != inputs[0]) {
            plan.refuse(&node.name, node.op.label(), Refusal::MixedStreams);
        }
    }
}

/// A mask passes spikes on or holds them back; a masked current or pixel would be neither kind.
fn refuse_masks_of_other_than_events(draft: &Draft, plan: &mut Plan) {
    let kinds = kinds(&draft.graph);
    for node in &draft.graph.nodes {
        if node.op.role() != Role::Gate {
            continue;
        }
        let masked = &node.inputs[MASKED];
        if kinds[masked.as_str()] != Kind::Events {
            let reason = Refusal::MasksOtherThanEvents { input: masked.clone() };
            plan.refuse(&node.name, node.op.label(), reason);
        }
    }
}

/// Real values never enter a convolution; of layers that could have been composed with those below
/// them the reason is known.
fn refuse_synapses_of_currents(
    draft: &Draft,
    not_composed: &mut HashMap<String, Refusal>,
    plan: &mut Plan,
) {
    let kinds = kinds(&draft.graph);
    for node in &draft.graph.nodes {
        if node.op.role() == Role::Synapse && kinds[node.inputs[0].as_str()] == Kind::Current {
            let reason = not_composed
                .remove(&node.name)
                .unwrap_or_else(|| Refusal::ReadsCurrent { input: node.inputs[0].clone() });
            plan.refuse(&node.name, node.op.label(), reason);
        }
    }
}

/// Lists every node that no pass spoke of, and puts the plan in the order of the graph.
fn keep_the_rest(draft: &Draft, plan: &mut Plan) {
    let listed: HashSet<&str> = plan.entries.iter().map(|entry| entry.node.as_str()).collect();
    let folded: HashSet<&str> = plan
        .entries
        .iter()
        .filter_map(|entry| match &entry.action {
            Action::FoldedInto { layer, .. } => Some(layer.as_str()),
            _ => None,
        })
        .collect();
    let mut rest = Plan::default();
    for node in &draft.graph.nodes {
        if listed.contains(node.name.as_str()) {
            continue;
        }
        let action = match node.op {
            Op::Conv(_) | Op::Linear { .. } => {
                Action::CarriesScales { norm: folded.contains(node.name.as_str()) }
            }
            Op::Add => Action::JoinsCurrents,
            Op::Mask { .. } => Action::MasksLevels,
            Op::TimeMean => Action::MeanOverTime,
            Op::TimeLast => Action::LastOverTime,
            Op::TimeMax => Action::MaxOverTime,
            _ => Action::Kept,
        };
        rest.note(&node.name, node.op.label(), action);
    }
    plan.entries.extend(rest.entries);
    let order: HashMap<&str, usize> =
        draft.graph.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect();
    plan.entries.sort_by_key(|entry| order.get(entry.node.as_str()).copied().unwrap_or(usize::MAX));
}
