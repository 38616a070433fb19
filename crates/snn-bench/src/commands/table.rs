//! `table`: the rows of a table, made as far as they are missing, and the table written.

use crate::cli::TableArguments;
use crate::commands::train::Interrupt;
use crate::names::BudgetName;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, counted};
use crate::tables::{self, Definition, Entry, Folders, Machine, Maker, Summary};
use anyhow::{Result, bail, ensure};
use snn_train::Options;
use std::cell::RefCell;

pub(crate) fn run(arguments: &TableArguments, json: bool) -> Result<Outcome> {
    let folders = folders(arguments);
    let budget = arguments.budget;
    let table = Definition::load(&folders.root, &arguments.name)?;
    // Every config is read before anything is trained.
    let entries = tables::entries(&table, budget, &folders)?;
    if let Some(row) = &arguments.row {
        table.row(row)?;
    }
    let is_chosen = |entry: &&Entry<'_>| {
        let row = arguments.row.as_ref().is_none_or(|row| *row == entry.row.name);
        row && arguments.seed.is_none_or(|seed| seed == entry.seed)
    };
    let chosen: Vec<_> = entries.iter().filter(is_chosen).collect();
    ensure!(
        !chosen.is_empty(),
        "table `{}`, budget `{budget}`: no row has what --row and --seed say",
        table.name
    );
    let write = || {
        let made = tables::made(&table, budget, &entries, &folders)?;
        let path = tables::write(&table, budget, &made, &folders.results)?;
        anyhow::Ok((made, path))
    };
    let mut failed = 0;
    if let Some(steps) = arguments.estimate {
        let machine = Machine::here(&folders.root, arguments.device);
        let options = Options {
            data_root: folders.data.clone(),
            device: arguments.device,
            ..Options::default()
        };
        // Seeds cost the same.
        let first = chosen.iter().map(|entry| entry.seed).min();
        for entry in chosen.iter().filter(|entry| Some(entry.seed) == first) {
            let of = (*entry, entries.as_slice());
            let measured = (steps, &options);
            if let Err(error) = tables::predict((&table, budget), of, &folders, &machine, measured)
            {
                output::tell(format_args!("error: {}: {}", entry.id, output::message(&error)));
                failed += 1;
            }
        }
    } else if !arguments.show {
        let maker = Maker {
            table: &table,
            folders: &folders,
            device: arguments.device,
            machine: Machine::here(&folders.root, arguments.device),
            interrupt: Interrupt::new()?,
            force: arguments.force,
            verify: arguments.verify,
            new_twins: RefCell::default(),
        };
        let threads = tch::get_num_threads();
        for (number, entry) in chosen.iter().enumerate() {
            output::tell(format_args!("{} of {}: {}", number + 1, chosen.len(), entry.id));
            // A row that sets no number of threads has what it would have alone.
            tch::set_num_threads(threads);
            if let Err(error) = maker.make(entry) {
                output::tell(format_args!("error: {}: {}", entry.id, output::message(&error)));
                failed += 1;
            }
            write()?;
        }
    }
    let (made, path) = write()?;
    if json {
        print_json(&tables::as_json(&table, budget, &made))?;
    } else {
        print(&table, budget, &made.rows)?;
        output::line(format_args!("\nwrote {}", path.display()))?;
    }
    if let (Some(out), [entry]) = (&arguments.export, chosen.as_slice()) {
        let chosen = (arguments.code, out.as_path());
        let card = tables::export(&table, budget, entry, &folders, chosen)?;
        output::tell(format_args!("wrote {} with its model", card.display()));
    }
    if failed > 0 {
        bail!("{} could not be made; the messages say why", counted(failed, "row"));
    }
    let is_of_chosen = |row: &&Summary| chosen.iter().any(|entry| entry.row.name == row.row);
    let rows = made.rows.iter().filter(is_of_chosen);
    let holds = rows.flat_map(|row| &row.codes).all(|code| code.holds);
    Ok(if holds { Outcome::Holds } else { Outcome::Failed })
}

/// The folders that are named, or those of the checkout.
fn folders(arguments: &TableArguments) -> Folders {
    let usual = Folders::of(&arguments.root);
    Folders {
        root: usual.root,
        runs: arguments.runs.clone().unwrap_or(usual.runs),
        results: arguments.results.clone().unwrap_or(usual.results),
        data: arguments.data.data.clone().or(usual.data),
    }
}

/// Headings of [`cells`].
pub(crate) const HEADINGS: [&str; 10] = [
    "row",
    "policy",
    "T",
    "LIF",
    "seeds",
    "test accuracy",
    "its twin",
    "published",
    "int8, same class",
    "proof",
];

/// A row on the terminal. Every code has the same integers, so the first stands for all that are
/// neither of 16 bits nor fine-tuned.
pub(crate) fn cells(row: &Summary) -> [String; 10] {
    let dash = || "–".to_string();
    let percent = |spread| tables::spread(spread, 2) + " %";
    let grid = row.codes.first().map_or_else(dash, |code| {
        format!("{}, {}", percent(&code.accuracy), percent(&code.agreement))
    });
    [
        row.row.clone(),
        row.policy.to_string(),
        row.time_steps.to_string(),
        format!("{:.1} %", 100.0 * row.lif_share),
        row.seeds.len().to_string(),
        format!("{} of {}", percent(&row.accuracy), row.test_samples),
        row.twin.as_ref().map_or_else(dash, percent),
        row.against(),
        grid,
        row.proof(),
    ]
}

/// Prints the table, with the command for each row that is missing.
fn print(table: &Definition, budget: BudgetName, rows: &[Summary]) -> Result<()> {
    output::line(format_args!("{} (table `{}`, budget {budget})\n", table.title, table.name))?;
    if !rows.is_empty() {
        let mut shown = Table::new(2, HEADINGS);
        for row in rows {
            shown.row(cells(row));
        }
        output::line(&shown)?;
    }
    for row in table.rows_at(budget) {
        let is_whole = |made: &Summary| made.row == row.name && made.missing.is_empty();
        if !rows.iter().any(is_whole) {
            let command = tables::command(&table.name, budget, &row.name);
            output::line(format_args!("missing: {command}"))?;
        }
    }
    published(table)
}

/// Prints what others have published.
pub(crate) fn published(table: &Definition) -> Result<()> {
    for other in &table.published {
        let steps = other.time_steps.map_or(String::new(), |steps| format!(", T = {steps}"));
        output::line(format_args!(
            "{:.2} %: {}{steps}, {} ({})",
            other.accuracy,
            other.method,
            other.source,
            tables::epoch(other)
        ))?;
    }
    Ok(())
}
