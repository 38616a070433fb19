//! Time that each node of a deployment takes, beside what measured times of layers predict.

use crate::deployed::sample;
use crate::output;
use crate::table::Table;
use crate::tuning;
use anyhow::{Result, ensure};
use serde::Serialize;
use snn_data::Source;
use snn_ir::{Form, Input, Model, Op};
use snn_runtime::deploy::{Deployment, NodeStatistics, Options};
use snn_train::{evaluation_batches, input};
use std::sync::Arc;

/// Mean time of a node for one sample.
#[derive(Debug, Serialize)]
pub(crate) struct NodeTime {
    pub(crate) node: String,
    /// Inputs whose weights are added, in percent; `None` for a node that adds none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active: Option<f64>,
    /// In microseconds.
    pub(crate) measured: f64,
    /// In microseconds, in the form that its share of active inputs calls for; `None` where not all
    /// layers of the node were measured.
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
        if number == 0 {
            run(&images, 0)?;
        }
        (0..images.batch()).try_for_each(|index| run(&images, index))?;
    }
    let tuning = options.tuning.clone().unwrap_or_default();
    let layers = tuning.of_model(model, deployment.instruction_set())?;
    let nodes = session.statistics().iter().filter(|node| node.runs > 0);
    Ok(nodes
        .map(|node| {
            let NodeStatistics { nanoseconds, added, inputs, .. } = node;
            let share = (*inputs > 0).then(|| 1000.0 * *added as f64 / *inputs as f64);
            let runs = samples.len() as f64 + 1.0;
            let own = layers_of(model, &node.node);
            let times = own.iter().map(|own| {
                let mut times = layers.iter().filter(|layer| layer.node == *own);
                times.by_ref().max_by_key(|layer| layer.time_steps)
            });
            let times: Option<Vec<_>> = times.collect();
            let predicted = times.filter(|times| !times.is_empty()).zip(share);
            let predicted = predicted.map(|(layers, share)| {
                let each = layers.iter().map(|layer| {
                    let [events, dense] = layer.times.at(share);
                    if share < layer.times.break_even() as f64 { events } else { dense }
                });
                each.sum::<f64>() / 1e3
            });
            NodeTime {
                node: node.node.clone(),
                active: share.map(|share| share / 10.0),
                measured: *nanoseconds as f64 / runs / 1e3,
                predicted,
            }
        })
        .collect())
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
    for NodeTime { node, active, measured, predicted } in times {
        table.row([node.clone(), number(*active), number(Some(*measured)), number(*predicted)]);
    }
    let total: f64 = times.iter().map(|time| time.measured).sum();
    table.row(["all".into(), String::new(), number(Some(total)), String::new()]);
    output::line(format_args!(
        "\nTime of one sample on one thread. Additions: inputs whose weights are added through \
         events, of all inputs. Predicted: from what `snn tune` measured, at this share.\n\n{table}"
    ))
}
