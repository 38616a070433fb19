//! Records of a fixed size to columns, a block at a time and without a decision for each record.
//!
//! Formats differ in which bits of a record are what ([`Layout`]). The loops over a block are the
//! same for all: they have no branch, their data stay in the cache next to the core, and compilers
//! vectorise them.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

use super::Events;
use snn_simd::{Kernel, run_with_avx2};

/// Records of a block.
const BLOCK: usize = 512;

/// Layout of a record of `N` bytes.
pub(super) trait Layout<const N: usize> {
    /// The bits that tell everything but the time, and the camera's clock.
    fn split(&self, record: [u8; N]) -> (u32, i64);

    /// `true` if this is no change of light and is left out.
    fn special(&self, bits: u32) -> bool;

    /// `true` if no event of this sensor is like this.
    fn wrong(&self, bits: u32) -> bool;

    fn x(&self, bits: u32) -> u16;

    fn y(&self, bits: u32) -> u16;

    fn on(&self, bits: u32) -> bool;
}

/// Adds the records to `events` and returns how many were special; an error is the place of the
/// first wrong one, whose block is not added.
///
/// `tell` makes times of the counters of a block.
pub(super) fn decode<const N: usize, L: Layout<N>>(
    layout: &L,
    records: &[[u8; N]],
    events: &mut Events,
    tell: impl FnMut(&mut [i64]),
) -> Result<u64, usize> {
    run_with_avx2(Decode { layout, records, events, tell })
}

struct Decode<'d, const N: usize, L, F> {
    layout: &'d L,
    records: &'d [[u8; N]],
    events: &'d mut Events,
    tell: F,
}

impl<const N: usize, L: Layout<N>, F: FnMut(&mut [i64])> Kernel for Decode<'_, N, L, F> {
    type Output = Result<u64, usize>;

    #[inline(always)]
    fn run(self) -> Result<u64, usize> {
        let Self { layout, records, events, mut tell } = self;
        let mut skipped = 0;
        events.reserve(records.len());
        let (mut bits, mut times) = ([0; BLOCK], [0; BLOCK]);
        for (block, records) in records.chunks(BLOCK).enumerate() {
            let (bits, times) = (&mut bits[..records.len()], &mut times[..records.len()]);
            for ((record, bits), time) in records.iter().zip(&mut *bits).zip(&mut *times) {
                (*bits, *time) = layout.split(*record);
            }
            tell(times);
            let mut count = records.len();
            if bits.iter().fold(false, |any, &bits| any | layout.special(bits)) {
                count = keep(bits, times, |bits| !layout.special(bits));
                skipped += (records.len() - count) as u64;
            }
            let bits = &bits[..count];
            if bits.iter().fold(false, |any, &bits| any | layout.wrong(bits)) {
                let wrong = |record: &[u8; N]| {
                    let (bits, _) = layout.split(*record);
                    !layout.special(bits) && layout.wrong(bits)
                };
                return Err(block * BLOCK + records.iter().position(wrong).unwrap_or_default());
            }
            events.t.extend_from_slice(&times[..count]);
            events.x.extend(bits.iter().map(|&bits| layout.x(bits)));
            events.y.extend(bits.iter().map(|&bits| layout.y(bits)));
            events.polarity.extend(bits.iter().map(|&bits| layout.on(bits)));
        }
        Ok(skipped)
    }
}

/// Moves what is wanted to the front, in order, and returns how many that are.
fn keep(bits: &mut [u32], times: &mut [i64], wanted: impl Fn(u32) -> bool) -> usize {
    let mut kept = 0;
    for index in 0..bits.len() {
        let (word, time) = (bits[index], times[index]);
        bits[kept] = word;
        times[kept] = time;
        kept += usize::from(wanted(word));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Decode, Layout, decode};
    use crate::SampleRng;
    use crate::recordings::events::{Event, Events, SensorSize};
    use snn_simd::Kernel as _;

    const SIZE: SensorSize = SensorSize { width: 100, height: 90 };

    /// x, y, polarity, whether it is special, and a time of 16 bits.
    struct Made;

    impl Layout<6> for Made {
        fn split(&self, [x, y, polarity, special, low, high]: [u8; 6]) -> (u32, i64) {
            (
                u32::from_le_bytes([x, y, polarity, special]),
                i64::from(u16::from_le_bytes([low, high])),
            )
        }

        fn special(&self, bits: u32) -> bool {
            bits >> 24 != 0
        }

        fn wrong(&self, bits: u32) -> bool {
            !SIZE.holds(self.x(bits), self.y(bits))
        }

        fn x(&self, bits: u32) -> u16 {
            (bits & 0xFF) as u16
        }

        fn y(&self, bits: u32) -> u16 {
            (bits >> 8 & 0xFF) as u16
        }

        fn on(&self, bits: u32) -> bool {
            bits >> 16 & 1 == 1
        }
    }

    /// One record after the other, and what comes of it.
    fn plain(records: &[[u8; 6]]) -> (Events, Result<u64, usize>) {
        let (mut events, mut skipped) = (Events::new(SIZE), 0);
        for (index, &[x, y, polarity, special, low, high]) in records.iter().enumerate() {
            let (x, y, t) =
                (u16::from(x), u16::from(y), i64::from(u16::from_le_bytes([low, high])) + 5);
            if special != 0 {
                skipped += 1;
            } else if events.push(Event { t, x, y, polarity: polarity & 1 == 1 }).is_err() {
                return (events, Err(index));
            }
        }
        (events, Ok(skipped))
    }

    #[test]
    fn blocks_are_what_one_record_after_the_other_is() {
        let mut rng = SampleRng::for_sample(0, 0, 0);
        let tell = |times: &mut [i64]| times.iter_mut().for_each(|time| *time += 5);
        for (length, specials, wrong) in
            [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 17].into_iter().flat_map(|length| {
                [(length, 0, None), (length, 3, None), (length, 200, Some(length / 2))]
            })
        {
            let mut records: Vec<[u8; 6]> = Vec::new();
            for index in 0..length {
                let mut byte = |bound| u8::try_from(rng.below(bound)).unwrap();
                // A special record may lie anywhere.
                let special = u8::from(byte(250) < specials);
                let bound = if special == 1 { 256 } else { 90 };
                let x = if wrong == Some(index) { 100 } else { byte(bound) };
                let special = if wrong == Some(index) { 0 } else { special };
                records.push([x, byte(bound), byte(256), special, byte(256), byte(256)]);
            }
            let (expected, skipped) = plain(&records);
            let (mut fast, mut twin) = (Events::new(SIZE), Events::new(SIZE));
            assert_eq!(decode(&Made, &records, &mut fast, tell), skipped, "{length} records");
            let kernel = Decode { layout: &Made, records: &records, events: &mut twin, tell };
            assert_eq!(kernel.run(), skipped);
            assert_eq!(fast, twin);
            // The block with the wrong record is left out.
            let kept = fast.len();
            assert_eq!(fast, expected.slice(0..kept).unwrap());
            assert!(kept == expected.len() || skipped.is_err());
        }
    }
}
