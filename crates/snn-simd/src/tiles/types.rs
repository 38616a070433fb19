//! Pairs of tiles, and their sums: of bf16 values, and of bytes.

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

/// Rows of a right factor of bytes.
pub const BYTE_ROWS: usize = 64;

/// Two tiles of 8-bit integers as a right factor of 64 rows and 32 columns: the columns 0 to 15 and
/// then the others; in each tile the rows in fours, the four values of a column side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct BytePair(pub [i8; BYTE_ROWS * SIDE]);

impl BytePair {
    /// All values 0.
    pub const ZERO: Self = Self([0; BYTE_ROWS * SIDE]);

    /// Where the value of a row and a column stands.
    #[inline]
    pub fn place(row: usize, column: usize) -> usize {
        (column / 16 * 16 + row / 4) * BYTE_ROWS + column % 16 * 4 + row % 4
    }
}

/// Sums of products of bytes: 32 rows of 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ByteSums(pub [i32; SIDE * SIDE]);

impl ByteSums {
    /// All sums 0.
    pub const ZERO: Self = Self([0; SIDE * SIDE]);
}
