//! Errors; each names what was expected and what was found.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Names and settings
    /// Nothing of a kind has this name.
    #[error("no {what} is called `{found}`; known: {known}; did you mean `{nearest}`?")]
    UnknownName {
        /// The kind of thing that was named: a data set, a format, ….
        what: &'static str,
        /// The requested name.
        found: String,
        /// All names, separated by commas.
        known: String,
        /// The known name with the fewest edits.
        nearest: &'static str,
    },
    /// The data set needs a part of the crate that was not compiled.
    #[error("{dataset}: this build of snn-data lacks the cargo feature `{feature}`")]
    NotCompiled {
        /// The data set.
        dataset: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// A setting is outside its range.
    #[error("{field}: expected {expected}, found {found}")]
    InvalidConfig {
        /// The setting.
        field: &'static str,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },

    // Files
    /// The folder of a data set is not there.
    #[error(
        "{dataset}: no folder `{}`, and `{}` itself does not hold `{first_file}`; \
         put the official files of {dataset} there or name another data root", path.display(),
        root.display()
    )]
    MissingFolder {
        /// The data set.
        dataset: &'static str,
        /// The folder that was looked for.
        path: PathBuf,
        /// The data root.
        root: PathBuf,
        /// The file that would make the root itself the folder.
        first_file: &'static str,
    },
    /// A file of a data set is not there.
    #[error("{dataset}: file `{}` is missing", path.display())]
    MissingFile {
        /// The data set.
        dataset: &'static str,
        /// The file that was looked for.
        path: PathBuf,
    },
    /// A file has the wrong size.
    #[error("`{}`: expected {expected} bytes, found {found} ({detail})", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Size it must have, in bytes.
        expected: u64,
        /// Size it has, in bytes.
        found: u64,
        /// The same in records.
        detail: String,
    },
    /// A field of a file is not what it must be.
    #[error("`{}`: {field}: expected {expected}, found {found}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Which part of it.
        field: &'static str,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A place in a file is not what the format says.
    #[error("`{}`: byte {offset}: {field}: expected {expected}, found {found}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from its beginning (after unpacking, if it is packed).
        offset: u64,
        /// Which part of the format.
        field: &'static str,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A record has a label that is not a class.
    #[error(
        "`{}`: record {record}: expected a {kind} below {classes}, found {label}",
        path.display()
    )]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// Index of the record in the file.
        record: usize,
        /// Which label of the record.
        kind: &'static str,
        /// Number of classes.
        classes: usize,
        /// The label.
        label: i64,
    },
    /// A file of class names does not hold one name a class.
    #[error("`{}`: expected {expected} class names, one a line, found {found}", path.display())]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// Number of classes.
        expected: usize,
        /// The value found instead.
        found: String,
    },
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The list of official files that is compiled in cannot be read.
    #[error("the compiled-in manifest.toml is damaged: {0}")]
    Manifest(#[from] toml::de::Error),

    // Events
    /// Columns do not make a recording, or an event does not lie on the sensor.
    #[error("events: expected {expected}, found {found}")]
    InvalidEvents {
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },

    // Recordings
    /// No recording of a data set is there.
    #[error("{dataset}: no recording in `{}`; put the files as published there, into a folder \
             `{folders}`, or name another data root", path.display())]
    NoRecordings {
        /// The data set.
        dataset: &'static str,
        /// Where recordings were looked for.
        path: PathBuf,
        /// The names that its folder may have.
        folders: String,
    },
    /// A line of a split file is not what it must be.
    #[error("`{}`: line {line}: expected {expected}, found {found}", path.display())]
    Split {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1; 0 for the file as a whole.
        line: usize,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A sample of a set cannot be read.
    #[error("sample {index}, `{name}`: {source}")]
    Sample {
        /// Its index in the set.
        index: usize,
        /// Its name in the set.
        name: String,
        /// Why.
        source: Box<Error>,
    },

    // Images
    /// A picture file cannot be decoded.
    #[error("`{}`: {message}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Expected and found values.
        message: String,
    },
    /// Pixels and labels do not make a set of images.
    #[error("images: expected {expected}, found {found}")]
    InvalidImages {
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// An index points past the last image.
    #[error("sample index: expected below {count}, found {index}")]
    IndexOutOfRange {
        /// The index.
        index: usize,
        /// Number of images.
        count: usize,
    },

    // Loading
    /// An epoch was to start past its last batch.
    #[error(
        "first batch of epoch {epoch}: expected at most {batches} (the end), found {first_batch}"
    )]
    StartOutOfRange {
        /// The epoch.
        epoch: u64,
        /// Where it was to start.
        first_batch: usize,
        /// Number of batches in an epoch.
        batches: usize,
    },
    /// A source could not give a sample.
    #[error("batch {batch}, sample {index}: {source}")]
    Load {
        /// The batch.
        batch: usize,
        /// Index of the sample in the whole set.
        index: usize,
        /// Why.
        source: Box<Error>,
    },
    /// A transform refused a sample.
    #[error("batch {batch}, sample {index}: {source}")]
    Transform {
        /// The batch.
        batch: usize,
        /// Index of the sample in the whole set.
        index: usize,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A batch transform refused a batch.
    #[error("batch {batch}: {source}")]
    BatchTransform {
        /// The batch.
        batch: usize,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Making a batch panicked (in a worker thread or inline).
    #[error("batch {batch}{}: the loader panicked: {message}", sample(*index, name.as_deref()))]
    Panicked {
        /// The batch.
        batch: usize,
        /// Index of the sample in the whole set; `None` before the first one.
        index: Option<usize>,
        /// Its name or file, if it has one.
        name: Option<String>,
        /// The panic's message.
        message: String,
    },
    /// A worker thread ended without delivering its batch.
    #[error("batch {batch}: its loader thread is gone")]
    WorkerLost {
        /// The batch.
        batch: usize,
    },
}

fn sample(index: Option<usize>, name: Option<&str>) -> String {
    match (index, name) {
        (Some(index), Some(name)) => format!(", sample {index}, `{name}`"),
        (Some(index), None) => format!(", sample {index}"),
        (None, _) => String::new(),
    }
}
