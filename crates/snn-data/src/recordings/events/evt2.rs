//! Prophesee EVT2: text lines that begin with `% `, then words of 32 bits, least significant byte
//! first; the highest four bits are the type. A change-detection event has the lowest six bits of
//! the time, the other 28 come in words of their own.

use super::bytes::ByteSource;
use super::header::{self, geometry};
use super::outside::Outside;
use super::time::Clock;
use super::{Event, Events, ReadOptions, SensorSize};
use crate::Result;

const CD_OFF: u32 = 0x0;
const CD_ON: u32 = 0x1;
const TIME_HIGH: u32 = 0x8;

#[derive(Debug)]
pub(super) struct Decoder {
    clock: Clock<34>,
    /// The higher bits of the time; none before the first such word.
    high: Option<i64>,
    pub(super) skipped: u64,
}

impl Decoder {
    pub(super) fn open(
        source: &mut ByteSource,
        options: &ReadOptions,
    ) -> Result<(Self, SensorSize)> {
        let lines = header::lines(source, b"% ", |line| line == "% end")?;
        let size = geometry(&lines, options, source)?;
        Ok((Self { clock: Clock::default(), high: None, skipped: 0 }, size))
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        let forgiving = source.forgiving();
        let Some(words) = source.records::<4>("word")? else { return Ok(false) };
        let mut outside = Outside::default();
        for (index, &word) in words.iter().enumerate() {
            let word = u32::from_le_bytes(word);
            match (word >> 28, self.high) {
                (TIME_HIGH, _) => {
                    self.high = Some(self.clock.time(i64::from(word & 0x0FFF_FFFF) << 6));
                }
                (kind @ (CD_OFF | CD_ON), Some(high)) => {
                    let (x, y) = (eleven_bits(word >> 11), eleven_bits(word));
                    let t = high | i64::from(word >> 22 & 0x3F);
                    let event = Event { t, x, y, polarity: kind == CD_ON };
                    if !outside.holds(events, event, index) && !forgiving {
                        break;
                    }
                }
                // Events before the first time, triggers, and words of other makers.
                _ => self.skipped += 1,
            }
        }
        let length = words.len() * 4;
        outside.report(source, events.size, 4)?;
        source.consume(length);
        Ok(true)
    }
}

fn eleven_bits(value: u32) -> u16 {
    (value & 0x7FF) as u16
}
