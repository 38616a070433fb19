//! A file that is read once from front to back, with the place known.

use super::SensorSize;
use crate::{Error, Result};
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// A buffered reader that knows its file and offset, for errors that name both.
pub(crate) struct ByteSource {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// The buffered bytes are `buffer[start..end]`; what lies behind them was read before and is
    /// room.
    start: usize,
    end: usize,
    /// Offset of `buffer[start]` in the file.
    offset: u64,
    ended: bool,
}

impl ByteSource {
    pub(crate) fn new(reader: Box<dyn Read + Send>, path: &Path) -> Self {
        Self {
            reader,
            path: path.to_owned(),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
        }
    }

    /// The same of a reader that stands at `offset` of its file.
    pub(crate) fn from_offset(reader: Box<dyn Read + Send>, path: &Path, offset: u64) -> Self {
        Self { offset, ..Self::new(reader, path) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The buffered bytes: at least `least` of them, or all that are left.
    ///
    /// Memory grows with what was read, not with what was requested: a damaged length costs no more
    /// than the file has.
    pub(crate) fn fill(&mut self, least: usize) -> Result<&[u8]> {
        while !self.ended && self.end - self.start < least {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() - self.end < CHUNK_BYTES {
                self.buffer.resize(self.end + CHUNK_BYTES, 0);
            }
            let read = self.read_more()?;
            self.end += read;
            self.ended = read == 0;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn read_more(&mut self) -> Result<usize> {
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Unpackers complain here as well; it is the file's fault then.
                Err(error) => {
                    return Err(self.error("bytes", "a file that can be read and unpacked", error));
                }
            }
        }
    }

    /// Consumes `count` of the buffered bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(self.start + count <= self.end, "only what is at hand can be consumed");
        self.start += count;
        self.offset += count as u64;
    }

    /// The next `count` bytes, which must be there.
    pub(crate) fn exact(&mut self, count: usize, field: &'static str) -> Result<&[u8]> {
        let found = self.fill(count)?.len();
        if found < count {
            return Err(self.error(
                field,
                format!("{count} bytes"),
                format!("{found} bytes, then the end"),
            ));
        }
        let start = self.start;
        self.consume(count);
        Ok(&self.buffer[start..start + count])
    }

    /// All whole buffered records of `N` bytes, at least one; `None` at the end. They stay buffered
    /// until they are consumed.
    pub(crate) fn records<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&[[u8; N]]>> {
        let found = self.fill(N)?.len();
        if (1..N).contains(&found) {
            return Err(self.error(
                field,
                format!("{N} bytes"),
                format!("{found} bytes, then the end"),
            ));
        }
        let (records, _) = self.buffer[self.start..self.end].as_chunks::<N>();
        Ok(if records.is_empty() { None } else { Some(records) })
    }

    /// An event `ahead` bytes later lies outside the sensor.
    pub(crate) fn off_sensor(&self, ahead: usize, size: SensorSize, (x, y): (u16, u16)) -> Error {
        self.error_at(
            ahead,
            "event",
            format!("x and y on a sensor of {size}"),
            format!("({x}, {y})"),
        )
    }

    /// An error about the bytes that come next.
    pub(crate) fn error(
        &self,
        field: &'static str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Error {
        self.error_at(0, field, expected, found)
    }

    /// An error about the bytes that come `ahead` bytes later.
    pub(crate) fn error_at(
        &self,
        ahead: usize,
        field: &'static str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Error {
        Error::Parse {
            path: self.path.clone(),
            offset: self.offset + ahead as u64,
            field,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

impl fmt::Debug for ByteSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ByteSource")
            .field("path", &self.path)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
