//! A small generator of pseudo-random numbers, so that tests need none of a crate's.

/// A generator with the same values on every run and machine (`SplitMix64`, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator whose values the seed determines.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A position of `0..count`; 0 where `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.bits() % count.max(1) as u64).unwrap_or(0)
    }

    /// An integer of `low..=high`.
    ///
    /// # Panics
    ///
    /// Where `high < low`, or their distance does not fit into an `i64`.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "{low} to {high} has no integer");
        let count = high.abs_diff(low).saturating_add(1);
        low + i64::try_from(self.bits() % count).expect("a distance that fits into i64")
    }

    /// A real number of `low..high`, one of 2⁵³ equally spaced ones.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits().to_le_bytes()[0]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn values_are_those_of_the_paper() {
        // The reference implementation's first values for the state 1234567.
        let mut random = Random(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn values_stay_in_their_range_and_reach_its_ends() {
        let mut random = Random::new(1);
        let drawn: Vec<i64> = (0..200).map(|_| random.int(-2, 2)).collect();
        assert!((-2..=2).all(|value| drawn.contains(&value)));
        assert!(drawn.iter().all(|value| (-2..=2).contains(value)));
        assert!((0..200).all(|_| (0.5..0.75).contains(&random.real(0.5, 0.75))));
        assert!((0..200).all(|_| random.below(3) < 3) && random.below(0) == 0);
    }
}
