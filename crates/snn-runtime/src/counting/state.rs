//! The buffers of one sample, allocated once, so that a warm run allocates nothing.

use crate::counting::counts::Tally;
use crate::counting::event_list::EventList;
use crate::counting::program::{NodeKernel, NodeProgram, Program};
use crate::counting::stream::Formation;
use crate::neuron::{NeuronState, SiteNumber};

/// Buffer of a node for its readers, channels last.
#[derive(Debug)]
pub(crate) enum Buffer<A> {
    /// Levels or pixels, and the plane of the present micro-step where it is another list.
    Events { levels: EventList<A>, plane: Option<EventList<A>> },
    /// A current.
    Current(Vec<A>),
}

/// Room that nodes share.
#[derive(Debug)]
pub(crate) struct Scratch<A> {
    pub(crate) accumulators: Vec<A>,
    pub(crate) row: Vec<A>,
    pub(crate) seen: Vec<u32>,
}

/// The pixels of one sample, in C, H, W order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'p> {
    pub(crate) pixels: &'p [u8],
    /// `true` if there is a frame for each macro-step, one after another.
    pub(crate) frames: bool,
}

impl<'p> Sample<'p> {
    /// The pixels of macro-step `t`, of so many a frame.
    pub(crate) fn frame(&self, t: usize, size: usize) -> &'p [u8] {
        if self.frames { &self.pixels[t * size..][..size] } else { self.pixels }
    }
}

/// Everything that changes while a program runs.
#[derive(Debug)]
pub(crate) struct RunState<A: SiteNumber> {
    pub(crate) buffers: Vec<Buffer<A>>,
    /// State of each node's neurons.
    pub(crate) memories: Vec<NeuronState<A>>,
    /// Of each delay the events of its last macro-steps, that of step t at t modulo their number.
    pub(crate) delayed: Vec<Vec<EventList<A>>>,
    pub(crate) scratch: Scratch<A>,
    /// `Σ_t` of the head's input.
    pub(crate) sums: Vec<A::Sum>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) samples: u64,
}

impl<A: SiteNumber> RunState<A> {
    pub(crate) fn new(program: &Program<A>) -> Self {
        let buffer = |node: &NodeProgram<A>| {
            let list = || EventList::new(node.positions, node.channels);
            match &node.stream {
                Some(stream) => Buffer::Events {
                    levels: list(),
                    plane: (stream.formation != Formation::Whole).then(list),
                },
                None if matches!(node.kernel, NodeKernel::Head) => Buffer::Current(Vec::new()),
                None => Buffer::Current(vec![A::default(); node.size()]),
            }
        };
        let delayed = |node: &NodeProgram<A>| match node.kernel {
            NodeKernel::Delay { steps } => {
                (0..steps).map(|_| EventList::new(node.positions, node.channels)).collect()
            }
            _ => Vec::new(),
        };
        Self {
            delayed: program.nodes.iter().map(delayed).collect(),
            buffers: program.nodes.iter().map(buffer).collect(),
            memories: program.nodes.iter().map(|node| node.rest.repeated(node.positions)).collect(),
            scratch: Scratch {
                accumulators: vec![A::default(); program.accumulators],
                row: vec![A::default(); program.row],
                seen: vec![0; program.row],
            },
            sums: vec![A::Sum::default(); program.classes()],
            tallies: vec![Tally::default(); program.nodes.len()],
            samples: 0,
        }
    }
}

/// The levels or pixels that a node holds; `None` for one that holds a current.
pub(crate) fn levels_of<A>(buffers: &[Buffer<A>], index: usize) -> Option<&EventList<A>> {
    match &buffers[index] {
        Buffer::Events { levels, .. } => Some(levels),
        Buffer::Current(_) => None,
    }
}

/// The current that a node holds; empty for one that holds events.
pub(crate) fn current_of<A>(buffers: &[Buffer<A>], index: usize) -> &[A] {
    match &buffers[index] {
        Buffer::Current(current) => current,
        Buffer::Events { .. } => &[],
    }
}
