//! The step function and the derivatives used in its place (`docs/semantics.md`, section 4).

use crate::error::Result;
use crate::straight_through::with_values;
use snn_ir::Surrogate;
use std::f64::consts::FRAC_PI_2;
use tch::Tensor;

/// Spikes `H(x)`, exactly 0 or 1, whose gradient is the surrogate's: `∂H/∂x = h′(x)`, see [`derivative`].
///
/// # Shapes
/// `x` has any shape, and `u − θ` as its value; the result has the same.
///
/// # Errors
/// libtorch cannot allocate.
///
/// ```
/// use snn_core::surrogate::spike;
/// let x = tch::Tensor::from_slice(&[-0.5_f32, 0.0, 2.0]);
/// assert_eq!(Vec::<f32>::try_from(spike(&x, &snn_ir::Surrogate::default())?).unwrap(), [0.0, 1.0, 1.0]);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn spike(x: &Tensor, surrogate: &Surrogate) -> Result<Tensor> {
    fire(x, 0.0, surrogate)
}

/// `H(u − θ)` with the gradient of [`spike`].
pub(crate) fn fire(u: &Tensor, threshold: f64, surrogate: &Surrogate) -> Result<Tensor> {
    if !u.requires_grad() {
        return Ok(u.f_ge_scalar_out(&u.f_empty_like()?, threshold)?);
    }
    let graph = match surrogate {
        // 1/h′ has one pass over memory less.
        Surrogate::Atan { alpha } => u.f_div(&tch::no_grad(|| inverse_atan(u, threshold, alpha))?)?,
        Surrogate::Rectangle { .. } | Surrogate::Triangle { .. } => {
            u.f_mul(&derivative(&tch::no_grad(|| u.f_sub_scalar(threshold))?, surrogate)?)?
        }
    };
    with_values(graph, |values| Ok(u.f_ge_scalar_out(values, threshold).map(drop)?))
}

/// `1/h′(u − θ) = 2/α + (π/2·√(2α)·(u − θ))²` of ATan.
fn inverse_atan(u: &Tensor, threshold: f64, alpha: f64) -> Result<Tensor> {
    let scaled = u.f_sub_scalar(threshold)?.f_mul_scalar_(FRAC_PI_2 * (2.0 * alpha).sqrt())?;
    let offset = Tensor::f_scalar_tensor(2.0 / alpha, (u.f_kind()?, u.device()))?;
    Ok(offset.f_addcmul(&scaled, &scaled)?)
}

/// The surrogate derivative `h′(x)`, without gradient.
///
/// | surrogate | h′(x) |
/// |---|---|
/// | ATan | `α/2 / (1 + (π/2·α·x)²)` |
/// | rectangle | `1/w` where `\|x\| < w/2`, else 0 |
/// | triangle | `max(0, w − \|x\|)/w²` |
///
/// # Shapes
/// Any; the result has the shape of `x`.
///
/// # Errors
/// libtorch cannot allocate.
///
/// # References
/// Fang 2021 (ATan), Wu 2018 (rectangle), Esser 2016 (triangle).
pub fn derivative(x: &Tensor, surrogate: &Surrogate) -> Result<Tensor> {
    tch::no_grad(|| match surrogate {
        Surrogate::Atan { alpha } => Ok(inverse_atan(x, 0.0, alpha)?.f_reciprocal_()?),
        Surrogate::Rectangle { width } => {
            Ok(x.f_abs()?.f_lt(width / 2.0)?.f_to_kind(x.f_kind()?)?.f_mul_scalar_(1.0 / width)?)
        }
        Surrogate::Triangle { width } => {
            let mut distance = x.f_abs()?;
            Ok(distance.f_neg_()?.f_add_scalar_(width)?.f_clamp_min_(0.0)?.f_div_scalar_(width * width)?)
        }
    })
}
