//! Spikes with a surrogate gradient (`docs/semantics.md`, section 4).

use super::derivative::Derivative;
use super::registry::{Registry, SurrogateDerivative};
use super::threshold_fn::{Theta, fire};
use crate::error::{Error, Result};
use snn_ir::{Spike, Surrogate};
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::Tensor;

/// Spikes `H(x)`, exactly 0 or 1, whose gradient is the surrogate's: `∂H/∂x = h′(x)`, see
/// [`derivative`].
///
/// # Shapes
/// `x` has any shape, and `u − θ` as its value; the result has the same.
///
/// # Errors
/// The surrogate is a custom one (see [`SurrogateGradient`]), or libtorch cannot allocate.
///
/// ```
/// use snn_core::surrogate::spike;
/// let x = tch::Tensor::from_slice(&[-0.5_f32, 0.0, 2.0]);
/// let spikes = spike(&x, &snn_ir::Surrogate::default())?;
/// assert_eq!(Vec::<f32>::try_from(spikes).unwrap(), [0.0, 1.0, 1.0]);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn spike(x: &Tensor, surrogate: &Surrogate) -> Result<Tensor> {
    SurrogateGradient::new(surrogate, &Registry::default())?.spike(x)
}

/// The surrogate derivative `h′(x)`, without gradient.
///
/// # Shapes
/// Any; the result has the shape of `x`.
///
/// # Errors
/// The surrogate is a custom one (see [`SurrogateGradient`]), or libtorch cannot allocate.
///
/// # References
/// The table of `docs/semantics.md`, section 4.
pub fn derivative(x: &Tensor, surrogate: &Surrogate) -> Result<Tensor> {
    SurrogateGradient::new(surrogate, &Registry::default())?.derivative(x)
}

/// The gradient of spikes: a built-in surrogate, or a custom one found in a registry.
#[derive(Debug, Clone)]
pub struct SurrogateGradient(Source);

#[derive(Debug, Clone)]
enum Source {
    BuiltIn(Derivative<f64>),
    Custom { params: BTreeMap<String, f64>, derivative: Arc<dyn SurrogateDerivative> },
}

impl SurrogateGradient {
    /// Looks a custom surrogate up in the registry; a built-in one needs none.
    ///
    /// # Errors
    /// The registry does not have its name.
    pub fn new(surrogate: &Surrogate, registry: &Registry) -> Result<Self> {
        if let Some(derivative) = Derivative::new(surrogate) {
            return Ok(Self(Source::BuiltIn(derivative)));
        }
        match surrogate {
            Surrogate::Custom { name, params } => {
                let derivative = registry.surrogate(name)?;
                Ok(Self(Source::Custom { params: params.clone(), derivative }))
            }
            other => Err(Error::Torch(format!("surrogate {other:?} has no derivative"))),
        }
    }

    /// Spikes `H(x)` with this gradient.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn spike(&self, x: &Tensor) -> Result<Tensor> {
        fire(x, &Theta::Fixed(0.0), Spike::Binary, self)
    }

    pub(crate) fn is_straight_through(&self) -> bool {
        matches!(&self.0, Source::BuiltIn(derivative) if derivative.is_straight_through())
    }

    /// `1/h′(u − θ)` where dividing by it needs one pass over memory less than multiplying by `h′`.
    pub(crate) fn inverse(&self, u: &Tensor, threshold: f64) -> Option<Result<Tensor>> {
        match &self.0 {
            Source::BuiltIn(derivative) => tch::no_grad(|| derivative.inverse(u, threshold)),
            Source::Custom { .. } => None,
        }
    }

    /// `h′(x)`, without gradient.
    ///
    /// # Errors
    /// A custom surrogate fails or gives another shape, or libtorch cannot allocate.
    pub fn derivative(&self, x: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| match &self.0 {
            Source::BuiltIn(derivative) => derivative.tensor(x),
            Source::Custom { params, derivative } => {
                let derivative = derivative.derivative(params, x)?;
                if derivative.size() != x.size() {
                    let expected = format!("{:?}, that of its argument", x.size());
                    let found = derivative.size();
                    return Err(Error::Shape { what: "custom surrogate", expected, found });
                }
                Ok(derivative)
            }
        })
    }
}
