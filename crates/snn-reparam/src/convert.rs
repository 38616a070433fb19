//! The conversion off the grid: passes composed, refusals collected, codes chosen.

use crate::error::{Error, Result};
use crate::plan::{Action, Plan};
use crate::{average, distribute, fold, merge};
use serde::{Deserialize, Serialize};
use snn_ir::{
    Code, Form, Leak, Lif, Model, Op, Reset, Site, Tensor, Threshold, naive::logistic, streams::Kind, weights,
};
use std::collections::{BTreeMap, HashMap};

/// Which code each ReLU site gets; LIF sites are binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeChoice {
    /// Code of every ReLU site that is not named.
    pub default: Code,
    /// Exceptions by site name.
    pub sites: BTreeMap<String, Code>,
}

impl From<Code> for CodeChoice {
    fn from(default: Code) -> Self {
        Self { default, sites: BTreeMap::new() }
    }
}

/// A converted model with the plan that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// The model, form `events` or `grid`.
    pub model: Model,
    /// What became of every node.
    pub plan: Plan,
}

/// Turns a trained hybrid into a network of events, in f64: the same function in real arithmetic, spike for spike.
///
/// # Errors
/// The model is not in the trained form, is not valid, or has something that cannot be converted; the plan in the error lists all of it.
pub fn convert(trained: &Model, codes: &CodeChoice) -> Result<Conversion> {
    if trained.form != Form::Trained {
        return Err(Error::Form { expected: "trained", found: trained.form.label() });
    }
    trained.validate()?;
    let mut model = trained.clone();
    for tensor in model.weights.values_mut() {
        *tensor = Tensor::F64(tensor.to_f64());
    }
    let mut plan = Plan::default();
    refuse_unknown_sites(&model, codes, &mut plan);
    fold::batch_norms(&mut model, &mut plan)?;
    distribute::adds(&mut model, &mut plan);
    refuse_mixed_concatenations(&model, &mut plan);
    stop_if_refused(&plan)?;
    average::of_currents(&mut model, &mut plan)?;
    stop_if_refused(&plan)?;
    merge::scales(&mut model, &mut plan)?;
    sites(&mut model, codes, &mut plan)?;
    refuse_synapses_of_currents(&model, &mut plan);
    stop_if_refused(&plan)?;
    keep_the_rest(&model, &mut plan);
    model.form = Form::Events;
    model.validate()?;
    Ok(Conversion { model, plan })
}

fn stop_if_refused(plan: &Plan) -> Result<()> {
    if plan.is_refused() { Err(Error::Refused(Box::new(plan.clone()))) } else { Ok(()) }
}

/// A code for a site that does not exist, or for a LIF site, is a mistake.
fn refuse_unknown_sites(model: &Model, codes: &CodeChoice, plan: &mut Plan) {
    for name in codes.sites.keys() {
        match model.graph.node(name).map(|node| &node.op) {
            Some(Op::Activation { site: Site::Relu | Site::QuantRelu(_), .. }) => {}
            Some(op) => {
                plan.note(name, op.label(), Action::Refused, "a code was chosen for it, but it is not a ReLU site");
            }
            None => plan.note(name, "?", Action::Refused, "a code was chosen for it, but there is no such node"),
        }
    }
}

/// Gives every site its code and every learned leak its value.
fn sites(model: &mut Model, codes: &CodeChoice, plan: &mut Plan) -> Result<()> {
    for node in &mut model.graph.nodes {
        let label = node.op.label();
        let Op::Activation { site, code } = &mut node.op else { continue };
        let wanted = codes.sites.get(&node.name).copied().unwrap_or(codes.default);
        let chosen = match site {
            Site::Lif(lif) if newer_than_conversion(lif) => {
                let reason = "conversion knows binary LIF sites with a fixed threshold, a hard or soft reset, no synaptic current and no adaptation only";
                plan.note(&node.name, label, Action::Refused, reason);
                Code::Binary
            }
            Site::Lif(lif) => {
                if matches!(lif.leak, Leak::Learned { .. }) {
                    let leak = weights::real(&model.weights, &node.name, "leak")?;
                    let factor = logistic(leak[[0]]);
                    model.weights.remove(&format!("{}.leak", node.name));
                    lif.leak = Leak::Factor { factor };
                }
                plan.note(&node.name, label, Action::Kept, "binary spikes");
                Code::Binary
            }
            Site::Relu if wanted == Code::Graded => {
                plan.note(&node.name, label, Action::Converted, "graded events with real payload");
                Code::Graded
            }
            Site::Relu => {
                let reason =
                    "an unquantised ReLU has no finite spike code; train it as quant_relu, or choose the code graded";
                plan.note(&node.name, label, Action::Refused, reason);
                Code::Graded
            }
            Site::QuantRelu(q) if wanted != Code::Binary => {
                let steps = wanted.micro_steps(u32::from(q.levels));
                plan.note(
                    &node.name,
                    label,
                    Action::Converted,
                    format!("{} code, {steps} micro-steps", wanted.label()),
                );
                wanted
            }
            Site::QuantRelu(_) => {
                plan.note(
                    &node.name,
                    label,
                    Action::Refused,
                    "the code binary is for LIF sites; choose unary, bitplane or graded",
                );
                Code::Graded
            }
            Site::Custom(custom) => {
                let reason = format!("conversion does not know the neuron `{}`", custom.name);
                plan.note(&node.name, label, Action::Refused, reason);
                Code::Binary
            }
            Site::GridLif(_) | Site::GridQuantRelu { .. } => {
                plan.note(&node.name, label, Action::Refused, "a grid site in a trained model");
                Code::Graded
            }
        };
        *code = Some(chosen);
    }
    Ok(())
}

/// Whether a LIF site has an attribute that no pass handles.
pub(crate) fn newer_than_conversion(lif: &Lif) -> bool {
    let basic = Lif::default();
    lif.spike != basic.spike
        || lif.synapse != basic.synapse
        || lif.adaptation != basic.adaptation
        || lif.reset == Reset::None
        || matches!(lif.threshold, Threshold::Learned { .. })
}

/// A stream is of one kind: pixels, events and currents do not travel together.
fn refuse_mixed_concatenations(model: &Model, plan: &mut Plan) {
    let mut kinds: HashMap<&str, Kind> = HashMap::new();
    for node in &model.graph.nodes {
        let inputs: Vec<Kind> = node.inputs.iter().filter_map(|input| kinds.get(input.as_str()).copied()).collect();
        let uniform = inputs.iter().all(|kind| *kind == inputs[0]);
        let kind = match node.op {
            Op::Input { .. } => Kind::Pixels,
            Op::Activation { .. } => Kind::Events,
            Op::Concat if !uniform => {
                let reason = "it joins streams of different kinds (pixels, spikes, currents); put an activation site before those that are not spikes";
                plan.note(&node.name, node.op.label(), Action::Refused, reason);
                Kind::Current
            }
            Op::Add if inputs.contains(&Kind::Current) => Kind::Current,
            Op::Add if !uniform => Kind::Events,
            Op::Pool { .. } | Op::GlobalPool { .. } | Op::Flatten | Op::Add | Op::Concat => inputs[0],
            Op::Conv(_) | Op::Linear { .. } | Op::Scale | Op::BatchNorm { .. } | Op::TimeMean => Kind::Current,
        };
        kinds.insert(&node.name, kind);
    }
}

/// Real values never enter a convolution.
fn refuse_synapses_of_currents(model: &Model, plan: &mut Plan) {
    let events = distribute::events(&model.graph);
    for node in &model.graph.nodes {
        let is_synapse = matches!(node.op, Op::Conv(_) | Op::Linear { .. } | Op::Scale);
        if is_synapse && !events.contains(node.inputs[0].as_str()) {
            let reason = format!(
                "it reads `{}`, a current and not spikes; put an activation site (a spiking shortcut) before it",
                node.inputs[0]
            );
            plan.note(&node.name, node.op.label(), Action::Refused, reason);
        }
    }
}

/// Lists every node that no pass spoke of.
fn keep_the_rest(model: &Model, plan: &mut Plan) {
    for node in &model.graph.nodes {
        if plan.entries.iter().any(|entry| entry.node == node.name) {
            continue;
        }
        let detail = match node.op {
            Op::Conv(_) | Op::Linear { .. } => "weights carry the norm after it and the scales before it",
            Op::Add => "joins currents",
            _ => "",
        };
        plan.note(&node.name, node.op.label(), Action::Kept, detail);
    }
    let order = |name: &str| model.graph.nodes.iter().position(|node| node.name == name).unwrap_or(usize::MAX);
    plan.entries.sort_by_key(|entry| order(&entry.node));
}
