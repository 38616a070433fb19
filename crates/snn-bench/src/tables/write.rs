//! A table as Markdown, JSON and a chart, made of records alone.

use super::cost::Cost;
use super::definition::{Definition, Published};
use super::entry::Made;
use super::machine::Machine;
use super::record::Record;
use super::summary::{Spread, Summary};
use crate::names::BudgetName;
use crate::reference::{cell, wrapped};
use crate::table::{count, duration};
use anyhow::Result;
use serde::Serialize;
use snn_train::chart::{self, Bars};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const MEASURED: &str = "#2f6fb3";
const TWIN: &str = "#b8b8b8";
const PUBLISHED: &str = "#d9a441";

/// The JSON of a table.
#[derive(Debug, Serialize)]
pub(crate) struct TableJson<'a> {
    pub(crate) table: &'a str,
    pub(crate) title: &'a str,
    pub(crate) budget: BudgetName,
    pub(crate) rows: &'a [Summary],
    /// Rows of which nothing is there yet.
    pub(crate) missing: Vec<&'a str>,
    pub(crate) published: &'a [Published],
    pub(crate) machines: Vec<&'a Machine>,
    /// What rows will cost, as it was predicted.
    #[serde(skip_serializing_if = "<[Cost]>::is_empty")]
    pub(crate) costs: &'a [Cost],
}

/// Writes the table beside its records; returns the file to read.
pub(crate) fn write(
    table: &Definition,
    budget: BudgetName,
    made: &Made,
    results: &Path,
) -> Result<PathBuf> {
    let folder = results.join(&table.name);
    fs_err::create_dir_all(&folder)?;
    let json = serde_json::to_string_pretty(&as_json(table, budget, made))? + "\n";
    let path = |ending: &str| folder.join(format!("{budget}.{ending}"));
    snn_ir::write_atomically(&path("json"), json.as_bytes())?;
    snn_ir::write_atomically(&path("svg"), chart(table, budget, &made.rows).as_bytes())?;
    snn_ir::write_atomically(&path("md"), markdown(table, budget, made).as_bytes())?;
    Ok(path("md"))
}

/// The table as data.
pub(crate) fn as_json<'a>(
    table: &'a Definition,
    budget: BudgetName,
    made: &'a Made,
) -> TableJson<'a> {
    let is_made = |name: &str| made.rows.iter().any(|row| row.row == name);
    let names = table.rows_at(budget).map(|row| row.name.as_str());
    let mut machines: Vec<&Machine> = Vec::new();
    for machine in made.records.iter().flat_map(machines_of) {
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    TableJson {
        table: &table.name,
        title: &table.title,
        budget,
        rows: &made.rows,
        missing: names.filter(|name| !is_made(name)).collect(),
        published: &table.published,
        machines,
        costs: &made.costs,
    }
}

/// The machine of the training of a record, and those of its conversions.
fn machines_of(record: &Record) -> impl Iterator<Item = &Machine> {
    std::iter::once(&record.machine).chain(record.conversions.iter().map(|c| &c.machine))
}

/// `94.12 ± 0.21`, or the one value.
pub(crate) fn spread(spread: &Spread, decimals: usize) -> String {
    let mean = format!("{:.decimals$}", spread.mean);
    match spread.deviation {
        Some(deviation) => format!("{mean} ± {deviation:.decimals$}"),
        None => mean,
    }
}

/// The command that makes a row.
pub(crate) fn command(table: &str, budget: BudgetName, row: &str) -> String {
    format!("snn table {table} --budget {budget} --row {row}")
}

/// How a source chose the epoch of its figure.
pub(crate) fn epoch(published: &Published) -> &'static str {
    match published.best_epoch {
        Some(true) => "published, best epoch on the test set",
        Some(false) => "published, last epoch",
        None => "published",
    }
}

fn markdown(table: &Definition, budget: BudgetName, made: &Made) -> String {
    let mut text = format!("# {}, budget `{budget}`\n\n", table.title);
    let _ = writeln!(text, "{}\n", wrapped(&table.about));
    let _ = writeln!(
        text,
        "Written by `snn table {} --budget {budget}`; the records are in the folders beside this \
         file.\nTest accuracy after the last epoch, mean ± standard deviation over the seeds; \
         nothing was\nchosen by the test set.",
        table.name
    );
    if !made.rows.is_empty() {
        trainings(&mut text, &made.rows);
    }
    missing(&mut text, table, budget, &made.rows);
    costs(&mut text, table, budget, &made.costs);
    if !made.rows.is_empty() {
        conversions(&mut text, &made.rows);
    }
    if !table.published.is_empty() {
        text += "\n## Published elsewhere\n\n\
                 | method | T | test accuracy | | source |\n|---|--:|--:|---|---|\n";
        for other in &table.published {
            let _ = writeln!(
                text,
                "| {} | {} | {:.2} % | {} | {} |",
                cell(&other.method),
                other.time_steps.map_or(String::new(), |steps| steps.to_string()),
                other.accuracy,
                epoch(other),
                cell(&other.source),
            );
        }
    }
    if !made.rows.is_empty() {
        machines(&mut text, &made.records);
    }
    text
}

/// What rows will cost, as it was predicted.
fn costs(text: &mut String, table: &Definition, budget: BudgetName, costs: &[Cost]) {
    if costs.is_empty() {
        return;
    }
    let command = format!("snn table {} --budget {budget} --estimate STEPS", table.name);
    let about = format!(
        "From so many steps of each stage, after as many to warm up; evaluation, conversion and \
         proof come on top. Measured by `{command}`."
    );
    let _ = write!(
        text,
        "\n## Predicted cost of training\n\n{}\n\n\
         | row | stage | epochs | samples an epoch | steps | samples/s | takes | processor | \
         device | commit |\n|---|---|--:|--:|--:|--:|--:|---|---|---|\n",
        wrapped(&about)
    );
    for cost in costs {
        let Machine { processor, instruction_set, device, commit, .. } = &cost.machine;
        let commit = commit.as_deref().unwrap_or("unknown");
        for stage in &cost.stages {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {:.2} | {} | {} ({instruction_set}) | {device} | \
                 {commit} |",
                cost.row,
                cell(&stage.stage),
                stage.epochs,
                stage.samples,
                cost.steps,
                stage.samples_per_second,
                duration(stage.seconds()),
                cell(processor),
            );
        }
    }
}

fn trainings(text: &mut String, rows: &[Summary]) {
    *text += "\n## Training\n\n\
              | row | policy | T | LIF neurons | seeds | test samples | test accuracy | its twin | \
              published | training |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows {
        let twin = row.twin.as_ref().map_or(String::new(), |twin| spread(twin, 2) + " %");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} % | {} | {} | {} % | {twin} | {} | {} |",
            row.row,
            cell(&row.policy.to_string()),
            row.time_steps,
            100.0 * row.lif_share,
            row.seeds.len(),
            row.test_samples,
            spread(&row.accuracy, 2),
            row.against(),
            duration(row.seconds.mean),
        );
    }
}

fn missing(text: &mut String, table: &Definition, budget: BudgetName, rows: &[Summary]) {
    let is_whole = |name: &str| rows.iter().any(|r| r.row == name && r.missing.is_empty());
    let left: Vec<_> = table.rows_at(budget).filter(|row| !is_whole(&row.name)).collect();
    if left.is_empty() {
        return;
    }
    *text += "\nStill to be made:\n\n```console\n";
    for row in left {
        let _ = writeln!(text, "$ {}", command(&table.name, budget, &row.name));
    }
    *text += "```\n";
}

fn conversions(text: &mut String, rows: &[Summary]) {
    *text += "\n## Conversion to integers and events\n\n\
              | row | code | seeds | proof | samples | accuracy | lost on the grid | same class | \
              micro-steps | firing rate | additions | energy | samples/s |\n\
              |---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows {
        for code in &row.codes {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} % | {} | {} % | {} | {:.3} | {} | {:.3} µJ | \
                 {:.0} |",
                row.row,
                code.code,
                code.seeds.len(),
                code.proof(),
                code.samples,
                spread(&code.accuracy, 2),
                spread(&code.lost, 2),
                spread(&code.agreement, 2),
                code.micro_steps,
                code.firing_rate.mean,
                count(code.additions.mean),
                code.energy.mean,
                code.samples_per_second.mean,
            );
        }
    }
}

/// The machines that the rows were measured on.
fn machines(text: &mut String, records: &[Record]) {
    *text += "\n## Machines\n\n\
              | rows | processor | cores | memory | device | commit | day |\n\
              |---|---|--:|--:|---|---|---|\n";
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        for machine in machines_of(record) {
            let Machine { processor, cores, instruction_set, memory_gib, .. } = machine;
            let Machine { device, commit, day, .. } = machine;
            let cells = format!(
                "{processor} ({instruction_set}) | {cores} | {} | {device} | {} | {day}",
                memory_gib.map_or(String::new(), |gib| format!("{gib} GiB")),
                commit.as_deref().unwrap_or("not known"),
            );
            let rows = seen.entry(cells).or_default();
            let row = format!("{} (seed {})", record.row, record.seed);
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    for (cells, rows) in seen {
        let _ = writeln!(text, "| {} | {cells} |", rows.join(", "));
    }
}

/// Test accuracies as bars: of each row, of its twin, of what it is held against, and of others.
fn chart(table: &Definition, budget: BudgetName, rows: &[Summary]) -> String {
    let mut bars = Vec::new();
    for row in table.rows_at(budget) {
        if let Some(made) = rows.iter().find(|made| made.row == row.name) {
            bars.push((row.name.clone(), MEASURED, made.accuracy.mean / 100.0));
            if let Some(twin) = &made.twin {
                bars.push((format!("{}: its twin", row.name), TWIN, twin.mean / 100.0));
            }
        }
        if let Some(published) = row.published {
            bars.push((format!("{}: published", row.name), PUBLISHED, published / 100.0));
        }
    }
    for other in &table.published {
        bars.push((other.method.clone(), PUBLISHED, other.accuracy / 100.0));
    }
    chart::bars(&Bars {
        title: format!("{}, budget {budget}", table.title),
        rows: bars,
        legend: vec![("measured", MEASURED), ("twin", TWIN), ("published", PUBLISHED)],
    })
}
