//! `neurobench`: the metrics of NeuroBench of a converted network.

use crate::cli::NeuroBench;
use crate::commands::infer::infer;
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, count};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use snn_core::{LayerOperations, Pixels, synaptic_operations};
use snn_ir::{Form, Model, Op};
use snn_train::{RunFolder, evaluation_batches, input};

/// Samples of a batch.
const BATCH: usize = 32;

/// The metrics under the names that NeuroBench gives them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    /// Bytes of all weights.
    footprint: usize,
    /// Values of all weights.
    parameter_count: usize,
    /// Share of the weights of convolutions and linear layers that are 0.
    connection_sparsity: f64,
    /// Share of the samples that are classified right, 0 to 1.
    classification_accuracy: f64,
    /// Share of what sites emit that is 0: over neurons, planes, macro-steps and samples.
    activation_sparsity: f64,
    /// Operations of a sample.
    synaptic_operations: Operations,
}

#[derive(Serialize)]
struct Operations {
    #[serde(rename = "Effective_MACs")]
    effective_macs: f64,
    #[serde(rename = "Effective_ACs")]
    effective_acs: f64,
    #[serde(rename = "Dense")]
    dense: f64,
}

#[derive(Serialize)]
struct Measured {
    samples: usize,
    #[serde(flatten)]
    metrics: Metrics,
}

pub(crate) fn run(arguments: &NeuroBench, json: bool) -> Result<Outcome> {
    let model = files::converted(&arguments.model)?;
    if !matches!(model.form(), Form::Grid { .. }) {
        bail!(
            "{}: expected a network on the grid, found form {}; convert it with --grid int8",
            arguments.model.display(),
            model.form().label()
        );
    }
    let config = arguments.run.as_ref().map(|run| RunFolder::open(run)?.config()).transpose()?;
    let root = arguments.data.data.as_deref();
    let samples = files::test_samples(&model, config.as_ref(), arguments.dataset, root)?;
    let samples = samples.context("give --dataset or --run")?;
    files::fits(&model, &arguments.model, &samples)?;
    let samples = samples.limited(arguments.limit)?;
    let device = arguments.device;
    let batches = evaluation_batches(&samples, BATCH)?.map(|batch| -> snn_core::Result<Pixels> {
        let batch = batch.map_err(|error| snn_core::Error::Torch(error.to_string()))?;
        Pixels::new(&input(&batch.samples), device)
    });
    let layers = synaptic_operations(&model, device, batches)?;
    let inference = infer(&model, &samples, true)?;
    let counts = &inference.counted.as_ref().context("operations were counted")?.counts;
    let activations: u64 = counts.nodes.iter().map(|n| n.tally.micro_steps * n.neurons).sum();
    let of_sample = |value: fn(&LayerOperations) -> f64| {
        layers.iter().map(value).sum::<f64>() / samples.len().max(1) as f64
    };
    let (zeros, weights) = connections(&model);
    let measured = Measured {
        samples: samples.len(),
        metrics: Metrics {
            footprint: model.weights().values().map(bytes).sum(),
            parameter_count: model.weights().values().map(snn_ir::Tensor::len).sum(),
            connection_sparsity: zeros as f64 / weights.max(1) as f64,
            classification_accuracy: inference.accuracy.unwrap_or(f64::NAN) / 100.0,
            activation_sparsity: 1.0 - counts.total().events as f64 / activations.max(1) as f64,
            synaptic_operations: Operations {
                effective_macs: of_sample(|layer| layer.effective_macs),
                effective_acs: of_sample(|layer| layer.effective_acs),
                dense: of_sample(|layer| layer.dense),
            },
        },
    };
    if json {
        print_json(&measured)?;
    } else {
        print(&measured)?;
    }
    Ok(Outcome::Holds)
}

/// Zeros among the weights of convolutions and linear layers, and all of them.
fn connections(model: &Model) -> (usize, usize) {
    let layers = model
        .graph()
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Conv(_) | Op::Linear { .. }))
        .filter_map(|node| model.weights().get(&format!("{}.weight", node.name)));
    layers.fold((0, 0), |(zeros, all), weight| {
        let values = weight.to_f64();
        (zeros + values.iter().filter(|value| **value == 0.0).count(), all + values.len())
    })
}

/// Bytes of a weight in memory.
fn bytes(tensor: &snn_ir::Tensor) -> usize {
    let each = match tensor {
        snn_ir::Tensor::I8(_) => 1,
        snn_ir::Tensor::F32(_) | snn_ir::Tensor::I32(_) => 4,
        snn_ir::Tensor::F64(_) => 8,
    };
    each * tensor.len()
}

fn print(measured: &Measured) -> Result<()> {
    let Measured { samples, metrics } = measured;
    let operations = &metrics.synaptic_operations;
    let mut table = Table::new(1, ["metric", "value"]);
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    for (name, value) in [
        ("footprint", format!("{} bytes", metrics.footprint)),
        ("parameters", metrics.parameter_count.to_string()),
        ("connection sparsity", percent(metrics.connection_sparsity)),
        ("classification accuracy", percent(metrics.classification_accuracy)),
        ("activation sparsity", percent(metrics.activation_sparsity)),
        ("effective MACs of a sample", count(operations.effective_macs)),
        ("effective ACs of a sample", count(operations.effective_acs)),
        ("dense operations of a sample", count(operations.dense)),
    ] {
        table.row([name.to_string(), value]);
    }
    output::line(format_args!("On {samples} samples:\n\n{table}"))
}
