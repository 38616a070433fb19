//! Numbers of a file: their precision, and one for each channel.

use snn_ir::Tensor;

/// Rounding errors of a parameter that another program computed from others: a few of the type it
/// is stored in.
const ROUNDINGS: f64 = 4.0;

/// Half the distance of neighbouring values around 1 of a tensor's type.
pub(super) fn precision(tensors: &[&Tensor]) -> f64 {
    let wide = tensors.iter().all(|tensor| matches!(tensor, Tensor::F64(_)));
    if wide { f64::EPSILON / 2.0 } else { f64::from(f32::EPSILON) / 2.0 }
}

/// The shortest decimal fraction within a few roundings of `value`, of which a share of size
/// `uncertain` was rounded with `precision`. A file that says τ = 2·10⁻⁴ in f32 means the leak
/// factor ½ and not 0.50000003: all fractions in the interval are as good a reading of it.
pub(super) fn shortest(value: f64, uncertain: f64, precision: f64) -> f64 {
    let width = ROUNDINGS * precision * uncertain.abs();
    let mut scale = 1.0;
    for _ in 0..17 {
        let candidate = (value * scale).round() / scale;
        if (candidate - value).abs() <= width {
            return candidate;
        }
        scale *= 10.0;
    }
    value
}

/// The smallest number of the tensor's type above `value`, which is one of them: `v > value` and
/// `v ≥ above(value)` are the same for every `v` of the type.
pub(super) fn above(value: f64, of: &Tensor) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "it is a value of an f32 tensor")]
    match of {
        Tensor::F32(_) => f64::from((value as f32).next_up()),
        Tensor::F64(_) | Tensor::I8(_) | Tensor::I32(_) => value.next_up(),
    }
}

/// One value for each channel of a parameter of what has this shape: the parameter has the shape
/// too, or one value for all. The error says what differs.
pub(super) fn per_channel(tensor: &Tensor, shape: &[usize]) -> Result<Vec<f64>, String> {
    let channels = shape.first().copied().unwrap_or(1);
    let values: Vec<f64> = tensor.to_f64().iter().copied().collect();
    if let [value] = values.as_slice() {
        return Ok(vec![*value; channels]);
    }
    if tensor.shape() != shape {
        return Err(format!(
            "must have the shape {shape:?} of what flows through the node, or one value; found \
             shape {:?}",
            tensor.shape()
        ));
    }
    let positions = values.len() / channels.max(1);
    values
        .chunks(positions.max(1))
        .enumerate()
        .map(|(channel, chunk)| match chunk.iter().find(|value| **value != chunk[0]) {
            None => Ok(chunk[0]),
            Some(other) => Err(format!(
                "must be the same at all positions of a channel, as our parameters are; channel \
                 {channel} has {} and {other}",
                chunk[0]
            )),
        })
        .collect()
}

/// The one value of all channels.
pub(super) fn uniform(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    values.iter().all(|value| *value == first).then_some(first)
}
