//! Little-endian numbers in bytes that need no alignment, and the checksum over them.

/// 32-bit integers that lie in the bytes of a program and are read in place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Integers<'p>(pub(crate) &'p [u8]);

impl Integers<'_> {
    /// The integer of this position; 0 behind the last one.
    #[inline]
    pub(crate) fn get(self, index: usize) -> i32 {
        match self.0.get(4 * index..).and_then(|bytes| bytes.first_chunk()) {
            Some(bytes) => i32::from_le_bytes(*bytes),
            None => 0,
        }
    }

    /// The same as an unsigned integer.
    pub(crate) fn word(self, index: usize) -> u32 {
        self.get(index).cast_unsigned()
    }
}

/// CRC-32 (IEEE 802.3, reflected) of several pieces one after another: it finds every change of up
/// to 32 bits in a row. A table of 16 entries, for halves of bytes, is small enough for any device.
pub(crate) fn checksum(pieces: [&[u8]; 2]) -> u32 {
    const TABLE: [u32; 16] = table();
    let mut crc = u32::MAX;
    for byte in pieces.into_iter().flatten() {
        crc ^= u32::from(*byte);
        crc = TABLE[(crc & 15) as usize] ^ (crc >> 4);
        crc = TABLE[(crc & 15) as usize] ^ (crc >> 4);
    }
    !crc
}

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut index = 0_u32;
    while index < 16 {
        let (mut crc, mut bit) = (index, 0);
        while bit < 4 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index as usize] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Integers, checksum};

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(checksum([b"1234", b"56789"]), 0xCBF4_3926);
        assert_eq!(checksum([b"", b""]), 0);
    }

    #[test]
    fn integers_are_little_endian() {
        let integers = Integers(&[1, 2, 0, 0, 255, 255, 255, 255]);
        assert_eq!((integers.get(0), integers.get(1), integers.get(2)), (513, -1, 0));
    }
}
