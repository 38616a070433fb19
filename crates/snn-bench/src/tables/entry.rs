//! A row with one seed, and where its files are.

use super::cost::{self, Cost};
use super::definition::{Definition, Row};
use super::record::{self, Conversion, Record};
use super::summary::{Summary, summarise};
use crate::names::{BudgetName, TargetName};
use crate::output;
use anyhow::Result;
use snn_reparam::proof::LEAST_FINETUNED_IMAGES;
use snn_train::RunConfig;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Folders that tables are read from and written to.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    /// Root of the repository.
    pub(crate) root: PathBuf,
    /// Run folders: weights and checkpoints, which are not kept in git.
    pub(crate) runs: PathBuf,
    /// Records and tables.
    pub(crate) results: PathBuf,
    /// The data root; `None` for the one that every command looks in.
    pub(crate) data: Option<PathBuf>,
}

impl Folders {
    /// The usual folders of a checkout.
    pub(crate) fn of(root: &Path) -> Self {
        let is_named = std::env::var_os("SNN_DATA").is_some();
        Self {
            root: root.to_path_buf(),
            runs: root.join("runs").join("tables"),
            results: root.join("docs").join("results").join("tables"),
            data: (!is_named).then(|| root.join("datasets")),
        }
    }
}

/// A row with one seed, at one budget.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) row: &'a Row,
    pub(crate) seed: u64,
    pub(crate) config: RunConfig,
    /// Test samples that each conversion is verified on; `None` for all.
    pub(crate) verify: Option<NonZeroUsize>,
    /// `ROW-sSEED-KEY`, the name of its folders.
    pub(crate) id: String,
}

impl<'a> Entry<'a> {
    fn new(
        table: &Definition,
        row: &'a Row,
        budget: BudgetName,
        seed: u64,
        folders: &Folders,
    ) -> Result<Self> {
        let config = table.config(&folders.root, row, budget, seed)?;
        let prefix = format!("{}-s{seed}-", row.name);
        // A key that configs gained since changes the hash, but no training: what counts is that
        // the configs are equal.
        let training = record::training(&config);
        let id = match same(&folders.results.join(&table.name), &prefix, &training) {
            Some(id) => id,
            None => prefix + &record::key(&config)?,
        };
        Ok(Self { row, seed, config, verify: table.budget(budget)?.verify, id })
    }

    /// The folder of its record.
    pub(crate) fn folder(&self, table: &Definition, folders: &Folders) -> PathBuf {
        folders.results.join(&table.name).join(&self.id)
    }

    /// Its record, whole or begun; one that cannot be read is told of and counts as none.
    pub(crate) fn record(&self, table: &Definition, folders: &Folders) -> Option<Record> {
        Record::load(&self.folder(table, folders)).unwrap_or_else(|error| {
            output::tell(format_args!("warning: {error:#}; it counts as missing"));
            None
        })
    }

    /// `true` if nothing of the row is missing.
    pub(crate) fn is_whole(&self, record: &Record) -> bool {
        self.is_verified(record, self.verify)
    }

    /// `true` if every conversion of the row was verified on so many samples; `None` for all.
    pub(crate) fn is_verified(&self, record: &Record, samples: Option<NonZeroUsize>) -> bool {
        self.codes(samples).all(|code| self.conversion(record, code, samples).is_some())
    }

    /// What it is converted to where conversions are verified on so many samples, `None` for all: a
    /// fine-tuned network, for which its accuracy alone speaks, only where that takes enough.
    pub(crate) fn codes(
        &self,
        samples: Option<NonZeroUsize>,
    ) -> impl Iterator<Item = TargetName> + use<'a> {
        let enough = samples.is_none_or(|samples| samples.get() >= LEAST_FINETUNED_IMAGES);
        let is_shown = move |target: &TargetName| enough || !target.rounding.is_tuned();
        self.row.codes.iter().copied().filter(is_shown)
    }

    /// The conversion of this code, if it was verified on so many samples, or on all, and
    /// fine-tuned as the config says.
    pub(crate) fn conversion<'r>(
        &self,
        record: &'r Record,
        code: TargetName,
        samples: Option<NonZeroUsize>,
    ) -> Option<&'r Conversion> {
        record.conversion(code, samples).filter(|found| self.is_tuned_as_asked(found))
    }

    /// `true` for a conversion that was not fine-tuned, or as the config says.
    pub(crate) fn is_tuned_as_asked(&self, found: &Conversion) -> bool {
        found.finetuning.as_ref().is_none_or(|tuned| tuned.config == self.config.finetuning)
    }
}

/// The folder with this prefix whose config is equal to this one.
fn same(folder: &Path, prefix: &str, config: &RunConfig) -> Option<String> {
    let entries = fs_err::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort_unstable();
    names.into_iter().find(|name| {
        let path = folder.join(name).join(record::CONFIG);
        path.is_file() && RunConfig::load(&path, &[]).is_ok_and(|found| found == *config)
    })
}

/// Every row of a budget with each of its seeds.
pub(crate) fn entries<'a>(
    table: &'a Definition,
    budget: BudgetName,
    folders: &Folders,
) -> Result<Vec<Entry<'a>>> {
    let mut all = Vec::new();
    for row in table.rows_at(budget) {
        for &seed in &table.budget(budget)?.seeds {
            all.push(Entry::new(table, row, budget, seed, folders)?);
        }
    }
    Ok(all)
}

/// What is there of a table at one budget.
#[derive(Debug)]
pub(crate) struct Made {
    /// One for each row of which anything is there.
    pub(crate) rows: Vec<Summary>,
    /// All records in the order of rows and seeds.
    pub(crate) records: Vec<Record>,
    /// What rows will cost, as it was predicted.
    pub(crate) costs: Vec<Cost>,
}

/// Reads what is there of each row.
pub(crate) fn made(
    table: &Definition,
    budget: BudgetName,
    entries: &[Entry<'_>],
    folders: &Folders,
) -> Result<Made> {
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for row in table.rows_at(budget) {
        let (mut records, mut missing) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(|entry| entry.row.name == row.name) {
            let record = entry.record(table, folders);
            if record.as_ref().is_none_or(|record| !entry.is_whole(record)) {
                missing.push(entry.seed);
            }
            // A network that was fine-tuned in another way is another one.
            records.extend(record.map(|mut record| {
                record.conversions.retain(|found| entry.is_tuned_as_asked(found));
                record
            }));
        }
        rows.extend(summarise(row, table.budget(budget)?, &records, missing));
        all.append(&mut records);
    }
    Ok(Made { rows, records: all, costs: cost::load(table, budget, entries, folders)? })
}
