//! Quantised ReLUs in place of the ReLUs of a trained network, without training.

mod bias;
mod step;
mod values;

pub use step::StepRule;
pub use values::SiteValues;

use crate::convert::{Conversion, stop_if_refused};
use crate::error::{Error, Result};
use crate::graph_edit::Draft;
use crate::image_offset::integer_pixels;
use crate::plan::{Action, Plan, Refusal};
use ndarray::IxDyn;
use snn_ir::{Form, Model, Op, QuantRelu, Share, Site, Tensor, Weights};
use std::collections::HashMap;
use step::Choice;

/// How many levels a quantised ReLU gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Levels {
    /// As many for every site, 1 to 255.
    Of(u8),
    /// For each site the fewest among 1, 2, 3, 4, 7, 15, 31, 63, 127 and 255 whose relative error,
    /// as [`Action::Quantised`] has it, is at most this.
    WithError(f64),
}

/// The levels that [`Levels::WithError`] chooses among: those that fill the planes of a bit-plane
/// code, and 2 and 4, which cost a unary code little.
const LADDER: [u8; 10] = [1, 2, 3, 4, 7, 15, 31, 63, 127, 255];

/// Options of [`quantise`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantiseOptions {
    /// Levels of the sites.
    pub levels: Levels,
    /// How the step of a channel is chosen.
    pub rule: StepRule,
    /// Whether layers take up what the mean of their inputs changes by.
    pub correct_bias: bool,
}

impl QuantiseOptions {
    /// Steps of least squared error and corrected biases, with as many levels.
    pub fn new(levels: Levels) -> Self {
        Self { levels, rule: StepRule::LeastError, correct_bias: true }
    }
}

/// Puts a quantised ReLU in the place of every ReLU of a trained network, with a step for each
/// channel that fits what the ReLU yielded: `x ≈ s_c·clip(⌊x/s_c + ½⌋, 0, D)`. Nothing is trained.
/// The plan says of every site how far it is off.
///
/// A batch norm of the image becomes mean, deviation and biases
/// ([`image_offset`](crate::image_offset)), since events are of integer pixels.
///
/// `values` are what the network's ReLUs yielded on samples that it was trained on.
///
/// Steps differ between channels, and so do the units of the grid; so the network that comes out is
/// the same, but for rounding, whatever positive factors stand between channels of successive
/// layers: what cross-layer equalisation (Nagel 2019) does is done here by the steps.
///
/// # Errors
/// The model is not in the trained form or not valid; a number of levels or an error is out of
/// range; no values of a site were seen.
pub fn quantise(
    trained: &Model,
    values: &SiteValues,
    options: &QuantiseOptions,
) -> Result<Conversion> {
    if trained.form() != Form::Trained {
        return Err(Error::Form { expected: "trained", found: trained.form().label() });
    }
    options.check()?;
    trained.validate()?;
    let mut plan = Plan::default();
    let integer = integer_pixels(trained)?;
    if let Some((_, norm, remainder)) = &integer {
        let action = Action::OfImage { at_border: remainder.at_border };
        plan.note(norm, "batch_norm", action);
    }
    let trained = integer.as_ref().map_or(trained, |(model, ..)| model);
    let checked = trained.validate()?;
    let shapes = &checked.resolved().nodes;
    let mut draft = Draft::of(trained);
    let mut errors = HashMap::new();
    for (index, node) in trained.graph().nodes.iter().enumerate() {
        let Op::Activation { site: Site::Relu { .. }, .. } = &node.op else { continue };
        let channels = shapes[index].shape[0];
        let Some(seen) = values.of(&node.name, channels) else {
            plan.refuse(&node.name, node.op.label(), Refusal::NoValues { channels });
            continue;
        };
        let choice = options.choose(seen);
        let site = Site::QuantRelu(QuantRelu {
            levels: choice.levels,
            step: choice.steps.mean().unwrap_or(1.0),
            share: Share::Channel,
        });
        draft.graph.nodes[index].op = Op::Activation { site, code: None };
        let steps = choice.steps.into_shape_with_order(IxDyn(&[channels])).map_err(|error| {
            Error::Comparison(format!("{}: steps of {channels} channels: {error}", node.name))
        })?;
        draft.set_real(&node.name, "step", steps);
        errors.insert(node.name.clone(), choice.mean_errors);
        let action = Action::Quantised {
            levels: choice.levels,
            error: choice.error,
            clipped: choice.clipped,
            silent: choice.silent,
        };
        plan.note(&node.name, node.op.label(), action);
    }
    stop_if_refused(&plan)?;
    if options.correct_bias {
        bias::correct(&mut draft, &errors, &mut plan)?;
    }
    let mut signature = trained.signature().clone();
    signature.graph = draft.graph;
    let model = Model::new(signature, as_stored(draft.weights, trained));
    model.validate()?;
    Ok(Conversion { model, plan })
}

impl QuantiseOptions {
    fn check(&self) -> Result<()> {
        let refused = |field, expected: &'static str, found: String| {
            let node = "quantise".into();
            Err(snn_ir::Error::Attribute { node, field, expected, found }.into())
        };
        match self.levels {
            Levels::Of(0) => return refused("levels", "1 to 255", "0".into()),
            Levels::WithError(error) if !(error > 0.0 && error < 1.0) => {
                return refused("error", "above 0 and below 1", error.to_string());
            }
            Levels::Of(_) | Levels::WithError(_) => {}
        }
        match self.rule {
            StepRule::Percentile(share) if !(share > 0.0 && share <= 1.0) => {
                refused("percentile", "above 0 and at most 1", share.to_string())
            }
            StepRule::Percentile(_) | StepRule::Largest | StepRule::LeastError => Ok(()),
        }
    }

    fn choose(&self, seen: &values::Seen) -> Choice {
        match self.levels {
            Levels::Of(levels) => step::choose(seen, levels, self.rule),
            Levels::WithError(most) => {
                let [few @ .., last] = LADDER;
                few.into_iter()
                    .map(|levels| step::choose(seen, levels, self.rule))
                    .find(|choice| choice.error <= most)
                    .unwrap_or_else(|| step::choose(seen, last, self.rule))
            }
        }
    }
}

/// Weights in the precision that the network had: f64 only where it had some.
fn as_stored(weights: Weights, trained: &Model) -> Weights {
    if trained.weights().values().any(|tensor| matches!(tensor, Tensor::F64(_))) {
        return weights;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the precision that the network had")]
    let single = |tensor: Tensor| Tensor::F32(tensor.to_f64().mapv(|value| value as f32));
    weights.into_iter().map(|(name, tensor)| (name, single(tensor))).collect()
}
