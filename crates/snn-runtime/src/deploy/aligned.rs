//! Weights that begin at a cache line.

use std::ops::{Deref, DerefMut};

const CACHE_LINE: usize = 64;

/// Weights that begin at a cache line: a row of 64 lanes is then one line and not parts of two.
#[derive(Debug)]
pub(crate) struct Aligned<W> {
    /// With the bytes before the first line; never grows, and so stays where it is.
    values: Vec<W>,
    begin: usize,
}

impl<W: Copy + Default> Aligned<W> {
    pub(crate) fn zeros(count: usize) -> Self {
        let values = vec![W::default(); count + CACHE_LINE - 1];
        let begin = values.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE - 1);
        let mut aligned = Self { values, begin };
        aligned.values.truncate(begin + count);
        aligned
    }
}

impl<W> Deref for Aligned<W> {
    type Target = [W];

    #[inline(always)]
    fn deref(&self) -> &[W] {
        &self.values[self.begin..]
    }
}

impl<W> DerefMut for Aligned<W> {
    fn deref_mut(&mut self) -> &mut [W] {
        &mut self.values[self.begin..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_begin_at_a_cache_line_also_when_they_are_moved() {
        fn check<W: Copy + Default>() {
            let all: Vec<Aligned<W>> = (0..200).map(Aligned::zeros).collect();
            for (count, aligned) in all.iter().enumerate() {
                assert_eq!(aligned.len(), count);
                assert_eq!(aligned.as_ptr().align_offset(CACHE_LINE), 0);
            }
        }
        check::<i8>();
        check::<f32>();
    }
}
