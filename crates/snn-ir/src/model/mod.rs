//! A model: graph, weights and what is needed to run them.

mod checked;
pub(crate) mod conversion;
pub(crate) mod file;
pub(crate) mod form;
mod framing;
mod init;
pub(crate) mod preprocessing;
mod signature;
mod specs;
pub mod weights;

pub use checked::Checked;
pub use form::Form;
pub use framing::{Framing, SliceBy};
pub use preprocessing::Preprocessing;
pub use signature::Signature;
pub use specs::{WeightSpec, weight_specs};

use crate::encode::Encoder;
use crate::error::Result;
use crate::graph::Graph;
use conversion::ConversionOptions;
use ndarray::Array2;
use std::sync::OnceLock;
use weights::Weights;

/// A model: its signature and its weights, which is everything that is needed to run it.
///
/// Nothing is checked until [`Model::validate`]; [`Model::load`] validates.
#[derive(Debug, Clone)]
pub struct Model {
    signature: Signature,
    weights: Weights,
    /// What validation found, until something changes.
    checked: OnceLock<Checked>,
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature && self.weights == other.weights
    }
}

impl Model {
    /// A model of this signature with these weights (`<node>.<part>`).
    pub fn new(signature: Signature, weights: Weights) -> Self {
        Self { signature, weights, checked: OnceLock::new() }
    }

    /// Everything but the weights.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Everything but the weights, to change; who changes it validates the model again.
    pub fn signature_mut(&mut self) -> &mut Signature {
        self.checked.take();
        &mut self.signature
    }

    /// The form of graph and weights.
    pub fn form(&self) -> Form {
        self.signature.form
    }

    /// The network.
    pub fn graph(&self) -> &Graph {
        &self.signature.graph
    }

    /// The network, to change; who changes it validates the model again.
    pub fn graph_mut(&mut self) -> &mut Graph {
        self.checked.take();
        &mut self.signature.graph
    }

    /// The weights by name.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to change; who changes them validates the model again.
    pub fn weights_mut(&mut self) -> &mut Weights {
        self.checked.take();
        &mut self.weights
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        self.signature.time_steps
    }

    /// From pixels to the values of the input node.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.signature.preprocessing
    }

    /// How static images become the frames that the input node reads.
    pub fn encoder(&self) -> Encoder {
        self.signature.encoder
    }

    /// How recordings become the frames that the input node reads, where that is known.
    pub fn framing(&self) -> Option<Framing> {
        self.signature.framing
    }

    /// Names of the classes, in the order of the logits; may be empty.
    pub fn classes(&self) -> &[String] {
        &self.signature.classes
    }

    /// Options that the model was converted with, where they are known.
    pub fn conversion(&self) -> Option<&ConversionOptions> {
        self.signature.conversion.as_ref()
    }

    /// The same model with another number of macro-steps.
    #[must_use]
    pub fn with_time_steps(mut self, time_steps: usize) -> Self {
        self.checked.take();
        self.signature.time_steps = time_steps;
        self
    }

    /// The same model for images that this encoder makes frames of.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Encoder) -> Self {
        self.checked.take();
        self.signature.encoder = encoder;
        self
    }

    /// The same model for recordings that become frames in this way.
    #[must_use]
    pub fn with_framing(mut self, framing: Option<Framing>) -> Self {
        self.checked.take();
        self.signature.framing = framing;
        self
    }

    /// The same signature with other weights.
    #[must_use]
    pub fn with_weights(mut self, weights: Weights) -> Self {
        self.checked.take();
        self.weights = weights;
        self
    }

    /// Signature and weights, to change both at once.
    pub fn parts_mut(&mut self) -> (&mut Signature, &mut Weights) {
        self.checked.take();
        (&mut self.signature, &mut self.weights)
    }

    /// Signature and weights, apart.
    pub fn into_parts(self) -> (Signature, Weights) {
        (self.signature, self.weights)
    }

    /// Checks the graph, every weight's name, type, shape and values, and the preprocessing;
    /// converted forms are type-checked as event networks and, on the grid, proved free of
    /// overflow. What is found is kept until the model is changed, so that whoever validates the
    /// same model again pays nothing.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate(&self) -> Result<&Checked> {
        if let Some(checked) = self.checked.get() {
            return Ok(checked);
        }
        let checked = Checked::new(&self.signature, &self.weights)?;
        Ok(self.checked.get_or_init(|| checked))
    }

    /// Logits of summed integers: [`Signature::logits`].
    ///
    /// # Errors
    /// The model is not on the grid.
    pub fn logits(&self, sums: &Array2<i64>) -> Result<Array2<f64>> {
        self.signature.logits(sums)
    }

    /// Value of one unit of sums over `steps` macro-steps: [`Signature::logit_scale`].
    ///
    /// # Errors
    /// The model is not on the grid.
    pub fn logit_scale(&self, steps: u64) -> Result<f64> {
        self.signature.logit_scale(steps)
    }
}
