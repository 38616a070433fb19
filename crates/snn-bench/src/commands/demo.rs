//! `demo`: the whole way on an embedded image set, in one table.

use crate::chance;
use crate::cli::Demo;
use crate::commands::infer::{Counted, Inference};
use crate::commands::train::{ResumeHint, train};
use crate::conversion::{Shows, convert_to, measure};
use crate::deployed::{ProgramEngines, Ways};
use crate::energy::{FP32, Figures, INT8};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, count};
use anyhow::{Result, ensure};
use ndarray::Axis;
use serde::Serialize;
use snn_core::{Libtorch, NetworkOptions};
use snn_data::{Dataset, Images, Source};
use snn_ir::{Code, ConversionOptions, Evaluate, GridOptions, Input, Model, Op, Record};
use snn_reparam::proof::{Demands, Report, Tuning};
use snn_train::{Options, RunConfig, RunResult, Start};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// The run of the demo.
const CONFIG: &str = include_str!("../../../../configs/demo.toml");
/// Least accuracy of the demo, in percent.
const LEAST_ACCURACY: f64 = 95.0;
/// And of the neurons.
const LEAST_LIF_SHARE: f64 = 0.5;

#[derive(Serialize)]
struct Demonstration {
    run: RunResult,
    lif_share: f64,
    dense_images_per_second: f64,
    dense_macs: u64,
    conversions: Vec<Row>,
    holds: bool,
    /// Why it does not hold.
    failures: Vec<String>,
    seconds: f64,
}

#[derive(Serialize)]
struct Row {
    code: &'static str,
    micro_steps: u32,
    firing_rate: f64,
    verification: Report,
    inference: Inference,
}

pub(crate) fn run(arguments: &Demo, json: bool) -> Result<Outcome> {
    let temporary = tempfile::tempdir()?;
    let folder = arguments.out.clone().unwrap_or_else(|| temporary.path().join("run"));
    let started = Instant::now();
    let demonstration = demonstrate(&folder, arguments.force, started)?;
    if json {
        print_json(&demonstration)?;
    } else {
        print(&demonstration)?;
        match &arguments.out {
            Some(folder) => {
                output::line(format_args!(
                    "\nThe run and its models are in {}.",
                    folder.display()
                ))?;
            }
            None => output::line(
                "\nThe run was thrown away; --out DIR keeps it. Next: train on real images, see \
                 README.md.",
            )?,
        }
    }
    Ok(if demonstration.holds { Outcome::Holds } else { Outcome::Failed })
}

fn demonstrate(folder: &Path, force: bool, started: Instant) -> Result<Demonstration> {
    let config = RunConfig::from_toml(CONFIG)?;
    let start = if force { Start::Overwrite } else { Start::New };
    let run = train(&config, folder, &Options { start, ..Options::default() }, ResumeHint::Resume)?;
    let trained = files::trained(folder)?.model;
    let images = Dataset::open_named(config.data.dataset, None)?.test;
    let samples: Arc<dyn Source> = Arc::new(images.clone());
    let demands = Demands { naive_samples: 5, frame_samples: 5, ..Demands::default() };
    let engines = ProgramEngines { device: Device::Cpu, ways: Ways::default() };
    let (proof, counted) = (Arc::clone(&samples), Arc::clone(&samples));
    let shows = Shows { proof, counted, of: samples.len() };
    let codes = [Code::Unary, Code::BitPlane, Code::Graded];
    let mut models = Vec::new();
    for code in codes {
        output::tell(format_args!("{}: convert", code.label()));
        let path = folder.join(format!("{}-int8.safetensors", code.label()));
        let options = ConversionOptions { codes: code.into(), grid: Some(GridOptions::default()) };
        models.push(convert_to(&path, &trained, &options, None, &engines)?);
    }
    output::tell(format_args!("all codes: verify, run"));
    let models: Vec<_> = models.iter().map(|model| (model, Tuning::None)).collect();
    let mut conversions = Vec::new();
    for (code, converted) in
        codes.into_iter().zip(measure(&trained, &models, &shows, &engines, &demands)?)
    {
        let converted = converted?;
        conversions.push(Row {
            code: code.label(),
            micro_steps: converted.micro_steps,
            firing_rate: converted.firing_rate()?,
            verification: converted.report,
            inference: converted.inference,
        });
    }
    let lif_share = 1.0 - run.relu_share;
    let failures = failures(&conversions, lif_share);
    Ok(Demonstration {
        dense_images_per_second: dense_speed(&trained, &images)?,
        dense_macs: dense_macs(&trained)?,
        holds: failures.is_empty(),
        failures,
        run,
        lif_share,
        conversions,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The demo's promises that do not hold.
fn failures(conversions: &[Row], lif_share: f64) -> Vec<String> {
    let mut failures = Vec::new();
    for row in conversions {
        failures.extend(
            row.verification.failures.iter().map(|failure| format!("{}: {failure}", row.code)),
        );
        let accuracy = row.verification.accuracy_converted;
        if accuracy < LEAST_ACCURACY {
            failures.push(format!(
                "{}: accuracy {accuracy:.2} % is below {LEAST_ACCURACY} %",
                row.code
            ));
        }
    }
    if lif_share < LEAST_LIF_SHARE {
        failures.push(format!("{:.1} % of the neurons are LIF, less than half", 100.0 * lif_share));
    }
    failures
}

/// Images a second of the trained network on libtorch, fp32, one pass over the images after a
/// warm-up.
fn dense_speed(trained: &Model, images: &Images) -> Result<f64> {
    const BATCH: usize = 64;
    ensure!(images.len() >= BATCH, "the demo's test set is smaller than a batch");
    let mut libtorch = Libtorch::with_options(trained, &NetworkOptions::new(Device::Cpu))?;
    let pixels = images.pixels();
    let batch = |begin: usize| {
        Input::Static(pixels.slice_axis(Axis(0), (begin..begin + BATCH).into()).into_dyn())
    };
    libtorch.evaluate(&batch(0), Record::Logits)?;
    let batches = images.len() / BATCH;
    let started = Instant::now();
    for number in 0..batches {
        libtorch.evaluate(&batch(number * BATCH), Record::Logits)?;
    }
    Ok((batches * BATCH) as f64 / started.elapsed().as_secs_f64())
}

/// Multiply-accumulates of one dense inference: every synapse at every macro-step, the
/// time-invariant prefix once.
fn dense_macs(model: &Model) -> Result<u64> {
    let resolved = model.graph().resolve()?;
    let mut macs = 0;
    for (node, info) in model.graph().nodes.iter().zip(&resolved.nodes) {
        if matches!(node.op, Op::Conv(_) | Op::Linear { .. }) {
            let [_, height, width] = info.chw();
            let weights = model
                .weights()
                .get(&format!("{}.weight", node.name))
                .map_or(0, snn_ir::Tensor::len);
            let steps = if info.varies { model.time_steps() } else { 1 };
            macs += weights * height * width * steps;
        }
    }
    Ok(macs as u64)
}

fn print(demonstration: &Demonstration) -> Result<()> {
    let header = [
        "network",
        "proof",
        "accuracy before",
        "after",
        "T",
        "micro-steps",
        "firing rate",
        "additions",
        "multiplications",
        "energy",
        "images/s",
    ];
    let mut table = Table::new(2, header);
    let run = &demonstration.run;
    let accuracy =
        demonstration.conversions.first().map_or(0.0, |row| row.verification.accuracy_reference);
    let macs = demonstration.dense_macs as f64;
    table.row([
        "dense, libtorch".to_string(),
        "reference".to_string(),
        format!("{accuracy:.2} %"),
        "–".to_string(),
        run.time_steps.to_string(),
        "–".to_string(),
        "–".to_string(),
        "–".to_string(),
        count(macs),
        // In both number formats, so that what events save is not confused with what int8 saves.
        format!(
            "{:.2} µJ ({:.2} if int8)",
            FP32.microjoules(macs, 0.0),
            INT8.microjoules(macs, 0.0)
        ),
        format!("{:.0} (fp32)", demonstration.dense_images_per_second),
    ]);
    for row in &demonstration.conversions {
        let Some(Counted { counts, energy_microjoules, .. }) = &row.inference.counted else {
            continue;
        };
        let total = counts.total();
        let each = |value: u64| count(value as f64 / row.inference.samples as f64);
        table.row([
            format!("events, int8, {}", row.code),
            if row.verification.holds() { "bitwise".into() } else { "FAILED".to_string() },
            format!("{:.2} %", row.verification.accuracy_reference),
            format!("{:.2} %", row.verification.accuracy_converted),
            run.time_steps.to_string(),
            row.micro_steps.to_string(),
            format!("{:.3}", row.firing_rate),
            each(total.additions),
            each(total.multiplications),
            format!("{energy_microjoules:.2} µJ"),
            format!("{:.0}", row.inference.images_per_second),
        ]);
    }
    output::line(&table)?;
    let Figures { mac_pj, addition_pj, .. } = INT8;
    output::line(format_args!(
        "Per image, {} test images of {}. {:.1} % of the neurons are LIF. Firing rate: events a \
         neuron update. Energy by counting multiplications and additions of weights, 45 nm (not \
         the rescaling of accumulators, \
         comparisons or memory): \
         fp32 {} pJ a MAC; int8 {mac_pj} pJ a MAC, {addition_pj} pJ an addition. Speeds are of one \
         pass on this machine, no benchmark.",
        run.test_images,
        run.dataset,
        100.0 * demonstration.lif_share,
        FP32.mac_pj,
    ))?;
    if let Some(sentence) = chance::sentence(run.test_accuracy, run.chance, run.test_images) {
        output::line(format_args!("The trained network: {sentence}"))?;
    }
    for row in &demonstration.conversions {
        if let Some(sentence) = row.inference.at_chance() {
            output::line(format_args!("{}: {sentence}", row.code))?;
        }
    }
    for failure in &demonstration.failures {
        output::line(format_args!("FAILED: {failure}"))?;
    }
    output::line(format_args!("{:.0} s in all", demonstration.seconds))
}
