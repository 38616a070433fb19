//! The whole proof as one call: trained against events, events against events on the grid, batch by
//! batch.

use crate::error::{Error, Result};
use crate::verify::{Comparison, Level, Report, compare};
use ndarray::{ArrayViewD, Axis};
use snn_ir::{Evaluate, Evaluation, Input, Record};

/// The interpreters of one proof. They may come from anywhere: libtorch, the event runtime, a
/// user's own.
#[allow(missing_debug_implementations, reason = "interpreters need not be printable")]
pub struct Interpreters<'a> {
    /// The trained network in f64, the reference of everything.
    pub trained: &'a mut dyn Evaluate,
    /// Its conversion off the grid in f64, event-driven.
    pub events: &'a mut dyn Evaluate,
    /// The naive evaluator of the converted file.
    pub naive: &'a mut dyn Evaluate,
    /// The file's own interpreters if it is on the grid.
    pub grid: Option<Grid<'a>>,
}

/// Interpreters of a model on the grid.
#[allow(missing_debug_implementations, reason = "interpreters need not be printable")]
pub struct Grid<'a> {
    /// Dense (libtorch).
    pub dense: &'a mut dyn Evaluate,
    /// Event-driven.
    pub events: &'a mut dyn Evaluate,
    /// Deployments, each of which must give the bits that `events` gives.
    pub deployments: Vec<Deployed<'a>>,
}

/// One way to run a deployment.
#[allow(missing_debug_implementations, reason = "interpreters need not be printable")]
pub struct Deployed<'a> {
    /// How it runs, for reports: instruction set, threads.
    pub name: String,
    /// It, however it runs.
    pub evaluate: &'a mut dyn Evaluate,
    /// What it can show: where it is logits alone, they alone are compared.
    pub record: Record,
}

/// What is demanded.
#[derive(Debug, Clone, Default)]
pub struct Demands {
    /// The most accuracy that conversion may cost, in points.
    pub max_drop: f64,
    /// Samples on which the naive evaluator runs as well.
    pub naive_samples: usize,
    /// What was found wrong before anything ran (a file that is not the conversion of the run, a
    /// failed self-test).
    pub failures: Vec<String>,
}

/// Labelled raw pixels.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// `[B, …shape]`, shown at every macro-step.
    pub pixels: ArrayViewD<'a, u8>,
    /// One class a sample.
    pub labels: &'a [i64],
}

/// A proof in progress.
#[derive(Debug)]
pub struct Proof {
    trained_events: Comparison,
    grid: Option<Comparison>,
    /// Off the grid against on it: what rounding changed. Bitwise equality on the grid says nothing
    /// of it. It is measured and no demand is made: one decision that falls the other way shifts
    /// the currents of all that follow, so that a deep network changes many decisions, and classes,
    /// at no cost in accuracy.
    rounding: Option<Comparison>,
    /// In the order of [`Grid::deployments`].
    deployments: Vec<Comparison>,
    naive: Comparison,
    demands: Demands,
    correct_trained: usize,
    correct_converted: usize,
}

impl Proof {
    /// Begins a proof for these interpreters.
    pub fn new(interpreters: &Interpreters<'_>, demands: Demands) -> Self {
        let (trained, events) = (interpreters.trained.name(), interpreters.events.name());
        let grid = interpreters.grid.as_ref();
        let (naive_level, form) = if grid.is_some() {
            (Level::Bitwise, "grid")
        } else {
            (Level::ZeroFlips, "converted, f64")
        };
        Self {
            trained_events: Comparison::new(
                Level::ZeroFlips,
                format!("{trained} (trained, f64)"),
                format!("{events} (converted, f64)"),
            ),
            grid: grid.map(|g| {
                Comparison::new(
                    Level::Bitwise,
                    format!("{} (grid)", g.dense.name()),
                    format!("{} (grid)", g.events.name()),
                )
            }),
            rounding: grid.map(|g| {
                Comparison::new(
                    Level::Agreement,
                    format!("{events} (converted, f64)"),
                    format!("{} (grid)", g.events.name()),
                )
            }),
            deployments: grid.map_or_else(Vec::new, |g| {
                let events = format!("{} (grid)", g.events.name());
                let comparison = |deployed: &Deployed<'_>| {
                    Comparison::new(Level::Bitwise, &events, &deployed.name)
                };
                g.deployments.iter().map(comparison).collect()
            }),
            naive: Comparison::new(
                naive_level,
                format!("naive ({form})"),
                format!("{events} ({form})"),
            ),
            demands,
            correct_trained: 0,
            correct_converted: 0,
        }
    }

    /// Runs all interpreters on one batch.
    ///
    /// # Errors
    /// An interpreter failed, results cannot be compared, or there are not as many labels as
    /// samples.
    pub fn add(&mut self, interpreters: &mut Interpreters<'_>, batch: &Batch<'_>) -> Result<()> {
        let input = Input::Static(batch.pixels.view());
        if input.batch() != batch.labels.len() {
            let (samples, labels) = (input.batch(), batch.labels.len());
            return Err(Error::Comparison(format!("{samples} samples with {labels} labels")));
        }
        let seen = self.trained_events.samples;
        let (trained, mut converted) =
            compare(&mut self.trained_events, interpreters.trained, interpreters.events, &input)?;
        if let (Some(comparison), Some(rounding), Some(grid)) =
            (&mut self.grid, &mut self.rounding, &mut interpreters.grid)
        {
            let (_, on_grid) = compare(comparison, grid.dense, grid.events, &input)?;
            rounding.add_decisions(&converted, &on_grid)?;
            for (comparison, deployed) in self.deployments.iter_mut().zip(&mut grid.deployments) {
                let found = deployed.evaluate.evaluate(&input, deployed.record)?;
                match deployed.record {
                    Record::Sites => comparison.add(&on_grid, &found)?,
                    Record::Logits => comparison.add_logits(&on_grid.logits, &found.logits)?,
                }
            }
            converted = on_grid;
        }
        self.correct_trained += correct(&trained, batch.labels);
        self.correct_converted += correct(&converted, batch.labels);
        let naive_samples = self.demands.naive_samples.saturating_sub(seen).min(input.batch());
        if naive_samples > 0 {
            let part = batch.pixels.slice_axis(Axis(0), (0..naive_samples).into());
            let part = Input::Static(part);
            let naive = interpreters.naive.evaluate(&part, Record::Sites)?;
            let events = match &mut interpreters.grid {
                Some(grid) => grid.events.evaluate(&part, Record::Sites)?,
                None => interpreters.events.evaluate(&part, Record::Sites)?,
            };
            self.naive.add(&naive, &events)?;
        }
        Ok(())
    }

    /// The verdict.
    pub fn finish(self) -> Report {
        let samples = self.trained_events.samples;
        let percent = |correct: usize| 100.0 * correct as f64 / samples as f64;
        let level = if self.grid.is_some() { Level::Bitwise } else { Level::ZeroFlips };
        let accuracies = (percent(self.correct_trained), percent(self.correct_converted));
        let naive = (self.demands.naive_samples > 0).then_some(self.naive);
        let first = [Some(self.trained_events), self.grid, self.rounding].into_iter().flatten();
        let comparisons = first.chain(self.deployments).chain(naive).collect();
        Report::new(level, accuracies, self.demands.max_drop, comparisons, self.demands.failures)
    }
}

fn correct(evaluation: &Evaluation, labels: &[i64]) -> usize {
    let classes = evaluation.logits.argmax();
    classes
        .iter()
        .zip(labels)
        .filter(|(class, label)| i64::try_from(**class).is_ok_and(|class| class == **label))
        .count()
}
