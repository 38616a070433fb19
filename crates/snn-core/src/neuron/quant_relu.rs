//! ReLU, and the quantised ReLU with a learned step, on tensors (eqs. 9 and 10).

use crate::error::{Error, Result};
use crate::tensor::int;
use crate::tensor::with_values;
use tch::Tensor;

/// ReLU: `max(x, 0)`, at most `limit` if there is one (eq. 9). At 0 and at the limit the gradient
/// of the latter is 1, as PyTorch's `clamp` has it.
///
/// # Errors
/// libtorch cannot allocate.
pub fn relu(x: &Tensor, limit: Option<f64>) -> Result<Tensor> {
    Ok(match limit {
        None => x.f_relu()?,
        Some(limit) => x.f_clamp(0.0, limit)?,
    })
}

/// Levels `q = clip(⌊x/s + ½⌋, 0, D)` (eq. 10), without gradient.
///
/// # Shapes
/// As [`quant_relu`].
///
/// # Errors
/// As [`quant_relu`].
pub fn quant_levels(x: &Tensor, step: &Tensor, levels: u8, channel_axis: usize) -> Result<Tensor> {
    let step = broadcast(x, step, channel_axis)?;
    tch::no_grad(|| level(&x.f_div(&step)?, levels))
}

fn level(ratio: &Tensor, levels: u8) -> Result<Tensor> {
    Ok(ratio.f_add_scalar(0.5)?.f_floor_()?.f_clamp_(0.0, f64::from(levels))?)
}

/// Clipped and quantised ReLU (eq. 10): `o = s·q`, `q = clip(⌊x/s + ½⌋, 0, D)`, exactly so.
///
/// Gradients (LSQ): `∂o/∂x = 1` where `0 < x/s < D`, else 0; `∂o/∂s = q − x/s` there, `D` where
/// `x/s ≥ D`, 0 where `x/s ≤ 0`, times `1/√(N·D)` with `N` the number of values that share the step
/// in one sample.
///
/// # Shapes
/// `x` any, with channels along `channel_axis` and one sample from there on; `step` `[1]` or `[C]`,
/// positive; the result has the shape of `x`.
///
/// # Errors
/// The step has another shape, or libtorch cannot allocate.
///
/// # References
/// Esser 2020, "Learned step size quantization", eqs. 1 to 3 and section 2.2.
///
/// ```
/// use snn_core::quant_relu::quant_relu;
/// let x = tch::Tensor::from_slice(&[-1.0_f64, 0.25, 0.6, 9.0]).view([1, 4]);
/// let step = tch::Tensor::from_slice(&[0.5_f64]);
/// let y = quant_relu(&x, &step, 4, 1)?.view([4]);
/// assert_eq!(Vec::<f64>::try_from(y).unwrap(), [0.0, 0.5, 0.5, 2.0]);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn quant_relu(x: &Tensor, step: &Tensor, levels: u8, channel_axis: usize) -> Result<Tensor> {
    let broad = broadcast(x, step, channel_axis)?;
    if !x.requires_grad() && !step.requires_grad() {
        return Ok(level(&x.f_div(&broad)?, levels)?.f_mul_(&broad)?);
    }
    let top = f64::from(levels);
    let (level, inside, slope) = tch::no_grad(|| {
        let mut ratio = x.f_div(&broad)?;
        let level = level(&ratio, levels)?;
        let inside = ratio.f_gt(0.0)?.f_logical_and(&ratio.f_lt(top)?)?.f_to_kind(x.f_kind()?)?;
        // q is 0 or D outside, which is the step's gradient there; −x/s counts inside only.
        let slope = level.f_sub(&ratio.f_mul_(&inside)?)?;
        Ok::<_, Error>((level, inside, slope))
    })?;
    let mut graph = x.f_mul(&inside)?;
    if step.requires_grad() {
        let scale = scale_of_shared(&x.size()[channel_axis..], step.numel(), levels);
        graph = graph.f_addcmul(&broad.f_mul_scalar(scale)?, &slope)?;
    }
    with_values(graph, |values| Ok(level.f_mul_out(values, &broad).map(drop)?))
}

/// Scale of the gradient of a step (Esser 2020, section 2.2), `1/√(N·D)`, for values `[B, C, …]`: N
/// neurons of a sample share a step.
pub(crate) fn step_gradient_scale(values: &Tensor, step: &Tensor, levels: u8) -> f64 {
    scale_of_shared(&values.size()[1..], step.numel(), levels)
}

/// The same for a sample of this shape, channels first.
fn scale_of_shared(shape: &[i64], steps: usize, levels: u8) -> f64 {
    let shared: i64 = shape[usize::from(steps > 1)..].iter().product();
    1.0 / (shared as f64 * f64::from(levels)).sqrt()
}

/// The step in a shape that broadcasts along `channel_axis` of `x`.
fn broadcast(x: &Tensor, step: &Tensor, channel_axis: usize) -> Result<Tensor> {
    let size = x.size();
    let channels = size.get(channel_axis).copied().unwrap_or(0);
    let count = int(step.numel());
    if channel_axis >= size.len() || step.dim() != 1 || (count != 1 && count != channels) {
        return Err(Error::Shape {
            what: "step",
            expected: format!("[1] or [{channels}]"),
            found: step.size(),
        });
    }
    let mut shape = vec![1_i64; size.len()];
    shape[channel_axis] = count;
    Ok(step.f_view(shape.as_slice())?)
}
