//! `verify`: the proof, with libtorch, the event runtime, deployments and the naive evaluator.

use crate::cli::Verify;
use crate::deployed::{ProgramEngines, Ways};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::progress::Progress;
use crate::shared_engines::SharedEngines;
use crate::table::Table;
use anyhow::{Context, Result};
use serde::Serialize;
use snn_data::Source;
use snn_ir::Model;
use snn_reparam::proof::{self, Batch, Demands, Noise, Proof, Report, Tuning};
use snn_train::{evaluation_batches, input};
use std::path::Path;
use std::sync::Arc;

#[derive(Serialize)]
struct Verified<'a> {
    run: &'a Path,
    model: &'a Path,
    holds: bool,
    finetuned: bool,
    #[serde(flatten)]
    report: &'a Report,
}

pub(crate) fn run(arguments: &Verify, json: bool) -> Result<Outcome> {
    let trained = files::trained(&arguments.run)?;
    let model = files::converted(&arguments.model)?;
    let root = arguments.data.data.as_deref();
    let (config, dataset) = (trained.config.as_ref(), arguments.dataset);
    let samples = files::test_samples(&trained.model, config, dataset, root)?;
    let samples = samples.with_context(|| {
        format!("{} has no config that names a data set; give --dataset", arguments.run.display())
    })?;
    // Whether the file fits is a question of the proof, which names the cause.
    files::fits(&trained.model, &arguments.run, &samples)?;
    let tuning = if arguments.finetuned { Tuning::Weights } else { Tuning::None };
    let demands = Demands {
        max_drop: arguments.max_drop,
        naive_samples: arguments.naive_samples.get(),
        ..Demands::default()
    };
    let engines = ProgramEngines { device: arguments.device, ways: asked(arguments) };
    let source = samples.limited(arguments.limit)?;
    let batch = match arguments.batch {
        Some(batch) => batch.into(),
        None => batch_of([&model])?,
    };
    let shown = Shown { source, of: samples.source.len(), batch };
    let reports = prove(&trained.model, &[(&model, tuning)], &shown, &engines, &demands)?;
    let report = reports.into_iter().next().context("one file has one report")??;
    if json {
        print_json(&Verified {
            run: &arguments.run,
            model: &arguments.model,
            holds: report.holds(),
            finetuned: arguments.finetuned,
            report: &report,
        })?;
    } else {
        print(&report, arguments.long)?;
    }
    Ok(if report.holds() { Outcome::Holds } else { Outcome::Failed })
}

/// The instruction sets and numbers of threads that were named, or the usual ones.
fn asked(arguments: &Verify) -> Ways {
    let usual = Ways::default();
    let named: Vec<_> = arguments.kernels.iter().map(|kernel| (*kernel).into()).collect();
    let threads: Vec<_> = arguments.threads.iter().map(|threads| threads.get()).collect();
    Ways {
        instruction_sets: if named.is_empty() { usual.instruction_sets } else { named },
        threads: if threads.is_empty() { usual.threads } else { threads },
    }
}

/// The test samples that a proof sees.
pub(crate) struct Shown {
    pub(crate) source: Arc<dyn Source>,
    /// Of so many.
    pub(crate) of: usize,
    /// Samples in a batch.
    pub(crate) batch: usize,
}

/// Samples of a batch: the fewest that one of these models would have by itself.
pub(crate) fn batch_of<'m>(models: impl IntoIterator<Item = &'m Model>) -> Result<usize> {
    let mut smallest = usize::MAX;
    for model in models {
        smallest = smallest.min(proof::batch_size(model)?);
    }
    Ok(smallest)
}

/// Runs the proofs of converted models of one trained network side by side over the samples, with
/// a bar of their progress: one report for each, in their order, or why there is none. What the
/// trained network does, and a conversion off the grid that several have in common, is computed
/// once. Each model stands with what may have changed in its weights.
pub(crate) fn prove(
    trained: &Model,
    models: &[(&Model, Tuning)],
    shown: &Shown,
    engines: &ProgramEngines,
    demands: &Demands,
) -> Result<Vec<Result<Report>>> {
    let demands = Demands { test_samples: Some(shown.of), ..demands.clone() };
    let engines = SharedEngines::new(engines);
    let proofs = models.iter().map(|&(model, tuning)| {
        Proof::new(trained, model, &engines, Demands { tuning, ..demands.clone() })
    });
    let mut proofs: Vec<snn_reparam::Result<Proof>> = proofs.collect();
    if proofs.iter().flatten().any(Proof::is_running) {
        let mut progress = Progress::new("verified", shown.source.len(), "images");
        for batch in evaluation_batches(&shown.source, shown.batch)? {
            let batch = batch?;
            let labels = &batch.targets.labels;
            for proof in &mut proofs {
                let samples = Batch { input: input(&batch.samples), labels };
                if let Ok(running) = proof
                    && let Err(error) = running.add(&samples)
                {
                    *proof = Err(error);
                }
            }
            progress.add(batch.len());
            // Where all have failed there is nothing left to show.
            if !proofs.iter().flatten().any(Proof::is_running) {
                break;
            }
        }
        progress.finish();
        files::tell_damaged(&*shown.source);
    }
    Ok(proofs.into_iter().map(|proof| Ok(proof?.finish())).collect())
}

fn print(report: &Report, long: bool) -> Result<()> {
    if report.samples > 0 {
        print_comparisons(report, long)?;
        print_effect(report)?;
    }
    if long && !report.rounding.is_empty() {
        print_layers(report)?;
    }
    for note in &report.notes {
        output::line(format_args!("note: {note}"))?;
    }
    for failure in &report.failures {
        output::line(format_args!("FAILED: {failure}"))?;
    }
    output::line(report.verdict_line())
}

/// The comparisons in a table; those that found the same share a row unless all are asked for.
fn print_comparisons(report: &Report, long: bool) -> Result<()> {
    let mut table = Table::new(
        3,
        [
            "demand",
            "reference",
            "candidate",
            "images",
            "decisions",
            "flips",
            "ties",
            "classes changed",
            "max |Δlogit|/max |logit|",
        ],
    );
    let mut rows: Vec<([String; 9], usize)> = Vec::new();
    for c in &report.comparisons {
        let row = [
            c.strictness.to_string(),
            c.reference.clone(),
            c.candidate.clone(),
            c.samples.to_string(),
            c.decisions.to_string(),
            c.flips.to_string(),
            c.ties.to_string(),
            c.class_changes.to_string(),
            c.logit_difference.map_or("–".to_string(), |difference| format!("{difference:.1e}")),
        ];
        let alike = |known: &[String; 9]| known[..2] == row[..2] && known[3..] == row[3..];
        match rows.iter_mut().find(|(known, _)| !long && alike(known)) {
            Some((_, more)) => *more += 1,
            None => rows.push((row, 0)),
        }
    }
    for (mut row, more) in rows {
        if more > 0 {
            row[2].extend([format!(" and {more} more")]);
        }
        table.row(row);
    }
    output::print(&table)
}

/// Prints the file's effect on accuracy and classes, and the rounding of its weights.
fn print_effect(report: &Report) -> Result<()> {
    output::line(format_args!(
        "\n{} of {} sites active on {} images",
        report.active_sites, report.sites, report.samples
    ))?;
    output::line(format_args!(
        "accuracy {:.2} % trained, {:.2} % converted ({:+.2} points; allowed -{})",
        report.accuracy_reference,
        report.accuracy_converted,
        report.accuracy_converted - report.accuracy_reference,
        report.max_drop
    ))?;
    output::line(format_args!(
        "{:.1} % of {} images keep the class of the trained network",
        report.kept_classes(),
        report.samples
    ))?;
    if let Some(Noise { samples, class_changes }) = report.noise {
        let kept = 100.0 * (samples - class_changes) as f64 / samples as f64;
        output::line(format_args!(
            "for comparison: with every pixel changed by 1 of 255, {kept:.1} % of {samples} images \
             keep their class in the trained network"
        ))?;
    }
    if let Some(line) = report.rounding_line() {
        output::line(line)?;
    }
    Ok(())
}

/// Prints rounding errors layer by layer.
fn print_layers(report: &Report) -> Result<()> {
    let header = ["layer", "weights", "largest error in steps", "RMS error of RMS weight"];
    let mut table = Table::new(1, header);
    for layer in &report.rounding {
        table.row([
            layer.node.clone(),
            layer.weights.to_string(),
            format!("{:.3}", layer.largest_error),
            format!("{:.2} %", 100.0 * layer.relative_error),
        ]);
    }
    output::line("")?;
    output::print(&table)
}
