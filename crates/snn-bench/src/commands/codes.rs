//! `codes`: accuracy by number of steps, of the codes of this project and of rate coding.

use super::quantise::{values, with_relus};
use crate::cli::Codes;
use crate::commands::convert::{convert_calibrated, training_samples};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::progress::Progress;
use crate::reference::wrapped;
use crate::table::{Table, count};
use crate::tables::machine::Machine;
use anyhow::{Context, Result};
use serde::Serialize;
use snn_core::{Libtorch, NetworkOptions};
use snn_data::{Source, Subset};
use snn_ir::{
    Code, CodeChoice, ConversionOptions, Evaluate, FirstMembrane, GridOptions, Model, Record,
};
use snn_reparam::{Levels, QuantiseOptions, SiteValues, quantise, rate_coded};
use snn_runtime::{Counting, Deployment};
use snn_train::{Accuracy, evaluation_batches, input};
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// One network of the comparison.
#[derive(Debug, Serialize)]
struct Row {
    method: &'static str,
    /// Levels of its quantised ReLUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<u8>,
    /// Steps in which binary spikes are sent: micro-steps, or macro-steps of a rate.
    steps: usize,
    /// In percent, in f32.
    accuracy: f64,
    /// In percent, with weights of 8 bits and integers everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_int8: Option<f64>,
    /// Of one image.
    additions: f64,
}

#[derive(Debug, Serialize)]
struct Comparison<'a> {
    model: &'a Path,
    dataset: String,
    /// Test samples.
    samples: usize,
    /// Training samples that steps and thresholds were chosen by.
    calibration: u32,
    /// Accuracy of the trained network in percent.
    trained: f64,
    rows: Vec<Row>,
    machine: Machine,
}

/// Images of a batch.
const BATCH: usize = 64;
/// The most levels of a site.
const MOST_LEVELS: usize = u8::MAX as usize;

/// The samples that networks are tried on.
struct Trial {
    test: Arc<dyn Source>,
    counted: Arc<dyn Source>,
}

impl Trial {
    fn accuracy(&self, what: &str, evaluator: &mut dyn Evaluate) -> Result<f64> {
        let mut accuracy = Accuracy::default();
        let mut progress = Progress::new(what, self.test.len(), "images");
        for batch in evaluation_batches(&self.test, BATCH)? {
            let batch = batch?;
            let logits = evaluator.evaluate(&input(&batch.samples), Record::Logits)?.logits;
            accuracy.add(&logits.argmax(), &batch.targets.labels);
            progress.add(batch.len());
        }
        progress.finish();
        Ok(100.0 * accuracy.share())
    }

    fn deployed(&self, what: &str, model: &Model) -> Result<f64> {
        self.accuracy(what, &mut Deployment::new(model, &crate::tuning::options()?)?)
    }

    /// Additions of one image.
    fn additions(&self, model: &Model) -> Result<f64> {
        let mut counting = Counting::new(model)?;
        for batch in evaluation_batches(&self.counted, BATCH)? {
            counting.evaluate(&input(&batch?.samples), Record::Logits)?;
        }
        let counts = counting.counts();
        Ok(counts.total().additions as f64 / counts.samples.max(1) as f64)
    }
}

pub(crate) fn run(arguments: &Codes, json: bool) -> Result<Outcome> {
    let folder = arguments.out.as_deref();
    for name in ["codes.md", "codes.json"] {
        folder
            .map(|folder| files::refuse_existing(&folder.join(name), arguments.force))
            .transpose()?;
    }
    let trained = with_relus(&arguments.run)?;
    let (root, dataset) = (arguments.data.data.as_deref(), arguments.dataset);
    let calibration = training_samples(&trained, dataset, arguments.samples, root)?;
    let test = files::test_samples(&trained.model, trained.config.as_ref(), dataset, root)?
        .context("give --dataset")?;
    files::fits(&trained.model, &arguments.run, &test)?;
    let test = test.limited(arguments.limit)?;
    let first = (0..arguments.counted.get().min(test.len())).collect();
    let counted: Arc<dyn Source> = Arc::new(Subset::new(Arc::clone(&test), first)?);
    let trial = Trial { test, counted };
    let options = NetworkOptions::new(arguments.device);
    let accuracy =
        trial.accuracy("trained", &mut Libtorch::with_options(&trained.model, &options)?)?;
    let values = values(&trained.model, &calibration, arguments.device)?;
    let mut rows = Vec::new();
    for &levels in &arguments.levels {
        rows.extend(coded(&trained.model, levels, &values, &calibration, &trial, arguments)?);
    }
    for &steps in &arguments.steps {
        rows.extend(rated(&trained.model, steps, &values, &trial)?);
    }
    let name = dataset.or(trained.config.as_ref().map(|config| config.data.dataset));
    let comparison = Comparison {
        model: &arguments.run,
        dataset: name.map(|name| name.to_string()).unwrap_or_default(),
        samples: trial.test.len(),
        calibration: arguments.samples,
        trained: accuracy,
        rows,
        machine: Machine::here(Path::new("."), arguments.device),
    };
    if let Some(folder) = folder {
        let as_json = serde_json::to_string_pretty(&comparison)? + "\n";
        files::write(&folder.join("codes.json"), as_json.as_bytes(), arguments.force)?;
        let markdown = markdown(&comparison);
        files::write(&folder.join("codes.md"), markdown.as_bytes(), arguments.force)?;
    }
    if json {
        print_json(&comparison)?;
    } else {
        print(&comparison)?;
    }
    Ok(Outcome::Holds)
}

/// The network with so many levels, in each code.
fn coded(
    trained: &Model,
    levels: u8,
    values: &SiteValues,
    calibration: &Arc<dyn Source>,
    trial: &Trial,
    arguments: &Codes,
) -> Result<Vec<Row>> {
    let quantised = quantise(trained, values, &QuantiseOptions::new(Levels::Of(levels)))?.model;
    let mut rows: Vec<Row> = Vec::new();
    for (method, code) in [("unary", Code::Unary), ("bit-plane", Code::BitPlane)] {
        let events = snn_reparam::convert(&quantised, &code.into())?.model;
        let steps = events.graph().micro_steps() as usize * events.time_steps();
        let additions = trial.additions(&events)?;
        // Codes send the same levels, so that the first says what the others compute.
        let (accuracy, accuracy_int8) = if let Some(first) = rows.first() {
            (first.accuracy, first.accuracy_int8)
        } else {
            let grid = GridOptions { calibration: arguments.samples, ..GridOptions::default() };
            let options = ConversionOptions { codes: CodeChoice::from(code), grid: Some(grid) };
            let device = arguments.device;
            let on_grid = convert_calibrated(&quantised, &options, Some(calibration), device)?;
            let int8 = trial.deployed(&format!("int8, {levels} levels"), &on_grid.model)?;
            (trial.deployed(&format!("{levels} levels"), &events)?, Some(int8))
        };
        rows.push(Row { method, levels: Some(levels), steps, accuracy, accuracy_int8, additions });
    }
    Ok(rows)
}

/// The network as integrate-and-fire neurons over so many macro-steps. Their thresholds have the
/// least squared error for as many levels as there are steps, which is the most that a rate can
/// tell apart.
fn rated(
    trained: &Model,
    steps: NonZeroUsize,
    values: &SiteValues,
    trial: &Trial,
) -> Result<Vec<Row>> {
    let levels = u8::try_from(steps.get().min(MOST_LEVELS))?;
    let quantised = quantise(trained, values, &QuantiseOptions::new(Levels::Of(levels)))?.model;
    let events = snn_reparam::convert(&quantised, &Code::Unary.into())?.model;
    let kinds = [
        ("rate, from rest", FirstMembrane::Rest),
        ("rate, from θ/2 (QCFS)", FirstMembrane::Threshold { share: 0.5 }),
    ];
    kinds
        .into_iter()
        .map(|(method, first)| {
            let model = rate_coded(&events, steps.get(), first)?;
            let accuracy = trial.deployed(&format!("{method}, T = {steps}"), &model)?;
            let additions = trial.additions(&model)?;
            Ok(Row {
                method,
                levels: None,
                steps: steps.get(),
                accuracy,
                accuracy_int8: None,
                additions,
            })
        })
        .collect()
}

const HEADER: [&str; 6] =
    ["method", "levels", "steps", "accuracy", "with int8 weights", "additions"];

fn cells(row: &Row) -> [String; 6] {
    let percent = |value: f64| format!("{value:.2} %");
    [
        row.method.to_string(),
        row.levels.map_or(String::new(), |levels| levels.to_string()),
        row.steps.to_string(),
        percent(row.accuracy),
        row.accuracy_int8.map_or(String::new(), percent),
        count(row.additions),
    ]
}

fn print(comparison: &Comparison<'_>) -> Result<()> {
    let mut table = Table::new(1, HEADER);
    for row in &comparison.rows {
        table.row(cells(row));
    }
    output::print(&table)?;
    output::line(format_args!(
        "\nThe trained network has {:.2} % of {} test samples.",
        comparison.trained, comparison.samples
    ))
}

fn markdown(comparison: &Comparison<'_>) -> String {
    let Comparison { dataset, samples, calibration, trained, machine, .. } = comparison;
    let name = comparison.model.file_stem().unwrap_or_default().to_string_lossy();
    let about = format!(
        "A trained ReLU network as events without training, by the number of steps in which binary \
         spikes are sent: `snn codes` on `{name}`, {dataset}, {samples} test samples; the trained \
         network has {trained:.2} % of them. Steps, thresholds and corrected biases follow from \
         {calibration} training samples. Unary and bit-plane codes send the levels of quantised \
         ReLUs; a rate is sent by integrate-and-fire neurons with soft reset, whose thresholds \
         have the least squared error for as many levels as there are steps, from a first \
         membrane at rest or at half of the threshold, as QCFS (Bu 2022) has it. Accuracies are \
         those of the deployment in f32 and, beside it, in integers with weights of 8 bits, \
         rounded by the same training samples; additions, of one image, are counted off the grid."
    );
    let mut text = format!("# Codes and rates: {name}\n\n{}\n\n", wrapped(&about));
    let _ = writeln!(text, "| {} |\n|---|--:|--:|--:|--:|--:|", HEADER.join(" | "));
    for row in &comparison.rows {
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    let commit = machine.commit.as_deref().unwrap_or("unknown");
    let _ = writeln!(
        text,
        "\n{}",
        wrapped(&format!(
            "{} ({}), {} cores, commit {commit}, {}.",
            machine.processor, machine.instruction_set, machine.cores, machine.day
        ))
    );
    text
}
