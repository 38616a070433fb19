//! Where the levels of an image row stand for a dense product.

use crate::deploy::events::{EventsView, Extent};
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
        let Extent { channels, columns, .. } = events.extent;
        #[expect(clippy::cast_possible_truncation, reason = "a row has at most 2²⁶ positions")]
        let positions = columns as u32;
        for (row, levels) in read.zip(levels.chunks_exact_mut(self.row.max(1))) {
            levels.fill(0);
            for step in 0..steps {
                for line in events.at(row, step).iter() {
                    // Entries are `column · channels + channel`.
                    if self.phases == 1 && self.column == channels {
                        // All columns are one run of places.
                        let all = line.run(0, positions);
                        put(all, 0, &mut levels[self.at(padding, step)..]);
                        continue;
                    }
                    for position in 0..positions {
                        let (column, own) = (position as usize, line.run(position, position + 1));
                        let place = self.at(column + padding, step);
                        put(own, column * channels, &mut levels[place..]);
                    }
                }
            }
        }
    }
}

/// Puts levels, or ones where there are none, into the places that entries name, counted from the
/// first one.
#[inline(always)]
fn put((entries, payloads): (&[u32], &[i32]), first: usize, levels: &mut [u8]) {
    if payloads.is_empty() {
        for &entry in entries {
            levels[(entry as usize).wrapping_sub(first)] = 1;
        }
        return;
    }
    for (&entry, level) in entries.iter().zip(payloads) {
        levels[(entry as usize).wrapping_sub(first)] = level.to_le_bytes()[0];
    }
}
