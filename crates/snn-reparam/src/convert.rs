//! The conversion off the grid: passes composed, refusals collected, codes chosen.

use crate::error::{Error, Result};
use crate::plan::{Action, Plan};
use crate::{average, distribute, fold, merge};
use serde::{Deserialize, Serialize};
use snn_ir::{
    Code, Form, Leak, Lif, Model, Neurons, Op, Site, Spike, Tensor, naive::logistic,
    neurons::unknown, streams::Kind,
};
use std::collections::{BTreeMap, HashMap};

/// Which code each site of levels gets (QuantRelu, integer LIF, a user's own of levels) and each
/// ReLU; binary and ternary spikes have one code each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeChoice {
    /// Code of every such site that is not named.
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

/// Turns a trained hybrid into a network of events, in f64: the same function in real arithmetic,
/// spike for spike.
///
/// # Errors
/// The model is not in the trained form, is not valid, or has something that cannot be converted,
/// such as a neuron of a user's own (see [`convert_with_neurons`]); the plan in the error lists all
/// of it.
pub fn convert(trained: &Model, codes: &CodeChoice) -> Result<Conversion> {
    convert_with_neurons(trained, codes, &Neurons::default())
}

/// As [`convert`], for a model that may have neurons of a user's own: those whose event form
/// `neurons` has.
///
/// # Errors
/// As [`convert`]; or a neuron is unknown.
pub fn convert_with_neurons(
    trained: &Model,
    codes: &CodeChoice,
    neurons: &Neurons,
) -> Result<Conversion> {
    if trained.form() != Form::Trained {
        return Err(Error::Form { expected: "trained", found: trained.form().label() });
    }
    trained.validate()?;
    let mut model = trained.clone();
    for tensor in model.weights_mut().values_mut() {
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
    sites(&mut model, codes, neurons, &mut plan)?;
    refuse_synapses_of_currents(&model, &mut plan);
    stop_if_refused(&plan)?;
    keep_the_rest(&model, &mut plan);
    model.signature_mut().form = Form::Events;
    model.validate()?;
    Ok(Conversion { model, plan })
}

fn stop_if_refused(plan: &Plan) -> Result<()> {
    if plan.is_refused() { Err(Error::Refused(Box::new(plan.clone()))) } else { Ok(()) }
}

/// A code for a site that does not exist, or for one that has no choice, is a mistake.
fn refuse_unknown_sites(model: &Model, codes: &CodeChoice, plan: &mut Plan) {
    for name in codes.sites.keys() {
        match model.graph().node(name).map(|node| &node.op) {
            Some(Op::Activation { site, .. })
                if !matches!(site.spike(), Some(Spike::Binary | Spike::Ternary)) => {}
            Some(op) => {
                let reason = "a code was chosen for it, but it is not a site of levels: binary and \
                              ternary spikes have one code each";
                plan.note(name, op.label(), Action::Refused, reason);
            }
            None => plan.note(
                name,
                "?",
                Action::Refused,
                "a code was chosen for it, but there is no such node",
            ),
        }
    }
}

/// Gives every site its code and every learned leak its value.
fn sites(model: &mut Model, codes: &CodeChoice, neurons: &Neurons, plan: &mut Plan) -> Result<()> {
    let (signature, weights) = model.parts_mut();
    for node in &mut signature.graph.nodes {
        let label = node.op.label();
        let Op::Activation { site, code } = &mut node.op else { continue };
        if let Site::Lif(Lif { leak: leak @ Leak::Learned { .. }, .. }) = site {
            let learned = snn_ir::weights::real(weights, &node.name, "leak")?;
            weights.remove(&format!("{}.leak", node.name));
            *leak = Leak::Factor { factor: logistic(learned[[0]]) };
        }
        let wanted = codes.sites.get(&node.name).copied().unwrap_or(codes.default);
        let (action, detail) = match coded(site, wanted, neurons) {
            Ok((chosen, action, detail)) => {
                *code = Some(chosen);
                (action, detail)
            }
            Err(reason) => (Action::Refused, reason),
        };
        plan.note(&node.name, label, action, detail);
    }
    Ok(())
}

/// The code of a site with what the plan says of it, or why it has none.
fn coded(
    site: &Site,
    wanted: Code,
    neurons: &Neurons,
) -> std::result::Result<(Code, Action, String), String> {
    match site {
        Site::Custom(custom) if !neurons.contains(&custom.name) => {
            return Err(unknown(&custom.name, neurons.names()));
        }
        Site::GridLif(_) | Site::GridQuantRelu { .. } => {
            return Err("a grid site in a trained model".into());
        }
        Site::Lif(_) | Site::Relu | Site::QuantRelu(_) | Site::Custom(_) => {}
    }
    match site.spike() {
        Some(Spike::Binary) => Ok((Code::Binary, Action::Kept, "binary spikes".into())),
        Some(Spike::Ternary) => {
            Ok((Code::Ternary, Action::Kept, "ternary spikes, 2 micro-steps".into()))
        }
        Some(levels @ Spike::Integer { .. }) if wanted.carries(levels) => {
            let steps = wanted.micro_steps(u32::from(levels.levels()));
            Ok((
                wanted,
                Action::Converted,
                format!(
                    "{} code, {steps} micro-step{}",
                    wanted.label(),
                    if steps == 1 { "" } else { "s" }
                ),
            ))
        }
        Some(Spike::Integer { .. }) => Err(format!(
            "the code {} does not carry levels; choose unary, bitplane or graded",
            wanted.label()
        )),
        None if wanted == Code::Graded => Ok((
            wanted,
            Action::Converted,
            "graded events with real \
                                                                          payload"
                .into(),
        )),
        None => {
            Err("an unquantised ReLU has no finite spike code; train it as quant_relu, or choose \
                 the code graded"
                .into())
        }
    }
}

/// A stream is of one kind: pixels, events and currents do not travel together.
fn refuse_mixed_concatenations(model: &Model, plan: &mut Plan) {
    let mut kinds: HashMap<&str, Kind> = HashMap::new();
    for node in &model.graph().nodes {
        let inputs: Vec<Kind> =
            node.inputs.iter().filter_map(|input| kinds.get(input.as_str()).copied()).collect();
        let uniform = inputs.iter().all(|kind| *kind == inputs[0]);
        let kind = match node.op {
            Op::Input { .. } => Kind::Pixels,
            Op::Activation { .. } => Kind::Events,
            Op::Concat if !uniform => {
                let reason = "it joins streams of different kinds (pixels, spikes, currents); put \
                              an activation site before those that are not spikes";
                plan.note(&node.name, node.op.label(), Action::Refused, reason);
                Kind::Current
            }
            Op::Add if inputs.contains(&Kind::Current) => Kind::Current,
            Op::Add if !uniform => Kind::Events,
            Op::Pool { .. } | Op::GlobalPool { .. } | Op::Flatten | Op::Add | Op::Concat => {
                inputs[0]
            }
            Op::Conv(_) | Op::Linear { .. } | Op::Scale | Op::BatchNorm { .. } | Op::TimeMean => {
                Kind::Current
            }
        };
        kinds.insert(&node.name, kind);
    }
}

/// Real values never enter a convolution.
fn refuse_synapses_of_currents(model: &Model, plan: &mut Plan) {
    let events = distribute::events(model.graph());
    for node in &model.graph().nodes {
        let is_synapse = matches!(node.op, Op::Conv(_) | Op::Linear { .. } | Op::Scale);
        if is_synapse && !events.contains(node.inputs[0].as_str()) {
            let reason = format!(
                "it reads `{}`, a current and not spikes; put an activation site (a spiking \
                 shortcut) before it",
                node.inputs[0]
            );
            plan.note(&node.name, node.op.label(), Action::Refused, reason);
        }
    }
}

/// Lists every node that no pass spoke of.
fn keep_the_rest(model: &Model, plan: &mut Plan) {
    for node in &model.graph().nodes {
        if plan.entries.iter().any(|entry| entry.node == node.name) {
            continue;
        }
        let folded = format!("folded into `{}`", node.name);
        let detail = match node.op {
            Op::Conv(_) | Op::Linear { .. }
                if plan.entries.iter().any(|entry| entry.detail == folded) =>
            {
                "weights carry the norm after it and the scales before it"
            }
            Op::Conv(_) | Op::Linear { .. } => "weights carry the scales before it",
            Op::Add => "joins currents",
            Op::TimeMean => "the mean over macro-steps",
            _ => "",
        };
        plan.note(&node.name, node.op.label(), Action::Kept, detail);
    }
    let order = |name: &str| {
        model.graph().nodes.iter().position(|node| node.name == name).unwrap_or(usize::MAX)
    };
    plan.entries.sort_by_key(|entry| order(&entry.node));
}
