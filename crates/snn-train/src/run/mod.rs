//! The folder of a run: its files, its checkpoint, its lock.

pub mod chart;
pub(crate) mod checkpoint;
pub(crate) mod clock;
mod figures;
pub(crate) mod identity;
mod lock;
pub(crate) mod metrics;
pub(crate) mod tensorboard;

use crate::config::RunConfig;
use crate::config::overrides;
use crate::config::stage_name::{CROSSOVER, TWIN};
use crate::error::{Error, Result};
use crate::run::checkpoint::Checkpoint;
use crate::run::identity::Identity;
use crate::run::lock::{LOCK, RunLock};
use crate::run::metrics::{EpochMetrics, RunInfo, RunResult};
use crate::run::tensorboard::EventFile;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snn_ir::{Graph, Model, write_atomically};
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";
const INFO: &str = "run.json";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
const RESULT: &str = "result.json";
const BASE: &str = "base.safetensors";
const TEACHER: &str = "teacher.safetensors";
const NETWORK: &str = "network.json";
const TRAINER: &str = "trainer.json";
/// `TensorBoard` reads files with `tfevents` in their name.
const EVENTS: &str = "events.out.tfevents.snn";
const CURVES: &str = "curves.svg";
const RATES: &str = "firing_rates.svg";
/// Everything a run writes, in the order in which a run is removed: its progress, then what says
/// that its beginning is whole, last what it is known by.
const FILES: [&str; 13] = [
    CHECKPOINT, RESULT, RATES, CURVES, EVENTS, MODEL, METRICS, TRAINER, NETWORK, BASE, TEACHER,
    INFO, CONFIG,
];
/// What a run keeps of its beginning, written between `config.toml` and `trainer.json`.
const BEGINNING: [&str; 4] = [NETWORK, BASE, TEACHER, INFO];
/// How the names of files begin that are being written (`write_atomically`).
const PARTIAL: &str = ".partial-";

/// What a run is started with, which its folder keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning<'a> {
    pub(crate) config: Option<&'a RunConfig>,
    pub(crate) identity: &'a Identity,
    pub(crate) info: &'a RunInfo,
    /// The graph of the network's file, before a policy changes it.
    pub(crate) network: Option<&'a Graph>,
    /// The model that training starts from, where it is not drawn from the seed.
    pub(crate) base: Option<&'a Model>,
    pub(crate) teacher: Option<&'a Model>,
}

/// How a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// In a folder that holds nothing yet.
    #[default]
    New,
    /// In a folder whose run is thrown away.
    Overwrite,
    /// Where the run in the folder was left.
    Resume,
}

/// The folder of a run: `config.toml` (of a run that has one), `run.json`, `trainer.json` (what it
/// was started with), `metrics.jsonl`, `checkpoint.safetensors`, `model.safetensors`, the event
/// file of `TensorBoard`, `curves.svg`, `firing_rates.svg`, and once it has finished `result.json`.
///
/// What a run needs of other places is copied before it begins: the graph of a network in a file
/// (`network.json`), the model that fine-tuning and `start_from` start from (`base.safetensors`),
/// the teacher of distillation (`teacher.safetensors`). The stage before that of a staged run has a
/// run folder of its own inside: `twin`, or `crossover` for a stage of a crossover, which has the
/// one before it inside again. `trainer.json` is written after them, so that a folder that has it
/// has all of them.
///
/// Each file but that of events is written whole or not at all; that one is cut back to the
/// checkpoint on a resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The run in `path`.
    ///
    /// # Errors
    /// There is none.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let is_run = [CONFIG, TRAINER].iter().any(|file| path.join(file).is_file());
        if is_run { Ok(Self { path }) } else { Err(Error::NoRun { path }) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the model, as of the last epoch that was finished.
    pub fn model_path(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// `true` if the run was started from a config; one that a program started by itself was not.
    pub fn has_config(&self) -> bool {
        self.path.join(CONFIG).is_file()
    }

    /// The config.
    ///
    /// # Errors
    /// The run has none, or the file is damaged.
    pub fn config(&self) -> Result<RunConfig> {
        if !self.has_config() {
            return Err(Error::NoConfig { path: self.path.clone() });
        }
        RunConfig::load(&self.path.join(CONFIG), &[])
    }

    /// Where and when it was started.
    ///
    /// # Errors
    /// The file is gone or damaged.
    pub fn info(&self) -> Result<RunInfo> {
        read_json(&self.path.join(INFO))
    }

    /// The epochs that were finished.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn metrics(&self) -> Result<Vec<EpochMetrics>> {
        let path = self.path.join(METRICS);
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let text = fs_err::read_to_string(&path)?;
        text.lines().map(|line| parse(&path, line)).collect()
    }

    /// Result of the run; `None` if it has not finished.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn result(&self) -> Result<Option<RunResult>> {
        let path = self.path.join(RESULT);
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Makes the folder of a new run, or finds that of the run to resume and checks that it was
    /// started with the same. No other process can do so while the lock lives.
    pub(crate) fn begin(
        path: &Path,
        beginning: &Beginning<'_>,
        start: Start,
    ) -> Result<(Self, RunLock)> {
        let folder = Self { path: path.to_path_buf() };
        let lock = match start {
            Start::Resume => folder.take_up(beginning)?,
            Start::New | Start::Overwrite => folder.make_room(start)?,
        };
        folder.remove(|name| name.starts_with(PARTIAL))?;
        folder.keep(beginning)?;
        Ok((folder, lock))
    }

    /// Makes or finds the folder of a staged run, for its twin to be trained in a folder inside;
    /// the network itself then resumes in it. No other process can do so while the lock lives.
    pub(crate) fn claim(path: &Path, config: &RunConfig, start: Start) -> Result<RunLock> {
        let folder = Self { path: path.to_path_buf() };
        match start {
            Start::Resume => {
                Self::open(path)?.check_config(config)?;
                RunLock::take(path)
            }
            Start::New | Start::Overwrite => {
                let lock = folder.make_room(start)?;
                write_atomically(&folder.path.join(CONFIG), config.to_toml()?.as_bytes())?;
                Ok(lock)
            }
        }
    }

    /// Refuses to go on with another config than that of the run.
    pub(crate) fn check_config(&self, config: &RunConfig) -> Result<()> {
        // The file has what a config that does not say means.
        let mut config = config.clone();
        config.data.flip = Some(config.data.flip());
        match overrides::difference(&self.config()?, &config)? {
            None => Ok(()),
            Some((key, run, given)) => {
                let path = self.path.join(CONFIG);
                Err(Error::RunDiffers { path, key, run, given })
            }
        }
    }

    /// Locks the folder of a run that goes on; nothing is written in one that was started with
    /// something else.
    fn take_up(&self, given: &Beginning<'_>) -> Result<RunLock> {
        let run = Self::open(&self.path)?;
        if let Some(config) = given.config {
            run.check_config(config)?;
        }
        if given.config.is_none() && run.has_config() {
            return Err(Error::HasConfig { path: self.path.clone() });
        }
        let lock = RunLock::take(&self.path)?;
        let base = self.path.join(BASE);
        if let Some(model) = given.base
            && self.is_begun()
            && base.is_file()
            // A file from before models had their encoder, or their framing, has none.
            && Model::load(&base)?.with_encoder(model.encoder()).with_framing(model.framing())
                != *model
        {
            return Err(Error::Mismatch {
                what: "model to start from",
                expected: format!("the one the run was started from, {}", base.display()),
                found: "another one".into(),
            });
        }
        let trainer = self.path.join(TRAINER);
        if trainer.is_file() {
            // The weights of the checkpoint have taken the place of those it began with.
            let trained = self.checkpoint_path().is_file();
            read_json::<Identity>(&trainer)?.check(&trainer, given.identity, !trained)?;
        }
        Ok(lock)
    }

    /// Makes the folder of a new run, empty but for files that no run writes, and locks it.
    fn make_room(&self, start: Start) -> Result<RunLock> {
        let path = &self.path;
        let used = || [CONFIG, TRAINER].iter().any(|file| path.join(file).exists());
        let in_use = || Err(Error::FolderInUse { path: path.clone() });
        if !used() && path.exists() {
            let names = self.names()?;
            // Of a run of a program that was killed as it began.
            let killed = |name: &str| BEGINNING.contains(&name) && path.join(LOCK).exists();
            let is_ours = |name: &str| name == LOCK || name.starts_with(PARTIAL) || killed(name);
            if names.iter().any(|name| !is_ours(name)) {
                return Err(Error::ForeignFolder { path: path.clone() });
            }
        }
        if used() && start == Start::New {
            return in_use();
        }
        fs_err::create_dir_all(path)?;
        let lock = RunLock::take(path)?;
        if used() && start == Start::New {
            return in_use(); // which began a moment ago
        }
        self.remove_stages()?;
        self.remove_files()?;
        Ok(lock)
    }

    /// Removes the stages before this one, the first of them first: a run without it that is killed
    /// here is still whole.
    fn remove_stages(&self) -> Result<()> {
        for name in [CROSSOVER, TWIN] {
            let stage = Self { path: self.path.join(name) };
            if Self::open(&stage.path).is_ok() {
                let _lock = RunLock::take(&stage.path)?;
                stage.remove_stages()?;
                stage.remove_files()?;
                stage.remove(|name| name == LOCK || name.starts_with(PARTIAL))?;
                if stage.names()?.is_empty() {
                    fs_err::remove_dir(&stage.path)?;
                }
            }
        }
        Ok(())
    }

    /// Removes everything that a run writes.
    fn remove_files(&self) -> Result<()> {
        FILES.iter().try_for_each(|file| self.remove(|name| name == *file))
    }

    /// Copies a finished run without its checkpoint to the folder `path`, which is made. A copy
    /// that is cut off has no result: it is a run that is not finished, and may be copied again.
    ///
    /// # Errors
    /// The run is not finished, or a file cannot be read or written.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        if self.result()?.is_none() {
            return Err(Error::Unfinished { path: self.path.clone() });
        }
        fs_err::create_dir_all(path)?;
        // What the copy replaces must not go on from there.
        let replaced = Self { path: path.to_path_buf() };
        replaced.remove(|name| [CHECKPOINT, RESULT].contains(&name))?;
        // In the order in which a run writes them, the result last.
        let copied = FILES.iter().rev().filter(|file| ![CHECKPOINT, RESULT].contains(file));
        for file in copied.chain([&RESULT]) {
            let source = self.path.join(file);
            if source.is_file() {
                write_atomically(&path.join(file), &fs_err::read(source)?)?;
            }
        }
        Ok(())
    }

    /// The paths in the folder of all files of the run and of the stages before it.
    pub(crate) fn all_files(&self) -> Result<Vec<String>> {
        let is_file = |file: &&&str| self.path.join(file).is_file();
        let mut files: Vec<String> =
            FILES.iter().filter(is_file).map(ToString::to_string).collect();
        for name in [CROSSOVER, TWIN] {
            if let Ok(stage) = Self::open(self.path.join(name)) {
                files.extend(stage.all_files()?.iter().map(|file| format!("{name}/{file}")));
            }
        }
        Ok(files)
    }

    /// The twin of a staged run; `None` for other runs, and before it begins.
    pub fn twin(&self) -> Option<Self> {
        match Self::open(self.path.join(CROSSOVER)) {
            Ok(stage) => stage.twin(),
            Err(_) => Self::open(self.path.join(TWIN)).ok(),
        }
    }

    /// `true` if the folder has everything that the run was started with: `trainer.json` is written
    /// last. Older versions, which wrote none, had nothing to keep once there was a checkpoint.
    fn is_begun(&self) -> bool {
        [TRAINER, CHECKPOINT].iter().any(|file| self.path.join(file).is_file())
    }

    /// The folder of a run that goes on with what it was started with.
    pub(crate) fn begun(path: &Path, start: Start) -> Option<Self> {
        let folder = Self { path: path.to_path_buf() };
        (start == Start::Resume && folder.is_begun()).then_some(folder)
    }

    /// Keeps what the run was started with, unless it is there.
    fn keep(&self, beginning: &Beginning<'_>) -> Result<()> {
        let begun = self.is_begun();
        let lacks = |file: &str| !begun || !self.path.join(file).is_file();
        if let Some(config) = beginning.config.filter(|_| lacks(CONFIG)) {
            write_atomically(&self.path.join(CONFIG), config.to_toml()?.as_bytes())?;
        }
        if let Some(graph) = beginning.network.filter(|_| lacks(NETWORK)) {
            write_json(&self.path.join(NETWORK), graph)?;
        }
        for (file, model) in [(BASE, beginning.base), (TEACHER, beginning.teacher)] {
            if let Some(model) = model.filter(|_| lacks(file)) {
                model.save(self.path.join(file))?;
            }
        }
        if lacks(INFO) {
            write_json(&self.path.join(INFO), beginning.info)?;
        }
        if lacks(TRAINER) {
            write_json(&self.path.join(TRAINER), beginning.identity)?;
        }
        Ok(())
    }

    /// Names of what is in the folder.
    fn names(&self) -> Result<Vec<String>> {
        let entries = fs_err::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn remove(&self, which: impl Fn(&str) -> bool) -> Result<()> {
        for name in self.names()?.iter().filter(|name| which(name)) {
            fs_err::remove_file(self.path.join(name))?;
        }
        Ok(())
    }

    /// The checkpoint; `None` if the run was stopped before its first.
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let path = self.path.join(CHECKPOINT);
        if path.is_file() { Checkpoint::load(&path).map(Some) } else { Ok(None) }
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// The graph of the network's file, if the run was started with one.
    pub(crate) fn network(&self) -> Option<PathBuf> {
        Some(self.path.join(NETWORK)).filter(|path| path.is_file())
    }

    /// The model that the run was started from, if it was started from one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn base(&self) -> Result<Option<Model>> {
        self.kept(BASE)
    }

    /// The teacher, if the run has one.
    pub(crate) fn teacher(&self) -> Result<Option<Model>> {
        self.kept(TEACHER)
    }

    fn kept(&self, file: &str) -> Result<Option<Model>> {
        let path = self.path.join(file);
        if path.is_file() { Ok(Some(Model::load(path)?)) } else { Ok(None) }
    }

    /// The event file as of a checkpoint.
    pub(crate) fn events(&self, bytes: u64) -> Result<EventFile> {
        EventFile::open(&self.path.join(EVENTS), bytes)
    }

    /// Draws the figures of the epochs so far; `sites` are those of the graph in order, each with
    /// whether it spikes.
    pub(crate) fn write_figures(&self, sites: &[(&str, bool)]) -> Result<()> {
        let metrics = self.metrics()?;
        write_atomically(&self.path.join(CURVES), figures::curves(&metrics).as_bytes())?;
        if let Some(rates) = figures::firing_rates(&metrics, sites) {
            write_atomically(&self.path.join(RATES), rates.as_bytes())?;
        }
        Ok(())
    }

    pub(crate) fn write_model(&self, model: &Model) -> Result<()> {
        Ok(model.save(self.model_path())?)
    }

    pub(crate) fn write_result(&self, result: &RunResult) -> Result<()> {
        write_json(&self.path.join(RESULT), result)
    }

    /// Writes the line of an epoch in the place that it has: lines after it were written by a run
    /// that was stopped before its next checkpoint, and are written again.
    pub(crate) fn write_metrics(&self, metrics: &EpochMetrics) -> Result<()> {
        let path = self.path.join(METRICS);
        let mut lines = self.metrics()?;
        lines.truncate(metrics.epoch - 1);
        lines.push(metrics.clone());
        if lines.len() != metrics.epoch {
            let reason = format!(
                "expected a line for each of {} epochs, found {}",
                metrics.epoch - 1,
                lines.len() - 1
            );
            return Err(Error::Damaged { path, reason });
        }
        let lines = lines.iter().map(|line| to_json(&path, line)).collect::<Result<Vec<_>>>()?;
        Ok(write_atomically(&path, (lines.join("\n") + "\n").as_bytes())?)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse(path, &fs_err::read_to_string(path)?)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|e| Error::Damaged { path: path.to_path_buf(), reason: e.to_string() })
}

fn to_json<T: Serialize>(path: &Path, value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::Damaged { path: path.to_path_buf(), reason: e.to_string() })
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::Damaged { path: path.to_path_buf(), reason: e.to_string() })?;
    Ok(write_atomically(path, (text + "\n").as_bytes())?)
}
