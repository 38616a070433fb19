//! Weights of a node as data: what checks, initial weights, random models, optimisers and
//! fine-tuning know of them.

use crate::model::form::Form;
use ndarray::{ArrayD, Axis};

/// Largest weight on the grid; symmetric, so that `−n` exists for every `n`.
pub const GRID_WEIGHT_MAX: i8 = 127;
/// Limit of the membrane on the grid: it saturates at ±2³⁰ (eq. 13).
pub const MEMBRANE_LIMIT: i64 = 1 << 30;

/// One weight of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct PartSpec {
    /// Name within its node; the weight is called `<node>.<part>`.
    pub part: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Element types that are allowed.
    pub dtypes: &'static [&'static str],
    /// Values that are allowed.
    pub range: Range,
    /// First value, before training; `None` after conversion, where weights come from training.
    pub initial: Option<Initial>,
    /// `true` if training changes the weight by gradient: running statistics and frozen weights
    /// are not learned.
    pub learned: bool,
    /// `true` if weight decay applies: weights of convolutions and linear layers that learn.
    pub decays: bool,
}

/// Values that a weight may have; all of them are finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Any finite values.
    Finite,
    /// Values of at least this one.
    AtLeast(f64),
    /// Values above 0.
    Positive,
    /// Values above this one.
    Above(f64),
    /// Integers of −127 to 127.
    GridWeight,
    /// Integers of −2³⁰ to 2³⁰, where membranes on the grid saturate.
    Membrane,
    /// Values that do not descend along the first axis.
    Ascending,
}

impl Range {
    /// The first value outside the range: what was expected, and what was found.
    pub fn fault(self, values: &ArrayD<f64>) -> Option<(String, String)> {
        let below = |fits: &dyn Fn(f64) -> bool, expected: String| {
            values.iter().find(|value| !fits(**value)).map(|value| (expected, value.to_string()))
        };
        match self {
            Range::Finite => None,
            Range::AtLeast(least) => below(&|v| v >= least, format!("values of at least {least}")),
            Range::Positive => below(&|v| v > 0.0, "positive values".into()),
            Range::Above(least) => below(&|v| v > least, format!("values above {least}")),
            Range::GridWeight => {
                let most = f64::from(GRID_WEIGHT_MAX);
                below(&|v| v.abs() <= most, "values of −127 to 127".into())
            }
            Range::Membrane => {
                let most = MEMBRANE_LIMIT as f64;
                below(&|v| v.abs() <= most, "values of −2^30 to 2^30".into())
            }
            Range::Ascending => values
                .axis_windows(Axis(0), 2)
                .into_iter()
                .any(|rows| {
                    let (before, after) =
                        (rows.index_axis(Axis(0), 0), rows.index_axis(Axis(0), 1));
                    before.iter().zip(after).any(|(a, b)| a > b)
                })
                .then(|| {
                    (
                        "values that ascend from level to level".into(),
                        "a level below the one before".into(),
                    )
                }),
        }
    }
}

/// Law of a weight before training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// One value.
    Constant(f64),
    /// A normal law around 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// A uniform law between −bound and bound.
    Uniform {
        /// Largest absolute value.
        bound: f64,
    },
    /// The first filters pass one input channel on, filter *i* of a group the *i*-th channel: 1 at
    /// the centre `kernel/2` (rounded down) of the kernel, else 0. The others follow the uniform
    /// law.
    Dirac {
        /// Largest absolute value of the other filters.
        bound: f64,
        /// Groups of the convolution.
        groups: usize,
    },
    /// The mean of as many inputs in a row as there are for each output: `1/votes` on them, else 0.
    Voting,
}

const REAL: &[&str] = &["f32", "f64"];
const DOUBLE: &[&str] = &["f64"];
const BYTE: &[&str] = &["i8"];
const INTEGER: &[&str] = &["i32"];

impl Form {
    /// Element types of weights that are not those of convolutions and linear layers.
    fn dtypes(self) -> &'static [&'static str] {
        match self {
            Form::Trained => REAL,
            Form::Events => DOUBLE,
            Form::Grid { .. } => INTEGER,
        }
    }
}

impl PartSpec {
    /// A weight of any finite values that training does not change.
    pub(crate) fn new(part: &str, shape: Vec<usize>, form: Form) -> Self {
        Self {
            part: part.into(),
            shape,
            dtypes: form.dtypes(),
            range: Range::Finite,
            initial: None,
            learned: false,
            decays: false,
        }
    }

    /// A weight that training changes by gradient, and its first values.
    pub(crate) fn learned(part: &str, shape: Vec<usize>, form: Form, initial: Initial) -> Self {
        let initial = (form == Form::Trained).then_some(initial);
        Self { initial, learned: true, ..Self::new(part, shape, form) }
    }

    /// A weight that is measured in training, and its first value.
    pub(crate) fn measured(part: &str, shape: Vec<usize>, form: Form, initial: f64) -> Self {
        let initial = (form == Form::Trained).then_some(Initial::Constant(initial));
        Self { initial, ..Self::new(part, shape, form) }
    }

    /// The same with these values allowed.
    pub(crate) fn within(self, range: Range) -> Self {
        Self { range, ..self }
    }

    /// The weights of a convolution or linear layer, of shape `[outputs, inputs, …kernel]`.
    pub(crate) fn synapse(
        shape: Vec<usize>,
        bias: bool,
        form: Form,
        initial: Initial,
    ) -> Vec<Self> {
        let outputs = shape[0];
        let fan_in: f64 = shape[1..].iter().map(|&size| size as f64).product();
        let on_grid = matches!(form, Form::Grid { .. });
        let weight = Self::learned("weight", shape, form, initial);
        let mut parts = vec![Self {
            dtypes: if on_grid { BYTE } else { form.dtypes() },
            range: if on_grid { Range::GridWeight } else { Range::Finite },
            decays: true,
            ..weight
        }];
        if bias {
            let bound = 1.0 / fan_in.sqrt();
            parts.push(Self::learned("bias", vec![outputs], form, Initial::Uniform { bound }));
        }
        if on_grid {
            let multiplier = Self::new("multiplier", vec![outputs], form);
            parts.push(multiplier.within(Range::AtLeast(1.0)));
        }
        parts
    }
}

/// Attribute, its range, its value.
pub(crate) type Fault = (&'static str, &'static str, String);

/// `true` if a value is finite and above 0.
pub(super) fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}
