//! Forming the plane of one micro-step, where it is not the list of levels itself (eqs. 15 and 17).

use crate::arithmetic::Arithmetic;
use crate::counting::event_list::EventList;
use crate::counting::program::{NodeKernel, NodeProgram};
use crate::counting::state::{Buffer, Scratch};
use crate::counting::stream::{Formation, Moment, Segment, Stream};
use crate::neuron::SiteNumber;
use crate::pool::Pool;

/// The plane that a node sends at a moment, once formed; `None` if it sends nothing then.
pub(crate) fn sent<'b, A: Arithmetic>(
    stream: &Stream,
    buffer: &'b Buffer<A>,
    at: Moment,
) -> Option<&'b EventList<A>> {
    let Buffer::Events { levels, plane } = buffer else { return None };
    match stream.formation {
        Formation::Whole => {
            (at.remaining == 0 && stream.segments[0].planes(at.class) > 0).then_some(levels)
        }
        Formation::Filter | Formation::Derived => plane.as_ref(),
    }
}

/// Forms the plane of node `index` from its levels or from the planes of its inputs, which have
/// been formed.
pub(crate) fn form<A: SiteNumber>(
    nodes: &[NodeProgram<A>],
    buffers: &mut [Buffer<A>],
    index: usize,
    at: Moment,
    scratch: &mut Scratch<A>,
) {
    let node = &nodes[index];
    let (before, rest) = buffers.split_at_mut(index);
    let (Some(stream), Some(Buffer::Events { levels, plane: Some(plane) })) =
        (&node.stream, rest.first_mut())
    else {
        return;
    };
    let input = |i: usize| {
        let position = node.inputs[i];
        nodes[position].stream.as_ref().and_then(|stream| sent(stream, &before[position], at))
    };
    match (&node.kernel, stream.formation) {
        (_, Formation::Filter) => filter(levels, &stream.segments, at, plane),
        (NodeKernel::Pool(pool), _) => match input(0) {
            Some(list) => pool.sum_events(list, plane, scratch),
            None => clear(plane),
        },
        (NodeKernel::Flatten, _) => flatten(input(0), plane),
        (NodeKernel::Concat { starts }, _) => {
            concat(&(0..node.inputs.len()).map(input).zip(starts), plane);
        }
        _ => clear(plane),
    }
}

fn clear<A: Arithmetic>(plane: &mut EventList<A>) {
    plane.begin();
    for _ in 0..plane.positions() {
        plane.end_position();
    }
}

fn filter<A: Arithmetic>(
    levels: &EventList<A>,
    segments: &[Segment],
    at: Moment,
    plane: &mut EventList<A>,
) {
    if let [segment] = segments {
        // One code. It is asked at moments of other classes too, where a concatenation joins it
        // with streams of other codes.
        if segment.planes(at.class) > 0 {
            plane.select(levels, |value| segment.entry(value, at));
        } else {
            clear(plane);
        }
        return;
    }
    plane.begin();
    for position in 0..levels.positions() {
        let (channels, values) = levels.at(position);
        for (&channel, &value) in channels.iter().zip(values) {
            let channel = channel as usize;
            // A few segments: a binary search finds the one.
            let segment = &segments[segments.partition_point(|s| s.end <= channel)];
            let entry = segment.entry(value, at);
            if entry != A::default() {
                plane.push(channel, entry);
            }
        }
        plane.end_position();
    }
}

/// In C, H, W order (eq. 6): channel `c` at position `p` becomes channel `c·positions + p` of one
/// position.
pub(crate) fn flatten<A: Arithmetic>(list: Option<&EventList<A>>, flat: &mut EventList<A>) {
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
pub(crate) fn concat<'l, 's, A: Arithmetic>(
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

impl Pool {
    /// Sum pooling of a plane or of levels.
    pub(crate) fn sum_events<A: Arithmetic>(
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
    pub(crate) fn max_events<A: Arithmetic>(
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
