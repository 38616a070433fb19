//! Making a row with one seed as far as it is missing: training, conversion, proof, counting.

use super::definition::Definition;
use super::entry::{Entry, Folders};
use super::machine::Machine;
use super::record::{self, Conversion, Finetuning, Record, Training};
use crate::commands::convert::{calibration_samples, convert_calibrated};
use crate::commands::finetune::finetune;
use crate::commands::train::{Interrupt, ResumeHint, train};
use crate::conversion::{Converted, Shows, convert_to, measure};
use crate::deployed::{ProgramEngines, Ways};
use crate::files::{self, Trained};
use crate::names::{CALIBRATION, RoundingName, TargetName};
use crate::output;
use anyhow::{Context, Result, bail, ensure};
use snn_ir::{Code, ConversionOptions, Model};
use snn_reparam::proof::Demands;
use snn_train::{Options, RunConfig, RunFolder, RunResult, Start};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tch::Device;

/// Operations are counted on so many samples at most: their mean is known well enough by then.
const COUNTED: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// Samples of each proof that the naive evaluator runs on, and that varying frames are made of.
const NAIVE: usize = 5;

/// Files of a run that are copied beside its record; they decide the curves, and are small.
const COPIED: [&str; 3] = ["run.json", "metrics.jsonl", "result.json"];

/// A network that was converted to a target.
struct Candidate {
    target: TargetName,
    model: Model,
    finetuning: Option<Finetuning>,
}

/// Makes rows of one table at one budget.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    pub(crate) table: &'a Definition,
    pub(crate) folders: &'a Folders,
    pub(crate) device: Device,
    pub(crate) machine: Machine,
    pub(crate) interrupt: Interrupt,
    /// `true` if rows that are there are made anew.
    pub(crate) force: bool,
    /// Test samples that each conversion is verified on, where they are fewer than the budget's.
    pub(crate) verify: Option<NonZeroUsize>,
    /// Folders of twins that this command has made.
    pub(crate) new_twins: RefCell<HashSet<PathBuf>>,
}

impl Maker<'_> {
    /// Test samples that each conversion of a row is verified on; `None` for all.
    fn verify(&self, entry: &Entry<'_>) -> Option<NonZeroUsize> {
        match (self.verify, entry.verify) {
            (Some(most), Some(samples)) => Some(most.min(samples)),
            (most, samples) => most.or(samples),
        }
    }

    /// Makes what is missing of a row with one seed.
    pub(crate) fn make(&self, entry: &Entry<'_>) -> Result<()> {
        let folder = entry.folder(self.table, self.folders);
        let runs = self.folders.runs.join(&self.table.name);
        let run = runs.join(&entry.id);
        fs_err::create_dir_all(&runs)?;
        let path = runs.join(format!("{}.lock", entry.id));
        let lock = File::create(&path).with_context(|| path.display().to_string())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another process makes this row now"),
            Err(TryLockError::Error(error)) => bail!("{}: {error}", path.display()),
        }
        let found = entry.record(self.table, self.folders).filter(|_| !self.force);
        let weights = finished(&run)?;
        let verify = self.verify(entry);
        let mut record = match found {
            Some(record) if entry.is_verified(&record, verify) => return Ok(()),
            Some(record) if weights.as_ref() == Some(&record.weights) => record,
            // Without the network there is nothing to convert.
            _ => self.trained(entry, &folder, &run)?,
        };
        let trained = files::trained(&run)?;
        let shows = self.shows(verify, &trained, &run)?;
        let mut failed = None;
        // What the other codes show is worth having.
        let mut fail = |target: TargetName, error: anyhow::Error| {
            output::tell(format_args!("{target}: FAILED: {}", output::message(&error)));
            failed.get_or_insert(error);
        };
        let mut converted = Vec::new();
        for target in entry.codes(verify) {
            if entry.conversion(&record, target, verify).is_none() {
                match self.converted(target, entry, &trained, &run) {
                    Ok(made) => converted.push(made),
                    Err(error) => fail(target, error),
                }
            }
        }
        let measured = self.measured(&converted, &trained, &shows)?;
        for (Candidate { target, finetuning, .. }, measured) in converted.into_iter().zip(measured)
        {
            let figures = measured.and_then(|made| {
                let file = record::checksum(&fs_err::read(converted_path(&run, target))?);
                let figures = self.figures(target, file, &made, &shows, &folder)?;
                Ok(Conversion { finetuning, ..figures })
            });
            match figures {
                Ok(figures) => {
                    record.conversions.retain(|conversion| conversion.code != target);
                    record.conversions.push(figures);
                    record.save(&folder)?;
                }
                Err(error) => fail(target, error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Trains, or goes on with it, and begins the record.
    fn trained(&self, entry: &Entry<'_>, folder: &Path, run: &Path) -> Result<Record> {
        output::tell(format_args!("{}: training", entry.id));
        if self.force {
            // An old record would count as made where this training is cut off, and so would an
            // old fine-tuning.
            Record::remove(folder)?;
            for target in entry.row.codes.iter().filter(|code| code.rounding.is_tuned()) {
                let tuned = run.join(target.to_string());
                if tuned.is_dir() {
                    fs_err::remove_dir_all(tuned)?;
                }
            }
        }
        let start = match RunFolder::open(run) {
            Ok(_) if self.force => Start::Overwrite,
            Ok(_) => Start::Resume,
            Err(_) => Start::New,
        };
        let config = record::training(&entry.config);
        let twin = config.twin_config()?.map(|twin| self.twin(&twin, run)).transpose()?;
        let options = Options { start, twin, ..self.options() };
        let result = self.unless_stopped(|| train(&config, run, &options, ResumeHint::Same))?;
        // A record never stands beside files that are not its own.
        Record::remove(folder)?;
        copy(run, folder)?;
        if let Some(twin) = RunFolder::open(run)?.twin() {
            copy(twin.path(), &folder.join("twin"))?;
        }
        let text = config.to_toml()?;
        snn_ir::write_atomically(&folder.join(record::CONFIG), text.as_bytes())?;
        let record = Record {
            row: entry.row.name.clone(),
            seed: entry.seed,
            config: entry.row.config.clone(),
            weights: finished(run)?.context("a training that has ended has a model")?,
            machine: self.machine.clone(),
            training: Training::from(&result),
            conversions: Vec::new(),
        };
        record.save(folder)?;
        Ok(record)
    }

    /// The folder of a finished twin, which all rows with the same twin take over.
    fn twin(&self, config: &RunConfig, run: &Path) -> Result<PathBuf> {
        let twins = self.folders.runs.join("twins");
        fs_err::create_dir_all(&twins)?;
        let key = record::key(config)?;
        let folder = twins.join(&key);
        let path = twins.join(format!("{key}.lock"));
        let lock = File::create(&path).with_context(|| path.display().to_string())?;
        // Another row that trains it now has it soon.
        lock.lock().with_context(|| path.display().to_string())?;
        let is_new = self.new_twins.borrow().contains(&folder);
        let anew = self.force && !is_new;
        if finished(&folder)?.is_some() && !anew {
            return Ok(folder);
        }
        let own = RunFolder::open(run).ok().and_then(|run| run.twin());
        match own {
            Some(own) if !anew && own.config()? == *config && own.result()?.is_some() => {
                own.copy_to(&folder)?;
            }
            _ => {
                output::tell(format_args!("the twin of these rows: training"));
                let start = match RunFolder::open(&folder) {
                    Ok(_) if anew => Start::Overwrite,
                    Ok(_) => Start::Resume,
                    Err(_) => Start::New,
                };
                let options = Options { start, ..self.options() };
                self.unless_stopped(|| train(config, &folder, &options, ResumeHint::Same))?;
            }
        }
        self.new_twins.borrow_mut().insert(folder.clone());
        Ok(folder)
    }

    fn options(&self) -> Options {
        Options {
            data_root: self.folders.data.clone(),
            device: self.device,
            stop: Arc::clone(&self.interrupt.stop),
            ..Options::default()
        }
    }

    /// A training, which Ctrl-C ends with a checkpoint.
    fn unless_stopped(&self, training: impl FnOnce() -> Result<RunResult>) -> Result<RunResult> {
        self.interrupt.at_once.store(false, Ordering::Relaxed);
        let result = training();
        self.interrupt.at_once.store(true, Ordering::Relaxed);
        result
    }

    /// The samples of the proofs and of counting.
    fn shows(&self, verify: Option<NonZeroUsize>, trained: &Trained, run: &Path) -> Result<Shows> {
        let data = self.folders.data.as_deref();
        let samples = files::test_samples(&trained.model, trained.config.as_ref(), None, data)?
            .context("a row has a config, which names a data set")?;
        files::fits(&trained.model, run, &samples)?;
        let proof = samples.limited(verify)?;
        let counted = verify.map_or(COUNTED, |verify| verify.min(COUNTED));
        Ok(Shows { proof, counted: samples.limited(Some(counted))?, of: samples.source.len() })
    }

    /// Converts with one code, fine-tunes where the target says so, and writes the model beside the
    /// run.
    fn converted(
        &self,
        target: TargetName,
        entry: &Entry<'_>,
        trained: &Trained,
        run: &Path,
    ) -> Result<Candidate> {
        output::tell(format_args!("{target}: convert"));
        let path = converted_path(run, target);
        let codes = Code::from(target.code).into();
        let options = ConversionOptions { codes, grid: Some(target.rounding.grid()) };
        let calibration = match (target.rounding, &trained.config) {
            (RoundingName::Calibrated, Some(config)) => {
                let data = self.folders.data.as_deref();
                Some(calibration_samples(config, &trained.model, CALIBRATION, data)?)
            }
            _ => None,
        };
        if !target.rounding.is_tuned() {
            let engines = &self.engines();
            let model = convert_to(&path, &trained.model, &options, calibration.as_ref(), engines)
                .with_context(|| format!("{target}"))?;
            return Ok(Candidate { target, model, finetuning: None });
        }
        let model = convert_calibrated(&trained.model, &options, None, self.device)
            .with_context(|| format!("{target}"))?
            .model;
        let folder = run.join(target.to_string());
        let result = self.finetuned(&entry.config.for_finetuning(run), &model, &folder)?;
        let tuned = RunFolder::open(&folder)?.model_path();
        snn_ir::write_atomically(&path, &fs_err::read(tuned)?)?;
        let finetuning = Some(Finetuning {
            config: entry.config.finetuning,
            accuracy: 100.0 * result.test_accuracy,
            seconds: result.wall_seconds,
        });
        Ok(Candidate { target, model: Model::load(&path)?, finetuning })
    }

    /// Trains a model on the grid, or goes on with it.
    fn finetuned(&self, config: &RunConfig, model: &Model, folder: &Path) -> Result<RunResult> {
        output::tell(format_args!("training on the grid"));
        let is_begun = |run: &RunFolder| {
            let base = run.base().ok().flatten();
            let is_same = run.config().is_ok_and(|found| found == *config);
            !self.force && is_same && base.as_ref() == Some(model)
        };
        let start = match RunFolder::open(folder) {
            Ok(run) if is_begun(&run) => Start::Resume,
            Ok(_) => Start::Overwrite,
            Err(_) => Start::New,
        };
        let options = Options { start, ..self.options() };
        self.unless_stopped(|| finetune(config, model, folder, &options, ResumeHint::Same))
    }

    /// Verifies the conversions of a row side by side, and counts them.
    fn measured(
        &self,
        converted: &[Candidate],
        trained: &Trained,
        shows: &Shows,
    ) -> Result<Vec<Result<Converted>>> {
        if converted.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = converted.iter().map(|made| made.target.to_string()).collect();
        output::tell(format_args!("{}: verify, count", names.join(", ")));
        // What rounding costs is judged when the table is written; here only bits count.
        let demands = Demands {
            max_drop: 100.0,
            naive_samples: NAIVE,
            frame_samples: NAIVE,
            ..Demands::default()
        };
        let models: Vec<_> =
            converted.iter().map(|made| (&made.model, made.target.rounding.tuning())).collect();
        measure(&trained.model, &models, shows, &self.engines(), &demands)
    }

    fn engines(&self) -> ProgramEngines {
        ProgramEngines { device: self.device, ways: Ways::default() }
    }

    /// The figures of a converted network, whose report is written beside them.
    fn figures(
        &self,
        code: TargetName,
        file: String,
        made: &Converted,
        shows: &Shows,
        folder: &Path,
    ) -> Result<Conversion> {
        let (report, counted) = (&made.report, made.counted()?);
        for failure in &report.failures {
            output::tell(format_args!("{code}: FAILED: {failure}"));
        }
        ensure!(report.samples > 0, "{code}: no sample could be compared with the trained network");
        let text = serde_json::to_string(report)? + "\n";
        snn_ir::write_atomically(&folder.join(format!("verify-{code}.json")), text.as_bytes())?;
        let total = counted.counts.total();
        let each = |value: u64| value as f64 / counted.counts.samples.max(1) as f64;
        Ok(Conversion {
            code,
            file: Some(file),
            finetuning: None,
            verdict: report.verdict,
            level: report.strictness,
            failures: report.failures.clone(),
            samples: report.samples,
            whole: report.samples == shows.of,
            trained_accuracy: report.accuracy_reference,
            accuracy: report.accuracy_converted,
            agreement: report.kept_classes(),
            micro_steps: made.micro_steps,
            events: each(total.events),
            firing_rate: made.firing_rate()?,
            additions: each(total.additions),
            multiplications: each(total.multiplications),
            energy_microjoules: counted.energy_microjoules,
            samples_per_second: made.inference.images_per_second,
            machine: self.machine.clone(),
        })
    }
}

/// Where the conversion of a run stands.
pub(super) fn converted_path(run: &Path, target: TargetName) -> PathBuf {
    run.join(format!("{target}.safetensors"))
}

/// The checksum of the weights of a run that has ended; `None` of one that has not.
fn finished(run: &Path) -> Result<Option<String>> {
    let Ok(run) = RunFolder::open(run) else { return Ok(None) };
    match run.result()? {
        Some(_) => Ok(Some(record::checksum(&fs_err::read(run.model_path())?))),
        None => Ok(None),
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
