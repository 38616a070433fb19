//! Where a recording is: in a file, in a zip archive, or between two times of a longer recording.

use crate::events::{EventReader, Events, ReadOptions};
use crate::{Error, Result};
use flate2::read::DeflateDecoder;
use fs_err as fs;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An archive with more files than this is no data set.
const MAX_ENTRIES: usize = 1 << 22;

/// Where a recording is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(PathBuf),
    /// An entry of a zip archive: where its bytes are, how many, and whether they are deflated.
    Zip {
        archive: Arc<Path>,
        name: Arc<str>,
        start: u64,
        length: u64,
        deflated: bool,
    },
    /// The events of a file with t in `[from, until)`.
    Part {
        file: Arc<Path>,
        from: i64,
        until: i64,
    },
}

impl Place {
    /// The file that holds it.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Zip { archive: file, .. } | Self::Part { file, .. } => file,
        }
    }

    /// Which part of the file it is; nothing if all of it.
    pub(super) fn part(&self) -> String {
        match self {
            Self::File(_) => String::new(),
            Self::Zip { name, start, length, .. } => format!("{start}+{length} {name}"),
            Self::Part { from, until, .. } => format!("{from}..{until}"),
        }
    }

    pub(super) fn read(&self, options: ReadOptions) -> Result<Events> {
        match self {
            Self::File(path) => Events::read(path, options),
            Self::Part { file, from, until } => {
                let mut reader = EventReader::open(file, options)?;
                let (mut piece, mut part) = (Events::new(reader.size()), Events::new(reader.size()));
                while reader.read_chunk(&mut piece)? {
                    for event in piece.iter().filter(|event| (*from..*until).contains(&event.t)) {
                        part.push(event)?;
                    }
                    piece.clear();
                }
                Ok(part)
            }
            Self::Zip { archive, name, start, length, deflated } => {
                let mut file = fs::File::open(archive.as_ref())?;
                file.seek(SeekFrom::Start(*start))?;
                let packed = file.take(*length);
                let reader: Box<dyn Read + Send> =
                    if *deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) };
                EventReader::new(reader, &archive.join(name.as_ref()), None, options)?.read_all()
            }
        }
    }
}

/// The files of a zip archive: name and place of each.
pub(super) fn entries(path: &Path) -> Result<Vec<(String, Place)>> {
    let wrong = |field: &'static str, expected: &str, found: String| Error::Parse {
        path: path.to_owned(),
        offset: 0,
        field,
        expected: expected.to_owned(),
        found,
    };
    let file = std::io::BufReader::new(fs::File::open(path)?);
    let mut archive =
        zip::ZipArchive::new(file).map_err(|error| wrong("archive", "a zip archive", error.to_string()))?;
    if archive.len() > MAX_ENTRIES {
        return Err(wrong("archive", "fewer files", archive.len().to_string()));
    }
    let shared: Arc<Path> = path.into();
    let mut entries = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index);
        let entry = entry.map_err(|error| wrong("entry", "an entry that can be read", error.to_string()))?;
        if entry.is_dir() {
            continue;
        }
        if entry.enclosed_name().is_none() {
            return Err(wrong(
                "name of an entry",
                "a place inside the archive's folder",
                format!("{:?}", entry.name()),
            ));
        }
        let deflated = match entry.compression() {
            zip::CompressionMethod::Stored => false,
            zip::CompressionMethod::Deflated => true,
            other => return Err(wrong("entry", "stored or deflated", other.to_string())),
        };
        let start = entry.data_start().ok_or_else(|| wrong("entry", "a place in the file", "none".into()))?;
        let name = entry.name().map_err(|error| wrong("name of an entry", "text", error.to_string()))?.into_owned();
        let length = entry.compressed_size();
        let place = Place::Zip { archive: Arc::clone(&shared), name: name.as_str().into(), start, length, deflated };
        entries.push((name, place));
    }
    Ok(entries)
}
