//! Rate coding: what a converted network is compared with.

use crate::error::{Error, Result};
use crate::graph_edit::Draft;
use crate::passes::merge::{absorb, passed};
use ndarray::Array1;
use snn_ir::{
    Code, FirstMembrane, Form, Leak, Lif, Model, Op, QuantRelu, Reset, Role, Share, Site, Spike,
    Threshold,
};
use std::collections::HashMap;

/// The network whose neurons send rates in place of levels: each quantised ReLU of D levels of
/// step s becomes an integrate-and-fire neuron of threshold `θ_c = s_c·D` with soft reset, whose
/// spike is worth θ, and T macro-steps pass in which the image is shown; the logits are the mean
/// over them. Its rate `θ·spikes/T` comes near the ReLU as T grows.
///
/// With the first membrane at rest this is rate coding as Diehl 2015 and Rueckauer 2017 have it,
/// with thresholds for channels; with the half of the threshold, that of QCFS (Bu 2022), at
/// inference. Both stream: a neuron fires while its inputs still arrive, so that spikes come too
/// early or too late and the levels are met only in the limit. Conversion by codes has no such
/// error; this is the baseline that it is measured by. A max pooling takes the largest spike of a
/// macro-step, which is not the largest rate.
///
/// # Errors
/// The model is not in the form `events` or not valid, or a site of levels is no quantised ReLU.
pub fn rate_coded(
    events: &Model,
    time_steps: usize,
    first_membrane: FirstMembrane,
) -> Result<Model> {
    if events.form() != Form::Events {
        return Err(Error::Form { expected: "events", found: events.form().label() });
    }
    let shapes = &events.validate()?.resolved().nodes;
    let mut draft = Draft::of(events);
    let mut factors: HashMap<String, Vec<f64>> = HashMap::new();
    for (index, node) in events.graph().nodes.iter().enumerate() {
        let channels = shapes[index].shape[0];
        let input = || node.inputs.first().and_then(|name| factors.get(name)).cloned();
        let factor = match &node.op {
            Op::Activation { site, .. } => {
                let Site::QuantRelu(QuantRelu { levels, .. }) = site else {
                    return Err(Error::Ir(snn_ir::Error::Attribute {
                        node: node.name.clone(),
                        field: "site",
                        expected: "quant_relu, of which rate coding makes a neuron",
                        found: site.label().into(),
                    }));
                };
                let levels = f64::from(*levels);
                let thresholds = draft.real(&node.name, "step")? * levels;
                let share = if thresholds.len() == 1 { Share::Layer } else { Share::Channel };
                let initial = thresholds.mean().unwrap_or(1.0);
                let neuron = Lif {
                    leak: Leak::Factor { factor: 1.0 },
                    threshold: Threshold::Learned { initial, share },
                    reset: Reset::Soft,
                    spike: Spike::Binary,
                    initial: first_membrane,
                    ..Lif::default()
                };
                draft.graph.nodes[index].op =
                    Op::Activation { site: Site::Lif(neuron), code: Some(Code::Binary) };
                draft.weights.remove(&format!("{}.step", node.name));
                draft.set_real(&node.name, "threshold", thresholds);
                Array1::from_elem(channels, levels).to_vec()
            }
            op => match op.role() {
                Role::Pool => input().unwrap_or_default(),
                Role::Shape | Role::Join | Role::Gate => passed(&factors, node, channels),
                Role::Synapse => {
                    absorb(&mut draft, node, &input().unwrap_or_default())?;
                    Vec::new()
                }
                Role::Source
                | Role::Norm
                | Role::Site
                | Role::Delay
                | Role::Dropout
                | Role::Head => Vec::new(),
            },
        };
        factors.insert(node.name.clone(), factor);
    }
    let mut signature = events.signature().clone();
    signature.graph = draft.graph;
    signature.time_steps = time_steps;
    // The codes that were chosen are of levels, which there are none of any more.
    signature.conversion = None;
    let model = Model::new(signature, draft.weights);
    model.validate()?;
    Ok(model)
}
