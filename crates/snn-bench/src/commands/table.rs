//! `table`: the rows of a table, made as far as they are missing, and the table written.

use crate::cli::TableArguments;
use crate::commands::train::stop_on_ctrl_c;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::Table;
use crate::tables::{self, BudgetName, Definition, Entry, Maker, Places, Record, Summary};
use anyhow::Result;

pub(crate) fn run(arguments: &TableArguments, json: bool) -> Result<Outcome> {
    let places = arguments.places();
    let table = Definition::load(&places.root, &arguments.name)?;
    let budget = table.budget(arguments.budget)?;
    // Every config is read before anything is trained.
    let entries = entries(&table, arguments.budget, &places)?;
    let chosen = |entry: &Entry<'_>| {
        let row = arguments.row.as_ref().is_none_or(|row| *row == entry.row.name);
        row && arguments.seed.is_none_or(|seed| seed == entry.seed)
    };
    if let Some(row) = &arguments.row {
        table.row(row)?;
    }
    anyhow::ensure!(
        entries.iter().any(chosen),
        "table `{}`, budget `{}`: no row has what --row and --seed say",
        table.name,
        arguments.budget
    );
    if !arguments.show {
        let maker = Maker {
            table: &table,
            budget: arguments.budget,
            verify: budget.verify,
            places: &places,
            device: arguments.device,
            stop: stop_on_ctrl_c()?,
        };
        for entry in entries.iter().filter(|entry| chosen(entry)) {
            maker.make(entry)?;
            // What is there is shown whatever becomes of the next row.
            let (rows, records) = summaries(&table, arguments.budget, &entries, &places)?;
            tables::write(&table, arguments.budget, &rows, &records, &places.results)?;
        }
    }
    let (rows, records) = summaries(&table, arguments.budget, &entries, &places)?;
    let holds = rows.iter().flat_map(|row| &row.codes).all(|code| code.level.is_some());
    if json {
        print_json(&tables::of(&table, arguments.budget, &rows, &records))?;
    } else {
        print(&table, arguments.budget, &rows)?;
    }
    Ok(if holds { Outcome::Holds } else { Outcome::Failed })
}

/// Every row of a budget with each of its seeds.
pub(crate) fn entries<'a>(
    table: &'a Definition,
    budget: BudgetName,
    places: &Places,
) -> Result<Vec<Entry<'a>>> {
    let mut all = Vec::new();
    for row in table.rows_at(budget) {
        for &seed in &table.budget(budget)?.seeds {
            all.push(Entry::new(table, row, budget, seed, &places.root)?);
        }
    }
    Ok(all)
}

/// What is there of each row, and all records in the order of the rows.
pub(crate) fn summaries(
    table: &Definition,
    name: BudgetName,
    entries: &[Entry<'_>],
    places: &Places,
) -> Result<(Vec<Summary>, Vec<Record>)> {
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for row in table.rows_at(name) {
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(|entry| entry.row.name == row.name) {
            let record = entry.record(&places.results, &table.name)?;
            if record.as_ref().is_none_or(|record| !entry.is_whole(record)) {
                missing.push(entry.seed);
            }
            records.extend(record);
        }
        rows.extend(tables::summarise(row, &records, missing));
        all.append(&mut records);
    }
    Ok((rows, all))
}

/// Prints the table, with the command for each row that is missing.
pub(crate) fn print(table: &Definition, budget: BudgetName, rows: &[Summary]) -> Result<()> {
    let mut shown = Table::new(
        2,
        ["row", "policy", "T", "LIF", "test accuracy", "its twin", "int8", "same class", "proof"],
    );
    for row in rows {
        // Every code has the same integers: the first stands for all.
        let first = row.codes.first();
        shown.row([
            row.row.clone(),
            row.policy.to_string(),
            row.time_steps.to_string(),
            format!("{:.1} %", 100.0 * row.lif_share),
            tables::spread(&row.accuracy, 2) + " %",
            row.twin.as_ref().map_or("–".to_string(), |twin| tables::spread(twin, 2) + " %"),
            first.map_or("–".to_string(), |code| tables::spread(&code.accuracy, 2) + " %"),
            first.map_or("–".to_string(), |code| tables::spread(&code.agreement, 2) + " %"),
            row.proof(),
        ]);
    }
    output::line(format_args!("{} (table `{}`, budget {budget})\n", table.title, table.name))?;
    if !rows.is_empty() {
        output::line(&shown)?;
    }
    for row in table.rows_at(budget) {
        let is_whole = rows.iter().any(|made| made.row == row.name && made.missing.is_empty());
        if !is_whole {
            output::line(format_args!(
                "missing: {}",
                tables::command(&table.name, budget, &row.name)
            ))?;
        }
    }
    if !table.published.is_empty() {
        let mut others = Table::new(1, ["published elsewhere", "T", "test accuracy"]);
        for other in &table.published {
            others.row([
                other.method.clone(),
                other.time_steps.map_or(String::new(), |steps| steps.to_string()),
                format!("{:.2} %", other.accuracy),
            ]);
        }
        output::line(format_args!("\n{others}"))?;
    }
    Ok(())
}
