//! A record of words within the bytes of a program.

use crate::bytes::Integers;
use crate::error::{Result, at_most};

/// A record of words within the bytes of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'p>(pub(crate) Integers<'p>);

impl Record<'_> {
    /// A number, which may be any.
    pub(crate) fn number(self, word: usize) -> usize {
        self.0.word(word) as usize
    }

    /// A number of at most `most`.
    ///
    /// # Errors
    /// It is larger.
    pub(crate) fn at_most(self, word: usize, most: usize, what: &'static str) -> Result<usize> {
        let found = self.number(word);
        at_most(what, found, most)?;
        Ok(found)
    }

    /// The same as 32 bits.
    ///
    /// # Errors
    /// It is larger.
    pub(crate) fn small(self, word: usize, most: u32, what: &'static str) -> Result<u32> {
        self.at_most(word, most as usize, what)?;
        Ok(self.0.word(word))
    }

    /// 0 or 1.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn flag(self, word: usize, what: &'static str) -> Result<bool> {
        Ok(self.small(word, 1, what)? == 1)
    }

    /// One of several choices, by its position.
    ///
    /// # Errors
    /// There is none of this position.
    pub(crate) fn choice<C: Copy>(
        self,
        word: usize,
        choices: &[C],
        what: &'static str,
    ) -> Result<C> {
        let found = self.at_most(word, choices.len() - 1, what)?;
        Ok(choices[found])
    }
}
