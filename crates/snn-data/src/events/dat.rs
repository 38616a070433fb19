//! Prophesee DAT: text lines that begin with `% `, the type and size of an event (one byte each), then eight bytes an event, least
//! significant byte first: 32 bits of time, 14 bits of x, 14 bits of y, polarity.

use super::source::Source;
use super::time::Clock;
use super::{Event, Events, ReadOptions, SensorSize, header};
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
    pub(super) fn open(source: &mut Source, options: &ReadOptions) -> Result<(Self, SensorSize)> {
        let lines = header::lines(source, b"% ", |line| line == "% end")?;
        let side = |name: &str| {
            let value = lines.iter().find_map(|line| line.strip_prefix("% ")?.strip_prefix(name));
            value.and_then(|text| text.trim().parse::<u16>().ok()).filter(|&side| side > 0)
        };
        let named = side("Width ").zip(side("Height ")).map(|(width, height)| SensorSize { width, height });
        let size = options.size.or(named);
        let size = size
            .ok_or_else(|| source.error("header", "`% Width` and `% Height`; give the size of the sensor", "none"))?;
        let &[kind, bytes] = source.exact(2, "type and size of events")?.first_chunk().unwrap_or(&[0; 2]);
        if !TYPES.contains(&kind) || bytes != EVENT_BYTES {
            let expected = "type 0 or 12 and size 8 (change-detection events)";
            return Err(source.error("type and size of events", expected, format!("{kind} and {bytes}")));
        }
        Ok((Self { clock: Clock::default() }, size))
    }

    pub(super) fn read_chunk(&mut self, source: &mut Source, events: &mut Events) -> Result<bool> {
        let Some(records) = source.records::<8>("event")? else { return Ok(false) };
        events.reserve(records.len());
        let mut wrong = None;
        for (index, &[t0, t1, t2, t3, a, b, c, d]) in records.iter().enumerate() {
            let t = self.clock.time(i64::from(u32::from_le_bytes([t0, t1, t2, t3])));
            let place = u32::from_le_bytes([a, b, c, d]);
            let (x, y) = (fourteen_bits(place), fourteen_bits(place >> 14));
            if !events.size.holds(x, y) {
                wrong = Some((index, x, y));
                break;
            }
            events.append(Event { t, x, y, polarity: place >> 28 & 1 == 1 });
        }
        let length = records.len() * 8;
        if let Some((index, x, y)) = wrong {
            return Err(source.off_sensor(index * 8, events.size, (x, y)));
        }
        source.consume(length);
        Ok(true)
    }
}

fn fourteen_bits(value: u32) -> u16 {
    (value & 0x3FFF) as u16
}
