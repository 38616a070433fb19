//! Spikes as bits: what is kept of them until they are needed again.

use super::lanes::{BLOCKS, LANES, block_of};
use super::memory::{Parts, channels_last, empty, values};
use super::store::{Bf16, Store};
use crate::autograd::parallel;
use crate::error::{Error, Result};
use crate::neuron::real::Real;
use snn_simd::{Available, Kernel};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Kind, Tensor};

/// Zeros and ones of a tensor, a bit each.
#[derive(Debug)]
pub(crate) struct Bits {
    /// One word for each block of neurons, the first neuron in the lowest bit.
    words: Vec<u128>,
    size: Vec<i64>,
    kind: Kind,
}

impl Bits {
    /// Packs a tensor on the CPU, in f32, f64 or bf16, whose values are all 0 or 1; `None` if they
    /// are not.
    pub(crate) fn pack(x: &Tensor) -> Result<Option<Self>> {
        if x.device() != Device::Cpu || x.dim() < 2 {
            return Ok(None);
        }
        let x = tch::no_grad(|| channels_last(&x.f_detach()?))?;
        let kind = x.f_kind()?;
        let words = match kind {
            Kind::Float => pack::<f32>(&x)?,
            Kind::Double => pack::<f64>(&x)?,
            Kind::BFloat16 => pack::<Bf16>(&x)?,
            _ => None,
        };
        Ok(words.map(|words| Self { words, size: x.size(), kind }))
    }

    /// The tensor, channels last in memory.
    pub(crate) fn unpack(&self) -> Result<Tensor> {
        let mut out = empty(&self.size, &Tensor::f_zeros([0_i64], (self.kind, Device::Cpu))?)?;
        match self.kind {
            Kind::Float => unpack::<f32>(&self.words, &mut out)?,
            Kind::Double => unpack::<f64>(&self.words, &mut out)?,
            Kind::BFloat16 => unpack::<Bf16>(&self.words, &mut out)?,
            other => return Err(Error::Torch(format!("bits of kind {other:?}"))),
        }
        Ok(out)
    }
}

fn pack<S: Store>(x: &Tensor) -> Result<Option<Vec<u128>>> {
    let x = values::<S>(x)?;
    let mut words = vec![0; x.len().div_ceil(LANES)];
    let other = AtomicBool::new(false);
    let count = words.len();
    let parts = Parts::over(&mut words);
    parallel(count, BLOCKS, |blocks| {
        Available::best().run(Pack { x, words: &parts, other: &other, blocks });
    });
    Ok((!other.into_inner()).then_some(words))
}

struct Pack<'k, S> {
    x: &'k [S],
    words: &'k Parts<'k, u128>,
    /// Set where a value is neither 0 nor 1.
    other: &'k AtomicBool,
    blocks: Range<usize>,
}

impl<S: Store> Kernel for Pack<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut room = [S::Real::ZERO; LANES];
        let mut bytes = [0_u8; LANES];
        for index in self.blocks {
            let lanes = S::load(&self.x[block_of(index, self.x.len())], &mut room);
            let mut other = 0;
            for i in 0..LANES {
                let is = |value| u8::from(lanes[i] == value);
                bytes[i] = is(S::Real::ONE);
                other |= 1 - (is(S::Real::ONE) | is(S::Real::ZERO));
            }
            if other != 0 {
                self.other.store(true, Ordering::Relaxed);
            }
            let word = bytes
                .iter()
                .enumerate()
                .fold(0_u128, |word, (i, &bit)| word | u128::from(bit) << i);
            // SAFETY: each word is written by one thread, here.
            let place = unsafe { self.words.part(index..index + 1) };
            place[0] = word;
        }
    }
}

fn unpack<S: Store>(words: &[u128], out: &mut Tensor) -> Result<()> {
    let len = out.numel();
    let parts = Parts::<S>::new(out)?;
    parallel(words.len(), BLOCKS, |blocks| {
        Available::best().run(Unpack { words, parts: &parts, len, blocks });
    });
    Ok(())
}

struct Unpack<'k, S> {
    words: &'k [u128],
    parts: &'k Parts<'k, S>,
    len: usize,
    blocks: Range<usize>,
}

impl<S: Store> Kernel for Unpack<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut lanes = [S::Real::ZERO; LANES];
        for block in self.blocks {
            let word = self.words[block];
            for (i, lane) in lanes.iter_mut().enumerate() {
                *lane = S::Real::indicator((word >> i) & 1 == 1);
            }
            // SAFETY: each block is written by one thread, here.
            S::store(&lanes, unsafe { self.parts.part(block_of(block, self.len)) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_come_back_as_they_were() {
        for (shape, kind) in [
            ([3, 5, 7, 2], Kind::Float),
            ([64, 16, 9, 9], Kind::BFloat16),
            ([1, 128, 1, 1], Kind::Double),
        ] {
            let x =
                Tensor::rand(shape, (Kind::Float, Device::Cpu)).f_lt(0.3).unwrap().to_kind(kind);
            for x in [x.shallow_clone(), x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])]
            {
                let bits = Bits::pack(&x).unwrap().expect("spikes");
                assert_eq!(bits.words.len(), x.numel().div_ceil(128));
                let back = bits.unpack().unwrap();
                assert!(back.equal(&x) && back.f_kind().unwrap() == kind);
            }
        }
        assert!(
            Bits::pack(&Tensor::from_slice(&[0.0_f32, 1.0, 0.5]).view([1, 3])).unwrap().is_none()
        );
    }
}
