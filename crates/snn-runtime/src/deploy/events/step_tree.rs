//! The step tree: events of a few macro-steps sorted by the steps at which they occur, so that the
//! weights of an input that is active at all of them, or at every second one, are added once.
//!
//! Steps 0 to 3 are the leaves of a tree: the root stands for all of them, its children for steps 0
//! and 2 and for steps 1 and 3 (many neurons fire at every second step). An input is in the lists
//! of the fewest nodes that make up the steps at which it is active. The sum of a step is then that
//! of the lists from the root to its leaf, and sums of a node are begun from those of its parent:
//! no list needs a sum of its own.

use crate::deploy::events::LineMut;
use crate::deploy::kernels::emit;
use crate::deploy::size::product;
use snn_simd::{Available, compiled};

/// Macro-steps that are looked at together: a group.
pub(crate) const STEPS: usize = 4;
/// Nodes of the tree, each with a list of inputs.
pub(crate) const LISTS: usize = 7;
/// Outputs from which sorting pays: of a layer with fewer a row costs too little.
pub(crate) const LEAST_OUTPUTS: usize = 64;
/// Minimum saving, in weight rows an output and group of steps, for sharing to pay: each extra list
/// costs a mispredicted branch. Measured with `layer-chart` on AVX2.
pub(crate) const MIN_ROWS_SAVED: usize = 96;

/// A half of the tree: its list, and two steps with theirs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Half {
    pub(crate) list: usize,
    pub(crate) leaves: [Leaf; 2],
}

/// A step with its list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) step: usize,
    pub(crate) list: usize,
}

/// The list of the root.
pub(crate) const ROOT: usize = 0;
/// Lists are in an order in which a node comes behind its parent.
pub(crate) const HALVES: [Half; 2] = [
    Half { list: 1, leaves: [Leaf { step: 0, list: 2 }, Leaf { step: 2, list: 3 }] },
    Half { list: 4, leaves: [Leaf { step: 1, list: 5 }, Leaf { step: 3, list: 6 }] },
];

/// For every step, the lists from the root to its leaf: together the events of that step.
pub(crate) const PATHS: [[usize; 3]; STEPS] = {
    let mut paths = [[ROOT; 3]; STEPS];
    let mut i = 0;
    while i < HALVES.len() {
        let mut j = 0;
        while j < HALVES[i].leaves.len() {
            let Leaf { step, list } = HALVES[i].leaves[j];
            paths[step] = [ROOT, HALVES[i].list, list];
            j += 1;
        }
        i += 1;
    }
    paths
};

const ALL: u8 = 0b1111;
/// No set of steps.
const NONE: u8 = u8::MAX;

/// Which inputs are in a list, by the steps at which they are active.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Members {
    /// Steps of the group; members are active at exactly those in `active`.
    pub(crate) steps: u8,
    pub(crate) active: u8,
    /// And not at these: they are the parent's.
    pub(crate) except: u8,
}

impl Members {
    /// Sets that are active at a step, whatever they are at others.
    pub(crate) fn of_step(step: usize) -> Self {
        Self { steps: 1 << step, active: 1 << step, except: NONE }
    }

    /// `true` if an input of these steps is.
    #[inline(always)]
    pub(crate) fn has(self, steps: u8) -> bool {
        steps & self.steps == self.active && steps != self.except
    }
}

/// Members of every list.
const MEMBERS: [Members; LISTS] = {
    let mut members = [Members { steps: ALL, active: ALL, except: NONE }; LISTS];
    let mut i = 0;
    while i < HALVES.len() {
        let [first, second] = HALVES[i].leaves;
        let (first_bit, second_bit) = (1_u8 << first.step, 1_u8 << second.step);
        let steps = first_bit | second_bit;
        members[HALVES[i].list] = Members { steps, active: steps, except: ALL };
        members[first.list] = Members { steps, active: first_bit, except: NONE };
        members[second.list] = Members { steps, active: second_bit, except: NONE };
        i += 1;
    }
    members
};

/// Groups of so many macro-steps.
pub(crate) fn groups(steps: usize) -> usize {
    steps.div_ceil(STEPS)
}

/// Groups in which something can be saved: not a lone step.
pub(crate) fn saving_groups(steps: usize) -> usize {
    steps / STEPS + usize::from(steps % STEPS > 1)
}

/// The most entries that the lists of a row of so many inputs have at a group of steps: each is in
/// two at most.
pub(crate) fn most_entries(inputs: usize) -> usize {
    product(&[2, inputs])
}

/// Lists of a row at a group of steps to fill.
#[derive(Debug)]
pub(crate) struct Lists<'s> {
    /// For each list `columns + 1`.
    pub(crate) offsets: &'s mut [u32],
    pub(crate) entries: &'s mut [u32],
    pub(crate) channels: usize,
}

impl Lists<'_> {
    /// Fills the lists from the steps, of so many, at which each value of the row is active, if
    /// that saves `least` entries; returns how many. Where it does not, the lists are left as they
    /// were, and `seen` may have more steps than there are.
    pub(crate) fn sort(
        self,
        instructions: Available,
        seen: &mut [u8],
        steps: usize,
        least: usize,
    ) -> Option<u32> {
        let Self { offsets, entries, channels } = self;
        // Steps that do not exist count as active; lists that are of them alone are left empty.
        let absent = ALL & !((1_u8 << steps.min(STEPS)) - 1);
        let mut saved = 0;
        complete(instructions, seen, absent, &mut saved);
        if (saved as usize) < least {
            return None;
        }
        let mut filled = 0;
        let columns = seen.len() / channels.max(1);
        for (members, offsets) in MEMBERS.iter().zip(offsets.chunks_exact_mut(columns + 1)) {
            let mut line = LineMut::behind(filled, offsets, entries);
            if members.active & !absent == 0 {
                (0..columns).for_each(|_| line.end_position());
                continue;
            }
            emit::members(instructions, seen, *members, channels, &mut line);
            filled = line.length();
        }
        Some(saved)
    }
}

compiled! {
    /// Notes that inputs are active at a step of a group.
    pub(crate) fn mark(flags: &[u8], step: usize, seen: &mut [u8]) = mark_flags;
}

#[inline(always)]
fn mark_flags(flags: &[u8], step: usize, seen: &mut [u8]) {
    if step == 0 {
        return seen.copy_from_slice(flags);
    }
    seen.iter_mut().zip(flags).for_each(|(seen, &flag)| *seen |= flag << step);
}

compiled! {
    /// Adds the absent steps to those at which an input is active, and counts by how much entries
    /// will be fewer than events.
    pub(crate) fn complete(seen: &mut [u8], absent: u8, saved: &mut u32) = complete_row;
}

#[inline(always)]
fn complete_row(seen: &mut [u8], absent: u8, saved: &mut u32) {
    // Halves of which steps exist: all but one if only step 0 does.
    let both = u8::from(absent & ALL != ALL & !1);
    let mut total = 0;
    // Sums of bytes are added by vectors; no byte of so few can overflow.
    for seen in seen.chunks_mut(64) {
        let mut sum = 0_u8;
        for seen in seen {
            // One in each half of two events, and one more for both halves.
            let halves = *seen & *seen >> 2 & 0b11;
            *seen |= if *seen == 0 { 0 } else { absent };
            sum += (halves & 1) + (halves >> 1) + (u8::from(*seen == ALL) & both);
        }
        total += u32::from(sum);
    }
    *saved = total;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::events::{Events, Extent};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use snn_simd::Available;

    const ROWS: usize = 3;
    const COLUMNS: usize = 4;

    /// The events of a row at a step, by value.
    fn read(events: &Events, extent: Extent, row: usize, step: usize) -> Vec<u8> {
        let mut flags = vec![0; extent.width()];
        let lines = events.view(extent).at(row, step);
        for column in 0..extent.columns {
            for (entry, level) in lines.levels(column..column + 1) {
                assert_eq!((entry / extent.channels, level), (column, 1));
                flags[entry] += 1;
            }
        }
        flags
    }

    #[test]
    fn every_event_is_found_under_its_steps() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        for (steps, channels) in
            (2..=9).flat_map(|steps| [7, 32, 45].map(|channels| (steps, channels)))
        {
            let extent = Extent {
                rows: ROWS,
                columns: COLUMNS,
                channels,
                steps,
                payloads: false,
                min_saved: channels / 4,
            };
            // Rows that are never, now and then and almost always active.
            let flags: Vec<Vec<Vec<u8>>> = [0.0, 0.2, 0.9]
                .map(|share| {
                    (0..steps)
                        .map(|_| {
                            (0..extent.width())
                                .map(|_| u8::from(random.random_bool(share)))
                                .collect()
                        })
                        .collect()
                })
                .into();
            for instructions in Available::each() {
                let mut events = Events::default();
                events.reserve(extent);
                let mut whole = events.whole(extent);
                let mut seen = vec![0; extent.width()];
                for (row, flags) in flags.iter().enumerate() {
                    for (step, flags) in flags.iter().enumerate() {
                        whole.take(instructions, (row, step), (flags, &[]), &mut seen);
                    }
                }
                for (row, flags) in flags.iter().enumerate() {
                    for (step, flags) in flags.iter().enumerate() {
                        assert_eq!(&read(&events, extent, row, step), flags);
                    }
                }
                let view = events.view(extent);
                assert_eq!(view.saved(0), None);
                let saved = view.saved(2).expect("much is active at several steps");
                let count =
                    |group| (0..LISTS).map(|list| view.list(2, group, list).count()).sum::<usize>();
                let entries: usize = (0..groups(steps)).map(count).sum();
                let active: usize = flags[2].iter().flatten().map(|&flag| usize::from(flag)).sum();
                assert_eq!(saved, active - entries, "{steps} steps");
            }
        }
    }
}
