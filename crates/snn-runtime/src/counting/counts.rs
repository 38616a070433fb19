//! Operation counts, node by node (`docs/semantics.md`, section 8).

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Operations of one node, or of a network.
///
/// - An addition is one weight added or, for a spike of −1, subtracted; a plane entry with a count
///   of n (sum pooling, eq. 17) is n additions, though the interpreter may multiply once.
/// - A multiplication is a pixel or a graded payload times a weight, together with its addition (a
///   MAC). Pixels equal to the mean are zero and are not sent. Doubling an accumulator between
///   bit-planes is a shift and is not counted.
/// - What happens once for each neuron rather than for each event is kept apart: `rescalings` (M of
///   eq. 12) and `sums` (biases, adds and sum pools of currents).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Plane entries that a site sent, as its own code sends its levels; an event sent to several
    /// readers is one.
    pub events: u64,
    /// Weights added: events × real fan-out.
    pub additions: u64,
    /// Pixels and payloads times weights.
    pub multiplications: u64,
    /// Comparisons with thresholds (D for a site of D levels, two for a ternary one, one for a
    /// binary or unquantised one), of max pools (one less than the values inside a window) and of
    /// masks (one for each event that meets one).
    pub comparisons: u64,
    /// Neurons updated, one for each macro-step.
    pub neuron_updates: u64,
    /// Multipliers M ≠ 1 applied to an accumulator.
    pub rescalings: u64,
    /// Additions without a weight: biases, adds of currents, sum pools of currents.
    pub sums: u64,
    /// Planes that a site sent, empty ones too: its micro-steps.
    pub micro_steps: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.additions += other.additions;
        self.multiplications += other.multiplications;
        self.comparisons += other.comparisons;
        self.neuron_updates += other.neuron_updates;
        self.rescalings += other.rescalings;
        self.sums += other.sums;
        self.micro_steps += other.micro_steps;
    }
}

/// Operations of one node over all samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    /// Name of the node.
    pub node: String,
    /// Its operation, as [`snn_ir::Op::label`] names it.
    pub op: String,
    /// Neurons of a site; 0 for anything else.
    pub neurons: u64,
    /// The node's counts.
    #[serde(flatten)]
    pub tally: Tally,
}

impl NodeCounts {
    /// Events for each neuron and macro-step in which it was updated: `events/(neurons·T·samples)`,
    /// without T in the time-invariant prefix. `None` for a node that is no site, or before the
    /// first sample.
    pub fn firing_rate(&self) -> Option<f64> {
        (self.tally.neuron_updates > 0)
            .then(|| self.tally.events as f64 / self.tally.neuron_updates as f64)
    }
}

/// Operations of a network since its counts were last reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Samples.
    pub samples: u64,
    /// Macro-steps T of one sample.
    pub time_steps: usize,
    /// Every node, in graph order.
    pub nodes: Vec<NodeCounts>,
}

impl Counts {
    /// Sum over all nodes.
    pub fn total(&self) -> Tally {
        self.nodes.iter().fold(Tally::default(), |mut sum, node| {
            sum += node.tally;
            sum
        })
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&NodeCounts> {
        self.nodes.iter().find(|node| node.node == name)
    }
}
