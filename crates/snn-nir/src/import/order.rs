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
    /// Finds it. On each cycle that a walk from the input meets, the edge that leaves its last
    /// neuron is delayed, so that a recurrent synapse reads the spikes of the step before.
    ///
    /// `waits` says which nodes are delays: what they read they read later.
    pub(super) fn new(flat: &Flat, waits: &BTreeSet<String>) -> Result<Self> {
        let mut delayed = BTreeSet::new();
        loop {
            match walk(flat, waits, &delayed) {
                Ok(nodes) => return Ok(Self { nodes, delayed }),
                Err(cycle) => {
                    let last = cycle.iter().rposition(|name| is_neuron(&flat.nodes[name]));
                    let Some(last) = last else {
                        return Err(Error::refused(
                            &cycle[0],
                            format!(
                                "the nodes {} form a cycle without a neuron or a Delay, whose \
                                 value at one time depends on itself",
                                cycle.join(", ")
                            ),
                        ));
                    };
                    let next = (last + 1) % cycle.len();
                    delayed.insert((cycle[last].clone(), cycle[next].clone()));
                }
            }
        }
    }
}

/// All nodes in topological order, or the nodes of a cycle, from where the walk entered it.
fn walk(
    flat: &Flat,
    waits: &BTreeSet<String>,
    delayed: &BTreeSet<(String, String)>,
) -> std::result::Result<Vec<String>, Vec<String>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        OnPath,
        Done,
    }
    let mut marks: BTreeMap<&str, Mark> = BTreeMap::new();
    let mut done = Vec::new();
    let starts = std::iter::once(flat.input.as_str()).chain(flat.nodes.keys().map(String::as_str));
    for start in starts {
        if marks.contains_key(start) {
            continue;
        }
        // Nodes on the path, each with how many of its targets were visited.
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        marks.insert(start, Mark::OnPath);
        while let Some((name, visited)) = path.last_mut() {
            let name = *name;
            let Some(target) = flat.targets_of(name).get(*visited) else {
                marks.insert(name, Mark::Done);
                done.push(name.to_owned());
                path.pop();
                continue;
            };
            *visited += 1;
            let edge = (name.to_owned(), target.clone());
            if waits.contains(target) || delayed.contains(&edge) {
                continue;
            }
            match marks.get(target.as_str()) {
                None => {
                    marks.insert(target, Mark::OnPath);
                    path.push((target, 0));
                }
                Some(Mark::Done) => {}
                Some(Mark::OnPath) => {
                    let names = path.iter().map(|(name, _)| (*name).to_owned());
                    return Err(names.skip_while(|name| name != target).collect());
                }
            }
        }
    }
    done.reverse();
    Ok(done)
}
