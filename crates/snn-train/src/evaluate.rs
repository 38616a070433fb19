//! Accuracy of a network on images.

use crate::error::Result;
use crate::trainable::Trainable;
use serde::{Deserialize, Serialize};
use snn_core::{FiringRate, Pixels, arrays};
use snn_data::{Batch, Images, Samples};
use snn_ir::{Evaluate, Input, Record};
use tch::{Device, Tensor};

/// Number of images classified right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Right ones.
    pub correct: usize,
    /// All of them.
    pub images: usize,
}

impl Accuracy {
    /// Right ones of all, 0 to 1; 0 if there is no image.
    pub fn share(self) -> f64 {
        if self.images == 0 { 0.0 } else { self.correct as f64 / self.images as f64 }
    }
}

/// Accuracy of any interpreter on images, in batches of `batch`.
///
/// ```
/// use snn_data::{Split, shapes::Shapes10};
/// use snn_ir::{Form, Model, Signature, Preprocessing, models::SmallNet, naive::Naive};
///
/// let images = Shapes10 { test: 4, ..Shapes10::default() }.images(Split::Test)?;
/// let graph = SmallNet { width: 2, ..SmallNet::default() }.build();
/// let weights = graph.initial_weights(0)?;
/// let preprocessing = Preprocessing::new(vec![113; 3], vec![69.0; 3]);
/// let model = Model::new(Signature::new(Form::Trained, graph, 1, preprocessing), weights);
/// let accuracy = snn_train::evaluate_accuracy(&mut Naive::new(&model)?, &images, 2)?;
/// assert_eq!(accuracy.images, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The images do not fit the model, or the interpreter fails.
pub fn evaluate_accuracy(
    evaluator: &mut dyn Evaluate,
    images: &Images,
    batch: usize,
) -> Result<Accuracy> {
    let mut correct = 0;
    for batch in batches(images, batch) {
        let batch = batch?;
        let input = input(&batch);
        let classes = evaluator.evaluate(&input, Record::Logits)?.logits.argmax();
        correct += classes
            .iter()
            .zip(&batch.targets.labels)
            .filter(|(class, label)| i64::try_from(**class) == Ok(**label))
            .count();
    }
    Ok(Accuracy { correct, images: images.len() })
}

/// Accuracy and firing rates of a network in training.
pub(crate) fn validate(
    network: &dyn Trainable,
    images: &Images,
    batch: usize,
) -> Result<(Accuracy, Vec<FiringRate>)> {
    let mut correct = 0;
    let mut sums: Vec<FiringRate> = Vec::new();
    for batch in batches(images, batch) {
        let batch = batch?;
        let (pixels, labels) = to_device(&batch, network.device())?;
        let (logits, rates) = network.evaluate(&pixels)?;
        correct += count_correct(&logits, &labels)?;
        let weight = batch.len() as f64 / images.len() as f64;
        if sums.is_empty() {
            sums = rates
                .iter()
                .map(|rate| FiringRate { site: rate.site.clone(), rate: 0.0 })
                .collect();
        }
        for (sum, rate) in sums.iter_mut().zip(&rates) {
            sum.rate += weight * rate.rate;
        }
    }
    Ok((Accuracy { correct, images: images.len() }, sums))
}

/// Pixels and labels as tensors.
pub(crate) fn to_device(batch: &Batch, device: Device) -> Result<(Pixels, Tensor)> {
    let pixels = Pixels::new(&input(batch), device)?;
    Ok((pixels, labels_to_device(&batch.targets.labels, device)?))
}

/// The samples of a batch as the input of a network.
fn input(batch: &Batch) -> Input<'_> {
    match &batch.samples {
        Samples::Static(images) => Input::Static(images.view().into_dyn()),
        Samples::Frames(frames) => Input::Frames(frames.view().into_dyn()),
    }
}

/// Labels as a tensor `[B]`.
pub(crate) fn labels_to_device(labels: &[i64], device: Device) -> Result<Tensor> {
    Ok(arrays::tensor(&ndarray::ArrayView1::from(labels).into_dyn(), device)?)
}

/// Number of samples whose largest score is their label's.
pub(crate) fn count_correct(logits: &Tensor, labels: &Tensor) -> Result<usize> {
    let hits = logits
        .f_argmax(-1, false)?
        .f_eq_tensor(labels)?
        .f_count_nonzero(None)?
        .f_int64_value(&[])?;
    Ok(usize::try_from(hits).unwrap_or(0))
}

fn batches(images: &Images, batch: usize) -> impl Iterator<Item = snn_data::Result<Batch>> + '_ {
    let indices: Vec<usize> = (0..images.len()).collect();
    let batch = batch.max(1);
    (0..images.len().div_ceil(batch)).map(move |number| {
        let start = number * batch;
        images.batch(&indices[start..images.len().min(start + batch)])
    })
}
