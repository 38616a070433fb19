//! Events of a node, for all its macro-steps: of each image row and step the active channels in order of position.

use std::ops::Range;

/// Size of an event buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
    pub(crate) steps: usize,
    /// Whether levels differ from one.
    pub(crate) payloads: bool,
}

/// Entries between lines whose length is a multiple of 2 KiB: all would begin in the same sets of a cache, which would then hold few of them.
const APART: usize = 29 * 16;

impl Extent {
    /// Values of an image row.
    pub(crate) fn width(&self) -> usize {
        self.columns * self.channels
    }

    /// Entries from one line to the next.
    fn stride(&self) -> usize {
        self.width() + if self.width().is_multiple_of(512) { APART } else { 0 }
    }
}

/// Room for events; `[row][step]` outermost, so that image rows can be filled by different threads.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Of each line, where the entries of each position begin; one more at the end.
    offsets: Vec<u32>,
    /// `column · channels + channel`.
    entries: Vec<u32>,
    /// Levels; not used where all are one.
    payloads: Vec<i32>,
}

impl Events {
    /// Grows to hold an extent.
    pub(crate) fn reserve(&mut self, extent: Extent) {
        let lines = extent.rows * extent.steps;
        grow(&mut self.offsets, lines * (extent.columns + 1));
        grow(&mut self.entries, lines * extent.stride());
        if extent.payloads {
            grow(&mut self.payloads, lines * extent.stride());
        }
    }

    /// What a buffer takes that was reserved for these extents; saturates.
    pub(crate) fn bytes_of(extents: &[Extent]) -> usize {
        let largest = |size: &dyn Fn(&Extent) -> usize| extents.iter().map(size).max().unwrap_or(0);
        let lines = |extent: &Extent| extent.rows.saturating_mul(extent.steps);
        let offsets = largest(&|extent| lines(extent).saturating_mul(extent.columns + 1));
        let entries = largest(&|extent| lines(extent).saturating_mul(extent.stride()));
        let payloads =
            largest(&|extent| if extent.payloads { lines(extent).saturating_mul(extent.stride()) } else { 0 });
        offsets.saturating_add(entries).saturating_add(payloads).saturating_mul(4)
    }

    pub(crate) fn bytes(&self) -> usize {
        4 * (self.offsets.len() + self.entries.len() + self.payloads.len())
    }

    pub(crate) fn view(&self, extent: Extent) -> EventsView<'_> {
        EventsView { offsets: &self.offsets, entries: &self.entries, payloads: &self.payloads, extent }
    }

    /// Everything to fill.
    pub(crate) fn whole(&mut self, extent: Extent) -> EventsMut<'_> {
        let lines = extent.rows * extent.steps;
        EventsMut {
            offsets: &mut self.offsets[..lines * (extent.columns + 1)],
            entries: &mut self.entries[..lines * extent.stride()],
            payloads: if extent.payloads { &mut self.payloads[..lines * extent.stride()] } else { &mut [] },
            extent,
        }
    }
}

/// To at least a length, without room beyond it.
fn grow<V: Copy + Default>(values: &mut Vec<V>, length: usize) {
    values.reserve_exact(length.saturating_sub(values.len()));
    values.resize(length.max(values.len()), V::default());
}

/// Events to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventsView<'e> {
    offsets: &'e [u32],
    entries: &'e [u32],
    payloads: &'e [i32],
    pub(crate) extent: Extent,
}

/// One image row at one step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line<'e> {
    pub(crate) offsets: &'e [u32],
    pub(crate) entries: &'e [u32],
    /// Empty where all levels are one.
    pub(crate) payloads: &'e [i32],
}

impl<'e> EventsView<'e> {
    /// What does not vary over time has one step, which stands for all.
    #[inline(always)]
    pub(crate) fn line(&self, row: usize, step: usize) -> Line<'e> {
        let Extent { columns, steps, payloads, .. } = self.extent;
        let line = row * steps + if steps == 1 { 0 } else { step };
        let (width, begin) = (self.extent.width(), line * self.extent.stride());
        Line {
            offsets: &self.offsets[line * (columns + 1)..][..=columns],
            entries: &self.entries[begin..][..width],
            payloads: if payloads { &self.payloads[begin..][..width] } else { &[] },
        }
    }
}

impl<'e> Line<'e> {
    /// Entries and levels of consecutive positions; no levels where all are one.
    #[inline(always)]
    pub(crate) fn run(&self, begin: u32, end: u32) -> (&'e [u32], &'e [i32]) {
        let range = self.range(begin as usize..end as usize);
        (&self.entries[range.clone()], if self.payloads.is_empty() { &[] } else { &self.payloads[range] })
    }

    /// The entries of consecutive positions.
    #[inline(always)]
    pub(crate) fn range(&self, positions: Range<usize>) -> Range<usize> {
        self.offsets[positions.start] as usize..self.offsets[positions.end] as usize
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        self.offsets.last().map_or(0, |&end| end as usize)
    }

    /// All entries, with their levels.
    pub(crate) fn levels(&self, positions: Range<usize>) -> impl Iterator<Item = (usize, i32)> {
        self.range(positions).map(|i| (self.entries[i] as usize, self.payloads.get(i).copied().unwrap_or(1)))
    }
}

/// Events of consecutive image rows to fill.
#[derive(Debug)]
pub(crate) struct EventsMut<'e> {
    offsets: &'e mut [u32],
    entries: &'e mut [u32],
    payloads: &'e mut [i32],
    extent: Extent,
}

/// One image row at one step, filled position by position.
#[derive(Debug)]
pub(crate) struct LineMut<'e> {
    offsets: &'e mut [u32],
    entries: &'e mut [u32],
    payloads: &'e mut [i32],
    filled: usize,
    length: usize,
}

impl EventsMut<'_> {
    /// The first `rows` image rows, and the others.
    pub(crate) fn split(self, rows: usize) -> (Self, Self) {
        let Self { offsets, entries, payloads, extent } = self;
        let lines = rows.min(extent.rows) * extent.steps;
        let (offsets, later_offsets) = offsets.split_at_mut(lines * (extent.columns + 1));
        let (entries, later_entries) = entries.split_at_mut(lines * extent.stride());
        let (payloads, later_payloads) =
            payloads.split_at_mut(if extent.payloads { lines * extent.stride() } else { 0 });
        let first = Extent { rows: rows.min(extent.rows), ..extent };
        let later = Extent { rows: extent.rows - first.rows, ..extent };
        (
            Self { offsets, entries, payloads, extent: first },
            Self { offsets: later_offsets, entries: later_entries, payloads: later_payloads, extent: later },
        )
    }

    /// The line of a row, counted from the first of these, at a step.
    pub(crate) fn line(&mut self, row: usize, step: usize) -> LineMut<'_> {
        let (line, width) = (row * self.extent.steps + step, self.extent.width());
        let (columns, begin) = (self.extent.columns, line * self.extent.stride());
        let offsets = &mut self.offsets[line * (columns + 1)..][..=columns];
        offsets[0] = 0;
        LineMut {
            offsets,
            entries: &mut self.entries[begin..][..width],
            payloads: if self.extent.payloads { &mut self.payloads[begin..][..width] } else { &mut [] },
            filled: 0,
            length: 0,
        }
    }
}

impl LineMut<'_> {
    /// An event; the level is kept where the extent has payloads.
    #[inline(always)]
    pub(crate) fn push(&mut self, index: usize, level: i32) {
        self.entries[self.length] = entry(index);
        if let Some(payload) = self.payloads.get_mut(self.length) {
            *payload = level;
        }
        self.length += 1;
    }

    #[inline(always)]
    pub(crate) fn end_position(&mut self) {
        self.filled += 1;
        self.offsets[self.filled] = entry(self.length);
    }

    /// The same of 32 bits.
    #[inline(always)]
    pub(crate) fn push_word(&mut self, word: u32, base: usize) {
        let bytes = word.to_le_bytes();
        let Some(slots) = self.entries[self.length..].first_chunk_mut::<32>() else {
            let each = bytes.into_iter().zip((base..).step_by(8));
            return each.for_each(|(bits, base)| self.push_bits(bits, base));
        };
        let mut count = 0;
        for (i, bits) in bytes.into_iter().enumerate() {
            let base = entry(base.wrapping_add(i.wrapping_mul(8)));
            let offsets = &OFFSETS[usize::from(bits)];
            // As below: 8 slots are there behind as many as 24 that are filled.
            let slots = slots[count..][..8].iter_mut().zip(offsets);
            slots.for_each(|(slot, &offset)| *slot = base.wrapping_add(u32::from(offset)));
            count = count.wrapping_add(bits.count_ones() as usize);
        }
        self.length = self.length.wrapping_add(count);
    }

    /// Events of level one at the positions of the bits, counted from `base`.
    #[inline(always)]
    pub(crate) fn push_bits(&mut self, bits: u8, base: usize) {
        let offsets = &OFFSETS[usize::from(bits)];
        if let Some(slots) = self.entries[self.length..].first_chunk_mut::<8>() {
            // Eight at once cost less than a branch a spike; what is too much is overwritten.
            slots
                .iter_mut()
                .zip(offsets)
                .for_each(|(slot, &offset)| *slot = entry(base).wrapping_add(u32::from(offset)));
        } else {
            let slots = self.entries[self.length..].iter_mut().zip(offsets).take(bits.count_ones() as usize);
            slots.for_each(|(slot, &offset)| *slot = entry(base).wrapping_add(u32::from(offset)));
        }
        self.length = self.length.wrapping_add(bits.count_ones() as usize);
    }
}

/// Of every byte, the positions of its bits.
const OFFSETS: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0_u8;
    loop {
        let (mut bit, mut found) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte as usize][found] = bit;
                found += 1;
            }
            bit += 1;
        }
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a model has at most 2²⁶ values")]
fn entry(index: usize) -> u32 {
    index as u32
}
