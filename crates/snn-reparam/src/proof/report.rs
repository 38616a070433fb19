//! The verdict on a converted model.

use super::compare::{Comparison, Strictness};
use super::link::Tuning;
use super::rounding::{LayerRounding, SLACK};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// Images that the proof of a fine-tuned model needs at least, or all of a smaller test set: its
/// weights are checked by accuracy alone, which few images do not show.
pub const LEAST_FINETUNED_IMAGES: usize = 1000;

/// Verdict of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The file is the conversion of the run, on the grid: the same integers in every interpreter.
    Bitwise,
    /// The file is the conversion of the run, off the grid: every decision of the trained network.
    ZeroFlips,
    /// The file was fine-tuned: the same integers in every interpreter, at the accuracy demanded.
    /// That its weights come from the run is not shown.
    FineTuned,
    /// Nothing speaks against the file, but too few images ran to show anything for it.
    Unproven,
    /// Something that is demanded does not hold.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Bitwise => "holds: bitwise",
            Verdict::ZeroFlips => "holds: zero flips",
            Verdict::FineTuned => "holds: fine-tuned, the same bits in every interpreter",
            Verdict::Unproven => "unproven",
            Verdict::Failed => "does not hold",
        })
    }
}

/// Effect of invisible noise on the classes of the trained network, as a yardstick for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// Images in which every pixel was changed by one of 255.
    pub samples: usize,
    /// Images whose class changed.
    pub class_changes: usize,
}

/// Findings, before they are judged.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// `true` if the file is on the grid.
    pub on_grid: bool,
    /// `true` if fine-tuning may have changed its weights.
    pub tuning: Tuning,
    /// Number of images of the whole test set, where it is known.
    pub test_samples: Option<usize>,
    /// Accuracy of the trained network, in percent.
    pub accuracy_reference: f64,
    /// Accuracy of the converted network, in percent.
    pub accuracy_converted: f64,
    /// The most accuracy that the grid may cost, in points.
    pub max_drop: f64,
    /// Images that the trained network and the file classify differently.
    pub class_changes: usize,
    /// Effect of one step of a pixel; `None` for frames, where that is a whole spike.
    pub noise: Option<Noise>,
    /// Values of weights and biases that differ from the run's conversion.
    pub changed_weights: u64,
    /// Values of all weights and biases.
    pub weights: u64,
    /// Rounding errors of the weights of each layer.
    pub rounding: Vec<LayerRounding>,
    /// The comparisons on the images.
    pub comparisons: Vec<Comparison>,
    /// The comparisons on frames that were made of the images; they show nothing of a site that
    /// the images leave silent.
    pub made_frames: Vec<Comparison>,
    /// Failures outside the comparisons: a file that is not the conversion of the run, integers
    /// that no scale explains, a failed self-test.
    pub failures: Vec<String>,
    /// Notes beside the verdict.
    pub notes: Vec<String>,
}

/// The judgement of a proof with everything that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Strictness for the converted model itself: bitwise on the grid, zero flips off it.
    #[serde(rename = "level")]
    pub strictness: Strictness,
    /// Images that all comparisons ran on, but those of a sample.
    pub samples: usize,
    /// Number of images of the whole test set, where it is known.
    pub test_samples: Option<usize>,
    /// Decisions that differ where none may: over all comparisons but those that only measure.
    pub flips: u64,
    /// Number of sites.
    pub sites: usize,
    /// Sites that emitted anything in every comparison of all images.
    pub active_sites: usize,
    /// Accuracy of the trained network, in percent.
    pub accuracy_reference: f64,
    /// Accuracy of the converted network, in percent.
    pub accuracy_converted: f64,
    /// The most accuracy that the grid may cost, in points.
    pub max_drop: f64,
    /// Images that the trained network and the file classify differently.
    pub class_changes: usize,
    /// Effect of one step of a pixel.
    pub noise: Option<Noise>,
    /// `true` for a file whose weights were rounded by what layers read.
    pub calibrated: bool,
    /// Values of weights and biases that differ from the run's conversion.
    pub changed_weights: u64,
    /// Values of all weights and biases.
    pub weights: u64,
    /// Rounding errors of the weights of each layer.
    pub rounding: Vec<LayerRounding>,
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
    /// Why it does not hold, one cause each; empty if it does.
    pub failures: Vec<String>,
    /// Notes beside the verdict.
    pub notes: Vec<String>,
}

impl Report {
    /// Judges what was found.
    pub fn new(findings: Findings) -> Self {
        let Findings { mut comparisons, made_frames, mut failures, .. } = findings;
        let samples = comparisons.iter().map(|c| c.samples).max().unwrap_or(0);
        // Every site must be exercised by the images themselves where all of them ran: not in the
        // naive evaluator's few, nor by frames that were made.
        let all = || comparisons.iter().filter(|c| c.samples == samples);
        let silent = silence(all(), samples);
        let active_sites = all()
            // Where only logits were compared no site was seen.
            .filter(|c| !c.sites.is_empty())
            .map(Comparison::active_sites)
            .min()
            .unwrap_or(0);
        comparisons.extend(made_frames);
        failures.extend(grouped(&comparisons));
        failures.extend(silent);
        if comparisons.is_empty() && failures.is_empty() {
            failures.push("nothing was compared".into());
        }
        let drop = findings.accuracy_reference - findings.accuracy_converted;
        // Not a number fails, too, on either side.
        if !comparisons.is_empty()
            && drop.partial_cmp(&findings.max_drop).is_none_or(Ordering::is_gt)
        {
            let allowed = findings.max_drop;
            failures.push(format!("accuracy fell by {drop:.2} points, allowed are {allowed}"));
        }
        let least = findings.test_samples.unwrap_or(usize::MAX).min(LEAST_FINETUNED_IMAGES);
        let verdict = match (failures.is_empty(), findings.tuning, findings.on_grid) {
            (false, _, _) => Verdict::Failed,
            (true, Tuning::Weights, _) if samples < least => {
                failures.push(format!(
                    "a fine-tuned model is shown on {least} images at least, these are {samples}: \
                     its weights may be any, and only accuracy speaks for them; choose more \
                     (`--limit` of `snn verify`)"
                ));
                Verdict::Unproven
            }
            (true, Tuning::Weights, _) => Verdict::FineTuned,
            (true, Tuning::None | Tuning::Calibration, true) => Verdict::Bitwise,
            (true, Tuning::None | Tuning::Calibration, false) => Verdict::ZeroFlips,
        };
        Self {
            verdict,
            strictness: if findings.on_grid { Strictness::Bitwise } else { Strictness::ZeroFlips },
            samples,
            test_samples: findings.test_samples,
            flips: comparisons
                .iter()
                .filter(|c| c.strictness != Strictness::Agreement)
                .map(|c| c.flips)
                .sum(),
            sites: comparisons.iter().map(|c| c.sites.len()).max().unwrap_or(0),
            active_sites,
            accuracy_reference: findings.accuracy_reference,
            accuracy_converted: findings.accuracy_converted,
            max_drop: findings.max_drop,
            class_changes: findings.class_changes,
            noise: findings.noise,
            calibrated: findings.tuning == Tuning::Calibration,
            changed_weights: findings.changed_weights,
            weights: findings.weights,
            rounding: findings.rounding,
            comparisons,
            failures,
            notes: findings.notes,
        }
    }

    /// `true` if everything demanded holds.
    pub fn holds(&self) -> bool {
        matches!(self.verdict, Verdict::Bitwise | Verdict::ZeroFlips | Verdict::FineTuned)
    }

    /// Images that keep the class of the trained network, in percent.
    pub fn kept_classes(&self) -> f64 {
        100.0 * (self.samples - self.class_changes) as f64 / self.samples as f64
    }

    /// The verdict in one line: what holds, on how many images of how many, how many keep their
    /// class, how many weights differ.
    pub fn verdict_line(&self) -> String {
        let verdict = self.verdict;
        if self.samples == 0 {
            return format!("{verdict}; nothing was run");
        }
        let of = self.test_samples.map_or_else(String::new, |all| format!(" of {all}"));
        let (samples, kept, changed) = (self.samples, self.kept_classes(), self.class_changes);
        let (differ, weights) = (self.changed_weights, self.weights);
        format!(
            "{verdict}; {samples}{of} images; {kept:.1} % keep their class ({changed} changed); \
             {differ} of {weights} weights differ from the run's conversion"
        )
    }
}

impl Report {
    /// Rounding of the weights in one line, as far as it was shown for the file itself; `None` off
    /// the grid.
    pub fn rounding_line(&self) -> Option<String> {
        let largest =
            |a: &&LayerRounding, b: &&LayerRounding| a.largest_error.total_cmp(&b.largest_error);
        let worst = self.rounding.iter().max_by(largest)?;
        let weights: usize = self.rounding.iter().map(|layer| layer.weights).sum();
        let (error, node, changed) = (worst.largest_error, &worst.node, self.changed_weights);
        // The bound is of the run's conversion, and of the file where that is the same.
        Some(if error.is_nan() || error > 0.5 + SLACK {
            format!(
                "rounding moves weights of the run's conversion by more than half a step (the \
                 largest by {error:.3} steps, in `{node}`)"
            )
        } else if self.calibrated {
            format!(
                "every one of {weights} weights is at most one integer from the nearest to its \
                 real value (calibrated; {changed} values, biases too, are not the nearest)"
            )
        } else if changed > 0 {
            format!(
                "in the run's conversion every one of {weights} weights is within half a step of \
                 its real value (largest {error:.3} steps, `{node}`); {changed} values of the file \
                 are not the conversion's, and nothing bounds them"
            )
        } else {
            format!(
                "every one of {weights} weights is within half a step of its real value (largest \
                 {error:.3} steps, `{node}`)"
            )
        })
    }
}

/// Differences, one cause each: pairs that fail alike share a line.
fn grouped(comparisons: &[Comparison]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for comparison in comparisons {
        for cause in comparison.differences() {
            match groups.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, pairs)) => pairs.push(comparison.pair()),
                None => groups.push((cause, vec![comparison.pair()])),
            }
        }
    }
    let line = |(cause, pairs): &(String, Vec<String>)| {
        let more = match pairs.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more comparisons)"),
        };
        format!("{}{more}: {cause}", pairs[0])
    };
    groups.iter().map(line).collect()
}

/// Sites that were silent in a comparison of all images.
fn silence<'c>(
    comparisons: impl Iterator<Item = &'c Comparison>,
    samples: usize,
) -> Option<String> {
    let mut silent: Vec<&str> = Vec::new();
    for site in comparisons.flat_map(Comparison::silent_sites) {
        if !silent.contains(&site) {
            silent.push(site);
        }
    }
    let (first, rest) = silent.split_first()?;
    let sites = match rest.len() {
        0 => format!("site `{first}` was"),
        more => format!("site `{first}` and {more} more were"),
    };
    Some(format!("{sites} silent on all {samples} samples, so that nothing was shown there"))
}
