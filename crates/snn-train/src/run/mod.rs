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
use crate::error::{Error, Result};
use crate::run::checkpoint::Checkpoint;
use crate::run::identity::Identity;
use crate::run::lock::{LOCK, RunLock};
use crate::run::metrics::{EpochMetrics, RunInfo, RunResult};
use crate::run::tensorboard::EventFile;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snn_ir::Model;
use snn_ir::write_atomically;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";
const INFO: &str = "run.json";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
const RESULT: &str = "result.json";
const BASE: &str = "base.safetensors";
const TEACHER: &str = "teacher.safetensors";
const TRAINER: &str = "trainer.json";
/// `TensorBoard` reads files with `tfevents` in their name.
const EVENTS: &str = "events.out.tfevents.snn";
const CURVES: &str = "curves.svg";
const RATES: &str = "firing_rates.svg";
/// Everything a run writes; last what a run is known by, so that a half-removed one still is.
const FILES: [&str; 12] = [
    RESULT, BASE, TEACHER, RATES, CURVES, EVENTS, MODEL, CHECKPOINT, METRICS, INFO, TRAINER, CONFIG,
];
/// How the names of files begin that are being written (`write_atomically`).
const PARTIAL: &str = ".partial-";

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

/// The folder of a run: `config.toml` (of a run that has one), `trainer.json` (what it was started
/// with), `run.json`, `metrics.jsonl`, `checkpoint.safetensors`, `model.safetensors`, the event
/// file of `TensorBoard`, `curves.svg`, `firing_rates.svg`, once it has finished `result.json`, for
/// fine-tuning and `start_from` `base.safetensors`, the model it started from, and for distillation
/// `teacher.safetensors`. Each file but that of events is written whole or not at all; that one is
/// cut back to the checkpoint on a resume.
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

    /// Makes the folder of a new run, or finds that of the run to resume and checks that it has the
    /// same config. No other process can do so while the lock lives.
    pub(crate) fn begin(
        path: &Path,
        config: Option<&RunConfig>,
        identity: &Identity,
        start: Start,
    ) -> Result<(Self, RunLock)> {
        let folder = Self { path: path.to_path_buf() };
        if start == Start::Resume {
            let run = Self::open(path)?;
            if let Some(config) = config
                && let Some((key, run, given)) = overrides::difference(&run.config()?, config)?
            {
                return Err(Error::ConfigDiffers { path: folder.path, key, run, given });
            }
            if config.is_none() && run.has_config() {
                return Err(Error::HasConfig { path: folder.path });
            }
            let lock = RunLock::take(path)?;
            folder.remove(|name| name.starts_with(PARTIAL))?;
            return Ok((folder, lock));
        }
        let in_use = || Err(Error::FolderInUse { path: path.to_path_buf() });
        let is_ours = |name: &str| name == LOCK || name.starts_with(PARTIAL);
        let used =
            |folder: &Self| [CONFIG, TRAINER].iter().any(|file| folder.path.join(file).exists());
        if !used(&folder) && path.exists() && folder.names()?.iter().any(|name| !is_ours(name)) {
            return Err(Error::ForeignFolder { path: folder.path });
        }
        if used(&folder) && start == Start::New {
            return in_use();
        }
        fs_err::create_dir_all(path)?;
        let lock = RunLock::take(path)?;
        if used(&folder) && start == Start::New {
            return in_use(); // which began a moment ago
        }
        // Only what a run writes is removed.
        folder.remove(|name| name.starts_with(PARTIAL))?;
        for file in FILES {
            folder.remove(|name| name == file)?;
        }
        if let Some(config) = config {
            write_atomically(&path.join(CONFIG), config.to_toml()?.as_bytes())?;
        }
        write_json(&path.join(TRAINER), identity)?;
        Ok((folder, lock))
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

    /// The copy of the teacher of a run in `folder`.
    pub(crate) fn teacher_path(folder: &Path) -> PathBuf {
        folder.join(TEACHER)
    }

    /// Keeps the teacher, so that a resumed run has the same, whatever becomes of its own folder.
    pub(crate) fn keep_teacher(&self, model: &Model) -> Result<()> {
        let path = Self::teacher_path(&self.path);
        if path.is_file() { Ok(()) } else { Ok(model.save(path)?) }
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

    /// Keeps the model that fine-tuning starts from, or checks that it is the one it was started
    /// from.
    pub(crate) fn keep_base(&self, model: &Model) -> Result<()> {
        let path = self.path.join(BASE);
        if !path.is_file() {
            return Ok(model.save(&path)?);
        }
        // A file from before the encoder was stored has none.
        if Model::load(&path)?.with_encoder(model.encoder()) == *model {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: "model to start from",
            expected: format!("the one the run was started from, {}", path.display()),
            found: "another one".into(),
        })
    }

    /// The model that the run was started from, if it has been kept.
    pub(crate) fn base(&self) -> Result<Option<Model>> {
        let path = self.path.join(BASE);
        if path.is_file() { Ok(Some(Model::load(path)?)) } else { Ok(None) }
    }

    /// Checks that the run was started with the same recipe, model and sources; a run from before
    /// that was kept is given it now.
    pub(crate) fn check_identity(&self, given: &Identity) -> Result<()> {
        let path = self.path.join(TRAINER);
        if !path.is_file() {
            return write_json(&path, given);
        }
        read_json::<Identity>(&path)?.check(&self.path, given)
    }

    pub(crate) fn write_info(&self, info: &RunInfo) -> Result<()> {
        write_json(&self.path.join(INFO), info)
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
