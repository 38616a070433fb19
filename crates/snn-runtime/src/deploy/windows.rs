//! Events as a synapse reads them: for each row of outputs one list, in which the window of every output is one run.

use crate::axis::Taps;
use crate::deploy::arena::product;
use crate::deploy::events::{EventsView, Line};
use crate::deploy::rows::{MAX_TAPS, Rows};
use crate::simd::compiled;
use std::ops::Range;

/// Entries that are copied at once. Runs are mostly shorter, so that copying whole blocks saves the branches; what is too much is overwritten by the next run.
const BLOCK: usize = 8;

/// The events of the image rows under each row of outputs, merged by column: entries are weight rows less the place of the window.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Of each row of outputs and step, where the entries of each column begin; one more at the end.
    offsets: Vec<u32>,
    entries: Vec<u32>,
    /// Levels; empty where all are one.
    payloads: Vec<i32>,
    columns: usize,
    steps: usize,
}

/// Room that the windows of `rows` rows of outputs need: offsets, entries.
pub(crate) fn room(synapse: &Rows, rows: usize, steps: usize, columns: usize) -> (usize, usize) {
    let taps = synapse.vertical.kernel.min(synapse.vertical.inputs);
    (
        product(&[rows, steps, columns + 1]),
        product(&[rows, steps, taps, columns, synapse.inputs()]).saturating_add(BLOCK),
    )
}

/// Input rows of one row of outputs at one step.
type Lines<'l, 'e> = &'l [(u32, Line<'e>)];

impl Windows {
    pub(crate) fn with_room(offsets: usize, entries: usize, payloads: bool) -> Self {
        let payloads = if payloads { vec![0; entries] } else { Vec::new() };
        Self { offsets: vec![0; offsets], entries: vec![0; entries], payloads, columns: 0, steps: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        4 * (self.offsets.len() + self.entries.len() + self.payloads.len())
    }

    /// Merges what rows of outputs read.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weight rows were packed, and so fit in memory with room to spare"
    )]
    pub(crate) fn gather(
        &mut self,
        level: crate::simd::Available,
        synapse: &Rows,
        events: EventsView<'_>,
        (rows, steps): (Range<usize>, usize),
    ) {
        (self.columns, self.steps) = (events.extent.columns, steps);
        let mut filled = 0;
        for (y, row) in rows.enumerate() {
            let Taps { first, count, input } = synapse.vertical.taps[row];
            let mut lines = [(0, Line::default()); MAX_TAPS];
            let lines = &mut lines[..count];
            for step in 0..steps {
                for (tap, line) in lines.iter_mut().enumerate() {
                    let base = ((first + tap) * synapse.row_length) as u32;
                    *line = (base, events.line(input + tap * synapse.dilation, step));
                }
                let offsets = &mut self.offsets[(y * steps + step) * (self.columns + 1)..][..=self.columns];
                let payloads = if events.extent.payloads { self.payloads.as_mut_slice() } else { &mut [] };
                merge(level, lines, &mut filled, offsets, &mut self.entries, payloads);
            }
        }
    }

    /// One row of outputs, counted from the first that was gathered, at one step.
    #[inline(always)]
    pub(crate) fn line(&self, row: usize, step: usize) -> Line<'_> {
        let offsets = &self.offsets[(row * self.steps + step) * (self.columns + 1)..][..=self.columns];
        Line { offsets, entries: &self.entries, payloads: &self.payloads }
    }
}

compiled! {
    /// Merges lines column by column behind the `filled` entries that are there.
    fn merge(lines: Lines<'_, '_>, filled: &mut usize, offsets: &mut [u32], entries: &mut [u32], payloads: &mut [i32]) = merge_lines;
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a model has at most 2²⁶ values")]
fn merge_lines(
    lines: Lines<'_, '_>,
    filled: &mut usize,
    offsets: &mut [u32],
    entries: &mut [u32],
    payloads: &mut [i32],
) {
    let Some((end, begins)) = offsets.split_last_mut() else { return };
    for (column, begin) in begins.iter_mut().enumerate() {
        *begin = *filled as u32;
        for &(base, line) in lines {
            let run = line.range(column..column + 1);
            copy(&line.entries[run.start..], run.len(), &mut entries[*filled..], |entry| entry.wrapping_add(base));
            if !payloads.is_empty() {
                copy(&line.payloads[run.start..], run.len(), &mut payloads[*filled..], |payload| payload);
            }
            *filled = filled.wrapping_add(run.len());
        }
    }
    *end = *filled as u32;
}

/// Copies the first `count` values, in whole blocks while both sides have them.
#[inline(always)]
fn copy<V: Copy>(from: &[V], count: usize, to: &mut [V], change: impl Fn(V) -> V) {
    let mut done = 0;
    loop {
        let (Some(source), Some(target)) = (from[done..].first_chunk::<BLOCK>(), to[done..].first_chunk_mut::<BLOCK>())
        else {
            let rest = from[done..count].iter().zip(&mut to[done..]);
            return rest.for_each(|(&value, to)| *to = change(value));
        };
        target.iter_mut().zip(source).for_each(|(to, &value)| *to = change(value));
        done = done.wrapping_add(BLOCK);
        if done >= count {
            return;
        }
    }
}
