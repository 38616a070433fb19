//! The link between a file and the run that it was made of: everything but the decisions.

use serde::{Deserialize, Serialize};
use snn_ir::{ConversionOptions, Form, Model, Op, Tensor};

/// What may have changed the weights of a model on the grid after conversion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// The file must be exactly what conversion makes of the run.
    #[default]
    None,
    /// The weights were rounded by what layers read: a convolution or linear weight may be the
    /// integer next to the nearest one, and biases may differ.
    Calibration,
    /// Convolution and linear weights and biases may differ by any amount; graph, thresholds,
    /// multipliers and units may not.
    Weights,
}

/// How a file differs from what conversion makes of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Differences in the graph, the form, the macro-steps, the preprocessing or the classes: with
    /// such a difference there is nothing to compare spike by spike.
    pub signature: Vec<String>,
    /// Forbidden differences in the weights.
    pub weights: Vec<String>,
    /// Single values of weights and biases that differ, whether they may or not.
    pub changed: u64,
    /// Values of all weights and biases of convolutions and linear layers.
    pub tunable: u64,
}

impl Difference {
    /// `true` if the file is the conversion of the run.
    pub fn is_none(&self) -> bool {
        self.signature.is_empty() && self.weights.is_empty()
    }

    /// All differences that may not be, one cause each.
    pub fn causes(&self) -> Vec<String> {
        let all = self.signature.iter().chain(&self.weights);
        all.map(|what| format!("the file is not the conversion of the run: {what}")).collect()
    }
}

/// Compares `file` with what conversion makes of the run, `expected`: the link between the trained
/// network and a file that is only compared with itself otherwise. Nothing is run.
pub fn difference(expected: &Model, file: &Model, tuning: Tuning) -> Difference {
    let mut found = Difference { signature: signature(expected, file), ..Difference::default() };
    let missing = expected.weights().keys().find(|name| !file.weights().contains_key(*name));
    let added = file.weights().keys().find(|name| !expected.weights().contains_key(*name));
    if found.signature.is_empty() {
        found.weights.extend(missing.map(|name| format!("it has no weight `{name}`")));
        found.weights.extend(added.map(|name| format!("it has a weight `{name}` too many")));
    }
    let mut wrong = Vec::new();
    for (name, tensor) in expected.weights() {
        let is_tunable = is_tunable(expected, name);
        if is_tunable {
            found.tunable += tensor.len() as u64;
        }
        let Some(other) = file.weights().get(name) else {
            found.changed += tensor.len() as u64;
            continue;
        };
        if other.dtype() != tensor.dtype() || other.shape() != tensor.shape() {
            found.changed += tensor.len() as u64;
            wrong.push(format!("`{name}` has another type or shape"));
            continue;
        }
        let changed = changed_values(tensor, other);
        found.changed += changed;
        let is_allowed = match tuning {
            Tuning::None => false,
            Tuning::Calibration => is_tunable && are_calibrated(expected, name, tensor, other),
            Tuning::Weights => is_tunable,
        };
        if changed > 0 && !is_allowed {
            let total = tensor.len();
            wrong.push(format!("{changed} of {total} values of `{name}` differ"));
        }
    }
    if let Some(first) = wrong.first() {
        found.weights.push(match wrong.len() - 1 {
            0 => first.clone(),
            more => format!("{first}, and {more} more weights differ"),
        });
    }
    found
}

/// Differences in everything but the weights.
fn signature(expected: &Model, file: &Model) -> Vec<String> {
    let mut causes = Vec::new();
    let mut demand = |same: bool, cause: String| {
        if !same {
            causes.push(cause);
        }
    };
    let same_form = expected.form().label() == file.form().label();
    let forms = (expected.form().label(), file.form().label());
    demand(same_form, format!("expected the form {}, found {}", forms.0, forms.1));
    if let (Form::Grid { logit_unit: expected }, Form::Grid { logit_unit: found }) =
        (expected.form(), file.form())
    {
        demand(
            expected.to_bits() == found.to_bits(),
            format!("expected the scale of the logits {expected}, found {found}"),
        );
    }
    let steps = (expected.time_steps(), file.time_steps());
    demand(steps.0 == steps.1, format!("expected T = {}, found T = {}", steps.0, steps.1));
    // Where the forms differ the graphs do as well, which is no cause of its own.
    if same_form && expected.graph() != file.graph() {
        let pairs = expected.graph().nodes.iter().zip(&file.graph().nodes);
        let first = pairs.clone().find(|(a, b)| a != b);
        let (expected, found) = (expected.graph().nodes.len(), file.graph().nodes.len());
        causes.push(match first {
            Some((a, b)) if a.name == b.name => {
                format!(
                    "node `{}` of the graph differs: expected {}, found {}",
                    a.name,
                    op(&a.op),
                    op(&b.op)
                )
            }
            Some((a, b)) => {
                format!("the graphs differ: expected node `{}`, found `{}`", a.name, b.name)
            }
            None => format!("the graphs differ: expected {expected} nodes, found {found}"),
        });
    }
    let mut demand = |same: bool, cause: &str| {
        if !same {
            causes.push(cause.into());
        }
    };
    let (a, b) = (expected.preprocessing(), file.preprocessing());
    demand(a.mean == b.mean, "the means of the input differ");
    demand(
        same_form.then_some(a.std == b.std) != Some(false),
        "the deviations of the input differ",
    );
    demand(expected.encoder() == file.encoder(), "the encoders of the input differ");
    demand(expected.framing() == file.framing(), "the framings of recordings differ");
    demand(expected.classes() == file.classes(), "the names of the classes differ");
    causes
}

/// An operation with its attributes, short enough for a message.
fn op(op: &Op) -> String {
    match op {
        Op::Activation { site, code } => {
            let code = code.map_or("no code", snn_ir::Code::label);
            format!("{site:?} in {code}")
        }
        other => format!("{other:?}"),
    }
}

/// Values that are not equal.
fn changed_values(a: &Tensor, b: &Tensor) -> u64 {
    fn count<V: PartialEq>(a: &ndarray::ArrayD<V>, b: &ndarray::ArrayD<V>) -> u64 {
        a.iter().zip(b).filter(|(a, b)| a != b).count() as u64
    }
    match (a, b) {
        (Tensor::F32(a), Tensor::F32(b)) => count(a, b),
        (Tensor::F64(a), Tensor::F64(b)) => count(a, b),
        (Tensor::I8(a), Tensor::I8(b)) => count(a, b),
        (Tensor::I32(a), Tensor::I32(b)) => count(a, b),
        _ => a.len() as u64,
    }
}

/// `true` for weights that are at most 1 apart, and for biases that make up for no more than such
/// weights can do to a current: `M·K·max|x|`, and their own rounding.
fn are_calibrated(expected: &Model, name: &str, nearest: &Tensor, file: &Tensor) -> bool {
    match (nearest, file) {
        (Tensor::I8(a), Tensor::I8(b)) => a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1),
        (Tensor::I32(a), Tensor::I32(b)) => {
            let Some(bounds) = bias_bounds(expected, name.trim_end_matches(".bias")) else {
                return false;
            };
            let apart = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)));
            a.len() == bounds.len() && apart.zip(bounds).all(|(apart, bound)| apart <= bound)
        }
        _ => false,
    }
}

/// How far calibration may move the biases of a layer.
fn bias_bounds(model: &Model, layer: &str) -> Option<Vec<f64>> {
    let checked = model.validate().ok()?;
    let index = model.graph().nodes.iter().position(|node| node.name == layer)?;
    let input = *checked.resolved().nodes[index].inputs.first()?;
    let largest = checked.streams().ok()?.bounds[input].iter().copied().fold(0.0, f64::max);
    let weight = model.weights().get(&format!("{layer}.weight"))?;
    let multiplier = model.weights().get(&format!("{layer}.multiplier"))?.to_f64();
    let inputs = weight.len() / multiplier.len().max(1);
    Some(multiplier.iter().map(|m| 2.0 + m * inputs as f64 * largest).collect())
}

/// `true` if training changes this weight: weights and biases of convolutions and linear layers,
/// not those of one-to-one synapses.
fn is_tunable(model: &Model, name: &str) -> bool {
    let Some((node, "weight" | "bias")) = name.rsplit_once('.') else { return false };
    matches!(model.graph().node(node).map(|node| &node.op), Some(Op::Conv(_) | Op::Linear { .. }))
}

/// The options that a file was converted with: those it stores, or, of a file that stores none,
/// those that its graph shows.
pub fn options_of(file: &Model) -> ConversionOptions {
    let on_grid = matches!(file.form(), Form::Grid { .. });
    let stored = file.signature().conversion.clone();
    stored.unwrap_or_else(|| ConversionOptions::of_graph(file.graph(), on_grid))
}
