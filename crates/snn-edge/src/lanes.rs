//! Values packed into words: lanes of 1, 2, 4, 8, 16 or 32 bits.
//!
//! A spike takes one bit, a level as many as its range needs. Words of zeros are skipped, so that
//! values at rest cost next to nothing to read: 32 spikes at rest cost one comparison.

/// Format of the packed values of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lanes {
    /// Base-2 logarithm of the bits of a lane, at most 5.
    pub(crate) log2: u32,
    /// `true` if values are in two's complement.
    pub(crate) signed: bool,
}

impl Lanes {
    /// The base-2 logarithm of the lanes in a word.
    fn per_word(self) -> u32 {
        5 - self.log2
    }

    /// Bits of one lane, at the low end of a word.
    fn mask(self) -> u32 {
        u32::MAX >> (32 - (1 << self.log2))
    }

    /// Words that so many values take.
    pub(crate) fn words(self, values: usize) -> usize {
        values.div_ceil(1 << self.per_word())
    }

    /// Word and first bit of a value.
    fn place(self, index: usize) -> (usize, u32) {
        let within = index & ((1 << self.per_word()) - 1);
        #[expect(clippy::cast_possible_truncation, reason = "a lane of a word is below 32")]
        let within = within as u32;
        (index >> self.per_word(), within << self.log2)
    }

    /// The value in the low bits of a word.
    fn value(self, bits: u32) -> i32 {
        let unused = 32 - (1 << self.log2);
        if self.signed {
            (bits << unused).cast_signed() >> unused
        } else {
            (bits & self.mask()).cast_signed()
        }
    }

    /// The value of this index.
    pub(crate) fn get(self, words: &[i32], index: usize) -> i32 {
        let (word, bit) = self.place(index);
        self.value(words[word].cast_unsigned() >> bit)
    }

    /// Writes the value of this index.
    pub(crate) fn set(self, words: &mut [i32], index: usize, value: i32) {
        let (word, bit) = self.place(index);
        let others = words[word].cast_unsigned() & !(self.mask() << bit);
        let bits = (value.cast_unsigned() & self.mask()) << bit;
        words[word] = (others | bits).cast_signed();
    }

    /// Visits those of `count` values from index `start` that are not zero, each with its distance
    /// from `start`.
    #[inline]
    pub(crate) fn active(
        self,
        words: &[i32],
        start: usize,
        count: usize,
        mut visit: impl FnMut(usize, i32),
    ) {
        let end = start + count;
        let (first, bit) = self.place(start);
        let (last, end_bit) = self.place(end);
        let mut keep = u32::MAX << bit;
        for (index, word) in words.iter().enumerate().skip(first) {
            if index >= last {
                // The word in which the run ends, before which nothing may be left.
                if index > last || end_bit == 0 {
                    break;
                }
                keep &= !(u32::MAX << end_bit);
            }
            let mut rest = word.cast_unsigned() & keep;
            keep = u32::MAX;
            while rest != 0 {
                let lane = rest.trailing_zeros() >> self.log2;
                let bit = lane << self.log2;
                let distance = (index << self.per_word()) + lane as usize - start;
                visit(distance, self.value(rest >> bit));
                rest &= !(self.mask() << bit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::Lanes;
    use std::vec::Vec;

    #[test]
    fn values_of_every_width_come_back() {
        for log2 in 0..=5_u32 {
            for signed in [false, true] {
                let lanes = Lanes { log2, signed };
                let bits = 1_u32 << log2;
                let (low, high) = match (signed, bits) {
                    (true, _) => (-(1_i64 << (bits - 1)), (1_i64 << (bits - 1)) - 1),
                    // Words hold at most 31 bits of a value that is not negative.
                    (false, 32) => (0, i64::from(i32::MAX)),
                    (false, _) => (0, (1_i64 << bits) - 1),
                };
                let all: Vec<i32> = (0..70_i64)
                    .map(|i| if i % 3 == 0 { 0 } else { low + i * i * 977 % (high - low + 1) })
                    .map(|value| i32::try_from(value).unwrap())
                    .collect();
                let mut words = std::vec![-1; lanes.words(all.len())];
                for (index, &value) in all.iter().enumerate() {
                    lanes.set(&mut words, index, value);
                }
                for (index, &value) in all.iter().enumerate() {
                    assert_eq!(lanes.get(&words, index), value, "{lanes:?}");
                }
                for start in 0..70 {
                    for count in 0..=70 - start {
                        let mut found = Vec::new();
                        lanes.active(&words, start, count, |at, value| found.push((at, value)));
                        let expected: Vec<(usize, i32)> = (0..count)
                            .map(|at| (at, all[start + at]))
                            .filter(|(_, value)| *value != 0)
                            .collect();
                        assert_eq!(found, expected, "{lanes:?} {start} {count}");
                    }
                }
            }
        }
    }
}
