//! N-MNIST (and N-Caltech101): five bytes an event, no header: x, y, then polarity (the highest
//! bit) and 23 bits of time, most significant byte first. An event of row 240 says that the
//! camera's clock of 2¹³ µs has overflowed.

use super::block::{Layout, read};
use super::bytes::ByteSource;
use super::{Events, ReadOptions, SensorSize};
use crate::Result;

/// The sensor area of N-MNIST.
const SIZE: SensorSize = SensorSize { width: 34, height: 34 };
/// The row of events that count overflows.
const OVERFLOW_ROW: u8 = 240;
/// Time that an overflow adds, in µs.
const OVERFLOW: i64 = 1 << 13;
/// The bits of the time of an event.
const TIME: i64 = (1 << 23) - 1;
/// While a record is decoded: the bit of its time that says that it is an overflow.
const OVERFLOW_BIT: u32 = 23;

#[derive(Debug)]
pub(super) struct Decoder {
    overflows: i64,
    pub(super) skipped: u64,
}

impl Decoder {
    pub(super) fn open(
        source: &mut ByteSource,
        options: &ReadOptions,
    ) -> Result<(Self, SensorSize)> {
        // There is no header to miss: an empty file is one that was not copied.
        if source.fill(1)?.is_empty() {
            return Err(source.error("event", "5 bytes", "an empty file"));
        }
        let size = options.size.or(options.default_size);
        if size.is_none() {
            source.size_is_guessed();
        }
        Ok((Self { overflows: 0, skipped: 0 }, size.unwrap_or(SIZE)))
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        let layout = FiveBytes(events.size);
        let tell = |times: &mut [i64]| {
            // An overflow is an event of the clock, whose own time does not count.
            for time in times {
                self.overflows += *time >> OVERFLOW_BIT;
                *time = (*time & TIME) + self.overflows * OVERFLOW;
            }
        };
        let wrong = |source: &ByteSource, ahead: usize, record: [u8; 5]| {
            let (bits, _) = layout.split(record);
            source.off_sensor(ahead, layout.0, (layout.x(bits), layout.y(bits)))
        };
        let taken = read(source, &layout, events, usize::MAX, tell, wrong)?;
        let Some(taken) = taken else { return Ok(false) };
        self.skipped += taken.special;
        Ok(true)
    }
}

/// x, y and polarity from the lowest byte on.
struct FiveBytes(SensorSize);

impl Layout<5> for FiveBytes {
    fn split(&self, [x, y, high, middle, low]: [u8; 5]) -> (u32, i64) {
        let time = i64::from(u32::from_be_bytes([0, high & 0x7F, middle, low]));
        (
            u32::from_le_bytes([x, y, high >> 7, 0]),
            time | i64::from(y == OVERFLOW_ROW) << OVERFLOW_BIT,
        )
    }

    fn special(&self, bits: u32) -> bool {
        self.y(bits) == u16::from(OVERFLOW_ROW)
    }

    fn wrong(&self, bits: u32) -> bool {
        !self.0.holds(self.x(bits), self.y(bits))
    }

    fn x(&self, bits: u32) -> u16 {
        (bits & 0xFF) as u16
    }

    fn y(&self, bits: u32) -> u16 {
        (bits >> 8 & 0xFF) as u16
    }

    fn on(&self, bits: u32) -> bool {
        bits >> 16 != 0
    }
}
