//! The order in which a macro-step computes the nodes, and the edges that wait for the next one.

use crate::error::{Error, Result};
use crate::flat::Flat;
use crate::op::Op;
use std::collections::{BTreeMap, BTreeSet};

/// The order of nodes.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) nodes: Vec<String>,
    /// Edges that carry the value of the macro-step before: each closes a cycle, and begins at a
    /// neuron.
    pub(super) delayed: BTreeSet<(String, String)>,
}

/// `true` for what has a state, so that its output of the step before is one that is known.
fn is_neuron(op: &Op) -> bool {
    match op {
        Op::If { .. }
        | Op::Lif { .. }
        | Op::Li { .. }
        | Op::CubaLif { .. }
        | Op::CubaLi { .. }
        | Op::I { .. }
        | Op::Threshold { .. } => true,
        Op::Input { .. }
        | Op::Output { .. }
        | Op::Affine { .. }
        | Op::Linear { .. }
        | Op::Scale { .. }
        | Op::Conv1d(_)
        | Op::Conv2d(_)
        | Op::Delay { .. }
        | Op::Flatten { .. }
        | Op::AvgPool2d(_)
        | Op::SumPool2d(_)
        | Op::Graph(_) => false,
    }
}

impl Order {
    /// Finds it by one walk from the input. Where the walk meets its own path, the edge that
    /// leaves the last neuron of the cycle is delayed, so that a recurrent synapse reads the
    /// spikes of the step before.
    ///
    /// `waits` says which nodes are delays: what they read they read later.
    pub(super) fn new(flat: &Flat, waits: &BTreeSet<String>) -> Result<Self> {
        let mut walk = Walk { flat, marks: BTreeMap::new(), done: Vec::new(), path: Vec::new() };
        let mut delayed = BTreeSet::new();
        let all = flat.nodes.keys().map(String::as_str);
        for start in std::iter::once(flat.input.as_str()).chain(all) {
            if walk.marks.contains_key(start) {
                continue;
            }
            walk.enter(start);
            while let Some((from, to)) = walk.next_edge() {
                let mark = walk.marks.get(to);
                if waits.contains(to) || mark == Some(&Mark::Done) {
                    continue;
                }
                if mark.is_none() {
                    walk.enter(to);
                } else {
                    let edge = walk.close(from, to)?;
                    delayed.insert(edge);
                }
            }
        }
        walk.done.reverse();
        Ok(Self { nodes: walk.done, delayed })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    OnPath,
    Done,
}

/// A walk in depth.
struct Walk<'f> {
    flat: &'f Flat,
    marks: BTreeMap<&'f str, Mark>,
    /// Nodes whose targets are all done, in that order.
    done: Vec<String>,
    /// Nodes on the path, each with how many of its targets were visited.
    path: Vec<(&'f str, usize)>,
}

impl<'f> Walk<'f> {
    fn enter(&mut self, name: &'f str) {
        self.marks.insert(name, Mark::OnPath);
        self.path.push((name, 0));
    }

    /// The next edge from the end of the path; nodes without one are done and leave it.
    fn next_edge(&mut self) -> Option<(&'f str, &'f str)> {
        while let Some((name, visited)) = self.path.last_mut() {
            let name = *name;
            if let Some(target) = self.flat.targets_of(name).get(*visited) {
                *visited += 1;
                return Some((name, target));
            }
            self.marks.insert(name, Mark::Done);
            self.done.push(name.to_owned());
            self.path.pop();
        }
        None
    }

    /// The edge to delay where the end of the path, `from`, leads back to `to`. The walk goes on
    /// behind it: nodes that were reached by it leave the path, to be reached again.
    fn close(&mut self, from: &str, to: &str) -> Result<(String, String)> {
        let start = self.path.iter().position(|(name, _)| *name == to).unwrap_or_default();
        let is_neuron = |(name, _): &(&str, usize)| is_neuron(&self.flat.nodes[*name]);
        let Some(last) = self.path[start..].iter().rposition(is_neuron) else {
            let cycle: Vec<&str> = self.path[start..].iter().map(|(name, _)| *name).collect();
            return Err(Error::refused(
                to,
                format!(
                    "the nodes {} form a cycle without a neuron or a Delay, whose value at one \
                     time depends on itself",
                    cycle.join(", ")
                ),
            ));
        };
        let left = self.path.split_off(start + last + 1);
        for (name, _) in &left {
            self.marks.remove(name);
        }
        Ok(match left.first() {
            None => (from.to_owned(), to.to_owned()),
            Some((next, _)) => (self.path[start + last].0.to_owned(), (*next).to_owned()),
        })
    }
}
