//! ReLU and the quantised ReLU (eqs. 9 and 10).

use super::block_neuron::{BlockNeuron, Kept};
use super::lanes::{Channels, LANES, Lanes, Sums};
use super::memory::numbers;
use super::site;
use super::store::{Bf16, Store};
use super::terms::{Term, kind};
use crate::error::{Error, Result};
use crate::neuron::real::Real;
use snn_simd::Available;
use tch::{Kind, Tensor};

/// [`crate::quant_relu::quant_relu`] with channels along axis 1, in one pass, for the sum of
/// `terms`. `None` for values that are not f32, f64 or bf16 on the CPU.
///
/// # Shapes
/// `step` `[1]` or `[C]`; the result `[steps·B, …]` with the most steps that a term has, channels
/// last in memory.
///
/// # Errors
/// A shape differs, or libtorch cannot allocate.
pub fn quant_relu(step: &Tensor, levels: u8, terms: &[Term<'_>]) -> Result<Option<Tensor>> {
    Ok(quant_relu_for_readers(1, step, levels, terms)?.and_then(|mut values| values.pop()))
}

/// [`quant_relu`], with a tensor for each of its readers, all on the same memory.
pub(crate) fn quant_relu_for_readers(
    readers: usize,
    step: &Tensor,
    levels: u8,
    terms: &[Term<'_>],
) -> Result<Option<Vec<Tensor>>> {
    match kind(terms)? {
        Some(Kind::Float) => quantised::<f32>(readers, step, levels, terms).map(Some),
        Some(Kind::Double) => quantised::<f64>(readers, step, levels, terms).map(Some),
        Some(Kind::BFloat16) => quantised::<Bf16>(readers, step, levels, terms).map(Some),
        _ => Ok(None),
    }
}

/// [`crate::quant_relu::relu`] in one pass, for the sum of `terms`. `None` and shapes as in
/// [`quant_relu`].
///
/// # Errors
/// A shape differs, or libtorch cannot allocate.
pub fn relu(terms: &[Term<'_>]) -> Result<Option<Tensor>> {
    Ok(relu_for_readers(1, terms)?.and_then(|mut values| values.pop()))
}

/// [`relu`], with a tensor for each of its readers, all on the same memory.
pub(crate) fn relu_for_readers(readers: usize, terms: &[Term<'_>]) -> Result<Option<Vec<Tensor>>> {
    match kind(terms)? {
        Some(Kind::Float) => rectified::<f32>(readers, terms).map(Some),
        Some(Kind::Double) => rectified::<f64>(readers, terms).map(Some),
        Some(Kind::BFloat16) => rectified::<Bf16>(readers, terms).map(Some),
        _ => Ok(None),
    }
}

fn rectified<S: Store>(readers: usize, terms: &[Term<'_>]) -> Result<Vec<Tensor>> {
    let steps = most_steps(terms);
    site::run::<S, _>(Available::best(), "fused ReLU", Relu, &[], terms, (steps, readers))
}

fn most_steps(terms: &[Term<'_>]) -> usize {
    terms.iter().map(|term| term.steps).max().unwrap_or(1)
}

fn quantised<S: Store>(
    readers: usize,
    step: &Tensor,
    levels: u8,
    terms: &[Term<'_>],
) -> Result<Vec<Tensor>> {
    let shape = terms[0].data.size();
    if !matches!(*step.size(), [count] if count == 1 || count == shape[1]) {
        return Err(Error::Shape {
            what: "step",
            expected: format!("[1] or [{}]", shape[1]),
            found: step.size(),
        });
    }
    let shared: i64 = shape[if step.numel() > 1 { 2 } else { 1 }..].iter().product();
    let neuron = QuantRelu {
        steps: Channels::new(&numbers::<S::Real>(step)?),
        top: S::Real::of(f64::from(levels)),
        scale: 1.0 / (shared as f64 * f64::from(levels)).sqrt(),
        learned: step.requires_grad(),
    };
    site::run::<S, _>(
        Available::best(),
        "fused QuantRelu",
        neuron,
        &[Some(step)],
        terms,
        (most_steps(terms), readers),
    )
}

#[derive(Debug)]
struct QuantRelu<F> {
    steps: Channels<F>,
    top: F,
    /// Scale of the gradient for the step.
    scale: f64,
    learned: bool,
}

impl<F: Real> QuantRelu<F> {
    #[inline(always)]
    fn level(&self, ratio: F) -> F {
        (ratio + F::HALF).floor().at_least(F::ZERO).at_most(self.top)
    }
}

impl<F: Real> BlockNeuron<F> for QuantRelu<F> {
    fn first(&self, _channel: usize) -> Lanes<F> {
        [F::ZERO; LANES]
    }

    #[inline(always)]
    fn step(
        &self,
        channel: usize,
        current: &Lanes<F>,
        _: &mut Lanes<F>,
        kept: &mut Lanes<F>,
        emitted: &mut Lanes<F>,
    ) {
        let step = self.steps.at(channel);
        for i in 0..LANES {
            let ratio = current[i] / step[i];
            kept[i] = ratio;
            emitted[i] = self.level(ratio) * step[i];
        }
    }

    #[inline(always)]
    fn back(
        &self,
        channel: usize,
        now: &Kept<F>,
        _: Option<&Kept<F>>,
        by_emitted: &mut Lanes<F>,
        by_current: &mut Lanes<F>,
        sums: &mut Sums,
    ) {
        let ratio = &now.kept;
        for i in 0..LANES {
            let inside = ratio[i] > F::ZERO && ratio[i] < self.top;
            by_current[i] = by_emitted[i].only_if(inside);
        }
        if self.learned {
            let mut by_step = [F::ZERO; LANES];
            for i in 0..LANES {
                let inside = ratio[i] > F::ZERO && ratio[i] < self.top;
                // q is 0 or D outside, which is the step's gradient there; −x/s counts inside only.
                by_step[i] = by_emitted[i] * (self.level(ratio[i]) - ratio[i].only_if(inside));
            }
            sums.add(0, channel, &by_step);
        }
    }

    fn parameters(&self) -> Vec<usize> {
        vec![self.steps.count()]
    }

    fn gradients(&self, sums: &[Vec<f64>]) -> Vec<Vec<f64>> {
        vec![sums[0].iter().map(|sum| sum * self.scale).collect()]
    }
}

#[derive(Debug)]
struct Relu;

impl<F: Real> BlockNeuron<F> for Relu {
    fn first(&self, _channel: usize) -> Lanes<F> {
        [F::ZERO; LANES]
    }

    #[inline(always)]
    fn step(
        &self,
        _: usize,
        current: &Lanes<F>,
        _: &mut Lanes<F>,
        kept: &mut Lanes<F>,
        emitted: &mut Lanes<F>,
    ) {
        *kept = *current;
        for i in 0..LANES {
            // A NaN stays one, as in libtorch.
            emitted[i] = if current[i] < F::ZERO { F::ZERO } else { current[i] };
        }
    }

    #[inline(always)]
    fn back(
        &self,
        _: usize,
        now: &Kept<F>,
        _: Option<&Kept<F>>,
        by_emitted: &mut Lanes<F>,
        by_current: &mut Lanes<F>,
        _: &mut Sums,
    ) {
        for i in 0..LANES {
            by_current[i] = by_emitted[i].only_if(now.kept[i] > F::ZERO);
        }
    }

    fn parameters(&self) -> Vec<usize> {
        Vec::new()
    }

    fn gradients(&self, _: &[Vec<f64>]) -> Vec<Vec<f64>> {
        Vec::new()
    }
}
