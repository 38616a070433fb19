//! Without arguments: what the tool does, and the tables of results as far as they are made.

use crate::commands::table::{entries, summaries};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::reference;
use crate::table::Table;
use crate::tables::{self, BudgetName, Definition, Places, Record, Summary};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;

const INTRODUCTION: &str = "\
snn trains spiking networks in which some neurons are ReLUs, converts them into networks whose whole
inference is event-driven, proves it, and runs them on events. Conversion loses nothing in real
arithmetic; rounding to integers is a second step, whose effect `snn verify` prints.
";

const NOTE: &str = "\
`snn help COMMAND` says more. Published figures are marked as published; the paper's own networks,
T and recipes are not public, so none of its rows has been reproduced yet.
";

#[derive(Serialize)]
struct Overview<'a> {
    tables: Vec<tables::Written<'a>>,
}

/// A table at one budget with what is there of it.
struct Made {
    budget: BudgetName,
    rows: Vec<Summary>,
    records: Vec<Record>,
}

/// Prints the introduction and the tables of the checkout in the current folder.
pub(crate) fn show(json: bool) -> Result<Outcome> {
    let places = Places::of(Path::new("."));
    let is_checkout = places.root.join(tables::FOLDER).is_dir();
    let definitions = if is_checkout { tables::all(&places.root)? } else { Vec::new() };
    let mut all = Vec::new();
    for definition in &definitions {
        let mut made = Vec::new();
        for &budget in definition.budgets.keys() {
            let entries = entries(definition, budget, &places)?;
            let (rows, records) = summaries(definition, budget, &entries, &places)?;
            made.push(Made { budget, rows, records });
        }
        all.push((definition, made));
    }
    if json {
        let written = all.iter().flat_map(|(definition, made)| {
            made.iter().map(|m| tables::of(definition, m.budget, &m.rows, &m.records))
        });
        print_json(&Overview { tables: written.collect() })?;
        return Ok(Outcome::Holds);
    }
    output::line(format_args!("{INTRODUCTION}\n{}\n{NOTE}", reference::overview()))?;
    if !is_checkout {
        output::line(
            "The tables of results are in the repository: run `snn` in its root to see them.",
        )?;
    }
    for (definition, made) in &all {
        print(definition, made)?;
    }
    Ok(Outcome::Holds)
}

/// Prints each row of a table at the largest budget that it was made at.
fn print(definition: &Definition, made: &[Made]) -> Result<()> {
    let mut shown = Table::new(
        2,
        ["row", "budget", "seeds", "T", "LIF", "test accuracy", "int8", "same class", "proof"],
    );
    let (mut is_empty, mut missing) = (true, Vec::new());
    for row in &definition.rows {
        let best = made
            .iter()
            .rev()
            .find_map(|m| Some((m.budget, m.rows.iter().find(|r| r.row == row.name)?)));
        let Some((budget, summary)) = best else {
            missing.extend(first_budget(definition, &row.name).map(|b| (b, row)));
            continue;
        };
        is_empty = false;
        if !summary.missing.is_empty() {
            missing.push((budget, row));
        }
        let code = summary.codes.first();
        let dash = || "–".to_string();
        shown.row([
            row.name.clone(),
            budget.to_string(),
            summary.seeds.len().to_string(),
            summary.time_steps.to_string(),
            format!("{:.1} %", 100.0 * summary.lif_share),
            tables::spread(&summary.accuracy, 2) + " %",
            code.map_or_else(dash, |code| tables::spread(&code.accuracy, 2) + " %"),
            code.map_or_else(dash, |code| tables::spread(&code.agreement, 2) + " %"),
            summary.proof(),
        ]);
    }
    output::line(format_args!("{} (`snn table {}`)\n", definition.title, definition.name))?;
    if !is_empty {
        output::line(&shown)?;
    }
    for (budget, row) in missing {
        let held = row.published.map_or(String::new(), |p| format!(" (published: {p:.2} %)"));
        let command = tables::command(&definition.name, budget, &row.name);
        output::line(format_args!("missing: {command}{held}"))?;
    }
    for other in &definition.published {
        let steps = other.time_steps.map_or(String::new(), |steps| format!(", T = {steps}"));
        output::line(format_args!(
            "{:.2} %: {}{steps} ({})",
            other.accuracy,
            other.method,
            tables::epoch(other)
        ))?;
    }
    output::line("")
}

/// The budget that a missing row is best made at: hours on a CPU, where the row has it.
fn first_budget(definition: &Definition, row: &str) -> Option<BudgetName> {
    let has = |budget: BudgetName| {
        let is_known = definition.budgets.contains_key(&budget);
        is_known && definition.rows_at(budget).any(|other| other.name == row)
    };
    [BudgetName::Cpu, BudgetName::Full, BudgetName::Quick].into_iter().find(|b| has(*b))
}
