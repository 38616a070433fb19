//! Dense integer products, one image row of outputs at a time.

#[cfg(target_arch = "x86_64")]
use crate::deploy::kernels::vectors::{Avx2, Avx512};
use crate::deploy::kernels::vectors::{Portable, Products, add_products};
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
        (16, 8) => row::<1, 8, 4, 64, Avx512>(place, currents),
        (16, 4) => row::<1, 4, 4, 64, Avx512>(place, currents),
        (16, _) => row::<1, 1, 4, 64, Avx512>(place, currents),
        (32, 8) => row::<2, 8, 4, 64, Avx512>(place, currents),
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
    let limit = dense.limits[block];
    let (runs, length) = dense.runs();
    let column = dense.groups;
    let place = Lanes {
        multipliers: dense.multipliers(block),
        first: block.wrapping_mul(dense.lanes),
        channels: dense.channels,
    };
    for (group, outputs) in currents.chunks_mut(PIXELS.wrapping_mul(dense.channels)).enumerate() {
        let first = group.wrapping_mul(PIXELS).wrapping_mul(dense.stride);
        let mut sums = [[V::zero(); VECTORS]; PIXELS];
        let mut room = limit;
        for tap_y in 0..taps.count {
            let line = &lines[tap_y.wrapping_mul(apart)..][..dense.line()];
            let line = line.as_chunks::<GROUP>().0;
            for run in 0..runs {
                let row = taps.first.wrapping_add(tap_y).wrapping_mul(runs).wrapping_add(run);
                let weights = &weights[row.wrapping_mul(length)..][..length];
                let start = first.wrapping_add(run.wrapping_mul(dense.dilation));
                let mut done = 0;
                while done < length {
                    if room == 0 {
                        place.flush::<VECTORS, PIXELS, GROUP, BYTES, V>(&mut sums, outputs);
                        room = limit;
                    }
                    let end = length.min(done.saturating_add(room));
                    let weights = &weights[done..end];
                    let mut inputs = [[].as_slice(); PIXELS];
                    for (pixel, inputs) in inputs.iter_mut().enumerate() {
                        let begin = start
                            .wrapping_add(pixel.wrapping_mul(dense.stride))
                            .wrapping_mul(column)
                            .wrapping_add(done);
                        *inputs = &line[begin..][..weights.len()];
                    }
                    add::<VECTORS, PIXELS, GROUP, BYTES, V>(weights, &inputs, &mut sums);
                    room = room.wrapping_sub(end.wrapping_sub(done));
                    done = end;
                }
            }
        }
        place.flush::<VECTORS, PIXELS, GROUP, BYTES, V>(&mut sums, outputs);
    }
}

/// Adds the products of weights with inputs of the same length, those of each pixel.
#[inline(always)]
fn add<
    const VECTORS: usize,
    const PIXELS: usize,
    const GROUP: usize,
    const BYTES: usize,
    V: Products<GROUP, BYTES>,
>(
    weights: &[[[i8; BYTES]; VECTORS]],
    inputs: &[&[[u8; GROUP]]; PIXELS],
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

/// Where the sums of a block go.
#[derive(Debug, Clone, Copy)]
struct Lanes<'p> {
    multipliers: &'p [i32],
    /// The first output channel of the block.
    first: usize,
    /// Output channels of all blocks.
    channels: usize,
}

impl Lanes<'_> {
    /// Adds the sums, times the multipliers of their outputs, to the currents, and begins anew.
    #[inline(always)]
    fn flush<
        const VECTORS: usize,
        const PIXELS: usize,
        const GROUP: usize,
        const BYTES: usize,
        V: Products<GROUP, BYTES>,
    >(
        self,
        sums: &mut [[V::Sums; VECTORS]; PIXELS],
        outputs: &mut [i32],
    ) {
        let (multipliers, _) = self.multipliers.as_chunks::<16>();
        for (sums, outputs) in sums.iter_mut().zip(outputs.chunks_exact_mut(self.channels)) {
            let each = outputs[self.first..].chunks_mut(16).zip(multipliers);
            for (sums, (outputs, multipliers)) in sums.iter_mut().zip(each) {
                // Whole vectors are one addition; only the last channels may be fewer.
                match <&mut [i32; 16]>::try_from(&mut *outputs) {
                    Ok(outputs) => V::add_to(*sums, multipliers, outputs),
                    Err(_) => add_products(outputs, &V::lanes(*sums), multipliers),
                }
                *sums = V::zero();
            }
        }
    }
}
