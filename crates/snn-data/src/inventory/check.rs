//! Checking the files of a data root against the official ones.

use super::list::{Part, parts};
use super::official::{OfficialFile, is_there, official};
use crate::Result;
use crate::sets::cifar::CifarForm;
use crate::sets::{DatasetName, Form};
use fs_err as fs;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes read at a time, whatever a file's size.
const CHUNK_BYTES: usize = 1 << 16;
/// Form of sets whose archives are read in place, in part or together with folders.
const ARCHIVES: &str = "archives";

/// State of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum FileStatus {
    /// Size and SHA-256 are the official ones.
    Ok,
    /// The size is the official one; no official checksum is known.
    OkSizeOnly,
    /// The MD5 is the official one.
    OkMd5,
    /// There is no such file.
    Missing,
    /// The size is another (the checksum is not computed then).
    WrongSize {
        /// Official size in bytes.
        expected: u64,
        /// Size found in bytes.
        found: u64,
    },
    /// The content is another.
    WrongChecksum {
        /// Official SHA-256, or MD5 where only that is known.
        expected: String,
        /// The one found.
        found: String,
    },
    /// The file cannot be read.
    Unreadable {
        /// Message of the operating system.
        message: String,
    },
}

/// One file of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// The data set it belongs to.
    pub dataset: DatasetName,
    /// Where it was looked for.
    pub path: PathBuf,
    /// The value found.
    #[serde(flatten)]
    pub status: FileStatus,
}

/// Result of [`check`]; `Display` prints one line a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The data root.
    pub root: PathBuf,
    /// Files with official sizes or checksums, in the order of the manifest: those of each form
    /// that is there, or of the first one if none is.
    pub files: Vec<FileReport>,
    /// Splits of sets of many files, which are counted.
    pub parts: Vec<Part>,
}

impl Report {
    /// `true` if every file and every number is as it should be.
    pub fn is_ok(&self) -> bool {
        let ok = |file: &FileReport| {
            matches!(file.status, FileStatus::Ok | FileStatus::OkMd5 | FileStatus::OkSizeOnly)
        };
        self.files.iter().all(ok) && self.parts.iter().all(Part::is_ok)
    }
}

/// Compares what is under `root` with the official files: of one data set, or of all. Every form of
/// a set that is there is checked; recordings and pictures in folders have no official checksums
/// and are counted.
///
/// Files are read in pieces, so memory stays small. What is wrong with a file is in the report, not
/// an error.
///
/// # Errors
/// [`Error::Manifest`](crate::Error::Manifest) if the compiled-in list is damaged.
pub fn check(root: &Path, dataset: Option<DatasetName>) -> Result<Report> {
    let mut report = Report { root: root.to_owned(), files: Vec::new(), parts: Vec::new() };
    for set in DatasetName::published().filter(|&set| dataset.is_none_or(|wanted| wanted == set)) {
        let files = official(root, set)?;
        let counted = match set.spec().form {
            Form::Cifar(layout) => layout.place(root, CifarForm::Pictures).is_some(),
            Form::Idx(_) | Form::Shapes => false,
            Form::Recordings(_) | Form::Pictures(_) => true,
        };
        if counted {
            report.parts.extend(parts(root, set));
        }
        let first = files.first().map(|file| file.form.clone()).unwrap_or_default();
        let none = !files.iter().any(|file| is_there(root, set, &file.form, &files));
        let wanted = |file: &&OfficialFile| match file.form.as_str() {
            // Archives that are read together with folders need not all be there: the splits say
            // what is missing.
            ARCHIVES => file.found_bytes.is_some(),
            form if none => !counted && form == first,
            form => is_there(root, set, form, &files),
        };
        for file in files.iter().filter(wanted) {
            let status = status_of(file)
                .unwrap_or_else(|error| FileStatus::Unreadable { message: error.to_string() });
            report.files.push(FileReport { dataset: set, path: file.path.clone(), status });
        }
    }
    Ok(report)
}

fn status_of(official: &OfficialFile) -> std::io::Result<FileStatus> {
    let path = &official.path;
    if !path.exists() {
        return Ok(FileStatus::Missing);
    }
    if !path.is_file() {
        return Ok(FileStatus::Unreadable { message: "not a file".into() });
    }
    let file = fs::File::open(path)?;
    let found = file.metadata()?.len();
    if let Some(expected) = official.bytes.filter(|&bytes| bytes != found) {
        return Ok(FileStatus::WrongSize { expected, found });
    }
    let (expected, found, ok) = match (&official.sha256, &official.md5) {
        (Some(expected), _) => (expected.clone(), sum_of::<Sha256>(file)?, FileStatus::Ok),
        (None, Some(expected)) => (expected.clone(), sum_of::<Md5>(file)?, FileStatus::OkMd5),
        (None, None) => return Ok(FileStatus::OkSizeOnly),
    };
    Ok(if found == expected { ok } else { FileStatus::WrongChecksum { expected, found } })
}

fn sum_of<D: Digest>(mut file: fs::File) -> std::io::Result<String> {
    let mut hash = D::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

impl fmt::Display for FileStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => write!(formatter, "ok"),
            Self::OkMd5 => write!(formatter, "ok (MD5)"),
            Self::OkSizeOnly => write!(formatter, "ok (size only: no official checksum is known)"),
            Self::Missing => write!(formatter, "missing"),
            Self::WrongSize { expected, found } => {
                write!(formatter, "wrong size: expected {expected} bytes, found {found}")
            }
            Self::WrongChecksum { expected, found } => {
                write!(formatter, "wrong checksum: expected {expected}, found {found}")
            }
            Self::Unreadable { message } => write!(formatter, "unreadable: {message}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(formatter, "{:<14}  {}  {}", file.dataset, file.path.display(), file.status)?;
        }
        for part in &self.parts {
            let Part { dataset, part, path, expected, found, message, .. } = part;
            let verdict = if found == expected { "ok" } else { "wrong number" };
            write!(
                formatter,
                "{dataset:<14}  {}  {verdict}: {found} of {expected} in `{part}`",
                path.display()
            )?;
            let reason = message.as_ref().map_or(String::new(), |message| format!(" ({message})"));
            writeln!(formatter, "{reason}")?;
        }
        if self.files.is_empty() && self.parts.is_empty() {
            writeln!(formatter, "no files needed")?;
        }
        Ok(())
    }
}
