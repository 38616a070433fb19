//! The interface between kernels and neurons.

use super::lanes::{Lanes, Sums};
use crate::neuron::real::Real;

/// A neuron on blocks. `channel` is that of a block's first neuron; padding has no gradient.
pub(super) trait BlockNeuron<F: Real>: Send + Sync + 'static {
    /// The state before the first macro-step.
    fn first(&self, channel: usize) -> Lanes<F>;

    /// One macro-step: takes the state on, writes what `back` needs, and what the
    /// neuron emits.
    fn step(
        &self,
        channel: usize,
        current: &Lanes<F>,
        state: &mut Lanes<F>,
        kept: &mut Lanes<F>,
        emitted: &mut Lanes<F>,
    );

    /// One macro-step backwards: turns the gradient for the current of the macro-step after it (0
    /// after the last) into the one for its own. `by_emitted` is the gradient for what was emitted,
    /// and room to work in. Adds to the sums for the parameters, which come first.
    fn back(
        &self,
        channel: usize,
        now: &Kept<F>,
        before: Option<&Kept<F>>,
        by_emitted: &mut Lanes<F>,
        by_current: &mut Lanes<F>,
        sums: &mut Sums,
    );

    /// How many values each parameter has.
    fn parameters(&self) -> Vec<usize>;

    /// Gradients for the parameters, from the sums.
    fn gradients(&self, sums: &[Vec<f64>]) -> Vec<Vec<f64>>;
}

/// Values that [`BlockNeuron::step`] wrote in one macro-step.
#[derive(Debug, Clone)]
pub(super) struct Kept<F> {
    pub(super) kept: Lanes<F>,
    pub(super) emitted: Lanes<F>,
}
