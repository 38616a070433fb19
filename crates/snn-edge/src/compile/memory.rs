//! The places of stages in memory, for each mode.

use super::fuse::Draft;
use crate::format::{Finish, Operation, Stage};
use crate::mode::Mode;
use std::cmp::Reverse;
use std::ops::RangeInclusive;
use std::vec::Vec;

/// Gives every stage its places: the largest outputs first, each in the first gap between those
/// that are kept at the same time. What the neurons of a stream remember lies before all of it.
pub(super) fn plan(drafts: &mut [Draft], time_steps: usize) {
    let mut states = 0;
    for Draft { stage, .. } in &mut *drafts {
        stage.states = states;
        states += stage.states_of_position() * stage.positions();
    }
    let last_reads = last_reads(drafts);
    for mode in Mode::ALL {
        let floor = if mode == Mode::Stream { states } else { 0 };
        let mut outputs: Vec<Output> = drafts
            .iter()
            .zip(&last_reads)
            .enumerate()
            .map(|(number, (Draft { stage, .. }, &last_read))| {
                let size = stage.words_of_step() * stage.kept(mode, time_steps);
                let lasts = mode == Mode::Stream && is_remembered(stage);
                let kept = if lasts { 0..=usize::MAX } else { number..=last_read };
                Output { number, size, kept, start: floor }
            })
            .collect();
        outputs.sort_by_key(|output| Reverse(output.size));
        let mut placed: Vec<Output> = Vec::new();
        for mut output in outputs {
            let mut start = floor;
            for other in placed.iter().filter(|other| other.meets(&output)) {
                if start + output.size <= other.start {
                    break;
                }
                start = start.max(other.start + other.size);
            }
            output.start = start;
            drafts[output.number].stage.slots[mode.index()] = output.start;
            let at = placed.partition_point(|other| other.start <= output.start);
            placed.insert(at, output);
        }
    }
}

/// `true` if a stream reads at a macro-step what a stage stored at an earlier one.
fn is_remembered(stage: &Stage) -> bool {
    stage.history > 1 || matches!(stage.finish, Finish::Readout(_))
}

/// What a stage stores.
struct Output {
    /// Number of the stage.
    number: usize,
    size: usize,
    /// The stages during which it is kept.
    kept: RangeInclusive<usize>,
    start: usize,
}

impl Output {
    /// `true` if both are kept at the same time.
    fn meets(&self, other: &Self) -> bool {
        self.kept.start() <= other.kept.end() && other.kept.start() <= self.kept.end()
    }
}

/// The last stage that reads each stage; itself where none does.
fn last_reads(drafts: &[Draft]) -> Vec<usize> {
    let mut last: Vec<usize> = (0..drafts.len()).collect();
    for (index, draft) in drafts.iter().enumerate() {
        for (term, _) in &draft.terms {
            let mask = match term.operation {
                Operation::Mask { mask, .. } => Some(mask),
                _ => None,
            };
            for source in [Some(term.source), mask].into_iter().flatten() {
                if let Some(stage) = source.checked_sub(1) {
                    last[stage] = index.max(last[stage]);
                }
            }
        }
    }
    last
}
