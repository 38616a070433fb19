//! Bits of coded data.

/// Bits of the greatest difference of first coefficients of a picture of 8 bits (T.81, table F.1).
const DC_BITS: u32 = 11;
pub(super) const TOO_LARGE: &str = "a coefficient greater than those of any picture";
const ENDED: &str = "data that end before the last block of a scan";

/// Bits of coded data, the highest of each byte first; beyond the end they are zero.
pub(super) struct Bits<'d> {
    data: &'d [u8],
    /// The byte that comes next into `word`.
    next: usize,
    word: u64,
    /// Bits of `word` that are not read yet; some of them may lie beyond the end.
    count: u32,
}

impl<'d> Bits<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Self { data, next: 0, word: 0, count: 0 }
    }

    /// Has at least 32 bits at hand.
    fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        let more = match self.data.get(self.next..).and_then(<[u8]>::first_chunk) {
            Some(&bytes) => u32::from_be_bytes(bytes),
            None => (0..4).fold(0, |word, ahead| {
                word << 8 | u32::from(self.data.get(self.next + ahead).copied().unwrap_or(0))
            }),
        };
        self.word = self.word << 32 | u64::from(more);
        self.count += 32;
        self.next += 4;
    }

    /// The next 16 bits.
    pub(super) fn peek(&mut self) -> u32 {
        self.fill();
        (self.word >> (self.count - 16) & 0xFFFF) as u32
    }

    pub(super) fn skip(&mut self, count: u32) -> Result<(), &'static str> {
        self.fill();
        self.count -= count;
        if self.read_bits() > 8 * self.data.len() { Err(ENDED) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, count: u32) -> Result<u32, &'static str> {
        let value = self.peek() >> (16 - count);
        self.skip(count)?;
        Ok(value)
    }

    /// A difference of so many bits (T.81, F.2.2.1).
    pub(super) fn signed(&mut self, size: u32) -> Result<i32, &'static str> {
        if size > DC_BITS {
            return Err(TOO_LARGE);
        }
        let value = self.take(size)?.cast_signed();
        let half = 1 << size >> 1;
        Ok(if value < half { value - (1 << size) + 1 } else { value })
    }

    pub(super) fn read_bits(&self) -> usize {
        8 * self.next - self.count as usize
    }

    /// The byte that is being read.
    pub(super) fn place(&self) -> usize {
        (self.read_bits() / 8).min(self.data.len())
    }

    /// `true` if what is left is the rest of a byte, and bytes that some programs fill up with.
    pub(super) fn only_filler_left(&self) -> bool {
        let whole = self.read_bits().div_ceil(8);
        self.data[whole.min(self.data.len())..].iter().all(|&byte| byte == 0 || byte == 0xFF)
    }
}
