//! Prophesee EVT 2.1: text lines that begin with `% `, then words of 64 bits; the highest four bits
//! are the type. A word of events tells the polarity, the lowest six bits of the time, a row, a
//! column, and 32 bits, one for each of the 32 pixels from that column on; the other 28 bits of the
//! time come in words of their own.
//!
//! Words are stored least significant byte first (`endianness=little`, `GenX320`), or with their
//! two halves in the other order, each of them least significant byte first (`endianness=legacy`,
//! IMX636).

use super::bytes::ByteSource;
use super::header::{self, geometry};
use super::outside::Outside;
use super::time::Clock;
use super::{Event, Events, ReadOptions, SensorSize};
use crate::Result;

const NEGATIVE: u64 = 0x0;
const POSITIVE: u64 = 0x1;
const TIME_HIGH: u64 = 0x8;
/// All types that words have: events, times, triggers, others and their continuations.
const TYPES: [u64; 6] = [NEGATIVE, POSITIVE, TIME_HIGH, 0xA, 0xE, 0xF];
/// Words that are looked at to find out their order. The time comes every 64 µs at least.
const LOOK_AT: usize = 1 << 12;

/// Order of the two halves of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The lower half first: all 64 bits least significant byte first.
    Little,
    /// The higher half first.
    Legacy,
}

impl Order {
    fn word(self, bytes: [u8; 8]) -> u64 {
        let word = u64::from_le_bytes(bytes);
        match self {
            Self::Little => word,
            Self::Legacy => word.rotate_left(32),
        }
    }

    /// `true` if words are those of a recording in this order: a time comes before any event, and
    /// all types are known.
    fn fits(self, words: &[[u8; 8]]) -> bool {
        let types = || words.iter().map(|&word| self.word(word) >> 60);
        let first = types().find(|kind| [NEGATIVE, POSITIVE, TIME_HIGH].contains(kind));
        first == Some(TIME_HIGH) && types().all(|kind| TYPES.contains(&kind))
    }

    /// The order of a file: what its header says, unless the words fit the other one alone; some
    /// programs write the header of the camera over words that they have put in order.
    fn of(lines: &[String], source: &mut ByteSource) -> Result<Self> {
        let says = |what: &str| lines.iter().any(|line| line.contains(what));
        let (said, other) = if says("endianness=legacy") {
            (Self::Legacy, Self::Little)
        } else {
            (Self::Little, Self::Legacy)
        };
        let (words, _) = source.fill(8)?.as_chunks::<8>();
        let words = &words[..words.len().min(LOOK_AT)];
        Ok(if !said.fits(words) && other.fits(words) { other } else { said })
    }
}

#[derive(Debug)]
pub(super) struct Decoder {
    order: Order,
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
        let order = Order::of(&lines, source)?;
        Ok((Self { order, clock: Clock::default(), high: None, skipped: 0 }, size))
    }

    pub(super) fn read_chunk(
        &mut self,
        source: &mut ByteSource,
        events: &mut Events,
    ) -> Result<bool> {
        let forgiving = source.forgiving();
        let Some(words) = source.records::<8>("word")? else { return Ok(false) };
        let mut outside = Outside::default();
        for (index, &word) in words.iter().enumerate() {
            let word = self.order.word(word);
            match (word >> 60, self.high) {
                (TIME_HIGH, _) => {
                    self.high = Some(self.clock.time(bits(word, 32, 28) << 6));
                }
                (kind @ (NEGATIVE | POSITIVE), Some(high)) => {
                    let event = Event {
                        t: high | bits(word, 54, 6),
                        x: eleven_bits(word, 43),
                        y: eleven_bits(word, 32),
                        polarity: kind == POSITIVE,
                    };
                    if !vector(word, event, |event| outside.holds(events, event, index))
                        && !forgiving
                    {
                        break;
                    }
                }
                (NEGATIVE | POSITIVE, None) => self.skipped += u64::from(valid(word).count_ones()),
                // Triggers, and words of other makers.
                _ => self.skipped += 1,
            }
        }
        let length = words.len() * 8;
        outside.report(source, events.size, 8)?;
        source.consume(length);
        Ok(true)
    }
}

/// Takes the events of a word, of which `event` is that of the lowest bit; `false` if `add` refused
/// one.
fn vector(word: u64, event: Event, mut add: impl FnMut(Event) -> bool) -> bool {
    let (mut valid, mut all) = (valid(word), true);
    while valid != 0 {
        let offset = u16::try_from(valid.trailing_zeros()).unwrap_or(u16::MAX);
        all &= add(Event { x: event.x.saturating_add(offset), ..event });
        valid &= valid - 1;
    }
    all
}

/// One bit for each of the 32 pixels of a word.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is asked for")]
fn valid(word: u64) -> u32 {
    word as u32
}

/// `count` bits of a word from bit `from` on.
fn bits(word: u64, from: u32, count: u32) -> i64 {
    (word >> from & ((1 << count) - 1)).cast_signed()
}

fn eleven_bits(word: u64, from: u32) -> u16 {
    (word >> from & 0x7FF) as u16
}
