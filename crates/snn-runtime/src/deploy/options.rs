//! How a model is deployed.

use crate::deploy::tuning::Tuning;
use snn_simd::InstructionSet;
use std::sync::Arc;

/// The most bytes that a session may take, its threads included; a limit for untrusted files. Its
/// buffers hold all macro-steps, of which a file may ask for many.
pub const MAX_BUFFER_BYTES: usize = 1 << 32;

/// How convolutions and linear layers are computed. On the grid the bits are the same; off it each
/// way has an order of sums of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// Through events as [`Kernels::Events`], and as a dense integer product where so many inputs
    /// are active that a model of costs takes that for faster; decided for every tile of image rows
    /// from the events that are there.
    #[default]
    Auto,
    /// Through events, always: work follows the spikes. In layers of 64 outputs or more, where many
    /// inputs are active at all of four macro-steps, or at every second one, events are sorted into
    /// a tree of the steps at which they occur, and the weights of such an input are added once for
    /// them; where few are, each step is added up by itself.
    Events,
    /// Through events that are sorted into the tree of steps, wherever all levels are one.
    StepTree,
    /// As a dense integer product wherever levels allow it (none negative, none above 255, or above
    /// 128 where the machine has no VNNI). Off the grid there is none: events then.
    Dense,
    /// As a dense integer product on the tiles of AMX wherever levels allow it (none negative, none
    /// above 255), which is [`Kernels::Dense`] where there is AMX; elsewhere in plain loops that
    /// take its place, slowly: for tests.
    Tiles,
}

/// How a model is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Instruction set; `None` for the best that the machine has.
    pub instruction_set: Option<InstructionSet>,
    /// Threads that work on one sample in a session; 1 is best for many samples, which
    /// [`Deployment::run`](crate::Deployment::run) spreads over threads instead.
    pub threads: usize,
    /// Threads that the samples of a batch are spread over: a pool of the deployment's own, shared
    /// with its sessions where they have as many threads. `None` for rayon's current pool.
    pub batch_threads: Option<usize>,
    /// Images of a batch that a thread takes at once, layer by layer, so that they share the loads
    /// of weights; buffers are as many times as large. `None` for several where weights do not stay
    /// in a cache from one image to the next, else one. Networks with delays, and batches whose
    /// sites are recorded, take one at a time; 0 counts as 1. It changes no bit.
    pub images_at_once: Option<usize>,
    /// How convolutions and linear layers are computed.
    pub kernels: Kernels,
    /// `true` if sessions measure what each node does.
    pub statistics: bool,
    /// Times of layers on this machine, by which [`Kernels::Auto`] chooses; `None` for a model of
    /// costs, which layers that were not measured have as well.
    pub tuning: Option<Arc<Tuning>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            instruction_set: None,
            threads: 1,
            batch_threads: None,
            images_at_once: None,
            kernels: Kernels::Auto,
            statistics: false,
            tuning: None,
        }
    }
}
