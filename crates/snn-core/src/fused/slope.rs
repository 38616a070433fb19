//! Surrogate derivatives on blocks of neurons (`docs/semantics.md`, section 4).

use super::lanes::{LANES, Lanes};
use super::real::Real;
use snn_ir::Surrogate;
use std::f64::consts::{FRAC_PI_2, TAU};

/// `h′`, with its constants at hand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slope<F> {
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

impl<F: Real> Slope<F> {
    /// `None` for a user's own, which is made of tensor operations.
    pub(super) fn new(surrogate: &Surrogate) -> Option<Self> {
        Some(match *surrogate {
            Surrogate::Atan { alpha } => {
                Slope::Atan { scale: F::of(FRAC_PI_2 * alpha), height: F::of(alpha / 2.0) }
            }
            Surrogate::Rectangle { width } => {
                Slope::Rectangle { half: F::of(width / 2.0), height: F::of(1.0 / width) }
            }
            Surrogate::Triangle { width } => {
                Slope::Triangle { width: F::of(width), area: F::of(width * width) }
            }
            Surrogate::PiecewiseQuadratic { alpha } => Slope::Triangle {
                width: F::of(1.0 / alpha),
                area: F::of((1.0 / alpha) * (1.0 / alpha)),
            },
            Surrogate::Sigmoid { alpha } => Slope::Sigmoid { alpha: F::of(alpha) },
            Surrogate::FastSigmoid { slope } => {
                Slope::InverseSquare { slope: F::of(slope), height: F::ONE }
            }
            Surrogate::SuperSpike { alpha } => {
                Slope::InverseSquare { slope: F::ONE, height: F::of(alpha) }
            }
            Surrogate::Gaussian { sigma } => Slope::Gaussian {
                factor: F::of(0.5 / (sigma * sigma)),
                height: F::of(1.0 / (sigma * TAU.sqrt())),
            },
            Surrogate::LogTailedRelu { alpha } => Slope::LogTailedRelu { alpha: F::of(alpha) },
            Surrogate::StraightThrough => Slope::StraightThrough,
            Surrogate::Custom { .. } => return None,
        })
    }

    pub(super) fn is_straight_through(&self) -> bool {
        matches!(self, Slope::StraightThrough)
    }

    /// `h′(x)` of a block in place of `x`. One loop for each surrogate, so that each compiles to
    /// vector instructions.
    #[inline(always)]
    pub(super) fn apply(&self, x: &mut Lanes<F>) {
        match *self {
            Slope::Atan { scale, height } => each(x, |x| {
                let scaled = scale * x;
                height / (F::ONE + scaled * scaled)
            }),
            Slope::Rectangle { half, height } => each(x, |x| height.only_if(x.abs() < half)),
            Slope::Triangle { width, area } => {
                each(x, |x| (width - x.abs()).at_least(F::ZERO) / area)
            }
            Slope::Sigmoid { alpha } => each(x, |x| {
                let e = (-(alpha * x).abs()).exp_of_negative();
                let one_and_e = F::ONE + e;
                alpha * e / (one_and_e * one_and_e)
            }),
            Slope::InverseSquare { slope, height } => each(x, |x| {
                let base = slope * x.abs() + F::ONE;
                height / (base * base)
            }),
            Slope::Gaussian { factor, height } => {
                each(x, |x| (-(x * x * factor)).exp_of_negative() * height)
            }
            Slope::LogTailedRelu { alpha } => each(x, |x| {
                let above = F::ONE / x.at_least(F::ONE);
                if x > F::ZERO { above } else { alpha }
            }),
            Slope::StraightThrough => *x = [F::ONE; LANES],
        }
    }
}

#[inline(always)]
fn each<F: Real>(x: &mut Lanes<F>, slope: impl Fn(F) -> F) {
    for x in x {
        *x = slope(*x);
    }
}
