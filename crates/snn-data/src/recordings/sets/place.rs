//! Where a recording is: in a file, in a zip archive, or a part of a longer recording.

use super::long::LongRecording;
use crate::files::enclosed::is_enclosed;
use crate::recordings::events::{Damage, EventReader, Events, ReadOptions};
use crate::{Error, Result};
use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use fs_err as fs;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An archive with more files than this is no data set.
const MAX_ENTRIES: usize = 1 << 22;

/// Where a recording is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(PathBuf),
    /// An entry of a zip archive: where its bytes are, how many, whether they are deflated, and
    /// what they unpack to.
    Zip {
        archive: Arc<Path>,
        name: Arc<str>,
        start: u64,
        length: u64,
        deflated: bool,
        unpacked: Unpacked,
    },
    /// A part of a long recording, by its number.
    Part {
        recording: Arc<LongRecording>,
        part: usize,
    },
}

/// Size and checksum of an entry according to its archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unpacked {
    length: u64,
    crc: u32,
}

/// The bytes of an entry; an error at their end if they are not those that the archive's list says.
struct Checked<R> {
    bytes: CrcReader<R>,
    left: u64,
    crc: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wrong = |what: &str| Err(std::io::Error::new(ErrorKind::InvalidData, what));
        let read = self.bytes.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            None => return wrong("more bytes than the archive's list says"),
            Some(left) => self.left = left,
        }
        if read == 0 && !buffer.is_empty() && self.left > 0 {
            return wrong("fewer bytes than the archive's list says");
        }
        if self.left == 0 && self.bytes.crc().sum() != self.crc {
            return wrong("another checksum than the archive's list says");
        }
        Ok(read)
    }
}

impl Place {
    /// The file that holds it.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Zip { archive, .. } => archive,
            Self::Part { recording, .. } => recording.path(),
        }
    }

    /// Which part of the file it is; nothing if all of it.
    #[cfg(feature = "cache")]
    pub(super) fn part(&self) -> String {
        match self {
            Self::File(_) => String::new(),
            Self::Zip { name, start, length, .. } => format!("{start}+{length} {name}"),
            Self::Part { recording, part } => {
                let (from, until) = recording.part(*part);
                format!("{from}..{until}")
            }
        }
    }

    /// The events, and what was damaged and left out as the options ask.
    pub(super) fn read(&self, options: &ReadOptions) -> Result<(Events, Damage)> {
        match self {
            Self::File(path) => {
                let mut reader = EventReader::open(path, options.clone())?;
                Ok((reader.read_all()?, reader.damage().clone()))
            }
            Self::Part { recording, part } => recording.read(*part, options),
            Self::Zip { archive, name, .. } => {
                let place = archive.join(name.as_ref());
                let read = || {
                    let mut reader =
                        EventReader::new(self.entry()?, &place, None, options.clone())?;
                    Ok((reader.read_all()?, reader.damage().clone()))
                };
                match read() {
                    // Where the entry itself is damaged, that is why its content makes no sense.
                    Err(error) => Err(self.damaged_entry(&place)?.unwrap_or(error)),
                    read => read,
                }
            }
        }
    }

    /// The unpacked bytes of an entry of an archive, with an error at their end if they are not
    /// those that the archive's list says; nothing of other places.
    fn entry(&self) -> Result<Box<dyn Read + Send>> {
        let Self::Zip { archive, start, length, deflated, unpacked, .. } = self else {
            return Ok(Box::new(std::io::empty()));
        };
        let mut file = fs::File::open(archive.as_ref())?;
        file.seek(SeekFrom::Start(*start))?;
        let packed = file.take(*length);
        let reader: Box<dyn Read + Send> =
            if *deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) };
        let bytes = CrcReader::new(reader);
        Ok(Box::new(Checked { bytes, left: unpacked.length, crc: unpacked.crc }))
    }

    /// What is wrong with an entry, if its bytes are not those that the archive's list says.
    fn damaged_entry(&self, path: &Path) -> Result<Option<Error>> {
        let mut entry = self.entry()?;
        Ok(std::io::copy(&mut entry, &mut std::io::sink()).err().map(|error| Error::Parse {
            path: path.to_owned(),
            offset: 0,
            field: "entry of the archive",
            expected: "an entry that is not damaged; copy or download the archive again".into(),
            found: error.to_string(),
        }))
    }
}

/// The files of a zip archive: name and place of each.
pub(super) fn entries(path: &Path) -> Result<Vec<(String, Place)>> {
    let wrong = |offset: u64, field: &'static str, expected: &str, found: String| Error::Parse {
        path: path.to_owned(),
        offset,
        field,
        expected: expected.to_owned(),
        found,
    };
    let file = std::io::BufReader::new(fs::File::open(path)?);
    let mut archive = zip::ZipArchive::new(file)
        .map_err(|error| wrong(0, "archive", "a zip archive", error.to_string()))?;
    if archive.len() > MAX_ENTRIES {
        return Err(wrong(0, "archive", "fewer files", archive.len().to_string()));
    }
    let shared: Arc<Path> = path.into();
    let mut entries = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index);
        let entry = entry
            .map_err(|error| wrong(0, "entry", "an entry that can be read", error.to_string()))?;
        if entry.is_dir() {
            continue;
        }
        let at = entry.header_start();
        let name = entry
            .name()
            .map_err(|error| wrong(at, "name of an entry", "text", error.to_string()))?
            .into_owned();
        if !is_enclosed(&name) || entry.enclosed_name().is_none() {
            return Err(wrong(
                at,
                "name of an entry",
                "a place inside the archive's folder",
                format!("{name:?}"),
            ));
        }
        let deflated = match entry.compression() {
            zip::CompressionMethod::Stored => false,
            zip::CompressionMethod::Deflated => true,
            other => return Err(wrong(at, "entry", "stored or deflated", other.to_string())),
        };
        let start = entry
            .data_start()
            .ok_or_else(|| wrong(at, "entry", "a place in the file", "none".into()))?;
        let length = entry.compressed_size();
        let unpacked = Unpacked { length: entry.size(), crc: entry.crc32() };
        let archive = Arc::clone(&shared);
        let place =
            Place::Zip { archive, name: name.as_str().into(), start, length, deflated, unpacked };
        entries.push((name, place));
    }
    Ok(entries)
}
