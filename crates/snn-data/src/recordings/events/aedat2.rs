//! AEDAT 2.0: text lines that begin with `#`, then eight bytes an event: address and time, 32 bits
//! each, most significant byte first.
//!
//! Addresses and their orientation are those of jAER (`ch.unizh.ini.jaer.chip.retina.DVS128`,
//! `eu.seebetter.ini.chips.DavisChip`): its origin is the lower left corner, ours the upper left
//! one.

use super::block::{Layout, read};
use super::bytes::ByteSource;
use super::time::Clock;
use super::{Chip, Event, Events, ReadOptions, SensorSize, header};
use crate::{Error, Result};

pub(super) const MAGIC: &[u8] = b"#!AER-DAT2";
/// The lines with which files of CIFAR10-DVS begin; a last one says when they were made.
const HEADER: [&str; 4] = [
    "!AER-DAT2.0",
    "This is a raw AE data file - do not edit",
    "Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event",
    "Timestamps tick is 1 us",
];
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

/// State of the decoder: facts of the header, and the clock.
#[derive(Debug)]
pub(super) struct Decoder {
    chip: Chip,
    clock: Clock<32>,
    pub(super) skipped: u64,
}

impl Decoder {
    pub(super) fn open(
        source: &mut ByteSource,
        options: &ReadOptions,
    ) -> Result<(Self, SensorSize)> {
        let lines = header::lines(source, b"#", |line| line == END)?;
        let named = lines.iter().find_map(|line| line.strip_prefix("# AEChip:")).map(str::trim);
        let chip = match (options.chip, named) {
            (Some(chip), _) => chip,
            (None, Some(name)) => Chip::of_name(name).ok_or_else(|| {
                source.error(
                    "header, AEChip",
                    "DVS128 or a DAVIS; name the sensor if it is like one",
                    name,
                )
            })?,
            (None, None) => chip_of_addresses(source)?,
        };
        Ok((Self { chip, clock: Clock::default(), skipped: 0 }, chip.size()))
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        let tell = |times: &mut [i64]| self.clock.times(times);
        let chip = self.chip;
        let wrong = |source: &ByteSource, ahead: usize, record: [u8; 8]| {
            let found = format!("{:#010x}", split(record).0);
            source.error_at(ahead, "address", format!("an address of {chip}"), found)
        };
        let taken = match chip {
            Chip::Dvs128 => read(source, &Dvs128, events, usize::MAX, tell, wrong)?,
            Chip::Davis240 | Chip::Davis346 | Chip::Davis640 => {
                read(source, &Davis(chip.size()), events, usize::MAX, tell, wrong)?
            }
        };
        let Some(taken) = taken else { return Ok(false) };
        self.skipped += taken.special;
        Ok(true)
    }
}

/// A recording of a DVS128 as AEDAT 2.0, with the header of CIFAR10-DVS's files and a comment,
/// which stands where they say when they were made. Read back, it is the same recording.
///
/// ```
/// use snn_data::recordings::events::{Event, EventReader, Events, ReadOptions, SensorSize};
/// use snn_data::recordings::events::to_aedat2;
/// let mut events = Events::new(SensorSize { width: 128, height: 128 });
/// events.push(Event { t: 5, x: 127, y: 3, polarity: true })?;
/// let bytes = std::io::Cursor::new(to_aedat2(&events, "one event")?);
/// let path = "x.aedat".as_ref();
/// let mut reader = EventReader::new(Box::new(bytes), path, None, ReadOptions::default())?;
/// assert_eq!(reader.read_all()?, events);
/// # Ok::<(), snn_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidEvents`] for another sensor than 128x128, a time that is no number of 32 bits
/// with a sign, or a comment of more than one line.
pub fn to_aedat2(events: &Events, comment: &str) -> Result<Vec<u8>> {
    let invalid = |expected: &str, found: String| Error::InvalidEvents {
        expected: expected.to_owned(),
        found,
    };
    if events.size() != Chip::Dvs128.size() {
        return Err(invalid("a sensor of 128x128 for AEDAT 2.0", events.size().to_string()));
    }
    if comment.chars().any(char::is_control) {
        return Err(invalid("a comment of one line", format!("{comment:?}")));
    }
    let mut bytes = Vec::with_capacity(512 + comment.len() + 8 * events.len());
    for line in HEADER.into_iter().chain([comment]) {
        let marker = if line.starts_with('!') { "#" } else { "# " };
        bytes.extend([marker, line, "\r\n"].concat().bytes());
    }
    for Event { t, x, y, polarity } in events.iter() {
        let time = i32::try_from(t).map_err(|_| invalid("times of 32 bits", format!("{t} µs")))?;
        let [x, y] = [x, y].map(|at| u32::from(at ^ 127));
        let address = y << 8 | x << 1 | u32::from(!polarity);
        bytes.extend(address.to_be_bytes());
        bytes.extend(time.to_be_bytes());
    }
    Ok(bytes)
}

/// Addresses of a DVS128: polarity, then seven bits each of x and y.
struct Dvs128;

impl Layout<8> for Dvs128 {
    fn split(&self, record: [u8; 8]) -> (u32, i64) {
        split(record)
    }

    fn special(&self, address: u32) -> bool {
        address & DVS128_SPECIAL != 0
    }

    fn wrong(&self, address: u32) -> bool {
        address & DVS128_UNUSED != 0
    }

    fn x(&self, address: u32) -> u16 {
        // Turning a number of seven bits over is 127 minus it.
        low_bits(address >> 1, 7) ^ 127
    }

    fn y(&self, address: u32) -> u16 {
        low_bits(address >> 8, 7) ^ 127
    }

    fn on(&self, address: u32) -> bool {
        address & 1 == 0
    }
}

/// Addresses of a DAVIS: polarity at bit 11, ten bits of x from bit 12 on, nine of y from bit 22
/// on.
struct Davis(SensorSize);

impl Davis {
    fn column(address: u32) -> u16 {
        low_bits(address >> 12, 10)
    }

    fn row(address: u32) -> u16 {
        low_bits(address >> 22, 9)
    }
}

impl Layout<8> for Davis {
    fn split(&self, record: [u8; 8]) -> (u32, i64) {
        split(record)
    }

    fn special(&self, address: u32) -> bool {
        address & (DAVIS_SAMPLE | DAVIS_EXTERNAL) != 0
    }

    fn wrong(&self, address: u32) -> bool {
        !self.0.holds(Self::column(address), Self::row(address))
    }

    fn x(&self, address: u32) -> u16 {
        self.0.width - 1 - Self::column(address)
    }

    fn y(&self, address: u32) -> u16 {
        self.0.height - 1 - Self::row(address)
    }

    fn on(&self, address: u32) -> bool {
        address & 0x800 != 0
    }
}

/// Address and time, as a number with a sign.
fn split([a, b, c, d, time @ ..]: [u8; 8]) -> (u32, i64) {
    (u32::from_be_bytes([a, b, c, d]), i64::from(i32::from_be_bytes(time)))
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest bits are asked for")]
fn low_bits(value: u32, bits: u32) -> u16 {
    (value & ((1 << bits) - 1)) as u16
}

/// Files of CIFAR10-DVS do not name their chip. Addresses of a DVS128 have 16 bits; those of a
/// DAVIS have 31, and what has no row above the lowest is hardly one.
fn chip_of_addresses(source: &mut ByteSource) -> Result<Chip> {
    let (records, _) = source.fill(8)?.as_chunks::<8>();
    if records.iter().all(|record| split(*record).0 & DVS128_UNUSED == 0) {
        return Ok(Chip::Dvs128);
    }
    Err(source.error(
        "header",
        "a line `# AEChip:`, since addresses have more than the 16 bits of a DVS128; name the \
         sensor",
        "none",
    ))
}
