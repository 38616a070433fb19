//! Pairs of tiles, and their sums.

/// Values along each side of a pair of tiles.
pub const SIDE: usize = 32;

/// Two tiles of bf16 values.
///
/// As a left factor, 32 rows of 32 values. As a right factor of 32 rows and 32 columns, the columns
/// 0 to 15 and then the others; in each tile the rows in pairs, the two values of a column side by
/// side.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Pair(pub [u16; SIDE * SIDE]);

impl Pair {
    /// All values 0.
    pub const ZERO: Self = Self([0; SIDE * SIDE]);
}

/// Four tiles of sums, 32 rows and 32 columns: the upper left 16 × 16 of them, the upper right,
/// the lower left, the lower right.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Sums(pub [f32; SIDE * SIDE]);

impl Sums {
    /// All sums 0.
    pub const ZERO: Self = Self([0.0; SIDE * SIDE]);

    /// Where the sum of a row and a column stands.
    #[inline]
    pub fn place(row: usize, column: usize) -> usize {
        (row / 16 * 2 + column / 16) * 256 + row % 16 * 16 + column % 16
    }
}
