//! Events of a few macro-steps sorted by the steps at which they occur, so that the weights of an input that is active at several steps are added once for all of them.

use crate::deploy::arena::product;
use crate::deploy::events::{EventsView, Line};
use crate::deploy::rows::Rows;
use crate::simd::compiled;
use std::ops::Range;

/// Macro-steps that are looked at together.
pub(crate) const STEPS: usize = 4;
/// Patterns, from 1: bit t says whether an input is active at step t.
pub(crate) const PATTERNS: usize = (1 << STEPS) - 1;
/// Mean events of an image position at a step from which it is worth a look whether sorting pays.
pub(crate) const LEAST_EVENTS: usize = 32;
/// Outputs from which sorting pays, by `layer-chart` on AVX2: of a layer with fewer an addition costs too little.
pub(crate) const LEAST_OUTPUTS: usize = 128;
/// Additions that an output must be spared at a group of steps, by the same: a list of each pattern begins and ends where no processor foresees it.
const LEAST_SPARED: usize = 240;

/// Events of image rows. Of each row and group of steps, position by position, the entries of each pattern.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    /// Where the entries of each position and pattern begin; one more at the end of a line.
    offsets: Vec<u32>,
    entries: Vec<u32>,
    /// Of every value of an image row, the steps at which it was active so far; zero between lines.
    seen: Vec<u8>,
    /// The entries of one position in the order in which they were found.
    found: Vec<u32>,
    first: usize,
    pub(crate) columns: usize,
    width: usize,
    groups: usize,
}

/// How much of everything the inputs of a stage take.
#[derive(Debug, Default)]
pub(crate) struct Room {
    offsets: usize,
    entries: usize,
    width: usize,
    channels: usize,
}

impl Room {
    /// Grows to what `outputs` rows of outputs read.
    pub(crate) fn fit<W>(&mut self, synapse: &Rows<W>, outputs: usize, (steps, columns): (usize, usize)) {
        let lines = product(&[synapse.vertical.most_read(outputs), steps.div_ceil(STEPS)]);
        let width = product(&[columns, synapse.inputs()]);
        self.offsets = self.offsets.max(product(&[lines, columns * PATTERNS + 1]));
        self.entries = self.entries.max(product(&[lines, width]));
        self.width = self.width.max(width);
        self.channels = self.channels.max(synapse.inputs() + 1);
    }

    pub(crate) fn bytes(&self) -> usize {
        let words = [self.offsets, self.entries, self.channels].into_iter().fold(0, usize::saturating_add);
        product(&[words, 4]).saturating_add(self.width)
    }
}

impl Patterns {
    pub(crate) fn with_room(room: &Room) -> Self {
        Self {
            offsets: vec![0; room.offsets],
            entries: vec![0; room.entries],
            seen: vec![0; room.width],
            found: vec![0; room.channels],
            ..Self::default()
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        4 * (self.offsets.len() + self.entries.len() + self.found.len()) + self.seen.len()
    }

    /// Sorts the events that rows of outputs read, unless that does not pay, which is seen at one input row; says whether it did.
    pub(crate) fn sort_if_it_pays<W>(
        &mut self,
        level: crate::simd::Available,
        synapse: &Rows<W>,
        events: EventsView<'_>,
        (outputs, steps): (Range<usize>, usize),
    ) -> bool {
        if !synapse.may_sort(steps) {
            return false;
        }
        let rows = synapse.vertical.read(outputs);
        let count = |row| (0..steps).map(|step| events.line(row, step).count()).sum::<usize>();
        let positions = rows.len() * steps * events.extent.columns;
        let active: usize = rows.clone().map(count).sum();
        if active == 0 || active < positions * synapse.least_events {
            return false;
        }
        if synapse.least_events > 0 {
            let (middle, groups) = (rows.start + rows.len() / 2, steps.div_ceil(STEPS));
            let spared = count(middle).saturating_sub(self.sort(level, events, (middle..middle + 1, steps)));
            if spared * synapse.window() < LEAST_SPARED * events.extent.columns * groups {
                return false;
            }
        }
        self.sort(level, events, (rows, steps));
        true
    }

    /// Sorts the events of input rows; says how many entries that makes.
    fn sort(
        &mut self,
        level: crate::simd::Available,
        events: EventsView<'_>,
        (rows, steps): (Range<usize>, usize),
    ) -> usize {
        let mut total = 0;
        (self.first, self.columns) = (rows.start, events.extent.columns);
        (self.width, self.groups) = (events.extent.width(), steps.div_ceil(STEPS));
        let offsets = self.offsets.chunks_exact_mut(self.columns * PATTERNS + 1);
        let mut lines = offsets.zip(self.entries.chunks_exact_mut(self.width.max(1)));
        for row in rows {
            for begin in (0..steps).step_by(STEPS) {
                let mut sources = [Line::default(); STEPS];
                let count = STEPS.min(steps - begin);
                sources.iter_mut().zip(begin..).take(count).for_each(|(line, step)| *line = events.line(row, step));
                let Some((offsets, entries)) = lines.next() else { return total };
                sort_line(level, &sources[..count], (&mut *offsets, entries), &mut self.seen, &mut self.found);
                total += offsets.last().map_or(0, |&end| end as usize);
            }
        }
        total
    }

    /// An input row at a group of steps: the positions' patterns one after another, [`PATTERNS`] each.
    #[inline(always)]
    pub(crate) fn line(&self, row: usize, group: usize) -> Line<'_> {
        let (line, size) = ((row - self.first) * self.groups + group, self.columns * PATTERNS);
        Line {
            offsets: &self.offsets[line * (size + 1)..][..=size],
            entries: &self.entries[line * self.width..][..self.width],
            payloads: &[],
        }
    }
}

compiled! {
    /// Sorts the events of a row, one line a step.
    fn sort_line(lines: &[Line<'_>], sorted: (&mut [u32], &mut [u32]), seen: &mut [u8], found: &mut [u32]) = sort_columns;
}

#[inline(always)]
fn sort_columns(lines: &[Line<'_>], (offsets, entries): (&mut [u32], &mut [u32]), seen: &mut [u8], found: &mut [u32]) {
    let Some((end, begins)) = offsets.split_last_mut() else { return };
    let mut filled = 0_u32;
    for (column, begins) in begins.as_chunks_mut::<PATTERNS>().0.iter_mut().enumerate() {
        let mut count = 0_usize;
        for (step, line) in lines.iter().enumerate() {
            for &entry in &line.entries[line.range(column..column.wrapping_add(1))] {
                let seen = &mut seen[entry as usize];
                // Kept the first time it is seen.
                found[count] = entry;
                count = count.wrapping_add(usize::from(*seen == 0));
                *seen |= 1 << step;
            }
        }
        let found = &found[..count];
        let mut ends = [0_u32; PATTERNS + 1];
        for &entry in found {
            let pattern = usize::from(seen[entry as usize]) & PATTERNS;
            ends[pattern] = ends[pattern].wrapping_add(1);
        }
        for (begin, end) in begins.iter_mut().zip(&mut ends[1..]) {
            *begin = filled;
            filled = filled.wrapping_add(*end);
            *end = *begin;
        }
        for &entry in found {
            let seen = &mut seen[entry as usize];
            let next = &mut ends[usize::from(*seen) & PATTERNS];
            *seen = 0;
            entries[*next as usize] = entry;
            *next = next.wrapping_add(1);
        }
    }
    *end = filled;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::events::{Events, Extent};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn every_event_is_found_under_its_steps() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        for steps in 1..=9 {
            let extent = Extent { rows: 3, columns: 5, channels: 7, steps, payloads: false };
            let mut events = Events::default();
            events.reserve(extent);
            let mut active = vec![[0_u8; 16]; 3 * 35];
            let mut whole = events.whole(extent);
            for (row, active) in active.chunks_exact_mut(35).enumerate() {
                for step in 0..steps {
                    let mut line = whole.line(row, step);
                    for (value, active) in active.iter_mut().enumerate() {
                        if random.random_ratio(1, 3) {
                            line.push(value, 1);
                            active[step] = 1;
                        }
                        if value % 7 == 6 {
                            line.end_position();
                        }
                    }
                }
            }
            // Two rows of at most three groups of steps.
            let room = Room { offsets: 6 * (5 * PATTERNS + 1), entries: 6 * 35, width: 35, channels: 7 + 1 };
            for level in crate::simd::Level::ALL.into_iter().filter_map(crate::simd::Available::new) {
                let mut patterns = Patterns::with_room(&room);
                patterns.sort(level, events.view(extent), (1..3, steps));
                let mut again = vec![[0_u8; 16]; 3 * 35];
                for row in 1..3 {
                    for group in 0..steps.div_ceil(STEPS) {
                        let line = patterns.line(row, group);
                        for list in 0..5 * PATTERNS {
                            for &entry in &line.entries[line.range(list..list + 1)] {
                                assert_eq!(entry as usize / 7, list / PATTERNS);
                                let pattern = list % PATTERNS + 1;
                                for step in (0..STEPS).filter(|step| pattern >> step & 1 == 1) {
                                    again[row * 35 + entry as usize][group * STEPS + step] += 1;
                                }
                            }
                        }
                    }
                }
                assert_eq!(again[35..], active[35..]);
            }
        }
    }
}
