//! Rows of values some way apart in memory.

use super::types::SIDE;

/// At most 32 rows of at most 32 values, each row some values behind the one before.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'v> {
    pub(super) values: &'v [u16],
    pub(super) stride: usize,
    /// Number of rows.
    pub(super) count: usize,
    pub(super) columns: usize,
}

impl<'v> Rows<'v> {
    /// As many rows and columns, the first at the beginning of the values.
    ///
    /// # Panics
    /// More than 32 rows or columns, or rows that do not fit.
    #[inline]
    pub fn new(values: &'v [u16], stride: usize, [count, columns]: [usize; 2]) -> Self {
        check(values.len(), stride, [count, columns]);
        Self { values, stride, count, columns }
    }

    /// A row; nothing where there is none.
    #[inline]
    pub(super) fn row(&self, row: usize) -> &'v [u16] {
        if row < self.count { &self.values[row * self.stride..][..self.columns] } else { &[] }
    }
}

/// # Panics
/// Rows that do not fit into so many values.
#[inline]
pub(super) fn check(len: usize, stride: usize, [rows, columns]: [usize; 2]) {
    let last = rows.saturating_sub(1).saturating_mul(stride);
    let fits = rows == 0 || columns == 0 || last.saturating_add(columns) <= len;
    assert!(
        rows <= SIDE && columns <= SIDE && fits,
        "{rows} rows of {columns}, {stride} apart, of {len} values"
    );
}
