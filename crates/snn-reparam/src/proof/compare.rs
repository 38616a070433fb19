//! Two interpreters compared, decision by decision.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_ir::{Evaluation, Logits, SiteOutput};
use std::collections::HashMap;
use std::fmt;

/// Strictness of a comparison; every report says which it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Identical integers: logits and levels on the grid.
    Bitwise,
    /// Identical decisions (spikes and levels); real-valued logits within rounding.
    ZeroFlips,
    /// Measured, with no demand on decisions: how many flip, how far logits move, how often the
    /// class changes.
    Agreement,
}

impl fmt::Display for Strictness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Strictness::Bitwise => "bitwise",
            Strictness::ZeroFlips => "zero flips",
            Strictness::Agreement => "agreement",
        })
    }
}

/// Real logits of one network in two forms may differ by rounding, at most by this part of the
/// largest.
pub const LOGIT_TOLERANCE: f64 = 1e-6;

/// Result of comparing two interpreters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Required strictness.
    #[serde(rename = "level")]
    pub strictness: Strictness,
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
    /// Comparison at each site.
    pub sites: Vec<SiteComparison>,
}

/// Result of a comparison at one site.
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
    pub fn new(
        strictness: Strictness,
        reference: impl Into<String>,
        candidate: impl Into<String>,
    ) -> Self {
        Self {
            strictness,
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

    /// The interpreters of this comparison, for messages.
    pub fn pair(&self) -> String {
        format!("{} against {}", self.reference, self.candidate)
    }

    /// Sites that were silent on every sample: a silent network is trivially equal.
    pub fn silent_sites(&self) -> impl Iterator<Item = &str> {
        self.sites.iter().filter(|site| site.active == 0).map(|site| site.site.as_str())
    }

    /// Differences that the strictness forbids, one cause each; empty if nothing does.
    pub fn differences(&self) -> Vec<String> {
        let mut causes = Vec::new();
        if self.samples == 0 {
            causes.push("no samples were compared".into());
        }
        if self.strictness != Strictness::Agreement
            && let Some(first) = self.sites.iter().find(|site| site.flips > 0)
        {
            let ties = match (self.strictness, first.ties) {
                (Strictness::ZeroFlips, ties @ 1..) => format!(
                    ", where {ties} decisions were ties: equal to a threshold but for the rounding \
                     of f64 sums, which real arithmetic decides and f64 does not"
                ),
                _ => String::new(),
            };
            causes.push(format!(
                "{} of {} decisions differ, first at site `{}`{ties}",
                self.flips, self.decisions, first.site
            ));
        }
        if self.strictness == Strictness::Bitwise && self.unequal_logits > 0 {
            causes.push(format!("{} logits differ", self.unequal_logits));
        }
        if let Some(difference) =
            self.logit_difference.filter(|difference| *difference > LOGIT_TOLERANCE)
            && self.strictness == Strictness::ZeroFlips
        {
            causes.push(format!("logits differ by {difference:.1e} of the largest"));
        }
        causes
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
