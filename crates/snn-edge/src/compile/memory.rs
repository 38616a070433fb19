//! The places of stages in memory, for each mode.

use super::fuse::Draft;
use crate::format::{Finish, Operation, Stage};
use crate::mode::Mode;
use std::vec::Vec;

/// Gives every stage its places. What a stage stores lies in the first gap between what is still
/// read; what a stream remembers (states of neurons, histories, scores) lies before all of it.
pub(super) fn plan(drafts: &mut [Draft], time_steps: usize) {
    let mut states = 0;
    for Draft { stage, .. } in &mut *drafts {
        stage.states = states;
        states += stage.states_of_position() * stage.positions();
    }
    let last_reads = last_reads(drafts);
    for mode in Mode::ALL {
        let size = |stage: &Stage| stage.words_of_step() * stage.kept(mode, time_steps);
        let lasts = |stage: &Stage| mode == Mode::Stream && is_remembered(stage);
        let mut floor = if mode == Mode::Stream { states } else { 0 };
        for stage in drafts.iter_mut().map(|draft| &mut draft.stage).filter(|stage| lasts(stage)) {
            stage.slots[mode.index()] = floor;
            floor += size(stage);
        }
        let mut held: Vec<Region> = Vec::new();
        for (index, draft) in drafts.iter_mut().enumerate() {
            if lasts(&draft.stage) {
                continue;
            }
            held.retain(|region| region.last_read >= index);
            let (size, mut start) = (size(&draft.stage), floor);
            held.sort_unstable_by_key(|region| region.start);
            for region in &held {
                if start + size <= region.start {
                    break;
                }
                start = start.max(region.start + region.size);
            }
            draft.stage.slots[mode.index()] = start;
            held.push(Region { start, size, last_read: last_reads[index] });
        }
    }
}

/// `true` if a stream reads at a macro-step what a stage stored at an earlier one.
fn is_remembered(stage: &Stage) -> bool {
    stage.history > 1 || matches!(stage.finish, Finish::Readout(_))
}

/// What a stage stores.
struct Region {
    start: usize,
    size: usize,
    /// The last stage that reads it.
    last_read: usize,
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
