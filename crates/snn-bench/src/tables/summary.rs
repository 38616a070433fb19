//! The summary of a row: the records of its seeds together.

use super::definition::{Budget, Row};
use super::record::{Conversion, Record};
use crate::names::TargetName;
use crate::table::counted;
use serde::Serialize;
use snn_reparam::proof::Strictness;

/// A figure over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// One of each seed, in their order.
    pub(crate) values: Vec<f64>,
    /// Their mean.
    pub(crate) mean: f64,
    /// Their standard deviation with n − 1 in the denominator; `None` of one seed.
    pub(crate) deviation: Option<f64>,
}

impl Spread {
    /// Over these values; `None` where there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Some(Self { values, mean, deviation })
    }
}

/// A row over the seeds that were made of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    /// The row.
    pub(crate) row: String,
    /// The config, from the root of the repository.
    pub(crate) config: String,
    /// Seeds that were trained.
    pub(crate) seeds: Vec<u64>,
    /// Seeds that are still to be made, wholly or in part.
    pub(crate) missing: Vec<u64>,
    /// Data set.
    pub(crate) dataset: String,
    /// Policy.
    pub(crate) policy: snn_hybrid::Policy,
    /// Share of the neurons that are LIF, 0 to 1.
    pub(crate) lif_share: f64,
    /// Macro-steps.
    pub(crate) time_steps: usize,
    /// Test samples that the accuracy is of.
    pub(crate) test_samples: usize,
    /// Test accuracy in percent.
    pub(crate) accuracy: Spread,
    /// Test accuracy of the twin of a staged run, in percent.
    pub(crate) twin: Option<Spread>,
    /// Seconds of training.
    pub(crate) seconds: Spread,
    /// Each code over the seeds.
    pub(crate) codes: Vec<CodeSummary>,
    /// The published accuracy that the row is held against, in percent.
    pub(crate) published: Option<f64>,
    /// `true` if the mean is at most the tolerance below the published accuracy; `None` before all
    /// seeds are made.
    pub(crate) reproduced: Option<bool>,
}

/// A code over the seeds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CodeSummary {
    /// The code, and the bits of weights.
    pub(crate) code: TargetName,
    /// Seeds whose networks were converted.
    pub(crate) seeds: Vec<u64>,
    /// `true` if every proof holds, and rounding costs at most `max_drop`.
    pub(crate) holds: bool,
    /// Strictness of the proofs; `None` where one of them does not hold.
    pub(crate) level: Option<Strictness>,
    /// Test samples of each proof, the fewest.
    pub(crate) samples: usize,
    /// Accuracy of the integer network in percent.
    pub(crate) accuracy: Spread,
    /// Points that the grid cost.
    pub(crate) lost: Spread,
    /// Points that it may cost in the mean.
    pub(crate) max_drop: f64,
    /// Share of the samples that both put into the same class, in percent.
    pub(crate) agreement: Spread,
    /// Micro-steps of a macro-step.
    pub(crate) micro_steps: u32,
    /// Events divided by neuron updates.
    pub(crate) firing_rate: Spread,
    /// Additions of a sample.
    pub(crate) additions: Spread,
    /// Energy of a sample by counting, in µJ.
    pub(crate) energy: Spread,
    /// Samples a second of the deployment.
    pub(crate) samples_per_second: Spread,
}

impl CodeSummary {
    /// What the proofs showed, in a few words.
    pub(crate) fn proof(&self) -> String {
        let tuned = if self.code.rounding.is_tuned() { " after fine-tuning" } else { "" };
        match (self.level, self.holds) {
            (None, _) => "does not hold".to_string(),
            (Some(level), true) => format!("{level}{tuned}"),
            (Some(level), false) => {
                format!("{level}{tuned}, but costs more than {}", self.max_drop)
            }
        }
    }
}

impl Summary {
    /// What the proofs of all codes showed, in a few words.
    pub(crate) fn proof(&self) -> String {
        let Some(worst) = self.codes.iter().min_by_key(|code| (code.holds, code.samples)) else {
            return "not converted".to_string();
        };
        let codes = counted(self.codes.len(), "code");
        format!("{} in {codes}, {} samples", worst.proof(), worst.samples)
    }

    /// The published accuracy, and whether it was reached.
    pub(crate) fn against(&self) -> String {
        match (self.published, self.reproduced) {
            (Some(value), Some(true)) => format!("{value:.2} %, reproduced"),
            (Some(value), Some(false)) => format!("{value:.2} %, not reproduced"),
            (Some(value), None) => format!("{value:.2} %"),
            (None, _) => String::new(),
        }
    }
}

/// A row over the records of its seeds; `None` where there are none.
pub(crate) fn summarise(
    row: &Row,
    budget: &Budget,
    records: &[Record],
    missing: Vec<u64>,
) -> Option<Summary> {
    let first = records.first()?;
    let trainings = || records.iter().map(|record| &record.training);
    let accuracy = Spread::of(trainings().map(|training| training.accuracy))?;
    let max_drop = budget.max_drop.unwrap_or(row.max_drop);
    let of_code = |code: &TargetName| of_code(*code, max_drop, records);
    let reached = |published: f64| accuracy.mean >= published - row.tolerance;
    Some(Summary {
        row: row.name.clone(),
        config: row.config.clone(),
        seeds: records.iter().map(|record| record.seed).collect(),
        dataset: first.training.dataset.clone(),
        policy: first.training.policy.clone(),
        lif_share: first.training.lif_share,
        time_steps: first.training.time_steps,
        test_samples: first.training.test_samples,
        twin: Spread::of(trainings().filter_map(|t| t.twin.as_ref()).map(|t| t.accuracy)),
        seconds: Spread::of(trainings().map(|training| training.seconds))?,
        codes: row.codes.iter().filter_map(of_code).collect(),
        published: row.published,
        reproduced: row.published.filter(|_| missing.is_empty()).map(reached),
        missing,
        accuracy,
    })
}

fn of_code(code: TargetName, max_drop: f64, records: &[Record]) -> Option<CodeSummary> {
    let all: Vec<(u64, &Conversion)> = records
        .iter()
        .flat_map(|record| record.conversions.iter().map(|conversion| (record.seed, conversion)))
        .filter(|(_, conversion)| conversion.code == code)
        .collect();
    let (_, first) = all.first()?;
    let spread = |figure: fn(&Conversion) -> f64| Spread::of(all.iter().map(|(_, c)| figure(c)));
    let is_proved = all.iter().all(|(_, c)| c.is_proved());
    let lost = spread(|c| c.trained_accuracy - c.accuracy)?;
    Some(CodeSummary {
        code,
        seeds: all.iter().map(|(seed, _)| *seed).collect(),
        // Percentages of samples differ by rounding from what they are.
        holds: is_proved && lost.mean <= max_drop + 1e-9,
        level: is_proved.then_some(first.level),
        samples: all.iter().map(|(_, c)| c.samples).min()?,
        accuracy: spread(|c| c.accuracy)?,
        lost,
        max_drop,
        agreement: spread(|c| c.agreement)?,
        micro_steps: first.micro_steps,
        firing_rate: spread(|c| c.firing_rate)?,
        additions: spread(|c| c.additions)?,
        energy: spread(|c| c.energy_microjoules)?,
        samples_per_second: spread(|c| c.samples_per_second)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_mean_and_deviation() {
        assert_eq!(Spread::of([]), None);
        let one = Spread::of([3.0]).unwrap();
        assert_eq!((one.mean, one.deviation), (3.0, None));
        let three = Spread::of([1.0, 2.0, 6.0]).unwrap();
        assert_eq!((three.mean, three.deviation), (3.0, Some(7.0_f64.sqrt())));
    }
}
