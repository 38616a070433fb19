//! Vectors of 16-bit sums, for each instruction set. Sums are exact whatever the set: every one is proved to stay within 16 bits.

/// A vector of `LANES` 16-bit sums.
pub(crate) trait Vectors<const LANES: usize> {
    type Sums: Copy;
    fn zero() -> Self::Sums;
    /// Sums plus weights.
    fn add(sums: Self::Sums, weights: &[i8; LANES]) -> Self::Sums;
    /// Sums plus weights times a level.
    fn add_product(sums: Self::Sums, weights: &[i8; LANES], level: i16) -> Self::Sums;
    fn lanes(sums: Self::Sums) -> [i16; LANES];
}

/// Plain Rust: the twin that the others must agree with.
#[derive(Debug)]
pub(crate) struct Portable;

impl<const LANES: usize> Vectors<LANES> for Portable {
    type Sums = [i16; LANES];

    #[inline(always)]
    fn zero() -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn add(mut sums: Self::Sums, weights: &[i8; LANES]) -> Self::Sums {
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(i16::from(weight));
        }
        sums
    }

    #[inline(always)]
    fn add_product(mut sums: Self::Sums, weights: &[i8; LANES], level: i16) -> Self::Sums {
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(i16::from(weight).wrapping_mul(level));
        }
        sums
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums) -> [i16; LANES] {
        sums
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions of the machine")]
mod x86 {
    use super::Vectors;
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm256_add_epi16, _mm256_cvtepi8_epi16, _mm256_mullo_epi16, _mm256_set1_epi16,
        _mm256_setzero_si256, _mm512_add_epi16, _mm512_cvtepi8_epi16, _mm512_mullo_epi16, _mm512_set1_epi16,
        _mm512_setzero_si512,
    };
    use std::mem::transmute;

    /// AVX2. Named only in functions that are compiled for it and called where it was detected.
    #[derive(Debug)]
    pub(crate) struct Avx2;

    /// AVX-512 with byte and word instructions, under the same condition.
    #[derive(Debug)]
    pub(crate) struct Avx512;

    impl Vectors<16> for Avx2 {
        type Sums = __m256i;

        #[inline(always)]
        fn zero() -> __m256i {
            // SAFETY: the machine has AVX2 where this type is named.
            unsafe { _mm256_setzero_si256() }
        }

        #[inline(always)]
        fn add(sums: __m256i, weights: &[i8; 16]) -> __m256i {
            // SAFETY: as above; bytes of integers are a vector of them.
            unsafe { _mm256_add_epi16(sums, _mm256_cvtepi8_epi16(transmute::<[i8; 16], __m128i>(*weights))) }
        }

        #[inline(always)]
        fn add_product(sums: __m256i, weights: &[i8; 16], level: i16) -> __m256i {
            // SAFETY: as above; bytes of integers are a vector of them.
            unsafe {
                let weights = _mm256_cvtepi8_epi16(transmute::<[i8; 16], __m128i>(*weights));
                _mm256_add_epi16(sums, _mm256_mullo_epi16(weights, _mm256_set1_epi16(level)))
            }
        }

        #[inline(always)]
        fn lanes(sums: __m256i) -> [i16; 16] {
            // SAFETY: 32 bytes of integers are 32 bytes of integers.
            unsafe { transmute::<__m256i, [i16; 16]>(sums) }
        }
    }

    impl Vectors<32> for Avx512 {
        type Sums = __m512i;

        #[inline(always)]
        fn zero() -> __m512i {
            // SAFETY: the machine has AVX-512 where this type is named.
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        fn add(sums: __m512i, weights: &[i8; 32]) -> __m512i {
            // SAFETY: as above; bytes of integers are a vector of them.
            unsafe { _mm512_add_epi16(sums, _mm512_cvtepi8_epi16(transmute::<[i8; 32], __m256i>(*weights))) }
        }

        #[inline(always)]
        fn add_product(sums: __m512i, weights: &[i8; 32], level: i16) -> __m512i {
            // SAFETY: as above; bytes of integers are a vector of them.
            unsafe {
                let weights = _mm512_cvtepi8_epi16(transmute::<[i8; 32], __m256i>(*weights));
                _mm512_add_epi16(sums, _mm512_mullo_epi16(weights, _mm512_set1_epi16(level)))
            }
        }

        #[inline(always)]
        fn lanes(sums: __m512i) -> [i16; 32] {
            // SAFETY: 64 bytes of integers are 64 bytes of integers.
            unsafe { transmute::<__m512i, [i16; 32]>(sums) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};
