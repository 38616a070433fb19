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
/// assert_eq!(Vec::<f32>::try_from(spike(&x, snn_ir::Surrogate::default())?).unwrap(), [0.0, 1.0, 1.0]);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn spike(x: &Tensor, surrogate: Surrogate) -> Result<Tensor> {
    if !x.requires_grad() {
        return Ok(x.f_ge(0.0)?.f_to_kind(x.f_kind()?)?);
    }
    let graph = x.f_mul(&derivative(x, surrogate)?)?;
    with_values(graph, |values| Ok(x.f_ge_scalar_out(values, 0.0).map(drop)?))
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
pub fn derivative(x: &Tensor, surrogate: Surrogate) -> Result<Tensor> {
    tch::no_grad(|| match surrogate {
        Surrogate::Atan { alpha } => {
            // 1 / (2/α + (x·π/2·√(2α))²): the fewest passes over memory.
            let mut scaled = x.f_mul_scalar(FRAC_PI_2 * (2.0 * alpha).sqrt())?;
            Ok(scaled.f_square_()?.f_add_scalar_(2.0 / alpha)?.f_reciprocal_()?)
        }
        Surrogate::Rectangle { width } => {
            Ok(x.f_abs()?.f_lt(width / 2.0)?.f_to_kind(x.f_kind()?)?.f_mul_scalar_(1.0 / width)?)
        }
        Surrogate::Triangle { width } => {
            let mut distance = x.f_abs()?;
            Ok(distance.f_neg_()?.f_add_scalar_(width)?.f_clamp_min_(0.0)?.f_div_scalar_(width * width)?)
        }
    })
}
