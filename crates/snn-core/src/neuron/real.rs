//! Floating-point types of the block kernels.
#![expect(clippy::inline_always, reason = "compiled once for each instruction set, by inlining")]

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `f32` or `f64`, with what compiles to vector instructions.
pub(crate) trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + std::fmt::Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    const ZERO: Self;
    const ONE: Self;
    const HALF: Self;

    /// The nearest value, as libtorch takes a scalar.
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn floor(self) -> Self;
    fn abs(self) -> Self;
    /// `e^self` for `self ≤ 0`, within 2 units in the last place; 0 where that would be subnormal.
    fn exp_of_negative(self) -> Self;

    /// The value, or 0: without a branch, which the compiler would make of a choice between values
    /// that are still to be computed.
    fn only_if(self, condition: bool) -> Self;

    /// 1 or 0.
    #[inline(always)]
    fn indicator(condition: bool) -> Self {
        Self::ONE.only_if(condition)
    }

    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        if self > low { self } else { low }
    }

    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        if self < high { self } else { high }
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const HALF: Self = 0.5;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "to the nearest")]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn only_if(self, condition: bool) -> Self {
        Self::from_bits(self.to_bits() & u32::from(condition).wrapping_neg())
    }

    #[inline(always)]
    fn floor(self) -> Self {
        f32::floor(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    /// `2^n·e^r` with `n` whole and `|r| ≤ ½·ln 2`, and the Taylor series of degree 7 for `e^r`:
    /// unlike a call of the C library, it compiles to vector instructions.
    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        // ln 2 in two parts, the first with few enough bits that n times it is exact.
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        // Adding 1.5·2²³ leaves a whole number in the low bits.
        const WHOLE: f32 = 12_582_912.0;
        let x = self.at_least(-87.0);
        let shifted = x * std::f32::consts::LOG2_E + WHOLE;
        let n = shifted - WHOLE;
        let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
        let mut series = 1.0 / 5040.0;
        for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            series = series * r + coefficient;
        }
        let power =
            f32::from_bits(shifted.to_bits().wrapping_sub(WHOLE.to_bits()).wrapping_add(127) << 23);
        if self > -87.0 { series * power } else { 0.0 }
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const HALF: Self = 0.5;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn only_if(self, condition: bool) -> Self {
        Self::from_bits(self.to_bits() & u64::from(condition).wrapping_neg())
    }

    #[inline(always)]
    fn floor(self) -> Self {
        f64::floor(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    /// Not fast: double precision is for checks.
    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        self.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_within_two_units_in_the_last_place() {
        for i in 0..870_000_u32 {
            let x = -0.0001 * i as f32;
            let expected = f64::from(x).exp();
            let error = (f64::from(x.exp_of_negative()) - expected).abs() / expected;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "{x}: {error:e}");
        }
        assert_eq!((0.0_f32).exp_of_negative().to_bits(), 1.0_f32.to_bits());
        assert_eq!(f32::NEG_INFINITY.exp_of_negative().to_bits(), 0);
        assert_eq!((-200.0_f32).exp_of_negative().to_bits(), 0);
    }
}
