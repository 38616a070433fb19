//! A bare loop that widens and adds rows of int8 weights whose list is known: what is left of a
//! layer if nothing had to be found, widened further, fired or sent.
#![expect(unsafe_code, reason = "a function compiled for AVX2 is called where AVX2 was detected")]

use crate::layer::{additions, frames};
use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Lanes of a vector of 16-bit sums.
const LANES: usize = 16;

/// As many rows for each output as a layer has at a share of active inputs, anywhere in its
/// weights.
#[derive(Debug)]
pub struct Bare {
    lanes: usize,
    blocks: usize,
    /// Rows of an output.
    each: usize,
    weights: Vec<i8>,
    /// Begin of the weights, at a cache line as a deployment's.
    begin: usize,
    rows: Vec<u32>,
    sums: Vec<i16>,
}

impl Bare {
    /// The rows of a 3×3 convolution of as many channels as inputs over `steps` macro-steps.
    ///
    /// # Errors
    /// This machine lacks AVX2.
    pub fn new(channels: usize, size: usize, steps: usize, percent: u32) -> Result<Self> {
        #[cfg(target_arch = "x86_64")]
        let has_avx2 = is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let has_avx2 = false;
        ensure!(has_avx2, "the bare loop is written for AVX2");
        let outputs = steps * size * size;
        let frames = frames(channels * outputs, percent, 1);
        let total = additions(&frames, channels, size) / channels as u64;
        let each = usize::try_from(total)? / outputs;
        let lanes = channels.min(8 * LANES);
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let weights: Vec<i8> =
            (0..9 * channels * channels + 63).map(|_| random.random_range(-127..=127)).collect();
        let begin = weights.as_ptr().align_offset(64).min(63);
        let inputs = u32::try_from(9 * channels)?;
        let rows = (0..outputs * each).map(|_| random.random_range(0..inputs)).collect();
        Ok(Self {
            lanes,
            blocks: channels / lanes,
            each,
            weights,
            begin,
            rows,
            sums: vec![0; outputs * channels],
        })
    }

    /// Weights that it adds.
    pub fn additions(&self) -> u64 {
        (self.rows.len() * self.lanes * self.blocks) as u64
    }

    /// Adds all rows up, once for each block of lanes; the sums of every output.
    pub fn run(&mut self) -> &[i16] {
        let Self { lanes, blocks, each, weights, begin, rows, sums } = self;
        let size = (weights.len() - 63) / *blocks;
        for (block, sums) in sums.chunks_exact_mut(rows.len() / (*each).max(1) * *lanes).enumerate()
        {
            let weights = &weights[*begin + block * size..][..size];
            #[cfg(target_arch = "x86_64")]
            // SAFETY: AVX2 was detected when this was made.
            unsafe {
                match *lanes {
                    16 => widen_and_add::<1>(weights, rows, *each, sums),
                    32 => widen_and_add::<2>(weights, rows, *each, sums),
                    64 => widen_and_add::<4>(weights, rows, *each, sums),
                    _ => widen_and_add::<8>(weights, rows, *each, sums),
                }
            }
        }
        sums
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn widen_and_add<const VECTORS: usize>(
    weights: &[i8],
    rows: &[u32],
    each: usize,
    sums: &mut [i16],
) {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm256_add_epi16, _mm256_cvtepi8_epi16, _mm256_setzero_si256,
    };
    let (vectors, _) = weights.as_chunks::<LANES>();
    let (weights, _) = vectors.as_chunks::<VECTORS>();
    for (rows, sums) in rows.chunks_exact(each.max(1)).zip(sums.chunks_exact_mut(LANES * VECTORS)) {
        let mut registers = [_mm256_setzero_si256(); VECTORS];
        for &row in rows {
            let row = &weights[row as usize];
            for vector in 0..VECTORS {
                // SAFETY: 16 bytes are 16 bytes.
                let bytes = unsafe { std::mem::transmute::<[i8; LANES], __m128i>(row[vector]) };
                registers[vector] =
                    _mm256_add_epi16(registers[vector], _mm256_cvtepi8_epi16(bytes));
            }
        }
        for (sums, register) in sums.chunks_exact_mut(LANES).zip(registers) {
            // SAFETY: 32 bytes are 32 bytes.
            sums.copy_from_slice(&unsafe {
                std::mem::transmute::<__m256i, [i16; LANES]>(register)
            });
        }
    }
}
