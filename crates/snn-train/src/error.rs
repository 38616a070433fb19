//! Errors of a run.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a run; each names the key, file or step it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === Config ===
    /// A config cannot be read; the message has line and key.
    #[error("config: {0}")]
    Toml(String),
    /// A config file cannot be read as a config.
    #[error("{}: {source}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// A setting is out of range.
    #[error("config: `{key}` must be {expected}, found {found}")]
    Key {
        /// Its path.
        key: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// An override is not `key.path=value`.
    #[error("override `{set}`: expected `key.path=value`")]
    Override {
        /// The value given.
        set: String,
    },
    /// An override names a key that does not exist.
    #[error("override: there is no key `{key}`; did you mean `{nearest}`?")]
    UnknownKey {
        /// The key.
        key: String,
        /// The existing key with the fewest edits.
        nearest: String,
    },
    /// An override has a value of another type.
    #[error("override: `{key}` takes a value of type {expected}, found `{found}`")]
    OverrideType {
        /// The key.
        key: String,
        /// The type of its value.
        expected: &'static str,
        /// The value given.
        found: String,
    },

    // === Run folder ===
    /// The folder holds a run already.
    #[error("{}: holds a run already", path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds other files, which no run may replace.
    #[error("{}: holds files already that are not a run's; name another folder", path.display())]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not that of a run.
    #[error("{}: not a run folder (it has no config.toml)", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// The run was started with another config, recipe, model or data.
    #[error("{}: the run was started with `{key}` = {run}, what is to resume it has {given}; \
             resume it with what it was started with, or train in another folder", path.display())]
    RunDiffers {
        /// `config.toml` or `trainer.json` in its folder.
        path: PathBuf,
        /// The first key of the file that differs.
        key: String,
        /// Its value in the run.
        run: String,
        /// Its value now.
        given: String,
    },
    /// The run was not started from a config.
    #[error("{}: the run has no config.toml: a program started it with a trainer of its own, and \
             resumes it", path.display())]
    NoConfig {
        /// The folder.
        path: PathBuf,
    },
    /// The run was started from a config.
    #[error("{}: the run was started from its config.toml; resume it with that", path.display())]
    HasConfig {
        /// The folder.
        path: PathBuf,
    },
    /// A run that must be finished is not.
    #[error("{}: the run is not finished; finish it first with `--resume`", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in the folder.
    #[error("{}: another process is training in it", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file of a run is damaged.
    #[error("{}: damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },

    // === Training ===
    /// The loss is no longer a number.
    #[error("epoch {epoch}, step {step}: the loss is {loss}; lower `optimiser.learning_rate`")]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The step in the epoch, from 1.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// Fine-tuned weights no longer make a model on the grid.
    #[error(
        "epoch {epoch}: the fine-tuned weights have left the grid: {source}; lower the learning \
         rate (the folder keeps the model of the epoch before)"
    )]
    LeftGrid {
        /// The epoch, from 1.
        epoch: usize,
        /// Which bound they break.
        source: snn_core::Error,
    },
    /// The teacher cannot teach this run.
    #[error("`distillation.teacher` {}: expected {expected}, found {found}", path.display())]
    Teacher {
        /// Its folder.
        path: PathBuf,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// The weights to start from do not fit the network.
    #[error("`start_from` {}: expected {expected}, found {found}", path.display())]
    StartFrom {
        /// The run or file.
        path: PathBuf,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// The graph of a file does not fit the data.
    #[error("`network.path` {}: expected {expected}, found {found}", path.display())]
    NetworkFile {
        /// The file.
        path: PathBuf,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// The samples of a source do not fit the model.
    #[error("{part} samples: expected {expected}, found {found}")]
    Samples {
        /// Training, validation or test.
        part: &'static str,
        /// Input of the model.
        expected: String,
        /// Samples of the source.
        found: String,
    },
    /// A sample of a source cannot be read.
    #[error("{part} sample {index}{}: {source}", named(name.as_deref()))]
    Sample {
        /// Training, validation or test.
        part: &'static str,
        /// Its index in the whole set.
        index: usize,
        /// Its name or file, if it has one.
        name: Option<String>,
        /// Why.
        source: Box<snn_data::Error>,
    },
    /// A sample has a label that is not a class of the model.
    #[error(
        "{part} sample {index}: expected a label below {classes}, the number of classes of \
             the model, found {label}"
    )]
    Label {
        /// Training, validation, test or evaluated.
        part: &'static str,
        /// Its index in the whole set.
        index: usize,
        /// Number of classes.
        classes: usize,
        /// Its label.
        label: i64,
    },
    /// The data does not fit the config or the model.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// The part that does not fit.
        what: &'static str,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },

    // === Below ===
    /// The graph or the model is invalid, or a file cannot be written.
    #[error(transparent)]
    Model(#[from] snn_ir::Error),
    /// The policy cannot be applied.
    #[error(transparent)]
    Policy(#[from] snn_hybrid::Error),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] snn_data::Error),
    /// The interpreter failed.
    #[error(transparent)]
    Core(#[from] snn_core::Error),
    /// libtorch failed; the first line of its message.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The operating system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Says of an error in making a model of fine-tuned weights in which epoch (from 1) it was.
    pub(crate) fn of_epoch(self, epoch: usize) -> Self {
        match self {
            Error::Core(source @ snn_core::Error::Model(_)) => Error::LeftGrid { epoch, source },
            other => other,
        }
    }
}

fn named(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(", `{name}`"))
}

impl From<tch::TchError> for Error {
    /// Keeps the message and drops the C++ trace that follows it.
    fn from(error: tch::TchError) -> Self {
        Error::Torch(error.to_string().lines().next().unwrap_or_default().to_string())
    }
}
