//! One sample after another through a deployment.

use crate::arithmetic::Scores;
use crate::deploy::arena::Arena;
use crate::deploy::plan::{NodePlan, Place, Plan, Step};
use crate::deploy::rearrange;
use crate::deploy::stage::{Output, Task};
use crate::simd::{Available, emit};
use snn_ir::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

/// Everything that one sample after another needs, allocated once.
#[derive(Debug)]
pub struct Session {
    pub(crate) plan: Arc<Plan>,
    arena: Arena,
    level: Available,
    pool: Option<Arc<rayon::ThreadPool>>,
    sums: Vec<i64>,
    /// By node; empty unless asked for.
    statistics: Vec<NodeStatistics>,
    /// Of inputs that are not pixels; empty until one comes.
    pub(super) frames: Vec<u8>,
    /// Of runs that may end early; none until one does.
    pub(super) until: Option<State>,
}

/// What one node did since statistics were last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct NodeStatistics {
    /// Its name.
    pub node: String,
    /// Time that it took, with the synapses that it sums up itself.
    pub nanoseconds: u64,
    /// Times it ran.
    pub runs: u64,
    /// Values that were not zero, of a node that sends events.
    pub active: u64,
    /// Values that could have been.
    pub values: u64,
}

impl NodeStatistics {
    /// Share of the values that were not zero; `None` for a node that sends no events.
    pub fn density(&self) -> Option<f64> {
        (self.values > 0).then(|| self.active as f64 / self.values as f64)
    }
}

/// What a network remembers between the frames of a stream: membranes, synaptic currents, adaptations and the sums of the head. A value: it can be kept, copied and gone back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// By node; empty for one without memory.
    memories: Vec<Vec<i32>>,
    sums: Vec<i64>,
    steps: u64,
}

impl State {
    /// Frames so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// `Σ_t J[t]` so far.
    pub fn scores(&self) -> Scores<'_> {
        Scores::Integer(&self.sums)
    }

    /// Back to rest: the same state as [`Session::rest`], in the same memory.
    pub fn clear(&mut self) {
        self.memories.iter_mut().for_each(|memory| memory.fill(0));
        self.sums.fill(0);
        self.steps = 0;
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        4 * self.memories.iter().map(Vec::len).sum::<usize>() + 8 * self.sums.len()
    }
}

/// How the pixels of a run are laid out over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Macro-steps.
    pub(crate) steps: usize,
    /// Whether each has a frame.
    pub(crate) frames: bool,
}

impl Clock {
    pub(crate) fn of(self, varies: bool) -> usize {
        if varies || self.frames { self.steps } else { 1 }
    }
}

/// What sites of a run emitted is shown to this, node by node.
pub(crate) type Observer<'o> = &'o mut dyn FnMut(usize, crate::deploy::events::EventsView<'_>);

impl Session {
    pub(crate) fn new(
        plan: Arc<Plan>,
        level: Available,
        pool: Option<Arc<rayon::ThreadPool>>,
        statistics: bool,
    ) -> Self {
        let threads = pool.as_ref().map_or(1, |pool| pool.current_num_threads());
        let (arena, sums) = (Arena::new(&plan, threads), vec![0; plan.classes()]);
        let node = |node: &NodePlan| NodeStatistics { node: node.name.clone(), ..NodeStatistics::default() };
        let statistics = if statistics { plan.nodes.iter().map(node).collect() } else { Vec::new() };
        Self { plan, arena, level, pool, sums, statistics, frames: Vec::new(), until: None }
    }

    /// Runs one image, shown at every macro-step, and returns the sums of the head. `pixels` are in C, H, W order.
    ///
    /// # Errors
    /// There are not as many pixels as the model takes.
    pub fn run(&mut self, pixels: &[u8]) -> Result<Scores<'_>> {
        self.expect(pixels.len(), 1)?;
        let clock = Clock { steps: self.plan.time_steps, frames: false };
        self.evaluate(pixels, clock, None, None)?;
        Ok(self.scores())
    }

    /// Runs one sample with a frame for each macro-step, `[T]` images one after another.
    ///
    /// # Errors
    /// There are not as many pixels as the model takes.
    pub fn run_frames(&mut self, pixels: &[u8]) -> Result<Scores<'_>> {
        let clock = Clock { steps: self.plan.time_steps, frames: true };
        self.expect(pixels.len(), clock.steps)?;
        self.evaluate(pixels, clock, None, None)?;
        Ok(self.scores())
    }

    /// The state of a network that has seen nothing.
    pub fn rest(&self) -> State {
        let memory = |node: &NodePlan| match &node.step {
            Some(Step::Stage(stage)) => {
                let each = stage.neurons.as_ref().map_or(0, super::site::Neurons::remembered);
                vec![0; each * node.extent.rows * node.extent.columns]
            }
            _ => Vec::new(),
        };
        State { memories: self.plan.nodes.iter().map(memory).collect(), sums: vec![0; self.sums.len()], steps: 0 }
    }

    /// One macro-step of a stream, of any length: membranes saturate (eq. 13), so it is defined for ever. Returns the sums so far.
    ///
    /// # Errors
    /// There are not as many pixels as the model takes, or the state is another network's.
    pub fn push(&mut self, state: &mut State, frame: &[u8]) -> Result<Scores<'_>> {
        self.expect(frame.len(), 1)?;
        let fits = state.sums.len() == self.sums.len() && state.memories.len() == self.plan.nodes.len();
        if !fits || state.memories.iter().zip(self.rest_sizes()).any(|(memory, size)| memory.len() != size) {
            return Err(Error::Interpreter {
                interpreter: crate::NAME,
                message: "the state belongs to another network; take the state of this one with `rest`".into(),
            });
        }
        self.advance(state, frame, Clock { steps: 1, frames: true })?;
        Ok(self.scores())
    }

    /// One macro-step of a state that fits; its sums become the session's.
    pub(super) fn advance(&mut self, state: &mut State, pixels: &[u8], clock: Clock) -> Result<()> {
        self.evaluate(pixels, clock, Some(&mut state.memories), None)?;
        state.sums.iter_mut().zip(&self.sums).for_each(|(sum, new)| *sum = sum.saturating_add(*new));
        state.steps += 1;
        self.sums.copy_from_slice(&state.sums);
        Ok(())
    }

    fn rest_sizes(&self) -> impl Iterator<Item = usize> {
        self.plan.nodes.iter().map(|node| match &node.step {
            Some(Step::Stage(stage)) => {
                let each = stage.neurons.as_ref().map_or(0, super::site::Neurons::remembered);
                each * node.extent.rows * node.extent.columns
            }
            _ => 0,
        })
    }

    /// What each node did, in graph order; empty unless [`Options::statistics`](super::Options::statistics) is set. A node that another one computes on the way has run never.
    pub fn statistics(&self) -> &[NodeStatistics] {
        &self.statistics
    }

    /// Sets statistics to zero.
    pub fn reset_statistics(&mut self) {
        for node in &mut self.statistics {
            *node = NodeStatistics { node: std::mem::take(&mut node.node), ..NodeStatistics::default() };
        }
    }

    /// Memory of the buffers: all of it from the start, but for frames that inputs other than pixels are put into, and the state of [`Session::run_until`], which come with
    /// their first use. Weights belong to the deployment, see [`Summary`](super::Summary).
    pub fn bytes(&self) -> usize {
        self.arena.bytes() + 8 * self.sums.len() + self.frames.len() + self.until.as_ref().map_or(0, State::bytes)
    }

    pub(super) fn expect(&self, found: usize, frames: usize) -> Result<()> {
        let input = &self.plan.nodes[0];
        if found == frames * input.size() {
            return Ok(());
        }
        let expected = format!("{} pixels ({frames} × {:?})", frames * input.size(), input.shape);
        Err(Error::Input { expected, found: vec![found] })
    }

    /// Runs all stages over all macro-steps; memories are kept where they are given, else neurons start at rest.
    pub(crate) fn evaluate(
        &mut self,
        pixels: &[u8],
        clock: Clock,
        memories: Option<&mut Vec<Vec<i32>>>,
        observer: Option<Observer<'_>>,
    ) -> Result<()> {
        let Self { plan, arena, level, pool, sums, statistics, .. } = self;
        let mut run = Run { plan, arena, level: *level, sums, clock, statistics };
        match pool {
            // Observers are not sent to other threads; what is observed is not timed.
            Some(pool) if observer.is_none() => pool.install(|| run.all(pixels, memories, None)),
            _ => run.all(pixels, memories, observer),
        }
    }

    /// The sums of the last run or push; zeros before the first, and not to be used after one that failed.
    pub fn scores(&self) -> Scores<'_> {
        Scores::Integer(&self.sums)
    }

    pub(crate) fn sums(&self) -> &[i64] {
        &self.sums
    }
}

struct Run<'r> {
    plan: &'r Plan,
    arena: &'r mut Arena,
    level: Available,
    sums: &'r mut [i64],
    clock: Clock,
    statistics: &'r mut [NodeStatistics],
}

impl Run<'_> {
    fn all(
        &mut self,
        pixels: &[u8],
        mut memories: Option<&mut Vec<Vec<i32>>>,
        mut observer: Option<Observer<'_>>,
    ) -> Result<()> {
        self.sums.fill(0);
        for (node, located) in self.plan.nodes.iter().zip(&mut self.arena.located) {
            located.1.steps = self.clock.of(node.varies);
        }
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let Some(step) = &node.step else { continue };
            let started = (!self.statistics.is_empty()).then(Instant::now);
            let memory = memories.as_mut().map(|memories| memories[index].as_mut_slice());
            match node.place {
                Place::Events(slot) => {
                    // The buffer leaves the arena while it is filled; taking it does not allocate.
                    let mut events = std::mem::take(&mut self.arena.events[slot]);
                    let filled = self.fill(
                        (index, node, step),
                        Output::Events(events.whole(self.extent(index))),
                        memory,
                        pixels,
                    );
                    self.arena.events[slot] = events;
                    filled?;
                }
                Place::Current(_) if matches!(step, Step::Head) => self.head(node.inputs[0]),
                Place::Current(slot) => {
                    let mut currents = std::mem::take(&mut self.arena.currents[slot]);
                    let extent = self.extent(index);
                    let size = extent.rows * extent.steps * extent.width();
                    let filled =
                        self.fill((index, node, step), Output::Currents(&mut currents[..size]), memory, pixels);
                    self.arena.currents[slot] = currents;
                    filled?;
                }
                Place::Fused => {}
            }
            if let Some(started) = started {
                self.note(index, started);
            }
            if node.is_site
                && let Some(observer) = &mut observer
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
        if matches!(place, Place::Events(_)) {
            let events = self.arena.events(index);
            let lines = (0..extent.rows).flat_map(|y| (0..extent.steps).map(move |step| (y, step)));
            statistics.active +=
                lines.map(|(y, step)| events.line(y, step).range(0..extent.columns).len() as u64).sum::<u64>();
            statistics.values += (extent.rows * extent.steps * extent.width()) as u64;
        }
    }

    fn extent(&self, index: usize) -> crate::deploy::events::Extent {
        self.arena.located[index].1
    }

    fn fill(
        &mut self,
        (index, node, step): (usize, &NodePlan, &Step),
        output: Output<'_>,
        memory: Option<&mut [i32]>,
        pixels: &[u8],
    ) -> Result<()> {
        let extent = self.extent(index);
        match (step, output) {
            (Step::Stage(stage), output) => {
                let current_steps = self.clock.of(stage.varies);
                let task = Task { stage, arena: self.arena, level: self.level, extent, current_steps };
                let memory = memory.filter(|_| stage.neurons.as_ref().is_some_and(super::site::Neurons::is_stateful));
                task.run((0..extent.rows, output, memory))?;
            }
            (Step::Pixels { mean }, Output::Events(events)) => self.enter(pixels, mean, events, extent),
            (Step::Pool(pool), Output::Events(events)) => {
                let mut dense = std::mem::take(&mut self.arena.dense);
                rearrange::pool_events(pool, self.arena.events(node.inputs[0]), events, extent.steps, &mut dense);
                self.arena.dense = dense;
            }
            (Step::Pool(pool), Output::Currents(currents)) => {
                rearrange::pool_currents(pool, self.arena.currents(node.inputs[0]), currents, extent.steps);
            }
            (Step::Flatten, Output::Events(events)) => {
                rearrange::flatten_events(self.arena.events(node.inputs[0]), events, extent.steps);
            }
            (Step::Flatten, Output::Currents(currents)) => {
                rearrange::flatten_currents(self.arena.currents(node.inputs[0]), currents, extent.steps);
            }
            (Step::Concat { starts }, Output::Events(events)) => {
                let inputs = node.inputs.iter().map(|&input| self.arena.events(input)).zip(starts.iter().copied());
                rearrange::concat_events(&inputs, events, (extent, extent.steps));
            }
            (Step::Concat { starts }, Output::Currents(currents)) => {
                let inputs = node.inputs.iter().map(|&input| self.arena.currents(input)).zip(starts.iter().copied());
                rearrange::concat_currents(&inputs, currents, (extent, extent.steps));
            }
            (Step::Pixels { .. }, Output::Currents(_)) | (Step::Head, _) => {}
        }
        Ok(())
    }

    /// Eq. 1; pixels equal to the mean are zero and not sent.
    fn enter(
        &mut self,
        pixels: &[u8],
        mean: &[u8],
        mut events: crate::deploy::events::EventsMut<'_>,
        extent: crate::deploy::events::Extent,
    ) {
        let (channels, positions) = (extent.channels, extent.rows * extent.columns);
        let (levels, flags) = (&mut self.arena.pixels, &mut self.arena.flags);
        for step in 0..extent.steps {
            let frame = &pixels[step * channels * positions..][..channels * positions];
            for y in 0..extent.rows {
                for (channel, (&mean, plane)) in mean.iter().zip(frame.chunks_exact(positions)).enumerate() {
                    for (x, &pixel) in plane[y * extent.columns..][..extent.columns].iter().enumerate() {
                        levels[x * channels + channel] = i32::from(pixel) - i32::from(mean);
                        flags[x * channels + channel] = u8::from(pixel != mean);
                    }
                }
                emit::levels(self.level, levels, flags, channels, &mut events.line(y, step));
            }
        }
    }

    /// Eq. 7, before the division by T.
    fn head(&mut self, input: usize) {
        let currents = self.arena.currents(input);
        let steps = self.clock.steps;
        for step in 0..steps {
            for (sum, &value) in self.sums.iter_mut().zip(currents.line(0, step)) {
                *sum = sum.wrapping_add(i64::from(value));
            }
        }
    }
}
