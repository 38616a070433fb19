//! Weight rows of active inputs added up (eq. 16), one image row of outputs at a time.

use crate::arithmetic::Arithmetic as _;
use crate::deploy::events::Line;
use crate::deploy::events::step_tree::{HALVES, LISTS, ROOT, STEPS};
use crate::deploy::events::windows::Windows;
#[cfg(target_arch = "x86_64")]
use crate::deploy::kernels::vectors::{Avx2, Avx512};
use crate::deploy::kernels::vectors::{Floats, Pairs, Portable, Vectors, widened};
use crate::deploy::number::Number;
use crate::deploy::plan::weights::{PackedWeights, Slab, Span, Width};
use snn_simd::{compiled, prefetch};
use std::hint::black_box;
use std::marker::PhantomData;

/// Where a tile of a synapse's weights is in a row of outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowTask<'p, N: Number> {
    pub(crate) weights: &'p PackedWeights<N::Weight>,
    pub(crate) slab: &'p Slab,
    pub(crate) windows: &'p Windows,
    /// Counted from the first row that was gathered.
    pub(crate) row: usize,
    /// First values of the sums, `[x][channel]`, in place of the currents that are there.
    pub(crate) base: Option<&'p [N]>,
    /// Weights to ask for meanwhile.
    pub(crate) ahead: &'p [N::Weight],
}

compiled! {
    /// Adds what one block of a synapse makes of a row of windows to the currents of that row,
    /// `[step][x][channel]`.
    pub(crate) fn deliver(place: RowTask<'_, i32>, currents: &mut [i32]) =
        by_lanes::<Portable>, with_avx2, with_avx512;
}

/// Weight rows at the beginning of a list that are prefetched while the list before it is added up:
/// its end is a mispredicted branch, and the next list would begin with nothing in cache.
const AHEAD: usize = 8;
/// A block of more bytes has left the first-level cache when a row of it is read again, and a part
/// of it the second.
const FAR_BYTES: usize = 200 << 10;

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn with_avx2(place: RowTask<'_, i32>, currents: &mut [i32]) {
    by_lanes::<Avx2>(place, currents);
}

/// In vectors of 32 bytes.
#[inline(always)]
fn by_lanes<V: Vectors<16> + Pairs<32>>(place: RowTask<'_, i32>, currents: &mut [i32]) {
    if place.windows.is_sorted(place.row) {
        return step_tree_by_lanes::<V>(place, currents);
    }
    match (place.weights.width, place.weights.lanes) {
        (Width::Pairs, 32) => groups::<32, 1, Paired<V>>(place, currents),
        (Width::Pairs, 64) => groups::<32, 2, Paired<V>>(place, currents),
        (Width::Pairs, _) => groups::<32, 4, Paired<V>>(place, currents),
        (_, 16) => by_width::<16, 1, V>(place, currents),
        (_, 32) => by_width::<16, 2, V>(place, currents),
        (_, 64) => by_width::<16, 4, V>(place, currents),
        (_, _) => by_width::<16, 8, V>(place, currents),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn with_avx512(place: RowTask<'_, i32>, currents: &mut [i32]) {
    if place.windows.is_sorted(place.row) {
        return match place.weights.lanes {
            64 => by_step_tree::<64, 1, Paired<Avx512>>(place, currents),
            128 => by_step_tree::<64, 2, Paired<Avx512>>(place, currents),
            _ => step_tree_by_lanes::<Avx2>(place, currents),
        };
    }
    match (place.weights.width, place.weights.lanes) {
        (Width::Pairs, 32) => groups::<32, 1, Paired<Avx2>>(place, currents),
        (Width::Pairs, 64) => groups::<64, 1, Paired<Avx512>>(place, currents),
        (Width::Pairs, _) => groups::<64, 2, Paired<Avx512>>(place, currents),
        (_, 16) => by_width::<16, 1, Avx2>(place, currents),
        (_, 32) => by_width::<32, 1, Avx512>(place, currents),
        (_, 64) => by_width::<32, 2, Avx512>(place, currents),
        (_, _) => by_width::<32, 4, Avx512>(place, currents),
    }
}

/// The same of windows that are sorted by steps.
#[inline(always)]
fn step_tree_by_lanes<V: Vectors<16> + Pairs<32>>(place: RowTask<'_, i32>, currents: &mut [i32]) {
    match place.weights.lanes {
        16 => by_step_tree::<16, 1, Units<V>>(place, currents),
        32 => by_step_tree::<32, 1, Paired<V>>(place, currents),
        64 => by_step_tree::<32, 2, Paired<V>>(place, currents),
        _ => by_step_tree::<32, 4, Paired<V>>(place, currents),
    }
}

#[inline(always)]
fn by_width<const LANES: usize, const VECTORS: usize, V: Vectors<LANES>>(
    place: RowTask<'_, i32>,
    currents: &mut [i32],
) {
    match place.weights.width {
        Width::Unit | Width::Pairs => groups::<LANES, VECTORS, Units<V>>(place, currents),
        Width::Narrow => groups::<LANES, VECTORS, Narrow<V>>(place, currents),
        Width::Wide | Width::RealUnit | Width::Real => {
            groups::<LANES, VECTORS, Wide>(place, currents);
        }
    }
}

compiled! {
    /// The same of weights of f32.
    pub(crate) fn deliver_reals(place: RowTask<'_, f32>, currents: &mut [f32]) =
        reals_by_lanes::<Portable>, reals_with_avx2, reals_with_avx512;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn reals_with_avx2(place: RowTask<'_, f32>, currents: &mut [f32]) {
    reals_by_lanes::<Avx2>(place, currents);
}

/// In vectors of 32 bytes.
#[inline(always)]
fn reals_by_lanes<V: Floats<8>>(place: RowTask<'_, f32>, currents: &mut [f32]) {
    match place.weights.lanes {
        16 => reals::<8, 2, V>(place, currents),
        32 => reals::<8, 4, V>(place, currents),
        _ => reals::<8, 8, V>(place, currents),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn reals_with_avx512(place: RowTask<'_, f32>, currents: &mut [f32]) {
    match place.weights.lanes {
        16 => reals::<16, 1, Avx512>(place, currents),
        32 => reals::<16, 2, Avx512>(place, currents),
        _ => reals::<16, 4, Avx512>(place, currents),
    }
}

#[inline(always)]
fn reals<const LANES: usize, const VECTORS: usize, V: Floats<LANES>>(
    place: RowTask<'_, f32>,
    currents: &mut [f32],
) {
    match place.weights.width {
        Width::RealUnit if place.windows.is_sorted(place.row) => {
            by_step_tree::<LANES, VECTORS, RealUnits<V>>(place, currents);
        }
        Width::RealUnit => groups::<LANES, VECTORS, RealUnits<V>>(place, currents),
        _ => groups::<LANES, VECTORS, Reals<V>>(place, currents),
    }
}

/// How a weight row enters the sums.
trait Adding<const LANES: usize> {
    type Current: Number;
    type Sums: Copy;
    const PAYLOADS: bool;
    fn zero() -> Self::Sums;
    fn add(sums: Self::Sums, weights: &[Weight<Self, LANES>; LANES], payload: i32) -> Self::Sums;
    /// The sums of each lane after so many rows.
    fn lanes(sums: Self::Sums, rows: usize) -> [Self::Current; LANES];
}

/// The weight type that is accumulated.
type Weight<A, const LANES: usize> = <<A as Adding<LANES>>::Current as Number>::Weight;

/// Spikes: 16-bit sums of paired weights.
struct Paired<V>(PhantomData<V>);
/// Spikes where lanes are too few to pair: 16-bit sums of weights.
struct Units<V>(PhantomData<V>);
/// Levels: 16-bit sums of products.
struct Narrow<V>(PhantomData<V>);
/// Levels so large that a few products could leave 16 bits: pixels, counts of sum pools.
struct Wide;
/// Spikes off the grid: f32 sums of weights.
struct RealUnits<V>(PhantomData<V>);
/// Levels off the grid: f32 sums of products, each rounded before it is added.
struct Reals<V>(PhantomData<V>);

impl<const LANES: usize, V: Floats<LANES>> Adding<LANES> for RealUnits<V> {
    type Current = f32;
    type Sums = V::Sums;
    const PAYLOADS: bool = false;

    #[inline(always)]
    fn zero() -> Self::Sums {
        V::zero()
    }

    #[inline(always)]
    fn add(sums: Self::Sums, weights: &[f32; LANES], _payload: i32) -> Self::Sums {
        V::add(sums, weights)
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, _rows: usize) -> [f32; LANES] {
        V::lanes(sums)
    }
}

impl<const LANES: usize, V: Floats<LANES>> Adding<LANES> for Reals<V> {
    type Current = f32;
    type Sums = V::Sums;
    const PAYLOADS: bool = true;

    #[inline(always)]
    fn zero() -> Self::Sums {
        V::zero()
    }

    #[inline(always)]
    fn add(sums: Self::Sums, weights: &[f32; LANES], payload: i32) -> Self::Sums {
        V::add_product(sums, weights, f32::of(payload))
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, _rows: usize) -> [f32; LANES] {
        V::lanes(sums)
    }
}

impl<const LANES: usize, V: Pairs<LANES>> Adding<LANES> for Paired<V> {
    type Current = i32;
    type Sums = V::Sums;
    const PAYLOADS: bool = false;

    #[inline(always)]
    fn zero() -> Self::Sums {
        V::zero()
    }

    #[inline(always)]
    fn add(sums: Self::Sums, weights: &[i8; LANES], _payload: i32) -> Self::Sums {
        V::add(sums, weights)
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, rows: usize) -> [i32; LANES] {
        widened(V::lanes(sums, rows))
    }
}

impl<const LANES: usize, V: Vectors<LANES>> Adding<LANES> for Units<V> {
    type Current = i32;
    type Sums = V::Sums;
    const PAYLOADS: bool = false;

    #[inline(always)]
    fn zero() -> Self::Sums {
        V::zero()
    }

    #[inline(always)]
    fn add(sums: Self::Sums, weights: &[i8; LANES], _payload: i32) -> Self::Sums {
        V::add(sums, weights)
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, _rows: usize) -> [i32; LANES] {
        widened(V::lanes(sums))
    }
}

impl<const LANES: usize, V: Vectors<LANES>> Adding<LANES> for Narrow<V> {
    type Current = i32;
    type Sums = V::Sums;
    const PAYLOADS: bool = true;

    #[inline(always)]
    fn zero() -> Self::Sums {
        V::zero()
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a level of 2¹⁵ or more meets only weights of zero, or another width is chosen"
    )]
    fn add(sums: Self::Sums, weights: &[i8; LANES], payload: i32) -> Self::Sums {
        V::add_product(sums, weights, payload as i16)
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, _rows: usize) -> [i32; LANES] {
        widened(V::lanes(sums))
    }
}

impl<const LANES: usize> Adding<LANES> for Wide {
    type Current = i32;
    type Sums = [i32; LANES];
    const PAYLOADS: bool = true;

    #[inline(always)]
    fn zero() -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn add(mut sums: Self::Sums, weights: &[i8; LANES], payload: i32) -> Self::Sums {
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(i32::from(weight).wrapping_mul(payload));
        }
        sums
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, _rows: usize) -> [i32; LANES] {
        sums
    }
}

/// All groups of outputs along a row, all steps of each: the weights of a block stay in cache
/// meanwhile.
#[inline(always)]
fn groups<const LANES: usize, const VECTORS: usize, A: Adding<LANES>>(
    RowTask { weights: packed, slab, windows, row, base, ahead }: RowTask<'_, A::Current>,
    currents: &mut [A::Current],
) {
    let (block, limit) = (slab.block, slab.limit);
    let (vectors, _) = packed.block(block).as_chunks::<LANES>();
    let (weights, _) = vectors.as_chunks::<VECTORS>();
    let multipliers = packed.multipliers(block);
    let first_lane = block.wrapping_mul(packed.lanes);
    let lanes = packed.lanes.min(packed.group_width.wrapping_sub(first_lane));
    let steps = currents.len() / packed.width_out;
    let mut ahead = ahead.chunks(ahead.len().div_ceil(steps.max(1)).max(1));
    for (step, currents) in currents.chunks_exact_mut(packed.width_out).enumerate() {
        prefetch(ahead.next().unwrap_or_default());
        let line = windows.line(row, step);
        let mut begin = first_lane;
        for spans in packed.spans.chunks_exact(packed.segments) {
            let mut sums = [A::zero(); VECTORS];
            let mut room = limit;
            // The last group may have fewer pixels.
            let end = packed.width_out.min(begin.wrapping_add(lanes));
            let outputs = begin.min(end)..end;
            // Taken by the first flush.
            let mut base = base.map(|base| &base[outputs.clone()]);
            let outputs = &mut currents[outputs];
            begin = begin.wrapping_add(packed.group_width);
            for span in spans {
                // Entries are `position · channels + channel`, so consecutive taps of a row are one
                // run with one base.
                let (entries, payloads) = line.run(span.begin, span.end);
                if entries.len() <= room {
                    room = room.wrapping_sub(entries.len());
                    add::<LANES, VECTORS, A>(weights, span.base, entries, payloads, &mut sums);
                    continue;
                }
                for (i, entries) in entries.chunks(limit).enumerate() {
                    flush::<LANES, VECTORS, A>(
                        &mut sums,
                        limit.wrapping_sub(room),
                        multipliers,
                        base.take(),
                        outputs,
                    );
                    let payloads =
                        if A::PAYLOADS { &payloads[i * limit..][..entries.len()] } else { &[] };
                    add::<LANES, VECTORS, A>(weights, span.base, entries, payloads, &mut sums);
                    room = limit.wrapping_sub(entries.len());
                }
            }
            if room < limit || base.is_some() {
                flush::<LANES, VECTORS, A>(
                    &mut sums,
                    limit.wrapping_sub(room),
                    multipliers,
                    base,
                    outputs,
                );
            }
        }
    }
}

/// The same of windows that are sorted by steps: sums of a step are begun from those of the steps
/// that it shares rows with.
#[inline(always)]
fn by_step_tree<const LANES: usize, const VECTORS: usize, A: Adding<LANES>>(
    RowTask { weights: packed, slab, windows, row, base, ahead }: RowTask<'_, A::Current>,
    currents: &mut [A::Current],
) {
    let (block, limit) = (slab.block, slab.limit);
    let (vectors, _) = packed.block(block).as_chunks::<LANES>();
    let (weights, _) = vectors.as_chunks::<VECTORS>();
    let multipliers = packed.multipliers(block);
    let first_lane = block.wrapping_mul(packed.lanes);
    let lanes = packed.lanes.min(packed.group_width.wrapping_sub(first_lane));
    let runs = (HALVES.len() + 1).wrapping_mul(packed.spans.len() / packed.segments.max(1)).max(1);
    let mut ahead = ahead.chunks((ahead.len() / runs).next_multiple_of(64).max(64));
    for (group, currents) in currents.chunks_mut(STEPS.wrapping_mul(packed.width_out)).enumerate() {
        let mut lists = [Line::default(); LISTS];
        for (index, list) in lists.iter_mut().enumerate() {
            *list = windows.line(row, group.wrapping_mul(LISTS).wrapping_add(index));
        }
        let mut begin = first_lane;
        for spans in packed.spans.chunks_exact(packed.segments) {
            let end = packed.width_out.min(begin.wrapping_add(lanes));
            let outputs = begin.min(end)..end;
            begin = begin.wrapping_add(packed.group_width);
            let base = base.map(|base| &base[outputs.clone()]);
            let mut counts = [0_usize; LISTS];
            for (count, list) in counts.iter_mut().zip(&lists) {
                for span in spans {
                    *count = count.wrapping_add(list.run(span.begin, span.end).0.len());
                }
            }
            let mut trunk = [A::zero(); VECTORS];
            let fits = counts[ROOT] <= limit;
            if fits {
                prefetch(ahead.next().unwrap_or_default());
                add_list::<LANES, VECTORS, A>(weights, spans, &lists, ROOT, &mut trunk);
            }
            // Kept in memory: registers are for the sums that are added to, of which they would
            // take some.
            let trunk = black_box(trunk);
            for half in HALVES {
                let mut branch = trunk;
                let count = counts[ROOT].wrapping_add(counts[half.list]);
                let fits = fits && count <= limit;
                if fits {
                    prefetch(ahead.next().unwrap_or_default());
                    add_list::<LANES, VECTORS, A>(weights, spans, &lists, half.list, &mut branch);
                }
                let branch = black_box(branch);
                for leaf in half.leaves {
                    let Some(currents) = currents.chunks_exact_mut(packed.width_out).nth(leaf.step)
                    else {
                        continue;
                    };
                    let outputs = &mut currents[outputs.clone()];
                    let count = count.wrapping_add(counts[leaf.list]);
                    if fits && count <= limit {
                        let mut sums = branch;
                        add_list::<LANES, VECTORS, A>(weights, spans, &lists, leaf.list, &mut sums);
                        if count > 0 || base.is_some() {
                            flush::<LANES, VECTORS, A>(
                                &mut sums,
                                count,
                                multipliers,
                                base,
                                outputs,
                            );
                        }
                        continue;
                    }
                    // More rows than 16 bits can take.
                    let (mut sums, mut base) = ([A::zero(); VECTORS], base);
                    for list in [ROOT, half.list, leaf.list] {
                        for span in spans {
                            for entries in lists[list].run(span.begin, span.end).0.chunks(limit) {
                                add::<LANES, VECTORS, A>(
                                    weights,
                                    span.base,
                                    entries,
                                    &[],
                                    &mut sums,
                                );
                                flush::<LANES, VECTORS, A>(
                                    &mut sums,
                                    entries.len(),
                                    multipliers,
                                    base.take(),
                                    outputs,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds the rows of one of the lists.
#[inline(always)]
fn add_list<const LANES: usize, const VECTORS: usize, A: Adding<LANES>>(
    weights: &[[[Weight<A, LANES>; LANES]; VECTORS]],
    spans: &[Span],
    lists: &[Line<'_>; LISTS],
    index: usize,
    sums: &mut [A::Sums; VECTORS],
) {
    let far = size_of_val(weights) > FAR_BYTES;
    let ask = |entries: &[u32], base: usize| {
        for &entry in entries {
            if let Some(row) = weights.get(base.wrapping_add(entry as usize)) {
                prefetch(row.as_flattened());
            }
        }
    };
    for span in spans {
        let (entries, _) = lists[index].run(span.begin, span.end);
        if !far {
            add::<LANES, VECTORS, A>(weights, span.base, entries, &[], sums);
            continue;
        }
        if let Some(next) = lists.get(index.wrapping_add(1)) {
            let (entries, _) = next.run(span.begin, span.end);
            ask(&entries[..entries.len().min(AHEAD)], span.base);
        }
        let mut later = entries.get(AHEAD..).unwrap_or_default().chunks(AHEAD);
        for entries in entries.chunks(AHEAD) {
            ask(later.next().unwrap_or_default(), span.base);
            add::<LANES, VECTORS, A>(weights, span.base, entries, &[], sums);
        }
    }
}

#[inline(always)]
fn add<const LANES: usize, const VECTORS: usize, A: Adding<LANES>>(
    weights: &[[[Weight<A, LANES>; LANES]; VECTORS]],
    base: usize,
    entries: &[u32],
    payloads: &[i32],
    sums: &mut [A::Sums; VECTORS],
) {
    for (i, &entry) in entries.iter().enumerate() {
        let row = &weights[base.wrapping_add(entry as usize)];
        let payload = if A::PAYLOADS { payloads[i] } else { 1 };
        for vector in 0..VECTORS {
            sums[vector] = A::add(sums[vector], &row[vector], payload);
        }
    }
}

/// Adds the sums of so many rows, times the multipliers of their outputs, to the base where there
/// is one, else to the currents, and begins anew.
#[inline(always)]
fn flush<const LANES: usize, const VECTORS: usize, A: Adding<LANES>>(
    sums: &mut [A::Sums; VECTORS],
    rows: usize,
    multipliers: &[i32],
    base: Option<&[A::Current]>,
    currents: &mut [A::Current],
) {
    let (whole, rest) = currents.as_chunks_mut::<LANES>();
    let (bases, last_base) = base.unwrap_or_default().as_chunks::<LANES>();
    let (multipliers, _) = multipliers.as_chunks::<LANES>();
    for (vector, sums) in sums.iter_mut().enumerate() {
        let multiplier = multipliers.get(vector);
        if let Some(currents) = whole.get_mut(vector) {
            let mut lanes = A::lanes(*sums, rows);
            if let Some(multiplier) = multiplier {
                lanes
                    .iter_mut()
                    .zip(multiplier)
                    .for_each(|(sum, &m)| *sum = sum.times(A::Current::of(m)));
            }
            let before = *bases.get(vector).unwrap_or(currents);
            for ((current, sum), before) in currents.iter_mut().zip(lanes).zip(before) {
                *current = before.plus(sum);
            }
        } else if vector == whole.len() {
            // Lanes without an output of their own fill the last vector up.
            for (lane, (current, sum)) in rest.iter_mut().zip(A::lanes(*sums, rows)).enumerate() {
                let m = multiplier.map_or(1, |multiplier| multiplier[lane]);
                *current =
                    last_base.get(lane).unwrap_or(current).plus(sum.times(A::Current::of(m)));
            }
        }
        *sums = A::zero();
    }
}
