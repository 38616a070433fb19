//! Tar archives, read in place: where the files of one are (headers only are read, so that a list
//! of 138 gigabytes takes seconds), or the files themselves one after the other, where it is
//! packed.

use crate::files::enclosed::is_enclosed;
use crate::{Error, Result};
use fs_err as fs;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::path::Path;

/// Archives consist of blocks of this many bytes.
const BLOCK: u64 = 512;
/// An archive with more files than this is none of the known sets.
const MAX_ENTRIES: usize = 1 << 24;

/// A file of an archive.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) length: u64,
}

/// Header of an entry; folders and other things are no files.
struct Header {
    entry: Entry,
    file: bool,
}

/// The files between two places of an archive (or of an archive inside it); folders and other
/// things are left out.
pub(crate) fn entries(
    path: &Path,
    file: &mut fs::File,
    start: u64,
    end: u64,
) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut at = start;
    while at + BLOCK <= end {
        let mut block = [0; 512];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut block)?;
        let Some(Header { entry, file }) = header(&block, path, at)? else { return Ok(entries) };
        let left = end - entry.start;
        if entry.length > left {
            let expected = format!("at most the {left} bytes that are left");
            return Err(wrong(path, at, "size of a file", &expected, entry.length.to_string()));
        }
        at = entry.start + entry.length.div_ceil(BLOCK) * BLOCK;
        if file {
            if entries.len() == MAX_ENTRIES {
                return Err(wrong(
                    path,
                    at,
                    "archive",
                    &format!("at most {MAX_ENTRIES} files"),
                    "more".into(),
                ));
            }
            entries.push(entry);
        }
    }
    // Zeros mark the end; without them an archive may end after a file, but not before the first
    // one or inside a header.
    if at < end || start == end {
        return Err(wrong(
            path,
            at,
            "header",
            "512 bytes",
            format!("{} bytes, then the end", end.saturating_sub(at)),
        ));
    }
    Ok(entries)
}

/// Calls `each` with every file of an archive that can only be read from front to back, and is at
/// most `most` bytes long.
pub(crate) fn stream(
    path: &Path,
    reader: &mut dyn Read,
    most: u64,
    each: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut at = 0;
    loop {
        let mut block = [0; 512];
        let found = fill(reader, &mut block)
            .map_err(|(read, error)| unreadable(path, at + read as u64, &error))?;
        if found == 0 {
            return Ok(());
        }
        if found < block.len() {
            return Err(wrong(
                path,
                at,
                "header",
                "512 bytes",
                format!("{found} bytes, then the end"),
            ));
        }
        let Some(Header { entry, file }) = header(&block, path, at)? else {
            // The checksum of what is packed comes last.
            let rest =
                std::io::copy(&mut reader.take(most.saturating_sub(at)), &mut std::io::sink());
            return rest.map(drop).map_err(|error| unreadable(path, at, &error));
        };
        at = entry.start.saturating_add(entry.length.div_ceil(BLOCK).saturating_mul(BLOCK));
        if at > most {
            return Err(wrong(
                path,
                entry.start,
                "archive",
                &format!("at most {most} bytes"),
                "more".into(),
            ));
        }
        let mut content = Content { reader: &mut *reader, left: entry.length, failure: None };
        if file {
            let result = each(&entry, &mut content);
            // An archive that ends early, or cannot be unpacked, is the cause of what its reader
            // says.
            if let Some(error) = content.failure.take() {
                return Err(unreadable(path, entry.start + entry.length - content.left, &error));
            }
            result?;
        }
        let left = content.left;
        let rest = at - entry.start - entry.length + left;
        let skipped = std::io::copy(&mut reader.take(rest), &mut std::io::sink());
        let skipped =
            skipped.map_err(|error| unreadable(path, entry.start + entry.length - left, &error))?;
        if skipped < left {
            let found = format!("{} bytes, then the end", entry.length - left + skipped);
            return Err(wrong(
                path,
                entry.start,
                "file",
                &format!("{} bytes", entry.length),
                found,
            ));
        }
    }
}

/// The content of one file, which ends before its length only where the archive is damaged.
struct Content<'r> {
    reader: &'r mut dyn Read,
    left: u64,
    failure: Option<std::io::Error>,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let failure = match self.reader.read(&mut buffer[..most]) {
            Ok(0) => {
                std::io::Error::new(ErrorKind::UnexpectedEof, "the archive ends inside a file")
            }
            Ok(read) => {
                self.left -= read as u64;
                return Ok(read);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(error) => error,
        };
        let repeated = std::io::Error::new(failure.kind(), failure.to_string());
        self.failure = Some(failure);
        Err(repeated)
    }
}

/// Reads a header; `None` for the zeros at the end.
fn header(block: &[u8; 512], path: &Path, at: u64) -> Result<Option<Header>> {
    let wrong = |field, expected: &str, found| Err(wrong(path, at, field, expected, found));
    if block.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let sum = block.iter().map(|&byte| u64::from(byte)).sum::<u64>()
        - block[148..156].iter().map(|&byte| u64::from(byte)).sum::<u64>()
        + 8 * u64::from(b' ');
    match octal(&block[148..156]) {
        Some(stored) if stored == sum => {}
        stored => return wrong("checksum of a header", &sum.to_string(), format!("{stored:?}")),
    }
    let Some(length) = octal(&block[124..136]) else {
        return wrong("size of a file", "an octal number", format!("{:02x?}", &block[124..136]));
    };
    let name = block[..100].split(|&byte| byte == 0).next().unwrap_or_default();
    let Ok(name) = std::str::from_utf8(name) else {
        return wrong("name of a file", "UTF-8", String::from_utf8_lossy(name).into_owned());
    };
    let file = matches!(block[156], 0 | b'0');
    // Nothing is unpacked here, but names become paths in messages and for callers.
    if file && !is_enclosed(name) {
        return wrong("name of a file", "a place inside the archive's folder", format!("{name:?}"));
    }
    Ok(Some(Header {
        entry: Entry { name: name.to_owned(), start: at.saturating_add(BLOCK), length },
        file,
    }))
}

/// An octal number, with spaces or zeros around it.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

/// Reads until the buffer is full or the file ends; returns how much was read, also with an error.
pub(crate) fn fill(
    reader: &mut dyn Read,
    buffer: &mut [u8],
) -> Result<usize, (usize, std::io::Error)> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(filled)
}

fn unreadable(path: &Path, offset: u64, error: &std::io::Error) -> Error {
    wrong(path, offset, "bytes", "an archive that can be read and unpacked", error.to_string())
}

fn wrong(path: &Path, offset: u64, field: &'static str, expected: &str, found: String) -> Error {
    Error::Parse { path: path.to_owned(), offset, field, expected: expected.to_owned(), found }
}
