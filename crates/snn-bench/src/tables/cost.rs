//! What rows will cost, predicted from a few steps of each on this machine.

use super::definition::Definition;
use super::entry::{Entry, Folders};
use super::machine::Machine;
use super::record;
use crate::estimate::{StageCost, estimate};
use crate::names::BudgetName;
use crate::output;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use snn_train::Options;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The predicted cost of training a row with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    /// The row.
    pub(crate) row: String,
    /// Checksum of its config.
    pub(crate) key: String,
    /// Steps of each stage that were measured.
    pub(crate) steps: usize,
    /// Its stages.
    pub(crate) stages: Vec<StageCost>,
    /// Where and when it was measured.
    pub(crate) machine: Machine,
}

fn path(table: &Definition, budget: BudgetName, folders: &Folders) -> PathBuf {
    folders.results.join(&table.name).join(format!("{budget}-cost.json"))
}

/// The costs that were predicted for the rows as they are.
pub(super) fn load(
    table: &Definition,
    budget: BudgetName,
    entries: &[Entry<'_>],
    folders: &Folders,
) -> Result<Vec<Cost>> {
    let path = path(table, budget, folders);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(&path)?;
    let found: Vec<Cost> = serde_json::from_str(&text).unwrap_or_else(|error| {
        let path = path.display();
        output::tell(format_args!("warning: {path}: not costs of this version ({error}); ignored"));
        Vec::new()
    });
    let mut costs = Vec::new();
    for entry in entries {
        let key = record::key(&entry.config)?;
        costs.extend(found.iter().find(|cost| cost.key == key).cloned());
    }
    Ok(costs)
}

/// Predicts the cost of a row, and keeps it beside those of others.
pub(crate) fn predict(
    (table, budget): (&Definition, BudgetName),
    (entry, entries): (&Entry<'_>, &[Entry<'_>]),
    folders: &Folders,
    machine: &Machine,
    (steps, options): (NonZeroUsize, &Options),
) -> Result<()> {
    let stages = estimate(&entry.config, steps, options)?;
    for stage in &stages {
        output::tell(format_args!(
            "{}: {} at {:.1} samples/s",
            entry.id, stage.stage, stage.samples_per_second
        ));
    }
    let key = record::key(&entry.config)?;
    let mut costs = load(table, budget, entries, folders)?;
    costs.retain(|cost| cost.key != key);
    costs.push(Cost {
        row: entry.row.name.clone(),
        key,
        steps: steps.get(),
        stages,
        machine: machine.clone(),
    });
    let path = path(table, budget, folders);
    fs_err::create_dir_all(folders.results.join(&table.name))?;
    let text = serde_json::to_string_pretty(&costs)? + "\n";
    Ok(snn_ir::write_atomically(&path, text.as_bytes())?)
}
