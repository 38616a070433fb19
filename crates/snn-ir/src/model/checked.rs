//! What checking a model finds.

use super::form::Form;
use super::signature::Signature;
use super::specs::weight_specs;
use super::weights::Weights;
use crate::encode::Encoder;
use crate::error::{Error, Result};
use crate::graph::resolve::{MAX_TIME_STEPS, Resolved, ResolvedNode};
use crate::streams::Streams;
use std::collections::BTreeSet;

/// A checked model's shapes and streams. [`Model::validate`](crate::Model::validate) alone makes
/// it, once until the model is changed, so whoever holds one need not check anything again.
#[derive(Debug, Clone)]
pub struct Checked {
    resolved: Resolved,
    streams: Option<Streams>,
}

impl Checked {
    /// Positions of inputs, shapes, and what varies over time.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// The nodes of [`Checked::resolved`].
    pub fn nodes(&self) -> &[ResolvedNode] {
        &self.resolved.nodes
    }

    /// Shape of one sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.resolved.nodes[0].shape
    }

    /// Number of class scores.
    pub fn classes(&self) -> usize {
        self.resolved.nodes.last().map_or(0, |head| head.shape[0])
    }

    /// Kinds and bounds of every edge.
    ///
    /// # Errors
    /// The model is in the form `trained`, which is not type-checked as an event network.
    pub fn streams(&self) -> Result<&Streams> {
        self.streams.as_ref().ok_or_else(|| {
            Error::Graph(
                "form `trained` has no streams of events; convert it, to form `events` or `grid`"
                    .into(),
            )
        })
    }

    pub(super) fn new(signature: &Signature, weights: &Weights) -> Result<Self> {
        let resolved = signature.graph.resolve()?;
        if !(1..=MAX_TIME_STEPS).contains(&signature.time_steps) {
            return Err(Error::Graph(format!(
                "time_steps must be 1 to {MAX_TIME_STEPS}, found {}",
                signature.time_steps
            )));
        }
        let channels = resolved.nodes[0].shape[0];
        let pre = &signature.preprocessing;
        if pre.mean.len() != channels || pre.std.len() != channels {
            return Err(Error::Graph(format!(
                "preprocessing must have {channels} means and deviations, found {} and {}",
                pre.mean.len(),
                pre.std.len()
            )));
        }
        if let Some(std) = pre.std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(Error::Graph(format!("preprocessing.std must be positive, found {std}")));
        }
        signature.encoder.validate(signature.time_steps)?;
        if matches!(signature.encoder, Encoder::Delta { .. }) && !channels.is_multiple_of(2) {
            return Err(Error::Graph(format!(
                "encoder delta gives as many OFF channels as ON channels, so the input must have \
                 an even number of them, found {channels}"
            )));
        }
        if let Some(framing) = signature.framing {
            framing.validate(&resolved.nodes[0].shape)?;
        }
        let classes = resolved.nodes[resolved.nodes.len() - 1].shape[0];
        if !signature.classes.is_empty() && signature.classes.len() != classes {
            return Err(Error::Graph(format!(
                "expected {classes} class names, found {}",
                signature.classes.len()
            )));
        }
        check_weights(signature, weights, &resolved)?;
        if let Some(options) = &signature.conversion {
            options.check(signature.form)?;
        }
        if let Form::Grid { logit_unit } = signature.form
            && !(logit_unit.is_finite() && logit_unit > 0.0)
        {
            return Err(Error::Graph(format!("logit_unit must be positive, found {logit_unit}")));
        }
        let streams = match signature.form {
            Form::Trained => None,
            Form::Events | Form::Grid { .. } => Some(Streams::of(signature, weights, &resolved)?),
        };
        Ok(Self { resolved, streams })
    }
}

fn check_weights(signature: &Signature, weights: &Weights, resolved: &Resolved) -> Result<()> {
    let specs = weight_specs(&signature.graph, resolved, signature.form)?;
    for spec in &specs {
        spec.check_values(weights.get(&spec.name).ok_or_else(|| spec.missing())?)?;
    }
    let known: BTreeSet<&str> = specs.iter().map(|s| s.name.as_str()).collect();
    match weights.keys().find(|name| !known.contains(name.as_str())) {
        Some(name) => Err(Error::UnexpectedWeight { name: name.clone() }),
        None => Ok(()),
    }
}
