//! The little of FlatBuffers that AEDAT 4 needs: tables of scalars, strings, and vectors of
//! structs. Every place is checked.

/// A buffer; places are offsets into it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer<'b>(pub(super) &'b [u8]);

/// A table of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'b> {
    buffer: Buffer<'b>,
    at: usize,
    /// Where the table of offsets is, and its length in bytes.
    offsets: usize,
    length: usize,
}

impl<'b> Buffer<'b> {
    fn bytes<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u32(self, at: usize) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.bytes(at)?)).ok()
    }

    /// The root table, if the buffer has this identifier.
    pub(super) fn root(self, identifier: [u8; 4]) -> Option<Table<'b>> {
        if self.bytes(4)? != identifier {
            return None;
        }
        let at = self.u32(0)?;
        let back = i64::from(i32::from_le_bytes(self.bytes(at)?));
        let offsets = usize::try_from(i64::try_from(at).ok()? - back).ok()?;
        let length = usize::from(u16::from_le_bytes(self.bytes(offsets)?));
        Some(Table { buffer: self, at, offsets, length })
    }
}

impl<'b> Table<'b> {
    /// Where a field is; `None` if the table has not got it.
    fn field(self, index: usize) -> Option<usize> {
        let entry = 4 + 2 * index;
        if entry + 2 > self.length {
            return None;
        }
        let offset = usize::from(u16::from_le_bytes(self.buffer.bytes(self.offsets + entry)?));
        if offset == 0 { None } else { self.at.checked_add(offset) }
    }

    /// A field of 32 bits.
    pub(super) fn i32(self, index: usize) -> Option<i32> {
        Some(i32::from_le_bytes(self.buffer.bytes(self.field(index)?)?))
    }

    /// A field of 64 bits.
    pub(super) fn i64(self, index: usize) -> Option<i64> {
        Some(i64::from_le_bytes(self.buffer.bytes(self.field(index)?)?))
    }

    /// The bytes of a vector whose elements have `size` bytes each (1: a string).
    pub(super) fn vector(self, index: usize, size: usize) -> Option<&'b [u8]> {
        let field = self.field(index)?;
        let at = field.checked_add(self.buffer.u32(field)?)?;
        let start = at.checked_add(4)?;
        self.buffer.0.get(start..start.checked_add(self.buffer.u32(at)?.checked_mul(size)?)?)
    }

    /// `true` if the table has a field.
    pub(super) fn has(self, index: usize) -> bool {
        self.field(index).is_some()
    }
}
