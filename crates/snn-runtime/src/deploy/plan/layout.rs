//! Where the levels of an image row stand for a dense product.

/// Places of levels: a step has its columns one after another, or a column its steps; columns are
/// dealt out to `phases` in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) phases: usize,
    /// Bytes from a phase to the next.
    pub(crate) phase: usize,
    /// Bytes from a column of a phase to the next.
    pub(crate) column: usize,
    /// Bytes from a step to the next.
    pub(crate) step: usize,
    /// Bytes of an image row, all its steps.
    pub(crate) row: usize,
}

impl Layout {
    /// Where the channels of a column, those of the padding counted, stand at a step.
    #[inline(always)]
    pub(crate) fn at(&self, column: usize, step: usize) -> usize {
        column % self.phases * self.phase + column / self.phases * self.column + step * self.step
    }
}
