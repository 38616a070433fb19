//! The data of a compiled model: every node with what it needs, in the order in which they run.

use crate::counting::counts::Tally;
use crate::counting::stream::{Pass, Stream};
use crate::counting::weights::SynapseWeights;
use crate::mask::Mask;
use crate::neuron::{NeuronState, SiteNumber};
use crate::pool::Pool;
use snn_ir::Readout;

/// Name of the counting interpreter in reports and errors.
pub(crate) const NAME: &str = "counting";

/// Kernel of a node. Pooling, flatten and concat take events or currents, by what the node yields.
#[derive(Debug)]
pub(crate) enum NodeKernel<A: SiteNumber> {
    Input {
        mean: Vec<u8>,
    },
    Synapse(Synapse<A>),
    Site(A::Site),
    Pool(Pool),
    Flatten,
    Concat {
        starts: Vec<usize>,
    },
    Mask(Mask),
    Add,
    /// The events of its input, of so many macro-steps before.
    Delay {
        steps: usize,
    },
    Head,
}

/// A convolution, linear layer or scale, ready to run.
#[derive(Debug)]
pub(crate) struct Synapse<A> {
    pub(crate) weights: SynapseWeights<A>,
    /// Output channels.
    pub(crate) channels: usize,
    /// Node whose events or pixels it reads.
    pub(crate) source: usize,
    /// Nodes whose planes are formed at each micro-step, in order; the source is the last, unless
    /// its levels are its plane.
    pub(crate) chain: Vec<usize>,
    /// Its planes at each macro-step.
    pub(crate) passes: Vec<Pass>,
    /// Real fan-out of a channel at each input position.
    pub(crate) fan_out: Vec<u64>,
    /// M of eq. 12; the grid only, and not for a scale.
    pub(crate) multiplier: Option<Vec<A>>,
    pub(crate) bias: Option<Vec<A>>,
}

/// One node of a program.
#[derive(Debug)]
pub(crate) struct NodeProgram<A: SiteNumber> {
    pub(crate) name: String,
    pub(crate) label: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) channels: usize,
    pub(crate) positions: usize,
    /// `true` if it is computed at every macro-step for a static image (eq. 14).
    pub(crate) varies: bool,
    pub(crate) inputs: Vec<usize>,
    pub(crate) kernel: NodeKernel<A>,
    /// The stream that the node sends; `None` for a current.
    pub(crate) stream: Option<Stream>,
    /// Operations of each run that do not depend on the data.
    pub(crate) fixed: Tally,
    /// State of one position before the first macro-step; nothing of a node that is no site.
    pub(crate) rest: NeuronState<A>,
    /// `true` if a trace of it holds real values in place of levels.
    pub(crate) traces_values: bool,
}

impl<A: SiteNumber> NodeProgram<A> {
    pub(crate) fn size(&self) -> usize {
        self.channels * self.positions
    }

    pub(crate) fn is_site(&self) -> bool {
        matches!(self.kernel, NodeKernel::Site(_))
    }
}

/// A compiled model.
#[derive(Debug)]
pub(crate) struct Program<A: SiteNumber> {
    pub(crate) nodes: Vec<NodeProgram<A>>,
    pub(crate) time_steps: usize,
    pub(crate) readout: Readout,
    /// Accumulators that the widest synapse needs.
    pub(crate) accumulators: usize,
    /// Channels of the widest node.
    pub(crate) row: usize,
}

impl<A: SiteNumber> Program<A> {
    pub(crate) fn classes(&self) -> usize {
        self.nodes.last().map_or(0, |head| head.channels)
    }

    pub(crate) fn sites(&self) -> impl Iterator<Item = &NodeProgram<A>> {
        self.nodes.iter().filter(|node| node.is_site())
    }
}
