//! A whole cache, mapped into memory.
#![expect(unsafe_code, reason = "mapping a file is unsafe, since another program may change it")]

use super::layout::{HEADER, Header, read_header};
use crate::{Error, Result, SampleMut, SampleRng, SampleShape, Source};
use fs_err as fs;
use memmap2::Mmap;
use std::path::Path;

/// The samples of a cache, as a [`Source`]: processes that map one file share its memory.
#[derive(Debug)]
pub struct Cached {
    header: Header,
    map: Mmap,
}

impl Cached {
    /// Maps a file and checks its header, its size and its labels.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = fs::File::open(path)?;
        // SAFETY: the file got its name when it was whole, and nothing of this crate writes to it
        // afterwards: it is replaced or removed, which leaves the map as it is. A foreign program
        // that writes to it gives other bytes, all of which are valid here.
        let map = unsafe { Mmap::map(file.file()) }?;
        let header = read_header(&map, map.len() as u64, path)?;
        let cached = Self { header, map };
        let labels = (0..cached.len()).map(|index| cached.label(index));
        match labels.enumerate().find(|(_, label)| u32::from(*label) >= cached.header.classes) {
            None => Ok(cached),
            Some((index, label)) => Err(Error::Parse {
                path: path.to_owned(),
                offset: Header::LABELS + 2 * index as u64,
                field: "label",
                expected: format!("below {}", cached.header.classes),
                found: label.to_string(),
            }),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.header.classes as usize
    }

    /// Title for people.
    pub fn title(&self) -> &str {
        &self.header.title
    }

    /// The bytes of one sample, planes in order; `None` past the end. They lie in the file's
    /// memory.
    pub fn sample(&self, index: usize) -> Option<&[u8]> {
        let bytes = usize::try_from(self.header.sample_bytes()).ok()?;
        let start = usize::try_from(self.header.samples_at())
            .ok()?
            .checked_add(index.checked_mul(bytes)?)?;
        self.map.get(start..start.checked_add(bytes)?)
    }

    fn label(&self, index: usize) -> u16 {
        let at = HEADER + 2 * index;
        self.map.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }
}

impl Source for Cached {
    fn len(&self) -> usize {
        usize::try_from(self.header.count).unwrap_or(usize::MAX)
    }

    fn shape(&self) -> SampleShape {
        self.header.shape()
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> Result<u16> {
        let range = || Error::IndexOutOfRange { index, count: self.len() };
        sample.copy_from(self.sample(index).ok_or_else(range)?)?;
        Ok(self.label(index))
    }
}
