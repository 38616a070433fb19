//! All memory of a session, sized once.

use crate::deploy::events::{Events, EventsView, Extent};
use crate::deploy::plan::{Place, Plan, Step, Synapse};
use crate::deploy::rearrange::{Currents, Dense};
use crate::deploy::site::Emitted;
use crate::deploy::windows::{self, Windows};
use std::sync::{Mutex, PoisonError};

/// Where the values of a node are, with their size in the present run.
type Located = (Place, Extent);

/// Buffers that nodes take turns to use, and room for the work of each thread.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) events: Vec<Events>,
    pub(crate) currents: Vec<Vec<i32>>,
    /// By node.
    pub(crate) located: Vec<Located>,
    pub(crate) pixels: Vec<i32>,
    pub(crate) flags: Vec<u8>,
    pub(crate) dense: Dense,
    threads: Vec<Mutex<Scratch>>,
}

/// What one thread works in.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) currents: Vec<i32>,
    pub(crate) memory: Vec<i32>,
    pub(crate) windows: Windows,
    /// Levels of the inputs of a tile, for dense products.
    pub(crate) levels: Vec<u8>,
    pub(crate) emitted: Emitted,
}

impl Arena {
    pub(crate) fn new(plan: &Plan, threads: usize) -> Self {
        let events = plan.events.iter().map(|extents| {
            let mut events = Events::default();
            for &extent in extents {
                events.reserve(extent);
            }
            events
        });
        let (mut currents, mut memory, mut row) = (0, 0, 0);
        let (mut offsets, mut entries, mut payloads, mut levels) = (0, 0, false, 0);
        for node in &plan.nodes {
            row = row.max(node.extent.width());
            if let Some(Step::Stage(stage)) = &node.step {
                let remembered = stage.neurons.as_ref().map_or(0, super::site::Neurons::remembered);
                currents = currents.max(stage.tile * node.extent.steps * node.extent.width());
                memory = memory.max(remembered * node.extent.columns);
                for incoming in &stage.incoming {
                    let Synapse::Rows(synapse, dense) = &incoming.synapse else { continue };
                    let read = plan.nodes[incoming.node].extent;
                    let room = windows::room(synapse, stage.tile, node.extent.steps, read.columns);
                    (offsets, entries) = (offsets.max(room.0), entries.max(room.1));
                    payloads |= read.payloads;
                    let room = dense.as_ref().map_or(0, |dense| dense.room(synapse, stage.tile, node.extent.steps));
                    levels = levels.max(room);
                }
            }
        }
        let scratch = || {
            Mutex::new(Scratch {
                currents: vec![0; currents],
                memory: vec![0; memory],
                windows: Windows::with_room(offsets, entries, payloads),
                levels: vec![0; levels],
                emitted: Emitted { flags: vec![0; row], levels: vec![0; row] },
            })
        };
        let widest = plan.nodes.iter().map(|node| node.extent.channels).max().unwrap_or(0);
        let input = plan.nodes.first().map_or(0, |node| node.extent.width());
        Self {
            events: events.collect(),
            currents: plan.currents.iter().map(|&size| vec![0; size]).collect(),
            located: plan.nodes.iter().map(|node| (node.place, node.extent)).collect(),
            pixels: vec![0; input],
            flags: vec![0; input],
            dense: Dense { levels: vec![0; widest], seen: vec![0; widest] },
            threads: (0..threads.max(1)).map(|_| scratch()).collect(),
        }
    }

    /// Bytes of the buffers of nodes, which hold all macro-steps.
    pub(crate) fn buffer_bytes(plan: &Plan) -> usize {
        let events = plan.events.iter().map(|extents| Events::bytes_of(extents));
        let currents = plan.currents.iter().map(|&size| size.saturating_mul(size_of::<i32>()));
        events.chain(currents).fold(0, usize::saturating_add)
    }

    pub(crate) fn is_parallel(&self) -> bool {
        self.threads.len() > 1
    }

    /// Lends the present thread its scratch; a tile never starts another, so no two of one thread meet.
    pub(crate) fn with_scratch<V>(&self, work: impl FnOnce(&mut Scratch) -> V) -> V {
        let index = if self.is_parallel() { rayon::current_thread_index().unwrap_or(0) } else { 0 };
        let mutex = &self.threads[index % self.threads.len()];
        work(&mut mutex.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Events of a node; of one that has currents, none.
    pub(crate) fn events(&self, node: usize) -> EventsView<'_> {
        let (place, extent) = self.located[node];
        let slot = if let Place::Events(slot) = place { slot } else { 0 };
        self.events[slot].view(extent)
    }

    /// Currents of a node; of one that has events, none.
    pub(crate) fn currents(&self, node: usize) -> Currents<'_> {
        let (place, extent) = self.located[node];
        let values = if let Place::Current(slot) = place { self.currents[slot].as_slice() } else { &[] };
        Currents { values, extent }
    }

    pub(crate) fn bytes(&self) -> usize {
        let scratch = |scratch: &Mutex<Scratch>| {
            let scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            let emitted = &scratch.emitted;
            4 * (scratch.currents.len() + scratch.memory.len() + emitted.levels.len())
                + emitted.flags.len()
                + scratch.windows.bytes()
                + scratch.levels.len()
        };
        self.events.iter().map(Events::bytes).sum::<usize>()
            + 4 * (self.currents.iter().map(Vec::len).sum::<usize>() + self.pixels.len())
            + self.flags.len()
            + 8 * self.dense.levels.len()
            + self.threads.iter().map(scratch).sum::<usize>()
    }
}
