//! The records of a row's seeds, together.

use super::definition::Row;
use super::record::{Conversion, Record};
use crate::table::counted;
use serde::Serialize;
use snn_ir::Code;
use snn_reparam::proof::{Strictness, Verdict};

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
    /// Seeds that were made.
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
    /// `true` if the mean is at most the tolerance below the published accuracy.
    pub(crate) reproduced: Option<bool>,
}

/// A code over the seeds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CodeSummary {
    /// The code.
    pub(crate) code: Code,
    /// Strictness of the proofs; `None` where one of them does not hold.
    pub(crate) level: Option<Strictness>,
    /// Test samples of each proof, the fewest.
    pub(crate) samples: usize,
    /// Accuracy of the integer network in percent.
    pub(crate) accuracy: Spread,
    /// Points that the grid cost.
    pub(crate) lost: Spread,
    /// Share of the samples that both put into the same class, in percent.
    pub(crate) agreement: Spread,
    /// Micro-steps of a macro-step.
    pub(crate) micro_steps: u32,
    /// Share of the neurons that send an event at a macro-step, 0 to 1.
    pub(crate) firing_rate: Spread,
    /// Additions of a sample.
    pub(crate) additions: Spread,
    /// Energy of a sample by counting, in µJ.
    pub(crate) energy: Spread,
    /// Samples a second of the deployment.
    pub(crate) samples_per_second: Spread,
}

impl Summary {
    /// What the proofs showed, in a few words.
    pub(crate) fn proof(&self) -> String {
        let Some(fewest) = self.codes.iter().map(|code| code.samples).min() else {
            return "not converted".to_string();
        };
        let levels: Option<Vec<_>> = self.codes.iter().map(|code| code.level).collect();
        match levels.as_deref() {
            None => "does not hold".to_string(),
            Some(levels) => {
                format!("{} in {}, {fewest} samples", levels[0], counted(levels.len(), "code"))
            }
        }
    }
}

/// A row over the records of its seeds; `None` where there are none.
pub(crate) fn summarise(row: &Row, records: &[Record], missing: Vec<u64>) -> Option<Summary> {
    let first = records.first()?;
    let trainings = || records.iter().map(|record| &record.training);
    let accuracy = Spread::of(trainings().map(|training| training.accuracy))?;
    Some(Summary {
        row: row.name.clone(),
        config: row.config.clone(),
        seeds: records.iter().map(|record| record.seed).collect(),
        missing,
        dataset: first.training.dataset.clone(),
        policy: first.training.policy.clone(),
        lif_share: first.training.lif_share,
        time_steps: first.training.time_steps,
        twin: Spread::of(trainings().filter_map(|t| t.twin.as_ref()).map(|t| t.accuracy)),
        seconds: Spread::of(trainings().map(|training| training.seconds))?,
        codes: row.codes.iter().filter_map(|code| of_code(*code, records)).collect(),
        published: row.published,
        reproduced: row.published.map(|published| accuracy.mean >= published - row.tolerance),
        accuracy,
    })
}

fn of_code(code: Code, records: &[Record]) -> Option<CodeSummary> {
    let all: Vec<&Conversion> =
        records.iter().filter_map(|record| record.conversion(code)).collect();
    let first = all.first()?;
    let spread = |figure: fn(&Conversion) -> f64| Spread::of(all.iter().map(|c| figure(c)));
    let holds = |c: &&&Conversion| matches!(c.verdict, Verdict::Bitwise | Verdict::ZeroFlips);
    Some(CodeSummary {
        code,
        level: (all.iter().filter(holds).count() == all.len()).then_some(first.level),
        samples: all.iter().map(|c| c.samples).min()?,
        accuracy: spread(|c| c.accuracy)?,
        lost: spread(|c| c.trained_accuracy - c.accuracy)?,
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
