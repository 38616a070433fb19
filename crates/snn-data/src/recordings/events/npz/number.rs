//! Types of numbers, and their values.

/// A type of numbers.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Signed(usize),
    Unsigned(usize),
    Float32,
    Float64,
}

impl Number {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "|b1" | "|u1" | "<u1" | "u1" => Self::Unsigned(1),
            "<u2" => Self::Unsigned(2),
            "<u4" => Self::Unsigned(4),
            "<u8" => Self::Unsigned(8),
            "|i1" | "<i1" | "i1" => Self::Signed(1),
            "<i2" => Self::Signed(2),
            "<i4" => Self::Signed(4),
            "<i8" => Self::Signed(8),
            "<f4" => Self::Float32,
            "<f8" => Self::Float64,
            _ => return None,
        })
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Signed(bytes) | Self::Unsigned(bytes) => bytes,
            Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// A value as a whole number; `None` if it is not, or does not fit.
    pub(super) fn value(self, bytes: &[u8]) -> Option<i64> {
        let word = bytes.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
        match self {
            Self::Unsigned(_) => i64::try_from(word).ok(),
            Self::Signed(bytes) => {
                let unused = 64 - 8 * bytes;
                Some((word << unused).cast_signed() >> unused)
            }
            Self::Float32 => whole(f64::from(f32::from_bits(u32::try_from(word).ok()?))),
            Self::Float64 => whole(f64::from_bits(word)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 are exact")]
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9.0e15).then_some(value as i64)
}
