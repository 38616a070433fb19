//! The quantised ReLU (eq. 10).

use super::lanes::{BLOCKS, Isa, Kernel, LANES, Lanes, block_of, sum_in_groups};
use super::memory::{Parts, channels_last, empty, values};
use super::real::Real;
use crate::autograd::{self, parallel};
use crate::error::{Error, Result};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// [`crate::quant_relu::quant_relu`] with channels along axis 1, in one pass. `None` for values that are not single or double precision on the CPU.
///
/// # Shapes
/// `x` `[N, C, H, W]` or `[N, F]`; `step` `[1]` or `[C]`; the result has the shape of `x`, channels last in memory.
///
/// # Errors
/// The step has another shape, or libtorch cannot allocate.
pub fn quant_relu(x: &Tensor, step: &Tensor, levels: u8) -> Result<Option<Tensor>> {
    if x.device() != Device::Cpu || x.dim() < 2 {
        return Ok(None);
    }
    match x.f_kind()? {
        Kind::Float => fused::<f32>(x, step, levels).map(Some),
        Kind::Double => fused::<f64>(x, step, levels).map(Some),
        _ => Ok(None),
    }
}

fn fused<F: Real>(x: &Tensor, step: &Tensor, levels: u8) -> Result<Tensor> {
    let shape = x.size();
    if !matches!(*step.size(), [count] if count == 1 || count == shape[1]) {
        return Err(Error::Shape { what: "step", expected: format!("[1] or [{}]", shape[1]), found: step.size() });
    }
    let steps = values::<F>(&step.f_detach()?.f_contiguous()?)?.to_vec();
    let input = tch::no_grad(|| channels_last(&x.f_detach()?))?;
    let mut out = empty(&shape, x)?;
    let numbers = Numbers { steps, top: F::of(f64::from(levels)) };
    forward(Isa::best(), &numbers, values(&input)?, &Parts::new(&mut out)?);

    let shared: i64 = shape[if step.numel() > 1 { 2 } else { 1 }..].iter().product();
    let scale = 1.0 / (shared as f64 * f64::from(levels)).sqrt();
    let learned = step.requires_grad();
    autograd::record("fused QuantRelu", &[x, step], &[&out], &[&input], move |backward| {
        let ([input], [gradient]) = (backward.saved.as_slice(), backward.gradients.as_slice()) else {
            return Err(Error::Torch("not one input and one gradient".into()));
        };
        let Some(gradient) = gradient else { return Ok(vec![None, None]) };
        let gradient = channels_last(gradient)?;
        let mut by_x = empty(&input.size(), input)?;
        let sums =
            self::backward(Isa::best(), &numbers, values(input)?, values(&gradient)?, &Parts::new(&mut by_x)?, learned);
        let sums: Vec<f64> = sums.into_iter().map(|sum| sum * scale).collect();
        Ok(vec![Some(by_x), if learned { Some(Tensor::f_from_slice(&sums)?.f_to_kind(F::KIND)?) } else { None }])
    })?;
    Ok(out)
}

#[derive(Debug)]
struct Numbers<F> {
    /// One for all, or one for each channel.
    steps: Vec<F>,
    top: F,
}

impl<F: Real> Numbers<F> {
    #[inline(always)]
    fn steps(&self, block: &Range<usize>) -> Lanes<F> {
        Lanes::by_channel(&self.steps, block.start)
    }

    #[inline(always)]
    fn level(&self, ratio: F) -> F {
        (ratio + F::HALF).floor().at_least(F::ZERO).at_most(self.top)
    }
}

fn forward<F: Real>(isa: Isa, numbers: &Numbers<F>, x: &[F], out: &Parts<'_, F>) {
    parallel(x.len().div_ceil(LANES), BLOCKS, |blocks| isa.run(Forward { numbers, x, out, blocks }));
}

struct Forward<'k, F> {
    numbers: &'k Numbers<F>,
    x: &'k [F],
    out: &'k Parts<'k, F>,
    blocks: Range<usize>,
}

impl<F: Real> Kernel for Forward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for index in self.blocks {
            let block = block_of(index, self.x.len());
            let step = self.numbers.steps(&block);
            let mut values = Lanes::load(&self.x[block.clone()]);
            for i in 0..LANES {
                values.0[i] = self.numbers.level(values.0[i] / step.0[i]) * step.0[i];
            }
            // SAFETY: each block is written by one thread, here.
            values.store(unsafe { self.out.part(block) });
        }
    }
}

/// Writes the gradients for the input and returns those for the steps, unscaled.
fn backward<F: Real>(
    isa: Isa,
    numbers: &Numbers<F>,
    x: &[F],
    gradients: &[F],
    out: &Parts<'_, F>,
    learned: bool,
) -> Vec<f64> {
    sum_in_groups(x.len().div_ceil(LANES), numbers.steps.len(), |blocks| {
        isa.run(Backward { numbers, x, gradients, out, learned, blocks })
    })
}

struct Backward<'k, F> {
    numbers: &'k Numbers<F>,
    x: &'k [F],
    gradients: &'k [F],
    out: &'k Parts<'k, F>,
    learned: bool,
    blocks: Range<usize>,
}

impl<F: Real> Kernel for Backward<'_, F> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let Self { numbers, x, gradients, out, learned, blocks } = self;
        let mut sums = vec![0.0; numbers.steps.len()];
        for index in blocks {
            let block = block_of(index, x.len());
            let step = numbers.steps(&block);
            let (x, gradient) = (Lanes::load(&x[block.clone()]), Lanes::load(&gradients[block.clone()]));
            let (mut by_x, mut by_step) = (gradient, Lanes::splat(F::ZERO));
            for i in 0..LANES {
                let ratio = x.0[i] / step.0[i];
                let inside = ratio > F::ZERO && ratio < numbers.top;
                by_x.0[i] = if inside { gradient.0[i] } else { F::ZERO };
                // q is 0 or D outside, which is the step's gradient there; −x/s counts inside only.
                by_step.0[i] = gradient.0[i] * (numbers.level(ratio) - if inside { ratio } else { F::ZERO });
            }
            if learned {
                for (i, value) in by_step.0[..block.len()].iter().enumerate() {
                    let channel = if sums.len() == 1 { 0 } else { (block.start + i) % sums.len() };
                    sums[channel] += value.wide();
                }
            }
            // SAFETY: each block is written by one thread, here.
            by_x.store(unsafe { out.part(block) });
        }
        sums
    }
}
