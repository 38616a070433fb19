//! Running one sample: all buffers are made once, so that a warm run allocates nothing.

use crate::arithmetic::Arithmetic;
use crate::counting::counts::Tally;
use crate::counting::currents;
use crate::counting::event_list::EventList;
use crate::counting::spike_planes;
use crate::pool::Pooling;
use crate::counting::program::{NodeKernel, NodeProgram, Program};
use crate::neuron::{NeuronState, SiteKernel};
use crate::counting::stream::Formation;
use crate::counting::trace::Trace;
use ndarray::{ArrayViewD, Axis};
use snn_ir::Result;

/// What a node holds for its readers, channels last.
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
    /// Pixels in C, H, W order.
    pub(crate) pixels: Vec<u8>,
}

/// The pixels of one sample.
#[derive(Debug, Clone)]
pub(crate) enum Sample<'p> {
    /// `[…shape]`.
    Static(ArrayViewD<'p, u8>),
    /// `[T, …shape]`.
    Frames(ArrayViewD<'p, u8>),
}

/// Everything that changes while a program runs.
#[derive(Debug)]
pub(crate) struct RunState<A: Arithmetic> {
    buffers: Vec<Buffer<A>>,
    /// What the neurons of each node remember.
    memories: Vec<NeuronState<A>>,
    scratch: Scratch<A>,
    /// `Σ_t` of the head's input.
    pub(crate) sums: Vec<A::Sum>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) samples: u64,
}

impl<A: Arithmetic> RunState<A> {
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
        Self {
            buffers: program.nodes.iter().map(buffer).collect(),
            memories: program.nodes.iter().map(|node| node.rest.repeated(node.positions)).collect(),
            scratch: Scratch {
                accumulators: vec![A::default(); program.accumulators],
                row: vec![A::default(); program.row],
                seen: vec![0; program.row],
                pixels: vec![0; program.nodes.first().map_or(0, NodeProgram::size)],
            },
            sums: vec![A::Sum::default(); program.classes()],
            tallies: vec![Tally::default(); program.nodes.len()],
            samples: 0,
        }
    }

    /// Runs one sample whose shape has been checked. `traces` has an entry for each site, or none.
    ///
    /// # Errors
    /// A user's own neuron emits what it said it would not.
    pub(crate) fn run(
        &mut self,
        program: &Program<A>,
        sample: &Sample<'_>,
        traces: &mut [Trace],
    ) -> Result<()> {
        self.sums.fill(A::Sum::default());
        for (node, memory) in program.nodes.iter().zip(&mut self.memories) {
            memory.reset(&node.rest);
        }
        let frames = matches!(sample, Sample::Frames(_));
        for t in 0..program.time_steps {
            let mut traces = traces.iter_mut();
            for (index, node) in program.nodes.iter().enumerate() {
                let trace = if node.is_site() { traces.next() } else { None };
                // Eq. 14; the head adds what it reads at every macro-step.
                if t > 0 && !frames && !node.varies && !matches!(node.kernel, NodeKernel::Head) {
                    continue;
                }
                self.step(program, index, (sample, t))?;
                if let (Some(trace), Buffer::Events { levels, .. }) = (trace, &self.buffers[index])
                {
                    trace.record(levels, node, t);
                }
            }
        }
        self.samples += 1;
        Ok(())
    }

    fn step(
        &mut self,
        program: &Program<A>,
        index: usize,
        (sample, t): (&Sample<'_>, usize),
    ) -> Result<()> {
        let node = &program.nodes[index];
        let tally = &mut self.tallies[index];
        *tally += node.fixed;
        let (before, rest) = self.buffers.split_at_mut(index);
        let Some(output) = rest.first_mut() else { return Ok(()) };
        let scratch = &mut self.scratch;
        match (&node.kernel, output) {
            (NodeKernel::Input { mean }, Buffer::Events { levels, .. }) => {
                load(sample, t, &mut scratch.pixels);
                enter(&scratch.pixels, mean, levels);
            }
            (NodeKernel::Synapse(synapse), Buffer::Current(current)) => {
                synapse.run(&program.nodes, before, current, scratch, tally);
            }
            (NodeKernel::Site(site), Buffer::Events { levels, .. }) => {
                let current = current_of(before, node.inputs[0]);
                emit(
                    node,
                    site,
                    current,
                    &mut self.memories[index],
                    levels,
                    &mut scratch.row[..node.channels],
                )?;
                tally.events += events(node, levels);
            }
            (NodeKernel::Pool(pool), Buffer::Events { levels, .. }) => {
                let Some(input) = levels_of(before, node.inputs[0]) else { return Ok(()) };
                match pool.pooling {
                    Pooling::Sum => pool.sum_events(input, levels, scratch),
                    Pooling::Max => pool.max_events(input, levels, scratch),
                }
            }
            (NodeKernel::Flatten, Buffer::Events { levels, .. }) => {
                planes::flatten(levels_of(before, node.inputs[0]), levels);
            }
            (NodeKernel::Concat { starts }, Buffer::Events { levels, .. }) => {
                planes::concat(
                    &node.inputs.iter().map(|&i| levels_of(before, i)).zip(starts),
                    levels,
                );
            }
            (NodeKernel::Head, Buffer::Current(_)) => {
                for (sum, value) in self.sums.iter_mut().zip(current_of(before, node.inputs[0])) {
                    *sum = value.add_to(*sum);
                }
            }
            (kernel, Buffer::Current(current)) => {
                currents::join(kernel, program, node, before, current)
            }
            (NodeKernel::Synapse(_) | NodeKernel::Add | NodeKernel::Head, Buffer::Events { .. }) => {}
        }
        Ok(())
    }
}

fn levels_of<A>(buffers: &[Buffer<A>], index: usize) -> Option<&EventList<A>> {
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

/// Copies the pixels of macro-step `t`, in C, H, W order whatever the strides of the view.
fn load(sample: &Sample<'_>, t: usize, pixels: &mut [u8]) {
    let copy = |view: ArrayViewD<'_, u8>, pixels: &mut [u8]| match view.as_slice() {
        Some(slice) => pixels.copy_from_slice(slice),
        None => pixels.iter_mut().zip(view).for_each(|(to, from)| *to = *from),
    };
    match sample {
        Sample::Static(image) => copy(image.view(), pixels),
        Sample::Frames(frames) => copy(frames.index_axis(Axis(0), t), pixels),
    }
}

/// Eq. 1 for pixels in C, H, W order; those equal to the mean are zero and not listed.
fn enter<A: Arithmetic>(pixels: &[u8], mean: &[u8], list: &mut EventList<A>) {
    let positions = list.positions();
    list.begin();
    for position in 0..positions {
        for (channel, (&pixel, &mean)) in
            pixels[position..].iter().step_by(positions).zip(mean).enumerate()
        {
            if pixel != mean {
                list.push(channel, A::pixel(pixel, mean));
            }
        }
        list.end_position();
    }
}

/// One macro-step of a site: eq. 8 to 13 for every neuron, then the list of levels that are not
/// zero.
fn emit<A: Arithmetic>(
    node: &NodeProgram<A>,
    site: &A::Site,
    current: &[A],
    memory: &mut NeuronState<A>,
    levels: &mut EventList<A>,
    row: &mut [A],
) -> Result<()> {
    let (values_each, own_each) = (node.rest.values.len(), node.rest.own.len());
    levels.begin();
    for (position, currents) in current.chunks_exact(row.len()).enumerate() {
        let values = &mut memory.values[position * values_each..][..values_each];
        let own = &mut memory.own[position * own_each..][..own_each];
        site.step(currents, values, own, row)?;
        levels.push_row(row);
    }
    Ok(())
}

/// Plane entries that a site sends, by its code (eq. 15).
fn events<A: Arithmetic>(node: &NodeProgram<A>, levels: &EventList<A>) -> u64 {
    let (channels, values) = levels.entries();
    match node.stream.as_ref().map(|stream| &stream.segments[0]) {
        Some(segment) if segment.micro_steps() > 1 => {
            values.iter().map(|v| segment.events(v.level())).sum()
        }
        _ => channels.len() as u64,
    }
}
