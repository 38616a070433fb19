//! Class scores of a run.

/// Class scores of a run (eq. 13): `Σ_t J[t]`, or the last or largest `J[t]`, by the head.
#[derive(Debug, Clone, Copy)]
pub struct Scores<'e> {
    /// Two words for each class, the low one first.
    words: &'e [i32],
}

impl<'e> Scores<'e> {
    pub(crate) fn new(words: &'e [i32]) -> Self {
        Self { words }
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.words.len() / 2
    }

    /// `true` if there is no class, which no program has.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Score of a class; `None` where there is no such class.
    pub fn get(&self, class: usize) -> Option<i64> {
        self.iter().nth(class)
    }

    /// Scores of all classes, in their order.
    pub fn iter(&self) -> impl Iterator<Item = i64> + use<'e> {
        self.words.as_chunks().0.iter().map(|words| joined(*words))
    }

    /// Position of the largest score; of equal ones the first.
    pub fn class(&self) -> usize {
        let mut best = (0, i64::MIN);
        for (class, score) in self.iter().enumerate() {
            if score > best.1 {
                best = (class, score);
            }
        }
        best.0
    }
}

/// A score of its words, the low one first.
pub(crate) fn joined([low, high]: [i32; 2]) -> i64 {
    i64::from(high) << 32 | i64::from(low.cast_unsigned())
}

/// The words of a score, the low one first.
pub(crate) fn halves(score: i64) -> [i32; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
    [score as i32, (score >> 32) as i32]
}

#[cfg(test)]
mod tests {
    use super::{Scores, halves, joined};

    #[test]
    fn scores_of_64_bits_come_back() {
        for score in [0, 1, -1, i64::MAX, i64::MIN, 1 << 31, -(1 << 31), -(1 << 32) - 7] {
            assert_eq!(joined(halves(score)), score);
        }
    }

    #[test]
    fn the_first_of_equal_scores_is_the_class() {
        let words = [-2, -1, 5, 0, 5, 0, i32::MIN, -1];
        let scores = Scores::new(&words);
        assert!(scores.iter().eq([-2, 5, 5, i64::from(i32::MIN)]));
        assert_eq!((scores.class(), scores.len(), scores.get(4)), (1, 4, None));
        let lowest = halves(i64::MIN);
        assert_eq!(Scores::new(&lowest).class(), 0);
    }
}
