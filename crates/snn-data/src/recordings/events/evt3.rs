//! Prophesee EVT3: text lines that begin with `% `, then words of 16 bits, least significant byte
//! first; the highest four bits are the type. Row, time and the base of a vector are states that
//! later words use.

use super::bytes::ByteSource;
use super::header::{self, geometry};
use super::outside::Outside;
use super::time::Clock;
use super::{Event, Events, ReadOptions, SensorSize};
use crate::Result;

const ADDRESS_Y: u16 = 0x0;
const ADDRESS_X: u16 = 0x2;
const VECTOR_BASE_X: u16 = 0x3;
const VECTOR_12: u16 = 0x4;
const VECTOR_8: u16 = 0x5;
const TIME_LOW: u16 = 0x6;
const TIME_HIGH: u16 = 0x8;

#[derive(Debug)]
pub(super) struct Decoder {
    clock: Clock<24>,
    /// The higher twelve bits of the time; none before the first such word.
    high: Option<i64>,
    low: i64,
    y: u16,
    base: u16,
    polarity: bool,
    pub(super) skipped: u64,
}

impl Decoder {
    pub(super) fn open(
        source: &mut ByteSource,
        options: &ReadOptions,
    ) -> Result<(Self, SensorSize)> {
        let lines = header::lines(source, b"% ", |line| line == "% end")?;
        let size = geometry(&lines, options, source)?;
        let start = Self {
            clock: Clock::default(),
            high: None,
            low: 0,
            y: 0,
            base: 0,
            polarity: false,
            skipped: 0,
        };
        Ok((start, size))
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        let forgiving = source.forgiving();
        let Some(words) = source.records::<2>("word")? else { return Ok(false) };
        let mut outside = Outside::default();
        for (index, &word) in words.iter().enumerate() {
            let word = u16::from_le_bytes(word);
            if !self.word(word, events, index, &mut outside) && !forgiving {
                break;
            }
        }
        let length = words.len() * 2;
        outside.report(source, events.size, 2)?;
        source.consume(length);
        Ok(true)
    }

    /// Takes word `index`; `false` if an event of it lies outside the sensor.
    fn word(
        &mut self,
        word: u16,
        events: &mut Events,
        index: usize,
        outside: &mut Outside,
    ) -> bool {
        let value = word & 0x7FF;
        let flag = word & 0x800 != 0;
        match word >> 12 {
            TIME_HIGH => {
                let high = self.clock.time(i64::from(word & 0xFFF) << 12);
                // The lower bits of the new time follow in a word of their own.
                if self.high != Some(high) {
                    self.low = 0;
                }
                self.high = Some(high);
            }
            TIME_LOW => self.low = i64::from(word & 0xFFF),
            ADDRESS_Y => self.y = value,
            VECTOR_BASE_X => (self.base, self.polarity) = (value, flag),
            ADDRESS_X => {
                let Some(high) = self.high else {
                    self.skipped += 1;
                    return true;
                };
                let event = Event { t: high | self.low, x: value, y: self.y, polarity: flag };
                return outside.holds(events, event, index);
            }
            VECTOR_12 => {
                return self.vector(word & 0xFFF, 12, |event| outside.holds(events, event, index));
            }
            VECTOR_8 => {
                return self.vector(word & 0xFF, 8, |event| outside.holds(events, event, index));
            }
            // Triggers, their continuations, and words of other makers.
            _ => self.skipped += 1,
        }
        true
    }

    /// Takes the events of a vector: one for each set bit, at columns `base`, `base + 1`, …;
    /// `false` if `add` refused one.
    fn vector(&mut self, mut bits: u16, length: u16, mut add: impl FnMut(Event) -> bool) -> bool {
        let base = self.base;
        self.base = base.saturating_add(length);
        let Some(high) = self.high else {
            self.skipped += u64::from(bits.count_ones());
            return true;
        };
        let (t, y, polarity) = (high | self.low, self.y, self.polarity);
        let mut all = true;
        while bits != 0 {
            let x = base.saturating_add(u16::try_from(bits.trailing_zeros()).unwrap_or(u16::MAX));
            all &= add(Event { t, x, y, polarity });
            bits &= bits - 1;
        }
        all
    }
}
