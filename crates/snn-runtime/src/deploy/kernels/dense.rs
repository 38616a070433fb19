//! Dense integer products, one image row of outputs at a time.

#[cfg(target_arch = "x86_64")]
use crate::deploy::kernels::vectors::{Avx2, Avx512};
use crate::deploy::kernels::vectors::{Portable, Products};
use crate::deploy::plan::vector_product::{Grouping, VectorProduct};
use crate::geometry::Taps;
#[cfg(target_arch = "x86_64")]
use snn_simd::InstructionSet;
use snn_simd::{Available, compiled};

/// Adds what one block makes of the input rows under a row of outputs, `apart` bytes from one
/// another, to its currents, `[x][channel]`.
pub(crate) fn multiply(instructions: Available, place: DenseTask<'_>, currents: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn vnni(place: DenseTask<'_>, currents: &mut [i32]) {
        by_fours(place, currents);
    }
    #[cfg(target_arch = "x86_64")]
    if place.dense.grouping == Grouping::Quads && instructions.set() >= InstructionSet::Avx512Vnni {
        #[expect(unsafe_code, reason = "a function compiled for an instruction set is called")]
        // SAFETY: `Available` is only made for an instruction set that was detected on this
        // machine.
        return unsafe { vnni(place, currents) };
    }
    multiply_pairs(instructions, place, currents);
}

compiled! {
    /// The same in pairs of inputs.
    pub(crate) fn multiply_pairs(place: DenseTask<'_>, currents: &mut [i32]) =
        by_lanes::<Portable>, with_avx2, with_avx2;
}

/// A block of a product, with the input rows under a row of outputs at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DenseTask<'p> {
    pub(crate) dense: &'p VectorProduct,
    pub(crate) block: usize,
    pub(crate) taps: Taps,
    /// The input rows from the first on, and how far apart they are.
    pub(crate) lines: (&'p [u8], usize),
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn with_avx2(place: DenseTask<'_>, currents: &mut [i32]) {
    by_lanes::<Avx2>(place, currents);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn by_fours(place: DenseTask<'_>, currents: &mut [i32]) {
    match (place.dense.lanes, place.dense.pixels) {
        (16, 4) => row::<1, 4, 4, 64, Avx512>(place, currents),
        (16, _) => row::<1, 1, 4, 64, Avx512>(place, currents),
        (32, 4) => row::<2, 4, 4, 64, Avx512>(place, currents),
        (32, _) => row::<2, 1, 4, 64, Avx512>(place, currents),
        (_, 4) => row::<4, 4, 4, 64, Avx512>(place, currents),
        _ => row::<4, 1, 4, 64, Avx512>(place, currents),
    }
}

/// In pairs, of 16 lanes in 32 bytes.
#[inline(always)]
fn by_lanes<V: Products<2, 32>>(place: DenseTask<'_>, currents: &mut [i32]) {
    match (place.dense.lanes, place.dense.pixels) {
        (16, 4) => row::<1, 4, 2, 32, V>(place, currents),
        (16, _) => row::<1, 1, 2, 32, V>(place, currents),
        (32, 4) => row::<2, 4, 2, 32, V>(place, currents),
        (32, _) => row::<2, 1, 2, 32, V>(place, currents),
        (_, 2) => row::<4, 2, 2, 32, V>(place, currents),
        _ => row::<4, 1, 2, 32, V>(place, currents),
    }
}

#[inline(always)]
fn row<
    const VECTORS: usize,
    const PIXELS: usize,
    const GROUP: usize,
    const BYTES: usize,
    V: Products<GROUP, BYTES>,
>(
    DenseTask { dense, block, taps, lines: (lines, apart) }: DenseTask<'_>,
    currents: &mut [i32],
) {
    let (vectors, _) = dense.block(block).as_chunks::<BYTES>();
    let (weights, _) = vectors.as_chunks::<VECTORS>();
    let (multipliers, limit, groups) =
        (dense.multipliers(block), dense.limits[block], dense.groups);
    let first_lane = block.wrapping_mul(dense.lanes);
    let lanes = dense.lanes.min(dense.channels.wrapping_sub(first_lane));
    for (group, outputs) in currents.chunks_mut(PIXELS.wrapping_mul(dense.channels)).enumerate() {
        let mut sums = [[V::zero(); VECTORS]; PIXELS];
        let mut room = limit;
        for tap_y in 0..taps.count {
            let line = &lines[tap_y.wrapping_mul(apart)..][..dense.line()];
            for tap in 0..dense.taps {
                let weights = &weights[(taps.first.wrapping_add(tap_y))
                    .wrapping_mul(dense.taps)
                    .wrapping_add(tap)
                    .wrapping_mul(groups)..][..groups];
                let mut inputs = [[].as_slice(); PIXELS];
                for (pixel, inputs) in inputs.iter_mut().enumerate() {
                    let column =
                        group.wrapping_mul(PIXELS).wrapping_add(pixel).wrapping_mul(dense.stride);
                    let column = column.wrapping_add(tap.wrapping_mul(dense.dilation));
                    *inputs = &line.as_chunks::<GROUP>().0[column.wrapping_mul(groups)..][..groups];
                }
                let mut done = 0;
                while done < groups {
                    if room == 0 {
                        flush::<VECTORS, PIXELS, GROUP, BYTES, V>(
                            &mut sums,
                            multipliers,
                            outputs,
                            (first_lane, lanes, dense.channels),
                        );
                        room = limit;
                    }
                    let end = groups.min(done.saturating_add(room));
                    add::<VECTORS, PIXELS, GROUP, BYTES, V>(
                        &weights[done..end],
                        inputs.map(|inputs| &inputs[done..end]),
                        &mut sums,
                    );
                    room = room.wrapping_sub(end.wrapping_sub(done));
                    done = end;
                }
            }
        }
        flush::<VECTORS, PIXELS, GROUP, BYTES, V>(
            &mut sums,
            multipliers,
            outputs,
            (first_lane, lanes, dense.channels),
        );
    }
}

#[inline(always)]
fn add<
    const VECTORS: usize,
    const PIXELS: usize,
    const GROUP: usize,
    const BYTES: usize,
    V: Products<GROUP, BYTES>,
>(
    weights: &[[[i8; BYTES]; VECTORS]],
    inputs: [&[[u8; GROUP]]; PIXELS],
    sums: &mut [[V::Sums; VECTORS]; PIXELS],
) {
    let mut local = *sums;
    for (i, weights) in weights.iter().enumerate() {
        for pixel in 0..PIXELS {
            let levels = inputs[pixel][i];
            for vector in 0..VECTORS {
                local[pixel][vector] = V::add(local[pixel][vector], &weights[vector], levels);
            }
        }
    }
    *sums = local;
}

/// Adds the sums, times the multipliers of their outputs, to the currents, and begins anew.
#[inline(always)]
fn flush<
    const VECTORS: usize,
    const PIXELS: usize,
    const GROUP: usize,
    const BYTES: usize,
    V: Products<GROUP, BYTES>,
>(
    sums: &mut [[V::Sums; VECTORS]; PIXELS],
    multipliers: &[i32],
    outputs: &mut [i32],
    (first_lane, lanes, channels): (usize, usize, usize),
) {
    for (sums, outputs) in sums.iter_mut().zip(outputs.chunks_exact_mut(channels)) {
        let outputs = &mut outputs[first_lane..][..lanes];
        let each = outputs.chunks_mut(16).zip(multipliers.as_chunks::<16>().0);
        for (sums, (outputs, multipliers)) in sums.iter_mut().zip(each) {
            let values = V::lanes(*sums);
            for ((output, sum), &multiplier) in outputs.iter_mut().zip(values).zip(multipliers) {
                *output = output.wrapping_add(sum.wrapping_mul(multiplier));
            }
            *sums = V::zero();
        }
    }
}
