//! From membranes to levels, with the gradient of the surrogate (eq. 8 and `docs/semantics.md`,
//! section 4).

use crate::error::Result;
use crate::neuron::surrogate::SurrogateGradient;
use crate::tensor::with_values;
use snn_ir::Spike;
use tch::Tensor;

/// An effective threshold.
#[derive(Debug)]
pub(crate) enum Theta {
    /// One number.
    Fixed(f64),
    /// Broadcasts over a membrane; perhaps with a gradient.
    Tensor(Tensor),
}

impl Theta {
    pub(crate) fn requires_grad(&self) -> bool {
        matches!(self, Theta::Tensor(theta) if theta.requires_grad())
    }

    /// The value as a tensor without gradient on the device of `like`. (A scalar would be divided
    /// by as a product with its reciprocal on some devices.)
    pub(crate) fn constant(&self, like: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Theta::Fixed(theta) => {
                Tensor::f_scalar_tensor(*theta, (like.f_kind()?, like.device()))?
            }
            Theta::Tensor(theta) => theta.f_detach()?,
        })
    }

    /// `θ·o`.
    pub(crate) fn times(&self, levels: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Theta::Fixed(theta) => levels.f_mul_scalar(*theta)?,
            Theta::Tensor(theta) => levels.f_mul(theta)?,
        })
    }

    /// `θ + addend`.
    pub(crate) fn plus(&self, addend: &Tensor) -> Result<Theta> {
        Ok(Theta::Tensor(match self {
            Theta::Fixed(theta) => addend.f_add_scalar(*theta)?,
            Theta::Tensor(theta) => addend.f_add(theta)?,
        }))
    }
}

/// Levels of membranes `u` at threshold `theta`: exact values, with the surrogate's gradient for
/// both.
pub(crate) fn fire(
    u: &Tensor,
    theta: &Theta,
    spike: Spike,
    surrogate: &SurrogateGradient,
) -> Result<Tensor> {
    match (spike, theta) {
        (Spike::Binary, Theta::Fixed(threshold)) => binary(u, *threshold, surrogate),
        _ => general(u, theta, spike, surrogate),
    }
}

/// `H(u − θ)` in few passes over memory.
fn binary(u: &Tensor, threshold: f64, surrogate: &SurrogateGradient) -> Result<Tensor> {
    if !u.requires_grad() {
        return Ok(u.f_ge_scalar_out(&u.f_empty_like()?, threshold)?);
    }
    let graph = match surrogate.inverse(u, threshold) {
        Some(inverse) => u.f_div(&inverse?)?,
        None => u.f_mul(&surrogate.derivative(&tch::no_grad(|| u.f_sub_scalar(threshold))?)?)?,
    };
    with_values(graph, |values| Ok(u.f_ge_scalar_out(values, threshold).map(drop)?))
}

fn general(
    u: &Tensor,
    theta: &Theta,
    spike: Spike,
    surrogate: &SurrogateGradient,
) -> Result<Tensor> {
    let constant = theta.constant(u)?;
    let levels = tch::no_grad(|| levels(&u.f_detach()?, &constant, spike))?;
    if !u.requires_grad() && !theta.requires_grad() {
        return Ok(levels);
    }
    let (by_u, by_theta) =
        tch::no_grad(|| derivatives(&u.f_detach()?, &constant, spike, surrogate))?;
    let graph = match theta {
        Theta::Tensor(theta) if theta.requires_grad() => {
            u.f_mul(&by_u)?.f_addcmul(theta, &by_theta)?
        }
        Theta::Tensor(_) | Theta::Fixed(_) => u.f_mul(&by_u)?,
    };
    with_values(graph, |values| Ok(values.f_copy_(&levels)?))
}

/// `o` of eq. 8.
fn levels(u: &Tensor, theta: &Tensor, spike: Spike) -> Result<Tensor> {
    let kind = u.f_kind()?;
    Ok(match spike {
        Spike::Binary => u.f_ge_tensor(theta)?.f_to_kind(kind)?,
        Spike::Ternary => {
            let up = u.f_ge_tensor(theta)?.f_to_kind(kind)?;
            up.f_sub(&u.f_le_tensor(&theta.f_neg()?)?.f_to_kind(kind)?)?
        }
        Spike::Integer { levels } => {
            u.f_div(theta)?.f_add_scalar_(0.5)?.f_floor_()?.f_clamp_(0.0, f64::from(levels))?
        }
    })
}

/// Derivatives of the levels for `u` and for `Θ`.
fn derivatives(
    u: &Tensor,
    theta: &Tensor,
    spike: Spike,
    surrogate: &SurrogateGradient,
) -> Result<(Tensor, Tensor)> {
    match spike {
        Spike::Binary => {
            let rise = surrogate.derivative(&u.f_sub(theta)?)?;
            let by_theta = rise.f_neg()?;
            Ok((rise, by_theta))
        }
        // Two steps of ½ each.
        Spike::Ternary if surrogate.is_straight_through() => {
            Ok((u.f_ones_like()?, u.f_zeros_like()?))
        }
        Spike::Ternary => {
            let up = surrogate.derivative(&u.f_sub(theta)?)?;
            let down = surrogate.derivative(&u.f_add(theta)?.f_neg_()?)?;
            Ok((up.f_add(&down)?, down.f_sub(&up)?))
        }
        Spike::Integer { levels } if surrogate.is_straight_through() => {
            let ratio = u.f_div(theta)?;
            let inside = ratio
                .f_ge(0.0)?
                .f_logical_and(&ratio.f_le(f64::from(levels))?)?
                .f_to_kind(u.f_kind()?)?;
            let by_u = inside.f_div(theta)?;
            let by_theta = ratio.f_mul(&by_u)?.f_neg_()?;
            Ok((by_u, by_theta))
        }
        Spike::Integer { levels } => {
            let (mut by_u, mut by_theta) = (u.f_zeros_like()?, u.f_zeros_like()?);
            for step in 0..levels {
                let place = f64::from(step) + 0.5;
                let rise = surrogate.derivative(&u.f_sub(&theta.f_mul_scalar(place)?)?)?;
                by_u = by_u.f_add_(&rise)?;
                by_theta = by_theta.f_sub_(&{ rise }.f_mul_scalar_(place)?)?;
            }
            Ok((by_u, by_theta))
        }
    }
}
