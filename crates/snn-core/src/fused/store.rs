//! How values stand in memory: in the precision that kernels compute with, or as bf16.

use super::lanes::{LANES, Lanes};
use crate::neuron::real::Real;
use tch::Kind;

/// A type of the values of a tensor.
pub(crate) trait Store: Copy + Send + Sync + 'static {
    /// The number type that kernels compute with.
    type Real: Real;
    const KIND: Kind;
    const ZERO: Self;

    /// `true` if a value takes the place of the largest so far: if it is larger, or not a number.
    fn exceeds(new: Self, largest: Self) -> bool;

    /// At most a block of values, padded with 0: where they stand, or in `room`.
    fn load<'v>(values: &'v [Self], room: &'v mut Lanes<Self::Real>) -> &'v Lanes<Self::Real>;

    /// Values as they would stand in memory.
    fn rounded(lanes: &mut Lanes<Self::Real>);

    /// Writes a block, or as much of it as there is room for, rounded to the nearest value, ties to
    /// even.
    fn store(lanes: &Lanes<Self::Real>, values: &mut [Self]);
}

/// Values that kernels compute with as they stand.
macro_rules! as_it_stands {
    ($real:ty, $kind:expr) => {
        impl Store for $real {
            type Real = $real;
            const KIND: Kind = $kind;
            const ZERO: Self = 0.0;

            #[inline(always)]
            fn exceeds(new: Self, largest: Self) -> bool {
                new > largest || new.is_nan()
            }

            #[inline(always)]
            fn load<'v>(values: &'v [$real], room: &'v mut Lanes<$real>) -> &'v Lanes<$real> {
                in_place(values, room)
            }

            #[inline(always)]
            fn rounded(_: &mut Lanes<$real>) {}

            #[inline(always)]
            fn store(lanes: &Lanes<$real>, values: &mut [$real]) {
                copy(lanes, values);
            }
        }
    };
}

as_it_stands!(f32, Kind::Float);
as_it_stands!(f64, Kind::Double);

#[inline(always)]
fn in_place<'v, F: Real>(values: &'v [F], room: &'v mut Lanes<F>) -> &'v Lanes<F> {
    if let Ok(block) = values.try_into() {
        return block;
    }
    *room = [F::ZERO; LANES];
    room[..values.len()].copy_from_slice(values);
    room
}

#[inline(always)]
fn copy<F: Copy>(lanes: &Lanes<F>, values: &mut [F]) {
    if let Ok(block) = <&mut Lanes<F>>::try_from(&mut *values) {
        *block = *lanes;
    } else {
        values.copy_from_slice(&lanes[..values.len()]);
    }
}

/// The upper half of an `f32`, as libtorch stores it.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Bf16(u16);

impl Bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    #[inline(always)]
    fn nearest(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        // Rounding must not make an infinity of a NaN.
        Self(if value.is_nan() { 0x7fc0 } else { rounded as u16 })
    }
}

impl Store for Bf16 {
    type Real = f32;
    const KIND: Kind = Kind::BFloat16;
    const ZERO: Self = Self(0);

    #[inline(always)]
    fn exceeds(new: Self, largest: Self) -> bool {
        let (new, largest) = (new.wide(), largest.wide());
        new > largest || new.is_nan()
    }

    #[inline(always)]
    fn load<'v>(values: &'v [Bf16], room: &'v mut Lanes<f32>) -> &'v Lanes<f32> {
        if let Ok(block) = <&[Bf16; LANES]>::try_from(values) {
            for i in 0..LANES {
                room[i] = block[i].wide();
            }
        } else {
            *room = [0.0; LANES];
            for (lane, value) in room.iter_mut().zip(values) {
                *lane = value.wide();
            }
        }
        room
    }

    #[inline(always)]
    fn rounded(lanes: &mut Lanes<f32>) {
        for lane in lanes {
            *lane = Bf16::nearest(*lane).wide();
        }
    }

    #[inline(always)]
    fn store(lanes: &Lanes<f32>, values: &mut [Bf16]) {
        if let Ok(block) = <&mut [Bf16; LANES]>::try_from(&mut *values) {
            for i in 0..LANES {
                block[i] = Bf16::nearest(lanes[i]);
            }
        } else {
            for (value, &lane) in values.iter_mut().zip(lanes) {
                *value = Bf16::nearest(lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Tensor};

    #[test]
    fn bf16_is_that_of_libtorch() {
        // Every upper half with a lower half below, at and above the middle, so that all ways to
        // round occur.
        let lower = [0_u32, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
        let values: Vec<f32> = (0..1 << 16)
            .flat_map(|upper: u32| lower.map(|lower| f32::from_bits(upper << 16 | lower)))
            .collect();
        let expected = Tensor::from_slice(&values).to_kind(Kind::BFloat16).to_kind(Kind::Float);
        let expected = Vec::<f32>::try_from(expected.to_device(Device::Cpu)).unwrap();
        for (value, expected) in values.iter().zip(expected) {
            let found = Bf16::nearest(*value).wide();
            assert!(
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{value:e}"
            );
        }
    }
}
