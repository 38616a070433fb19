//! The plain form: what AMX computes, value by value.

use super::rows::{ByteRows, Rows};
use super::types::{BYTE_ROWS, BytePair, ByteSums, Pair, SIDE, Sums};

fn wide(value: u16) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

/// `sums += a·b` as `TDPBF16PS` has it: the products of even rows and those of odd rows are added
/// up apart, each sum rounded, and then together to what was there. A product of two bf16 is exact
/// unless it is subnormal.
pub(super) fn multiply(a: &Pair, b: &Pair, sums: &mut Sums) {
    for row in 0..SIDE {
        for column in 0..SIDE {
            let [mut even, mut odd] = [0.0_f32; 2];
            for pair in 0..SIDE / 2 {
                let a = &a.0[row * SIDE + 2 * pair..][..2];
                let b = &b.0[(column / 16 * 16 + pair) * SIDE + column % 16 * 2..][..2];
                even += wide(a[0]) * wide(b[0]);
                odd += wide(a[1]) * wide(b[1]);
            }
            sums.0[Sums::place(row, column)] += even + odd;
        }
    }
}

/// `sums += a·b`, of one tile of rows or two and so many tiles of columns; wraps.
pub(super) fn multiply_bytes(
    a: &ByteRows<'_>,
    place: usize,
    b: &BytePair,
    tiles: usize,
    sums: &mut ByteSums,
) {
    for row in 0..16 * a.tiles {
        let values = &a.tile(row / 16, place)[row % 16 * a.stride..][..BYTE_ROWS];
        for column in 0..16 * tiles {
            let products = values
                .iter()
                .enumerate()
                .map(|(k, &value)| i32::from(value) * i32::from(b.0[BytePair::place(k, column)]));
            let sum = &mut sums.0[row * SIDE + column];
            *sum = products.fold(*sum, i32::wrapping_add);
        }
    }
}

pub(super) fn left(rows: Rows<'_>, to: &mut Pair) {
    *to = Pair::ZERO;
    for (row, to) in to.0.chunks_exact_mut(SIDE).enumerate() {
        let row = rows.row(row);
        to[..row.len()].copy_from_slice(row);
    }
}

pub(super) fn left_of_columns(rows: Rows<'_>, to: &mut Pair) {
    *to = Pair::ZERO;
    for row in 0..rows.count {
        for (column, &value) in rows.row(row).iter().enumerate() {
            to.0[column * SIDE + row] = value;
        }
    }
}

pub(super) fn right(rows: Rows<'_>, to: &mut Pair) {
    *to = Pair::ZERO;
    for row in 0..rows.count {
        for (column, &value) in rows.row(row).iter().enumerate() {
            to.0[(column / 16 * 16 + row / 2) * SIDE + column % 16 * 2 + row % 2] = value;
        }
    }
}

pub(super) fn right_of_columns(rows: Rows<'_>, to: &mut Pair) {
    *to = Pair::ZERO;
    for column in 0..rows.count {
        for (row, &value) in rows.row(column).iter().enumerate() {
            to.0[(column / 16 * 16 + row / 2) * SIDE + column % 16 * 2 + row % 2] = value;
        }
    }
}

pub(super) fn round(sums: &Sums, to: &mut [u16], stride: usize, [rows, columns]: [usize; 2]) {
    for row in 0..rows {
        for column in 0..columns {
            to[row * stride + column] = nearest(sums.0[Sums::place(row, column)]);
        }
    }
}

/// The nearest bf16, ties to even; what is not a number stays so.
fn nearest(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
