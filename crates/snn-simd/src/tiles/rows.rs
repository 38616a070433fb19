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

/// A left factor of bytes as it lies in memory: one or two tiles of 16 rows of 64 bytes each, which
/// may overlap. A step of a product moves all of them on.
#[derive(Debug, Clone, Copy)]
pub struct ByteRows<'v> {
    pub(super) bytes: &'v [u8],
    /// Where the first row of each tile begins.
    pub(super) starts: [usize; 2],
    /// From a row to the next.
    pub(super) stride: usize,
    /// Tiles: 1 or 2.
    pub(super) tiles: usize,
    /// The furthest place of a step.
    furthest: usize,
}

impl<'v> ByteRows<'v> {
    /// Tiles whose first rows begin at these bytes, and whose rows are `stride` apart.
    ///
    /// # Panics
    /// A tile does not fit.
    #[inline]
    pub fn new(bytes: &'v [u8], (first, second): (usize, Option<usize>), stride: usize) -> Self {
        let starts = [first, second.unwrap_or(first)];
        let reach = stride.saturating_mul(15).saturating_add(64);
        let end = starts[0].max(starts[1]).saturating_add(reach);
        let Some(furthest) = bytes.len().checked_sub(end) else {
            panic!("tiles from {starts:?} on, rows {stride} apart, of {} bytes", bytes.len())
        };
        Self { bytes, starts, stride, tiles: 1 + usize::from(second.is_some()), furthest }
    }

    /// The bytes on which a step at this place has the rows of a tile.
    ///
    /// # Panics
    /// They do not fit.
    #[inline]
    pub(super) fn tile(&self, tile: usize, place: usize) -> &'v [u8] {
        assert!(place <= self.furthest, "a step of {place}, of {} at most", self.furthest);
        &self.bytes[self.starts[tile] + place..]
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
