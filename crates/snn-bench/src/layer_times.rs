//! Time that each node of a deployment takes, beside what measured times of layers predict.

use crate::deployed::sample;
use crate::output;
use crate::table::Table;
use crate::tuning;
use anyhow::{Result, ensure};
use serde::Serialize;
use snn_data::Source;
use snn_ir::{Encoder, Form, Input, Model, Op};
use snn_runtime::deploy::{Deployment, ModelLayer, NodeStatistics, Options};
use snn_train::{evaluation_batches, input};
use std::sync::Arc;

/// Mean time of a node for one sample.
#[derive(Debug, Serialize)]
pub(crate) struct NodeTime {
    pub(crate) node: String,
    /// Inputs whose weights are added through events, in percent; `None` for a node that adds none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) additions: Option<f64>,
    /// In microseconds.
    pub(crate) measured: f64,
    /// In microseconds, in the form that its additions call for, with LIF neurons; `None` where the
    /// node sums up several layers, or its layer was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) predicted: Option<f64>,
}

/// Images in a batch that is read.
const BATCH: usize = 16;

/// Runs samples one after another on one thread, the first one twice: it warms up.
pub(crate) fn measure(model: &Model, samples: &Arc<dyn Source>) -> Result<Vec<NodeTime>> {
    ensure!(
        model.form() != Form::Trained,
        "--times measures a deployment; this model is trained, convert it first with `snn convert`"
    );
    let options = Options { statistics: true, ..tuning::options()? };
    let deployment = Deployment::new(model, &options)?;
    let mut session = deployment.session();
    let mut frames = false;
    let mut run = |images: &Input<'_>, index| -> Result<()> {
        let pixels = sample(images, index);
        match images {
            Input::Static(_) => session.run(&pixels)?,
            Input::Frames(_) => session.run_frames(&pixels)?,
        };
        Ok(())
    };
    for (number, batch) in evaluation_batches(samples, BATCH)?.enumerate() {
        let batch = batch?;
        let images = input(&batch.samples);
        frames = matches!(images, Input::Frames(_));
        if number == 0 {
            run(&images, 0)?;
        }
        (0..images.batch()).try_for_each(|index| run(&images, index))?;
    }
    let tuning = options.tuning.clone().unwrap_or_default();
    let predictions = Predictions {
        model,
        layers: tuning.of_model(model, deployment.instruction_set())?,
        frames: frames || !matches!(model.encoder(), Encoder::Direct),
    };
    let samples = samples.len() as f64 + 1.0;
    let nodes = session.statistics().iter().filter(|node| node.runs > 0);
    nodes
        .map(|node| {
            let NodeStatistics { nanoseconds, added, inputs, runs, .. } = node;
            let added = (*inputs > 0).then(|| 1000.0 * *added as f64 / *inputs as f64);
            let once = added.map(|added| predictions.of(&node.node, added)).transpose()?.flatten();
            Ok(NodeTime {
                node: node.node.clone(),
                additions: added.map(|added| added / 10.0),
                measured: *nanoseconds as f64 / samples / 1e3,
                predicted: once.map(|once| once * *runs as f64 / samples / 1e3),
            })
        })
        .collect()
}

/// What was measured of the layers of a model.
struct Predictions<'m> {
    model: &'m Model,
    layers: Vec<ModelLayer>,
    /// `true` if a sample has a frame for each macro-step.
    frames: bool,
}

impl Predictions<'_> {
    /// Nanoseconds of one run of a node that sums up one layer alone.
    fn of(&self, node: &str, added: f64) -> Result<Option<f64>> {
        let own = layers_of(self.model, node);
        let [own] = own.as_slice() else { return Ok(None) };
        let nodes = &self.model.graph().nodes;
        let delayed = nodes.iter().any(|node| matches!(node.op, Op::Delay { .. }));
        let checked = self.model.validate()?;
        let index = nodes.iter().position(|node| node.name == *own);
        let varies = index.is_some_and(|index| checked.nodes()[index].varies);
        // Delays run one macro-step after another; what does not vary runs once.
        let steps = if !delayed && (varies || self.frames) { self.model.time_steps() } else { 1 };
        let layer = self.layers.iter().find(|l| l.node == *own && l.time_steps == steps);
        Ok(layer.map(|layer| {
            let [events, dense] = layer.times.at(added);
            if added < layer.times.break_even() as f64 { events } else { dense }
        }))
    }
}

/// Convolutions and linear layers that a node sums up itself.
fn layers_of(model: &Model, node: &str) -> Vec<String> {
    let Some(node) = model.graph().node(node) else { return Vec::new() };
    match &node.op {
        Op::Conv(_) | Op::Linear { .. } => vec![node.name.clone()],
        Op::Activation { .. } | Op::Add => {
            node.inputs.iter().flat_map(|input| layers_of(model, input)).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn print(times: &[NodeTime]) -> Result<()> {
    let mut table = Table::new(1, ["node", "additions, %", "measured, µs", "predicted, µs"]);
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
    for NodeTime { node, additions, measured, predicted } in times {
        table.row([node.clone(), number(*additions), number(Some(*measured)), number(*predicted)]);
    }
    let total: f64 = times.iter().map(|time| time.measured).sum();
    table.row(["all".into(), String::new(), number(Some(total)), String::new()]);
    output::line(format_args!(
        "\nTime of one sample on one thread. Additions: inputs whose weights are added through \
         events, of all inputs. Predicted: of one layer with LIF neurons, from what `snn tune` \
         measured.\n\n{table}"
    ))
}
