//! A table as Markdown, JSON and a chart, made of records alone.

use super::definition::{BudgetName, Definition, Published};
use super::machine::Machine;
use super::record::Record;
use super::summary::{Spread, Summary};
use crate::table::count;
use anyhow::Result;
use serde::Serialize;
use snn_train::chart::{self, Bars};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HYBRID: &str = "#2f6fb3";
const TWIN: &str = "#b8b8b8";

/// The JSON of a table.
#[derive(Debug, Serialize)]
pub(crate) struct Written<'a> {
    pub(crate) table: &'a str,
    pub(crate) title: &'a str,
    pub(crate) budget: BudgetName,
    pub(crate) rows: &'a [Summary],
    /// Rows of which nothing is there yet.
    pub(crate) missing: Vec<&'a str>,
    pub(crate) published: &'a [Published],
    pub(crate) machines: Vec<&'a Machine>,
}

/// Writes the table beside its records; returns the files.
pub(crate) fn write(
    table: &Definition,
    budget: BudgetName,
    rows: &[Summary],
    records: &[Record],
    results: &Path,
) -> Result<Vec<PathBuf>> {
    let folder = results.join(&table.name);
    fs_err::create_dir_all(&folder)?;
    let json = serde_json::to_string_pretty(&of(table, budget, rows, records))? + "\n";
    let files = [
        ("json", json),
        ("md", markdown(table, budget, rows, records)),
        ("svg", chart(table, budget, rows)),
    ];
    let mut written = Vec::new();
    for (ending, text) in files {
        let path = folder.join(format!("{budget}.{ending}"));
        snn_ir::write_atomically(&path, text.as_bytes())?;
        written.push(path);
    }
    Ok(written)
}

/// The table as data.
pub(crate) fn of<'a>(
    table: &'a Definition,
    budget: BudgetName,
    rows: &'a [Summary],
    records: &'a [Record],
) -> Written<'a> {
    let made = |name: &str| rows.iter().any(|row| row.row == name);
    let names = table.rows_at(budget).map(|row| row.name.as_str());
    let mut machines: Vec<&Machine> = Vec::new();
    for record in records {
        if !machines.contains(&&record.machine) {
            machines.push(&record.machine);
        }
    }
    Written {
        table: &table.name,
        title: &table.title,
        budget,
        rows,
        missing: names.filter(|name| !made(name)).collect(),
        published: &table.published,
        machines,
    }
}

/// `94.12 ± 0.21`, or the one value.
pub(crate) fn spread(spread: &Spread, decimals: usize) -> String {
    let mean = format!("{:.decimals$}", spread.mean);
    match spread.deviation {
        Some(deviation) => format!("{mean} ± {deviation:.decimals$}"),
        None => mean,
    }
}

/// Hours, minutes or seconds.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 5_400.0 => format!("{:.1} h", s / 3_600.0),
        s if s >= 90.0 => format!("{:.1} min", s / 60.0),
        s => format!("{s:.0} s"),
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

fn markdown(
    table: &Definition,
    budget: BudgetName,
    rows: &[Summary],
    records: &[Record],
) -> String {
    let mut text = format!("# {}, budget `{budget}`\n\n", table.title);
    let _ = writeln!(text, "{}\n", wrapped(&table.about));
    let _ = writeln!(
        text,
        "Written by `snn table {} --budget {budget}`; the records are in the folders beside this \
         file.\nTest accuracy after the last epoch, mean ± standard deviation over the seeds; \
         nothing was\nchosen by the test set.\n",
        table.name
    );
    text += "## Training\n\n\
             | row | policy | T | LIF neurons | seeds | test accuracy | its twin | published | \
             training |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows {
        let published = match (row.published, row.reproduced) {
            (Some(value), Some(true)) => format!("{value:.2} %, reproduced"),
            (Some(value), _) => format!("{value:.2} %, not reproduced"),
            (None, _) => String::new(),
        };
        let twin = row.twin.as_ref().map_or(String::new(), |twin| spread(twin, 2) + " %");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} % | {} | {} % | {twin} | {published} | {} |",
            row.row,
            row.policy,
            row.time_steps,
            100.0 * row.lif_share,
            row.seeds.len(),
            spread(&row.accuracy, 2),
            duration(row.seconds.mean),
        );
    }
    let made = |name: &str| rows.iter().find(|row| row.row == name);
    let left = table.rows_at(budget).filter(|row| made(&row.name).is_none());
    let begun = rows.iter().filter(|row| !row.missing.is_empty()).map(|row| &row.row);
    let left: Vec<_> = left.map(|row| &row.name).chain(begun).collect();
    if !left.is_empty() {
        text += "\nStill to be made:\n\n```console\n";
        for name in left {
            let _ = writeln!(text, "$ {}", command(&table.name, budget, name));
        }
        text += "```\n";
    }
    text += "\n## Conversion to integers and events\n\n\
             | row | code | proof | test samples | accuracy | lost to int8 | same class | \
             micro-steps | firing rate | additions | energy | samples/s |\n\
             |---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows {
        for code in &row.codes {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} % | {} | {} % | {} | {:.1} % | {} | {:.3} µJ | {:.0} |",
                row.row,
                code.code.label(),
                code.level.map_or("does not hold".to_string(), |level| level.to_string()),
                code.samples,
                spread(&code.accuracy, 2),
                spread(&code.lost, 2),
                spread(&code.agreement, 2),
                code.micro_steps,
                100.0 * code.firing_rate.mean,
                count(code.additions.mean),
                code.energy.mean,
                code.samples_per_second.mean,
            );
        }
    }
    if !table.published.is_empty() {
        text += "\n## Published elsewhere\n\n\
                 | method | T | test accuracy | | source |\n|---|--:|--:|---|---|\n";
        for other in &table.published {
            let _ = writeln!(
                text,
                "| {} | {} | {:.2} % | {} | {} |",
                other.method,
                other.time_steps.map_or(String::new(), |steps| steps.to_string()),
                other.accuracy,
                epoch(other),
                other.source,
            );
        }
    }
    text + &machines(records)
}

/// On what the rows were measured.
fn machines(records: &[Record]) -> String {
    let mut text = "\n## Machines\n\n\
                    | rows | processor | cores | memory | device | commit | day |\n\
                    |---|---|--:|--:|---|---|---|\n"
        .to_string();
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Record { row, seed, machine, .. } in records {
        let Machine { processor, cores, instruction_set, memory_gib, device, commit, day, .. } =
            machine;
        let cells = format!(
            "{processor} ({instruction_set}) | {cores} | {} | {device} | {} | {day}",
            memory_gib.map_or(String::new(), |gib| format!("{gib} GiB")),
            commit.as_deref().unwrap_or("not known"),
        );
        seen.entry(cells).or_default().push(format!("{row} (seed {seed})"));
    }
    for (cells, rows) in seen {
        let _ = writeln!(text, "| {} | {cells} |", rows.join(", "));
    }
    text
}

/// Paragraphs in lines of at most 100 columns.
fn wrapped(text: &str) -> String {
    crate::reference::wrapped(text)
}

/// Test accuracies as bars: of each row, of its twin, and of others.
fn chart(table: &Definition, budget: BudgetName, rows: &[Summary]) -> String {
    const OTHERS: &str = "#d9a441";
    let mut bars = Vec::new();
    for row in rows {
        bars.push((row.row.clone(), HYBRID, row.accuracy.mean / 100.0));
        if let Some(twin) = &row.twin {
            bars.push((format!("{}: its twin", row.row), TWIN, twin.mean / 100.0));
        }
    }
    for other in &table.published {
        bars.push((other.method.clone(), OTHERS, other.accuracy / 100.0));
    }
    chart::bars(&Bars {
        title: format!("{}, budget {budget}", table.title),
        rows: bars,
        legend: vec![("measured", HYBRID), ("twin", TWIN), ("published", OTHERS)],
    })
}
