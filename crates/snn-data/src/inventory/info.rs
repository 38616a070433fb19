//! Contents of a file: one look at any file of a known format.

use crate::Pickle;
use crate::files::tar;
use crate::pictures::{PictureInfo, picture_info};
use crate::recordings::events::{
    EventFormat, EventReader, Events, NpzArray, ReadOptions, SensorSize, npz_arrays,
};
use crate::sets::idx;
use crate::{Error, Result, cache};
use flate2::read::MultiGzDecoder;
use fs_err as fs;
use serde::Serialize;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Pickles above this are none of CIFAR's; the largest has 155 MB.
const MAX_PICKLE: u64 = 1 << 28;
/// An archive is looked through up to here.
const MAX_UNPACKED: u64 = 1 << 40;
/// Bytes of a picture at most, as for decoding.
const MAX_PICTURE: u64 = 1 << 28;
/// Bytes of a record of CIFAR without its labels.
const CIFAR_IMAGE: u64 = 3072;

/// Contents of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileInfo {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Contents.
    #[serde(flatten)]
    pub content: Content,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Content {
    /// A recording of an event camera.
    Recording(RecordingInfo),
    /// A picture.
    Picture(PictureInfo),
    /// An archive of NumPy arrays that are no events.
    Npz {
        /// The arrays.
        arrays: Vec<NpzArray>,
    },
    /// An IDX file of unsigned bytes (MNIST).
    Idx {
        /// Its sizes, the slowest axis first.
        shape: Vec<u32>,
    },
    /// Records of CIFAR's binary form.
    Cifar {
        /// `cifar-10` or `cifar-100`.
        dataset: &'static str,
        /// Records.
        records: u64,
    },
    /// A pickled dictionary (CIFAR's Python form).
    Pickle {
        /// Its keys with what is under them.
        entries: Vec<(String, String)>,
    },
    /// A tar archive, plain or as gzip.
    Tar {
        /// Files in it.
        files: u64,
        /// Bytes of them together.
        unpacked_bytes: u64,
        /// The first of them.
        first: Option<String>,
    },
    /// A cache of samples.
    Cache {
        /// Title for people.
        title: String,
        /// Samples.
        samples: u64,
        /// `[channels, height, width]` of each.
        shape: Vec<usize>,
    },
}

/// Contents of a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordingInfo {
    /// The format.
    pub format: EventFormat,
    /// The sensor.
    pub sensor: SensorSize,
    /// Events.
    pub events: u64,
    /// Events of pixels that became brighter.
    pub on: u64,
    /// Events of pixels that became darker.
    pub off: u64,
    /// First and last time in µs; `None` without events.
    pub span: Option<(i64, i64)>,
    /// `true` if no event is earlier than the one before it.
    pub sorted: bool,
    /// Records that are no events and were left out.
    pub skipped: u64,
}

impl FileInfo {
    /// Looks into a file. What it is follows from its first bytes, and from its name where they say
    /// nothing. Memory does not grow with the length of recordings and archives.
    ///
    /// # Errors
    /// What reading the file reports; [`Error::Field`] if it is nothing known.
    pub fn read(path: &Path, options: ReadOptions) -> Result<Self> {
        let mut file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            let expected = "a file (`list` and `show` take folders)".into();
            return Err(Error::Field {
                path: path.to_owned(),
                field: "path",
                expected,
                found: "a folder".into(),
            });
        }
        let bytes = metadata.len();
        let mut head = Vec::new();
        (&mut file).take(1 << 12).read_to_end(&mut head)?;
        Ok(Self { path: path.to_owned(), bytes, content: content(path, bytes, &head, options)? })
    }
}

fn content(path: &Path, bytes: u64, head: &[u8], options: ReadOptions) -> Result<Content> {
    if head.starts_with(b"\xFF\xD8") || head.starts_with(b"\x89PNG") {
        let mut content = Vec::new();
        fs::File::open(path)?.take(MAX_PICTURE).read_to_end(&mut content)?;
        return Ok(Content::Picture(picture_info(&content, path)?));
    }
    if head.starts_with(b"SNNCACHE") {
        let header = cache::read_header(head, bytes, path)?;
        return Ok(Content::Cache {
            title: header.title().into(),
            samples: header.count(),
            shape: header.shape().sizes(),
        });
    }
    if head.starts_with(b"\x1F\x8B") {
        return packed(path);
    }
    if let Some(shape) = idx::shape(head) {
        return whole_idx(path, shape, bytes);
    }
    if head.get(257..262) == Some(b"ustar") {
        return archive(path, &mut BufReader::new(fs::File::open(path)?));
    }
    if let [0x80, 2..=5, ..] = head {
        let mut content = Vec::new();
        fs::File::open(path)?.take(MAX_PICKLE).read_to_end(&mut content)?;
        let pickle = Pickle::read(&content, path)?;
        return Ok(Content::Pickle { entries: pickle.entries() });
    }
    if let Some(content) = cifar(path, bytes) {
        return Ok(content);
    }
    if head.starts_with(b"PK\x03\x04") {
        let arrays = npz_arrays(path)?;
        let has = |name: &str| arrays.iter().any(|array| array.name == name);
        if !["t", "x", "y", "p"].into_iter().all(has) {
            return Ok(Content::Npz { arrays });
        }
    }
    Ok(Content::Recording(recording(path, options)?))
}

/// A file of CIFAR's binary form, known by the names that its files have.
fn cifar(path: &Path, bytes: u64) -> Option<Content> {
    let name = path.file_name()?.to_str()?;
    for (layout, dataset) in [(crate::CIFAR10, "cifar-10"), (crate::CIFAR100, "cifar-100")] {
        let known =
            layout.binary.train_files.contains(&name) || layout.binary.test_files.contains(&name);
        let record = CIFAR_IMAGE + layout.labels.len() as u64;
        if known && bytes > 0 && bytes.is_multiple_of(record) {
            return Some(Content::Cifar { dataset, records: bytes / record });
        }
    }
    None
}

/// Contents of a gzip: an IDX file, or a tar archive.
fn packed(path: &Path) -> Result<Content> {
    let open = || {
        Ok::<_, Error>(MultiGzDecoder::new(BufReader::with_capacity(
            1 << 16,
            fs::File::open(path)?,
        )))
    };
    let unreadable = |error: std::io::Error| Error::Parse {
        path: path.to_owned(),
        offset: 0,
        field: "bytes",
        expected: "a file that can be unpacked".into(),
        found: error.to_string(),
    };
    let mut head = Vec::new();
    open()?.take(512).read_to_end(&mut head).map_err(unreadable)?;
    match idx::shape(&head) {
        Some(shape) => {
            let most = idx_bytes(&shape).saturating_add(1);
            let unpacked =
                std::io::copy(&mut open()?.take(most), &mut std::io::sink()).map_err(unreadable)?;
            whole_idx(path, shape, unpacked)
        }
        None => archive(path, &mut open()?),
    }
}

/// Bytes of an IDX file of these sizes.
fn idx_bytes(shape: &[u32]) -> u64 {
    let values = shape.iter().fold(1_u64, |values, &size| values.saturating_mul(size.into()));
    values.saturating_add(4 + 4 * shape.len() as u64)
}

/// An IDX file, if it is as long as its sizes say.
fn whole_idx(path: &Path, shape: Vec<u32>, bytes: u64) -> Result<Content> {
    let whole = idx_bytes(&shape);
    if bytes == whole {
        return Ok(Content::Idx { shape });
    }
    let found =
        if bytes < whole { format!("{bytes} bytes, then the end") } else { "more bytes".into() };
    let expected = format!("{whole} bytes for {shape:?}");
    Err(Error::Parse {
        path: path.to_owned(),
        offset: bytes.min(whole),
        field: "values",
        expected,
        found,
    })
}

fn archive(path: &Path, reader: &mut dyn Read) -> Result<Content> {
    let (mut files, mut unpacked_bytes, mut first) = (0, 0_u64, None);
    tar::stream(path, reader, MAX_UNPACKED, &mut |entry, _| {
        files += 1;
        unpacked_bytes = unpacked_bytes.saturating_add(entry.length);
        first.get_or_insert_with(|| entry.name.clone());
        Ok(())
    })?;
    Ok(Content::Tar { files, unpacked_bytes, first })
}

fn recording(path: &Path, options: ReadOptions) -> Result<RecordingInfo> {
    let mut reader = EventReader::open(path, options)?;
    let mut info = RecordingInfo {
        format: reader.format(),
        sensor: reader.size(),
        events: 0,
        on: 0,
        off: 0,
        span: None,
        sorted: true,
        skipped: 0,
    };
    let (mut piece, mut last) = (Events::new(reader.size()), i64::MIN);
    while reader.read_chunk(&mut piece)? {
        let on = piece.polarity().iter().filter(|&&on| on).count() as u64;
        info.events += piece.len() as u64;
        info.on += on;
        info.sorted &= piece.is_sorted() && piece.t().first().is_none_or(|&first| first >= last);
        last = piece.t().last().copied().unwrap_or(last);
        info.span = match (info.span, piece.span()) {
            (Some((low, high)), Some((first, last))) => Some((low.min(first), high.max(last))),
            (before, now) => before.or(now),
        };
        piece.clear();
    }
    info.off = info.events - info.on;
    info.skipped = reader.skipped();
    Ok(info)
}
