//! Weight rows of active inputs added up (eq. 16), one image row of outputs at a time.

use crate::axis::Taps;
use crate::deploy::events::EventsView;
use crate::deploy::rows::{Rows, Width};
use crate::simd::compiled;

compiled! {
    /// Adds what one block of a synapse makes of its events to the currents of image row `y`, `[step][x][channel]`.
    fn deliver(rows: &Rows, block: usize, events: EventsView<'_>, taps: Taps, steps: usize, currents: &mut [i32]) = deliver_block;
}

#[inline(always)]
fn deliver_block(rows: &Rows, block: usize, events: EventsView<'_>, taps: Taps, steps: usize, currents: &mut [i32]) {
    match rows.lanes {
        16 => by_width::<16>(rows, block, events, taps, steps, currents),
        32 => by_width::<32>(rows, block, events, taps, steps, currents),
        64 => by_width::<64>(rows, block, events, taps, steps, currents),
        _ => by_width::<128>(rows, block, events, taps, steps, currents),
    }
}

#[inline(always)]
fn by_width<const LANES: usize>(
    rows: &Rows,
    block: usize,
    events: EventsView<'_>,
    taps: Taps,
    steps: usize,
    currents: &mut [i32],
) {
    match rows.width {
        Width::Unit => groups::<LANES, Units>(rows, block, events, taps, steps, currents),
        Width::Narrow => groups::<LANES, Narrow>(rows, block, events, taps, steps, currents),
        Width::Wide => groups::<LANES, Wide>(rows, block, events, taps, steps, currents),
    }
}

/// How a weight row enters the sums.
trait Adding {
    type Sum: Copy + Default + Into<i32>;
    const PAYLOADS: bool;
    fn add(sum: Self::Sum, weight: i8, payload: i32) -> Self::Sum;
}

/// Spikes: 16-bit sums of weights.
struct Units;
/// Levels: 16-bit sums of products.
struct Narrow;
/// Levels so large that a few products could leave 16 bits: pixels, counts of sum pools.
struct Wide;

impl Adding for Units {
    type Sum = i16;
    const PAYLOADS: bool = false;

    #[inline(always)]
    fn add(sum: i16, weight: i8, _payload: i32) -> i16 {
        sum.wrapping_add(i16::from(weight))
    }
}

impl Adding for Narrow {
    type Sum = i16;
    const PAYLOADS: bool = true;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the level times 127 is below 2¹⁵, or another width is chosen")]
    fn add(sum: i16, weight: i8, payload: i32) -> i16 {
        sum.wrapping_add(i16::from(weight).wrapping_mul(payload as i16))
    }
}

impl Adding for Wide {
    type Sum = i32;
    const PAYLOADS: bool = true;

    #[inline(always)]
    fn add(sum: i32, weight: i8, payload: i32) -> i32 {
        sum.wrapping_add(i32::from(weight).wrapping_mul(payload))
    }
}

/// All groups of outputs along a row, all steps of each: the weights of a block stay in cache meanwhile.
#[inline(always)]
fn groups<const LANES: usize, A: Adding>(
    rows: &Rows,
    block: usize,
    events: EventsView<'_>,
    taps: Taps,
    steps: usize,
    currents: &mut [i32],
) {
    let weights = rows.block::<LANES>(block);
    let limit = rows.limits[block];
    let size = currents.len() / steps;
    let multipliers = rows.multipliers.as_ref().map(|m| &m.as_chunks::<LANES>().0[block]);
    for group in 0..rows.groups {
        for step in 0..steps {
            let mut sums = [A::Sum::default(); LANES];
            let mut total = [0_i32; LANES];
            let (mut room, mut found) = (limit, 0);
            for tap in 0..taps.count {
                let line = events.line(taps.input + tap * rows.dilation, step);
                for segment in rows.segments(group) {
                    let range = line.range(segment.positions.clone());
                    let entries = &line.entries[range.clone()];
                    let payloads = if A::PAYLOADS { &line.payloads[range] } else { &[] };
                    found += entries.len();
                    // Entries are `position · channels + channel`, so consecutive taps of a row are one run with one base.
                    let base = ((taps.first + tap) * rows.row_length).wrapping_add(segment.base);
                    let mut begin = 0;
                    while begin < entries.len() {
                        if room == 0 {
                            widen(&mut total, &mut sums);
                            room = limit;
                        }
                        let end = entries.len().min(begin + room);
                        room -= end - begin;
                        for (i, &entry) in entries[begin..end].iter().enumerate() {
                            let row = &weights[base.wrapping_add(entry as usize)];
                            let payload = if A::PAYLOADS { payloads[begin + i] } else { 1 };
                            for lane in 0..LANES {
                                sums[lane] = A::add(sums[lane], row[lane], payload);
                            }
                        }
                        begin = end;
                    }
                }
            }
            if found == 0 {
                continue;
            }
            widen(&mut total, &mut sums);
            let start = step * size + rows.start(group, block);
            let length = rows.length(group, block);
            let currents = currents[start..start + length].iter_mut().zip(total);
            match multipliers {
                None => currents.for_each(|(current, sum)| *current = current.wrapping_add(sum)),
                Some(m) => currents
                    .zip(m)
                    .for_each(|((current, sum), &m)| *current = current.wrapping_add(sum.wrapping_mul(m))),
            }
        }
    }
}

#[inline(always)]
fn widen<const LANES: usize, S: Copy + Default + Into<i32>>(total: &mut [i32; LANES], sums: &mut [S; LANES]) {
    for (total, sum) in total.iter_mut().zip(sums) {
        *total = total.wrapping_add((*sum).into());
        *sum = S::default();
    }
}
