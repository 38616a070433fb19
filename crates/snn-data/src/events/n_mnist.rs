//! N-MNIST (and N-Caltech101): five bytes an event, no header: x, y, then polarity (the highest bit) and 23 bits of time, most
//! significant byte first. An event of row 240 says that the camera's clock of 2¹³ µs has overflowed.

use super::source::Source;
use super::{Event, Events, ReadOptions, SensorSize};
use crate::Result;

/// The sensor area of N-MNIST.
const SIZE: SensorSize = SensorSize { width: 34, height: 34 };
/// The row of events that count overflows.
const OVERFLOW_ROW: u8 = 240;
/// What an overflow adds, in µs.
const OVERFLOW: i64 = 1 << 13;

#[derive(Debug)]
pub(super) struct Decoder {
    overflows: i64,
    pub(super) skipped: u64,
}

impl Decoder {
    pub(super) fn open(options: &ReadOptions) -> (Self, SensorSize) {
        (Self { overflows: 0, skipped: 0 }, options.size.unwrap_or(SIZE))
    }

    pub(super) fn read_chunk(&mut self, source: &mut Source, events: &mut Events) -> Result<bool> {
        let Some(records) = source.records::<5>("event")? else { return Ok(false) };
        events.reserve(records.len());
        let mut wrong = None;
        for (index, &[x, y, high, middle, low]) in records.iter().enumerate() {
            if y == OVERFLOW_ROW {
                self.overflows += 1;
                self.skipped += 1;
                continue;
            }
            let t = i64::from(u32::from_be_bytes([0, high & 0x7F, middle, low])) + self.overflows * OVERFLOW;
            let (x, y) = (u16::from(x), u16::from(y));
            if !events.size.holds(x, y) {
                wrong = Some((index, x, y));
                break;
            }
            events.append(Event { t, x, y, polarity: high & 0x80 != 0 });
        }
        let length = records.len() * 5;
        if let Some((index, x, y)) = wrong {
            return Err(source.off_sensor(index * 5, events.size, (x, y)));
        }
        source.consume(length);
        Ok(true)
    }
}
