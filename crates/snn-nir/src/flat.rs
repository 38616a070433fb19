//! A graph without sub-graphs: their nodes stand in it under names with dots.

use crate::error::{Error, Result};
use crate::graph::{NirGraph, path_of};
use crate::op::Op;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes with what they read and who reads them, sub-graphs dissolved.
#[derive(Debug, Default)]
pub(crate) struct Flat {
    pub(crate) nodes: BTreeMap<String, Op>,
    pub(crate) sources: BTreeMap<String, Vec<String>>,
    pub(crate) targets: BTreeMap<String, Vec<String>>,
    /// The one input and the one output.
    pub(crate) input: String,
    pub(crate) output: String,
}

impl Flat {
    pub(crate) fn new(graph: &NirGraph) -> Result<Self> {
        let mut flat = Self::default();
        let mut ends = Vec::new();
        let (input, output) = flat.dissolve(graph, "", &mut ends)?;
        (flat.input, flat.output) = (input, output);
        for end in ends {
            flat.contract(&end)?;
        }
        Ok(flat)
    }

    /// Adds the nodes and edges of a graph that is at `place`; returns its input and output. Those
    /// of graphs in it pass on what they read, and are put on the list of `ends`.
    fn dissolve(
        &mut self,
        graph: &NirGraph,
        place: &str,
        ends: &mut Vec<String>,
    ) -> Result<(String, String)> {
        let mut inner = BTreeMap::new();
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for (name, node) in &graph.nodes {
            let path = path_of(place, name);
            match &node.op {
                Op::Graph(graph) => {
                    let (input, output) = self.dissolve(graph, &path, ends)?;
                    ends.extend([input.clone(), output.clone()]);
                    inner.insert(name.as_str(), (input, output));
                    continue;
                }
                Op::Input { .. } => inputs.push(path.clone()),
                Op::Output { .. } => outputs.push(path.clone()),
                _ => {}
            }
            if self.nodes.insert(path.clone(), node.op.clone()).is_some() {
                return Err(Error::node(
                    &path,
                    "two nodes have this name once those of sub-graphs stand behind a dot",
                ));
            }
        }
        for (from, to) in &graph.edges {
            let source = inner.get(from.as_str()).map(|(_, output)| output.clone());
            let target = inner.get(to.as_str()).map(|(input, _)| input.clone());
            self.connect(
                source.unwrap_or_else(|| path_of(place, from)),
                target.unwrap_or_else(|| path_of(place, to)),
            );
        }
        let one = |mut ends: Vec<String>, what: &str| {
            if ends.len() == 1 {
                return Ok(ends.remove(0));
            }
            let reason = format!(
                "expected one {what} node, found {}: which is which could only be guessed",
                ends.len()
            );
            Err(if place.is_empty() { Error::Graph(reason) } else { Error::refused(place, reason) })
        };
        Ok((one(inputs, "Input")?, one(outputs, "Output")?))
    }

    fn connect(&mut self, from: String, to: String) {
        self.targets.entry(from.clone()).or_default().push(to.clone());
        self.sources.entry(to).or_default().push(from);
    }

    /// Takes out the Input or Output of a sub-graph, which passes on the sum that it reads.
    fn contract(&mut self, end: &str) -> Result<()> {
        self.nodes.remove(end);
        let sources = self.sources.remove(end).unwrap_or_default();
        let targets = self.targets.remove(end).unwrap_or_default();
        for from in &sources {
            self.targets.get_mut(from).into_iter().for_each(|all| all.retain(|to| to != end));
        }
        for to in &targets {
            self.sources.get_mut(to).into_iter().for_each(|all| all.retain(|from| from != end));
        }
        for (from, to) in sources.iter().flat_map(|from| targets.iter().map(move |to| (from, to))) {
            if self.sources.get(to).is_some_and(|all| all.contains(from)) {
                return Err(Error::Edge {
                    from: from.clone(),
                    to: to.clone(),
                    reason: format!("it stands twice, once by way of `{end}`"),
                });
            }
            self.connect(from.clone(), to.clone());
        }
        Ok(())
    }

    /// Removes nodes that do not lead to the output, and returns their names.
    pub(crate) fn prune(&mut self) -> Vec<String> {
        let mut reached = BTreeSet::new();
        let mut pending = vec![self.output.clone()];
        while let Some(name) = pending.pop() {
            if reached.insert(name.clone()) {
                pending.extend(self.sources_of(&name).to_vec());
            }
        }
        let lost: Vec<String> =
            self.nodes.keys().filter(|name| !reached.contains(*name)).cloned().collect();
        for name in &lost {
            self.nodes.remove(name);
            self.sources.remove(name);
            self.targets.remove(name);
        }
        for all in self.targets.values_mut() {
            all.retain(|to| reached.contains(to));
        }
        lost
    }

    pub(crate) fn sources_of(&self, name: &str) -> &[String] {
        self.sources.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn targets_of(&self, name: &str) -> &[String] {
        self.targets.get(name).map_or(&[], Vec::as_slice)
    }
}
