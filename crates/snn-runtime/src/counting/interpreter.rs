//! Runs one sample through a compiled program.

use crate::arithmetic::Arithmetic;
use crate::counting::event_list::EventList;
use crate::counting::program::{NodeKernel, NodeProgram, Program};
use crate::counting::rearrange;
use crate::counting::state::{Buffer, RunState, Sample, current_of, levels_of};
use crate::counting::trace::Trace;
use crate::neuron::{NeuronState, SiteKernel, SiteNumber};
use snn_ir::{MASKED, Result};

impl<A: SiteNumber> RunState<A> {
    /// Runs one sample whose shape has been checked. `traces` has an entry for each site, or none.
    ///
    /// # Errors
    /// A user's own neuron emits what it said it would not.
    pub(crate) fn run(
        &mut self,
        program: &Program<A>,
        sample: Sample<'_>,
        traces: &mut [Trace],
    ) -> Result<()> {
        self.sums.fill(A::Sum::default());
        for (node, memory) in program.nodes.iter().zip(&mut self.memories) {
            memory.reset(&node.rest);
        }
        for t in 0..program.time_steps {
            let mut traces = traces.iter_mut();
            for (index, node) in program.nodes.iter().enumerate() {
                let trace = if node.is_site() { traces.next() } else { None };
                // Eq. 14; the head adds what it reads at every macro-step.
                if t > 0
                    && !sample.frames
                    && !node.varies
                    && !matches!(node.kernel, NodeKernel::Head)
                {
                    continue;
                }
                self.step(program, index, (sample, t))?;
                if let (Some(trace), Buffer::Events { levels, .. }) = (trace, &self.buffers[index])
                {
                    trace.record(levels, node, t);
                }
            }
            self.keep(program, t);
        }
        self.samples += 1;
        Ok(())
    }

    /// Keeps what delays yield later.
    fn keep(&mut self, program: &Program<A>, t: usize) {
        for (node, delayed) in program.nodes.iter().zip(&mut self.delayed) {
            if let NodeKernel::Delay { steps } = node.kernel
                && let Some(levels) = levels_of(&self.buffers, node.inputs[0])
            {
                delayed[t % steps].select(levels, |value| value);
            }
        }
    }

    fn step(
        &mut self,
        program: &Program<A>,
        index: usize,
        (sample, t): (Sample<'_>, usize),
    ) -> Result<()> {
        let node = &program.nodes[index];
        let tally = &mut self.tallies[index];
        *tally += node.fixed;
        let (before, rest) = self.buffers.split_at_mut(index);
        let Some(output) = rest.first_mut() else { return Ok(()) };
        let scratch = &mut self.scratch;
        match (&node.kernel, output) {
            (NodeKernel::Input { mean }, Buffer::Events { levels, .. }) => {
                enter(sample.frame(t, node.size()), mean, levels);
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
            // What is kept is of this sample from the macro-step d on.
            (&NodeKernel::Delay { steps }, Buffer::Events { levels, .. }) => {
                if t < steps {
                    levels.clear();
                } else {
                    levels.select(&self.delayed[index][t % steps], |value| value);
                }
            }
            (NodeKernel::Head, Buffer::Current(_)) => {
                for (sum, score) in self.sums.iter_mut().zip(current_of(before, node.inputs[0])) {
                    let before = (t > 0).then_some(*sum);
                    *sum = program.readout.after(before, score.to_sum(), A::add);
                }
            }
            (kernel, Buffer::Current(current)) => {
                rearrange::currents(kernel, program, node, before, current);
            }
            (kernel, Buffer::Events { levels, .. }) => {
                if matches!(kernel, NodeKernel::Mask(_))
                    && let Some(list) = levels_of(before, node.inputs[MASKED])
                {
                    tally.comparisons += list.entries().0.len() as u64;
                }
                rearrange::events(node, |i| levels_of(before, node.inputs[i]), levels, scratch);
            }
        }
        Ok(())
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
fn emit<A: SiteNumber>(
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
fn events<A: SiteNumber>(node: &NodeProgram<A>, levels: &EventList<A>) -> u64 {
    let (channels, values) = levels.entries();
    match node.stream.as_ref().map(|stream| &stream.segments[0]) {
        Some(segment) if segment.micro_steps() > 1 => {
            values.iter().map(|v| segment.events(v.level())).sum()
        }
        _ => channels.len() as u64,
    }
}
