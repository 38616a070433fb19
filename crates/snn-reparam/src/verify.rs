//! Proof that nothing was lost: two interpreters of two forms, compared decision by decision.
//!
//! Three levels, and every report says which one it shows:
//!
//! * *bitwise*, on the grid: logits and levels are the same integers;
//! * *zero flips*, off the grid in f64: every spike and level of the trained network equals the
//!   converted one's; ties are counted;
//! * *agreement*, in f32: how many decisions flip, how far logits move, how often the class
//!   changes.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_ir::{Evaluate, Evaluation, Input, Logits, Model, Op, Record, SiteOutput};
use std::cmp::Ordering;
use std::collections::HashMap;

/// What is demanded of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Identical integers.
    Bitwise,
    /// Identical decisions; real-valued logits within rounding.
    ZeroFlips,
    /// Measured, with no demand on decisions.
    Agreement,
}

/// Real logits of one network in two forms may differ by rounding, at most by this part of the
/// largest.
pub const LOGIT_TOLERANCE: f64 = 1e-6;

/// What the comparison of two interpreters found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is demanded.
    pub level: Level,
    /// Interpreter and form on one side.
    pub reference: String,
    /// Interpreter and form on the other.
    pub candidate: String,
    /// Samples compared.
    pub samples: usize,
    /// Decisions (levels of all sites at all macro-steps) compared.
    pub decisions: u64,
    /// Decisions that differ.
    pub flips: u64,
    /// Decisions within rounding of a threshold, where interpreters report them.
    pub ties: u64,
    /// Logits that are not equal bit for bit (bitwise level).
    pub unequal_logits: u64,
    /// Largest difference of two logits, relative to the largest logit; `None` where logits were
    /// not compared.
    pub logit_difference: Option<f64>,
    /// Samples whose class differs.
    pub class_changes: usize,
    /// What happened at each site.
    pub sites: Vec<SiteComparison>,
}

/// What the comparison found at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteComparison {
    /// The site.
    pub site: String,
    /// Decisions compared.
    pub decisions: u64,
    /// Decisions that are not zero on the reference's side: a site without any was not exercised.
    pub active: u64,
    /// Decisions that differ.
    pub flips: u64,
    /// Decisions within rounding of a threshold.
    pub ties: u64,
}

impl Comparison {
    /// An empty comparison.
    pub fn new(level: Level, reference: impl Into<String>, candidate: impl Into<String>) -> Self {
        Self {
            level,
            reference: reference.into(),
            candidate: candidate.into(),
            samples: 0,
            decisions: 0,
            flips: 0,
            ties: 0,
            unequal_logits: 0,
            logit_difference: None,
            class_changes: 0,
            sites: Vec::new(),
        }
    }

    /// Adds what two interpreters returned for one batch.
    ///
    /// # Errors
    /// They recorded different sites or shapes, or logits of different kinds: nothing that could be
    /// compared.
    pub fn add(&mut self, reference: &Evaluation, candidate: &Evaluation) -> Result<()> {
        self.compare_logits(&reference.logits, &candidate.logits)?;
        self.add_decisions(reference, candidate)
    }

    /// As [`add`](Self::add) for a candidate that shows its logits alone.
    ///
    /// # Errors
    /// They have logits of different kinds or shapes.
    pub fn add_logits(&mut self, reference: &Logits, candidate: &Logits) -> Result<()> {
        self.compare_logits(reference, candidate)?;
        self.compare_classes(reference, candidate);
        Ok(())
    }

    /// As [`add`](Self::add), without comparing logits, which may be of different kinds: integers
    /// and real numbers.
    ///
    /// # Errors
    /// They recorded different sites or shapes.
    pub fn add_decisions(&mut self, reference: &Evaluation, candidate: &Evaluation) -> Result<()> {
        self.compare_classes(&reference.logits, &candidate.logits);
        let other: HashMap<&str, &SiteOutput> =
            candidate.sites.iter().map(|s| (s.site.as_str(), &s.output)).collect();
        if reference.sites.len() != candidate.sites.len() || reference.sites.is_empty() {
            let (a, b) = (reference.sites.len(), candidate.sites.len());
            return Err(Error::Comparison(format!(
                "{} recorded {a} sites, {} {b}",
                self.reference, self.candidate
            )));
        }
        if !self.sites.is_empty() && self.sites.len() != reference.sites.len() {
            let (before, now) = (self.sites.len(), reference.sites.len());
            return Err(Error::Comparison(format!(
                "{} recorded {before} sites before and {now} now",
                self.reference
            )));
        }
        if self.sites.is_empty() {
            let empty = |site: &String| SiteComparison {
                site: site.clone(),
                decisions: 0,
                active: 0,
                flips: 0,
                ties: 0,
            };
            self.sites = reference.sites.iter().map(|trace| empty(&trace.site)).collect();
        }
        for (trace, site) in reference.sites.iter().zip(&mut self.sites) {
            let output = other
                .get(trace.site.as_str())
                .filter(|_| trace.site == site.site)
                .ok_or_else(|| {
                    Error::Comparison(format!(
                        "site `{}` was recorded by {} only",
                        trace.site, self.reference
                    ))
                })?;
            let flips = flips(&trace.output, output).ok_or_else(|| {
                Error::Comparison(format!(
                    "site `{}` has different shapes or kinds of output",
                    trace.site
                ))
            })?;
            site.decisions += trace.output.len() as u64;
            site.active += trace.output.active();
            site.flips += flips;
            site.ties += trace.ties;
            self.decisions += trace.output.len() as u64;
            self.flips += flips;
            self.ties += trace.ties;
        }
        Ok(())
    }

    fn compare_classes(&mut self, reference: &Logits, candidate: &Logits) {
        let classes = reference.argmax().into_iter().zip(candidate.argmax());
        self.class_changes += classes.clone().filter(|(a, b)| a != b).count();
        self.samples += classes.count();
    }

    fn compare_logits(&mut self, reference: &Logits, candidate: &Logits) -> Result<()> {
        let (unequal, difference) = match (reference, candidate) {
            (Logits::Integer(a), Logits::Integer(b)) if a.dim() == b.dim() => {
                let largest = a.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0).max(1) as f64;
                let pairs = || a.iter().zip(b);
                let far = pairs().map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0) as f64;
                (pairs().filter(|(a, b)| a != b).count(), far / largest)
            }
            (Logits::Real(a), Logits::Real(b)) if a.dim() == b.dim() => {
                let largest = a.iter().fold(f64::MIN_POSITIVE, |max, v| max.max(v.abs()));
                let pairs = || a.iter().zip(b);
                // A NaN is as far away as can be, wherever it stands.
                let far = pairs()
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0_f64, |max, d| if d.is_nan() { f64::INFINITY } else { max.max(d) });
                (pairs().filter(|(a, b)| a.to_bits() != b.to_bits()).count(), far / largest)
            }
            _ => {
                let (a, b) = (&self.reference, &self.candidate);
                return Err(Error::Comparison(format!(
                    "{a} and {b} have logits of different kinds or shapes"
                )));
            }
        };
        self.unequal_logits += unequal as u64;
        let difference = if difference.is_nan() { f64::INFINITY } else { difference };
        self.logit_difference =
            Some(self.logit_difference.map_or(difference, |so_far| so_far.max(difference)));
        Ok(())
    }

    /// Sites that emitted anything.
    pub fn active_sites(&self) -> usize {
        self.sites.iter().filter(|site| site.active > 0).count()
    }

    /// Why the demanded level does not hold, one reason each; empty if it holds.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.differences();
        failures.extend(self.silences());
        failures
    }

    /// Sites that were silent on every sample: a silent network is trivially equal.
    fn silences(&self) -> Vec<String> {
        let pair = format!("{} against {}", self.reference, self.candidate);
        let silent = self.sites.iter().filter(|site| site.active == 0);
        silent
            .map(|site| {
                format!(
                    "{pair}: site `{}` was silent on every sample, so that nothing was shown \
                         for it",
                    site.site
                )
            })
            .collect()
    }

    /// What differs more than the level allows.
    fn differences(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let pair = format!("{} against {}", self.reference, self.candidate);
        if self.samples == 0 {
            failures.push(format!("{pair}: no samples were compared"));
        }
        if self.level != Level::Agreement && self.flips > 0 {
            let first =
                self.sites.iter().find(|site| site.flips > 0).map_or("", |site| site.site.as_str());
            failures.push(format!(
                "{pair}: {} of {} decisions differ, first at site `{first}`",
                self.flips, self.decisions
            ));
        }
        if self.level == Level::Bitwise && self.unequal_logits > 0 {
            failures.push(format!("{pair}: {} logits differ", self.unequal_logits));
        }
        if let Some(difference) =
            self.logit_difference.filter(|difference| *difference > LOGIT_TOLERANCE)
            && self.level == Level::ZeroFlips
        {
            failures.push(format!("{pair}: logits differ by {difference:.1e} of the largest"));
        }
        failures
    }
}

/// Number of decisions that differ; `None` if they cannot be compared. Values of an unquantised
/// ReLU are decisions of being active.
fn flips(reference: &SiteOutput, candidate: &SiteOutput) -> Option<u64> {
    match (reference, candidate) {
        (SiteOutput::Levels(a), SiteOutput::Levels(b)) if a.shape() == b.shape() => {
            Some(a.iter().zip(b).filter(|(a, b)| a != b).count() as u64)
        }
        (SiteOutput::Values(a), SiteOutput::Values(b)) if a.shape() == b.shape() => {
            Some(a.iter().zip(b).filter(|(a, b)| (**a > 0.0) != (**b > 0.0)).count() as u64)
        }
        _ => None,
    }
}

/// The verdict on a converted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The level shown for the converted model itself: bitwise on the grid, zero flips off it.
    pub level: Level,
    /// Samples that every comparison but the naive evaluator's ran on.
    pub samples: usize,
    /// Decisions that differ where none may: over all comparisons but those at the level of
    /// agreement.
    pub flips: u64,
    /// Number of sites.
    pub sites: usize,
    /// Sites that emitted anything in every comparison.
    pub active_sites: usize,
    /// Accuracy of the trained network, in percent.
    pub accuracy_reference: f64,
    /// Accuracy of the converted network, in percent.
    pub accuracy_converted: f64,
    /// The most accuracy that the grid may cost, in points.
    pub max_drop: f64,
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
    /// Why it does not hold; empty if it does.
    pub failures: Vec<String>,
}

impl Report {
    /// Sums up comparisons; `other_failures` are those found outside them (a file that is not the
    /// conversion of the run, a failed self-test).
    pub fn new(
        level: Level,
        (accuracy_reference, accuracy_converted): (f64, f64),
        max_drop: f64,
        comparisons: Vec<Comparison>,
        other_failures: Vec<String>,
    ) -> Self {
        let mut failures = other_failures;
        let samples = comparisons.iter().map(|c| c.samples).max().unwrap_or(0);
        failures.extend(comparisons.iter().flat_map(Comparison::differences));
        // Every site must be exercised where all samples ran, not in the naive evaluator's few.
        failures.extend(
            comparisons.iter().filter(|c| c.samples == samples).flat_map(Comparison::silences),
        );
        let drop = accuracy_reference - accuracy_converted;
        if comparisons.is_empty() {
            failures.push("nothing was compared".into());
        }
        // Not a number fails, too, on either side.
        if drop.partial_cmp(&max_drop).is_none_or(Ordering::is_gt) {
            failures.push(format!("accuracy fell by {drop:.2} points, allowed are {max_drop}"));
        }
        Self {
            level,
            samples,
            flips: comparisons
                .iter()
                .filter(|c| c.level != Level::Agreement)
                .map(|c| c.flips)
                .sum(),
            sites: comparisons.iter().map(|c| c.sites.len()).max().unwrap_or(0),
            active_sites: comparisons
                .iter()
                // Where only logits were compared no site was seen.
                .filter(|c| c.samples == samples && !c.sites.is_empty())
                .map(Comparison::active_sites)
                .min()
                .unwrap_or(0),
            accuracy_reference,
            accuracy_converted,
            max_drop,
            comparisons,
            failures,
        }
    }

    /// Whether everything demanded holds.
    pub fn holds(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs two interpreters on one batch and adds what they return; gives back both results.
///
/// # Errors
/// An interpreter failed, or their results cannot be compared.
pub fn compare(
    comparison: &mut Comparison,
    reference: &mut dyn Evaluate,
    candidate: &mut dyn Evaluate,
    input: &Input<'_>,
) -> Result<(Evaluation, Evaluation)> {
    let reference = reference.evaluate(input, Record::Sites)?;
    let candidate = candidate.evaluate(input, Record::Sites)?;
    comparison.add(&reference, &candidate)?;
    Ok((reference, candidate))
}

/// Whether fine-tuning may have changed the weights of a model on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// The file must be exactly what conversion makes of the run.
    None,
    /// Convolution and linear weights and biases may differ; graph, thresholds, multipliers and
    /// units may not.
    Weights,
}

/// Shows that `file` is what conversion makes of the run: the link between the trained network and
/// a file that is only compared with itself otherwise.
pub fn same_conversion(expected: &Model, file: &Model, tuning: Tuning) -> Vec<String> {
    let mut failures = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            failures.push(format!("the file is not the conversion of the run: {what} differ"));
        }
    };
    demand(expected.form() == file.form(), "the forms (or the units of the logits)");
    demand(expected.graph() == file.graph(), "the graphs");
    demand(expected.time_steps() == file.time_steps(), "the macro-steps");
    demand(expected.preprocessing() == file.preprocessing(), "the preprocessings");
    demand(expected.classes() == file.classes(), "the names of the classes");
    demand(expected.weights().keys().eq(file.weights().keys()), "the names of the weights");
    for (name, tensor) in expected.weights() {
        let Some(other) = file.weights().get(name) else { continue };
        let may_differ = tuning == Tuning::Weights && is_tunable(expected, name);
        let same = if may_differ {
            other.dtype() == tensor.dtype() && other.shape() == tensor.shape()
        } else {
            other == tensor
        };
        if !same {
            demand(false, &format!("the values of `{name}`"));
            break;
        }
    }
    failures
}

/// Whether training changes this weight: weights and biases of convolutions and linear layers, not
/// those of one-to-one synapses.
fn is_tunable(model: &Model, name: &str) -> bool {
    let Some((node, "weight" | "bias")) = name.rsplit_once('.') else { return false };
    matches!(model.graph().node(node).map(|node| &node.op), Some(Op::Conv(_) | Op::Linear { .. }))
}
