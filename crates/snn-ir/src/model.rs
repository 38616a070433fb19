//! A model: graph, weights and what is needed to run them.

use crate::conversion::ConversionOptions;
use crate::error::{Error, Result};
use crate::graph::{Graph, Op};
use crate::resolve::{Resolved, ResolvedNode};
use crate::site::{GridAdaptation, Leak, Lif, Site, Threshold};
use crate::strict::no_fields;
use crate::weights::{Tensor, Weights};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most macro-steps a model may have; a limit for untrusted files.
pub const MAX_TIME_STEPS: usize = 1 << 16;
/// Largest weight on the grid; symmetric, so that `−n` exists for every `n`.
pub const GRID_WEIGHT_MAX: i8 = 127;

/// A model: its signature and its weights, which is everything that is needed to run it.
///
/// Nothing is checked until [`Model::validate`]; [`Model::load`] validates.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    signature: Signature,
    weights: Weights,
}

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
    /// Names of the classes, in the order of the logits; may be empty.
    pub classes: Vec<String>,
    /// Options that the model was converted with; none of a trained model, and of files that were
    /// written before options were stored.
    pub conversion: Option<ConversionOptions>,
}

impl Signature {
    /// A signature without names of classes.
    pub fn new(form: Form, graph: Graph, time_steps: usize, preprocessing: Preprocessing) -> Self {
        Self { form, graph, time_steps, preprocessing, classes: Vec::new(), conversion: None }
    }

    /// The same with names of the classes, in the order of the logits.
    #[must_use]
    pub fn with_classes(mut self, classes: Vec<String>) -> Self {
        self.classes = classes;
        self
    }

    /// Logits of summed integers, the one place where they are made (eq. 13): `(unit / T) · sum`.
    ///
    /// # Errors
    /// The model is not on the grid.
    pub fn logits(&self, sums: &Array2<i64>) -> Result<Array2<f64>> {
        let scale = self.logit_scale(self.time_steps as u64)?;
        Ok(sums.mapv(|sum| scale * sum as f64))
    }

    /// Value of one unit of sums over `steps` macro-steps: `unit / steps`. For streams and runs
    /// that end early; a whole run has T.
    ///
    /// # Errors
    /// The model is not on the grid.
    pub fn logit_scale(&self, steps: u64) -> Result<f64> {
        let Form::Grid { logit_unit } = self.form else {
            return Err(Error::Graph(format!("form {} has no logit unit", self.form.label())));
        };
        Ok(logit_unit / steps.max(1) as f64)
    }
}

/// The three forms of a model (`docs/semantics.md`, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Form {
    /// As trained: batch norm, real weights, sites emit values.
    #[serde(deserialize_with = "no_fields")]
    Trained,
    /// Converted: folded f64 weights, sites emit levels in codes.
    #[serde(deserialize_with = "no_fields")]
    Events,
    /// Converted and on the integer grid.
    Grid {
        /// Value of one unit of the summed logits (eq. 13).
        logit_unit: f64,
    },
}

impl Form {
    /// Name as used in reports.
    pub fn label(&self) -> &'static str {
        match self {
            Form::Trained => "trained",
            Form::Events => "events",
            Form::Grid { .. } => "grid",
        }
    }
}

/// From pixels to the input node (eq. 1): `x = (p − mean_c)/std_c`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Integer mean of each channel, 0 to 255.
    pub mean: Vec<u8>,
    /// Deviation of each channel in pixel units, all 1 once converted.
    pub std: Vec<f64>,
}

impl Preprocessing {
    /// Means with deviations.
    pub fn new(mean: Vec<u8>, std: Vec<f64>) -> Self {
        Self { mean, std }
    }
}

/// One weight that a graph needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSpec {
    /// `<node>.<part>`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Element types that are allowed.
    pub dtypes: &'static [&'static str],
    /// `true` if training changes it by gradient (running statistics are not).
    pub learned: bool,
}

impl WeightSpec {
    /// The error for a model that lacks it.
    pub(crate) fn missing(&self) -> Error {
        Error::MissingWeight {
            name: self.name.clone(),
            expected: format!("{} {:?}", self.dtypes[0], self.shape),
        }
    }

    /// Checks the type and shape of what has its name.
    pub(crate) fn check(&self, dtype: &str, shape: &[usize]) -> Result<()> {
        if self.dtypes.contains(&dtype) && self.shape == shape {
            return Ok(());
        }
        Err(Error::Weight {
            name: self.name.clone(),
            expected: format!("{} {:?}", self.dtypes.join(" or "), self.shape),
            found: format!("{dtype} {shape:?}"),
        })
    }
}

impl Model {
    /// A model of this signature with these weights (`<node>.<part>`).
    pub fn new(signature: Signature, weights: Weights) -> Self {
        Self { signature, weights }
    }

    /// Everything but the weights.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Everything but the weights, to change; who changes it validates the model again.
    pub fn signature_mut(&mut self) -> &mut Signature {
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
        &mut self.signature.graph
    }

    /// The weights by name.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to change; who changes them validates the model again.
    pub fn weights_mut(&mut self) -> &mut Weights {
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
        self.signature.time_steps = time_steps;
        self
    }

    /// The same signature with other weights.
    #[must_use]
    pub fn with_weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    /// Signature and weights, to change both at once.
    pub fn parts_mut(&mut self) -> (&mut Signature, &mut Weights) {
        (&mut self.signature, &mut self.weights)
    }

    /// Signature and weights, apart.
    pub fn into_parts(self) -> (Signature, Weights) {
        (self.signature, self.weights)
    }

    /// Checks the graph, every weight's name, type, shape and values, and the preprocessing;
    /// converted forms are type-checked as event networks and, on the grid, proved free of
    /// overflow.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate(&self) -> Result<Resolved> {
        let resolved = self.signature.graph.resolve()?;
        if !(1..=MAX_TIME_STEPS).contains(&self.signature.time_steps) {
            return Err(Error::Graph(format!(
                "time_steps must be 1 to {MAX_TIME_STEPS}, found {}",
                self.signature.time_steps
            )));
        }
        let channels = resolved.nodes[0].shape[0];
        let pre = &self.signature.preprocessing;
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
        let classes = resolved.nodes[resolved.nodes.len() - 1].shape[0];
        if !self.signature.classes.is_empty() && self.signature.classes.len() != classes {
            return Err(Error::Graph(format!(
                "expected {classes} class names, found {}",
                self.signature.classes.len()
            )));
        }
        self.check_weights(&resolved)?;
        if let Some(options) = &self.signature.conversion {
            options.check(self.signature.form)?;
        }
        if let Form::Grid { logit_unit } = self.signature.form
            && !(logit_unit.is_finite() && logit_unit > 0.0)
        {
            return Err(Error::Graph(format!("logit_unit must be positive, found {logit_unit}")));
        }
        if self.signature.form != Form::Trained {
            crate::streams::Streams::of(self, &resolved)?;
        }
        Ok(resolved)
    }

    fn check_weights(&self, resolved: &Resolved) -> Result<()> {
        let specs = weight_specs(&self.signature.graph, resolved, self.signature.form)?;
        for spec in &specs {
            let tensor = self.weights.get(&spec.name).ok_or_else(|| spec.missing())?;
            check_weight(spec, tensor)?;
        }
        for node in &self.signature.graph.nodes {
            if let Op::Activation { site: Site::Lif(lif), .. } = &node.op {
                self.check_learned_threshold(&node.name, lif)?;
            }
        }
        let known: BTreeSet<&str> = specs.iter().map(|s| s.name.as_str()).collect();
        match self.weights.keys().find(|name| !known.contains(name.as_str())) {
            Some(name) => Err(Error::UnexpectedWeight { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// A threshold below the reset potential would fire for ever.
    fn check_learned_threshold(&self, node: &str, lif: &Lif) -> Result<()> {
        if matches!(lif.threshold, Threshold::Fixed(_)) {
            return Ok(());
        }
        let (name, least) = (format!("{node}.threshold"), lif.rest().max(0.0));
        match crate::weights::get(&self.weights, &name)?
            .to_f64()
            .iter()
            .find(|value| **value <= least)
        {
            Some(value) => Err(Error::Weight {
                name,
                expected: format!("values above {least}"),
                found: value.to_string(),
            }),
            None => Ok(()),
        }
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

const REAL: &[&str] = &["f32", "f64"];
const DOUBLE: &[&str] = &["f64"];
const BYTE: &[&str] = &["i8"];
const INTEGER: &[&str] = &["i32"];

/// The weights that a graph needs in a form, in the order of its nodes.
///
/// # Errors
/// A node does not exist in this form (batch norm after conversion, a float LIF on the grid).
pub fn weight_specs(graph: &Graph, resolved: &Resolved, form: Form) -> Result<Vec<WeightSpec>> {
    let (real, kernel) = match form {
        Form::Trained => (REAL, REAL),
        Form::Events => (DOUBLE, DOUBLE),
        Form::Grid { .. } => (INTEGER, BYTE),
    };
    let on_grid = matches!(form, Form::Grid { .. });
    let mut specs = Vec::new();
    for (node, info) in graph.nodes.iter().zip(&resolved.nodes) {
        let mut add = |part: &str, shape: Vec<usize>, dtypes, learned| {
            specs.push(WeightSpec {
                name: format!("{}.{part}", node.name),
                shape,
                dtypes,
                learned,
            });
        };
        let refuse =
            |reason: &str| Err(Error::Refused { node: node.name.clone(), reason: reason.into() });
        let channels = info.shape[0];
        match &node.op {
            Op::Conv(conv) => {
                let mut shape = vec![conv.channels, fan_in_channels(resolved, info) / conv.groups];
                shape.extend(&conv.kernel);
                synapse(&mut add, shape, conv.bias, on_grid, kernel, real);
            }
            Op::Linear { features, bias } => {
                synapse(
                    &mut add,
                    vec![*features, fan_in_channels(resolved, info)],
                    *bias,
                    on_grid,
                    kernel,
                    real,
                );
            }
            Op::Scale => add("weight", vec![channels], real, true),
            Op::BatchNorm { .. } => {
                if form != Form::Trained {
                    return refuse(
                        "batch norm does not exist after conversion; it is folded into the \
                         convolution",
                    );
                }
                for (part, learned) in [
                    ("weight", true),
                    ("bias", true),
                    ("running_mean", false),
                    ("running_var", false),
                ] {
                    add(part, vec![channels], real, learned);
                }
            }
            Op::Activation { site, code } => {
                if code.is_some() == (form == Form::Trained) {
                    return refuse("a site has a code after conversion and only then");
                }
                match site {
                    Site::Lif(_) | Site::Relu | Site::QuantRelu(_) | Site::Custom(_) if on_grid => {
                        return refuse("a site on the grid must be grid_lif or grid_quant_relu");
                    }
                    Site::GridLif(_) | Site::GridQuantRelu { .. } if !on_grid => {
                        return refuse("grid sites exist on the grid only");
                    }
                    Site::Lif(lif) => {
                        if matches!(lif.leak, Leak::Learned { .. }) {
                            if form != Form::Trained {
                                return refuse("a learned leak becomes a fixed one in conversion");
                            }
                            add("leak", vec![1], real, true);
                        }
                        if let Threshold::Learned { share, .. } = lif.threshold {
                            add("threshold", share.shape(channels), real, true);
                        }
                    }
                    Site::Relu => {}
                    Site::QuantRelu(q) => add("step", q.share.shape(channels), real, true),
                    Site::Custom(custom) => {
                        for (part, learned) in &custom.learned {
                            add(part, learned.share.shape(channels), real, true);
                        }
                    }
                    Site::GridLif(lif) => {
                        add("threshold", vec![channels], real, false);
                        if matches!(lif.adaptation, GridAdaptation::Threshold { .. }) {
                            add("adaptation", vec![channels], real, false);
                        }
                    }
                    Site::GridQuantRelu { levels } => {
                        add("thresholds", vec![usize::from(*levels), channels], real, false);
                    }
                }
            }
            Op::Input { .. }
            | Op::Pool { .. }
            | Op::GlobalPool { .. }
            | Op::Flatten
            | Op::Add
            | Op::Concat
            | Op::TimeMean => {}
        }
    }
    Ok(specs)
}

fn fan_in_channels(resolved: &Resolved, info: &ResolvedNode) -> usize {
    resolved.nodes[info.inputs[0]].shape[0]
}

fn synapse(
    add: &mut impl FnMut(&str, Vec<usize>, &'static [&'static str], bool),
    shape: Vec<usize>,
    bias: bool,
    on_grid: bool,
    kernel: &'static [&'static str],
    real: &'static [&'static str],
) {
    let channels = shape[0];
    add("weight", shape, kernel, true);
    if bias {
        add("bias", vec![channels], real, true);
    }
    if on_grid {
        add("multiplier", vec![channels], real, false);
    }
}

fn check_weight(spec: &WeightSpec, tensor: &Tensor) -> Result<()> {
    let fail = |expected: String, found: String| {
        Err(Error::Weight { name: spec.name.clone(), expected, found })
    };
    spec.check(tensor.dtype(), tensor.shape())?;
    if let Some((position, _)) = tensor.first_not_finite() {
        return fail(
            "finite values".into(),
            format!("a value that is not finite at position {position}"),
        );
    }
    let part = spec.name.rsplit('.').next().unwrap_or_default();
    let least = match part {
        "step" => Some((f64::MIN_POSITIVE, "positive values")),
        "running_var" => Some((0.0, "values of at least 0")),
        "multiplier" | "threshold" if tensor.is_integer() => Some((1.0, "values of at least 1")),
        "adaptation" if tensor.is_integer() => Some((0.0, "values of at least 0")),
        "weight" if tensor.dtype() == "i8" => {
            Some((-f64::from(GRID_WEIGHT_MAX), "values of −127 to 127"))
        }
        _ => None,
    };
    let values = tensor.to_f64();
    if let Some((least, expected)) = least
        && let Some(value) = values.iter().find(|v| **v < least)
    {
        return fail(expected.into(), value.to_string());
    }
    if part == "thresholds" {
        for rows in values.axis_windows(ndarray::Axis(0), 2) {
            let ascending = rows
                .index_axis(ndarray::Axis(0), 0)
                .iter()
                .zip(rows.index_axis(ndarray::Axis(0), 1))
                .all(|(a, b)| a <= b);
            if !ascending {
                return fail(
                    "values that ascend from level to level".into(),
                    "a level below the one before".into(),
                );
            }
        }
    }
    Ok(())
}
