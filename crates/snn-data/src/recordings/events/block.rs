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
use super::bytes::ByteSource;
use crate::{Error, Result};
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

/// Numbers of records that are no events of the sensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// Records that are no change of light.
    special: u64,
    /// Records that no event of this sensor is like.
    wrong: u64,
    /// The place of the first wrong one.
    first_wrong: Option<usize>,
}

/// Adds the records to `events` and counts those that are special; an error is the place of the
/// first wrong one, whose block is not added. With `forgiving` wrong records are left out and
/// counted instead, before their times reach the clock.
///
/// `tell` makes times of the counters of a block.
fn decode<const N: usize, L: Layout<N>>(
    layout: &L,
    records: &[[u8; N]],
    events: &mut Events,
    forgiving: bool,
    tell: impl FnMut(&mut [i64]),
) -> Result<Counts, usize> {
    run_with_avx2(Decode { layout, records, events, forgiving, tell })
}

/// What was taken of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Records.
    pub(super) records: usize,
    /// Those of them that are no change of light.
    pub(super) special: u64,
}

/// Takes the whole records that are at hand, at most `most`, off the source and adds their events;
/// `None` at the end of the file. `error` tells of a wrong record `ahead` bytes later.
pub(super) fn read<const N: usize, L: Layout<N>>(
    source: &mut ByteSource,
    layout: &L,
    events: &mut Events,
    most: usize,
    tell: impl FnMut(&mut [i64]),
    error: impl Fn(&ByteSource, usize, [u8; N]) -> Error,
) -> Result<Option<Taken>> {
    let forgiving = source.forgiving();
    let Some(records) = source.records::<N>("event")? else { return Ok(None) };
    let records = &records[..records.len().min(most)];
    let taken = records.len();
    let counts = decode(layout, records, events, forgiving, tell);
    let first = match counts {
        Ok(Counts { first_wrong, .. }) => first_wrong,
        Err(wrong) => Some(wrong),
    };
    if let Some((at, record)) = first.and_then(|at| Some((at, *records.get(at)?))) {
        let error = error(source, at * N, record);
        source.outside(counts.map_or(1, |counts| counts.wrong), error)?;
    }
    source.consume(N * taken);
    Ok(Some(Taken { records: taken, special: counts.map_or(0, |counts| counts.special) }))
}

struct Decode<'d, const N: usize, L, F> {
    layout: &'d L,
    records: &'d [[u8; N]],
    events: &'d mut Events,
    forgiving: bool,
    tell: F,
}

impl<const N: usize, L: Layout<N>, F: FnMut(&mut [i64])> Kernel for Decode<'_, N, L, F> {
    type Output = Result<Counts, usize>;

    #[inline(always)]
    fn run(self) -> Result<Counts, usize> {
        let Self { layout, records, events, forgiving, mut tell } = self;
        let mut counts = Counts::default();
        let no_event = |bits: u32| !layout.special(bits) && layout.wrong(bits);
        events.reserve(records.len());
        let (mut bits, mut times) = ([0; BLOCK], [0; BLOCK]);
        for (block, records) in records.chunks(BLOCK).enumerate() {
            let (bits, times) = (&mut bits[..records.len()], &mut times[..records.len()]);
            for ((record, bits), time) in records.iter().zip(&mut *bits).zip(&mut *times) {
                (*bits, *time) = layout.split(*record);
            }
            let mut all = records.len();
            let wrong_at = |bits: &[u32]| {
                block * BLOCK + bits.iter().position(|&bits| no_event(bits)).unwrap_or_default()
            };
            // A wrong record's time may be any: it must not move the clock.
            if forgiving && bits.iter().any(|&bits| no_event(bits)) {
                counts.first_wrong.get_or_insert(wrong_at(bits));
                all = keep(bits, times, |bits| !no_event(bits));
                counts.wrong += (records.len() - all) as u64;
            }
            let (bits, times) = (&mut bits[..all], &mut times[..all]);
            tell(times);
            let mut count = all;
            if bits.iter().fold(false, |any, &bits| any | layout.special(bits)) {
                count = keep(bits, times, |bits| !layout.special(bits));
                counts.special += (all - count) as u64;
            }
            let bits = &bits[..count];
            if bits.iter().fold(false, |any, &bits| any | layout.wrong(bits)) {
                let all: Vec<u32> = records.iter().map(|record| layout.split(*record).0).collect();
                return Err(wrong_at(&all));
            }
            events.t.extend_from_slice(&times[..count]);
            events.x.extend(bits.iter().map(|&bits| layout.x(bits)));
            events.y.extend(bits.iter().map(|&bits| layout.y(bits)));
            events.polarity.extend(bits.iter().map(|&bits| layout.on(bits)));
        }
        Ok(counts)
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
    use super::{BLOCK, Counts, Decode, Layout, decode};
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
    fn plain(records: &[[u8; 6]], forgiving: bool) -> (Events, Result<Counts, usize>) {
        let (mut events, mut counts) = (Events::new(SIZE), Counts::default());
        for (index, &[x, y, polarity, special, low, high]) in records.iter().enumerate() {
            let (x, y, t) =
                (u16::from(x), u16::from(y), i64::from(u16::from_le_bytes([low, high])) + 5);
            if special != 0 {
                counts.special += 1;
            } else if events.push(Event { t, x, y, polarity: polarity & 1 == 1 }).is_err() {
                if !forgiving {
                    return (events, Err(index));
                }
                counts.wrong += 1;
                counts.first_wrong.get_or_insert(index);
            }
        }
        (events, Ok(counts))
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
            for forgiving in [false, true] {
                let (expected, counts) = plain(&records, forgiving);
                let (mut fast, mut twin) = (Events::new(SIZE), Events::new(SIZE));
                let found = decode(&Made, &records, &mut fast, forgiving, tell);
                assert_eq!(found, counts, "{length} records");
                let records = &records;
                let kernel = Decode { layout: &Made, records, events: &mut twin, forgiving, tell };
                assert_eq!(kernel.run(), counts);
                assert_eq!(fast, twin);
                // The block with the wrong record is left out, or that record alone.
                let kept = fast.len();
                assert_eq!(fast, expected.slice(0..kept).unwrap());
                assert!(kept == expected.len() || counts.is_err());
            }
        }
    }
}
