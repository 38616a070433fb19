//! Checking the files of a data root against the official ones.

use crate::cifar::{CIFAR10, CIFAR100};
use crate::idx::{FASHION_MNIST, MNIST};
use crate::{DatasetName, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The official files: compiled in, and published with the crate (`datasets/manifest.toml` of the repository links here).
const MANIFEST: &str = include_str!("../manifest.toml");
/// Bytes read at a time, whatever a file's size.
const CHUNK_BYTES: usize = 1 << 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    file: Vec<ManifestFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    dataset: DatasetName,
    name: String,
    bytes: u64,
    sha256: Option<String>,
    /// What may stand in its place.
    unpacked: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    name: String,
    bytes: u64,
    sha256: Option<String>,
}

/// What was found in the place of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum FileStatus {
    /// Size and checksum are the official ones.
    Ok,
    /// The size is the official one; no official checksum is known.
    OkSizeOnly,
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
        /// Official SHA-256.
        expected: String,
        /// SHA-256 found.
        found: String,
    },
    /// The file cannot be read.
    Unreadable {
        /// What the operating system says.
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
    /// What was found.
    #[serde(flatten)]
    pub status: FileStatus,
}

/// What [`check`] found; `Display` prints one line a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The data root.
    pub root: PathBuf,
    /// Every file, in the order of the manifest; empty for a set that needs none.
    pub files: Vec<FileReport>,
}

impl Report {
    /// Whether every file is as it should be.
    pub fn is_ok(&self) -> bool {
        self.files.iter().all(|file| matches!(file.status, FileStatus::Ok | FileStatus::OkSizeOnly))
    }
}

/// Compares the files under `root` with the official ones: of one data set, or of all.
///
/// Files are read in pieces, so memory stays small. What is wrong with a file is in the report, not an error.
///
/// # Errors
/// [`Error::Manifest`](crate::Error::Manifest) if the compiled-in list is damaged.
pub fn check(root: &Path, dataset: Option<DatasetName>) -> Result<Report> {
    let manifest: Manifest = toml::from_str(MANIFEST)?;
    let files = manifest
        .file
        .into_iter()
        .filter(|file| dataset.is_none_or(|wanted| wanted == file.dataset))
        .map(|file| {
            let folder = folder_of(root, file.dataset);
            let packed = Content { name: file.name, bytes: file.bytes, sha256: file.sha256 };
            // The readers prefer the unpacked file, so it is the one to check.
            let official = file.unpacked.filter(|unpacked| folder.join(&unpacked.name).is_file()).unwrap_or(packed);
            let path = folder.join(&official.name);
            let status = status_of(&path, &official)
                .unwrap_or_else(|error| FileStatus::Unreadable { message: error.to_string() });
            FileReport { dataset: file.dataset, path, status }
        })
        .collect();
    Ok(Report { root: root.to_owned(), files })
}

/// The folder of a data set, or where it should be.
fn folder_of(root: &Path, dataset: DatasetName) -> PathBuf {
    let (located, folder) = match dataset {
        DatasetName::Cifar10 => (CIFAR10.locate(root), CIFAR10.folder),
        DatasetName::Cifar100 => (CIFAR100.locate(root), CIFAR100.folder),
        DatasetName::Mnist => (MNIST.locate(root), MNIST.dataset),
        DatasetName::FashionMnist => (FASHION_MNIST.locate(root), FASHION_MNIST.dataset),
        DatasetName::Shapes10 => return root.to_owned(),
    };
    located.unwrap_or_else(|_| root.join(folder))
}

fn status_of(path: &Path, official: &Content) -> std::io::Result<FileStatus> {
    if !path.exists() {
        return Ok(FileStatus::Missing);
    }
    if !path.is_file() {
        return Ok(FileStatus::Unreadable { message: "not a file".into() });
    }
    let file = fs::File::open(path)?;
    let found = file.metadata()?.len();
    if found != official.bytes {
        return Ok(FileStatus::WrongSize { expected: official.bytes, found });
    }
    let Some(expected) = official.sha256.clone() else {
        return Ok(FileStatus::OkSizeOnly);
    };
    let found = sha256_of(file)?;
    Ok(if found == expected { FileStatus::Ok } else { FileStatus::WrongChecksum { expected, found } })
}

fn sha256_of(mut file: fs::File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
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
            writeln!(formatter, "{:<13}  {}  {}", file.dataset, file.path.display(), file.status)?;
        }
        if self.files.is_empty() {
            writeln!(formatter, "no files needed")?;
        }
        Ok(())
    }
}
