//! `report`: a run or a table as one page of HTML.

use crate::cli::Report;
use crate::files;
use crate::names::BudgetName;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::report::{self, Chosen, RunReport};
use crate::tables::{self, Definition, Folders};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Written<'a> {
    out: &'a Path,
    bytes: usize,
}

pub(crate) fn run(arguments: &Report, json: bool) -> Result<Outcome> {
    files::refuse_existing(&arguments.out, arguments.force)?;
    let of_run = Path::new(&arguments.of);
    let html = if of_run.is_dir() { of_a_run(of_run, arguments)? } else { of_a_table(arguments)? };
    files::write(&arguments.out, html.as_bytes(), arguments.force)?;
    let written = Written { out: &arguments.out, bytes: html.len() };
    if json {
        print_json(&written)?;
    } else {
        output::line(format_args!("wrote {} ({} bytes)", written.out.display(), written.bytes))?;
    }
    Ok(Outcome::Holds)
}

fn of_a_run(run: &Path, arguments: &Report) -> Result<String> {
    if arguments.budget.is_some() {
        bail!("--budget is for a table, but {} is a folder", run.display());
    }
    let trained = files::trained(run)?;
    let root = arguments.data.data.as_deref();
    let samples = files::test_samples(&trained.model, trained.config.as_ref(), None, root)?;
    let samples = samples
        .with_context(|| format!("{} has no config that names a data set", run.display()))?;
    files::fits(&trained.model, run, &samples)?;
    let models = if arguments.models.is_empty() {
        report::converted_models(run)?
    } else {
        arguments.models.clone()
    };
    let usual: Vec<usize> = (0..arguments.samples.get().min(DRAWN)).collect();
    let chosen = Chosen {
        samples: samples.limited(Some(arguments.samples))?,
        drawn: if arguments.drawn.is_empty() { &usual } else { &arguments.drawn },
        models: &models,
    };
    RunReport::new(run, &trained, chosen, arguments.device, arguments.energy)?.html()
}

/// Samples whose activity is drawn where none are named.
const DRAWN: usize = 3;

fn of_a_table(arguments: &Report) -> Result<String> {
    let folders = Folders::of(&arguments.root);
    let table = Definition::load(&folders.root, &arguments.of).with_context(|| {
        format!("{} is neither a run folder nor the name of a table", arguments.of)
    })?;
    let budget = arguments.budget.unwrap_or(BudgetName::Cpu);
    let entries = tables::entries(&table, budget, &folders)?;
    let made = tables::made(&table, budget, &entries, &folders)?;
    Ok(report::table(&table, budget, &made))
}
