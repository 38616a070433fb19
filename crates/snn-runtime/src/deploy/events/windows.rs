//! Events as a synapse reads them: for each row of outputs one list, in which the window of every
//! output is one run.

use crate::deploy::events::step_tree::{self, LISTS};
use crate::deploy::events::{EventsView, Line, PATH};
use crate::deploy::plan::weights::{MAX_TAPS, PackedWeights};
use crate::deploy::size::product;
use crate::geometry::Taps;
use snn_simd::{Available, compiled};
use std::ops::Range;

/// Entries that are copied at once. Runs are mostly shorter, so that copying whole blocks saves the
/// branches; what is too much is overwritten by the next run.
const BLOCK: usize = 16;

/// The events of the image rows under each row of outputs, merged by column: entries are weight
/// rows less the place of the window. They are in lists, one a macro-step, or [`LISTS`] a group of
/// steps ([`step_tree`]).
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Begin of each column's entries, for each output row and list; one more at the end.
    offsets: Vec<u32>,
    entries: Vec<u32>,
    /// Levels; empty where all are one.
    payloads: Vec<i32>,
    columns: usize,
    lists: usize,
    /// For each output row, `true` if it has [`LISTS`] lists a group of steps instead of one a
    /// step.
    sorted: Vec<bool>,
}

/// The most lists of a row of outputs.
fn lists<W>(synapse: &PackedWeights<W>, steps: usize) -> usize {
    if synapse.may_sort(steps) { steps.max(step_tree::groups(steps) * LISTS) } else { steps }
}

/// Room that the windows of `rows` rows of outputs need: offsets, entries.
pub(crate) fn room<W>(
    synapse: &PackedWeights<W>,
    rows: usize,
    steps: usize,
    columns: usize,
) -> (usize, usize) {
    let taps = synapse.vertical.kernel.min(synapse.vertical.inputs);
    (
        product(&[rows, lists(synapse, steps), columns + 1]),
        product(&[rows, steps, taps, columns, synapse.inputs()]).saturating_add(BLOCK),
    )
}

/// Input rows of one row of outputs in one list, each with what is added to its entries.
type InputLines<'l, 'e> = &'l [(u32, Line<'e>)];

impl Windows {
    pub(crate) fn with_room(rows: usize, offsets: usize, entries: usize, payloads: bool) -> Self {
        let payloads = if payloads { vec![0; entries] } else { Vec::new() };
        Self {
            offsets: vec![0; offsets],
            entries: vec![0; entries],
            payloads,
            sorted: vec![false; rows],
            ..Self::default()
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        4 * (self.offsets.len() + self.entries.len() + self.payloads.len()) + self.sorted.len()
    }

    /// Merges what rows of outputs read with some vertical taps, sorted by steps where that pays.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weight rows were packed, and so fit in memory with room to spare"
    )]
    pub(crate) fn gather<W>(
        &mut self,
        instructions: Available,
        synapse: &PackedWeights<W>,
        events: EventsView<'_>,
        (rows, taps, steps): (Range<usize>, &Range<usize>, usize),
    ) {
        (self.columns, self.lists) = (events.extent.columns, lists(synapse, steps));
        let mut filled = 0;
        for (y, row) in rows.enumerate() {
            let sorted = synapse.uses_step_tree(row, events, steps);
            self.sorted[y] = sorted;
            let Taps { first, count, input } =
                synapse.vertical.at(row).within(taps, synapse.dilation);
            let mut lines = [(0, Line::default()); MAX_TAPS * PATH];
            for list in 0..if sorted { step_tree::groups(steps) * LISTS } else { steps } {
                let mut free = lines.iter_mut();
                for tap in 0..count {
                    let (base, input) =
                        ((first + tap) * synapse.row_length, input + tap * synapse.dilation);
                    let mut put =
                        |line| free.next().into_iter().for_each(|free| *free = (base as u32, line));
                    if sorted {
                        put(events.list(input, list / LISTS, list % LISTS));
                    } else {
                        events.at(input, list).iter().for_each(|line| put(*line));
                    }
                }
                let left = free.len();
                let lines = &lines[..lines.len() - left];
                let offsets = &mut self.offsets[(y * self.lists + list) * (self.columns + 1)..]
                    [..=self.columns];
                let payloads =
                    if events.extent.payloads { self.payloads.as_mut_slice() } else { &mut [] };
                merge(instructions, lines, &mut filled, offsets, &mut self.entries, payloads);
            }
        }
    }

    /// `true` if the lists of a row of outputs, counted from the first that was gathered, are
    /// [`LISTS`] a group of steps.
    #[inline(always)]
    pub(crate) fn is_sorted(&self, row: usize) -> bool {
        self.sorted[row]
    }

    /// One row of outputs, counted from the first that was gathered: one of its lists.
    #[inline(always)]
    pub(crate) fn line(&self, row: usize, list: usize) -> Line<'_> {
        let offsets =
            &self.offsets[(row * self.lists + list) * (self.columns + 1)..][..=self.columns];
        Line { offsets, entries: &self.entries, payloads: &self.payloads }
    }
}

compiled! {
    /// Merges lines column by column behind the `filled` entries that are there.
    pub(crate) fn merge(
        lines: InputLines<'_, '_>,
        filled: &mut usize,
        offsets: &mut [u32],
        entries: &mut [u32],
        payloads: &mut [i32],
    ) = merge_lines;
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a model has at most 2²⁶ values")]
fn merge_lines(
    lines: InputLines<'_, '_>,
    filled: &mut usize,
    offsets: &mut [u32],
    entries: &mut [u32],
    payloads: &mut [i32],
) {
    let Some((end, begins)) = offsets.split_last_mut() else { return };
    let mut total = *filled;
    for (column, begin) in begins.iter_mut().enumerate() {
        *begin = total as u32;
        for &(base, line) in lines {
            let run = line.range(column..column.wrapping_add(1));
            let length = run.len();
            if !payloads.is_empty() {
                copy(&line.payloads[run.start..], length, &mut payloads[total..], |payload| {
                    payload
                });
            }
            copy(&line.entries[run.start..], length, &mut entries[total..], |entry| {
                entry.wrapping_add(base)
            });
            total = total.wrapping_add(length);
        }
    }
    *end = total as u32;
    *filled = total;
}

/// Copies the first `count` values, in whole blocks while both sides have them.
#[inline(always)]
fn copy<V: Copy>(from: &[V], count: usize, to: &mut [V], change: impl Fn(V) -> V) {
    let blocks = count.div_ceil(BLOCK);
    let length = blocks.wrapping_mul(BLOCK);
    let (Some(source), Some(target)) = (from.get(..length), to.get_mut(..length)) else {
        let rest = from[..count].iter().zip(to);
        return rest.for_each(|(&value, to)| *to = change(value));
    };
    let blocks = target.as_chunks_mut::<BLOCK>().0.iter_mut().zip(source.as_chunks::<BLOCK>().0);
    for (target, source) in blocks {
        target.iter_mut().zip(source).for_each(|(to, &value)| *to = change(value));
    }
}
