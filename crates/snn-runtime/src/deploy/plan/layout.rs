//! Where the levels of an image row stand for a dense product.

use crate::deploy::events::EventsView;
use std::ops::Range;

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

    /// Spreads the levels of image rows out, behind so many columns of padding.
    pub(crate) fn spread(
        &self,
        padding: usize,
        read: Range<usize>,
        events: EventsView<'_>,
        (steps, levels): (usize, &mut [u8]),
    ) {
        let channels = events.extent.channels;
        for (row, levels) in read.zip(levels.chunks_exact_mut(self.row.max(1))) {
            levels.fill(0);
            for step in 0..steps {
                for line in events.at(row, step).iter() {
                    for (column, ends) in line.offsets.windows(2).enumerate() {
                        // Entries are `column · channels + channel`.
                        let shift = self.at(column + padding, step).wrapping_sub(column * channels);
                        let range = ends[0] as usize..ends[1] as usize;
                        let entries = line.entries[range.clone()].iter();
                        if line.payloads.is_empty() {
                            entries.for_each(|&entry| {
                                levels[(entry as usize).wrapping_add(shift)] = 1;
                            });
                        } else {
                            for (&entry, level) in entries.zip(&line.payloads[range]) {
                                levels[(entry as usize).wrapping_add(shift)] =
                                    level.to_le_bytes()[0];
                            }
                        }
                    }
                }
            }
        }
    }
}
