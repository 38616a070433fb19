//! One row with one seed, made as far as it is missing: trained, converted, verified, counted.

use super::definition::{BudgetName, Definition, Row};
use super::machine::Machine;
use super::record::{self, Conversion, Record, Stage};
use crate::commands::convert::convert;
use crate::commands::infer::{Counted, infer};
use crate::commands::train;
use crate::commands::verify::{Shown, prove};
use crate::deployed::{ProgramEngines, Ways};
use crate::files;
use crate::output;
use anyhow::{Context, Result};
use snn_ir::{Code, Model};
use snn_reparam::proof::{Demands, Report, batch_size};
use snn_reparam::{ConversionOptions, GridOptions};
use snn_train::{Options, RunConfig, RunFolder, RunResult, Start};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::Device;

/// Operations are counted on so many samples at most: their mean is known well enough by then.
const COUNTED: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// Samples of each proof that the naive evaluator runs on, and that varying frames are made of.
const NAIVE: usize = 5;

/// Files of a run that are copied beside its record; they decide the curves, and are small.
const COPIED: [&str; 4] = ["config.toml", "run.json", "metrics.jsonl", "result.json"];

/// Folders that rows are read from and written to.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Root of the repository.
    pub(crate) root: PathBuf,
    /// Run folders: weights and checkpoints, which are not kept in git.
    pub(crate) runs: PathBuf,
    /// Records and tables.
    pub(crate) results: PathBuf,
    /// The data root.
    pub(crate) data: Option<PathBuf>,
}

/// Makes rows of one table at one budget.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    pub(crate) table: &'a Definition,
    pub(crate) budget: BudgetName,
    /// Test samples that each conversion is verified on; `None` for all.
    pub(crate) verify: Option<NonZeroUsize>,
    pub(crate) places: &'a Places,
    pub(crate) device: Device,
    /// Set by Ctrl-C.
    pub(crate) stop: Arc<AtomicBool>,
}

/// A row with one seed, as its config names it.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) row: &'a Row,
    pub(crate) seed: u64,
    pub(crate) config: RunConfig,
    pub(crate) key: String,
    /// `ROW-sSEED-KEY`.
    pub(crate) id: String,
}

impl Places {
    /// The usual folders of a checkout.
    pub(crate) fn of(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            runs: root.join("runs").join("tables"),
            results: root.join("docs").join("results").join("tables"),
            data: None,
        }
    }
}

impl<'a> Entry<'a> {
    /// The row with one seed.
    pub(crate) fn new(
        table: &Definition,
        row: &'a Row,
        budget: BudgetName,
        seed: u64,
        root: &Path,
    ) -> Result<Self> {
        let config = table.config(root, row, budget, seed)?;
        let key = record::key(&config)?;
        let id = format!("{}-s{seed}-{key}", row.name);
        Ok(Self { row, seed, config, key, id })
    }

    /// Its record, whole or begun.
    pub(crate) fn record(&self, results: &Path, table: &str) -> Result<Option<Record>> {
        Record::load(&results.join(table).join(&self.id))
    }

    /// `true` if nothing of the row is missing.
    pub(crate) fn is_whole(&self, record: &Record) -> bool {
        self.row.codes.iter().all(|code| record.conversion(*code).is_some())
    }
}

impl Maker<'_> {
    /// Makes what is missing of a row with one seed.
    pub(crate) fn make(&self, entry: &Entry<'_>) -> Result<Record> {
        let table = &self.table.name;
        let folder = self.places.results.join(table).join(&entry.id);
        let run = self.places.runs.join(table).join(&entry.id);
        let found = Record::load(&folder)?;
        let mut record = match found {
            Some(record) if entry.is_whole(&record) => return Ok(record),
            // Without the network there is nothing to convert: it is trained again.
            Some(record) if RunFolder::open(&run).is_ok() => record,
            _ => self.trained(entry, &folder, &run)?,
        };
        for &code in &entry.row.codes {
            if record.conversion(code).is_none() {
                self.end_if_stopped();
                output::tell(format_args!("{}: {}", entry.id, code.label()));
                record.conversions.push(self.converted(entry, code, &folder, &run)?);
                record.save(&folder)?;
            }
        }
        Ok(record)
    }

    /// Trains, or goes on with it, and begins the record.
    fn trained(&self, entry: &Entry<'_>, folder: &Path, run: &Path) -> Result<Record> {
        output::tell(format_args!("{}: training", entry.id));
        let start = if RunFolder::open(run).is_ok() { Start::Resume } else { Start::New };
        let options = Options {
            data_root: self.places.data.clone(),
            device: self.device,
            start,
            stop: Arc::clone(&self.stop),
            ..Options::default()
        };
        let result: RunResult = train::train(&entry.config, run, &options, train::Again::Same)?;
        copy(run, folder)?;
        if let Some(twin) = RunFolder::open(run)?.twin() {
            copy(twin.path(), &folder.join("twin"))?;
        }
        let record = Record {
            row: entry.row.name.clone(),
            key: entry.key.clone(),
            seed: entry.seed,
            config: entry.row.config.clone(),
            set: self.table.sets(entry.row, self.budget)?,
            machine: Machine::here(&self.places.root, self.device),
            training: Stage::from(&result),
            conversions: Vec::new(),
        };
        record.save(folder)?;
        Ok(record)
    }

    /// Converts with one code, verifies what was written, and counts.
    fn converted(
        &self,
        entry: &Entry<'_>,
        code: Code,
        folder: &Path,
        run: &Path,
    ) -> Result<Conversion> {
        let trained = files::trained(run)?;
        let options = ConversionOptions { codes: code.into(), grid: Some(GridOptions::default()) };
        let conversion = convert(&trained.model, &options)
            .with_context(|| format!("row `{}`", entry.row.name))?;
        let path = run.join(format!("{}.safetensors", code.label()));
        files::save(&conversion.model, &path)?;
        // What was written is what is verified.
        let model = Model::load(&path)?;
        let data = self.places.data.as_deref();
        let samples = files::test_samples(&trained.model, trained.config.as_ref(), None, data)?
            .context("a row has a config, which names a data set")?;
        files::fits(&trained.model, run, &samples)?;
        let source = samples.limited(self.verify)?;
        let demands = Demands {
            max_drop: entry.row.max_drop,
            naive_samples: NAIVE,
            frame_samples: NAIVE,
            ..Demands::default()
        };
        let engines = ProgramEngines { device: self.device, ways: Ways::default() };
        let shown = Shown { source, of: samples.source.len(), batch: batch_size(&model)? };
        let report = prove(&trained.model, &model, &shown, &engines, &demands)?;
        let text = serde_json::to_string(&report)? + "\n";
        let file = folder.join(format!("verify-{}.json", code.label()));
        snn_ir::write_atomically(&file, text.as_bytes())?;
        let counted = self.verify.map_or(COUNTED, |verify| verify.min(COUNTED));
        let inference = infer(&model, &samples.limited(Some(counted))?, true)?;
        let counts = inference.counted.context("operations were counted")?;
        Ok(figures(code, &model, &report, &counts, inference.images_per_second))
    }

    /// Ends the process as a shell expects it after Ctrl-C. What was made is kept.
    fn end_if_stopped(&self) {
        if self.stop.load(Ordering::Relaxed) {
            train::interrupted(format_args!("interrupted; {}", train::Again::Same));
        }
    }
}

/// The figures of a converted network.
fn figures(
    code: Code,
    model: &Model,
    report: &Report,
    counted: &Counted,
    samples_per_second: f64,
) -> Conversion {
    let total = counted.counts.total();
    let each = |value: u64| value as f64 / counted.counts.samples.max(1) as f64;
    let samples = report.samples.max(1) as f64;
    Conversion {
        code,
        verdict: report.verdict,
        level: report.strictness,
        samples: report.samples,
        trained_accuracy: report.accuracy_reference,
        accuracy: report.accuracy_converted,
        agreement: 100.0 * (1.0 - report.class_changes as f64 / samples),
        micro_steps: model.graph().micro_steps(),
        events: each(total.events),
        firing_rate: total.events as f64 / total.neuron_updates.max(1) as f64,
        additions: each(total.additions),
        multiplications: each(total.multiplications),
        energy_microjoules: counted.energy_microjoules,
        samples_per_second,
    }
}

/// Copies the small files of a run folder.
fn copy(run: &Path, folder: &Path) -> Result<()> {
    fs_err::create_dir_all(folder)?;
    for name in COPIED {
        let text = fs_err::read(run.join(name))?;
        snn_ir::write_atomically(&folder.join(name), &text)?;
    }
    Ok(())
}
