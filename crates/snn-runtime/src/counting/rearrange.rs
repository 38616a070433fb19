//! Operations that pool, join, rearrange or mask currents or events (eqs. 5, 6 and 6b), channels
//! last.

use crate::arithmetic::Arithmetic;
use crate::counting::event_list::EventList;
use crate::counting::program::{NodeKernel, NodeProgram, Program};
use crate::counting::state::{Buffer, Scratch, current_of};
use crate::mask::Mask;
use crate::neuron::SiteNumber;
use crate::pool::{Pool, Pooling};
use snn_ir::MASKED;

/// Runs a node that reads currents and yields one.
pub(crate) fn currents<A: SiteNumber>(
    kernel: &NodeKernel<A>,
    program: &Program<A>,
    node: &NodeProgram<A>,
    before: &[Buffer<A>],
    output: &mut [A],
) {
    let input = |i: usize| current_of(before, node.inputs[i]);
    match kernel {
        NodeKernel::Add => {
            output.copy_from_slice(input(0));
            for i in 1..node.inputs.len() {
                output.iter_mut().zip(input(i)).for_each(|(sum, &x)| *sum = sum.plus(x));
            }
        }
        NodeKernel::Pool(pool) => pool.currents(input(0), output),
        NodeKernel::Flatten => {
            let positions = program.nodes[node.inputs[0]].positions;
            let channels = output.len() / positions;
            for (position, row) in input(0).chunks_exact(channels).enumerate() {
                output[position..]
                    .iter_mut()
                    .step_by(positions)
                    .zip(row)
                    .for_each(|(to, &from)| *to = from);
            }
        }
        NodeKernel::Concat { starts } => {
            for (i, &start) in starts.iter().enumerate() {
                let channels = program.nodes[node.inputs[i]].channels;
                for (row, x) in
                    output.chunks_exact_mut(node.channels).zip(input(i).chunks_exact(channels))
                {
                    row[start..start + channels].copy_from_slice(x);
                }
            }
        }
        NodeKernel::Input { .. }
        | NodeKernel::Synapse(_)
        | NodeKernel::Site(_)
        | NodeKernel::Delay { .. }
        | NodeKernel::Mask(_)
        | NodeKernel::Head => {}
    }
}

/// Runs a node that reads events and yields events: levels, or a plane of them. `input` gives the
/// list of each input, `None` where it sends nothing.
pub(crate) fn events<'l, A: SiteNumber + 'l>(
    node: &NodeProgram<A>,
    input: impl Fn(usize) -> Option<&'l EventList<A>>,
    output: &mut EventList<A>,
    scratch: &mut Scratch<A>,
) {
    match &node.kernel {
        NodeKernel::Pool(pool) => match (input(0), pool.pooling) {
            (Some(list), Pooling::Sum) => pool.sum_events(list, output, scratch),
            (Some(list), Pooling::Max) => pool.max_events(list, output, scratch),
            (None, _) => output.clear(),
        },
        NodeKernel::Flatten => flatten(input(0), output),
        NodeKernel::Concat { starts } => {
            concat(&(0..node.inputs.len()).map(&input).zip(starts), output);
        }
        NodeKernel::Mask(mask) => match (input(0), input(MASKED)) {
            (Some(spikes), Some(list)) => mask.events(spikes, list, output, scratch),
            _ => output.clear(),
        },
        NodeKernel::Input { .. }
        | NodeKernel::Synapse(_)
        | NodeKernel::Site(_)
        | NodeKernel::Add
        | NodeKernel::Delay { .. }
        | NodeKernel::Head => output.clear(),
    }
}

/// In C, H, W order (eq. 6): channel `c` at position `p` becomes channel `c·positions + p` of one
/// position.
fn flatten<A: Arithmetic>(list: Option<&EventList<A>>, flat: &mut EventList<A>) {
    flat.begin();
    if let Some(list) = list {
        let positions = list.positions();
        for position in 0..positions {
            let (channels, values) = list.at(position);
            for (&channel, &value) in channels.iter().zip(values) {
                flat.push(channel as usize * positions + position, value);
            }
        }
    }
    flat.end_position();
}

/// Along channels (eq. 6): each list with the channel at which it starts.
fn concat<'l, 's, A: Arithmetic>(
    lists: &(impl Iterator<Item = (Option<&'l EventList<A>>, &'s usize)> + Clone),
    joined: &mut EventList<A>,
) {
    joined.begin();
    for position in 0..joined.positions() {
        for (list, start) in lists.clone() {
            let Some(list) = list else { continue };
            let (channels, values) = list.at(position);
            for (&channel, &value) in channels.iter().zip(values) {
                joined.push(start + channel as usize, value);
            }
        }
        joined.end_position();
    }
}

impl Mask {
    /// What passes of levels or of a plane; `spikes` are those of the mask.
    fn events<A: Arithmetic>(
        &self,
        spikes: &EventList<A>,
        list: &EventList<A>,
        passed: &mut EventList<A>,
        scratch: &mut Scratch<A>,
    ) {
        let seen = &mut scratch.seen[..self.groups];
        seen.fill(0);
        passed.begin();
        for position in 0..list.positions() {
            let (groups, _) = spikes.at(if self.everywhere { 0 } else { position });
            for &group in groups {
                seen[group as usize] = 1;
            }
            let (channels, values) = list.at(position);
            for (&channel, &value) in channels.iter().zip(values) {
                if self.passes(seen[channel as usize / self.group] != 0) {
                    passed.push(channel as usize, value);
                }
            }
            passed.end_position();
            for &group in groups {
                seen[group as usize] = 0;
            }
        }
    }
}

impl Pool {
    /// Sum pooling of a plane or of levels.
    fn sum_events<A: Arithmetic>(
        &self,
        list: &EventList<A>,
        pooled: &mut EventList<A>,
        scratch: &mut Scratch<A>,
    ) {
        let row = &mut scratch.row[..self.channels];
        pooled.begin();
        self.grid.for_each_output(|_, rows, columns| {
            row.fill(A::default());
            self.grid.for_each_tap(rows, columns, |_, position| {
                let (channels, values) = list.at(position);
                for (&channel, &value) in channels.iter().zip(values) {
                    let sum = &mut row[channel as usize];
                    *sum = sum.plus(value);
                }
            });
            pooled.push_row(row);
        });
    }

    /// Max pooling of levels or pixels; what a list leaves out is zero.
    fn max_events<A: Arithmetic>(
        &self,
        list: &EventList<A>,
        pooled: &mut EventList<A>,
        scratch: &mut Scratch<A>,
    ) {
        let row = &mut scratch.row[..self.channels];
        let seen = &mut scratch.seen[..self.channels];
        pooled.begin();
        self.grid.for_each_output(|_, rows, columns| {
            row.fill(A::default());
            seen.fill(0);
            let mut inside = 0;
            self.grid.for_each_tap(rows, columns, |_, position| {
                inside += 1;
                let (channels, values) = list.at(position);
                for (&channel, &value) in channels.iter().zip(values) {
                    let channel = channel as usize;
                    if seen[channel] == 0 || value > row[channel] {
                        row[channel] = value;
                    }
                    seen[channel] += 1;
                }
            });
            for (largest, &seen) in row.iter_mut().zip(&*seen) {
                if seen < inside && *largest < A::default() {
                    *largest = A::default();
                }
            }
            pooled.push_row(row);
        });
    }
}
