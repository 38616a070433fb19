//! A file that is read once from front to back, with the place known.

use super::SensorSize;
use crate::{Error, OnDamage, Result};
use serde::Serialize;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// What was damaged in a recording and is left out, as [`OnDamage::Skip`] asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Events outside the sensor.
    pub outside: u64,
    /// Last records, words or packets that are cut, and packets that cannot be unpacked.
    pub cut: u64,
    /// The error that the first of them would have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

impl Damage {
    /// `true` if nothing was left out.
    pub fn is_none(&self) -> bool {
        self.outside == 0 && self.cut == 0
    }
}

impl fmt::Display for Damage {
    /// Numbers, and the first error.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outside, cut, first } = self;
        if *outside > 0 {
            write!(formatter, "{outside} events outside the sensor")?;
        }
        if *cut > 0 {
            let before = if *outside > 0 { ", " } else { "" };
            write!(formatter, "{before}{cut} cut or damaged records")?;
        }
        match first {
            Some(first) => write!(formatter, "; first: {first}"),
            None => write!(formatter, "{}", if self.is_none() { "none" } else { "" }),
        }
    }
}

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
    on_damage: OnDamage,
    damage: Damage,
    /// What to do where events lie outside a sensor whose size the file does not say.
    hint: &'static str,
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
            on_damage: OnDamage::Fail,
            damage: Damage::default(),
            hint: "",
        }
    }

    /// The same of a reader that stands at `offset` of its file.
    pub(crate) fn from_offset(reader: Box<dyn Read + Send>, path: &Path, offset: u64) -> Self {
        Self { offset, ..Self::new(reader, path) }
    }

    /// Sets the treatment of damage.
    pub(crate) fn on_damage(&mut self, on_damage: OnDamage) {
        self.on_damage = on_damage;
    }

    /// `true` if damage is left out and counted.
    pub(crate) fn forgiving(&self) -> bool {
        self.on_damage == OnDamage::Skip
    }

    /// What was left out so far.
    pub(crate) fn damage(&self) -> &Damage {
        &self.damage
    }

    /// The size of the sensor is a guess: errors about it say how to give it.
    pub(crate) fn size_is_guessed(&mut self) {
        self.hint = "; give the size of the sensor (`--size`, or `frames.sensor` in a config) if \
                     it is larger";
    }

    /// Counts events outside the sensor, of which `error` is the first, or fails.
    pub(crate) fn outside(&mut self, count: u64, error: Error) -> Result<()> {
        if !self.forgiving() {
            return Err(error);
        }
        self.damage.outside += count;
        self.damage.first.get_or_insert_with(|| error.to_string());
        Ok(())
    }

    /// Counts a record that is cut or a packet that cannot be read, or fails.
    pub(crate) fn cut(&mut self, error: Error) -> Result<()> {
        if !self.forgiving() {
            return Err(error);
        }
        self.damage.cut += 1;
        self.damage.first.get_or_insert_with(|| error.to_string());
        Ok(())
    }

    /// Gives up the rest of the file, as after a record that is cut.
    pub(crate) fn give_up(&mut self) {
        let rest = self.end - self.start;
        self.consume(rest);
        self.ended = true;
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

    /// The next `count` bytes, or `None` if the file ends before, which is damage of a record.
    pub(crate) fn whole(&mut self, count: usize, field: &'static str) -> Result<Option<&[u8]>> {
        let found = self.fill(count)?.len();
        if found < count {
            let found = format!("{found} bytes, then the end");
            self.cut(self.error(field, format!("{count} bytes"), found))?;
            self.give_up();
            return Ok(None);
        }
        Ok(Some(self.exact(count, field)?))
    }

    /// All whole buffered records of `N` bytes, at least one; `None` at the end. They stay buffered
    /// until they are consumed. Fewer bytes than a record at the end are damage.
    pub(crate) fn records<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&[[u8; N]]>> {
        let found = self.fill(N)?.len();
        if (1..N).contains(&found) {
            let found = format!("{found} bytes, then the end");
            self.cut(self.error(field, format!("{N} bytes"), found))?;
            self.give_up();
            return Ok(None);
        }
        let (records, _) = self.buffer[self.start..self.end].as_chunks::<N>();
        Ok(if records.is_empty() { None } else { Some(records) })
    }

    /// An event `ahead` bytes later lies outside the sensor.
    pub(crate) fn off_sensor(&self, ahead: usize, size: SensorSize, (x, y): (u16, u16)) -> Error {
        self.error_at(
            ahead,
            "event",
            format!("x and y on a sensor of {size}{}", self.hint),
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
