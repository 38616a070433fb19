//! `verify`: the proof, with libtorch, the event runtime and the naive evaluator.

use crate::cli::Verify;
use crate::commands::convert;
use crate::deployed::{Ways, ways};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::progress::Progress;
use crate::table::Table;
use anyhow::{Result, bail, ensure};
use ndarray::Axis;
use serde::Serialize;
use snn_core::Libtorch;
use snn_data::{Dataset, Images};
use snn_ir::{Form, Model, Op, Site, naive::Naive, site::Spike};
use snn_reparam::proof::{Batch, Demands, Deployed, Grid, Interpreters, Proof};
use snn_reparam::verify::{Level, Report, Tuning, same_conversion};
use snn_reparam::{CodeChoice, GridOptions};
use snn_runtime::{Precision, Runtime};
use std::path::Path;
use tch::Device;

#[derive(Serialize)]
struct Verified<'a> {
    run: &'a Path,
    model: &'a Path,
    holds: bool,
    finetuned: bool,
    #[serde(flatten)]
    report: &'a Report,
}

/// How a proof is run.
pub(crate) struct Settings {
    pub(crate) max_drop: f64,
    pub(crate) naive_samples: usize,
    pub(crate) tuning: Tuning,
    pub(crate) batch: usize,
    pub(crate) device: Device,
    /// What deployments are tried with.
    pub(crate) ways: Ways,
}

pub(crate) fn run(arguments: &Verify, json: bool) -> Result<Outcome> {
    let trained = files::trained(&arguments.run)?;
    let model = Model::load(&arguments.model)?;
    let dataset = match (arguments.dataset, &trained.config) {
        (Some(name), _) => name,
        (None, Some(config)) => config.data.dataset,
        (None, None) => {
            bail!("{} is a file and names no data set; give --dataset", arguments.run.display())
        }
    };
    let data = Dataset::open_named(dataset, arguments.data.data.as_deref())?;
    files::fits(&trained.model, &arguments.run, &data)?;
    files::fits(&model, &arguments.model, &data)?;
    let mut images = data.test;
    if let Some(limit) = arguments.limit {
        images = images.select(&(0..limit.get().min(images.len())).collect::<Vec<_>>())?;
    }
    let settings = Settings {
        max_drop: arguments.max_drop,
        naive_samples: arguments.naive_samples.get(),
        tuning: if arguments.finetuned { Tuning::Weights } else { Tuning::None },
        batch: arguments.batch.into(),
        device: arguments.device,
        ways: asked(arguments),
    };
    let report = prove(&trained.model, &model, &images, &settings)?;
    if json {
        print_json(&Verified {
            run: &arguments.run,
            model: &arguments.model,
            holds: report.holds(),
            finetuned: arguments.finetuned,
            report: &report,
        })?;
    } else {
        print(&report)?;
        if arguments.finetuned {
            output::line(
                "The weights of the file may differ from those of the run (--finetuned): what \
                 holds is that the file is the same in all\n\
                 interpreters, and that the run's own conversion loses nothing off the grid.",
            )?;
        }
    }
    Ok(if report.holds() { Outcome::Holds } else { Outcome::Failed })
}

/// The instruction sets and numbers of threads that were named, or the usual ones.
fn asked(arguments: &Verify) -> Ways {
    let usual = Ways::default();
    let named: Vec<_> = arguments.kernels.iter().map(|kernel| (*kernel).into()).collect();
    let threads: Vec<_> = arguments.threads.iter().map(|threads| threads.get()).collect();
    Ways {
        levels: if named.is_empty() { usual.levels } else { named },
        threads: if threads.is_empty() { usual.threads } else { threads },
    }
}

/// Runs the proof of one converted model over images.
pub(crate) fn prove(
    trained: &Model,
    file: &Model,
    images: &Images,
    settings: &Settings,
) -> Result<Report> {
    let codes = codes(trained, file)?;
    let events = snn_reparam::convert(trained, &codes)?;
    let on_grid = matches!(file.form(), Form::Grid { .. });
    let expected = if on_grid {
        convert::convert(trained, &codes, Some(grid_options(file)))?
    } else {
        events.clone()
    };
    let mut failures = same_conversion(&expected.model, file, settings.tuning);
    // Off the grid the file itself is compared with the trained network, so that a wrong one shows
    // in its spikes as well.
    let off_grid = if on_grid { &events.model } else { file };

    let mut libtorch = Libtorch::new(trained, settings.device)?;
    let mut runtime = Runtime::new(off_grid, Precision::F64)?;
    let mut naive = Naive::new(file)?;
    let mut grid = None;
    let mut deployed = Vec::new();
    if on_grid {
        if let Err(error) = snn_core::self_test(file, settings.device) {
            failures.push(format!("libtorch is not exact here: {error}"));
        }
        grid = Some((Libtorch::new(file, settings.device)?, Runtime::new(file, Precision::Grid)?));
        deployed = ways(file, &settings.ways)?;
    }
    let deployments = deployed.iter_mut().map(|way| Deployed {
        name: way.name.clone(),
        record: way.record,
        evaluate: way,
    });
    let mut interpreters = Interpreters {
        trained: &mut libtorch,
        events: &mut runtime,
        naive: &mut naive,
        grid: grid.as_mut().map(|(dense, events)| Grid {
            dense,
            events,
            deployments: deployments.collect(),
        }),
    };
    let demands =
        Demands { max_drop: settings.max_drop, naive_samples: settings.naive_samples, failures };
    let mut proof = Proof::new(&interpreters, demands);
    let mut progress = Progress::new("verified", images.len(), "images");
    let pixels = images.pixels();
    for begin in (0..images.len()).step_by(settings.batch) {
        let end = (begin + settings.batch).min(images.len());
        let labels: Vec<i64> =
            images.labels()[begin..end].iter().map(|label| i64::from(*label)).collect();
        let batch = Batch {
            pixels: pixels.slice_axis(Axis(0), (begin..end).into()).into_dyn(),
            labels: &labels,
        };
        proof.add(&mut interpreters, &batch)?;
        progress.add(end - begin);
    }
    progress.finish();
    Ok(proof.finish())
}

/// The codes that a converted model has, for the sites of the run that can have more than one: a
/// file that is not its conversion differs in the graph then, which is a failed proof and no error.
fn codes(trained: &Model, file: &Model) -> Result<CodeChoice> {
    ensure!(
        file.form() != Form::Trained,
        "the second model is in the trained form; convert it first"
    );
    let has_choice = |name: &str| match trained.graph().node(name).map(|node| &node.op) {
        Some(Op::Activation { site, .. }) => {
            matches!(site.spike(), None | Some(Spike::Integer { .. }))
        }
        _ => false,
    };
    let sites = file.graph().nodes.iter().filter_map(|node| match &node.op {
        Op::Activation { code: Some(code), .. } if has_choice(&node.name) => {
            Some((node.name.clone(), *code))
        }
        _ => None,
    });
    Ok(CodeChoice { default: snn_ir::Code::Graded, sites: sites.collect() })
}

/// The options that a model on the grid was made with, as far as they show in it.
fn grid_options(file: &Model) -> GridOptions {
    let guard_bits = file.graph().nodes.iter().find_map(|node| match &node.op {
        Op::Activation { site: Site::GridLif(lif), .. } => Some(lif.guard_bits),
        _ => None,
    });
    let default = GridOptions::default();
    GridOptions { guard_bits: guard_bits.unwrap_or(default.guard_bits), ..default }
}

fn print(report: &Report) -> Result<()> {
    let mut table = Table::new(
        3,
        [
            "level",
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
    for c in &report.comparisons {
        table.row([
            level(c.level).to_string(),
            c.reference.clone(),
            c.candidate.clone(),
            c.samples.to_string(),
            c.decisions.to_string(),
            c.flips.to_string(),
            c.ties.to_string(),
            c.class_changes.to_string(),
            c.logit_difference.map_or("–".to_string(), |difference| format!("{difference:.1e}")),
        ]);
    }
    output::print(&table)?;
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
    for failure in &report.failures {
        output::line(format_args!("FAILED: {failure}"))?;
    }
    if report.holds() {
        output::line(format_args!("holds: {}", level(report.level)))?;
    }
    Ok(())
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Bitwise => "bitwise",
        Level::ZeroFlips => "zero flips",
        Level::Agreement => "agreement",
    }
}
