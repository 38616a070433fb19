//! Batches of samples, as both engines read and return them.

use crate::arithmetic::Arithmetic;
use ndarray::{Array2, ArrayD, ArrayViewD, IxDyn};
use snn_ir::{Error, Logits, Result};
use std::borrow::Cow;

/// The values of a view in C order, copied only where they do not stand so in memory.
pub(crate) fn contiguous<'v>(view: &'v ArrayViewD<'_, u8>) -> Cow<'v, [u8]> {
    match view.as_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(view.iter().copied().collect()),
    }
}

/// Class scores of a batch from the sums of its samples, one after another, which are divided by
/// this number off the grid.
pub(crate) fn logits<A: Arithmetic>(
    sums: Vec<A::Sum>,
    classes: usize,
    divisor: u64,
    interpreter: &'static str,
) -> Result<Logits> {
    let batch = sums.len() / classes.max(1);
    let sums = Array2::from_shape_vec((batch, classes), sums)
        .map_err(|error| Error::Interpreter { interpreter, message: error.to_string() })?;
    Ok(A::logits(sums, divisor))
}

/// Joins traces of samples, `[T, size]` each, to an array of `shape` `[T, B, …]`.
pub(crate) fn time_first<'t, V: Copy + 't>(
    samples: &(impl Iterator<Item = &'t [V]> + Clone),
    shape: &[usize],
    size: usize,
    interpreter: &'static str,
) -> Result<ArrayD<V>> {
    let mut values = Vec::with_capacity(shape.iter().product());
    for t in 0..shape[0] {
        samples.clone().for_each(|sample| values.extend_from_slice(&sample[t * size..][..size]));
    }
    ArrayD::from_shape_vec(IxDyn(shape), values)
        .map_err(|error| Error::Interpreter { interpreter, message: error.to_string() })
}
