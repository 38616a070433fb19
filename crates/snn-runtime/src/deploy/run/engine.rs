//! The buffers of one sample and what runs it through them, in one kind of numbers.

use crate::deploy::events::{EventsMut, EventsView, Extent};
use crate::deploy::kernels::emit;
use crate::deploy::name::NAME;
use crate::deploy::number::Number;
use crate::deploy::plan::neurons::StageNeurons;
use crate::deploy::plan::{Connection, Incoming, Location, NodePlan, Operation, Plan, Stage};
use crate::deploy::run::arena::Arena;
use crate::deploy::run::rearrange;
use crate::deploy::run::stage::{Output, Part, Task};
use crate::threads::Threads;
use snn_ir::{Error, MASKED, Result};
use snn_simd::Available;
use std::sync::Arc;
use std::time::Instant;

/// Everything that one sample after another needs, allocated once.
#[derive(Debug)]
pub(crate) struct Engine<N: Number> {
    pub(crate) plan: Arc<Plan<N>>,
    arena: Arena<N>,
    instructions: Available,
    pool: Option<Arc<Threads>>,
    /// Of each image.
    pub(crate) sums: Vec<N::Sum>,
    /// By node; empty unless requested.
    pub(crate) statistics: Vec<NodeStatistics>,
    /// State of a whole run that goes macro-step by macro-step, as delays demand.
    stepped: Option<NetworkState<N>>,
}

/// State of an engine's network between the frames of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetworkState<N: Number> {
    /// By node; empty for one without memory.
    nodes: Vec<Vec<N>>,
    /// State at rest of one position of each node.
    rest: Vec<Vec<N>>,
    pub(crate) sums: Vec<N::Sum>,
    /// `true` once a macro-step has given the sums a value.
    begun: bool,
}

impl<N: Number> NetworkState<N> {
    fn rest(plan: &Plan<N>) -> Self {
        let nodes = &plan.nodes;
        let memory =
            |node: &NodePlan<N>| node.rest().repeat(node.extent.rows * node.extent.columns);
        Self {
            nodes: nodes.iter().map(memory).collect(),
            rest: nodes.iter().map(|node| node.rest().to_vec()).collect(),
            sums: vec![N::Sum::default(); plan.classes()],
            begun: false,
        }
    }

    /// Back to rest, in the same memory.
    pub(crate) fn clear(&mut self) {
        for (memory, rest) in self.nodes.iter_mut().zip(&self.rest) {
            memory
                .chunks_exact_mut(rest.len().max(1))
                .for_each(|position| position.copy_from_slice(rest));
        }
        self.sums.fill(N::Sum::default());
        self.begun = false;
    }

    pub(crate) fn bytes(&self) -> usize {
        let numbers = self.nodes.iter().chain(&self.rest).map(Vec::len).sum::<usize>();
        let lists = self.nodes.len() + self.rest.len();
        numbers * size_of::<N>() + lists * size_of::<Vec<N>>() + size_of_val(self.sums.as_slice())
    }
}

/// Statistics of one node since they were last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct NodeStatistics {
    /// Its name.
    pub node: String,
    /// Time that it took, with the synapses that it sums up itself.
    pub nanoseconds: u64,
    /// Times it ran: once a run, or once a macro-step where the network has delays.
    pub runs: u64,
    /// Values that were not zero, of a node that sends events.
    pub active: u64,
    /// Values that could have been.
    pub values: u64,
    /// Inputs whose weights a layer adds through events: fewer than are active where several
    /// macro-steps share additions. Counted of the first layer that the node sums up, whichever
    /// form it runs in, for each tile of image rows that is worked on at once; tiles of a
    /// convolution have image rows in common.
    pub added: u64,
    /// Inputs that these tiles have.
    pub inputs: u64,
}

impl NodeStatistics {
    /// Share of the values that were not zero; `None` for a node that sends no events.
    pub fn density(&self) -> Option<f64> {
        (self.values > 0).then(|| self.active as f64 / self.values as f64)
    }
}

/// How the pixels of a run are laid out over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Macro-steps.
    pub(crate) steps: usize,
    /// `true` if each has a frame.
    pub(crate) frames: bool,
}

impl Clock {
    pub(crate) fn of(self, varies: bool) -> usize {
        if varies || self.frames { self.steps } else { 1 }
    }
}

/// Callback for the output of each site of a run.
pub(crate) type Observer<'o> = &'o mut dyn FnMut(usize, EventsView<'_>);

impl<N: Number> Engine<N> {
    pub(crate) fn new(
        plan: Arc<Plan<N>>,
        images: usize,
        instructions: Available,
        pool: Option<Arc<Threads>>,
        statistics: bool,
    ) -> Self {
        let threads = pool.as_ref().map_or(1, |pool| pool.count());
        let arena = Arena::new(&plan, images, threads);
        let sums = vec![N::Sum::default(); images * plan.classes()];
        let node = |node: &NodePlan<N>| NodeStatistics {
            node: node.name.clone(),
            ..NodeStatistics::default()
        };
        let statistics =
            if statistics { plan.nodes.iter().map(node).collect() } else { Vec::new() };
        let stepped = plan.has_delays().then(|| NetworkState::rest(&plan));
        Self { plan, arena, instructions, pool, sums, statistics, stepped }
    }

    /// State at rest.
    pub(crate) fn rest(&self) -> NetworkState<N> {
        NetworkState::rest(&self.plan)
    }

    /// `true` if memories are of this network.
    pub(crate) fn owns(&self, network: &NetworkState<N>) -> bool {
        let nodes = &self.plan.nodes;
        let size = |node: &NodePlan<N>| node.rest().len() * node.extent.rows * node.extent.columns;
        network.sums.len() == self.sums.len()
            && network.nodes.len() == nodes.len()
            && network.nodes.iter().zip(nodes).all(|(memory, node)| memory.len() == size(node))
    }

    /// One macro-step of memories that are of this network; their sums become the engine's.
    pub(crate) fn advance(
        &mut self,
        memories: &mut NetworkState<N>,
        pixels: &[u8],
        clock: Clock,
    ) -> Result<()> {
        self.evaluate((pixels, 1), clock, Some(&mut memories.nodes), None)?;
        for (sum, &more) in memories.sums.iter_mut().zip(&self.sums) {
            let before = memories.begun.then_some(*sum);
            *sum = self.plan.readout.after(before, more, N::add);
        }
        memories.begun = true;
        self.sums.copy_from_slice(&memories.sums);
        Ok(())
    }

    /// Memory of the buffers.
    pub(crate) fn bytes(&self) -> usize {
        let stepped = self.stepped.as_ref().map_or(0, NetworkState::bytes);
        let sums = size_of_val(self.sums.as_slice());
        self.arena.bytes() + sums + stepped
    }

    /// Runs all stages over all macro-steps of so many images, whose pixels are one behind the
    /// other; memories of one image are kept where they are given, else neurons start at rest.
    pub(crate) fn evaluate(
        &mut self,
        (pixels, images): (&[u8], usize),
        clock: Clock,
        memories: Option<&mut Vec<Vec<N>>>,
        observer: Option<Observer<'_>>,
    ) -> Result<()> {
        let Self { plan, arena, instructions, pool, sums, statistics, stepped } = self;
        let memories = memories.or_else(|| {
            let state = stepped.as_mut()?;
            state.clear();
            Some(&mut state.nodes)
        });
        let (instructions, sums) = (*instructions, &mut sums[..images * plan.classes()]);
        let mut run = Run { plan, arena, instructions, images, sums, clock, ran: 0, statistics };
        match pool {
            // Observers are not sent to other threads; what is observed is not timed.
            Some(pool) if observer.is_none() => {
                let failed = |message| Error::Interpreter { interpreter: NAME, message };
                pool.install(|| run.all(pixels, memories, None)).map_err(failed)?
            }
            _ => run.all(pixels, memories, observer),
        }
    }
}

struct Run<'r, N: Number> {
    plan: &'r Plan<N>,
    arena: &'r mut Arena<N>,
    instructions: Available,
    images: usize,
    sums: &'r mut [N::Sum],
    clock: Clock,
    /// Macro-steps that ran before those of the clock.
    ran: usize,
    statistics: &'r mut [NodeStatistics],
}

impl<N: Number> Run<'_, N> {
    fn all(
        &mut self,
        pixels: &[u8],
        mut memories: Option<&mut Vec<Vec<N>>>,
        mut observer: Option<Observer<'_>>,
    ) -> Result<()> {
        self.sums.fill(N::Sum::default());
        if !self.plan.has_delays() {
            return self.nodes(pixels, memories, &mut observer, true);
        }
        let Clock { steps, frames } = self.clock;
        let size = self.plan.nodes.first().map_or(0, NodePlan::size);
        self.clock.steps = 1;
        for t in 0..steps {
            let frame = if frames { &pixels[t * size..][..size] } else { pixels };
            self.nodes(frame, memories.as_deref_mut(), &mut observer, t == 0 || frames)?;
            self.keep(memories.as_deref_mut());
            self.ran += 1;
        }
        Ok(())
    }

    /// Keeps what delays yield later: the events of the last d macro-steps, the oldest first.
    fn keep(&self, memories: Option<&mut Vec<Vec<N>>>) {
        let Some(memories) = memories else { return };
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let Some(Operation::Delay { .. }) = &node.step else { continue };
            let (memory, size) = (&mut memories[index], node.size());
            let length = memory.len();
            memory.copy_within(size..length, 0);
            let newest = &mut memory[length - size..];
            newest.fill(N::default());
            let (events, extent) = (self.arena.events(node.inputs[0]), node.extent);
            for (y, row) in newest.chunks_exact_mut(extent.width()).enumerate() {
                for (entry, level) in events.at(y, 0).levels(0..extent.columns) {
                    row[entry] = N::of(level);
                }
            }
        }
    }

    /// Runs all nodes over the macro-steps of the clock; `invariant` unless those that do not vary
    /// over time hold their values already.
    fn nodes(
        &mut self,
        pixels: &[u8],
        mut memories: Option<&mut Vec<Vec<N>>>,
        observer: &mut Option<Observer<'_>>,
        invariant: bool,
    ) -> Result<()> {
        for (node, located) in self.plan.nodes.iter().zip(&mut self.arena.located) {
            located.1.steps = self.clock.of(node.varies);
            located.1.rows = self.images * node.extent.rows;
        }
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let Some(step) = &node.step else { continue };
            // The head adds what it reads at every macro-step.
            if !(invariant || node.varies || matches!(step, Operation::Head)) {
                continue;
            }
            let started = (!self.statistics.is_empty()).then(Instant::now);
            let memory = memories.as_mut().map(|memories| memories[index].as_mut_slice());
            match node.place {
                Location::Events(slot) => {
                    // The buffer leaves the arena while it is filled; taking it does not allocate.
                    let mut events = std::mem::take(&mut self.arena.events[slot]);
                    let filled = self.fill(
                        (index, node, step),
                        Output::Events(events.whole(self.extent(index))),
                        memory,
                        pixels,
                    );
                    if step.rearranges() {
                        // A stage sorts its events as it sends them.
                        self.arena.with_scratch(|scratch| {
                            let mut whole = events.whole(self.extent(index));
                            whole.sort(
                                self.instructions,
                                &mut scratch.emitted.flags,
                                &mut scratch.seen,
                            );
                        });
                    }
                    self.arena.events[slot] = events;
                    filled?;
                }
                Location::Current(_) if matches!(step, Operation::Head) => {
                    self.head(node.inputs[0]);
                }
                Location::Current(slot) => {
                    let mut currents = std::mem::take(&mut self.arena.currents[slot]);
                    let extent = self.extent(index);
                    let size = extent.rows * extent.steps * extent.width();
                    let filled = self.fill(
                        (index, node, step),
                        Output::Currents(&mut currents[..size]),
                        memory,
                        pixels,
                    );
                    self.arena.currents[slot] = currents;
                    filled?;
                }
                Location::Fused => {}
            }
            if let Some(started) = started {
                self.note(index, started);
            }
            if node.is_site
                && let Some(observer) = observer
            {
                observer(index, self.arena.events(index));
            }
        }
        Ok(())
    }

    fn note(&mut self, index: usize, started: Instant) {
        let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (place, extent) = self.arena.located[index];
        let statistics = &mut self.statistics[index];
        statistics.nanoseconds += nanoseconds;
        statistics.runs += 1;
        if matches!(place, Location::Events(_)) {
            let events = self.arena.events(index);
            let lines = (0..extent.rows).flat_map(|y| (0..extent.steps).map(move |step| (y, step)));
            statistics.active +=
                lines.map(|(y, step)| events.at(y, step).count() as u64).sum::<u64>();
            statistics.values += (extent.rows * extent.steps * extent.width()) as u64;
        }
        let node = &self.plan.nodes[index];
        let Some(Operation::Stage(Stage { incoming, tile, .. })) = &node.step else { return };
        let Some(Incoming { node: from, connection }) = incoming.first() else { return };
        let weights = match connection {
            Connection::Packed(weights, _) => Some(weights),
            Connection::Grouped(..) => None,
            Connection::Scale(_) | Connection::Current => return,
        };
        let events = self.arena.events(*from);
        let Extent { rows, steps, .. } = events.extent;
        let width = steps * events.extent.width();
        let Some(weights) = weights else {
            statistics.added += events.count(0..rows, steps) as u64;
            statistics.inputs += (rows * width) as u64;
            return;
        };
        // Whether additions are shared is a question of each tile of rows.
        for begin in (0..node.extent.rows).step_by(*tile) {
            let outputs = begin..node.extent.rows.min(begin + tile);
            let read = weights.vertical.read(outputs.clone());
            let active = events.count(read.clone(), steps);
            statistics.added += weights.added(outputs, events, (steps, active)) as u64;
            statistics.inputs += (read.len() * width) as u64;
        }
    }

    fn extent(&self, index: usize) -> Extent {
        self.arena.located[index].1
    }

    fn fill(
        &mut self,
        (index, node, step): (usize, &NodePlan<N>, &Operation<N>),
        output: Output<'_, N>,
        memory: Option<&mut [N]>,
        pixels: &[u8],
    ) -> Result<()> {
        let extent = self.extent(index);
        match (step, output) {
            (Operation::Stage(stage), output) => {
                let current_steps = self.clock.of(stage.varies);
                let task = Task {
                    stage,
                    arena: self.arena,
                    instructions: self.instructions,
                    extent,
                    current_steps,
                };
                let memory = memory
                    .filter(|_| stage.neurons.as_ref().is_some_and(StageNeurons::is_stateful));
                task.run(Part { rows: 0..extent.rows, output, memory })?;
            }
            (Operation::Pixels { mean }, Output::Events(events)) => {
                self.enter(pixels, mean, events, extent);
            }
            (Operation::Pool(pool), Output::Events(events)) => {
                let mut dense = std::mem::take(&mut self.arena.dense);
                rearrange::pool_events(
                    pool,
                    self.arena.events(node.inputs[0]),
                    events,
                    extent.steps,
                    &mut dense,
                );
                self.arena.dense = dense;
            }
            (Operation::Pool(pool), Output::Currents(currents)) => {
                rearrange::pool_currents(
                    pool,
                    self.arena.currents(node.inputs[0]),
                    currents,
                    extent.steps,
                );
            }
            (Operation::Flatten, Output::Events(events)) => {
                rearrange::flatten_events(self.arena.events(node.inputs[0]), events, extent.steps);
            }
            (Operation::Flatten, Output::Currents(currents)) => {
                rearrange::flatten_currents(
                    self.arena.currents(node.inputs[0]),
                    currents,
                    (self.images, extent.steps),
                );
            }
            (Operation::Concat { starts }, Output::Events(events)) => {
                let inputs = node
                    .inputs
                    .iter()
                    .map(|&input| self.arena.events(input))
                    .zip(starts.iter().copied());
                rearrange::concat_events(&inputs, events, (extent, extent.steps));
            }
            (Operation::Concat { starts }, Output::Currents(currents)) => {
                let inputs = node
                    .inputs
                    .iter()
                    .map(|&input| self.arena.currents(input))
                    .zip(starts.iter().copied());
                rearrange::concat_currents(&inputs, currents, (extent, extent.steps));
            }
            (Operation::Delay { .. }, Output::Events(events)) => {
                if let Some(memory) = memory {
                    delayed(memory, events, extent);
                }
            }
            (Operation::Mask(mask), Output::Events(events)) => {
                let mut spikes = std::mem::take(&mut self.arena.spikes);
                rearrange::mask_events(
                    *mask,
                    self.arena.events(node.inputs[0]),
                    self.arena.events(node.inputs[MASKED]),
                    events,
                    extent.steps,
                    &mut spikes,
                );
                self.arena.spikes = spikes;
            }
            (
                Operation::Pixels { .. } | Operation::Delay { .. } | Operation::Mask(_),
                Output::Currents(_),
            )
            | (Operation::Head, _) => {}
        }
        Ok(())
    }

    /// Eq. 1; pixels equal to the mean are zero and not sent.
    fn enter(&mut self, pixels: &[u8], mean: &[u8], mut events: EventsMut<'_>, extent: Extent) {
        let rows = extent.rows / self.images;
        let (channels, positions) = (extent.channels, rows * extent.columns);
        let (levels, flags) = (&mut self.arena.pixels, &mut self.arena.flags);
        for (index, frame) in pixels.chunks_exact(channels * positions).enumerate() {
            let (image, step) = (index / extent.steps, index % extent.steps);
            for y in 0..rows {
                for (channel, (&mean, plane)) in
                    mean.iter().zip(frame.chunks_exact(positions)).enumerate()
                {
                    for (x, &pixel) in
                        plane[y * extent.columns..][..extent.columns].iter().enumerate()
                    {
                        levels[x * channels + channel] = i32::from(pixel) - i32::from(mean);
                        flags[x * channels + channel] = u8::from(pixel != mean);
                    }
                }
                let line = &mut events.line(image * rows + y, step);
                emit::levels(self.instructions, levels, flags, channels, line);
            }
        }
    }

    /// Eq. 7, before a division by T.
    fn head(&mut self, input: usize) {
        let currents = self.arena.currents(input);
        let steps = self.clock.steps;
        for (image, sums) in self.sums.chunks_exact_mut(self.plan.classes().max(1)).enumerate() {
            for step in 0..steps {
                for (sum, &score) in sums.iter_mut().zip(currents.line(image, step)) {
                    let before = (self.ran + step > 0).then_some(*sum);
                    *sum = self.plan.readout.after(before, score.to_sum(), N::add);
                }
            }
        }
    }
}

/// Sends the oldest events that a delay keeps.
fn delayed<N: Number>(memory: &[N], mut events: EventsMut<'_>, extent: Extent) {
    let rows = memory.chunks_exact(extent.width()).take(extent.rows);
    for (y, row) in rows.enumerate() {
        let mut line = events.line(y, 0);
        for (x, position) in row.chunks_exact(extent.channels).enumerate() {
            for (channel, level) in position.iter().map(|value| value.level()).enumerate() {
                if level != 0 {
                    line.push(x * extent.channels + channel, level);
                }
            }
            line.end_position();
        }
    }
}
