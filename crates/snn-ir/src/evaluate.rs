//! The trait every interpreter implements, and what it returns.

use crate::error::{Error, Result};
use crate::model::Signature;
use ndarray::{Array2, ArrayD, ArrayViewD, Axis};

/// An interpreter of a model. All of them take raw pixels, so that no two of them can disagree
/// about preprocessing.
pub trait Evaluate {
    /// Name of this instance as used in reports.
    fn name(&self) -> &str;

    /// Runs a batch.
    ///
    /// # Errors
    /// The input does not fit the model, or the back end failed.
    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> Result<Evaluation>;
}

/// A batch of raw pixels.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// One image a sample, shown at every macro-step: `[B, …shape]`.
    Static(ArrayViewD<'a, u8>),
    /// One frame a macro-step: `[T, B, …shape]`.
    Frames(ArrayViewD<'a, u8>),
}

/// How much an interpreter records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Logits only.
    Logits,
    /// The output of every site as well.
    Sites,
}

/// Result of an interpreter.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Class scores.
    pub logits: Logits,
    /// Outputs of sites in graph order; empty unless they were recorded.
    pub sites: Vec<SiteTrace>,
}

/// Class scores of a batch, `[B, classes]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Logits {
    /// On the grid: `Σ_t J[t]`, or the last or largest `J[t]`, by the head;
    /// [`Signature::logits`] makes floats of them.
    Integer(Array2<i64>),
    /// Off the grid: the mean over macro-steps, or what else the head reads out.
    Real(Array2<f64>),
}

impl Logits {
    /// Position of the largest score of each sample; the first of equals.
    pub fn argmax(&self) -> Vec<usize> {
        match self {
            Logits::Integer(a) => {
                a.axis_iter(Axis(0)).map(|row| first_largest(row.iter())).collect()
            }
            Logits::Real(a) => a.axis_iter(Axis(0)).map(|row| first_largest(row.iter())).collect(),
        }
    }

    /// Number of samples whose largest score is that of their label.
    pub fn correct(&self, labels: &[i64]) -> usize {
        count_correct(&self.argmax(), labels)
    }

    /// As floats.
    ///
    /// # Errors
    /// Integers of a model that is not on the grid.
    pub fn to_real(&self, signature: &Signature) -> Result<Array2<f64>> {
        match self {
            Logits::Integer(sums) => signature.logits(sums),
            Logits::Real(real) => Ok(real.clone()),
        }
    }
}

/// Number of samples whose class is their label: the one place where correct classes are counted.
pub fn count_correct(classes: &[usize], labels: &[i64]) -> usize {
    let is_label = |(class, label): &(&usize, &i64)| i64::try_from(**class) == Ok(**label);
    classes.iter().zip(labels).filter(is_label).count()
}

fn first_largest<'v, V: PartialOrd + 'v>(values: impl Iterator<Item = &'v V>) -> usize {
    let mut best: Option<(usize, &V)> = None;
    for (index, value) in values.enumerate() {
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((index, value));
        }
    }
    best.map_or(0, |(index, _)| index)
}

/// Output of one site, `[T, B, …shape]`; `[1, B, …shape]` for a site of the time-invariant prefix
/// (eq. 14).
#[derive(Debug, Clone, PartialEq)]
pub struct SiteTrace {
    /// Name of its node.
    pub site: String,
    /// The site's output.
    pub output: SiteOutput,
    /// Decisions that came within [`TIE`] of a threshold, relative to it. Counted off the grid
    /// only, by interpreters that report it.
    pub ties: u64,
}

/// Relative distance to a threshold below which a real-valued decision counts as a tie: far above
/// the rounding of f64 sums, far below any chance event.
pub const TIE: f64 = 1e-11;

/// Output of a site.
#[derive(Debug, Clone, PartialEq)]
pub enum SiteOutput {
    /// Spikes or levels, whatever the form of the model.
    Levels(ArrayD<i16>),
    /// Values of an unquantised ReLU.
    Values(ArrayD<f64>),
}

impl SiteOutput {
    /// Number of values that are not zero.
    pub fn active(&self) -> u64 {
        match self {
            SiteOutput::Levels(a) => a.iter().filter(|v| **v != 0).count() as u64,
            SiteOutput::Values(a) => a.iter().filter(|v| **v != 0.0).count() as u64,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            SiteOutput::Levels(a) => a.len(),
            SiteOutput::Values(a) => a.len(),
        }
    }

    /// `true` if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Input<'a> {
    /// Number of samples.
    pub fn batch(&self) -> usize {
        match self {
            Input::Static(a) => a.shape().first().copied().unwrap_or(0),
            Input::Frames(a) => a.shape().get(1).copied().unwrap_or(0),
        }
    }

    /// `true` if every macro-step has a frame of its own.
    pub fn varies(&self) -> bool {
        matches!(self, Input::Frames(_))
    }

    /// The pixels of macro-step `t` (from 0), `[B, …shape]`.
    pub fn frame(&self, t: usize) -> ArrayViewD<'_, u8> {
        match self {
            Input::Static(a) => a.view(),
            Input::Frames(a) => a.index_axis(Axis(0), t),
        }
    }

    /// The pixels, time first where there is one.
    pub fn pixels(&self) -> &ArrayViewD<'a, u8> {
        match self {
            Input::Static(a) | Input::Frames(a) => a,
        }
    }

    /// Checks the shape against a model's input shape and macro-steps.
    ///
    /// # Errors
    /// It differs.
    pub fn check(&self, shape: &[usize], time_steps: usize) -> Result<()> {
        let (found, fits, expected) = match self {
            Input::Static(a) => {
                (a.shape(), a.ndim() > 0 && a.shape()[1..] == *shape, format!("[B, {shape:?}]"))
            }
            Input::Frames(a) => (
                a.shape(),
                a.ndim() > 1 && a.shape()[0] == time_steps && a.shape()[2..] == *shape,
                format!("[{time_steps}, B, {shape:?}]"),
            ),
        };
        if fits { Ok(()) } else { Err(Error::Input { expected, found: found.to_vec() }) }
    }
}
