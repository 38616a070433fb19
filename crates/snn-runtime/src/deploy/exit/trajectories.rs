//! Calibrates early exit: records the scores of every macro-step once, then evaluates any threshold
//! on the record.

use super::{Confidence, lead, summed};
use crate::deploy::session::Session;
use crate::scores::Sums;
use snn_ir::{Error, Readout, Result};
use std::time::{Duration, Instant};

/// Prediction for one image after one macro-step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StepPrediction {
    lead: Option<i64>,
    correct: bool,
    /// Since the image came.
    elapsed: Duration,
}

/// Predictions for labelled images, macro-step by macro-step.
///
/// ```no_run
/// # use snn_runtime::Deployment;
/// # use snn_runtime::deploy::Trajectories;
/// # let (held_out, labels): (Vec<u8>, Vec<usize>) = (vec![], vec![]);
/// # let image = vec![0_u8];
/// let mut session = Deployment::load("model.safetensors")?.session();
/// let trajectories = Trajectories::record(&mut session, &held_out, &labels)?;
/// let point = trajectories.calibrate(0.005); // at most 0.5 % of the images more are wrong
/// let exit = session.run_until(&image, point.confidence)?;
/// println!("class {} after {} macro-steps", exit.scores.argmax(), exit.steps);
/// # Ok::<(), snn_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trajectories {
    time_steps: usize,
    readout: Readout,
    /// `[image][macro-step]`.
    predictions: Vec<StepPrediction>,
    whole: Duration,
}

/// Effect of an exit rule on a set of images.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CurvePoint {
    /// The rule.
    pub confidence: Confidence,
    /// Share of the images that are classified rightly.
    pub accuracy: f64,
    /// Mean number of macro-steps.
    pub steps: f64,
    /// Mean time of an image with [`Session::run_until`], as measured when it was recorded.
    pub nanoseconds: f64,
}

impl Trajectories {
    /// Runs every image by itself, macro-step by macro-step, and all macro-steps at once for
    /// comparison.
    ///
    /// # Shapes
    /// `pixels` are whole images one after another, `labels` one class an image.
    ///
    /// # Errors
    /// There is no image, pixels and labels are not of as many images, a label is no class, or the
    /// model is not on the grid.
    pub fn record(session: &mut Session, pixels: &[u8], labels: &[usize]) -> Result<Self> {
        let (size, classes) = (session.input().1, session.integer_sums()?.len());
        if labels.is_empty() || pixels.len() != labels.len() * size {
            let expected =
                format!("{} labels (at least 1) and {size} pixels for each", labels.len());
            return Err(Error::Input { expected, found: vec![pixels.len()] });
        }
        if let Some((index, label)) =
            labels.iter().enumerate().find(|(_, label)| **label >= classes)
        {
            let expected = format!("a label below {classes}");
            return Err(Error::InputValue { index, expected, found: label.to_string() });
        }
        let time_steps = session.time_steps();
        let mut predictions = Vec::with_capacity(labels.len() * time_steps);
        let mut whole = Duration::ZERO;
        for (pixels, &label) in pixels.chunks_exact(size).zip(labels) {
            let started = Instant::now();
            session.run(pixels)?;
            whole += started.elapsed();
            let started = Instant::now();
            let mut note = |sums: &[i64]| {
                let correct = Sums::Integer(sums).argmax() == label;
                predictions.push(StepPrediction {
                    lead: lead(sums),
                    correct,
                    elapsed: started.elapsed(),
                });
            };
            session.step_by_step(pixels, |_, sums| {
                note(sums);
                false
            })?;
            // The last macro-step is nobody's to judge.
            note(session.integer_sums()?);
        }
        Ok(Self { time_steps, readout: session.readout(), predictions, whole })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.predictions.len() / self.time_steps
    }

    /// Mean time of an image with [`Session::run`], which runs all macro-steps layer by layer.
    pub fn nanoseconds_of_run(&self) -> f64 {
        self.whole.as_nanos() as f64 / self.images() as f64
    }

    /// Effect of an exit rule on these images.
    pub fn at(&self, confidence: Confidence) -> CurvePoint {
        let (mut correct, mut steps, mut nanoseconds) = (0_u64, 0_u64, 0_u128);
        for image in self.predictions.chunks_exact(self.time_steps) {
            let sure = (0..self.time_steps)
                .find(|&t| confidence.holds(image[t].lead, summed(self.readout, t + 1)));
            let last = sure.unwrap_or(self.time_steps - 1);
            correct += u64::from(image[last].correct);
            steps += last as u64 + 1;
            nanoseconds += image[last].elapsed.as_nanos();
        }
        let images = self.images() as f64;
        CurvePoint {
            confidence,
            accuracy: correct as f64 / images,
            steps: steps as f64 / images,
            nanoseconds: nanoseconds as f64 / images,
        }
    }

    /// Rules from one that ends every run at once to [`Confidence::NEVER`], at `points` quantiles
    /// of the leads that were seen.
    pub fn curve(&self, points: usize) -> Vec<CurvePoint> {
        self.candidates(points).into_iter().map(|confidence| self.at(confidence)).collect()
    }

    /// The rule that ends runs soonest such that neither it nor a stricter one loses more than
    /// `loss` of the accuracy of whole runs, 0.01 for one image of a hundred. The images should not
    /// be those that accuracy is then reported on.
    pub fn calibrate(&self, loss: f64) -> CurvePoint {
        let whole = self.at(Confidence::NEVER);
        let mut best = whole;
        for point in self.curve(CANDIDATES).into_iter().rev() {
            let fits = whole.accuracy - point.accuracy <= loss;
            if !fits {
                break;
            }
            best = point;
        }
        best
    }

    fn candidates(&self, points: usize) -> Vec<Confidence> {
        let steps = (1..=self.time_steps).cycle();
        let mean = |(prediction, t): (&StepPrediction, usize)| {
            Some(prediction.lead? / i64::try_from(summed(self.readout, t)).ok()?)
        };
        let mut leads: Vec<i64> = self.predictions.iter().zip(steps).filter_map(mean).collect();
        leads.sort_unstable();
        let count = points.max(2) - 1;
        let quantile = |i: usize| leads.get(i * leads.len() / count).copied().unwrap_or(i64::MAX);
        let mut margins: Vec<i64> =
            (0..count).map(quantile).chain([Confidence::NEVER.margin]).collect();
        if let Some(first) = margins.first_mut() {
            *first = 0;
        }
        margins.dedup();
        margins.into_iter().map(|margin| Confidence { margin }).collect()
    }
}

/// Rules that calibration tries.
const CANDIDATES: usize = 1_000;
