//! Tables of Huffman codes.

use super::bits::Bits;

/// Bits that are looked up at once; longer codes are rare.
const LOOK_UP: u32 = 9;

/// A table of codes (T.81, annex C).
pub(super) struct Huffman {
    /// Value and length of the codes that the next [`LOOK_UP`] bits begin with; length 0 if they
    /// are longer.
    short: Vec<(u8, u8)>,
    /// By length: the first code that is too large, in the highest of 16 bits, and what leads from
    /// a code to its value.
    ends: [u32; 17],
    offsets: [i32; 17],
    values: Vec<u8>,
}

impl Huffman {
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut table = Self {
            short: vec![(0, 0); 1 << LOOK_UP],
            ends: [0; 17],
            offsets: [0; 17],
            values: values.to_vec(),
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            table.offsets[length as usize] =
                i32::try_from(place).ok()? - i32::try_from(code).ok()?;
            for _ in 0..count {
                if length <= LOOK_UP {
                    let free = LOOK_UP - length;
                    let start = (code << free) as usize;
                    let entry = (*values.get(place)?, u8::try_from(length).ok()?);
                    table.short.get_mut(start..start + (1 << free))?.fill(entry);
                }
                (code, place) = (code + 1, place + 1);
            }
            if code > 1 << length {
                return None;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Result<u32, &'static str> {
        let next = bits.peek();
        let (value, length) = self.short[(next >> (16 - LOOK_UP)) as usize];
        if length > 0 {
            bits.skip(length.into())?;
            return Ok(value.into());
        }
        let length = (LOOK_UP + 1..=16).find(|&length| next < self.ends[length as usize]);
        let length = length.ok_or("a code that no table has")?;
        let code = i32::try_from(next >> (16 - length)).unwrap_or(i32::MAX);
        let place = usize::try_from(code + self.offsets[length as usize]);
        let value = place.ok().and_then(|place| self.values.get(place));
        bits.skip(length)?;
        value.map(|&value| value.into()).ok_or("a code that no table has")
    }
}
