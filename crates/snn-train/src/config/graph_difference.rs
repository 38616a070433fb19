//! How two graphs differ that share their weights.

use crate::config::flatten::flatten;
use snn_ir::{Form, Graph, Node, Op, Role};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

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
            // A site of another kind begins as usual; one without weights has none to misplace.
            let keeps_weights = match node.op.role() {
                Role::Synapse | Role::Norm => true,
                Role::Site => node.op == other.op && has_weights(&node.op),
                _ => false,
            };
            let (expected, found) = (own.read(node), others.read(other));
            if keeps_weights && expected != found && difference.misfit.is_none() {
                let expected = format!("weights of `{}` for {}", node.name, text(&expected));
                difference.misfit = Some((expected, format!("those for {}", text(&found))));
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
        if there.frozen != here.frozen {
            let say = |node: &Node| if node.frozen { "frozen" } else { "learned" };
            changes.push(format!("{} there, {} here", say(there), say(here)));
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

fn has_weights(op: &Op) -> bool {
    op.parts(1, 1, Form::Trained).is_ok_and(|parts| !parts.is_empty())
}

/// Attributes of an operation, as a graph file has them.
fn attributes(op: &Op) -> BTreeMap<String, String> {
    flatten(&serde_json::to_value(op).unwrap_or_default())
}

/// The nodes of a graph by name, with what they yield.
struct Nodes<'g> {
    by_name: HashMap<&'g str, &'g Node>,
    /// The features of each node: the outputs of which weights reach it, through nodes without,
    /// and in which order they were flattened or concatenated.
    features: HashMap<&'g str, BTreeSet<String>>,
}

impl<'g> Nodes<'g> {
    fn of(graph: &'g Graph) -> Self {
        let shapes = graph.shapes().unwrap_or_default();
        let mut nodes = Self { by_name: HashMap::new(), features: HashMap::new() };
        let mut shape_of: HashMap<&str, &[usize]> = HashMap::new();
        for (node, shape) in graph.nodes.iter().zip(&shapes) {
            let one = |feature: String| BTreeSet::from([shortened(feature)]);
            let features = match node.op.role() {
                Role::Source => one("the samples".into()),
                Role::Synapse | Role::Norm => one(format!("`{}`", node.name)),
                Role::Shape => {
                    let input = node.inputs.first().and_then(|input| shape_of.get(input.as_str()));
                    let shape = input.copied().unwrap_or_default();
                    one(format!("{shape:?} flattened of {}", text(&nodes.read(node))))
                }
                Role::Join if node.op == Op::Concat => {
                    let parts = node.inputs.iter().map(|input| text(&nodes.of_node(input)));
                    one(format!("({})", parts.collect::<Vec<_>>().join(") then (")))
                }
                // The site may stand later.
                Role::Delay => one(format!("`{}` before", node.inputs.join(", "))),
                Role::Gate => {
                    let parts = node.inputs.iter().map(|input| text(&nodes.of_node(input)));
                    one(format!("({})", parts.collect::<Vec<_>>().join(") masks (")))
                }
                Role::Site | Role::Pool | Role::Join | Role::Dropout | Role::Head => {
                    nodes.read(node)
                }
            };
            shape_of.insert(&node.name, shape);
            nodes.by_name.insert(&node.name, node);
            nodes.features.insert(&node.name, features);
        }
        nodes
    }

    fn of_node(&self, name: &str) -> BTreeSet<String> {
        self.features.get(name).cloned().unwrap_or_default()
    }

    /// Features that a node reads, and in how many groups it reads them.
    fn read(&self, node: &Node) -> BTreeSet<String> {
        let mut features: BTreeSet<String> =
            node.inputs.iter().flat_map(|input| self.of_node(input)).collect();
        if let Op::Conv(conv) = &node.op
            && conv.groups > 1
        {
            features.insert(format!("{} groups", conv.groups));
        }
        features
    }
}

fn text(features: &BTreeSet<String>) -> String {
    features.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A feature of a length that stays readable: a concatenation of concatenations doubles it each
/// time. What is cut is told apart by its hash.
fn shortened(feature: String) -> String {
    const LONGEST: usize = 300;
    match feature.char_indices().nth(LONGEST) {
        None => feature,
        Some((end, _)) => {
            let mut hasher = DefaultHasher::new();
            feature.hash(&mut hasher);
            format!("{}… ({:016x})", &feature[..end], hasher.finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::GraphDifference;
    use snn_ir::{Conv, Graph, Op, PoolKind, QuantRelu, Site};

    /// Two convolutions whose outputs go on as `pools` and `sites` say, and one that reads both.
    fn graph(pools: [&str; 2], site: &str) -> Graph {
        let conv = || Op::Conv(Conv::square(2, 1, 1));
        let pool = || Op::GlobalPool { pool: PoolKind::Max };
        let mut graph = Graph::default();
        graph.push("image", Op::Input { shape: vec![1, 2, 2] }, &[]);
        graph.push("a", conv(), &["image"]);
        graph.push("b", conv(), &["image"]);
        graph.push("pool1", pool(), &[pools[0]]);
        graph.push("pool2", pool(), &[pools[1]]);
        graph.push("both", Op::Concat, &["pool1", "pool2"]);
        graph.push("fc", Op::Linear { features: 2, bias: false }, &["both"]);
        let learned = Site::QuantRelu(QuantRelu::default());
        graph.push("site", Op::Activation { site: learned, code: None }, &[site]);
        graph
    }

    #[test]
    fn weights_that_would_read_other_features_are_found() {
        let trained = graph(["a", "b"], "a");
        let misfit = |other: &Graph| GraphDifference::between(&trained, other).misfit;
        assert_eq!(misfit(&trained.clone()), None);
        let (expected, found) = misfit(&graph(["b", "a"], "a")).unwrap();
        assert_eq!(expected, "weights of `fc` for (`b`) then (`a`)");
        assert_eq!(found, "those for (`a`) then (`b`)");
        // Steps that were learned for the channels of another convolution.
        let (expected, _) = misfit(&graph(["a", "b"], "b")).unwrap();
        assert_eq!(expected, "weights of `site` for `b`");
    }

    #[test]
    fn concatenations_of_concatenations_stay_readable() {
        let mut deep = graph(["a", "b"], "a");
        let mut last = "both".to_string();
        for n in 0..40 {
            last = deep.push(format!("twice{n}"), Op::Concat, &[&last, &last]);
        }
        deep.push("end", Op::Linear { features: 2, bias: false }, &[&last]);
        assert_eq!(GraphDifference::between(&deep, &deep).misfit, None);
    }
}
