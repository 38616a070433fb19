//! The input of a site: a sum of terms, some of them behind a batch norm.

use super::batch_statistics::BatchStatistics;
use super::lanes::{Channels, LANES, Lanes};
use super::memory::doubles;
use super::store::Store;
use crate::error::{Error, Result};
use crate::neuron::real::Real;
use crate::ranks::Ranks;
use crate::tensor::int;
use snn_simd::prefetch;
use std::ops::Range;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A term of a site's input.
#[derive(Debug, Clone, Copy)]
pub struct Term<'t> {
    /// `[steps·B, C, H, W]` or `[steps·B, F]`, macro-steps first.
    pub data: &'t Tensor,
    /// T, or 1 for what does not vary over time.
    pub steps: usize,
    /// A batch norm between the data and the sum.
    pub norm: Option<BatchNorm<'t>>,
}

/// `y = γ·(x − μ)/√(σ² + ε) + β` with the statistics of the batch itself (eq. 4): gradients flow
/// through them.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'t> {
    /// γ, `[C]`; without one it is 1.
    pub weight: Option<&'t Tensor>,
    /// β, `[C]`.
    pub bias: &'t Tensor,
    /// ε.
    pub eps: f64,
    /// μ and σ² of the term's data.
    pub statistics: &'t BatchStatistics,
    /// The replicas that have parts of the batch, whose statistics these are; `None` where this is
    /// the whole batch.
    pub ranks: Option<&'t Arc<dyn Ranks>>,
}

impl BatchNorm<'_> {
    /// Factor and summand of each channel, so that `y = x·factor + summand`; what fused sites
    /// compute, each operation rounded in the precision of the data.
    ///
    /// # Errors
    /// libtorch cannot convert.
    pub fn affine(&self) -> Result<[Vec<f64>; 2]> {
        let bias = doubles(self.bias)?;
        let factor: Vec<f64> = match self.weight {
            None => self.inverse_deviations().collect(),
            Some(weight) => doubles(weight)?
                .iter()
                .zip(self.inverse_deviations())
                .map(|(weight, inverse)| weight * inverse)
                .collect(),
        };
        let summand = bias
            .iter()
            .zip(&factor)
            .zip(&self.statistics.mean)
            .map(|((bias, factor), mean)| bias - factor * mean);
        let summand = summand.collect();
        Ok([factor, summand])
    }

    pub(crate) fn inverse_deviations(&self) -> impl Iterator<Item = f64> {
        self.statistics.variance.iter().map(|variance| 1.0 / (variance + self.eps).sqrt())
    }
}

/// The number type of all terms, if it is the same and they have channels and are on the CPU.
pub(super) fn kind(terms: &[Term<'_>]) -> Result<Option<Kind>> {
    let Some(first) = terms.first() else { return Ok(None) };
    let kind = first.data.f_kind()?;
    for term in terms {
        if term.data.device() != Device::Cpu || term.data.dim() < 2 || term.data.f_kind()? != kind {
            return Ok(None);
        }
    }
    Ok(Some(kind))
}

/// A batch norm in the precision of the kernels.
#[derive(Debug)]
pub(super) struct Norm<F> {
    pub(super) factor: Channels<F>,
    summand: Channels<F>,
    pub(super) mean: Channels<F>,
    /// Factors, and `1/√(σ² + ε)`, in double precision.
    pub(super) factors: Vec<f64>,
    pub(super) inverse_deviations: Vec<f64>,
    pub(super) count: usize,
    /// `true` if γ is a parameter, which has a gradient.
    pub(super) scaled: bool,
    ranks: Option<Arc<dyn Ranks>>,
}

impl<F: Real> Norm<F> {
    pub(super) fn new(norm: &BatchNorm<'_>, channels: usize) -> Result<Self> {
        let weight = norm.weight.map(|weight| ("weight of batch norm", weight));
        for (what, values) in weight.into_iter().chain([("bias of batch norm", norm.bias)]) {
            if values.size() != [int(channels)] {
                return Err(Error::Shape {
                    what,
                    expected: format!("[{channels}]"),
                    found: values.size(),
                });
            }
        }
        if norm.statistics.mean.len() != channels || norm.statistics.variance.len() != channels {
            let found = vec![int(norm.statistics.mean.len()), int(norm.statistics.variance.len())];
            return Err(Error::Shape {
                what: "statistics",
                expected: format!("{channels} channels"),
                found,
            });
        }
        let [factors, summands] = norm.affine()?;
        let round = |values: &[f64]| {
            Channels::new(&values.iter().map(|&value| F::of(value)).collect::<Vec<_>>())
        };
        Ok(Self {
            factor: round(&factors),
            summand: round(&summands),
            mean: round(&norm.statistics.mean),
            inverse_deviations: norm.inverse_deviations().collect(),
            factors,
            count: norm.statistics.count,
            scaled: norm.weight.is_some(),
            ranks: norm.ranks.map(Arc::clone),
        })
    }

    /// The sums over the whole batch, from those over the part of it that this replica has.
    pub(super) fn over_all(&self, sums: [Vec<f64>; 2]) -> Result<[Vec<f64>; 2]> {
        match &self.ranks {
            Some(ranks) => ranks.sum_pair("the gradients of a batch norm", sums),
            None => Ok(sums),
        }
    }
}

/// A term's values.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadedTerm<'s, S: Store> {
    pub(super) data: &'s [S],
    pub(super) steps: usize,
    pub(super) norm: Option<&'s Norm<S::Real>>,
}

impl<S: Store> LoadedTerm<'_, S> {
    /// The values of a block in macro-step `t`, before the norm.
    #[inline(always)]
    pub(super) fn load<'r>(
        &'r self,
        block: &Range<usize>,
        t: usize,
        neurons: usize,
        room: &'r mut Lanes<S::Real>,
    ) -> &'r Lanes<S::Real> {
        S::load(&self.data[at(block, t, self.steps, neurons)], room)
    }

    /// Asks for the values of a block in all of so many macro-steps.
    #[inline(always)]
    pub(super) fn prefetch(&self, block: &Range<usize>, neurons: usize) {
        for t in 0..self.steps {
            prefetch(&self.data[at(block, t, self.steps, neurons)]);
        }
    }
}

/// Where a block is in macro-step `t` of data with `steps` of them.
#[inline(always)]
pub(super) fn at(block: &Range<usize>, t: usize, steps: usize, neurons: usize) -> Range<usize> {
    let first = if steps == 1 { 0 } else { t * neurons };
    first + block.start..first + block.end
}

/// The sum of the terms in a block, from left to right.
#[inline(always)]
pub(super) fn current<'r, S: Store>(
    terms: &'r [LoadedTerm<'_, S>],
    block: &Range<usize>,
    channel: usize,
    t: usize,
    neurons: usize,
    room: &'r mut [Lanes<S::Real>; 2],
) -> &'r Lanes<S::Real> {
    let [sum, room] = room;
    if let [LoadedTerm { norm: None, .. }] = terms {
        return terms[0].load(block, t, neurons, sum);
    }
    for (position, term) in terms.iter().enumerate() {
        let x = term.load(block, t, neurons, room);
        match (position, term.norm) {
            (0, None) => *sum = *x,
            (0, Some(norm)) => {
                let (factor, summand) = (norm.factor.at(channel), norm.summand.at(channel));
                for i in 0..LANES {
                    sum[i] = x[i] * factor[i] + summand[i];
                }
            }
            (_, None) => {
                for i in 0..LANES {
                    sum[i] = sum[i] + x[i];
                }
            }
            (_, Some(norm)) => {
                let (factor, summand) = (norm.factor.at(channel), norm.summand.at(channel));
                for i in 0..LANES {
                    sum[i] = sum[i] + (x[i] * factor[i] + summand[i]);
                }
            }
        }
    }
    sum
}
