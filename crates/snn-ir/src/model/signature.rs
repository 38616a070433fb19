//! A model without its weights.

use super::conversion::ConversionOptions;
use super::form::Form;
use super::framing::Framing;
use super::preprocessing::Preprocessing;
use crate::encode::Encoder;
use crate::error::{Error, Result};
use crate::graph::Graph;
use ndarray::Array2;

/// Everything of a model but its weights: what goes in, what comes out and what is computed.
///
/// New fields may be added; [`Signature::new`] fills them with what a model without them means.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Signature {
    /// Which form the graph and weights are in.
    pub form: Form,
    /// The network.
    pub graph: Graph,
    /// Macro-steps T.
    pub time_steps: usize,
    /// From pixels to the values of the input node.
    pub preprocessing: Preprocessing,
    /// How static images become the frames that the input node reads; [`Encoder::Direct`] for a
    /// network that is shown the image itself.
    pub encoder: Encoder,
    /// How recordings of event cameras become the frames that the input node reads; none of a
    /// network that was not trained on recordings, and of files that were written before it was
    /// stored.
    pub framing: Option<Framing>,
    /// Names of the classes, in the order of the logits; may be empty.
    pub classes: Vec<String>,
    /// Options that the model was converted with; none of a trained model, and of files that were
    /// written before options were stored.
    pub conversion: Option<ConversionOptions>,
}

impl Signature {
    /// A signature without names of classes, of a network that is shown the image itself.
    pub fn new(form: Form, graph: Graph, time_steps: usize, preprocessing: Preprocessing) -> Self {
        let (encoder, framing, classes) = (Encoder::Direct, None, Vec::new());
        let conversion = None;
        Self { form, graph, time_steps, preprocessing, encoder, framing, classes, conversion }
    }

    /// The same for a network that reads the frames of an encoder.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Encoder) -> Self {
        self.encoder = encoder;
        self
    }

    /// The same for recordings that become frames in this way.
    #[must_use]
    pub fn with_framing(mut self, framing: Option<Framing>) -> Self {
        self.framing = framing;
        self
    }

    /// The same with names of the classes, in the order of the logits.
    #[must_use]
    pub fn with_classes(mut self, classes: Vec<String>) -> Self {
        self.classes = classes;
        self
    }

    /// Logits of integers, the one place where they are made (eq. 13): `(unit / T) · sum`, of heads
    /// that do not sum `unit · value`.
    ///
    /// # Errors
    /// The model is not on the grid.
    pub fn logits(&self, sums: &Array2<i64>) -> Result<Array2<f64>> {
        let scale = self.logit_scale(self.time_steps as u64)?;
        Ok(sums.mapv(|sum| scale * sum as f64))
    }

    /// Value of one unit of what the head holds after `steps` macro-steps: `unit / steps` of a sum,
    /// else `unit`. For streams and runs that end early; a whole run has T.
    ///
    /// # Errors
    /// The model is not on the grid.
    pub fn logit_scale(&self, steps: u64) -> Result<f64> {
        let Form::Grid { logit_unit } = self.form else {
            return Err(Error::Graph(format!("form {} has no logit unit", self.form.label())));
        };
        Ok(logit_unit / self.graph.readout().divisor(steps) as f64)
    }
}
