//! AEDAT 3.1 (DVS128 Gesture), after the description of the format by iniVation. **Not tried on a
//! real file**: none was available.
//!
//! Text lines up to `#!END-HEADER`, then packets: a header of 28 bytes (type, source, size of an
//! event, offset of its time, overflows of the clock, capacity, events, valid events; least
//! significant byte first), then `capacity` events. A polarity event is 32 bits of data (valid,
//! polarity, 15 bits of y, 15 bits of x from the lowest bit on) and 32 bits of time. The origin is
//! the upper left corner.

use super::block::{Layout, decode};
use super::bytes::ByteSource;
use super::{Events, ReadOptions, SensorSize, header};
use crate::Result;

pub(super) const MAGIC: &[u8] = b"#!AER-DAT3";
const END: &str = "#!END-HEADER";
const PACKET_HEADER: usize = 28;
/// The type of packets of polarity events.
const POLARITY: u16 = 1;
/// Bytes of a polarity event.
const EVENT_BYTES: u32 = 8;
/// The sensor of DVS128 Gesture; files do not say their size.
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
        if lines.last().is_none_or(|line| line != END) {
            return Err(source.error("header", format!("a line `{END}`"), "other bytes"));
        }
        let said = options.size.or(options.chip.map(super::Chip::size));
        let size = said.or(options.default_size).unwrap_or(DEFAULT_SIZE);
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
            self.packet = packet(source)?;
            return Ok(true);
        }
        if !self.packet.polarity || self.packet.events == 0 {
            let at_hand = source.fill(1)?.len() as u64;
            let skipped = at_hand.min(self.packet.bytes);
            if skipped == 0 {
                return Err(source.error(
                    "packet",
                    format!("{} more bytes", self.packet.bytes),
                    "the end",
                ));
            }
            self.packet.bytes -= skipped;
            source.consume(usize::try_from(skipped).unwrap_or(usize::MAX));
            return Ok(true);
        }
        self.polarity_events(source, events)?;
        Ok(true)
    }

    fn polarity_events(&mut self, source: &mut ByteSource, events: &mut Events) -> Result<()> {
        let Some(records) = source.records::<8>("event")? else {
            return Err(source.error(
                "packet",
                format!("{} more events", self.packet.events),
                "the end",
            ));
        };
        let records = &records
            [..records.len().min(usize::try_from(self.packet.events).unwrap_or(usize::MAX))];
        let layout = Polarity(events.size);
        let overflows = self.packet.overflows << 31;
        // Not valid is what the camera's filters marked so.
        match decode(&layout, records, events, |times| {
            for time in times.iter_mut() {
                *time |= overflows;
            }
        }) {
            Ok(skipped) => self.skipped += skipped,
            Err(wrong) => {
                let (data, _) = layout.split(records[wrong]);
                return Err(source.off_sensor(
                    wrong * 8,
                    events.size,
                    (layout.x(data), layout.y(data)),
                ));
            }
        }
        let count = records.len();
        self.packet.events -= count as u64;
        self.packet.bytes -= 8 * count as u64;
        source.consume(8 * count);
        Ok(())
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

fn packet(source: &mut ByteSource) -> Result<Packet> {
    let header = source.exact(PACKET_HEADER, "packet header")?;
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
    Ok(Packet {
        polarity: kind == POLARITY,
        bytes: u64::from(event_bytes) * u64::from(capacity),
        events: u64::from(count),
        overflows: i64::from(overflows),
    })
}

fn fifteen_bits(value: u32) -> u16 {
    (value & 0x7FFF) as u16
}
