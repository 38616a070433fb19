//! Activation sites of both number types, and the state of their neurons.

pub(crate) mod custom;
pub(crate) mod grid;
pub(crate) mod real;

use crate::arithmetic::Arithmetic;
use snn_ir::Model;
use snn_ir::{Error, Neurons, Result, Site};

/// Where a site stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SiteSource<'m> {
    pub(crate) model: &'m Model,
    pub(crate) node: &'m str,
    pub(crate) channels: usize,
    /// Where a user's own neurons are looked up.
    pub(crate) neurons: &'m Neurons,
}

impl SiteSource<'_> {
    /// An error that names the site.
    pub(crate) fn refuse<V>(&self, reason: impl Into<String>) -> Result<V> {
        Err(Error::Refused { node: self.node.into(), reason: reason.into() })
    }
}

/// A number type in which sites compute.
pub(crate) trait SiteNumber: Arithmetic {
    /// Sites of this number type.
    type Site: SiteKernel<Self>;
}

/// A site ready to run on rows of channels.
pub(crate) trait SiteKernel<A>: Sized + std::fmt::Debug + Send + Sync {
    /// Reads what the site needs from the model.
    fn compile(source: &SiteSource<'_>, site: &Site) -> Result<Self>;
    /// State of one position before the first macro-step.
    fn rest(&self) -> NeuronState<A>;
    /// One macro-step of one position: all channels of `currents`, with what they remember (laid
    /// out as [`SiteKernel::rest`] does), to what is emitted.
    ///
    /// # Errors
    /// A user's own neuron emits what it said it would not.
    fn step(
        &self,
        currents: &[A],
        memory: &mut [A],
        own: &mut [f64],
        emitted: &mut [A],
    ) -> Result<()>;
}

/// State of neurons between macro-steps, position by position.
#[derive(Debug, Clone, Default)]
pub(crate) struct NeuronState<A> {
    /// State of LIF neurons: rows of membranes, then of synaptic currents and of adaptations where
    /// the site has them.
    pub(crate) values: Vec<A>,
    /// States of a user's own neurons.
    pub(crate) own: Vec<f64>,
}

impl<A: Copy> NeuronState<A> {
    /// The memory of one position, repeated for `positions` positions.
    pub(crate) fn repeated(&self, positions: usize) -> Self {
        Self { values: self.values.repeat(positions), own: self.own.repeat(positions) }
    }

    /// Back to rest, of which `one` is one position's.
    pub(crate) fn reset(&mut self, one: &Self) {
        fn fill<V: Copy>(all: &mut [V], one: &[V]) {
            all.chunks_exact_mut(one.len().max(1))
                .for_each(|position| position.copy_from_slice(one));
        }
        fill(&mut self.values, &one.values);
        fill(&mut self.own, &one.own);
    }
}
