//! Dense integer products, one image row of outputs at a time.

use crate::axis::Taps;
use crate::deploy::dense::Dense;
use crate::simd::compiled;
#[cfg(target_arch = "x86_64")]
use crate::simd::vectors::Avx2;
use crate::simd::vectors::{Portable, Products};

/// The input rows of a row of outputs at one step, the first of them, and how far apart they are.
type Lines<'l> = (&'l [u8], usize);

compiled! {
    /// Adds what one block makes of the input rows under a row of outputs, `apart` bytes from one another, to its currents, `[x][channel]`.
    fn multiply(dense: &Dense, block: usize, taps: Taps, lines: Lines<'_>, currents: &mut [i32]) = portable, with_avx2, with_avx2;
}

type Place<'p> = (&'p Dense, usize, Taps, Lines<'p>);

#[inline(always)]
fn portable(dense: &Dense, block: usize, taps: Taps, lines: Lines<'_>, currents: &mut [i32]) {
    by_lanes::<Portable>((dense, block, taps, lines), currents);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn with_avx2(dense: &Dense, block: usize, taps: Taps, lines: Lines<'_>, currents: &mut [i32]) {
    by_lanes::<Avx2>((dense, block, taps, lines), currents);
}

#[inline(always)]
fn by_lanes<V: Products>(place: Place<'_>, currents: &mut [i32]) {
    match (place.0.lanes, place.0.pixels) {
        (16, 4) => row::<1, 4, V>(place, currents),
        (16, _) => row::<1, 1, V>(place, currents),
        (32, 4) => row::<2, 4, V>(place, currents),
        (32, _) => row::<2, 1, V>(place, currents),
        (_, 2) => row::<4, 2, V>(place, currents),
        _ => row::<4, 1, V>(place, currents),
    }
}

#[inline(always)]
fn row<const VECTORS: usize, const PIXELS: usize, V: Products>(
    (dense, block, taps, (lines, apart)): Place<'_>,
    currents: &mut [i32],
) {
    let (vectors, _) = dense.block(block).as_chunks::<32>();
    let (weights, _) = vectors.as_chunks::<VECTORS>();
    let (multipliers, limit, pairs) = (dense.multipliers(block), dense.limits[block], dense.pairs);
    let first_lane = block.wrapping_mul(dense.lanes);
    let lanes = dense.lanes.min(dense.channels.wrapping_sub(first_lane));
    for (group, outputs) in currents.chunks_mut(PIXELS.wrapping_mul(dense.channels)).enumerate() {
        let mut sums = [[V::zero(); VECTORS]; PIXELS];
        let mut room = limit;
        for tap_y in 0..taps.count {
            let line = &lines[tap_y.wrapping_mul(apart)..][..dense.line()];
            for tap in 0..dense.taps {
                let weights = &weights
                    [(taps.first.wrapping_add(tap_y)).wrapping_mul(dense.taps).wrapping_add(tap).wrapping_mul(pairs)..]
                    [..pairs];
                let mut inputs = [[].as_slice(); PIXELS];
                for (pixel, inputs) in inputs.iter_mut().enumerate() {
                    let column = group.wrapping_mul(PIXELS).wrapping_add(pixel).wrapping_mul(dense.stride);
                    let column = column.wrapping_add(tap.wrapping_mul(dense.dilation));
                    *inputs = &line.as_chunks::<2>().0[column.wrapping_mul(pairs)..][..pairs];
                }
                let mut done = 0;
                while done < pairs {
                    if room == 0 {
                        flush::<VECTORS, PIXELS, V>(
                            &mut sums,
                            multipliers,
                            outputs,
                            (first_lane, lanes, dense.channels),
                        );
                        room = limit;
                    }
                    let end = pairs.min(done.saturating_add(room));
                    add::<VECTORS, PIXELS, V>(&weights[done..end], inputs.map(|inputs| &inputs[done..end]), &mut sums);
                    room = room.wrapping_sub(end.wrapping_sub(done));
                    done = end;
                }
            }
        }
        flush::<VECTORS, PIXELS, V>(&mut sums, multipliers, outputs, (first_lane, lanes, dense.channels));
    }
}

#[inline(always)]
fn add<const VECTORS: usize, const PIXELS: usize, V: Products>(
    weights: &[[[i8; 32]; VECTORS]],
    inputs: [&[[u8; 2]]; PIXELS],
    sums: &mut [[V::Sums; VECTORS]; PIXELS],
) {
    let mut local = *sums;
    for (i, weights) in weights.iter().enumerate() {
        for pixel in 0..PIXELS {
            let pair = inputs[pixel][i];
            for vector in 0..VECTORS {
                local[pixel][vector] = V::add(local[pixel][vector], &weights[vector], pair);
            }
        }
    }
    *sums = local;
}

/// Adds the sums, times the multipliers of their outputs, to the currents, and begins anew.
#[inline(always)]
fn flush<const VECTORS: usize, const PIXELS: usize, V: Products>(
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
                *output = output.wrapping_add(i32::from(sum).wrapping_mul(multiplier));
            }
            *sums = V::zero();
        }
    }
}
