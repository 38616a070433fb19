//! Contents of a file: one look at any file of a known format.

use crate::Pickle;
use crate::files::tar;
use crate::pictures::{PictureInfo, picture_info};
use crate::recordings::events::{
    ArrayNames, Damage, EventFormat, EventReader, Events, NpzArray, ReadOptions, SensorSize,
    arrays_of,
};
use crate::sets::idx;
use crate::{Error, Result, cache};
use flate2::read::MultiGzDecoder;
use fs_err as fs;
use serde::Serialize;
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Pickles above this are none of CIFAR's; the largest has 155 MB.
const MAX_PICKLE: u64 = 1 << 28;
/// An archive is looked through up to here.
const MAX_UNPACKED: u64 = 1 << 40;
/// Bytes of a picture at most, as for decoding.
const MAX_PICTURE: u64 = 1 << 28;
/// Bytes of an archive of arrays at most, as for reading events.
const MAX_ARCHIVE: u64 = (1 << 31) + 1;
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
    /// Events and records that are damaged and were left out, as the options ask.
    #[serde(skip_serializing_if = "Damage::is_none")]
    pub damage: Damage,
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
        let mut head = Vec::new();
        (&mut file).take(1 << 12).read_to_end(&mut head)?;
        let read = Arc::new(AtomicU64::new(0));
        // A pipe can be read once: what was looked at comes first, and its bytes are counted.
        let rest = Cursor::new(head.clone()).chain(file);
        let counted = Counted { reader: rest, bytes: Arc::clone(&read) };
        let size = if metadata.is_file() { Some(metadata.len()) } else { None };
        let mut input = Input { path, head, reader: Box::new(counted), size, read };
        let content = input.content(options)?;
        let bytes = input.bytes()?;
        Ok(Self { path: path.to_owned(), bytes, content })
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A file that is looked into once, from its beginning to its end.
struct Input<'p> {
    path: &'p Path,
    /// Its first bytes, which `reader` gives as well.
    head: Vec<u8>,
    reader: Box<dyn Read + Send>,
    /// Its bytes; `None` of a pipe.
    size: Option<u64>,
    read: Arc<AtomicU64>,
}

impl Input<'_> {
    /// The reader, from the beginning.
    fn reader(&mut self) -> Box<dyn Read + Send> {
        std::mem::replace(&mut self.reader, Box::new(std::io::empty()))
    }

    /// At most `most` bytes from the beginning.
    fn content_of(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.reader().take(most).read_to_end(&mut content)?;
        Ok(content)
    }

    /// The size of the file; a pipe is read to its end for it.
    fn bytes(&mut self) -> Result<u64> {
        if let Some(size) = self.size {
            return Ok(size);
        }
        std::io::copy(&mut self.reader(), &mut std::io::sink())?;
        Ok(self.read.load(Ordering::Relaxed))
    }

    fn content(&mut self, options: ReadOptions) -> Result<Content> {
        let (path, head) = (self.path, std::mem::take(&mut self.head));
        // Who names the format of recordings has one.
        if options.format.is_some() {
            return Ok(Content::Recording(recording(path, self.reader(), options)?));
        }
        content(self, path, &head, options)
    }
}

fn content(
    input: &mut Input<'_>,
    path: &Path,
    head: &[u8],
    options: ReadOptions,
) -> Result<Content> {
    if head.starts_with(b"\xFF\xD8") || head.starts_with(b"\x89PNG") {
        return Ok(Content::Picture(picture_info(&input.content_of(MAX_PICTURE)?, path)?));
    }
    if head.starts_with(b"SNNCACHE") {
        let header = cache::read_header(head, input.bytes()?, path)?;
        return Ok(Content::Cache {
            title: header.title().into(),
            samples: header.count(),
            shape: header.shape().sizes(),
        });
    }
    if head.starts_with(b"\x1F\x8B") {
        return packed(path, input.reader());
    }
    if let Some(shape) = idx::shape(head) {
        return whole_idx(path, shape, input.bytes()?);
    }
    if head.get(257..262) == Some(b"ustar") {
        return archive(path, &mut BufReader::new(input.reader()));
    }
    if let [0x80, 2..=5, ..] = head {
        let content = input.content_of(MAX_PICKLE)?;
        let pickle = Pickle::read(&content, path)?;
        return Ok(Content::Pickle { entries: pickle.entries() });
    }
    if let Some(content) = input.size.and_then(|bytes| cifar(path, bytes)) {
        return Ok(content);
    }
    if head.starts_with(b"PK\x03\x04") {
        let archive = input.content_of(MAX_ARCHIVE)?;
        let reader = |archive: &[u8]| Box::new(Cursor::new(archive.to_vec()));
        let (arrays, events) = arrays_of(reader(&archive), path, &options)?;
        // Arrays of which none is called as those of events are something else, unless they are
        // named.
        if !events && options.arrays == ArrayNames::default() {
            return Ok(Content::Npz { arrays });
        }
        return Ok(Content::Recording(recording(path, reader(&archive), options)?));
    }
    Ok(Content::Recording(recording(path, input.reader(), options)?))
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
fn packed(path: &Path, reader: Box<dyn Read + Send>) -> Result<Content> {
    let mut unpacking = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, reader));
    let unreadable = |error: std::io::Error| Error::Parse {
        path: path.to_owned(),
        offset: 0,
        field: "bytes",
        expected: "a file that can be unpacked".into(),
        found: error.to_string(),
    };
    let mut head = Vec::new();
    (&mut unpacking).take(512).read_to_end(&mut head).map_err(unreadable)?;
    let shape = idx::shape(&head);
    let mut whole = Cursor::new(head).chain(unpacking);
    match shape {
        Some(shape) => {
            let most = idx_bytes(&shape).saturating_add(1);
            let unpacked =
                std::io::copy(&mut whole.take(most), &mut std::io::sink()).map_err(unreadable)?;
            whole_idx(path, shape, unpacked)
        }
        None => archive(path, &mut whole),
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

fn recording(
    path: &Path,
    bytes: Box<dyn Read + Send>,
    options: ReadOptions,
) -> Result<RecordingInfo> {
    let mut reader = EventReader::new(bytes, path, None, options)?;
    let mut info = RecordingInfo {
        format: reader.format(),
        sensor: reader.size(),
        events: 0,
        on: 0,
        off: 0,
        span: None,
        sorted: true,
        skipped: 0,
        damage: Damage::default(),
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
    info.damage = reader.damage().clone();
    Ok(info)
}
