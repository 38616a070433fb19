//! AEDAT 3.1 (DVS128 Gesture), after the description of the format by iniVation. **Not tried on a
//! real file**: none was available.
//!
//! Text lines up to `#!END-HEADER`, then packets. Two lines say how packets are to be read:
//! `#Format:` (only `RAW` is read; others pack them) and `#Source N:`, the camera. A packet has a
//! header of 28 bytes (type, source, size of an event, offset of its time, overflows of the clock,
//! capacity, events, valid events; least significant byte first), then `capacity` events. A
//! polarity event is 32 bits of data (valid, polarity, 15 bits of y, 15 bits of x from the lowest
//! bit on) and 32 bits of time. The origin is the upper left corner.

use super::block::{Layout, read};
use super::bytes::ByteSource;
use super::{Chip, Events, ReadOptions, SensorSize, header};
use crate::Result;

pub(super) const MAGIC: &[u8] = b"#!AER-DAT3";
/// Before 3.1 the origin was the lower left corner, and no line ended the header.
const MAGIC_0: &str = "#!AER-DAT3.0";
const END: &str = "#!END-HEADER";
const PACKET_HEADER: usize = 28;
/// The type of packets of polarity events.
const POLARITY: u16 = 1;
/// Bytes of a polarity event.
const EVENT_BYTES: u32 = 8;
/// The sensor of DVS128 Gesture, where neither the header nor the reader says another.
const DEFAULT_SIZE: SensorSize = SensorSize { width: 128, height: 128 };

#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) skipped: u64,
    /// Packet bytes that are still to come, events of them that are still to read, and overflows of
    /// their clock.
    packet: Packet,
}

#[derive(Debug, Default, Clone, Copy)]
struct Packet {
    /// `true` if these are polarity events; others are skipped.
    polarity: bool,
    bytes: u64,
    events: u64,
    overflows: i64,
}

impl Decoder {
    pub(super) fn open(
        source: &mut ByteSource,
        options: &ReadOptions,
    ) -> Result<(Self, SensorSize)> {
        let lines = header::lines(source, b"#", |line| line == END)?;
        if lines.first().is_some_and(|line| line.starts_with(MAGIC_0)) {
            let expected = "AEDAT 3.1, 2.0 or 4; convert it (jAER and DV read 3.0)";
            return Err(source.error("format", expected, "AEDAT 3.0"));
        }
        if lines.last().is_none_or(|line| line != END) {
            return Err(source.error("header", format!("a line `{END}`"), "other bytes"));
        }
        let value = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
        if let Some(format) = value("#Format:").map(str::trim)
            && format != "RAW"
        {
            let expected = "RAW; packed packets are not read: export the recording as RAW, or as \
                            AEDAT 4 from DV";
            return Err(source.error("header, #Format", expected, format!("`{format}`")));
        }
        // `#Source 1: DVS128`.
        let camera = value("#Source ").and_then(|source| Some(source.split_once(':')?.1.trim()));
        let named = camera.and_then(Chip::of_name).map(Chip::size);
        let said = options.size.or(options.chip.map(Chip::size)).or(named);
        let given = said.or(options.default_size);
        if given.is_none() {
            source.size_is_guessed();
        }
        let size = given.unwrap_or(DEFAULT_SIZE);
        Ok((Self { skipped: 0, packet: Packet::default() }, size))
    }

    pub(super) fn is_between_packets(&self) -> bool {
        self.packet.bytes == 0
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        if self.packet.bytes == 0 {
            if source.fill(1)?.is_empty() {
                return Ok(false);
            }
            let Some(packet) = packet(source)? else { return Ok(false) };
            self.packet = packet;
            return Ok(true);
        }
        if !self.packet.polarity || self.packet.events == 0 {
            let at_hand = source.fill(1)?.len() as u64;
            let skipped = at_hand.min(self.packet.bytes);
            if skipped == 0 {
                let expected = format!("{} more bytes", self.packet.bytes);
                source.cut(source.error("packet", expected, "the end"))?;
                return Ok(false);
            }
            self.packet.bytes -= skipped;
            source.consume(usize::try_from(skipped).unwrap_or(usize::MAX));
            return Ok(true);
        }
        self.polarity_events(source, events)
    }

    /// Reads events of the packet; `false` if the file ends in it.
    fn polarity_events(&mut self, source: &mut ByteSource, events: &mut Events) -> Result<bool> {
        let most = usize::try_from(self.packet.events).unwrap_or(usize::MAX);
        let layout = Polarity(events.size);
        let overflows = self.packet.overflows << 31;
        let tell = |times: &mut [i64]| {
            for time in times {
                *time |= overflows;
            }
        };
        let wrong = |source: &ByteSource, ahead: usize, record: [u8; 8]| {
            let (data, _) = layout.split(record);
            source.off_sensor(ahead, layout.0, (layout.x(data), layout.y(data)))
        };
        let cut = source.damage().cut;
        let Some(taken) = read(source, &layout, events, most, tell, wrong)? else {
            if source.damage().cut == cut {
                let expected = format!("{} more events", self.packet.events);
                source.cut(source.error("packet", expected, "the end"))?;
            }
            return Ok(false);
        };
        // Not valid is what the camera's filters marked so.
        self.skipped += taken.special;
        self.packet.events -= taken.records as u64;
        self.packet.bytes -= 8 * taken.records as u64;
        Ok(true)
    }
}

/// Valid, polarity, 15 bits of y, 15 bits of x.
struct Polarity(SensorSize);

impl Layout<8> for Polarity {
    fn split(&self, [a, b, c, d, time @ ..]: [u8; 8]) -> (u32, i64) {
        (u32::from_le_bytes([a, b, c, d]), i64::from(u32::from_le_bytes(time)))
    }

    fn special(&self, data: u32) -> bool {
        data & 1 == 0
    }

    fn wrong(&self, data: u32) -> bool {
        !self.0.holds(self.x(data), self.y(data))
    }

    fn x(&self, data: u32) -> u16 {
        fifteen_bits(data >> 17)
    }

    fn y(&self, data: u32) -> u16 {
        fifteen_bits(data >> 2)
    }

    fn on(&self, data: u32) -> bool {
        data & 2 != 0
    }
}

/// The header of a packet; `None` if the file ends in it, which is damage of a record.
fn packet(source: &mut ByteSource) -> Result<Option<Packet>> {
    let Some(header) = source.whole(PACKET_HEADER, "packet header")? else { return Ok(None) };
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let kind = u16::from_le_bytes([header[0], header[1]]);
    let [event_bytes, overflows, capacity, count] = [4, 12, 16, 20].map(word);
    if kind == POLARITY && event_bytes != EVENT_BYTES {
        return Err(source.error("size of a polarity event", EVENT_BYTES, event_bytes));
    }
    if count > capacity {
        return Err(source.error(
            "events of a packet",
            format!("at most its capacity, {capacity}"),
            count,
        ));
    }
    Ok(Some(Packet {
        polarity: kind == POLARITY,
        bytes: u64::from(event_bytes) * u64::from(capacity),
        events: u64::from(count),
        overflows: i64::from(overflows),
    }))
}

fn fifteen_bits(value: u32) -> u16 {
    (value & 0x7FFF) as u16
}
