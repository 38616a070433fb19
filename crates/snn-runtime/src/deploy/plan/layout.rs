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

    /// Spreads the levels of image rows out, behind so many columns of padding. `offsets` are
    /// added to those of the channels of every column, that of the padding among them.
    pub(crate) fn spread(
        &self,
        (padding, offsets): (usize, &[u8]),
        read: Range<usize>,
        events: EventsView<'_>,
        (steps, levels): (usize, &mut [u8]),
    ) {
        let Extent { channels, columns, .. } = events.extent;
        #[expect(clippy::cast_possible_truncation, reason = "a row has at most 2²⁶ positions")]
        let positions = columns as u32;
        for (row, levels) in read.zip(levels.chunks_exact_mut(self.row.max(1))) {
            levels.fill(0);
            if !offsets.is_empty() {
                // A row has its columns at all steps one after another.
                for column in levels.chunks_exact_mut(self.column.min(self.step)) {
                    column[..channels].copy_from_slice(offsets);
                }
            }
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

/// Adds levels, or ones where there are none, to what is in the places that entries name, counted
/// from the first one. A negative level takes away from an offset, which is at least as large.
#[inline(always)]
fn put((entries, payloads): (&[u32], &[i32]), first: usize, levels: &mut [u8]) {
    if payloads.is_empty() {
        for &entry in entries {
            let place = &mut levels[(entry as usize).wrapping_sub(first)];
            *place = place.wrapping_add(1);
        }
        return;
    }
    for (&entry, level) in entries.iter().zip(payloads) {
        let place = &mut levels[(entry as usize).wrapping_sub(first)];
        *place = place.wrapping_add(level.to_le_bytes()[0]);
    }
}
