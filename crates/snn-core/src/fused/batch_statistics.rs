//! Batch statistics: mean and variance of each channel.

use super::lanes::{LANES, Sums, block_of, sum_in_groups};
use super::memory::{channels_last, values};
use super::store::{Bf16, Store};
use crate::error::Result;
use crate::neuron::real::Real;
use crate::ranks::Ranks;
use snn_simd::{Available, Kernel};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Mean and biased variance of each channel over all other axes, from sums in double precision.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics {
    /// `[C]`.
    pub mean: Vec<f64>,
    /// `[C]`.
    pub variance: Vec<f64>,
    /// Values of one channel, of all replicas together.
    pub count: usize,
}

impl BatchStatistics {
    /// The statistics of `x`, `[N, C, H, W]` or `[N, F]`. `None` for values that are not f32, f64
    /// or bf16 on the CPU.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn of(x: &Tensor) -> Result<Option<Self>> {
        Self::of_all("", x, None)
    }

    /// The statistics of what all replicas have in place of `x`; `norm` is the name of the batch
    /// norm.
    ///
    /// # Errors
    /// As [`of`](Self::of), and those of [`Ranks::sum`].
    pub(crate) fn of_all(
        norm: &str,
        x: &Tensor,
        ranks: Option<&dyn Ranks>,
    ) -> Result<Option<Self>> {
        if x.device() != Device::Cpu || x.dim() < 2 {
            return Ok(None);
        }
        let sums = match x.f_kind()? {
            Kind::Float => sums::<f32>(x)?,
            Kind::Double => sums::<f64>(x)?,
            Kind::BFloat16 => sums::<Bf16>(x)?,
            _ => return Ok(None),
        };
        let channels = usize::try_from(x.size()[1]).unwrap_or_default();
        Self::of_sums(norm, sums, x.numel() / channels.max(1), ranks).map(Some)
    }

    /// The statistics of the sums of the values and of their squares, `count` of each channel.
    pub(crate) fn of_sums(
        norm: &str,
        [sums, squares]: [Vec<f64>; 2],
        count: usize,
        ranks: Option<&dyn Ranks>,
    ) -> Result<Self> {
        let channels = sums.len();
        let mut all = [sums, squares, vec![count as f64]].concat();
        if let Some(ranks) = ranks {
            ranks.sum(&format!("the statistics of {norm}"), &mut all)?;
        }
        let count = all.pop().unwrap_or_default();
        let (sums, squares) = all.split_at(channels);
        let mean: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        let squares = squares.iter().map(|sum| sum / count);
        let variance =
            squares.zip(&mean).map(|(square, mean)| (square - mean * mean).max(0.0)).collect();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sum of numbers of values"
        )]
        Ok(Self { mean, variance, count: count as usize })
    }
}

/// The sums of each channel, and those of the squares.
fn sums<S: Store>(x: &Tensor) -> Result<[Vec<f64>; 2]> {
    let channels = usize::try_from(x.size()[1]).unwrap_or_default();
    let x = tch::no_grad(|| channels_last(&x.f_detach()?))?;
    let x = values::<S>(&x)?;
    let instructions = Available::best();
    let sums = sum_in_groups(x.len().div_ceil(LANES), &[channels, channels], |blocks, sums| {
        instructions.run(Summing { x, channels, blocks, sums });
    });
    let [sums, squares] = <[Vec<f64>; 2]>::try_from(sums).unwrap_or_default();
    Ok([sums, squares])
}

struct Summing<'k, S> {
    x: &'k [S],
    channels: usize,
    blocks: Range<usize>,
    sums: &'k mut Sums,
}

impl<S: Store> Kernel for Summing<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut room = [S::Real::ZERO; LANES];
        for block in self.blocks {
            let block = block_of(block, self.x.len());
            let channel = block.start % self.channels;
            let x = S::load(&self.x[block], &mut room);
            self.sums.add(0, channel, x);
            self.sums.add_squares(1, channel, x);
        }
    }
}
