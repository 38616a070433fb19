//! Prophesee DAT: text lines that begin with `% `, the type and size of an event (one byte each),
//! then eight bytes an event, least significant byte first: 32 bits of time, 14 bits of x, 14 bits
//! of y, polarity.

use super::block::{Layout, read};
use super::bytes::ByteSource;
use super::time::Clock;
use super::{Events, ReadOptions, SensorSize, header};
use crate::Result;

/// Types of change-detection events: 2D and CD.
const TYPES: [u8; 2] = [0x00, 0x0C];
/// Bytes of an event.
const EVENT_BYTES: u8 = 8;

#[derive(Debug)]
pub(super) struct Decoder {
    clock: Clock<32>,
}

impl Decoder {
    pub(super) fn open(
        source: &mut ByteSource,
        options: &ReadOptions,
    ) -> Result<(Self, SensorSize)> {
        let lines = header::lines(source, b"% ", |line| line == "% end")?;
        let side = |name: &str| {
            let value = lines.iter().find_map(|line| line.strip_prefix("% ")?.strip_prefix(name));
            value.and_then(|text| text.trim().parse::<u16>().ok()).filter(|&side| side > 0)
        };
        let named =
            side("Width ").zip(side("Height ")).map(|(width, height)| SensorSize { width, height });
        let size = options.size.or(named);
        let size = size.ok_or_else(|| {
            source.error("header", "`% Width` and `% Height`; give the size of the sensor", "none")
        })?;
        let &[kind, bytes] =
            source.exact(2, "type and size of events")?.first_chunk().unwrap_or(&[0; 2]);
        if !TYPES.contains(&kind) || bytes != EVENT_BYTES {
            let expected = "type 0 or 12 and size 8 (change-detection events)";
            return Err(source.error(
                "type and size of events",
                expected,
                format!("{kind} and {bytes}"),
            ));
        }
        Ok((Self { clock: Clock::default() }, size))
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        let layout = ChangeDetection(events.size);
        let wrong = |source: &ByteSource, ahead: usize, record: [u8; 8]| {
            let (place, _) = layout.split(record);
            source.off_sensor(ahead, layout.0, (layout.x(place), layout.y(place)))
        };
        let tell = |times: &mut [i64]| self.clock.times(times);
        Ok(read(source, &layout, events, usize::MAX, tell, wrong)?.is_some())
    }
}

/// Time, then 14 bits each of x and y, then polarity.
struct ChangeDetection(SensorSize);

impl Layout<8> for ChangeDetection {
    fn split(&self, [t0, t1, t2, t3, place @ ..]: [u8; 8]) -> (u32, i64) {
        (u32::from_le_bytes(place), i64::from(u32::from_le_bytes([t0, t1, t2, t3])))
    }

    fn special(&self, _: u32) -> bool {
        false
    }

    fn wrong(&self, place: u32) -> bool {
        !self.0.holds(self.x(place), self.y(place))
    }

    fn x(&self, place: u32) -> u16 {
        fourteen_bits(place)
    }

    fn y(&self, place: u32) -> u16 {
        fourteen_bits(place >> 14)
    }

    fn on(&self, place: u32) -> bool {
        place >> 28 & 1 == 1
    }
}

fn fourteen_bits(value: u32) -> u16 {
    (value & 0x3FFF) as u16
}
