//! Numbers that a model computes in: i32 for the form `grid`, f64 (counting) or f32 (deployment)
//! for the form `events`.

use crate::scores::Sums;
use ndarray::Array2;
use snn_ir::Model;
use snn_ir::{Error, Logits, Result, weights};
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Sub};

/// A number type that currents are summed in. In i32 every sum and product is below 2³¹, proved
/// when the model is validated (eq. 12), so `plus` and `times` may wrap: they never do, and without
/// a check the compiler vectorises them.
pub(crate) trait Arithmetic:
    Copy + Default + PartialOrd + Debug + Send + Sync + 'static
{
    /// Accumulator type of the head.
    type Sum: Copy + Default + PartialOrd + Debug + Send + Sync;
    /// A plane entry.
    const ONE: Self;

    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// A pixel less its mean (eq. 1; deviations have been merged into the weights).
    fn pixel(pixel: u8, mean: u8) -> Self;
    /// A level as an integer; only asked of whole numbers.
    fn level(self) -> i32;
    fn to_real(self) -> f64;
    /// Part `part` of node `node`, in its own order.
    fn part(model: &Model, node: &str, part: &str) -> Result<Vec<Self>>;
    /// Class scores from the head's sums (eq. 7), which are divided by this number off the grid.
    fn logits(sums: Array2<Self::Sum>, divisor: u64) -> Logits;
    fn add(sum: Self::Sum, more: Self::Sum) -> Self::Sum;
    fn to_sum(self) -> Self::Sum;
    /// The head's sums as the user sees them.
    fn sums(sums: &[Self::Sum]) -> Sums<'_>;
}

impl Arithmetic for i32 {
    type Sum = i64;
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

    fn add(sum: i64, more: i64) -> i64 {
        sum.saturating_add(more)
    }

    fn to_sum(self) -> i64 {
        i64::from(self)
    }

    fn logits(sums: Array2<i64>, _divisor: u64) -> Logits {
        Logits::Integer(sums)
    }

    fn sums(sums: &[i64]) -> Sums<'_> {
        Sums::Integer(sums)
    }
}

/// A float type, for models of the form `events`.
pub(crate) trait Real:
    Arithmetic
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + From<i16>
{
    const HALF: Self;
    fn nearest(value: f64) -> Self;
    fn is_finite(self) -> bool;
    fn floor(self) -> Self;
    fn abs(self) -> Self;
    fn max(self, other: Self) -> Self;
    fn clamp(self, low: Self, high: Self) -> Self;

    /// A weight rounded to this number type.
    fn rounded(value: f64, node: &str, part: &str) -> Result<Self> {
        let rounded = Self::nearest(value);
        if rounded.is_finite() {
            return Ok(rounded);
        }
        Err(Error::Weight {
            name: format!("{node}.{part}"),
            expected: "values within the range of 32-bit floats".into(),
            found: value.to_string(),
        })
    }
}

/// Both float types differ in their name and in how an f64 is rounded to them.
macro_rules! real {
    ($real:ty, $nearest:expr) => {
        impl Arithmetic for $real {
            type Sum = f64;
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

            fn part(model: &Model, node: &str, part: &str) -> Result<Vec<Self>> {
                weights::real(model.weights(), node, part)?
                    .iter()
                    .map(|&v| <$real as Real>::rounded(v, node, part))
                    .collect()
            }

            fn add(sum: f64, more: f64) -> f64 {
                sum + more
            }

            fn to_sum(self) -> f64 {
                f64::from(self)
            }

            fn logits(sums: Array2<f64>, divisor: u64) -> Logits {
                Logits::Real(sums / divisor as f64)
            }

            fn sums(sums: &[f64]) -> Sums<'_> {
                Sums::Real(sums)
            }
        }

        impl Real for $real {
            const HALF: Self = 0.5;

            fn nearest(value: f64) -> Self {
                $nearest(value)
            }

            fn is_finite(self) -> bool {
                <$real>::is_finite(self)
            }

            fn floor(self) -> Self {
                <$real>::floor(self)
            }

            fn abs(self) -> Self {
                <$real>::abs(self)
            }

            fn max(self, other: Self) -> Self {
                <$real>::max(self, other)
            }

            fn clamp(self, low: Self, high: Self) -> Self {
                <$real>::clamp(self, low, high)
            }
        }
    };
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest f32 is what this type means"
)]
fn nearest_f32(value: f64) -> f32 {
    value as f32
}

real!(f32, nearest_f32);
real!(f64, std::convert::identity);
