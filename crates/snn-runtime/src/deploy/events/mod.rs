//! Events of a node, for all its macro-steps: of each image row and step the active channels in
//! order of position.

pub(crate) mod step_tree;
pub(crate) mod windows;

use crate::deploy::events::step_tree::{LISTS, Lists, Members, STEPS};
use crate::deploy::kernels::emit;
#[cfg(target_arch = "x86_64")]
use crate::deploy::kernels::vectors::{Compress, LEVELS};
use crate::deploy::kernels::vectors::{Flags, OFFSETS};
use crate::deploy::size::product;
use snn_simd::Available;
use std::ops::Range;

/// Size of an event buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
    pub(crate) steps: usize,
    /// `true` if levels differ from one.
    pub(crate) payloads: bool,
    /// Minimum number of accumulations that the step tree must save for one position in one group
    /// of time steps; `usize::MAX` where no reader uses the tree.
    pub(crate) min_saved: usize,
}

/// Entries between lines whose length is a multiple of 2 KiB: all would begin in the same sets of a
/// cache, which would then hold few of them.
const APART: usize = 29 * 16;

impl Extent {
    /// Values of an image row.
    pub(crate) fn width(&self) -> usize {
        self.columns * self.channels
    }

    /// That of several images, one behind the other.
    pub(crate) fn of_images(self, images: usize) -> Self {
        Self { rows: self.rows.saturating_mul(images), ..self }
    }

    /// Entries from one line to the next.
    fn stride(&self) -> usize {
        apart(self.width())
    }

    /// `true` if events are sorted by steps at all.
    fn is_sorted(&self) -> bool {
        self.min_saved < usize::MAX && self.steps > 1 && !self.payloads
    }

    /// Groups of steps whose events are sorted.
    fn groups(&self) -> usize {
        if self.is_sorted() { step_tree::groups(self.steps) } else { 0 }
    }

    /// Offsets of all lists of a row at a group of steps.
    fn sorted_offsets(&self) -> usize {
        LISTS * (self.columns + 1)
    }

    /// Entries from those of one row and group of steps to the next.
    fn sorted_stride(&self) -> usize {
        apart(step_tree::most_entries(self.width()))
    }
}

/// Entries between lines of so many.
fn apart(width: usize) -> usize {
    width + if width.is_multiple_of(512) { APART } else { 0 }
}

/// Room for events; `[row][step]` outermost, so that image rows can be filled by different threads.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Begin of each position's entries, for each line; one more at the end.
    offsets: Vec<u32>,
    /// `column · channels + channel`.
    entries: Vec<u32>,
    /// Levels; not used where all are one.
    payloads: Vec<i32>,
    sorted: Sorted,
}

/// The same events sorted by steps, of each row and group of steps.
#[derive(Debug, Default)]
struct Sorted {
    /// Begin of each position's entries, for each list; one more at the end.
    offsets: Vec<u32>,
    entries: Vec<u32>,
    /// How many entries the tree saves.
    saved: Vec<Option<u32>>,
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
        let groups = extent.rows * extent.groups();
        grow(&mut self.sorted.offsets, groups * extent.sorted_offsets());
        grow(&mut self.sorted.entries, groups * extent.sorted_stride());
        grow(&mut self.sorted.saved, groups);
    }

    /// Bytes of a buffer that was reserved for these extents; saturates.
    pub(crate) fn bytes_of(extents: &[Extent]) -> usize {
        let largest = |size: &dyn Fn(&Extent) -> usize| extents.iter().map(size).max().unwrap_or(0);
        let lines = |extent: &Extent| extent.rows.saturating_mul(extent.steps);
        let offsets = largest(&|extent| lines(extent).saturating_mul(extent.columns + 1));
        let entries = largest(&|extent| lines(extent).saturating_mul(extent.stride()));
        let payloads = largest(&|extent| {
            if extent.payloads { lines(extent).saturating_mul(extent.stride()) } else { 0 }
        });
        let sorted_offsets =
            largest(&|extent| product(&[extent.rows, extent.groups(), extent.sorted_offsets()]));
        let sorted_entries =
            largest(&|extent| product(&[extent.rows, extent.groups(), extent.sorted_stride()]));
        let saved =
            largest(&|extent| product(&[extent.rows, extent.groups(), size_of::<Option<u32>>()]));
        let words = [offsets, entries, payloads, sorted_offsets, sorted_entries].into_iter();
        words.fold(0, usize::saturating_add).saturating_mul(4).saturating_add(saved)
    }

    pub(crate) fn bytes(&self) -> usize {
        let Sorted { offsets, entries, saved } = &self.sorted;
        4 * (self.offsets.len()
            + self.entries.len()
            + self.payloads.len()
            + offsets.len()
            + entries.len())
            + size_of_val(saved.as_slice())
    }

    pub(crate) fn view(&self, extent: Extent) -> EventsView<'_> {
        let Self { offsets, entries, payloads, sorted } = self;
        EventsView { offsets, entries, payloads, sorted, extent }
    }

    /// Everything to fill.
    pub(crate) fn whole(&mut self, extent: Extent) -> EventsMut<'_> {
        let lines = extent.rows * extent.steps;
        EventsMut {
            offsets: &mut self.offsets[..lines * (extent.columns + 1)],
            entries: &mut self.entries[..lines * extent.stride()],
            payloads: if extent.payloads {
                &mut self.payloads[..lines * extent.stride()]
            } else {
                &mut []
            },
            sorted: SortedMut {
                offsets: &mut self.sorted.offsets
                    [..extent.rows * extent.groups() * extent.sorted_offsets()],
                entries: &mut self.sorted.entries
                    [..extent.rows * extent.groups() * extent.sorted_stride()],
                saved: &mut self.sorted.saved[..extent.rows * extent.groups()],
            },
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
    sorted: &'e Sorted,
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

/// An image row at a step: one line, or the lists of the step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'e> {
    lines: [Line<'e>; PATH],
    count: usize,
}

/// Lists of a step.
pub(crate) const PATH: usize = step_tree::PATHS[0].len();

impl<'e> Lines<'e> {
    #[inline(always)]
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Line<'e>> {
        self.lines[..self.count].iter()
    }

    /// How many events there are.
    pub(crate) fn count(&self) -> usize {
        self.iter().map(Line::count).sum()
    }

    /// The events of consecutive positions, with their levels; in no order of channels.
    pub(crate) fn levels(&self, positions: Range<usize>) -> impl Iterator<Item = (usize, i32)> {
        self.iter().flat_map(move |line| line.levels(positions.clone()))
    }
}

impl<'e> EventsView<'e> {
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, step: usize) -> Lines<'e> {
        let mut lines = [Line::default(); PATH];
        let groups = self.extent.groups();
        let group = step / STEPS;
        if groups == 0 || self.sorted.saved[row * groups + group].is_none() {
            lines[0] = self.line(row, step);
            return Lines { lines, count: 1 };
        }
        for (line, list) in lines.iter_mut().zip(step_tree::PATHS[step % STEPS]) {
            *line = self.list(row, group, list);
        }
        Lines { lines, count: PATH }
    }

    /// A time-invariant node has one step, which stands for all.
    #[inline(always)]
    fn line(&self, row: usize, step: usize) -> Line<'e> {
        let Extent { columns, steps, payloads, .. } = self.extent;
        let line = row * steps + if steps == 1 { 0 } else { step };
        let (width, begin) = (self.extent.width(), line * self.extent.stride());
        Line {
            offsets: &self.offsets[line * (columns + 1)..][..=columns],
            entries: &self.entries[begin..][..width],
            payloads: if payloads { &self.payloads[begin..][..width] } else { &[] },
        }
    }

    /// One list of an image row at a group of steps, where it is sorted.
    #[inline(always)]
    pub(crate) fn list(&self, row: usize, group: usize, list: usize) -> Line<'e> {
        let (extent, columns) = (&self.extent, self.extent.columns);
        let index = row * extent.groups() + group;
        Line {
            offsets: &self.sorted.offsets[index * extent.sorted_offsets() + list * (columns + 1)..]
                [..=columns],
            entries: &self.sorted.entries[index * extent.sorted_stride()..]
                [..step_tree::most_entries(extent.width())],
            payloads: &[],
        }
    }

    /// How many events image rows have at so many macro-steps.
    pub(crate) fn count(&self, rows: Range<usize>, steps: usize) -> usize {
        rows.flat_map(|row| (0..steps).map(move |step| self.at(row, step).count())).sum()
    }

    /// How many entries the step tree saves in an image row; `None` where it is not used.
    pub(crate) fn saved(&self, row: usize) -> Option<usize> {
        let groups = self.extent.groups();
        if groups == 0 {
            return None;
        }
        self.sorted.saved[row * groups..][..groups]
            .iter()
            .map(|saved| saved.map(|saved| saved as usize))
            .sum()
    }
}

impl<'e> Line<'e> {
    /// Entries and levels of consecutive positions; levels are absent where all are one.
    #[inline(always)]
    pub(crate) fn run(&self, begin: u32, end: u32) -> (&'e [u32], &'e [i32]) {
        let range = self.range(begin as usize..end as usize);
        (
            &self.entries[range.clone()],
            if self.payloads.is_empty() { &[] } else { &self.payloads[range] },
        )
    }

    /// The entries of consecutive positions.
    #[inline(always)]
    pub(crate) fn range(&self, positions: Range<usize>) -> Range<usize> {
        self.offsets[positions.start] as usize..self.offsets[positions.end] as usize
    }

    /// All entries.
    pub(crate) fn all(&self) -> Range<usize> {
        let (first, last) = (self.offsets.first(), self.offsets.last());
        first.map_or(0, |&begin| begin as usize)..last.map_or(0, |&end| end as usize)
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// The entries of consecutive positions, with their levels.
    pub(crate) fn levels(&self, positions: Range<usize>) -> impl Iterator<Item = (usize, i32)> {
        self.range(positions)
            .map(|i| (self.entries[i] as usize, self.payloads.get(i).copied().unwrap_or(1)))
    }
}

/// Events of consecutive image rows to fill.
#[derive(Debug)]
pub(crate) struct EventsMut<'e> {
    offsets: &'e mut [u32],
    entries: &'e mut [u32],
    payloads: &'e mut [i32],
    sorted: SortedMut<'e>,
    extent: Extent,
}

#[derive(Debug)]
struct SortedMut<'e> {
    offsets: &'e mut [u32],
    entries: &'e mut [u32],
    saved: &'e mut [Option<u32>],
}

/// One image row at one step, or one of its lists, filled position by position.
#[derive(Debug)]
pub(crate) struct LineMut<'e> {
    offsets: &'e mut [u32],
    entries: &'e mut [u32],
    payloads: &'e mut [i32],
    filled: usize,
    length: usize,
}

impl EventsMut<'_> {
    /// Image rows.
    pub(crate) fn rows(&self) -> usize {
        self.extent.rows
    }

    /// The first `rows` image rows, and the others.
    pub(crate) fn split(self, rows: usize) -> (Self, Self) {
        let Self { offsets, entries, payloads, sorted, extent } = self;
        let lines = rows.min(extent.rows) * extent.steps;
        let (offsets, later_offsets) = offsets.split_at_mut(lines * (extent.columns + 1));
        let (entries, later_entries) = entries.split_at_mut(lines * extent.stride());
        let (payloads, later_payloads) =
            payloads.split_at_mut(if extent.payloads { lines * extent.stride() } else { 0 });
        let first = Extent { rows: rows.min(extent.rows), ..extent };
        let later = Extent { rows: extent.rows - first.rows, ..extent };
        let (sorted, later_sorted) = sorted.split(first.rows * extent.groups(), &extent);
        (
            Self { offsets, entries, payloads, sorted, extent: first },
            Self {
                offsets: later_offsets,
                entries: later_entries,
                payloads: later_payloads,
                sorted: later_sorted,
                extent: later,
            },
        )
    }

    /// Takes what the neurons of a row emitted at a step, flags of what is not zero and its levels.
    /// `seen` is kept from step to step.
    pub(crate) fn take(
        &mut self,
        instructions: Available,
        (row, step): (usize, usize),
        (flags, levels): (&[u8], &[i32]),
        seen: &mut [u8],
    ) {
        let Extent { channels, payloads, .. } = self.extent;
        if self.extent.is_sorted() {
            self.note(instructions, (row, step), flags, seen);
        } else if payloads {
            emit::levels(instructions, levels, flags, channels, &mut self.line(row, step));
        } else {
            emit::spikes(instructions, flags, channels, &mut self.line(row, step));
        }
    }

    /// Sorts the events of all rows, which are in a line a step.
    pub(crate) fn sort(&mut self, instructions: Available, flags: &mut [u8], seen: &mut [u8]) {
        let extent = self.extent;
        if !extent.is_sorted() {
            return;
        }
        let flags = &mut flags[..extent.width()];
        for (row, step) in
            (0..extent.rows).flat_map(|row| (0..extent.steps).map(move |step| (row, step)))
        {
            let line = row * extent.steps + step;
            let count = self.offsets[line * (extent.columns + 1) + extent.columns] as usize;
            flags.fill(0);
            for &entry in &self.entries[line * extent.stride()..][..count] {
                flags[entry as usize] = 1;
            }
            self.note(instructions, (row, step), flags, seen);
        }
    }

    /// Notes the flags of a row at a step; behind the last step of a group its events are sorted
    /// where that saves enough, and else put in a line a step.
    fn note(
        &mut self,
        instructions: Available,
        (row, step): (usize, usize),
        flags: &[u8],
        seen: &mut [u8],
    ) {
        let extent = self.extent;
        let (group, index) = (step / STEPS, step % STEPS);
        let seen = &mut seen[..extent.width()];
        step_tree::mark(instructions, flags, index, seen);
        if index + 1 < STEPS && step + 1 < extent.steps {
            return;
        }
        let (offsets, stride) = (extent.sorted_offsets(), extent.sorted_stride());
        let place = row * extent.groups() + group;
        let lists = Lists {
            offsets: &mut self.sorted.offsets[place * offsets..][..offsets],
            entries: &mut self.sorted.entries[place * stride..][..stride],
            channels: extent.channels,
        };
        let least = match (index, group) {
            // A lone step, which saves nothing, goes with the group before it.
            (0, 1..) if self.sorted.saved[place - 1].is_some() => 0,
            (0, 1..) => usize::MAX,
            _ => extent.min_saved.saturating_mul(extent.columns),
        };
        let saved = lists.sort(instructions, seen, index + 1, least);
        self.sorted.saved[place] = saved;
        if saved.is_none() {
            for index in 0..=index {
                let mut line = self.line(row, group * STEPS + index);
                emit::members(
                    instructions,
                    seen,
                    Members::of_step(index),
                    extent.channels,
                    &mut line,
                );
            }
        }
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
            payloads: if self.extent.payloads {
                &mut self.payloads[begin..][..width]
            } else {
                &mut []
            },
            filled: 0,
            length: 0,
        }
    }
}

impl SortedMut<'_> {
    fn split(self, groups: usize, extent: &Extent) -> (Self, Self) {
        let (offsets, later_offsets) = self.offsets.split_at_mut(groups * extent.sorted_offsets());
        let (entries, later_entries) = self.entries.split_at_mut(groups * extent.sorted_stride());
        let (saved, later_spared) = self.saved.split_at_mut(groups);
        (
            Self { offsets, entries, saved },
            Self { offsets: later_offsets, entries: later_entries, saved: later_spared },
        )
    }
}

impl<'e> LineMut<'e> {
    /// A line of spikes of one behind so many entries that are filled.
    pub(crate) fn behind(length: usize, offsets: &'e mut [u32], entries: &'e mut [u32]) -> Self {
        offsets[0] = entry(length);
        Self { offsets, entries, payloads: &mut [], filled: 0, length }
    }

    /// Entries that are filled.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The same line as a value of its own, whose counts a loop keeps in registers;
    /// [`LineMut::resume`] takes them back.
    #[inline(always)]
    pub(crate) fn lend(&mut self) -> LineMut<'_> {
        LineMut {
            offsets: &mut *self.offsets,
            entries: &mut *self.entries,
            payloads: &mut *self.payloads,
            filled: self.filled,
            length: self.length,
        }
    }

    /// How many positions and entries are filled.
    #[inline(always)]
    pub(crate) fn counts(&self) -> [usize; 2] {
        [self.filled, self.length]
    }

    #[inline(always)]
    pub(crate) fn resume(&mut self, counts: [usize; 2]) {
        [self.filled, self.length] = counts;
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

    /// Events of the levels that are not zero, counted from `base`, in a line that has payloads.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn push_levels<C: Compress>(&mut self, levels: &[i32; LEVELS], base: usize) {
        let entries = self.entries[self.length..].first_chunk_mut();
        if let (Some(entries), Some(payloads)) =
            (entries, self.payloads.get_mut(self.length..).and_then(<[i32]>::first_chunk_mut))
        {
            // What is too much is overwritten.
            let count = C::compress(levels, entry(base), entries, payloads);
            self.length = self.length.wrapping_add(count);
            return;
        }
        for (index, &level) in (base..).zip(levels).filter(|(_, level)| **level != 0) {
            self.push(index, level);
        }
    }

    /// As [`LineMut::push_bits`], of 32 bits.
    #[inline(always)]
    pub(crate) fn push_word<V: Flags>(&mut self, word: u32, base: usize) {
        let Some(slots) = self.entries[self.length..].first_chunk_mut() else {
            let each = word.to_le_bytes().into_iter().zip((base..).step_by(8));
            return each.for_each(|(bits, base)| self.push_bits(bits, base));
        };
        self.length = self.length.wrapping_add(V::places(word, entry(base), slots));
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
            let slots = self.entries[self.length..]
                .iter_mut()
                .zip(offsets)
                .take(bits.count_ones() as usize);
            slots.for_each(|(slot, &offset)| *slot = entry(base).wrapping_add(u32::from(offset)));
        }
        self.length = self.length.wrapping_add(bits.count_ones() as usize);
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a model has at most 2²⁶ values")]
fn entry(index: usize) -> u32 {
    index as u32
}
