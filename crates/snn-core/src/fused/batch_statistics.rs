//! Batch statistics: mean and variance of each channel.

use super::lanes::{LANES, Sums, block_of, sum_in_groups};
use super::memory::{channels_last, values};
use super::store::{Bf16, Store};
use crate::error::Result;
use crate::neuron::real::Real;
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
    /// Values of one channel.
    pub count: usize,
}

impl BatchStatistics {
    /// The statistics of `x`, `[N, C, H, W]` or `[N, F]`. `None` for values that are not f32, f64
    /// or bf16 on the CPU.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn of(x: &Tensor) -> Result<Option<Self>> {
        if x.device() != Device::Cpu || x.dim() < 2 {
            return Ok(None);
        }
        match x.f_kind()? {
            Kind::Float => statistics::<f32>(x).map(Some),
            Kind::Double => statistics::<f64>(x).map(Some),
            Kind::BFloat16 => statistics::<Bf16>(x).map(Some),
            _ => Ok(None),
        }
    }
}

fn statistics<S: Store>(x: &Tensor) -> Result<BatchStatistics> {
    let channels = usize::try_from(x.size()[1]).unwrap_or_default();
    let x = tch::no_grad(|| channels_last(&x.f_detach()?))?;
    let x = values::<S>(&x)?;
    let instructions = Available::best();
    let sums = sum_in_groups(x.len().div_ceil(LANES), &[channels, channels], |blocks, sums| {
        instructions.run(Summing { x, channels, blocks, sums });
    });
    let count = x.len() / channels.max(1);
    let mean: Vec<f64> = sums[0].iter().map(|sum| sum / count as f64).collect();
    let squares = sums[1].iter().map(|sum| sum / count as f64);
    let variance =
        squares.zip(&mean).map(|(square, mean)| (square - mean * mean).max(0.0)).collect();
    Ok(BatchStatistics { mean, variance, count })
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
