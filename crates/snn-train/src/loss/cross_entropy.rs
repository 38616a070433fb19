//! Cross entropy with label smoothing.

use crate::error::Result;
use tch::{Reduction, Tensor};

/// `PyTorch`'s mark for "no label is left out".
const NO_IGNORED_LABEL: i64 = -100;

/// Cross entropy of class scores with smoothed targets, the mean over the batch: with K classes the
/// target is `1 − ε + ε/K` for the label and `ε/K` for every other class (Szegedy 2016, section 7).
///
/// # Shapes
/// `logits` is `[B, K]`, `labels` is `[B]`, i64; the result is a scalar.
///
/// # Errors
/// The shapes do not fit.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    Ok(logits.f_cross_entropy_loss(
        labels,
        None::<&Tensor>,
        Reduction::Mean,
        NO_IGNORED_LABEL,
        smoothing,
    )?)
}
