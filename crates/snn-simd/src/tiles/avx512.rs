//! Factors made of rows in memory, and sums rounded, in AVX-512.
#![expect(unsafe_code, reason = "instructions of the machine")]

use super::amx::Configured;
use super::rows::Rows;
use super::types::{Pair, SIDE, Sums};
use std::arch::x86_64::{
    __m512bh, __m512i, __mmask32, _mm512_cvtne2ps_pbh, _mm512_load_ps, _mm512_loadu_si512,
    _mm512_mask_storeu_epi16, _mm512_maskz_loadu_epi16, _mm512_permutex2var_epi16,
    _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_store_si512, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

/// Rows of 32-bit units, which are transposed.
type Square = [__m512i; 16];

fn mask(columns: usize) -> __mmask32 {
    if columns >= SIDE { u32::MAX } else { (1 << columns) - 1 }
}

/// Functions for AVX-512, which is there wherever tiles are configured.
macro_rules! where_configured {
    ($($name:ident => $body:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        pub(super) fn $name(_: &Configured, $($argument: $type),*) {
            // SAFETY: `Configured` is made only where AVX-512 with bytes and bf16 was detected.
            unsafe { $body($($argument),*) }
        }
    )*};
}

where_configured! {
    left => copy(rows: Rows<'_>, to: &mut Pair);
    left_of_columns => transpose(rows: Rows<'_>, to: &mut Pair);
    right => interleave(rows: Rows<'_>, to: &mut Pair);
    right_of_columns => transpose_pairs(rows: Rows<'_>, to: &mut Pair);
    round => round_rows(sums: &Sums, to: &mut [u16], stride: usize, size: [usize; 2]);
}

/// A row, zeros behind its last value, and where there is no such row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(rows: Rows<'_>, row: usize) -> __m512i {
    if row >= rows.count {
        return _mm512_setzero_si512();
    }
    // SAFETY: `Rows::new` has checked that the row is inside; the mask leaves out what is behind,
    // which is all of it where there are no columns.
    unsafe {
        _mm512_maskz_loadu_epi16(
            mask(rows.columns),
            rows.values.as_ptr().wrapping_add(row * rows.stride).cast(),
        )
    }
}

/// Writes a line of a pair.
#[inline]
#[target_feature(enable = "avx512f")]
fn put(to: &mut Pair, line: usize, values: __m512i) {
    let to: &mut [u16; SIDE] = to.0[line * SIDE..].first_chunk_mut().expect("a line");
    // SAFETY: 64 bytes, aligned as the pair is.
    unsafe { _mm512_store_si512(to.as_mut_ptr().cast(), values) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn copy(rows: Rows<'_>, to: &mut Pair) {
    if rows.count == SIDE && rows.columns == SIDE {
        for row in 0..SIDE {
            // SAFETY: `Rows::new` has checked that all 32 rows of 32 values are inside.
            let values =
                unsafe { _mm512_loadu_si512(rows.values.as_ptr().add(row * rows.stride).cast()) };
            put(to, row, values);
        }
        return;
    }
    for row in 0..SIDE {
        put(to, row, load(rows, row));
    }
}

/// Picks the values of two rows in turn, from a column on.
const fn turns(from: u16) -> [u16; SIDE] {
    let mut turns = [0; SIDE];
    let mut column = 0;
    while column < 16 {
        turns[2 * column as usize] = from + column;
        turns[2 * column as usize + 1] = 32 + from + column;
        column += 1;
    }
    turns
}

const TURNS: [[u16; SIDE]; 2] = [turns(0), turns(16)];

/// Rows in pairs, the two values of a column side by side: of the first 16 columns, and the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pairs(rows: Rows<'_>) -> [Square; 2] {
    // SAFETY: 64 bytes each.
    let turns = TURNS.each_ref().map(|turns| unsafe { _mm512_loadu_si512(turns.as_ptr().cast()) });
    let mut both = [[_mm512_setzero_si512(); 16]; 2];
    let [first, second] = &mut both;
    for (pair, (first, second)) in first.iter_mut().zip(second).enumerate() {
        let (a, b) = (load(rows, 2 * pair), load(rows, 2 * pair + 1));
        *first = _mm512_permutex2var_epi16(a, turns[0], b);
        *second = _mm512_permutex2var_epi16(a, turns[1], b);
    }
    both
}

#[inline]
#[target_feature(enable = "avx512f")]
fn put_both(to: &mut Pair, both: &[Square; 2]) {
    for (half, square) in both.iter().enumerate() {
        for (line, values) in square.iter().enumerate() {
            put(to, half * 16 + line, *values);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn interleave(rows: Rows<'_>, to: &mut Pair) {
    put_both(to, &pairs(rows));
}

#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(rows: Rows<'_>, to: &mut Pair) {
    put_both(to, &pairs(rows).each_ref().map(|square| transposed(square)));
}

/// Rows are columns of the factor, and pairs of their values, 32 bits each, its rows.
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose_pairs(rows: Rows<'_>, to: &mut Pair) {
    let mut both = [[_mm512_setzero_si512(); 16]; 2];
    for row in 0..SIDE {
        both[row / 16][row % 16] = load(rows, row);
    }
    put_both(to, &both.each_ref().map(|square| transposed(square)));
}

/// Sixteen rows of sixteen units, transposed: 2 × 2, then 4 × 4 inside each 128 bits, then these.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(rows: &Square) -> Square {
    let mut r = *rows;
    let mut t = [_mm512_setzero_si512(); 16];
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for i in (0..16).step_by(4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for i in 0..4 {
        t[i] = _mm512_shuffle_i32x4::<0x88>(r[i], r[4 + i]);
        t[4 + i] = _mm512_shuffle_i32x4::<0xdd>(r[i], r[4 + i]);
        t[8 + i] = _mm512_shuffle_i32x4::<0x88>(r[8 + i], r[12 + i]);
        t[12 + i] = _mm512_shuffle_i32x4::<0xdd>(r[8 + i], r[12 + i]);
    }
    for i in 0..4 {
        r[i] = _mm512_shuffle_i32x4::<0x88>(t[i], t[8 + i]);
        r[4 + i] = _mm512_shuffle_i32x4::<0x88>(t[4 + i], t[12 + i]);
        r[8 + i] = _mm512_shuffle_i32x4::<0xdd>(t[i], t[8 + i]);
        r[12 + i] = _mm512_shuffle_i32x4::<0xdd>(t[4 + i], t[12 + i]);
    }
    r
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn round_rows(sums: &Sums, to: &mut [u16], stride: usize, [rows, columns]: [usize; 2]) {
    let mask = mask(columns);
    for row in 0..rows {
        let half: &[f32; 512] = sums.0[row / 16 * 512..].first_chunk().expect("a half");
        // SAFETY: sixteen sums each, aligned as all are; the caller has checked that the rows fit,
        // and the mask leaves out what is behind.
        unsafe {
            let first = half.as_ptr().add(row % 16 * 16);
            let both = _mm512_cvtne2ps_pbh(_mm512_load_ps(first.add(256)), _mm512_load_ps(first));
            let to = to.as_mut_ptr().wrapping_add(row * stride);
            _mm512_mask_storeu_epi16(
                to.cast(),
                mask,
                std::mem::transmute::<__m512bh, __m512i>(both),
            );
        }
    }
}
