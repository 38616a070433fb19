//! Recurrences: which nodes a delay ties to each other, and the order in which a graph can be
//! computed over all macro-steps at once but for those.

use super::resolve::Resolved;

/// Nodes that are computed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// One node, which may be computed for all macro-steps at once.
    AtOnce(usize),
    /// The nodes of a recurrence in order: each macro-step needs the one before.
    Loop(Vec<usize>),
}

impl Resolved {
    /// All nodes in an order in which each stage reads earlier ones and itself alone. Without a
    /// delay of a later site that is the order of the nodes.
    ///
    /// ```
    /// use snn_ir::{GraphBuilder, Stage};
    ///
    /// let mut net = GraphBuilder::new([8]);
    /// net.linear("fc1", 4).recurrent_site("act", None).linear("fc2", 2);
    /// let stages = net.build()?.resolve()?.stages();
    /// // act.delay, act.recurrent, act.sum and act; the layer before and the one after are free.
    /// assert_eq!(stages[2], Stage::Loop(vec![2, 3, 4, 5]));
    /// assert_eq!(stages.len(), 5);
    /// # Ok::<(), snn_ir::Error>(())
    /// ```
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages = Vec::with_capacity(self.nodes.len());
        let mut next = 0;
        for [first, last] in self.spans() {
            stages.extend((next..first).map(Stage::AtOnce));
            let span = first..=last;
            let forward = |node: usize| self.nodes[node].inputs.iter().any(|&read| read > node);
            // What depends on a delay of a later site, and what such a site depends on.
            let (mut below, mut above) = (vec![false; last + 1], vec![false; last + 1]);
            for node in span.clone() {
                let mut inputs = self.nodes[node].inputs.iter();
                below[node] = forward(node) || inputs.any(|&read| below[read]);
            }
            for node in span.clone().rev() {
                if forward(node) {
                    self.nodes[node].inputs.iter().for_each(|&read| above[read] = true);
                }
            }
            for node in span.clone().rev().filter(|&node| !forward(node)) {
                if above[node] {
                    self.nodes[node].inputs.iter().for_each(|&read| above[read] = true);
                }
            }
            let tied = |node: usize| below[node] && above[node];
            stages.extend(span.clone().filter(|&node| !below[node]).map(Stage::AtOnce));
            let looped: Vec<usize> = span.clone().filter(|&node| tied(node)).collect();
            if !looped.is_empty() {
                stages.push(Stage::Loop(looped));
            }
            let after = span.filter(|&node| below[node] && !above[node]);
            stages.extend(after.map(Stage::AtOnce));
            next = last + 1;
        }
        stages.extend((next..self.nodes.len()).map(Stage::AtOnce));
        stages
    }

    /// First and last node of each part of the list that delays of later sites span.
    fn spans(&self) -> Vec<[usize; 2]> {
        let mut spans: Vec<[usize; 2]> = Vec::new();
        for (node, info) in self.nodes.iter().enumerate() {
            for &read in info.inputs.iter().filter(|read| **read > node) {
                match spans.last_mut() {
                    Some([_, last]) if *last > node => *last = read.max(*last),
                    _ => spans.push([node, read]),
                }
            }
        }
        spans
    }
}
