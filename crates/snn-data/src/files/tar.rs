//! Tar archives, read in place: where the files of one are (headers only are read, so that a list
//! of 138 gigabytes takes seconds), or the files themselves one after the other, where it is
//! packed.

use crate::files::enclosed::is_enclosed;
use crate::{Error, Result};
#[cfg(feature = "pictures")]
use fs_err as fs;
use std::io::{ErrorKind, Read};
#[cfg(feature = "pictures")]
use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use tar::EntryType;

/// Archives consist of blocks of this many bytes.
const BLOCK: u64 = 512;
/// An archive with more files than this is none of the known sets.
#[cfg(feature = "pictures")]
const MAX_ENTRIES: usize = 1 << 24;

/// Bytes of a long name, or of the extensions of a header, at most.
const MAX_EXTENSION: u64 = 1 << 16;

/// A file of an archive.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) length: u64,
}

/// A header as it stands in the archive.
struct Header {
    kind: EntryType,
    name: Vec<u8>,
    /// Where what the header announces begins.
    start: u64,
    length: u64,
}

/// What the entries before a header say of it: a name or a size for which it has no room.
#[derive(Debug, Default)]
struct Extension {
    name: Option<Vec<u8>>,
    length: Option<u64>,
}

/// The files between two places of an archive (or of an archive inside it); folders and other
/// things are left out.
#[cfg(feature = "pictures")]
pub(crate) fn entries(
    path: &Path,
    file: &mut fs::File,
    start: u64,
    end: u64,
) -> Result<Vec<Entry>> {
    let (mut entries, mut extension) = (Vec::new(), Extension::default());
    let mut at = start;
    while at + BLOCK <= end {
        let mut block = [0; 512];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut block)?;
        let Some(mut header) = Header::read(&block, path, at)? else { return Ok(entries) };
        if header.is_extension() {
            let mut content = (&mut *file).take(header.length);
            extension.add(&header, path, at, &mut content)?;
            at = header.end();
            continue;
        }
        let entry = std::mem::take(&mut extension).entry(&mut header, path, at)?;
        let left = end.saturating_sub(entry.start);
        if entry.length > left {
            let expected = format!("at most the {left} bytes that are left");
            return Err(wrong(path, at, "size of a file", &expected, entry.length.to_string()));
        }
        at = header.end();
        if header.is_file() {
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
    let (mut at, mut extension) = (0, Extension::default());
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
        let Some(mut header) = Header::read(&block, path, at)? else {
            // The checksum of what is packed comes last.
            let rest =
                std::io::copy(&mut reader.take(most.saturating_sub(at)), &mut std::io::sink());
            return rest.map(drop).map_err(|error| unreadable(path, at, &error));
        };
        let header_at = at;
        let extends = header.is_extension();
        let entry = if extends {
            let (start, length) = (header.start, header.length);
            Entry { name: String::new(), start, length }
        } else {
            std::mem::take(&mut extension).entry(&mut header, path, at)?
        };
        at = header.end();
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
        if extends || header.is_file() {
            let result = if extends {
                extension.add(&header, path, header_at, &mut content)
            } else {
                each(&entry, &mut content)
            };
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

impl Header {
    /// Reads a header; `None` for the zeros at the end.
    fn read(block: &[u8; 512], path: &Path, at: u64) -> Result<Option<Self>> {
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(block);
        let sum = block.iter().map(|&byte| u64::from(byte)).sum::<u64>()
            - block[148..156].iter().map(|&byte| u64::from(byte)).sum::<u64>()
            + 8 * u64::from(b' ');
        match header.cksum() {
            Ok(stored) if u64::from(stored) == sum => {}
            stored => {
                let found = stored.map_or("no number".to_owned(), |stored| stored.to_string());
                return Err(wrong(path, at, "checksum of a header", &sum.to_string(), found));
            }
        }
        let length = header.entry_size().map_err(|error| {
            wrong(path, at, "size of a file", "an octal number", error.to_string())
        })?;
        Ok(Some(Self {
            kind: header.entry_type(),
            name: header.path_bytes().into_owned(),
            start: at.saturating_add(BLOCK),
            length,
        }))
    }

    /// `true` if it says more of the next header.
    fn is_extension(&self) -> bool {
        self.kind.is_gnu_longname()
            || self.kind.is_gnu_longlink()
            || self.kind.is_pax_local_extensions()
    }

    fn is_file(&self) -> bool {
        self.kind.is_file() && !self.name.ends_with(b"/")
    }

    /// Where the next header is.
    fn end(&self) -> u64 {
        self.start.saturating_add(self.length.div_ceil(BLOCK).saturating_mul(BLOCK))
    }
}

impl Extension {
    /// Adds what an extension says.
    fn add(&mut self, header: &Header, path: &Path, at: u64, content: &mut dyn Read) -> Result<()> {
        let wrong = |expected: &str, found: String| {
            Err(wrong(path, at, "extension of a header", expected, found))
        };
        if header.length > MAX_EXTENSION {
            return wrong(
                &format!("at most {MAX_EXTENSION} bytes"),
                format!("{} bytes", header.length),
            );
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| unreadable(path, header.start, &error))?;
        if bytes.len() as u64 != header.length {
            return wrong(
                &format!("{} bytes", header.length),
                format!("{} bytes, then the end", bytes.len()),
            );
        }
        if header.kind.is_gnu_longname() {
            self.name = bytes.split(|&byte| byte == 0).next().map(<[u8]>::to_vec);
        } else if header.kind.is_pax_local_extensions() {
            for field in tar::PaxExtensions::new(&bytes) {
                let Ok(field) = field else {
                    return wrong("lines `LENGTH KEY=VALUE`", "others".into());
                };
                let key = field.key_bytes();
                if key == b"path" {
                    self.name = Some(field.value_bytes().to_vec());
                } else if key == b"size" {
                    let Some(length) = field.value().ok().and_then(|size| size.parse().ok()) else {
                        let found = String::from_utf8_lossy(field.value_bytes()).into_owned();
                        return wrong("a number of bytes as `size`", found);
                    };
                    self.length = Some(length);
                }
            }
        }
        Ok(())
    }

    /// The entry of a header; names and sizes of extensions go before the header's own.
    fn entry(self, header: &mut Header, path: &Path, at: u64) -> Result<Entry> {
        if let Some(name) = self.name {
            header.name = name;
        }
        header.length = self.length.unwrap_or(header.length);
        let Ok(name) = std::str::from_utf8(&header.name) else {
            let found = String::from_utf8_lossy(&header.name).into_owned();
            return Err(wrong(path, at, "name of a file", "UTF-8", found));
        };
        // Nothing is unpacked here, but names become paths in messages and for callers.
        if header.is_file() && !is_enclosed(name) {
            let expected = "a place inside the archive's folder";
            return Err(wrong(path, at, "name of a file", expected, format!("{name:?}")));
        }
        Ok(Entry { name: name.to_owned(), start: header.start, length: header.length })
    }
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

#[cfg(all(test, feature = "pictures"))]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// A name of 150 bytes.
    fn long() -> String {
        format!("{}/{}.JPEG", "a".repeat(99), "b".repeat(45))
    }

    fn header(mut header: tar::Header, length: u64) -> tar::Header {
        header.set_size(length);
        header.set_mode(0o644);
        header.set_cksum();
        header
    }

    /// Names and contents as both ways of reading find them.
    fn read(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(archive)?;
        let path = file.path();
        let mut opened = fs::File::open(path)?;
        let mut seeking = Vec::new();
        for entry in entries(path, &mut opened, 0, archive.len() as u64)? {
            let mut bytes = Vec::new();
            opened.seek(SeekFrom::Start(entry.start))?;
            (&mut opened).take(entry.length).read_to_end(&mut bytes)?;
            seeking.push((entry.name, bytes));
        }
        let mut streaming = Vec::new();
        stream(path, &mut &archive[..], 1 << 20, &mut |entry, reader| {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            streaming.push((entry.name.clone(), bytes));
            Ok(())
        })?;
        assert_eq!(seeking, streaming);
        Ok(seeking)
    }

    #[test]
    fn long_names_are_read_as_every_program_writes_them() {
        let expected = vec![(long(), b"one".to_vec()), ("two".to_owned(), b"2".to_vec())];
        let short = |builder: &mut tar::Builder<Vec<u8>>| {
            let mut header = header(tar::Header::new_ustar(), 1);
            builder.append_data(&mut header, "two", &b"2"[..]).unwrap();
        };
        for first in [tar::Header::new_ustar(), tar::Header::new_gnu()] {
            let mut builder = tar::Builder::new(Vec::new());
            builder.append_data(&mut header(first, 3), long(), &b"one"[..]).unwrap();
            short(&mut builder);
            assert_eq!(read(&builder.into_inner().unwrap()).unwrap(), expected);
        }
        let mut builder = tar::Builder::new(Vec::new());
        let name = long();
        let fields = [("path", name.as_bytes()), ("size", b"3"), ("mtime", b"1.5")];
        builder.append_pax_extensions(fields).unwrap();
        // What the header itself says counts no more.
        let mut other = tar::Header::new_ustar();
        other.set_path("x").unwrap();
        builder.append(&header(other, 0), &b""[..]).unwrap();
        let mut archive = builder.into_inner().unwrap();
        archive.truncate(3 * 512);
        archive.extend(b"one");
        archive.resize(4 * 512, 0);
        let mut rest = tar::Builder::new(Vec::new());
        short(&mut rest);
        archive.extend(rest.into_inner().unwrap());
        assert_eq!(read(&archive).unwrap(), expected);
    }

    #[test]
    fn sizes_beyond_octal_numbers_and_names_that_lead_out_are_refused() {
        let refused = |archive: &[u8], parts: &[&str]| {
            let error = read(archive).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        };
        let mut huge = tar::Header::new_gnu();
        huge.set_path("huge").unwrap();
        let huge = header(huge, 1 << 33);
        refused(huge.as_bytes(), &["byte 0", "size of a file", "found 8589934592"]);
        let extension = |kind, content: &[u8]| {
            let mut first = tar::Header::new_ustar();
            first.set_path("extension").unwrap();
            first.set_entry_type(kind);
            let mut archive = header(first, content.len() as u64).as_bytes().to_vec();
            archive.extend(content);
            archive.resize(archive.len().next_multiple_of(512), 0);
            let mut second = tar::Header::new_ustar();
            second.set_path("x").unwrap();
            archive.extend(header(second, 0).as_bytes());
            archive
        };
        let pax = EntryType::XHeader;
        refused(&extension(pax, b"16 path=../../x\n"), &["name of a file", "../../x"]);
        refused(&extension(EntryType::GNULongName, b"/etc/x\0"), &["/etc/x"]);
        refused(&extension(pax, b"10 size=x\n"), &["a number of bytes as `size`", "found x"]);
        refused(&extension(pax, b"nothing"), &["LENGTH KEY=VALUE"]);
        refused(&extension(pax, &vec![b'x'; 70_000]), &["at most 65536 bytes", "70000"]);
        let cut = &extension(pax, b"16 path=../../x\n")[..520];
        refused(cut, &["extension of a header", "16 bytes", "8 bytes, then the end"]);
    }
}
