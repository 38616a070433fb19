//! Accuracy of a network on the samples of a source.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_data::{Batch, Epoch, LoaderConfig, Samples, Source};
use snn_ir::{Evaluate, Input, Logits, Record};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Samples in a batch of evaluation: large enough to be fast, small enough for any memory.
pub const EVALUATION_BATCH: usize = 256;

/// Parts of a run that sources have, as errors and `trainer.json` name them.
pub(crate) const TRAINING: &str = "training";
pub(crate) const VALIDATION: &str = "validation";
pub(crate) const TEST: &str = "test";

/// Number of samples classified correctly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accuracy {
    /// Samples classified correctly.
    pub correct: usize,
    /// All of them.
    pub images: usize,
}

impl Accuracy {
    /// Share that was classified correctly, 0 to 1; 0 if there is no sample.
    pub fn share(self) -> f64 {
        if self.images == 0 { 0.0 } else { self.correct as f64 / self.images as f64 }
    }

    /// Counts the classes that a batch was given against its labels.
    pub fn add(&mut self, classes: &[usize], labels: &[i64]) {
        self.correct += snn_ir::count_correct(classes, labels);
        self.images += labels.len();
    }
}

/// Counter of labels, for the accuracy of always naming the most frequent class.
///
/// ```
/// let mut chance = snn_train::Chance::default();
/// chance.add(&[3, 1, 3, 0]);
/// assert_eq!(chance.share(), 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chance {
    labels: BTreeMap<i64, usize>,
}

impl Chance {
    /// Counts the labels of a batch.
    pub fn add(&mut self, labels: &[i64]) {
        for &label in labels {
            *self.labels.entry(label).or_default() += 1;
        }
    }

    /// How often each of so many classes was a label.
    pub(crate) fn counts(&self, classes: usize) -> Vec<f64> {
        let count = |class| self.labels.get(&class).copied().unwrap_or(0) as f64;
        (0..).take(classes).map(count).collect()
    }

    /// What these counts of labels make.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    pub(crate) fn of_counts(counts: &[f64]) -> Self {
        Self { labels: (0..).zip(counts.iter().map(|&count| count as usize)).collect() }
    }

    /// Share of the most frequent label, 0 to 1; 0 if there is none.
    pub fn share(&self) -> f64 {
        let correct = self.labels.values().copied().max().unwrap_or(0);
        Accuracy { correct, images: self.labels.values().sum() }.share()
    }
}

/// Standard deviations above chance up to which an accuracy is called chance.
const CHANCE_DEVIATIONS: f64 = 3.0;

/// `true` if an accuracy (0 to 1) is no better than chance: at most three standard deviations of
/// the number of images, `√(chance · (1 − chance) / images)` (binomial), above `chance`, the
/// accuracy of always naming the most frequent class ([`Chance`]); `false` without images.
pub fn is_at_chance(accuracy: f64, chance: f64, images: usize) -> bool {
    let deviation = (chance * (1.0 - chance) / images.max(1) as f64).sqrt();
    images > 0 && accuracy <= chance + CHANCE_DEVIATIONS * deviation
}

/// Checks the labels of a batch, which a source of a user's own may give wrongly.
pub(crate) fn check_labels(
    part: &'static str,
    source: &Arc<dyn Source>,
    batch: &Batch,
    classes: usize,
) -> Result<()> {
    let known = |label: i64| usize::try_from(label).is_ok_and(|label| label < classes);
    let mut labels = batch.indices.iter().zip(&batch.targets.labels);
    match labels.find(|(_, label)| !known(**label)) {
        None => Ok(()),
        Some((&index, &label)) => {
            Err(Error::Label { part, index: source.random_key(index), classes, label })
        }
    }
}

/// The batches of a source for evaluation: every sample once, in order, nothing augmented, made by
/// a thread of their own, so that the source need not fit in memory.
///
/// # Errors
/// The source is empty, the batch is, or no thread can be started.
pub fn evaluation_batches(source: &Arc<dyn Source>, batch: usize) -> Result<Epoch> {
    let loader = LoaderConfig::evaluation(batch).init_source(Arc::clone(source), None)?;
    Ok(loader.epoch(0)?)
}

/// The samples of a batch as interpreters read them.
pub fn input(samples: &Samples) -> Input<'_> {
    match samples {
        Samples::Static(_) => Input::Static(samples.view()),
        Samples::Frames(_) => Input::Frames(samples.view()),
    }
}

/// Accuracy of any interpreter on all samples of a source, in batches of `batch`.
///
/// ```
/// use snn_data::{Source, Split, shapes::Shapes10};
/// use snn_ir::{Form, Model, Preprocessing, Signature, networks::SmallNet, Naive};
/// use std::sync::Arc;
///
/// let images = Shapes10 { test: 4, ..Shapes10::default() }.images(Split::Test)?;
/// let source: Arc<dyn Source> = Arc::new(images);
/// let graph = SmallNet { width: 2, ..SmallNet::default() }.build();
/// let weights = graph.initial_weights(0)?;
/// let preprocessing = Preprocessing::new(vec![113; 3], vec![69.0; 3]);
/// let model = Model::new(Signature::new(Form::Trained, graph, 1, preprocessing), weights);
/// let accuracy = snn_train::evaluate(&source, &mut Naive::new(&model)?, 2)?;
/// assert_eq!(accuracy.images, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A sample cannot be read or does not fit the model, its label is not a class of the model, or the
/// interpreter fails.
pub fn evaluate(
    source: &Arc<dyn Source>,
    evaluator: &mut dyn Evaluate,
    batch: usize,
) -> Result<Accuracy> {
    evaluate_with(source, batch, &mut |batch| {
        let logits = evaluator.evaluate(&input(&batch.samples), Record::Logits)?.logits;
        let classes = match &logits {
            Logits::Integer(sums) => sums.ncols(),
            Logits::Real(scores) => scores.ncols(),
        };
        check_labels("evaluated", source, batch, classes)?;
        Ok(logits.argmax())
    })
}

/// Accuracy of anything that gives each sample of a batch a class.
///
/// # Errors
/// A sample cannot be read, or `classify` fails.
pub fn evaluate_with(
    source: &Arc<dyn Source>,
    batch: usize,
    classify: &mut dyn FnMut(&Batch) -> Result<Vec<usize>>,
) -> Result<Accuracy> {
    let mut accuracy = Accuracy::default();
    if source.is_empty() {
        return Ok(accuracy);
    }
    for batch in evaluation_batches(source, batch)? {
        let batch = batch?;
        accuracy.add(&classify(&batch)?, &batch.targets.labels);
    }
    Ok(accuracy)
}
