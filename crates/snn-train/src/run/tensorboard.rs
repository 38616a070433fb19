//! Scalars in the format of `TensorBoard`: a file of records, each a protocol buffer
//! `tensorflow.Event` between checksums.
//!
//! A record is the length of the event (u64, little endian), its masked CRC-32C, the event, its
//! masked CRC-32C. Of the events the fields `wall_time` (1), `step` (2), `file_version` (3) and
//! `summary` (5) are used, of a summary its values (1), of a value `tag` (1) and `simple_value`
//! (2).

use crate::error::Result;
use crate::run::metrics::EpochMetrics;
use fs_err::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Version that readers expect in the first event.
const FILE_VERSION: &[u8] = b"brain.Event:2";
/// Bytes of a record beside its event.
const FRAME: usize = 16;

/// An event file that is written on.
#[derive(Debug)]
pub(crate) struct EventFile {
    file: File,
    bytes: u64,
}

impl EventFile {
    /// Opens a file and cuts off what is after its first `bytes` bytes, which a run wrote after its
    /// last checkpoint and writes again. A file that is shorter or damaged is cut after its last
    /// whole record; one that does not exist is begun.
    pub(crate) fn open(path: &Path, bytes: u64) -> Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut kept = Vec::new();
        Read::by_ref(&mut file).take(bytes).read_to_end(&mut kept)?;
        let bytes = whole_records(&kept) as u64;
        file.file().set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        let mut events = Self { file, bytes };
        if bytes == 0 {
            let mut event = Message::at(0);
            event.bytes(3, FILE_VERSION);
            events.write(&event.0)?;
        }
        Ok(events)
    }

    /// Writes values of a step.
    pub(crate) fn scalars<'a>(
        &mut self,
        step: usize,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let mut summary = Message::default();
        for (tag, number) in values {
            let mut value = Message::default();
            value.bytes(1, tag.as_bytes());
            value.float(2, number);
            summary.bytes(1, &value.0);
        }
        let mut event = Message::at(step);
        event.bytes(5, &summary.0);
        self.write(&event.0)
    }

    /// Writes what was measured at the end of an epoch, whose last step is `step`.
    pub(crate) fn epoch(&mut self, step: usize, metrics: &EpochMetrics) -> Result<()> {
        let rates: Vec<(String, f64)> = metrics
            .firing_rates
            .iter()
            .map(|(site, rate)| (format!("firing_rate/{site}"), *rate))
            .collect();
        let own = [
            ("epoch/train_loss", metrics.train_loss),
            ("epoch/train_accuracy", metrics.train_accuracy),
        ];
        let validation =
            metrics.validation_accuracy.map(|accuracy| ("epoch/validation_accuracy", accuracy));
        let rates = rates.iter().map(|(tag, rate)| (tag.as_str(), *rate));
        self.scalars(step, own.into_iter().chain(validation).chain(rates))
    }

    /// Has everything on the disk, and tells how many bytes that is.
    pub(crate) fn sync(&mut self) -> Result<u64> {
        self.file.sync_data()?;
        Ok(self.bytes)
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(event.len() + FRAME);
        record.extend_from_slice(&length);
        record.extend_from_slice(&masked_crc(&length).to_le_bytes());
        record.extend_from_slice(event);
        record.extend_from_slice(&masked_crc(event).to_le_bytes());
        self.file.write_all(&record)?;
        self.bytes += record.len() as u64;
        Ok(())
    }
}

/// Length of the longest beginning that consists of whole records.
fn whole_records(bytes: &[u8]) -> usize {
    let mut position = 0;
    while let Some((length, rest)) = bytes.get(position..).and_then(<[u8]>::split_first_chunk::<8>)
        && let Some((length_crc, rest)) = rest.split_first_chunk::<4>()
        && *length_crc == masked_crc(length).to_le_bytes()
        && let Ok(size) = usize::try_from(u64::from_le_bytes(*length))
        && let Some((event, rest)) = rest.split_at_checked(size)
        && let Some((event_crc, _)) = rest.split_first_chunk::<4>()
        && *event_crc == masked_crc(event).to_le_bytes()
    {
        position += size + FRAME;
    }
    position
}

/// CRC-32C, rotated and shifted so that a checksum of data that holds checksums is no special case.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A protocol buffer in the making.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// An event of now.
    fn at(step: usize) -> Self {
        let seconds =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut event = Self::default();
        event.key(1, 1);
        event.0.extend_from_slice(&seconds.to_le_bytes());
        event.key(2, 0);
        event.varint(step as u64);
        event
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the format has single precision")]
    fn float(&mut self, field: u64, value: f64) {
        self.key(field, 5);
        self.0.extend_from_slice(&(value as f32).to_le_bytes());
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push((value & 0x7f) as u8);
    }
}
