//! LIF neurons (eq. 8), all macro-steps at once.

use super::lanes::{BLOCKS, Isa, Kernel, LANES, Lanes, block_of, sum_in_groups};
use super::memory::{Parts, channels_last, empty, values};
use super::real::Real;
use super::slope::Slope;
use crate::autograd::{self, parallel};
use crate::convert::int;
use crate::error::{Error, Result};
use crate::lif::LifParameters;
use snn_ir::site::ResetGradient;
use snn_ir::{Adaptation, Leak, Lif, Reset, Spike, Synapse, Threshold};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Levels of a LIF neuron over all macro-steps, from rest: [`crate::lif::sequence`] in one pass. `None` for a neuron without a fused form: one with a synaptic current,
/// adaptation or a surrogate of a user's own, or values that are not single or double precision on the CPU.
///
/// # Shapes
/// `currents` `[T·B, C, H, W]` or `[T·B, F]`, macro-steps first, or with `B` for `T·B` if `steps` is 1: currents that do not vary over time. Parameters `[1]`, a
/// threshold also `[C]`. Levels `[T·B, …]`, channels last in memory.
///
/// # Errors
/// A shape differs, or libtorch cannot allocate.
pub fn lif(
    lif: &Lif,
    parameters: LifParameters<'_>,
    currents: &Tensor,
    steps: usize,
    time_steps: usize,
) -> Result<Option<Tensor>> {
    if currents.device() != Device::Cpu || currents.dim() < 2 {
        return Ok(None);
    }
    match currents.f_kind()? {
        Kind::Float => fused::<f32>(lif, parameters, currents, steps, time_steps),
        Kind::Double => fused::<f64>(lif, parameters, currents, steps, time_steps),
        _ => Ok(None),
    }
}

fn fused<F: Real>(
    lif: &Lif,
    parameters: LifParameters<'_>,
    currents: &Tensor,
    steps: usize,
    time_steps: usize,
) -> Result<Option<Tensor>> {
    let leak = parameters.leak.filter(|_| matches!(lif.leak, Leak::Learned { .. }));
    let threshold = parameters.threshold.filter(|_| matches!(lif.threshold, Threshold::Learned { .. }));
    let mut shape = currents.size();
    let Some(numbers) = Numbers::<F>::new(lif, leak, threshold, shape[1])? else { return Ok(None) };
    let rows = usize::try_from(shape[0]).unwrap_or_default();
    if steps == 0 || (steps != 1 && steps != time_steps) || !rows.is_multiple_of(steps) {
        let expected = format!("[{time_steps}·B, …] or [B, …]");
        return Err(Error::Shape { what: "currents", expected, found: shape });
    }
    shape[0] = int(rows / steps * time_steps);
    let mut levels = empty(&shape, currents)?;
    let input = tch::no_grad(|| channels_last(&currents.f_detach()?))?;
    forward(Isa::best(), &numbers, Layer::new(values(&input)?, steps, time_steps), &Parts::new(&mut levels)?);

    let inputs: Vec<&Tensor> = [Some(currents), leak, threshold].into_iter().flatten().collect();
    let shapes = [leak, threshold].map(|parameter| parameter.map(Tensor::size));
    autograd::record("fused LIF", &inputs, &[&levels], &[&input], move |backward| {
        let ([input], [gradient]) = (backward.saved.as_slice(), backward.gradients.as_slice()) else {
            return Err(Error::Torch("not one input and one gradient".into()));
        };
        let wanted = shapes.each_ref().map(Option::is_some);
        let Some(gradient) = gradient else { return Ok(shapes.iter().flatten().map(|_| None).chain([None]).collect()) };
        let gradient = channels_last(gradient)?;
        let mut by_input = empty(&input.size(), input)?;
        let layer = Layer::new(values(input)?, steps, time_steps);
        let sums =
            self::backward(Isa::best(), &numbers, layer, values(&gradient)?, &Parts::new(&mut by_input)?, wanted);
        let factor = numbers.leak.wide();
        let (by_factor, by_threshold) = sums.split_at(1);
        let by_leak = by_factor.iter().map(|sum| sum * factor * (1.0 - factor)).collect();
        let sums = [by_leak, by_threshold.to_vec()];
        let mut gradients = vec![Some(by_input)];
        for (shape, sums) in shapes.iter().zip(&sums) {
            if let Some(shape) = shape {
                gradients.push(Some(Tensor::f_from_slice(sums)?.f_to_kind(F::KIND)?.f_view(shape.as_slice())?));
            }
        }
        Ok(gradients)
    })?;
    Ok(Some(levels))
}

/// A neuron's numbers in the precision of the kernels.
#[derive(Debug, Clone)]
struct Numbers<F> {
    leak: F,
    rest: F,
    /// One for all, or one for each channel.
    theta: Vec<F>,
    spike: Spike,
    reset: Reset,
    flowing: bool,
    slope: Slope<F>,
}

/// The input of a layer, macro-steps first.
#[derive(Debug, Clone, Copy)]
struct Layer<'l, F> {
    currents: &'l [F],
    neurons: usize,
    steps: usize,
    time_steps: usize,
}

impl<'l, F: Real> Layer<'l, F> {
    fn new(currents: &'l [F], steps: usize, time_steps: usize) -> Self {
        Self { currents, neurons: currents.len() / steps, steps, time_steps }
    }

    fn blocks(&self) -> usize {
        self.neurons.div_ceil(LANES)
    }

    /// Where a block's neurons are in macro-step `t` of data with `steps` of them.
    #[inline(always)]
    fn at(&self, block: &Range<usize>, t: usize, steps: usize) -> Range<usize> {
        let first = if steps == 1 { 0 } else { t * self.neurons };
        first + block.start..first + block.end
    }

    #[inline(always)]
    fn current(&self, block: &Range<usize>, t: usize) -> Lanes<F> {
        Lanes::load(&self.currents[self.at(block, t, self.steps)])
    }
}

impl<F: Real> Numbers<F> {
    /// `None` for a neuron without a fused form.
    fn new(lif: &Lif, leak: Option<&Tensor>, threshold: Option<&Tensor>, channels: i64) -> Result<Option<Self>> {
        let (Synapse::Instant, Adaptation::None, Some(slope)) =
            (lif.synapse, lif.adaptation, Slope::new(&lif.surrogate))
        else {
            return Ok(None);
        };
        let leak = match (lif.leak, leak) {
            (Leak::Factor { factor } | Leak::Learned { initial: factor }, None) => factor,
            (_, Some(a)) if a.numel() != 1 => {
                return Err(Error::Shape { what: "leak", expected: "[1]".into(), found: a.size() });
            }
            // As the plain form has it, to the bit.
            (_, Some(a)) if a.requires_grad() => tch::no_grad(|| a.f_sigmoid())?.f_double_value(&[0])?,
            (_, Some(a)) => snn_ir::naive::logistic(a.f_double_value(&[0])?),
        };
        let theta = match (lif.threshold, threshold) {
            (Threshold::Fixed(theta) | Threshold::Learned { initial: theta, .. }, None) => vec![F::of(theta)],
            (_, Some(theta)) => {
                if !matches!(*theta.size(), [count] if count == 1 || count == channels) {
                    let expected = format!("[1] or [{channels}]");
                    return Err(Error::Shape { what: "threshold", expected, found: theta.size() });
                }
                values::<F>(&theta.f_detach()?.f_contiguous()?)?.to_vec()
            }
        };
        Ok(Some(Self {
            leak: F::of(leak),
            rest: F::of(lif.rest()),
            theta,
            spike: lif.spike,
            reset: lif.reset,
            flowing: lif.reset_gradient == ResetGradient::Flowing,
            slope,
        }))
    }

    /// Thresholds of a block.
    #[inline(always)]
    fn thresholds(&self, block: &Range<usize>) -> Lanes<F> {
        Lanes::by_channel(&self.theta, block.start)
    }

    /// `u[t]` in place of what was carried.
    #[inline(always)]
    fn charge(carried: &mut Lanes<F>, current: &Lanes<F>) {
        for i in 0..LANES {
            carried.0[i] = carried.0[i] + current.0[i];
        }
    }

    /// `o[t]`.
    #[inline(always)]
    fn fire(&self, u: &Lanes<F>, theta: &Lanes<F>) -> Lanes<F> {
        let mut levels = Lanes::splat(F::ZERO);
        match self.spike {
            Spike::Binary => {
                for i in 0..LANES {
                    levels.0[i] = F::indicator(u.0[i] >= theta.0[i]);
                }
            }
            Spike::Ternary => {
                for i in 0..LANES {
                    levels.0[i] = F::indicator(u.0[i] >= theta.0[i]) - F::indicator(u.0[i] <= -theta.0[i]);
                }
            }
            Spike::Integer { levels: top } => {
                let top = F::of(f64::from(top));
                for i in 0..LANES {
                    levels.0[i] = (u.0[i] / theta.0[i] + F::HALF).floor().at_least(F::ZERO).at_most(top);
                }
            }
        }
        levels
    }

    /// `u⁺[t]` in place of `u[t]`.
    #[inline(always)]
    fn discharge(&self, u: &mut Lanes<F>, levels: &Lanes<F>, theta: &Lanes<F>) {
        match self.reset {
            Reset::Hard { .. } => {
                for i in 0..LANES {
                    u.0[i] = if levels.0[i] == F::ZERO { u.0[i] } else { self.rest };
                }
            }
            Reset::Soft => {
                for i in 0..LANES {
                    u.0[i] = u.0[i] - theta.0[i] * levels.0[i];
                }
            }
            Reset::None => {}
        }
    }

    /// `v_r + λ·(u⁺ − v_r)` in place of `u⁺`.
    #[inline(always)]
    fn decay(&self, membrane: &mut Lanes<F>) {
        if self.rest == F::ZERO {
            for i in 0..LANES {
                membrane.0[i] = membrane.0[i] * self.leak;
            }
        } else {
            for i in 0..LANES {
                membrane.0[i] = (membrane.0[i] - self.rest) * self.leak + self.rest;
            }
        }
    }
}

fn forward<F: Real>(isa: Isa, numbers: &Numbers<F>, layer: Layer<'_, F>, out: &Parts<'_, F>) {
    parallel(layer.blocks(), BLOCKS, |blocks| isa.run(Forward { numbers, layer, out, blocks }));
}

struct Forward<'k, F> {
    numbers: &'k Numbers<F>,
    layer: Layer<'k, F>,
    out: &'k Parts<'k, F>,
    blocks: Range<usize>,
}

impl<F: Real> Kernel for Forward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { numbers, layer, out, blocks } = self;
        for block in blocks {
            let block = block_of(block, layer.neurons);
            let theta = numbers.thresholds(&block);
            let mut membrane = Lanes::splat(numbers.rest);
            for t in 0..layer.time_steps {
                Numbers::charge(&mut membrane, &layer.current(&block, t));
                let levels = numbers.fire(&membrane, &theta);
                // SAFETY: each block of each macro-step is written by one thread, here.
                levels.store(unsafe { out.part(layer.at(&block, t, layer.time_steps)) });
                numbers.discharge(&mut membrane, &levels, &theta);
                numbers.decay(&mut membrane);
            }
        }
    }
}

/// Writes the gradients for the currents; returns those for the leak factor and each threshold.
fn backward<F: Real>(
    isa: Isa,
    numbers: &Numbers<F>,
    layer: Layer<'_, F>,
    gradients: &[F],
    out: &Parts<'_, F>,
    wanted: [bool; 2],
) -> Vec<f64> {
    sum_in_groups(layer.blocks(), 1 + numbers.theta.len(), |blocks| {
        let mut membranes = vec![Lanes::splat(F::ZERO); layer.time_steps];
        isa.run(Backward { numbers, layer, gradients, out, wanted, blocks, membranes: &mut membranes })
    })
}

struct Backward<'k, F> {
    numbers: &'k Numbers<F>,
    layer: Layer<'k, F>,
    /// For the levels.
    gradients: &'k [F],
    /// For the currents.
    out: &'k Parts<'k, F>,
    /// Whether for leak and threshold.
    wanted: [bool; 2],
    blocks: Range<usize>,
    /// `u[t]` of a block.
    membranes: &'k mut [Lanes<F>],
}

impl<F: Real> Kernel for Backward<'_, F> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let Self { numbers, layer, gradients, out, wanted: [by_leak_wanted, by_theta_wanted], blocks, membranes } =
            self;
        let mut sums = vec![0.0; 1 + numbers.theta.len()];
        for block in blocks {
            let block = block_of(block, layer.neurons);
            let theta = numbers.thresholds(&block);
            let mut membrane = Lanes::splat(numbers.rest);
            for (t, kept) in membranes.iter_mut().enumerate() {
                Numbers::charge(&mut membrane, &layer.current(&block, t));
                *kept = membrane;
                let levels = numbers.fire(&membrane, &theta);
                numbers.discharge(&mut membrane, &levels, &theta);
                numbers.decay(&mut membrane);
            }
            // Gradients for u⁺[t], for θ, for λ, and for a current that does not vary.
            let mut after = Lanes::splat(F::ZERO);
            let mut by_theta = Lanes::splat(F::ZERO);
            let mut by_leak = Lanes::splat(F::ZERO);
            let mut by_static = Lanes::splat(F::ZERO);
            for t in (0..layer.time_steps).rev() {
                let u = &membranes[t];
                let levels = numbers.fire(u, &theta);
                let mut by_level = Lanes::load(&gradients[layer.at(&block, t, layer.time_steps)]);
                numbers.reset_gradients(u, &levels, &theta, &mut after, &mut by_level, &mut by_theta);
                // Now `after` is what reaches u[t] past the level.
                numbers.fire_gradients(u, &theta, &by_level, &mut after, by_theta_wanted, &mut by_theta);
                let by_u = &mut after;
                if layer.steps == 1 {
                    for i in 0..LANES {
                        by_static.0[i] = by_static.0[i] + by_u.0[i];
                    }
                } else {
                    // SAFETY: each block of each macro-step is written by one thread, here.
                    by_u.store(unsafe { out.part(layer.at(&block, t, layer.steps)) });
                }
                if by_leak_wanted && t > 0 {
                    let mut before = membranes[t - 1];
                    let levels = numbers.fire(&before, &theta);
                    numbers.discharge(&mut before, &levels, &theta);
                    for i in 0..LANES {
                        by_leak.0[i] = by_leak.0[i] + by_u.0[i] * (before.0[i] - numbers.rest);
                    }
                }
                for i in 0..LANES {
                    by_u.0[i] = by_u.0[i] * numbers.leak;
                }
            }
            if layer.steps == 1 {
                // SAFETY: as above.
                by_static.store(unsafe { out.part(layer.at(&block, 0, 1)) });
            }
            let count = block.len();
            if by_leak_wanted {
                sums[0] += by_leak.0[..count].iter().map(|value| value.wide()).sum::<f64>();
            }
            if by_theta_wanted {
                let channels = numbers.theta.len();
                for (i, value) in by_theta.0[..count].iter().enumerate() {
                    let channel = if channels == 1 { 0 } else { (block.start + i) % channels };
                    sums[1 + channel] += value.wide();
                }
            }
        }
        sums
    }
}

impl<F: Real> Numbers<F> {
    /// Takes the gradient for `u⁺` to `u` (in place), and with a flowing reset to the level and the threshold.
    #[inline(always)]
    fn reset_gradients(
        &self,
        u: &Lanes<F>,
        levels: &Lanes<F>,
        theta: &Lanes<F>,
        after: &mut Lanes<F>,
        by_level: &mut Lanes<F>,
        by_theta: &mut Lanes<F>,
    ) {
        match (self.reset, self.flowing) {
            (Reset::Hard { .. }, false) => {
                for i in 0..LANES {
                    after.0[i] = if levels.0[i] == F::ZERO { after.0[i] } else { F::ZERO };
                }
            }
            // u⁺ = u·(1 − n) + v_r·n.
            (Reset::Hard { .. }, true) => {
                for i in 0..LANES {
                    let level = levels.0[i];
                    // ∂n/∂o: that of |o|, or of min(o, 1).
                    let up = match self.spike {
                        Spike::Binary => F::ONE,
                        Spike::Ternary => level,
                        Spike::Integer { .. } => F::indicator(level <= F::ONE),
                    };
                    by_level.0[i] = by_level.0[i] + after.0[i] * (self.rest - u.0[i]) * up;
                    after.0[i] = after.0[i] * F::indicator(level == F::ZERO);
                }
            }
            // u⁺ = u − θ·o.
            (Reset::Soft, true) => {
                for i in 0..LANES {
                    by_level.0[i] = by_level.0[i] - after.0[i] * theta.0[i];
                    by_theta.0[i] = by_theta.0[i] - after.0[i] * levels.0[i];
                }
            }
            (Reset::Soft, false) | (Reset::None, _) => {}
        }
    }

    /// Adds what comes through the level to the gradients for `u` and `θ`.
    #[inline(always)]
    fn fire_gradients(
        &self,
        u: &Lanes<F>,
        theta: &Lanes<F>,
        by_level: &Lanes<F>,
        by_u: &mut Lanes<F>,
        learned: bool,
        by_theta: &mut Lanes<F>,
    ) {
        let (u, theta, by_level) = (&u.0, &theta.0, &by_level.0);
        let mut add = |i: usize, rise: F, place: F| {
            let part = by_level[i] * rise;
            by_u.0[i] = by_u.0[i] + part;
            if learned {
                by_theta.0[i] = by_theta.0[i] - part * place;
            }
        };
        match self.spike {
            Spike::Binary => self.slope.each(|i| u[i] - theta[i], |i, rise| add(i, rise, F::ONE)),
            // Two steps of ½ each.
            Spike::Ternary if self.slope.is_straight_through() => {
                for i in 0..LANES {
                    add(i, F::ONE, F::ZERO);
                }
            }
            Spike::Ternary => {
                self.slope.each(|i| u[i] - theta[i], |i, rise| add(i, rise, F::ONE));
                self.slope.each(|i| -theta[i] - u[i], |i, rise| add(i, rise, -F::ONE));
            }
            Spike::Integer { levels } if self.slope.is_straight_through() => {
                let top = F::of(f64::from(levels));
                for i in 0..LANES {
                    let ratio = u[i] / theta[i];
                    let inside = if ratio >= F::ZERO && ratio <= top { F::ONE } else { F::ZERO };
                    add(i, inside / theta[i], ratio);
                }
            }
            Spike::Integer { levels } => {
                for step in 0..levels {
                    let place = F::of(f64::from(step) + 0.5);
                    self.slope.each(|i| u[i] - theta[i] * place, |i, rise| add(i, rise, place));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_ir::{Share, Surrogate};

    /// Levels, gradients for the currents, and for the parameters.
    fn run<F: Real>(
        isa: Isa,
        lif: &Lif,
        currents: &[F],
        upstream: &[F],
        steps: usize,
        time_steps: usize,
    ) -> (Vec<F>, Vec<F>, Vec<f64>) {
        let numbers = Numbers::<F>::new(lif, None, None, 1).unwrap().unwrap();
        let layer = Layer::new(currents, steps, time_steps);
        let tensor = |len: usize| Tensor::f_zeros([1, int(len)], (F::KIND, Device::Cpu)).unwrap();
        let (mut levels, mut by_currents) = (tensor(layer.neurons * time_steps), tensor(currents.len()));
        forward(isa, &numbers, layer, &Parts::new(&mut levels).unwrap());
        let sums = backward(isa, &numbers, layer, upstream, &Parts::new(&mut by_currents).unwrap(), [true, true]);
        (values(&levels).unwrap().to_vec(), values(&by_currents).unwrap().to_vec(), sums)
    }

    /// Dyadic and not, around the threshold.
    fn numbers<F: Real>(count: usize, factor: usize) -> Vec<F> {
        (0..count).map(|i| F::of(((i * factor) % 1009) as f64 / 251.0 - 1.5)).collect()
    }

    fn every_instruction_set_gives_the_same_bits<F: Real + std::fmt::Debug>() {
        let surrogates = [
            Surrogate::Atan { alpha: 2.0 },
            Surrogate::Rectangle { width: 1.0 },
            Surrogate::Triangle { width: 1.0 },
            Surrogate::Sigmoid { alpha: 4.0 },
            Surrogate::FastSigmoid { slope: 25.0 },
            Surrogate::Gaussian { sigma: 0.5 },
            Surrogate::LogTailedRelu { alpha: 0.1 },
            Surrogate::StraightThrough,
        ];
        for surrogate in surrogates {
            for spike in [Spike::Binary, Spike::Ternary, Spike::Integer { levels: 4 }] {
                for reset in [Reset::Hard { potential: 0.0 }, Reset::Soft, Reset::None] {
                    for (neurons, steps) in [(1, 3), (127, 3), (128, 1), (300, 3), (20_000, 3)] {
                        let lif = Lif {
                            leak: Leak::Learned { initial: 0.7 },
                            threshold: Threshold::Learned { initial: 0.9, share: Share::Layer },
                            reset,
                            spike,
                            reset_gradient: ResetGradient::Flowing,
                            surrogate: surrogate.clone(),
                            ..Lif::default()
                        };
                        let (currents, upstream) = (numbers::<F>(neurons * steps, 37), numbers::<F>(neurons * 3, 53));
                        let baseline = run(Isa::Baseline, &lif, &currents, &upstream, steps, 3);
                        for isa in Isa::available() {
                            let found = run(isa, &lif, &currents, &upstream, steps, 3);
                            assert!(found == baseline, "{isa:?}: {lif:?}, {neurons} neurons");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits_in_single_precision() {
        every_instruction_set_gives_the_same_bits::<f32>();
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits_in_double_precision() {
        every_instruction_set_gives_the_same_bits::<f64>();
    }
}
