//! Surrogate derivatives `h′(x)` (`docs/semantics.md`, section 4): on tensors for the plain forms,
//! on blocks of neurons for the fused kernels.
//!
//! No other file of this crate tells surrogates apart: a new one is a row of [`Derivative::new`],
//! and where its shape is new, a variant with its two formulas.

use super::real::Real;
use crate::error::Result;
use snn_ir::Surrogate;
use std::f64::consts::{FRAC_PI_2, TAU};
use tch::Tensor;

/// A built-in derivative with its constants in the precision of what is computed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Derivative<F> {
    /// `height/(1 + (scale·x)²)`.
    Atan { scale: F, height: F },
    /// `height` where `|x| < half`.
    Rectangle { half: F, height: F },
    /// `max(0, width − |x|)/area`.
    Triangle { width: F, area: F },
    /// `α·σ(αx)·(1 − σ(αx))`.
    Sigmoid { alpha: F },
    /// `height/(1 + slope·|x|)²`.
    InverseSquare { slope: F, height: F },
    /// `height·e^(−factor·x²)`.
    Gaussian { factor: F, height: F },
    /// `alpha` up to 0, 1 up to 1, and `1/x` above.
    LogTailedRelu { alpha: F },
    /// 1.
    StraightThrough,
}

impl<F: Real> Derivative<F> {
    /// `None` for a custom surrogate, whose derivative the registry has.
    pub(crate) fn new(surrogate: &Surrogate) -> Option<Self> {
        Some(match *surrogate {
            Surrogate::Atan { alpha } => {
                Self::Atan { scale: F::of(FRAC_PI_2 * alpha), height: F::of(alpha / 2.0) }
            }
            Surrogate::Rectangle { width } => {
                Self::Rectangle { half: F::of(width / 2.0), height: F::of(1.0 / width) }
            }
            Surrogate::Triangle { width } => {
                Self::Triangle { width: F::of(width), area: F::of(width * width) }
            }
            Surrogate::PiecewiseQuadratic { alpha } => Self::Triangle {
                width: F::of(1.0 / alpha),
                area: F::of((1.0 / alpha) * (1.0 / alpha)),
            },
            Surrogate::Sigmoid { alpha } => Self::Sigmoid { alpha: F::of(alpha) },
            Surrogate::FastSigmoid { slope } => {
                Self::InverseSquare { slope: F::of(slope), height: F::ONE }
            }
            Surrogate::SuperSpike { alpha } => {
                Self::InverseSquare { slope: F::ONE, height: F::of(alpha) }
            }
            Surrogate::Gaussian { sigma } => Self::Gaussian {
                factor: F::of(0.5 / (sigma * sigma)),
                height: F::of(1.0 / (sigma * TAU.sqrt())),
            },
            Surrogate::LogTailedRelu { alpha } => Self::LogTailedRelu { alpha: F::of(alpha) },
            Surrogate::StraightThrough => Self::StraightThrough,
            Surrogate::Custom { .. } => return None,
        })
    }

    /// Its number among the kernels of a device (`device/site.cu`), and its two constants.
    pub(crate) fn numbers(&self) -> (u32, [F; 2]) {
        match *self {
            Self::Atan { scale, height } => (0, [scale, height]),
            Self::Rectangle { half, height } => (1, [half, height]),
            Self::Triangle { width, area } => (2, [width, area]),
            Self::Sigmoid { alpha } => (3, [alpha, F::ZERO]),
            Self::InverseSquare { slope, height } => (4, [slope, height]),
            Self::Gaussian { factor, height } => (5, [factor, height]),
            Self::LogTailedRelu { alpha } => (6, [alpha, F::ZERO]),
            Self::StraightThrough => (7, [F::ZERO; 2]),
        }
    }

    pub(crate) fn is_straight_through(&self) -> bool {
        matches!(self, Self::StraightThrough)
    }

    /// Replaces each `x` of a block by `h′(x)`. One loop for each shape, so that each compiles to
    /// vector instructions.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled once for each instruction set, by inlining")]
    pub(crate) fn block<const N: usize>(&self, x: &mut [F; N]) {
        match *self {
            Self::Atan { scale, height } => each(x, |x| {
                let scaled = scale * x;
                height / (F::ONE + scaled * scaled)
            }),
            Self::Rectangle { half, height } => each(x, |x| height.only_if(x.abs() < half)),
            Self::Triangle { width, area } => {
                each(x, |x| (width - x.abs()).at_least(F::ZERO) / area);
            }
            Self::Sigmoid { alpha } => each(x, |x| {
                let e = (-(alpha * x).abs()).exp_of_negative();
                let one_and_e = F::ONE + e;
                alpha * e / (one_and_e * one_and_e)
            }),
            Self::InverseSquare { slope, height } => each(x, |x| {
                let base = slope * x.abs() + F::ONE;
                height / (base * base)
            }),
            Self::Gaussian { factor, height } => {
                each(x, |x| (-(x * x * factor)).exp_of_negative() * height);
            }
            Self::LogTailedRelu { alpha } => each(x, |x| {
                let above = F::ONE / x.at_least(F::ONE);
                if x > F::ZERO { above } else { alpha }
            }),
            Self::StraightThrough => *x = [F::ONE; N],
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn each<F: Real, const N: usize>(x: &mut [F; N], derivative: impl Fn(F) -> F) {
    for x in x {
        *x = derivative(*x);
    }
}

impl Derivative<f64> {
    /// `h′(x)` of a tensor, in few passes over memory.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub(crate) fn tensor(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match *self {
            Self::Atan { height, .. } => inverse_atan(x, 0.0, height)?.f_reciprocal_()?,
            Self::Rectangle { half, height } => {
                x.f_abs()?.f_lt(half)?.f_to_kind(x.f_kind()?)?.f_mul_scalar_(height)?
            }
            Self::Triangle { width, area } => {
                let mut distance = x.f_abs()?;
                distance.f_neg_()?.f_add_scalar_(width)?.f_clamp_min_(0.0)?.f_div_scalar_(area)?
            }
            Self::Sigmoid { alpha } => {
                let sigmoid = x.f_mul_scalar(alpha)?.f_sigmoid_()?;
                sigmoid.f_neg()?.f_add_scalar_(1.0)?.f_mul_(&sigmoid)?.f_mul_scalar_(alpha)?
            }
            Self::InverseSquare { slope, height } => {
                let base = x.f_abs()?.f_mul_scalar_(slope)?.f_add_scalar_(1.0)?;
                base.f_square()?.f_reciprocal_()?.f_mul_scalar_(height)?
            }
            Self::Gaussian { factor, height } => {
                x.f_square()?.f_mul_scalar_(-factor)?.f_exp_()?.f_mul_scalar_(height)?
            }
            Self::LogTailedRelu { alpha } => {
                // 1/max(x, 1) is 1 up to 1 and the tail above.
                let above = x.f_clamp_min(1.0)?.f_reciprocal_()?;
                { above }.f_masked_fill_(&x.f_le(0.0)?, alpha)?
            }
            Self::StraightThrough => x.f_ones_like()?,
        })
    }

    /// `1/h′(u − θ)` where dividing by it needs one pass over memory less than multiplying by `h′`.
    pub(crate) fn inverse(&self, u: &Tensor, threshold: f64) -> Option<Result<Tensor>> {
        match *self {
            Self::Atan { height, .. } => Some(inverse_atan(u, threshold, height)),
            _ => None,
        }
    }
}

/// `1/h′(u − θ) = 2/α + (π/2·√(2α)·(u − θ))²` of ATan, whose `height` is `α/2`.
fn inverse_atan(u: &Tensor, threshold: f64, height: f64) -> Result<Tensor> {
    let alpha = 2.0 * height;
    let scaled = u.f_sub_scalar(threshold)?.f_mul_scalar_(FRAC_PI_2 * (2.0 * alpha).sqrt())?;
    let offset = Tensor::f_scalar_tensor(2.0 / alpha, (u.f_kind()?, u.device()))?;
    Ok(offset.f_addcmul(&scaled, &scaled)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    /// Every built-in surrogate: the block form against the tensor form, in both precisions.
    #[test]
    fn blocks_and_tensors_have_the_same_derivative() {
        for surrogate in Surrogate::ALL {
            let points: [f64; 257] = std::array::from_fn(|i| (i as f64 - 128.0) / 40.0);
            let tensor = Tensor::from_slice(&points);
            let plain = Derivative::<f64>::new(&surrogate).unwrap();
            let expected = Vec::<f64>::try_from(plain.tensor(&tensor).unwrap()).unwrap();
            let mut double = points;
            plain.block(&mut double);
            #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest")]
            let mut single = points.map(|x| x as f32);
            let rounded = Tensor::from_slice(&single).to_kind(Kind::Double);
            Derivative::<f32>::new(&surrogate).unwrap().block(&mut single);
            let at_rounded = Vec::<f64>::try_from(plain.tensor(&rounded).unwrap()).unwrap();
            for (i, expected) in expected.iter().enumerate() {
                let error = (double[i] - expected).abs();
                assert!(error <= 1e-14 * expected.abs().max(1.0), "{surrogate:?} at {}", points[i]);
                let error = (f64::from(single[i]) - at_rounded[i]).abs();
                let allowed = 1e-5 * at_rounded[i].abs().max(1.0);
                assert!(error <= allowed, "{surrogate:?} at {}, single precision", points[i]);
            }
        }
    }
}
