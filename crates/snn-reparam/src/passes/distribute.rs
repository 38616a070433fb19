//! Streams stay separate. The sum of two event streams is not an event stream, but every
//! linear operation distributes over it: `S(x₁ + x₂) = S·x₁ + S·x₂`. An add of events that a
//! synapse or a linear pooling reads, or that is masked, moves behind it.

use crate::graph_edit::{Draft, free_name};
use crate::plan::{Action, Plan, Refusal};
use snn_ir::StreamKind as Kind;
use snn_ir::{Node, Op, PoolKind, Role, Weights};
use std::collections::{HashMap, HashSet};

/// The most copies of readers that separate streams may need: adds of adds of adds double them each
/// time.
const MAX_COPIES: usize = 1 << 12;

/// Moves adds of events behind their linear readers until none is left; a max pooling that reads
/// one is refused.
pub(crate) fn adds(draft: &mut Draft, plan: &mut Plan) {
    let mut nodes = std::mem::take(&mut draft.graph.nodes);
    let mut sweep = Sweep::of(&nodes);
    nodes.reverse();
    let mut copies = 0;
    // One sweep does: what takes the place of a reader is the next to be looked at, and nothing
    // before it changes but that an add may go.
    while let Some(node) = nodes.pop() {
        let Some(add) = sweep.add_to_move(&node, plan) else {
            sweep.pass(node);
            continue;
        };
        copies += add.inputs.len();
        if copies > MAX_COPIES {
            plan.refuse(&add.name, "add", Refusal::TooManyStreams { limit: MAX_COPIES });
            sweep.pass(node);
            break;
        }
        let (name, label) = (node.name.clone(), node.op.label());
        let streams = add.inputs.len();
        nodes.extend(sweep.distribute(node, &add, &mut draft.weights).into_iter().rev());
        plan.note(&name, label, Action::MovedBefore { add: add.name, streams });
    }
    nodes.reverse();
    draft.graph.nodes = sweep.passed.into_iter().flatten().chain(nodes).collect();
}

/// A graph whose nodes are gone through in order, with what must be known of those before.
struct Sweep {
    /// Nodes that were gone through; `None` in the place of an add that is gone.
    passed: Vec<Option<Node>>,
    /// Positions of the adds of events among them.
    adds: HashMap<String, usize>,
    kinds: HashMap<String, Kind>,
    /// Names of all nodes, those that follow too.
    names: HashSet<String>,
    /// Inputs of all nodes that read a node.
    readers: HashMap<String, usize>,
}

impl Sweep {
    fn of(nodes: &[Node]) -> Self {
        let mut sweep = Self {
            passed: Vec::with_capacity(nodes.len()),
            adds: HashMap::new(),
            kinds: HashMap::new(),
            names: nodes.iter().map(|node| node.name.clone()).collect(),
            readers: HashMap::new(),
        };
        for node in nodes {
            sweep.count_inputs(node);
        }
        sweep
    }

    fn count_inputs(&mut self, node: &Node) {
        for input in &node.inputs {
            *self.readers.entry(input.clone()).or_default() += 1;
        }
    }

    fn discount_inputs(&mut self, node: &Node) {
        for input in &node.inputs {
            if let Some(count) = self.readers.get_mut(input) {
                *count -= 1;
            }
        }
    }

    /// Goes on to the next node.
    fn pass(&mut self, node: Node) {
        let inputs = node.inputs.iter().map(|input| self.kinds.get(input));
        let kind = node.op.yields(inputs.map(|kind| kind.copied().unwrap_or(Kind::Current)));
        if matches!(node.op, Op::Add) && kind != Kind::Current {
            self.adds.insert(node.name.clone(), self.passed.len());
        }
        self.kinds.insert(node.name.clone(), kind);
        self.passed.push(Some(node));
    }

    /// The add of events that a node reads and that moves behind it; a reader that is not linear is
    /// refused.
    fn add_to_move(&self, reader: &Node, plan: &mut Plan) -> Option<Node> {
        let add = reader.inputs.iter().find_map(|input| self.adds.get(input))?;
        let linear = match reader.op.role() {
            // The mask itself is binary spikes and so no add.
            Role::Synapse | Role::Shape | Role::Gate => true,
            Role::Pool => !is_max(&reader.op),
            Role::Join => match reader.op {
                Op::Add => return None,
                _ => false,
            },
            Role::Source | Role::Norm | Role::Site | Role::Delay | Role::Dropout | Role::Head => {
                return None;
            }
        };
        if !linear {
            plan.refuse(&reader.name, reader.op.label(), Refusal::NonLinearReader);
            return None;
        }
        self.passed[*add].clone()
    }

    /// `reader(add(a, b))` becomes `reader = add(reader#1(a), reader#2(b))`, the nodes that are
    /// returned; the bias goes with the first. The add goes with its last reader.
    fn distribute(&mut self, reader: Node, add: &Node, weights: &mut Weights) -> Vec<Node> {
        self.discount_inputs(&reader);
        let reads = reader.inputs.iter().position(|input| *input == add.name).unwrap_or_default();
        let mut nodes = Vec::with_capacity(add.inputs.len() + 1);
        for (number, input) in add.inputs.iter().enumerate() {
            let wanted = format!("{}#{}", reader.name, number + 1);
            let name = free_name(wanted, |name| self.names.contains(name));
            self.names.insert(name.clone());
            let mut op = reader.op.clone();
            match &mut op {
                Op::Conv(conv) if number > 0 => conv.bias = false,
                Op::Linear { bias, .. } if number > 0 => *bias = false,
                _ => {}
            }
            for part in ["weight", "bias"] {
                if let Some(tensor) = weights.get(&format!("{}.{part}", reader.name)).cloned()
                    && !(part == "bias" && number > 0)
                {
                    weights.insert(format!("{name}.{part}"), tensor);
                }
            }
            let mut inputs = reader.inputs.clone();
            inputs[reads].clone_from(input);
            nodes.push(Node::new(name, op, inputs));
        }
        for part in ["weight", "bias"] {
            weights.remove(&format!("{}.{part}", reader.name));
        }
        let inputs = nodes.iter().map(|copy| copy.name.clone()).collect();
        nodes.push(Node::new(reader.name, Op::Add, inputs));
        for node in &nodes {
            self.count_inputs(node);
        }
        if self.readers.get(&add.name) == Some(&0)
            && let Some(position) = self.adds.remove(&add.name)
        {
            self.passed[position] = None;
            self.names.remove(&add.name);
            self.discount_inputs(add);
        }
        nodes
    }
}

fn is_max(op: &Op) -> bool {
    matches!(op, Op::Pool { pool, .. } | Op::GlobalPool { pool } if *pool == PoolKind::Max)
}
