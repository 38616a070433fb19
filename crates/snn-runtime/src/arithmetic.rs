//! What differs between the grid (i32) and the reals (f32, f64).

use crate::grid_site::GridSite;
use crate::real_site::RealSite;
use crate::site::SiteKernel;
use snn_ir::model::Model;
use snn_ir::{Error, Logits, Result, weights};
use std::fmt::Debug;

use ndarray::Array2;

/// Numbers of one precision. On the grid every sum and product is below 2³¹, proved when the model
/// is validated (eq. 12), so `plus` and `times` may wrap: they never do, and without a check the
/// compiler vectorises them.
pub(crate) trait Arithmetic:
    Copy + Default + PartialOrd + Debug + Send + Sync + 'static
{
    /// What the head sums in.
    type Sum: Copy + Default + PartialOrd + Debug + Send + Sync;
    /// Sites of this precision.
    type Site: SiteKernel<Self>;
    /// A plane entry.
    const ONE: Self;

    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// A pixel less its mean (eq. 1; deviations have been merged into the weights).
    fn pixel(pixel: u8, mean: u8) -> Self;
    /// A level as an integer; only asked of whole numbers.
    fn level(self) -> i32;
    fn to_real(self) -> f64;
    fn add_to(self, sum: Self::Sum) -> Self::Sum;
    /// Part `part` of node `node`, in its own order.
    fn part(model: &Model, node: &str, part: &str) -> Result<Vec<Self>>;
    /// Class scores from the head's sums (eq. 7).
    fn logits(sums: Array2<Self::Sum>, time_steps: usize) -> Logits;
    /// The head's sums as the user sees them.
    fn scores(sums: &[Self::Sum]) -> Scores<'_>;
}

/// Sums of the head over macro-steps for one sample, without a copy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scores<'s> {
    /// On the grid, `Σ_t J[t]` (eq. 13).
    Integer(&'s [i64]),
    /// Off the grid, `Σ_t x[t]` (eq. 7 before the division by T).
    Real(&'s [f64]),
}

impl Arithmetic for i32 {
    type Sum = i64;
    type Site = GridSite;
    const ONE: Self = 1;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }

    fn pixel(pixel: u8, mean: u8) -> Self {
        i32::from(pixel) - i32::from(mean)
    }

    fn level(self) -> i32 {
        self
    }

    fn to_real(self) -> f64 {
        f64::from(self)
    }

    fn add_to(self, sum: i64) -> i64 {
        sum.wrapping_add(i64::from(self))
    }

    fn part(model: &Model, node: &str, part: &str) -> Result<Vec<Self>> {
        weights::integer(model.weights(), node, part)?
            .iter()
            .map(|&v| {
                i32::try_from(v).map_err(|_| Error::Weight {
                    name: format!("{node}.{part}"),
                    expected: "32-bit values".into(),
                    found: v.to_string(),
                })
            })
            .collect()
    }

    fn logits(sums: Array2<i64>, _time_steps: usize) -> Logits {
        Logits::Integer(sums)
    }

    fn scores(sums: &[i64]) -> Scores<'_> {
        Scores::Integer(sums)
    }
}

/// Both float precisions differ in nothing but their type.
macro_rules! real {
    ($real:ty) => {
        impl Arithmetic for $real {
            type Sum = f64;
            type Site = RealSite<$real>;
            const ONE: Self = 1.0;

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }

            fn pixel(pixel: u8, mean: u8) -> Self {
                <$real>::from(pixel) - <$real>::from(mean)
            }

            #[expect(clippy::cast_possible_truncation, reason = "levels are small whole numbers")]
            fn level(self) -> i32 {
                self as i32
            }

            fn to_real(self) -> f64 {
                f64::from(self)
            }

            fn add_to(self, sum: f64) -> f64 {
                sum + f64::from(self)
            }

            fn part(model: &Model, node: &str, part: &str) -> Result<Vec<Self>> {
                weights::real(model.weights(), node, part)?
                    .iter()
                    .map(|&v| <$real as crate::real::Real>::rounded(v, node, part))
                    .collect()
            }

            fn logits(sums: Array2<f64>, time_steps: usize) -> Logits {
                Logits::Real(sums / time_steps as f64)
            }

            fn scores(sums: &[f64]) -> Scores<'_> {
                Scores::Real(sums)
            }
        }
    };
}

real!(f32);
real!(f64);
