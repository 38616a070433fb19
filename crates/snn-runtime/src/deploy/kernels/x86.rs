//! The vectors of x86-64: AVX2 and AVX-512.
#![expect(unsafe_code, reason = "instructions of the machine")]

use crate::deploy::events::step_tree::Members;
use crate::deploy::kernels::vectors::{
    Compress, FLAGS, Flags, Floats, LEVELS, PAIRED, Pairs, Products, Vectors, excess, widened,
};
use std::arch::x86_64::{
    __m128i, __m256, __m256i, __m512, __m512i, _mm256_add_epi16, _mm256_add_epi32, _mm256_add_ps,
    _mm256_and_si256, _mm256_andnot_si256, _mm256_castsi256_si128, _mm256_cmpeq_epi8,
    _mm256_cvtepi8_epi16, _mm256_cvtepi16_epi32, _mm256_extracti128_si256, _mm256_maddubs_epi16,
    _mm256_movemask_epi8, _mm256_mul_ps, _mm256_mullo_epi16, _mm256_mullo_epi32, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16,
    _mm256_srai_epi16, _mm256_sub_epi16, _mm512_add_epi16, _mm512_add_epi32, _mm512_add_ps,
    _mm512_cvtepi8_epi16, _mm512_dpbusd_epi32, _mm512_maskz_compress_epi32, _mm512_mul_ps,
    _mm512_mullo_epi16, _mm512_mullo_epi32, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi16, _mm512_srai_epi16,
    _mm512_sub_epi16, _mm512_test_epi32_mask,
};
use std::mem::transmute;

/// AVX2. Named only in functions that are compiled for it and called where it was detected.
#[derive(Debug)]
pub(crate) struct Avx2;

/// AVX-512 with byte and word instructions, under the same condition.
#[derive(Debug)]
pub(crate) struct Avx512;

/// Places that are counted from one on.
const PLACES: [i32; LEVELS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

impl Compress for Avx512 {
    #[inline(always)]
    fn compress(
        levels: &[i32; LEVELS],
        first: u32,
        entries: &mut [u32; LEVELS],
        payloads: &mut [i32; LEVELS],
    ) -> usize {
        // SAFETY: the machine has AVX-512 where this type is named; arrays of 64 bytes are vectors.
        unsafe {
            let levels = transmute::<[i32; LEVELS], __m512i>(*levels);
            let active = _mm512_test_epi32_mask(levels, levels);
            let places = transmute::<[i32; LEVELS], __m512i>(PLACES);
            let places = _mm512_add_epi32(places, _mm512_set1_epi32(first.cast_signed()));
            *entries =
                transmute::<__m512i, [u32; LEVELS]>(_mm512_maskz_compress_epi32(active, places));
            *payloads =
                transmute::<__m512i, [i32; LEVELS]>(_mm512_maskz_compress_epi32(active, levels));
            active.count_ones() as usize
        }
    }
}

impl Flags for Avx512 {
    #[inline(always)]
    fn bits(flags: &[u8; FLAGS]) -> u32 {
        Avx2::bits(flags)
    }

    #[inline(always)]
    fn members(seen: &[u8; FLAGS], members: Members) -> u32 {
        Avx2::members(seen, members)
    }

    #[inline(always)]
    fn places(word: u32, first: u32, entries: &mut [u32; FLAGS]) -> usize {
        let mut count = 0_usize;
        for (half, first) in [(0, first), (16, first.wrapping_add(16))] {
            #[expect(clippy::cast_possible_truncation, reason = "sixteen bits")]
            let bits = (word >> half) as u16;
            // Sixteen slots are there behind as many as 16 that are filled.
            if let Some(slots) = entries[count..].first_chunk_mut::<LEVELS>() {
                // SAFETY: the machine has AVX-512 where this type is named; arrays of 64 bytes are
                // vectors.
                *slots = unsafe {
                    let places = transmute::<[i32; LEVELS], __m512i>(PLACES);
                    let places = _mm512_add_epi32(places, _mm512_set1_epi32(first.cast_signed()));
                    transmute::<__m512i, [u32; LEVELS]>(_mm512_maskz_compress_epi32(bits, places))
                };
            }
            count = count.wrapping_add(bits.count_ones() as usize);
        }
        count
    }
}

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
        unsafe {
            _mm256_add_epi16(sums, _mm256_cvtepi8_epi16(transmute::<[i8; 16], __m128i>(*weights)))
        }
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

impl Flags for Avx2 {
    #[inline(always)]
    fn bits(flags: &[u8; FLAGS]) -> u32 {
        // SAFETY: the machine has AVX2 where this type is named; bytes are a vector of them.
        unsafe {
            let flags = transmute::<[u8; FLAGS], __m256i>(*flags);
            // Of each byte the lowest bit becomes the highest, which is what is gathered.
            _mm256_movemask_epi8(_mm256_slli_epi16::<7>(flags)).cast_unsigned()
        }
    }

    #[inline(always)]
    fn members(seen: &[u8; FLAGS], members: Members) -> u32 {
        // SAFETY: as above.
        unsafe {
            let seen = transmute::<[u8; FLAGS], __m256i>(*seen);
            let each = |steps: u8| _mm256_set1_epi8(steps.cast_signed());
            let active = _mm256_cmpeq_epi8(
                _mm256_and_si256(seen, each(members.steps)),
                each(members.active),
            );
            let excepted = _mm256_cmpeq_epi8(seen, each(members.except));
            _mm256_movemask_epi8(_mm256_andnot_si256(excepted, active)).cast_unsigned()
        }
    }
}

/// Sums of whole words, and of their high bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<V> {
    words: V,
    high: V,
}

impl Pairs<PAIRED> for Avx2 {
    type Sums = Words<__m256i>;

    #[inline(always)]
    fn zero() -> Self::Sums {
        // SAFETY: the machine has AVX2 where this type is named.
        let zero = unsafe { _mm256_setzero_si256() };
        Words { words: zero, high: zero }
    }

    #[inline(always)]
    fn add(sums: Self::Sums, words: &[i8; PAIRED]) -> Self::Sums {
        // SAFETY: as above; bytes of integers are a vector of them.
        unsafe {
            let words = transmute::<[i8; PAIRED], __m256i>(*words);
            Words {
                words: _mm256_add_epi16(sums.words, words),
                high: _mm256_add_epi16(sums.high, _mm256_srai_epi16::<8>(words)),
            }
        }
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, rows: usize) -> [i16; PAIRED] {
        // SAFETY: as above; two vectors are an array of their integers.
        unsafe {
            let low = _mm256_sub_epi16(sums.words, _mm256_slli_epi16::<8>(sums.high));
            let low = _mm256_sub_epi16(low, _mm256_set1_epi16(excess(rows)));
            transmute::<[__m256i; 2], [i16; PAIRED]>([low, sums.high])
        }
    }
}

impl Products<2, 32> for Avx2 {
    type Sums = __m256i;

    #[inline(always)]
    fn zero() -> __m256i {
        // SAFETY: the machine has AVX2 where this type is named.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn add(sums: __m256i, weights: &[i8; 32], levels: [u8; 2]) -> __m256i {
        // SAFETY: as above; bytes of integers are a vector of them. Two products of at most 128·127
        // do not saturate.
        unsafe {
            let weights = transmute::<[i8; 32], __m256i>(*weights);
            let levels = _mm256_set1_epi16(i16::from_le_bytes(levels));
            _mm256_add_epi16(sums, _mm256_maddubs_epi16(levels, weights))
        }
    }

    #[inline(always)]
    fn lanes(sums: __m256i) -> [i32; 16] {
        // SAFETY: 32 bytes of integers are 32 bytes of integers.
        widened(unsafe { transmute::<__m256i, [i16; 16]>(sums) })
    }

    #[inline(always)]
    fn add_to(sums: __m256i, multipliers: &[i32; 16], outputs: &mut [i32; 16]) {
        // SAFETY: as above; an array of sixteen integers is two vectors of them.
        unsafe {
            let multipliers = transmute::<[i32; 16], [__m256i; 2]>(*multipliers);
            let before = transmute::<[i32; 16], [__m256i; 2]>(*outputs);
            let low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(sums));
            let high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(sums));
            let after = [
                _mm256_add_epi32(before[0], _mm256_mullo_epi32(low, multipliers[0])),
                _mm256_add_epi32(before[1], _mm256_mullo_epi32(high, multipliers[1])),
            ];
            *outputs = transmute::<[__m256i; 2], [i32; 16]>(after);
        }
    }
}

/// Where VNNI was detected as well.
impl Products<4, 64> for Avx512 {
    type Sums = __m512i;

    #[inline(always)]
    fn zero() -> __m512i {
        // SAFETY: the machine has AVX-512 where this type is named.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn add(sums: __m512i, weights: &[i8; 64], levels: [u8; 4]) -> __m512i {
        // SAFETY: as above, and VNNI where products are in fours; bytes of integers are a vector of
        // them.
        unsafe {
            let weights = transmute::<[i8; 64], __m512i>(*weights);
            _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(i32::from_le_bytes(levels)), weights)
        }
    }

    #[inline(always)]
    fn lanes(sums: __m512i) -> [i32; 16] {
        // SAFETY: 64 bytes of integers are 64 bytes of integers.
        unsafe { transmute::<__m512i, [i32; 16]>(sums) }
    }

    #[inline(always)]
    fn add_to(sums: __m512i, multipliers: &[i32; 16], outputs: &mut [i32; 16]) {
        // SAFETY: as above; an array of sixteen integers is a vector of them.
        unsafe {
            let multipliers = transmute::<[i32; 16], __m512i>(*multipliers);
            let before = transmute::<[i32; 16], __m512i>(*outputs);
            let sums = _mm512_add_epi32(before, _mm512_mullo_epi32(sums, multipliers));
            *outputs = transmute::<__m512i, [i32; 16]>(sums);
        }
    }
}

impl Floats<8> for Avx2 {
    type Sums = __m256;

    #[inline(always)]
    fn zero() -> __m256 {
        // SAFETY: the machine has AVX2 where this type is named.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    fn add(sums: __m256, weights: &[f32; 8]) -> __m256 {
        // SAFETY: as above; 32 bytes of floats are a vector of them.
        unsafe { _mm256_add_ps(sums, transmute::<[f32; 8], __m256>(*weights)) }
    }

    #[inline(always)]
    fn add_product(sums: __m256, weights: &[f32; 8], level: f32) -> __m256 {
        // SAFETY: as above.
        unsafe {
            let weights = transmute::<[f32; 8], __m256>(*weights);
            _mm256_add_ps(sums, _mm256_mul_ps(weights, _mm256_set1_ps(level)))
        }
    }

    #[inline(always)]
    fn lanes(sums: __m256) -> [f32; 8] {
        // SAFETY: as above.
        unsafe { transmute::<__m256, [f32; 8]>(sums) }
    }
}

impl Floats<16> for Avx512 {
    type Sums = __m512;

    #[inline(always)]
    fn zero() -> __m512 {
        // SAFETY: the machine has AVX-512 where this type is named.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn add(sums: __m512, weights: &[f32; 16]) -> __m512 {
        // SAFETY: as above; 64 bytes of floats are a vector of them.
        unsafe { _mm512_add_ps(sums, transmute::<[f32; 16], __m512>(*weights)) }
    }

    #[inline(always)]
    fn add_product(sums: __m512, weights: &[f32; 16], level: f32) -> __m512 {
        // SAFETY: as above.
        unsafe {
            let weights = transmute::<[f32; 16], __m512>(*weights);
            _mm512_add_ps(sums, _mm512_mul_ps(weights, _mm512_set1_ps(level)))
        }
    }

    #[inline(always)]
    fn lanes(sums: __m512) -> [f32; 16] {
        // SAFETY: as above.
        unsafe { transmute::<__m512, [f32; 16]>(sums) }
    }
}

impl Pairs<64> for Avx512 {
    type Sums = Words<__m512i>;

    #[inline(always)]
    fn zero() -> Self::Sums {
        // SAFETY: the machine has AVX-512 where this type is named.
        let zero = unsafe { _mm512_setzero_si512() };
        Words { words: zero, high: zero }
    }

    #[inline(always)]
    fn add(sums: Self::Sums, words: &[i8; 64]) -> Self::Sums {
        // SAFETY: as above; bytes of integers are a vector of them.
        unsafe {
            let words = transmute::<[i8; 64], __m512i>(*words);
            Words {
                words: _mm512_add_epi16(sums.words, words),
                high: _mm512_add_epi16(sums.high, _mm512_srai_epi16::<8>(words)),
            }
        }
    }

    #[inline(always)]
    fn lanes(sums: Self::Sums, rows: usize) -> [i16; 64] {
        // SAFETY: as above; vectors are arrays of their halves, and of their integers.
        unsafe {
            let low = _mm512_sub_epi16(sums.words, _mm512_slli_epi16::<8>(sums.high));
            let low = _mm512_sub_epi16(low, _mm512_set1_epi16(excess(rows)));
            let [low, low_after] = transmute::<__m512i, [__m256i; 2]>(low);
            let [high, high_after] = transmute::<__m512i, [__m256i; 2]>(sums.high);
            transmute::<[__m256i; 4], [i16; 64]>([low, high, low_after, high_after])
        }
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
        unsafe {
            _mm512_add_epi16(sums, _mm512_cvtepi8_epi16(transmute::<[i8; 32], __m256i>(*weights)))
        }
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
