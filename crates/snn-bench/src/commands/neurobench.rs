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
use snn_data::Source;
use snn_ir::{Form, Model, Op};
use snn_train::{RunFolder, evaluation_batches, input};
use std::sync::Arc;
use tch::Device;

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
    let measured = measure(&model, &samples, arguments.device)?;
    if json {
        print_json(&measured)?;
    } else {
        print(&measured)?;
    }
    Ok(Outcome::Holds)
}

/// Measures a network on these samples.
fn measure(model: &Model, samples: &Arc<dyn Source>, device: Device) -> Result<Measured> {
    let batches = evaluation_batches(samples, BATCH)?
        .map(|batch| -> Result<Pixels> { Ok(Pixels::new(&input(&batch?.samples), device)?) });
    let layers = synaptic_operations(model, device, batches)?;
    let inference = infer(model, samples, true)?;
    let counts = &inference.counted.as_ref().context("operations were counted")?.counts;
    let activations: u64 = counts.nodes.iter().map(|n| n.tally.micro_steps * n.neurons).sum();
    let of_sample = |value: fn(&LayerOperations) -> f64| {
        layers.iter().map(value).sum::<f64>() / samples.len().max(1) as f64
    };
    let (zeros, weights) = connections(model);
    Ok(Measured {
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
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};
    use serde::Deserialize;
    use snn_data::Images;
    use snn_ir::{Code, Conv, Graph, GridLif, GridReset, Preprocessing, Signature, Site, Tensor};
    use std::collections::BTreeMap;
    use std::path::Path;

    /// `fixtures/golden/neurobench.json`.
    #[derive(Deserialize)]
    struct Golden {
        mean: Vec<u8>,
        time_steps: usize,
        pixels: Integers,
        weights: BTreeMap<String, Integers>,
        levels: u64,
        spikes: u64,
        footprint: usize,
        connection_sparsity: f64,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Integers {
        shape: Vec<usize>,
        values: Vec<i32>,
    }

    #[derive(Deserialize)]
    struct Case {
        code: String,
        effective_macs: f64,
        effective_acs: f64,
        dense: f64,
        activation_sparsity: f64,
    }

    impl Integers {
        fn array<A: TryFrom<i32>>(&self) -> ArrayD<A> {
            let values = self.values.iter().map(|v| A::try_from(*v).ok().unwrap()).collect();
            ArrayD::from_shape_vec(IxDyn(&self.shape), values).unwrap()
        }
    }

    fn model(golden: &Golden, code: Code) -> Model {
        let mut graph = Graph::default();
        graph.push("x", Op::Input { shape: vec![3, 8, 8] }, &[]);
        let first = Conv { bias: true, ..Conv::square(4, 3, 2) };
        graph.push("first", Op::Conv(first), &["x"]);
        let site = Site::GridQuantRelu { levels: 3 };
        graph.push("act", Op::Activation { site, code: Some(code) }, &["first"]);
        let second = Conv { bias: true, ..Conv::square(5, 3, 1) };
        graph.push("second", Op::Conv(second), &["act"]);
        let site = Site::GridLif(GridLif::new(1, 0, 0, GridReset::Soft));
        graph.push("lif", Op::Activation { site, code: Some(Code::Binary) }, &["second"]);
        graph.push("flat", Op::Flatten, &["lif"]);
        graph.push("fc", Op::Linear { features: 3, bias: false }, &["flat"]);
        graph.push("head", Op::TimeMean, &["fc"]);
        let mut weights: snn_ir::Weights = { golden.weights.iter() }
            .map(|(name, integers)| {
                let is_weight = name.ends_with(".weight");
                let tensor = if is_weight {
                    Tensor::I8(integers.array())
                } else {
                    Tensor::I32(integers.array())
                };
                (name.clone(), tensor)
            })
            .collect();
        for (name, count) in [("first", 4), ("second", 5), ("fc", 3)] {
            let ones = ArrayD::from_elem(IxDyn(&[count]), 1);
            weights.insert(format!("{name}.multiplier"), Tensor::I32(ones));
        }
        let preprocessing = Preprocessing::new(golden.mean.clone(), vec![1.0; 3]);
        let form = Form::Grid { logit_unit: 1.0 };
        Model::new(Signature::new(form, graph, golden.time_steps, preprocessing), weights)
    }

    #[test]
    fn metrics_are_those_of_neurobench() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/neurobench.json");
        let text = std::fs::read_to_string(path).unwrap();
        let golden: Golden = serde_json::from_str(&text).unwrap();
        let pixels = golden.pixels.array::<u8>().into_dimensionality().unwrap();
        let images = Images::new(pixels, vec![0, 1, 2, 0], 3).unwrap();
        let samples: Arc<dyn Source> = Arc::new(images);
        for case in &golden.cases {
            let code = match case.code.as_str() {
                "unary" => Code::Unary,
                "bitplane" => Code::BitPlane,
                _ => Code::Graded,
            };
            let model = model(&golden, code);
            let counts = infer(&model, &samples, true).unwrap().counted.unwrap().counts;
            let events = |name| counts.node(name).unwrap().tally.events;
            assert_eq!(events("lif"), golden.spikes);
            if code == Code::Unary {
                assert_eq!(events("act"), golden.levels);
            }
            let Measured { metrics, .. } = measure(&model, &samples, Device::Cpu).unwrap();
            let operations = &metrics.synaptic_operations;
            for (found, expected) in [
                (operations.effective_macs, case.effective_macs),
                (operations.effective_acs, case.effective_acs),
                (operations.dense, case.dense),
                (metrics.activation_sparsity, case.activation_sparsity),
            ] {
                assert!((found - expected).abs() < 1e-9, "{}: {found} {expected}", case.code);
            }
            assert_eq!(metrics.footprint, golden.footprint);
            // NeuroBench rounds this one.
            assert!((metrics.connection_sparsity - golden.connection_sparsity).abs() < 6e-5);
        }
    }
}
