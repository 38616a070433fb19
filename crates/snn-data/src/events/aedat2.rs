//! AEDAT 2.0: text lines that begin with `#`, then eight bytes an event: address and time, 32 bits each, most significant byte first.
//!
//! Addresses and their orientation are those of jAER (`ch.unizh.ini.jaer.chip.retina.DVS128`, `eu.seebetter.ini.chips.DavisChip`): its origin is the lower left
//! corner, ours the upper left one.

use super::source::Source;
use super::time::Clock;
use super::{Chip, Event, Events, ReadOptions, SensorSize, header};
use crate::Result;

pub(super) const MAGIC: &[u8] = b"#!AER-DAT2";
/// The line with which newer files end their header.
const END: &str = "#End Of ASCII Header";
/// DVS128: a pulse at the synchronisation input, or another special event.
const DVS128_SPECIAL: u32 = 0x8000_8000;
/// DVS128: bits of an address that no event has.
const DVS128_UNUSED: u32 = 0x7FFF_0000;
/// DAVIS: samples of intensity or of the motion sensors.
const DAVIS_SAMPLE: u32 = 0x8000_0000;
/// DAVIS: a pulse at the external input.
const DAVIS_EXTERNAL: u32 = 0x0000_0400;

/// What the header said, and where the clock is.
#[derive(Debug)]
pub(super) struct Decoder {
    chip: Chip,
    clock: Clock<32>,
    pub(super) skipped: u64,
}

impl Decoder {
    pub(super) fn open(source: &mut Source, options: &ReadOptions) -> Result<(Self, SensorSize)> {
        let lines = header::lines(source, b"#", |line| line == END)?;
        let named = lines.iter().find_map(|line| line.strip_prefix("# AEChip:")).map(str::trim);
        let chip = match (options.chip, named) {
            (Some(chip), _) => chip,
            (None, Some(name)) => chip_of(name).ok_or_else(|| {
                source.error("header, AEChip", "DVS128 or a DAVIS; name the sensor if it is like one", name)
            })?,
            (None, None) => chip_of_addresses(source)?,
        };
        Ok((Self { chip, clock: Clock::default(), skipped: 0 }, chip.size()))
    }

    pub(super) fn read_chunk(&mut self, source: &mut Source, events: &mut Events) -> Result<bool> {
        let Some(records) = source.records::<8>("event")? else { return Ok(false) };
        let wrong = match self.chip {
            Chip::Dvs128 => self.dvs128(records, events),
            Chip::Davis240 | Chip::Davis346 | Chip::Davis640 => self.davis(records, events),
        };
        let length = records.len() * 8;
        if let Some((record, address)) = wrong {
            let expected = format!("an address of {}", self.chip);
            return Err(source.error_at(record * 8, "address", expected, format!("{address:#010x}")));
        }
        source.consume(length);
        Ok(true)
    }

    /// Takes records of a DVS128; returns the first one that is none, with its address.
    fn dvs128(&mut self, records: &[[u8; 8]], events: &mut Events) -> Option<(usize, u32)> {
        let seen = records.iter().fold(0, |seen, record| seen | address(*record));
        events.reserve(records.len());
        if seen & (DVS128_SPECIAL | DVS128_UNUSED) == 0 {
            // Column by column: without special events this is the speed of memory.
            events.t.extend(records.iter().map(|record| self.clock.time(counter(*record))));
            // Turning a number of seven bits over is 127 minus it.
            events.x.extend(records.iter().map(|record| u16::from(record[3] >> 1 ^ 127)));
            events.y.extend(records.iter().map(|record| u16::from(record[2] ^ 127)));
            events.polarity.extend(records.iter().map(|record| record[3] & 1 == 0));
            return None;
        }
        for (index, record) in records.iter().enumerate() {
            let address = address(*record);
            let t = self.clock.time(counter(*record));
            if address & DVS128_SPECIAL != 0 {
                self.skipped += 1;
            } else if address & DVS128_UNUSED != 0 {
                return Some((index, address));
            } else {
                let (x, y) = (127 - u16::from(record[3] >> 1), 127 - u16::from(record[2]));
                events.append(Event { t, x, y, polarity: record[3] & 1 == 0 });
            }
        }
        None
    }

    /// Takes records of a DAVIS; returns the first one that is none, with its address.
    fn davis(&mut self, records: &[[u8; 8]], events: &mut Events) -> Option<(usize, u32)> {
        let SensorSize { width, height } = events.size;
        events.reserve(records.len());
        for (index, record) in records.iter().enumerate() {
            let address = address(*record);
            let t = self.clock.time(counter(*record));
            if address & (DAVIS_SAMPLE | DAVIS_EXTERNAL) != 0 {
                self.skipped += 1;
                continue;
            }
            let (column, row) = (low_bits(address >> 12, 10), low_bits(address >> 22, 9));
            if column >= width || row >= height {
                return Some((index, address));
            }
            let (x, y) = (width - 1 - column, height - 1 - row);
            events.append(Event { t, x, y, polarity: address & 0x800 != 0 });
        }
        None
    }
}

fn address(record: [u8; 8]) -> u32 {
    u32::from_be_bytes([record[0], record[1], record[2], record[3]])
}

fn counter(record: [u8; 8]) -> i64 {
    i64::from(i32::from_be_bytes([record[4], record[5], record[6], record[7]]))
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest bits are asked for")]
fn low_bits(value: u32, bits: u32) -> u16 {
    (value & ((1 << bits) - 1)) as u16
}

/// The chip that a header names, by the class of jAER: `ch.unizh.ini.jaer.chip.retina.DVS128`.
fn chip_of(name: &str) -> Option<Chip> {
    let name = name.to_ascii_lowercase();
    Chip::ALL.into_iter().find(|chip| name.contains(chip.as_str()))
}

/// Files of CIFAR10-DVS do not name their chip. Addresses of a DVS128 have 16 bits; those of a DAVIS have 31, and what has no row
/// above the lowest is hardly one.
fn chip_of_addresses(source: &mut Source) -> Result<Chip> {
    let (records, _) = source.fill(8)?.as_chunks::<8>();
    if records.iter().all(|record| address(*record) & DVS128_UNUSED == 0) {
        return Ok(Chip::Dvs128);
    }
    Err(source.error(
        "header",
        "a line `# AEChip:`, since addresses have more than the 16 bits of a DVS128; name the sensor",
        "none",
    ))
}
