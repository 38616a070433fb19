//! How two graphs differ that share their weights.

use crate::config::flatten::flatten;
use snn_ir::{Graph, Node, Op, Role};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The difference of a graph from the one whose weights it takes by name.
#[derive(Debug, Default)]
pub(super) struct GraphDifference {
    /// One line a node.
    pub(super) lines: Vec<String>,
    /// Sites of both graphs that compute something else.
    pub(super) changed_sites: BTreeSet<String>,
    /// The first weights that would mean something else, since they would read other features than
    /// those they were trained on: what was expected, and what was found.
    pub(super) misfit: Option<(String, String)>,
}

impl GraphDifference {
    /// Compares the graph that has the weights (`there`) with the one that takes them (`here`).
    pub(super) fn between(there: &Graph, here: &Graph) -> Self {
        let (others, own) = (Nodes::of(there), Nodes::of(here));
        let mut difference = Self::default();
        for node in &here.nodes {
            let Some(other) = others.by_name.get(node.name.as_str()) else {
                difference.lines.push(format!("node `{}`: only here", node.name));
                continue;
            };
            difference.add(other, node);
            if !matches!(node.op.role(), Role::Synapse | Role::Norm) {
                continue;
            }
            let (expected, found) = (own.features(node), others.features(other));
            if expected != found && difference.misfit.is_none() {
                let text = |features: BTreeSet<String>| Vec::from_iter(features).join(", ");
                let expected = format!("weights of `{}` for {}", node.name, text(expected));
                difference.misfit = Some((expected, format!("those for {}", text(found))));
            }
        }
        let gone = there.nodes.iter().filter(|node| !own.by_name.contains_key(node.name.as_str()));
        difference.lines.extend(gone.map(|node| format!("node `{}`: only there", node.name)));
        difference
    }

    /// Adds the difference of one node.
    fn add(&mut self, there: &Node, here: &Node) {
        let is_site = matches!(here.op, Op::Activation { .. });
        let mut changes = Vec::new();
        if there.op != here.op {
            let (there, here) = (attributes(&there.op), attributes(&here.op));
            let keys: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
            for key in keys.into_iter().filter(|key| there.get(*key) != here.get(*key)) {
                let show = |values: &BTreeMap<String, String>| {
                    values.get(key).cloned().unwrap_or_else(|| "nothing".into())
                };
                let key = key.strip_prefix("site.").unwrap_or(key);
                changes.push(format!("{key} {} there, {} here", show(&there), show(&here)));
            }
        }
        if is_site && !changes.is_empty() {
            self.changed_sites.insert(here.name.clone());
        }
        if there.inputs != here.inputs {
            let (there, here) = (there.inputs.join(", "), here.inputs.join(", "));
            changes.push(format!("reads {there} there, {here} here"));
        }
        if !changes.is_empty() {
            let what = if is_site { "site" } else { "node" };
            self.lines.push(format!("{what} `{}`: {}", here.name, changes.join("; ")));
        }
    }
}

/// Attributes of an operation, as a graph file has them.
fn attributes(op: &Op) -> BTreeMap<String, String> {
    flatten(&serde_json::to_value(op).unwrap_or_default())
}

/// The nodes of a graph by name, with the shapes of their outputs.
struct Nodes<'g> {
    by_name: HashMap<&'g str, &'g Node>,
    shapes: HashMap<&'g str, Vec<usize>>,
}

impl<'g> Nodes<'g> {
    fn of(graph: &'g Graph) -> Self {
        let names = || graph.nodes.iter().map(|node| node.name.as_str());
        Self {
            by_name: names().zip(&graph.nodes).collect(),
            shapes: names().zip(graph.shapes().unwrap_or_default()).collect(),
        }
    }

    /// What a node reads: the outputs of which weights, through nodes without, and in which order
    /// they were flattened or concatenated; and in how many groups it reads them.
    fn features(&self, node: &'g Node) -> BTreeSet<String> {
        let mut features = BTreeSet::new();
        if let Op::Conv(conv) = &node.op
            && conv.groups > 1
        {
            features.insert(format!("{} groups", conv.groups));
        }
        let mut seen = HashSet::new();
        let mut rest: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
        while let Some(name) = rest.pop() {
            let Some(input) = self.by_name.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            match input.op.role() {
                Role::Source => drop(features.insert("the samples".into())),
                Role::Synapse | Role::Norm => {
                    features.insert(format!("`{name}`"));
                    continue;
                }
                Role::Shape => {
                    let shape =
                        input.inputs.first().and_then(|name| self.shapes.get(name.as_str()));
                    features
                        .insert(format!("{:?} flattened", shape.map_or(&[][..], Vec::as_slice)));
                }
                Role::Join if input.op == Op::Concat => {
                    features.insert(format!("{} concatenated", input.inputs.join(" and ")));
                }
                Role::Site | Role::Pool | Role::Join | Role::Head => {}
            }
            rest.extend(input.inputs.iter().map(String::as_str));
        }
        features
    }
}
