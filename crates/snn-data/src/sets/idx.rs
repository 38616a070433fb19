//! MNIST and Fashion-MNIST in their official IDX files, plain or as gzip.

use crate::images::{Images, Split};
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use fs_err as fs;
use ndarray::Array4;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// First bytes of an IDX file of unsigned bytes, before its number of axes.
const MAGIC: [u8; 3] = [0, 0, 8];
/// Suffix of the official, compressed files.
const GZIP: &str = ".gz";

/// The files of a data set in IDX form: of each split one file of images `[N, H, W]` and one of
/// labels `[N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdxLayout {
    /// Name of the data set, for messages.
    pub dataset: &'static str,
    /// Names of the folder in the data root; the first one is for messages.
    pub folders: &'static [&'static str],
    /// Files of the training split, images and labels, without `.gz`.
    pub train_files: [&'static str; 2],
    /// Files of the test split, images and labels, without `.gz`.
    pub test_files: [&'static str; 2],
    /// Images of the training split.
    pub train_images: usize,
    /// Images of the test split.
    pub test_images: usize,
    /// Height and width of an image.
    pub size: [usize; 2],
    /// Class names, by label.
    pub classes: &'static [&'static str],
}

/// MNIST (`LeCun` et al. 1998).
pub const MNIST: IdxLayout = IdxLayout {
    dataset: "mnist",
    folders: &["mnist", "MNIST/raw"],
    train_files: ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    test_files: ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
    train_images: 60_000,
    test_images: 10_000,
    size: [28, 28],
    classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
};

/// Fashion-MNIST (Xiao et al. 2017): files of the same names and sizes as MNIST's.
pub const FASHION_MNIST: IdxLayout = IdxLayout {
    dataset: "fashion-mnist",
    folders: &["fashion-mnist", "FashionMNIST/raw"],
    classes: &[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    ..MNIST
};

impl IdxLayout {
    /// The folder with the files: one of `folders` in `root`, or `root` itself if it holds the
    /// training images.
    ///
    /// # Errors
    /// [`Error::MissingFolder`] if it is none of these.
    pub fn locate(&self, root: &Path) -> Result<PathBuf> {
        let candidates = || self.folders.iter().map(|folder| root.join(folder));
        if let Some(folder) = candidates().find(|folder| folder.is_dir()) {
            return Ok(folder);
        }
        let [first_file, _] = self.train_files;
        if stored(root, first_file).is_some() {
            return Ok(root.to_owned());
        }
        let path = candidates().next().unwrap_or_else(|| root.to_owned());
        Err(Error::MissingFolder { dataset: self.dataset, path, root: root.to_owned(), first_file })
    }

    /// Reads one split from the folder that [`locate`](Self::locate) found; a plain file is
    /// preferred to a `.gz`.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Parse`], [`Error::LabelOutOfRange`] or [`Error::Io`],
    /// naming the file.
    pub fn read(&self, folder: &Path, split: Split) -> Result<Images> {
        let ([images, labels], count) = match split {
            Split::Train => (self.train_files, self.train_images),
            Split::Test => (self.test_files, self.test_images),
        };
        let [height, width] = self.size;
        let labels = self.labels(folder, labels, count)?;
        let (path, reader) = self.open(folder, images)?;
        let pixels = read_idx(reader, &path, &[count, height, width])?;
        let pixels =
            Array4::from_shape_vec((count, 1, height, width), pixels).map_err(|error| {
                Error::InvalidImages {
                    expected: format!("{count} images"),
                    found: error.to_string(),
                }
            })?;
        Images::new(pixels, labels, self.classes.len())
    }

    fn labels(&self, folder: &Path, file: &str, count: usize) -> Result<Vec<u16>> {
        let (path, reader) = self.open(folder, file)?;
        let labels = read_idx(reader, &path, &[count])?;
        let classes = self.classes.len();
        if let Some(record) = labels.iter().position(|&label| usize::from(label) >= classes) {
            return Err(Error::LabelOutOfRange {
                path,
                record,
                kind: "label",
                classes,
                label: labels[record].into(),
            });
        }
        Ok(labels.into_iter().map(u16::from).collect())
    }

    fn open(&self, folder: &Path, file: &str) -> Result<(PathBuf, Box<dyn Read>)> {
        let Some(path) = stored(folder, file) else {
            return Err(Error::MissingFile { dataset: self.dataset, path: folder.join(file) });
        };
        let compressed = path.extension().is_some_and(|extension| extension == "gz");
        let reader = BufReader::with_capacity(1 << 16, fs::File::open(&path)?);
        Ok((
            path,
            if compressed { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) },
        ))
    }
}

/// Where a file is stored: plain, or as gzip.
fn stored(folder: &Path, file: &str) -> Option<PathBuf> {
    [folder.join(file), folder.join(format!("{file}{GZIP}"))]
        .into_iter()
        .find(|path| path.is_file())
}

/// Reads an IDX file of unsigned bytes whose axes have the sizes `expected`; `path` is for
/// messages.
///
/// The format: two zeros, the type (8: unsigned byte), the number of axes, the size of each axis
/// (32 bits, most significant byte first), then the values, last axis fastest. Memory is made for
/// what is expected, not for what the file claims, and a compressed file is unpacked no further.
///
/// # Errors
/// [`Error::Parse`] naming the offset (unpacked) if the file is not that: another magic number,
/// other sizes, too few or too many bytes.
pub fn read_idx(mut reader: impl Read, path: &Path, expected: &[usize]) -> Result<Vec<u8>> {
    let wrong = |offset: usize, field: &'static str, expected: String, found: String| {
        Err(Error::Parse { path: path.to_owned(), offset: offset as u64, field, expected, found })
    };
    let axes = expected.len();
    let mut header = vec![0; 4 + 4 * axes];
    let found = fill(&mut reader, &mut header, 0, path)?;
    let (magic, sizes) = header.split_at(4);
    if found >= 4 && (magic[..3] != MAGIC || usize::from(magic[3]) != axes) {
        let expected = format!("0, 0, 8, {axes} (unsigned bytes in {axes} axes)");
        return wrong(
            0,
            "magic number",
            expected,
            format!("{}, {}, {}, {}", magic[0], magic[1], magic[2], magic[3]),
        );
    }
    if found < header.len() {
        return wrong(
            found,
            "header",
            format!("{} bytes", header.len()),
            format!("{found} bytes, then the end"),
        );
    }
    for (axis, (size, &expected)) in sizes.as_chunks().0.iter().zip(expected).enumerate() {
        let size = u32::from_be_bytes(*size);
        if usize::try_from(size) != Ok(expected) {
            return wrong(4 + 4 * axis, "size of an axis", expected.to_string(), size.to_string());
        }
    }
    let mut values = vec![0; expected.iter().product()];
    let start = header.len();
    let found = fill(&mut reader, &mut values, start, path)?;
    if found < values.len() {
        return wrong(
            start + found,
            "values",
            format!("{} bytes", values.len()),
            format!("{found} bytes, then the end"),
        );
    }
    let end = start + values.len();
    if fill(&mut reader, &mut [0], end, path)? > 0 {
        return wrong(
            end,
            "values",
            format!("{} bytes, then the end", values.len()),
            "more bytes".into(),
        );
    }
    Ok(values)
}

/// The sizes that the beginning of an IDX file of unsigned bytes announces; `None` if it is none.
#[cfg(all(feature = "pictures", feature = "recordings", feature = "cache"))]
pub(crate) fn shape(head: &[u8]) -> Option<Vec<u32>> {
    let (magic, sizes) = head.split_first_chunk::<4>()?;
    let axes = usize::from(magic[3]);
    let sizes = sizes.get(..4 * axes).filter(|_| magic[..3] == MAGIC && axes > 0)?;
    Some(sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size)).collect())
}

/// Reads until `buffer`, which begins at `offset`, is full or the file ends; returns how much was
/// read. An unpacker's complaints are about the file, too.
fn fill(reader: &mut impl Read, buffer: &mut [u8], offset: usize, path: &Path) -> Result<usize> {
    crate::files::tar::fill(reader, buffer).map_err(|(read, error)| Error::Parse {
        path: path.to_owned(),
        offset: (offset + read) as u64,
        field: "bytes",
        expected: "a file that can be read and unpacked".into(),
        found: error.to_string(),
    })
}
