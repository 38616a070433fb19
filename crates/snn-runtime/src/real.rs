//! What sites off the grid need of a float.

use crate::arithmetic::Arithmetic;
use snn_ir::{Error, Result};
use std::ops::{Add, Div, Mul, Sub};

/// A float of either precision.
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

    /// The weight in this precision.
    fn rounded(value: f64, node: &str, part: &str) -> Result<Self> {
        let rounded = Self::nearest(value);
        if rounded.is_finite() {
            return Ok(rounded);
        }
        Err(Error::Weight {
            name: format!("{node}.{part}"),
            expected: "values within the range of the precision".into(),
            found: value.to_string(),
        })
    }
}

macro_rules! real {
    ($real:ty, $nearest:expr) => {
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
    reason = "rounding to the nearest f32 is what this precision means"
)]
fn nearest_f32(value: f64) -> f32 {
    value as f32
}

real!(f32, nearest_f32);
real!(f64, std::convert::identity);
