//! Where the files of a tar archive are: headers only are read, so that a list of 138 gigabytes takes seconds.

use crate::{Error, Result};
use fs_err as fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Archives consist of blocks of this many bytes.
const BLOCK: u64 = 512;
/// An archive with more files than this is none of the known sets.
const MAX_ENTRIES: usize = 1 << 24;

/// A file of an archive.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) length: u64,
}

/// The files between two places of an archive (or of an archive inside it); folders and other things are left out.
pub(super) fn entries(path: &Path, file: &mut fs::File, start: u64, end: u64) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut at = start;
    while at + BLOCK <= end {
        let wrong = |field: &'static str, expected: &str, found: String| {
            Err(Error::Parse { path: path.to_owned(), offset: at, field, expected: expected.to_owned(), found })
        };
        let mut header = [0; 512];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut header)?;
        if header.iter().all(|&byte| byte == 0) {
            return Ok(entries);
        }
        let sum = header.iter().map(|&byte| u64::from(byte)).sum::<u64>()
            - header[148..156].iter().map(|&byte| u64::from(byte)).sum::<u64>()
            + 8 * u64::from(b' ');
        match octal(&header[148..156]) {
            Some(stored) if stored == sum => {}
            stored => return wrong("checksum of a header", &sum.to_string(), format!("{stored:?}")),
        }
        let Some(length) = octal(&header[124..136]) else {
            return wrong("size of a file", "an octal number", format!("{:02x?}", &header[124..136]));
        };
        let place = at + BLOCK;
        if length > end - place {
            return wrong(
                "size of a file",
                &format!("at most the {} bytes that are left", end - place),
                length.to_string(),
            );
        }
        if matches!(header[156], 0 | b'0') {
            let name = header[..100].split(|&byte| byte == 0).next().unwrap_or_default();
            let Ok(name) = std::str::from_utf8(name) else {
                return wrong("name of a file", "UTF-8", String::from_utf8_lossy(name).into_owned());
            };
            if entries.len() == MAX_ENTRIES {
                return wrong("archive", &format!("at most {MAX_ENTRIES} files"), "more".into());
            }
            entries.push(Entry { name: name.to_owned(), start: place, length });
        }
        at = place + length.div_ceil(BLOCK) * BLOCK;
    }
    Ok(entries)
}

/// An octal number, with spaces or zeros around it.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}
