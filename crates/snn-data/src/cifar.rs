//! CIFAR-10 and CIFAR-100 in the official binary form.

use crate::images::{Images, Split};
use crate::{Error, Result};
use fs_err as fs;
use ndarray::Array4;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of one image: planes R, G, B of 32×32.
const IMAGE_BYTES: usize = 3 * 32 * 32;
/// A file of class names larger than this is something else.
const MAX_NAMES_BYTES: u64 = 1 << 16;

/// The files of a data set in CIFAR's binary form, and their records.
///
/// A record is its labels, one byte each, then 3,072 bytes of pixels: the planes R, G, B, rows from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CifarLayout {
    /// Name of the data set, for messages.
    pub dataset: &'static str,
    /// Name of the folder in the data root.
    pub folder: &'static str,
    /// Files of the training split, in order.
    pub train_files: &'static [&'static str],
    /// Files of the test split, in order.
    pub test_files: &'static [&'static str],
    /// Records in every training file.
    pub train_records: usize,
    /// Records in every test file.
    pub test_records: usize,
    /// The labels of a record, in order: what each is called and its number of classes. The last one is used.
    pub labels: &'static [(&'static str, u16)],
    /// The file of class names, for the last label.
    pub names_file: &'static str,
}

/// CIFAR-10.
pub const CIFAR10: CifarLayout = CifarLayout {
    dataset: "cifar-10",
    folder: "cifar-10-batches-bin",
    train_files: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test_files: &["test_batch.bin"],
    train_records: 10_000,
    test_records: 10_000,
    labels: &[("label", 10)],
    names_file: "batches.meta.txt",
};

/// CIFAR-100 with its hundred fine classes; the coarse label is checked and dropped.
pub const CIFAR100: CifarLayout = CifarLayout {
    dataset: "cifar-100",
    folder: "cifar-100-binary",
    train_files: &["train.bin"],
    test_files: &["test.bin"],
    train_records: 50_000,
    test_records: 10_000,
    labels: &[("coarse label", 20), ("fine label", 100)],
    names_file: "fine_label_names.txt",
};

impl CifarLayout {
    /// The folder with the files: `root/folder`, or `root` itself if it holds the first training file.
    ///
    /// # Errors
    /// [`Error::MissingFolder`] if it is neither.
    pub fn locate(&self, root: &Path) -> Result<PathBuf> {
        let path = root.join(self.folder);
        if path.is_dir() {
            return Ok(path);
        }
        let first_file = self.train_files.first().copied().unwrap_or(self.names_file);
        if root.join(first_file).is_file() {
            return Ok(root.to_owned());
        }
        Err(Error::MissingFolder { dataset: self.dataset, path, root: root.to_owned(), first_file })
    }

    /// Reads one split from the folder that [`locate`](Self::locate) found.
    ///
    /// All sizes are checked before memory is allocated.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::WrongSize`], [`Error::LabelOutOfRange`] or [`Error::Io`], naming the file.
    pub fn read(&self, folder: &Path, split: Split) -> Result<Images> {
        let (files, records) = match split {
            Split::Train => (self.train_files, self.train_records),
            Split::Test => (self.test_files, self.test_records),
        };
        let opened = files.iter().map(|file| self.open(&folder.join(file), records)).collect::<Result<Vec<_>>>()?;
        let count = files.len() * records;
        let mut pixels = Array4::zeros((count, 3, 32, 32));
        let mut labels = Vec::with_capacity(count);
        let mut images = pixels.as_slice_mut().unwrap_or_default().chunks_exact_mut(IMAGE_BYTES);
        for file in opened {
            let path = file.path().to_owned();
            let mut reader = BufReader::with_capacity(1 << 16, file);
            for (record, image) in images.by_ref().take(records).enumerate() {
                labels.push(self.read_label(&mut reader, &path, record)?);
                reader.read_exact(image)?;
            }
        }
        let classes = self.labels.last().map_or(0, |&(_, classes)| usize::from(classes));
        Images::new(pixels, labels, classes)
    }

    /// Reads the class names from the folder that [`locate`](Self::locate) found.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::ClassNames`] or [`Error::Io`], naming the file.
    pub fn read_names(&self, folder: &Path) -> Result<Vec<String>> {
        let path = folder.join(self.names_file);
        let expected = self.labels.last().map_or(0, |&(_, classes)| usize::from(classes));
        let wrong = |found: String| Error::ClassNames { path: path.clone(), expected, found };
        if !path.is_file() {
            return Err(Error::MissingFile { dataset: self.dataset, path });
        }
        let mut bytes = Vec::new();
        fs::File::open(&path)?.take(MAX_NAMES_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_NAMES_BYTES {
            return Err(wrong(format!("more than {MAX_NAMES_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if names.len() != expected {
            return Err(wrong(format!("{} names", names.len())));
        }
        Ok(names)
    }

    fn open(&self, path: &Path, records: usize) -> Result<fs::File> {
        if !path.is_file() {
            return Err(Error::MissingFile { dataset: self.dataset, path: path.to_owned() });
        }
        let file = fs::File::open(path)?;
        let record_bytes = (self.labels.len() + IMAGE_BYTES) as u64;
        let expected = records as u64 * record_bytes;
        let found = file.metadata()?.len();
        if found == expected {
            return Ok(file);
        }
        let detail = if found.is_multiple_of(record_bytes) {
            format!("{} records of {record_bytes} bytes instead of {records}", found / record_bytes)
        } else {
            format!("not a whole number of records of {record_bytes} bytes")
        };
        Err(Error::WrongSize { path: path.to_owned(), expected, found, detail })
    }

    /// Reads and checks the labels of a record; returns the last.
    fn read_label(&self, reader: &mut impl std::io::Read, path: &Path, record: usize) -> Result<u16> {
        let mut used = 0;
        for &(kind, classes) in self.labels {
            let mut byte = [0];
            reader.read_exact(&mut byte)?;
            used = u16::from(byte[0]);
            if used >= classes {
                return Err(Error::LabelOutOfRange {
                    path: path.to_owned(),
                    record,
                    kind,
                    classes: usize::from(classes),
                    label: byte[0],
                });
            }
        }
        Ok(used)
    }
}
