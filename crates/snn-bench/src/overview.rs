//! Without arguments: what the tool does, and the tables of results as far as they are made.

use crate::commands::table::{HEADINGS, cells, published};
use crate::names::BudgetName;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::reference;
use crate::table::Table;
use crate::tables::{self, Definition, Folders, Made};
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
T and recipes are not public.
";

#[derive(Serialize)]
struct Overview<'a> {
    tables: Vec<tables::TableJson<'a>>,
}

/// Prints the introduction and the tables of the checkout in the current folder.
pub(crate) fn show(json: bool) -> Result<Outcome> {
    let folders = Folders::of(Path::new("."));
    let is_checkout = ["configs", tables::FOLDER].iter().all(|name| Path::new(name).is_dir());
    let definitions = if is_checkout { tables::all(&folders.root)? } else { Vec::new() };
    let mut all = Vec::new();
    for definition in &definitions {
        let mut budgets = Vec::new();
        for &budget in definition.budgets.keys() {
            let entries = tables::entries(definition, budget, &folders)?;
            budgets.push((budget, tables::made(definition, budget, &entries, &folders)?));
        }
        all.push((definition, budgets));
    }
    if json {
        let tables = all.iter().flat_map(|(definition, budgets)| {
            budgets.iter().map(|(budget, made)| tables::as_json(definition, *budget, made))
        });
        print_json(&Overview { tables: tables.collect() })?;
        return Ok(Outcome::Holds);
    }
    output::line(format_args!("{INTRODUCTION}\n{}\n{NOTE}", reference::overview()))?;
    if !is_checkout {
        output::line(
            "The tables of results are in the repository: run `snn` in its root to see them.",
        )?;
    }
    for (definition, budgets) in &all {
        print(definition, budgets)?;
    }
    Ok(Outcome::Holds)
}

/// Prints each row of a table at the largest budget that it was made at.
fn print(definition: &Definition, budgets: &[(BudgetName, Made)]) -> Result<()> {
    output::line(format_args!("{} (`snn table {}`)\n", definition.title, definition.name))?;
    let mut shown = Table::new(2, HEADINGS.into_iter().chain(["budget"]));
    let (mut is_empty, mut missing) = (true, Vec::new());
    for row in &definition.rows {
        let best = budgets.iter().rev().find_map(|(budget, made)| {
            Some((*budget, made.rows.iter().find(|made| made.row == row.name)?))
        });
        let Some((budget, summary)) = best else {
            missing.extend(first_budget(definition, &row.name).map(|budget| (budget, row)));
            continue;
        };
        is_empty = false;
        if !summary.missing.is_empty() {
            missing.push((budget, row));
        }
        shown.row(cells(summary).into_iter().chain([budget.to_string()]));
    }
    if !is_empty {
        output::line(&shown)?;
    }
    for (budget, row) in missing {
        let held = row.published.map_or(String::new(), |p| format!(" (published: {p:.2} %)"));
        let command = tables::command(&definition.name, budget, &row.name);
        output::line(format_args!("missing: {command}{held}"))?;
    }
    published(definition)?;
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
