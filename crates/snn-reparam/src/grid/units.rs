//! Units of the grid: one for each channel of an accumulator, that is of everything that currents
//! are summed into.
//!
//! The channels of all current nodes are joined where values are added, pooled, flattened,
//! concatenated or read out together; each class of joined channels gets one unit.

use snn_ir::{Model, Resolved, Role, StreamKind as Kind, Streams};

/// Union-find over the channels of all nodes; those of event nodes stay alone and are never asked
/// for.
pub(crate) struct Channels {
    offsets: Vec<usize>,
    parents: Vec<usize>,
}

impl Channels {
    /// Joins the channels of a converted model.
    pub(crate) fn of(model: &Model, resolved: &Resolved, streams: &Streams) -> Self {
        let mut offsets = Vec::with_capacity(resolved.nodes.len());
        let mut total = 0;
        for node in &resolved.nodes {
            offsets.push(total);
            total += node.shape[0];
        }
        let mut channels = Self { offsets, parents: (0..total).collect() };
        for (index, (node, info)) in model.graph().nodes.iter().zip(&resolved.nodes).enumerate() {
            if info.inputs.iter().any(|&input| streams.kinds[input] != Kind::Current) {
                continue;
            }
            let count = info.shape[0];
            // All logits share one unit.
            if node.op.role() == Role::Head {
                (0..count).for_each(|c| channels.join((index, 0), (info.inputs[0], c)));
            }
            let widths: Vec<usize> =
                info.inputs.iter().map(|&input| resolved.nodes[input].shape[0]).collect();
            for (&input, pairs) in info.inputs.iter().zip(node.op.passed_channels(&widths, count)) {
                for (own, its) in pairs {
                    channels.join((index, own), (input, its));
                }
            }
        }
        channels
    }

    /// The class of a channel of a node.
    pub(crate) fn class(&mut self, node: usize, channel: usize) -> usize {
        let mut at = self.offsets[node] + channel;
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    /// Number of channels of all nodes: every class is below it.
    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }

    fn join(&mut self, a: (usize, usize), b: (usize, usize)) {
        let (a, b) = (self.class(a.0, a.1), self.class(b.0, b.1));
        self.parents[a.max(b)] = a.min(b);
    }
}
