//! The step function and the derivatives used in its place (`docs/semantics.md`, section 4).

use crate::error::Result;
use crate::fire::{Theta, fire};
use crate::registry::{Registry, SurrogateDerivative};
use snn_ir::{Spike, Surrogate};
use std::f64::consts::{FRAC_PI_2, TAU};
use std::sync::Arc;
use tch::Tensor;

/// Spikes `H(x)`, exactly 0 or 1, whose gradient is the surrogate's: `∂H/∂x = h′(x)`, see
/// [`derivative`].
///
/// # Shapes
/// `x` has any shape, and `u − θ` as its value; the result has the same.
///
/// # Errors
/// The surrogate is a user's own (see [`Slope`]), or libtorch cannot allocate.
///
/// ```
/// use snn_core::surrogate::spike;
/// let x = tch::Tensor::from_slice(&[-0.5_f32, 0.0, 2.0]);
/// assert_eq!(Vec::<f32>::try_from(spike(&x, &snn_ir::Surrogate::default())?).unwrap(), [0.0, 1.0, 1.0]);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn spike(x: &Tensor, surrogate: &Surrogate) -> Result<Tensor> {
    Slope::new(surrogate, &Registry::default())?.spike(x)
}

/// The surrogate derivative `h′(x)`, without gradient.
///
/// # Shapes
/// Any; the result has the shape of `x`.
///
/// # Errors
/// The surrogate is a user's own (see [`Slope`]), or libtorch cannot allocate.
///
/// # References
/// The table of `docs/semantics.md`, section 4.
pub fn derivative(x: &Tensor, surrogate: &Surrogate) -> Result<Tensor> {
    Slope::new(surrogate, &Registry::default())?.derivative(x)
}

/// A surrogate that can be computed: built in, or a user's own found in a registry.
#[derive(Debug, Clone)]
pub struct Slope {
    surrogate: Surrogate,
    own: Option<Arc<dyn SurrogateDerivative>>,
}

impl Slope {
    /// Looks a user's own surrogate up.
    ///
    /// # Errors
    /// The registry does not have its name.
    pub fn new(surrogate: &Surrogate, registry: &Registry) -> Result<Self> {
        let own = match surrogate {
            Surrogate::Custom { name, .. } => Some(registry.surrogate(name)?),
            _ => None,
        };
        Ok(Self { surrogate: surrogate.clone(), own })
    }

    /// Spikes `H(x)` with this gradient.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn spike(&self, x: &Tensor) -> Result<Tensor> {
        fire(x, &Theta::Fixed(0.0), Spike::Binary, self)
    }

    pub(crate) fn is_straight_through(&self) -> bool {
        matches!(self.surrogate, Surrogate::StraightThrough)
    }

    /// `1/h′(u − θ)` where dividing by it has a pass over memory less than multiplying by `h′`.
    pub(crate) fn inverse(&self, u: &Tensor, threshold: f64) -> Option<Result<Tensor>> {
        match self.surrogate {
            Surrogate::Atan { alpha } => Some(tch::no_grad(|| inverse_atan(u, threshold, alpha))),
            _ => None,
        }
    }

    /// `h′(x)`, without gradient.
    ///
    /// # Errors
    /// A user's own surrogate fails or gives another shape, or libtorch cannot allocate.
    pub fn derivative(&self, x: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| match &self.surrogate {
            Surrogate::Atan { alpha } => Ok(inverse_atan(x, 0.0, *alpha)?.f_reciprocal_()?),
            Surrogate::Rectangle { width } => Ok(x
                .f_abs()?
                .f_lt(width / 2.0)?
                .f_to_kind(x.f_kind()?)?
                .f_mul_scalar_(1.0 / width)?),
            Surrogate::Triangle { width } => triangle(x, *width),
            Surrogate::PiecewiseQuadratic { alpha } => triangle(x, 1.0 / alpha),
            Surrogate::Sigmoid { alpha } => {
                let sigmoid = x.f_mul_scalar(*alpha)?.f_sigmoid_()?;
                Ok(sigmoid.f_neg()?.f_add_scalar_(1.0)?.f_mul_(&sigmoid)?.f_mul_scalar_(*alpha)?)
            }
            Surrogate::FastSigmoid { slope } => inverse_square(x, *slope, 1.0),
            Surrogate::SuperSpike { alpha } => inverse_square(x, 1.0, *alpha),
            Surrogate::Gaussian { sigma } => {
                let exponent = x.f_square()?.f_mul_scalar_(-0.5 / (sigma * sigma))?.f_exp_()?;
                Ok({ exponent }.f_mul_scalar_(1.0 / (sigma * TAU.sqrt()))?)
            }
            Surrogate::LogTailedRelu { alpha } => {
                // 1/max(x, 1) is 1 up to 1 and the tail above.
                let above = x.f_clamp_min(1.0)?.f_reciprocal_()?;
                Ok({ above }.f_masked_fill_(&x.f_le(0.0)?, *alpha)?)
            }
            Surrogate::StraightThrough => Ok(x.f_ones_like()?),
            Surrogate::Custom { name, params } => self.own(name, params, x),
        })
    }

    fn own(
        &self,
        name: &str,
        params: &std::collections::BTreeMap<String, f64>,
        x: &Tensor,
    ) -> Result<Tensor> {
        let Some(own) = &self.own else {
            return Err(crate::Error::Torch(format!("surrogate `{name}` was not looked up")));
        };
        let derivative = own.derivative(params, x)?;
        if derivative.size() != x.size() {
            let expected = format!("{:?}, that of its argument", x.size());
            return Err(crate::Error::Shape {
                what: "custom surrogate",
                expected,
                found: derivative.size(),
            });
        }
        Ok(derivative)
    }
}

/// `1/h′(u − θ) = 2/α + (π/2·√(2α)·(u − θ))²` of ATan.
fn inverse_atan(u: &Tensor, threshold: f64, alpha: f64) -> Result<Tensor> {
    let scaled = u.f_sub_scalar(threshold)?.f_mul_scalar_(FRAC_PI_2 * (2.0 * alpha).sqrt())?;
    let offset = Tensor::f_scalar_tensor(2.0 / alpha, (u.f_kind()?, u.device()))?;
    Ok(offset.f_addcmul(&scaled, &scaled)?)
}

/// `max(0, w − |x|)/w²`.
fn triangle(x: &Tensor, width: f64) -> Result<Tensor> {
    let mut distance = x.f_abs()?;
    Ok(distance.f_neg_()?.f_add_scalar_(width)?.f_clamp_min_(0.0)?.f_div_scalar_(width * width)?)
}

/// `height/(1 + slope·|x|)²`.
fn inverse_square(x: &Tensor, slope: f64, height: f64) -> Result<Tensor> {
    let base = x.f_abs()?.f_mul_scalar_(slope)?.f_add_scalar_(1.0)?;
    Ok(base.f_square()?.f_reciprocal_()?.f_mul_scalar_(height)?)
}
