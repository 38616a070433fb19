//! All memory of a session, sized once.

use crate::deploy::events::windows::{self, Windows};
use crate::deploy::events::{Events, EventsView, Extent};
use crate::deploy::number::Number;
use crate::deploy::plan::neurons::Emitted;
use crate::deploy::plan::{Connection, Location, NodePlan, Operation, Plan};
use crate::deploy::run::rearrange::{Currents, DenseRow};
use crate::deploy::size::product;
use std::sync::{Mutex, PoisonError};

/// Where the values of a node are, with their size in the present run.
type Located = (Location, Extent);

/// Buffers that nodes share one after another, and working memory of each thread.
#[derive(Debug)]
pub(crate) struct Arena<N> {
    pub(crate) events: Vec<Events>,
    pub(crate) currents: Vec<Vec<N>>,
    /// By node.
    pub(crate) located: Vec<Located>,
    pub(crate) pixels: Vec<i32>,
    pub(crate) flags: Vec<u8>,
    pub(crate) dense: DenseRow,
    /// Spikes of one row of a mask; all 0 between rows.
    pub(crate) spikes: Vec<u8>,
    threads: Vec<Mutex<Scratch<N>>>,
}

/// Working memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch<N> {
    pub(crate) currents: Vec<N>,
    pub(crate) memory: Vec<N>,
    pub(crate) windows: Windows,
    /// Levels of the inputs of a tile, for dense products.
    pub(crate) levels: Vec<u8>,
    pub(crate) emitted: Emitted<N>,
    /// For every value of a row, the steps of a group at which it was active so far.
    pub(crate) seen: Vec<u8>,
}

/// How much of everything in [`Scratch`] a plan takes.
#[derive(Debug, Default)]
struct Room {
    currents: usize,
    memory: usize,
    offsets: usize,
    entries: usize,
    payloads: bool,
    rows: usize,
    levels: usize,
    /// Values of the widest row.
    row: usize,
}

impl Room {
    fn of<N: Number>(plan: &Plan<N>, images: usize) -> Self {
        let mut room = Self::default();
        for node in &plan.nodes {
            let extent = node.extent;
            room.row = room.row.max(extent.width());
            let Some(Operation::Stage(stage)) = &node.step else { continue };
            let tile = stage.tile.min(extent.rows.saturating_mul(images));
            room.currents = room.currents.max(product(&[tile, extent.steps, extent.width()]));
            room.rows = room.rows.max(tile);
            room.memory = room.memory.max(product(&[node.rest().len(), extent.columns]));
            for incoming in &stage.incoming {
                if let Connection::Grouped(_, Some(dense)) = &incoming.connection {
                    room.levels = room.levels.max(dense.room(tile, extent.steps));
                }
                let Connection::Packed(synapse, dense) = &incoming.connection else { continue };
                let read = plan.nodes[incoming.node].extent;
                let (offsets, entries) = windows::room(synapse, tile, extent.steps, read.columns);
                (room.offsets, room.entries) =
                    (room.offsets.max(offsets), room.entries.max(entries));
                room.payloads |= read.payloads;
                let levels =
                    dense.as_ref().map_or(0, |dense| dense.room(synapse, tile, extent.steps));
                room.levels = room.levels.max(levels);
            }
        }
        room
    }

    fn bytes(&self) -> usize {
        let entries = product(&[self.entries, 1 + usize::from(self.payloads)]);
        let words = [self.currents, self.memory, self.offsets, entries, self.row, self.row]
            .into_iter()
            .fold(0, usize::saturating_add);
        let bytes = [self.levels, self.row, self.row, self.rows].into_iter();
        bytes.fold(product(&[words, 4]), usize::saturating_add)
    }

    fn scratch<N: Number>(&self) -> Scratch<N> {
        Scratch {
            currents: vec![N::default(); self.currents],
            memory: vec![N::default(); self.memory],
            windows: Windows::with_room(self.rows, self.offsets, self.entries, self.payloads),
            levels: vec![0; self.levels],
            emitted: Emitted {
                flags: vec![0; self.row],
                levels: vec![0; self.row],
                values: vec![N::default(); self.row],
            },
            seen: vec![0; self.row],
        }
    }
}

impl<N: Number> Arena<N> {
    /// For so many images at once, and so many threads.
    pub(crate) fn new(plan: &Plan<N>, images: usize, threads: usize) -> Self {
        let events = plan.events.iter().map(|extents| {
            let mut events = Events::default();
            for &extent in extents {
                events.reserve(extent.of_images(images));
            }
            events
        });
        let room = Room::of(plan, images);
        let widest = plan.nodes.iter().map(|node| node.extent.channels).max().unwrap_or(0);
        let input = plan.nodes.first().map_or(0, |node| node.extent.width());
        let mask = |node: &NodePlan<N>| match node.step {
            Some(Operation::Mask(_)) => plan.nodes[node.inputs[0]].extent.width(),
            _ => 0,
        };
        let mask = plan.nodes.iter().map(mask).max().unwrap_or(0);
        Self {
            events: events.collect(),
            currents: plan.currents.iter().map(|&size| vec![N::default(); size * images]).collect(),
            located: plan.nodes.iter().map(|node| (node.place, node.extent)).collect(),
            pixels: vec![0; input],
            flags: vec![0; input],
            dense: DenseRow { levels: vec![0; widest], seen: vec![0; widest] },
            spikes: vec![0; mask],
            threads: (0..threads.max(1)).map(|_| Mutex::new(room.scratch())).collect(),
        }
    }

    /// Bytes of the buffers of nodes, which hold all macro-steps, and of what each thread works in.
    pub(crate) fn buffer_bytes(plan: &Plan<N>, images: usize, threads: usize) -> usize {
        let events = plan.events.iter().map(|extents| {
            let extents: Vec<Extent> = extents.iter().map(|e| e.of_images(images)).collect();
            Events::bytes_of(&extents)
        });
        let currents = plan.currents.iter().map(|&size| product(&[size, images, size_of::<N>()]));
        let scratch = product(&[Room::of(plan, images).bytes(), threads.max(1)]);
        // The state that runs with delays keep.
        let has_delays = plan.has_delays();
        let state = plan.nodes.iter().filter(|_| has_delays).map(|node| {
            let positions = node.extent.rows * node.extent.columns;
            product(&[node.rest().len(), positions, size_of::<N>()])
        });
        events.chain(currents).chain(state).fold(scratch, usize::saturating_add)
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    pub(crate) fn is_parallel(&self) -> bool {
        self.threads() > 1
    }

    /// Lends the present thread its scratch; a tile never starts another, so no two of one thread
    /// meet.
    pub(crate) fn with_scratch<V>(&self, work: impl FnOnce(&mut Scratch<N>) -> V) -> V {
        let index = if self.is_parallel() { rayon::current_thread_index().unwrap_or(0) } else { 0 };
        let mutex = &self.threads[index % self.threads.len()];
        work(&mut mutex.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Events of a node; of one that has currents, none.
    pub(crate) fn events(&self, node: usize) -> EventsView<'_> {
        let (place, extent) = self.located[node];
        let slot = if let Location::Events(slot) = place { slot } else { 0 };
        self.events[slot].view(extent)
    }

    /// Currents of a node; of one that has events, none.
    pub(crate) fn currents(&self, node: usize) -> Currents<'_, N> {
        let (place, extent) = self.located[node];
        let values =
            if let Location::Current(slot) = place { self.currents[slot].as_slice() } else { &[] };
        Currents { values, extent }
    }

    pub(crate) fn bytes(&self) -> usize {
        let scratch = |scratch: &Mutex<Scratch<N>>| {
            let scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            let emitted = &scratch.emitted;
            4 * (scratch.currents.len()
                + scratch.memory.len()
                + emitted.levels.len()
                + emitted.values.len())
                + emitted.flags.len()
                + scratch.seen.len()
                + scratch.windows.bytes()
                + scratch.levels.len()
        };
        self.events.iter().map(Events::bytes).sum::<usize>()
            + 4 * (self.currents.iter().map(Vec::len).sum::<usize>() + self.pixels.len())
            + size_of_val(self.located.as_slice())
            + self.flags.len()
            + self.spikes.len()
            + 8 * self.dense.levels.len()
            + self.threads.len() * size_of::<Mutex<Scratch<N>>>()
            + self.threads.iter().map(scratch).sum::<usize>()
    }
}
