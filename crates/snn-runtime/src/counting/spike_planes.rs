//! Forming the plane of one micro-step, where it is not the list of levels itself (eqs. 15 and 17).

use crate::arithmetic::Arithmetic;
use crate::counting::event_list::EventList;
use crate::counting::program::{NodeKernel, NodeProgram};
use crate::counting::rearrange;
use crate::counting::state::{Buffer, Scratch, levels_of};
use crate::counting::stream::{Formation, Moment, Segment, Stream};
use crate::neuron::SiteNumber;
use snn_ir::MASKED;

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
        // A mask holds for every plane of what it masks.
        if matches!(node.kernel, NodeKernel::Mask(_)) && i != MASKED {
            return levels_of(before, position);
        }
        nodes[position].stream.as_ref().and_then(|stream| sent(stream, &before[position], at))
    };
    match stream.formation {
        Formation::Filter => filter(levels, &stream.segments, at, plane),
        Formation::Whole | Formation::Derived => rearrange::events(node, input, plane, scratch),
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
            plane.clear();
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
