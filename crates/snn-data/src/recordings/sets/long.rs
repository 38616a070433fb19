//! A long recording of which parts are samples: read once as a whole, and then each part alone.

use crate::Result;
use crate::recordings::events::{Damage, EventReader, Events, ReadOptions};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A recording, and its parts: the events with t in `[from, until)`.
#[derive(Debug)]
pub(super) struct LongRecording {
    path: PathBuf,
    parts: Vec<(i64, i64)>,
    /// The bytes in which the events of each part lie, once the recording was read; `None` where a
    /// reader cannot begin in the middle of the file.
    bytes: Mutex<Option<Vec<Option<Range<u64>>>>>,
}

impl LongRecording {
    pub(super) fn new(path: PathBuf, parts: Vec<(i64, i64)>) -> Self {
        Self { path, parts, bytes: Mutex::new(None) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// First time of a part, and the first after it.
    pub(super) fn part(&self, part: usize) -> (i64, i64) {
        self.parts.get(part).copied().unwrap_or_default()
    }

    /// The events of a part, and what was damaged and left out as the options ask.
    pub(super) fn read(&self, part: usize, options: &ReadOptions) -> Result<(Events, Damage)> {
        let (from, until) = self.part(part);
        let bytes = self.bytes(options)?.get(part).cloned().flatten();
        let (mut reader, end) = match bytes {
            Some(bytes) => {
                (EventReader::resume(&self.path, options.clone(), bytes.start)?, bytes.end)
            }
            None => (EventReader::open(&self.path, options.clone())?, u64::MAX),
        };
        let (mut piece, mut events) = (Events::new(reader.size()), Events::new(reader.size()));
        while reader.offset() < end && reader.read_chunk(&mut piece)? {
            for event in piece.iter().filter(|event| (from..until).contains(&event.t)) {
                events.push(event)?;
            }
            piece.clear();
        }
        Ok((events, reader.damage().clone()))
    }

    /// Where the parts are. Who asks first reads the recording; others wait.
    fn bytes(&self, options: &ReadOptions) -> Result<Vec<Option<Range<u64>>>> {
        let mut known = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known.as_ref() {
            return Ok(bytes.clone());
        }
        let mut reader = EventReader::open(&self.path, options.clone())?;
        let mut piece = Events::new(reader.size());
        let mut found: Vec<Option<Range<u64>>> = vec![None; self.parts.len()];
        // Where a reader can begin to read what comes next.
        let mut begin = reader.resumes_at();
        while reader.read_chunk(&mut piece)? {
            if let (Some((first, last)), Some(begin)) = (piece.span(), begin) {
                for (range, &(from, until)) in found.iter_mut().zip(&self.parts) {
                    if first < until && last >= from {
                        let start = range.as_ref().map_or(begin, |range| range.start);
                        *range = Some(start..reader.offset());
                    }
                }
            }
            begin = reader.resumes_at().or(begin);
            piece.clear();
        }
        // A part without events has no place; it is empty wherever one looks.
        if begin.is_some() {
            for range in &mut found {
                range.get_or_insert(0..0);
            }
        }
        Ok(known.insert(found).clone())
    }
}
