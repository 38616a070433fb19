//! LIF neurons (eq. 8).

use super::block_neuron::{BlockNeuron, Kept};
use super::lanes::{Channels, LANES, Lanes, Sums};
use super::memory::numbers;
use super::site;
use super::store::{Bf16, Store};
use super::terms::{Term, kind};
use crate::error::{Error, Result};
use crate::neuron::derivative::Derivative;
use crate::neuron::lif::LifParameters;
use crate::neuron::real::Real;
use snn_ir::ResetGradient;
use snn_ir::{Adaptation, FirstMembrane, Leak, Lif, Reset, Spike, Synapse, Threshold};
use snn_simd::Available;
use tch::{Kind, Tensor};

/// Levels of a LIF neuron over all macro-steps, from `v₀`, for the sum of `terms`:
/// [`crate::lif::sequence`] in one pass. `None` for a neuron without a fused form: one with a
/// synaptic current, adaptation or a custom surrogate, or values that are not f32, f64 or
/// bf16 on the CPU.
///
/// # Shapes
/// Parameters `[1]`, a threshold also `[C]`. Levels `[T·B, …]`, channels last in memory.
///
/// # Errors
/// A shape differs, or libtorch cannot allocate.
pub fn lif(
    lif: &Lif,
    parameters: LifParameters<'_>,
    terms: &[Term<'_>],
    time_steps: usize,
) -> Result<Option<Tensor>> {
    Ok(for_readers(1, lif, parameters, terms, time_steps)?.and_then(|mut levels| levels.pop()))
}

/// [`lif`], with a tensor for each of its readers, all on the same memory.
pub(crate) fn for_readers(
    readers: usize,
    lif: &Lif,
    parameters: LifParameters<'_>,
    terms: &[Term<'_>],
    time_steps: usize,
) -> Result<Option<Vec<Tensor>>> {
    match kind(terms)? {
        Some(Kind::Float) => fused::<f32>(lif, parameters, terms, (time_steps, readers)),
        Some(Kind::Double) => fused::<f64>(lif, parameters, terms, (time_steps, readers)),
        Some(Kind::BFloat16) => fused::<Bf16>(lif, parameters, terms, (time_steps, readers)),
        _ => Ok(None),
    }
}

/// `true` if [`lif`] has a form for a neuron.
pub(crate) fn has_form(lif: &Lif) -> bool {
    lif.synapse == Synapse::Instant
        && lif.adaptation == Adaptation::None
        && Derivative::<f32>::new(&lif.surrogate).is_some()
}

fn fused<S: Store>(
    lif: &Lif,
    parameters: LifParameters<'_>,
    terms: &[Term<'_>],
    steps_and_readers: (usize, usize),
) -> Result<Option<Vec<Tensor>>> {
    let leak = parameters.leak.filter(|_| matches!(lif.leak, Leak::Learned { .. }));
    let threshold =
        parameters.threshold.filter(|_| matches!(lif.threshold, Threshold::Learned { .. }));
    let channels = terms[0].data.size()[1];
    let Some(numbers) = LifConstants::<S::Real>::new(lif, leak, threshold, channels)? else {
        return Ok(None);
    };
    site::run::<S, _>(
        Available::best(),
        "fused LIF",
        numbers,
        &[leak, threshold],
        terms,
        steps_and_readers,
    )
    .map(Some)
}

/// A neuron's numbers in the precision of the kernels.
#[derive(Debug, Clone)]
struct LifConstants<F> {
    leak: F,
    rest: F,
    /// `v₀ − v_r` of each channel, or of all.
    distance: Channels<F>,
    /// By how much of the threshold `v₀` grows with it.
    share: Option<F>,
    theta: Channels<F>,
    spike: Spike,
    reset: Reset,
    flowing: bool,
    surrogate: Derivative<F>,
    learned_leak: bool,
    learned_threshold: bool,
}

/// The sums for the parameters.
const BY_LEAK: usize = 0;
const BY_THRESHOLD: usize = 1;

impl<F: Real> LifConstants<F> {
    /// `None` for a neuron without a fused form.
    fn new(
        lif: &Lif,
        leak: Option<&Tensor>,
        threshold: Option<&Tensor>,
        channels: i64,
    ) -> Result<Option<Self>> {
        let (Synapse::Instant, Adaptation::None, Some(surrogate)) =
            (lif.synapse, lif.adaptation, Derivative::new(&lif.surrogate))
        else {
            return Ok(None);
        };
        let factor = match (lif.leak, leak) {
            (Leak::Factor { factor } | Leak::Learned { initial: factor }, None) => factor,
            (_, Some(a)) if a.numel() != 1 => {
                return Err(Error::Shape { what: "leak", expected: "[1]".into(), found: a.size() });
            }
            // As the plain form has it, to the bit.
            (_, Some(a)) if a.requires_grad() => {
                tch::no_grad(|| a.f_sigmoid())?.f_double_value(&[0])?
            }
            (_, Some(a)) => snn_ir::logistic(a.f_double_value(&[0])?),
        };
        let theta = match (lif.threshold, threshold) {
            (Threshold::Fixed(theta) | Threshold::Learned { initial: theta, .. }, None) => {
                vec![F::of(theta)]
            }
            (_, Some(theta)) => {
                if !matches!(*theta.size(), [count] if count == 1 || count == channels) {
                    let expected = format!("[1] or [{channels}]");
                    return Err(Error::Shape { what: "threshold", expected, found: theta.size() });
                }
                numbers(theta)?
            }
        };
        let rest = F::of(lif.rest());
        let first = match (lif.initial, threshold) {
            (FirstMembrane::Threshold { share }, Some(_)) => {
                theta.iter().map(|&theta| (theta - rest) * F::of(share) + rest).collect()
            }
            (initial, _) => vec![F::of(initial.of(lif.rest(), lif.threshold.initial()))],
        };
        let distance: Vec<F> = first.iter().map(|&first| first - rest).collect();
        Ok(Some(Self {
            leak: F::of(factor),
            rest,
            distance: Channels::new(&distance),
            share: match lif.initial {
                FirstMembrane::Threshold { share } => Some(F::of(share)),
                FirstMembrane::Rest | FirstMembrane::Potential(_) => None,
            },
            theta: Channels::new(&theta),
            spike: lif.spike,
            reset: lif.reset,
            flowing: lif.reset_gradient == ResetGradient::Flowing,
            surrogate,
            learned_leak: leak.is_some(),
            learned_threshold: threshold.is_some(),
        }))
    }

    /// One macro-step with `fire(u, θ)`.
    #[inline(always)]
    fn firing(&self, place: Place<'_, F>, fire: impl Fn(F, F) -> F) {
        let rest = self.rest;
        match self.reset {
            Reset::Hard { .. } => {
                self.step_with(place, fire, |u, o, _| (u - rest).only_if(o == F::ZERO));
            }
            Reset::Soft => self.step_with(place, fire, |u, o, theta| u - theta * o - rest),
            Reset::None => self.step_with(place, fire, |u, _, _| u - rest),
        }
    }

    /// One loop, in registers, for each kind of spike and reset; `discharge(u, o, θ)` is
    /// `u⁺ − v_r`.
    #[inline(always)]
    fn step_with(
        &self,
        place: Place<'_, F>,
        fire: impl Fn(F, F) -> F,
        discharge: impl Fn(F, F, F) -> F,
    ) {
        let Place { theta, current, state, kept, emitted } = place;
        let (leak, rest) = (self.leak, self.rest);
        for i in 0..LANES {
            let u = state[i] + current[i];
            let o = fire(u, theta[i]);
            kept[i] = u;
            emitted[i] = o;
            state[i] = discharge(u, o, theta[i]) * leak + rest;
        }
    }

    /// `u⁺` of a macro-step.
    #[inline(always)]
    fn discharged(&self, theta: &Lanes<F>, Kept { kept: u, emitted: o }: &Kept<F>) -> Lanes<F> {
        let mut after = *u;
        match self.reset {
            Reset::Hard { .. } => {
                for i in 0..LANES {
                    after[i] = if o[i] == F::ZERO { u[i] } else { self.rest };
                }
            }
            Reset::Soft => {
                for i in 0..LANES {
                    after[i] = u[i] - theta[i] * o[i];
                }
            }
            Reset::None => {}
        }
        after
    }
}

/// Where a macro-step of a block reads and writes.
struct Place<'p, F> {
    theta: &'p Lanes<F>,
    current: &'p Lanes<F>,
    state: &'p mut Lanes<F>,
    kept: &'p mut Lanes<F>,
    emitted: &'p mut Lanes<F>,
}

impl<F: Real> BlockNeuron<F> for LifConstants<F> {
    #[inline(always)]
    fn first(&self, channel: usize) -> Lanes<F> {
        // The state is what the leak has made of a membrane.
        self.distance.at(channel).map(|distance| distance * self.leak + self.rest)
    }

    #[inline(always)]
    fn step(
        &self,
        channel: usize,
        current: &Lanes<F>,
        state: &mut Lanes<F>,
        kept: &mut Lanes<F>,
        emitted: &mut Lanes<F>,
    ) {
        let place = Place { theta: self.theta.at(channel), current, state, kept, emitted };
        match self.spike {
            Spike::Binary => self.firing(place, |u, theta| F::indicator(u >= theta)),
            Spike::Ternary => {
                self.firing(place, |u, theta| F::indicator(u >= theta) - F::indicator(u <= -theta));
            }
            Spike::Integer { levels } => {
                let top = F::of(f64::from(levels));
                self.firing(place, |u, theta| {
                    (u / theta + F::HALF).floor().at_least(F::ZERO).at_most(top)
                });
            }
        }
    }

    #[inline(always)]
    fn back(
        &self,
        channel: usize,
        now: &Kept<F>,
        before: Option<&Kept<F>>,
        by_emitted: &mut Lanes<F>,
        by_current: &mut Lanes<F>,
        sums: &mut Sums,
    ) {
        let theta = self.theta.at(channel);
        // From the gradient for u[t + 1] to that for u⁺[t], and on to u[t] past the level.
        self.through_reset(theta, now, by_emitted, by_current, channel, sums);
        self.through_level(theta, &now.kept, by_emitted, by_current, channel, sums);
        if self.learned_leak {
            let mut by_leak = match before {
                Some(before) => self.discharged(theta, before).map(|u| u - self.rest),
                None => *self.distance.at(channel),
            };
            for i in 0..LANES {
                by_leak[i] = by_current[i] * by_leak[i];
            }
            sums.add(BY_LEAK, 0, &by_leak);
        }
        if let (true, None, Some(share)) = (self.learned_threshold, before, self.share) {
            // v₀ = v_r + share·(θ − v_r), and λ·(v₀ − v_r) is in u[1].
            let by_theta = by_current.map(|by_u| by_u * self.leak * share);
            sums.add(BY_THRESHOLD, channel, &by_theta);
        }
    }

    fn parameters(&self) -> Vec<usize> {
        vec![1, self.theta.count()]
    }

    fn gradients(&self, sums: &[Vec<f64>]) -> Vec<Vec<f64>> {
        // λ = σ(a).
        let factor = self.leak.wide();
        let by_leak = sums[BY_LEAK].iter().map(|sum| sum * factor * (1.0 - factor)).collect();
        vec![by_leak, sums[BY_THRESHOLD].clone()]
    }
}

impl<F: Real> LifConstants<F> {
    /// Takes the gradient for what the leak makes of `u⁺` to `u`, and with a flowing reset to the
    /// level and the threshold.
    #[inline(always)]
    fn through_reset(
        &self,
        theta: &Lanes<F>,
        Kept { kept: u, emitted: levels }: &Kept<F>,
        by_level: &mut Lanes<F>,
        by_u: &mut Lanes<F>,
        channel: usize,
        sums: &mut Sums,
    ) {
        let leak = self.leak;
        let silent = |by_u: &mut Lanes<F>| {
            // Not in place: the compiler would have to prove that the levels are elsewhere.
            let mut kept = [F::ZERO; LANES];
            for i in 0..LANES {
                kept[i] = (by_u[i] * leak).only_if(levels[i] == F::ZERO);
            }
            *by_u = kept;
        };
        if !matches!(self.reset, Reset::Hard { .. }) {
            for by_u in by_u.iter_mut() {
                *by_u = *by_u * leak;
            }
        }
        match (self.reset, self.flowing) {
            (Reset::Hard { .. }, false) => silent(by_u),
            // u⁺ = u·(1 − n) + v_r·n, and ∂n/∂o is that of |o|, or of min(o, 1).
            (Reset::Hard { .. }, true) => {
                let up = match self.spike {
                    Spike::Binary => [F::ONE; LANES],
                    Spike::Ternary => *levels,
                    Spike::Integer { .. } => levels.map(|level| F::indicator(level <= F::ONE)),
                };
                for i in 0..LANES {
                    by_level[i] = by_level[i] + by_u[i] * leak * (self.rest - u[i]) * up[i];
                }
                silent(by_u);
            }
            // u⁺ = u − θ·o.
            (Reset::Soft, true) => {
                for i in 0..LANES {
                    by_level[i] = by_level[i] - by_u[i] * theta[i];
                }
                if self.learned_threshold {
                    let mut by_theta = [F::ZERO; LANES];
                    for i in 0..LANES {
                        by_theta[i] = -(by_u[i] * levels[i]);
                    }
                    sums.add(BY_THRESHOLD, channel, &by_theta);
                }
            }
            (Reset::Soft, false) | (Reset::None, _) => {}
        }
    }

    /// Adds what comes through the level to the gradients for `u` and `θ`.
    #[inline(always)]
    fn through_level(
        &self,
        theta: &Lanes<F>,
        u: &Lanes<F>,
        by_level: &Lanes<F>,
        by_u: &mut Lanes<F>,
        channel: usize,
        sums: &mut Sums,
    ) {
        let mut by_theta = [F::ZERO; LANES];
        // One step of the level: ∂o/∂u, and −∂u/∂θ at the same rise.
        let mut step = |rise: &Lanes<F>, place: &Lanes<F>| {
            for i in 0..LANES {
                by_u[i] = by_u[i] + by_level[i] * rise[i];
            }
            if self.learned_threshold {
                for i in 0..LANES {
                    by_theta[i] = by_theta[i] - by_level[i] * rise[i] * place[i];
                }
            }
        };
        match self.spike {
            Spike::Binary => step(&self.rise(theta, F::ONE, u), &[F::ONE; LANES]),
            // Two steps of ½ each.
            Spike::Ternary if self.surrogate.is_straight_through() => {
                step(&[F::ONE; LANES], &[F::ZERO; LANES]);
            }
            Spike::Ternary => {
                step(&self.rise(theta, F::ONE, u), &[F::ONE; LANES]);
                // Of −u at the same threshold.
                step(&self.rise(theta, F::ONE, &u.map(|u| -u)), &[-F::ONE; LANES]);
            }
            Spike::Integer { levels } if self.surrogate.is_straight_through() => {
                let top = F::of(f64::from(levels));
                let mut ratio = [F::ZERO; LANES];
                let mut rise = ratio;
                for i in 0..LANES {
                    ratio[i] = u[i] / theta[i];
                    rise[i] = (F::ONE / theta[i]).only_if(ratio[i] >= F::ZERO && ratio[i] <= top);
                }
                step(&rise, &ratio);
            }
            Spike::Integer { levels } => {
                for level in 0..levels {
                    let place = F::of(f64::from(level) + 0.5);
                    step(&self.rise(theta, place, u), &[place; LANES]);
                }
            }
        }
        if self.learned_threshold {
            sums.add(BY_THRESHOLD, channel, &by_theta);
        }
    }

    /// `h′(u − place·θ)`.
    #[inline(always)]
    fn rise(&self, theta: &Lanes<F>, place: F, u: &Lanes<F>) -> Lanes<F> {
        let mut x = *u;
        for i in 0..LANES {
            x[i] = x[i] - theta[i] * place;
        }
        self.surrogate.block(&mut x);
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch_statistics::BatchStatistics;
    use super::super::terms::BatchNorm;
    use super::*;
    use crate::tensor::int;
    use snn_ir::{Share, Surrogate};
    use tch::Device;

    /// Levels, and all gradients, of a site that reads a normed term, and a plain one if `several`.
    fn run<S: Store>(
        instructions: Available,
        lif: &Lif,
        shape: [i64; 2],
        steps: usize,
        several: bool,
    ) -> Vec<Tensor> {
        let numbers = |rows: i64, factor: i64| {
            // Dyadic and not, around the threshold.
            let values = (0..rows * shape[1])
                .map(|i| ((i * factor) % 1009) as f64 / 251.0 - 1.5)
                .collect::<Vec<_>>();
            Tensor::from_slice(&values).view([rows, shape[1]]).to_kind(S::KIND)
        };
        let leaf = |x: Tensor| x.set_requires_grad(true);
        let rows = shape[0] * int(steps);
        let (x, residual) = (leaf(numbers(rows, 37)), leaf(numbers(shape[0] * 3, 41)));
        let parameters = [leaf(numbers(1, 7).view([-1])), leaf(numbers(1, 11).view([-1]))];
        let statistics = BatchStatistics::of(&x).unwrap().unwrap();
        let norm = BatchNorm {
            weight: Some(&parameters[0]),
            bias: &parameters[1],
            eps: 1e-5,
            statistics: &statistics,
            ranks: None,
        };
        let mut terms = vec![Term { data: &x, steps, norm: Some(norm) }];
        if several {
            terms.push(Term { data: &residual, steps: 3, norm: None });
        }
        let one = leaf(Tensor::from_slice(&[0.9_f64]).to_kind(S::KIND));
        let neuron =
            LifConstants::<S::Real>::new(lif, Some(&one), Some(&one), shape[1]).unwrap().unwrap();
        let levels = site::run::<S, _>(
            instructions,
            "test",
            neuron,
            &[Some(&one), Some(&one)],
            &terms,
            (3, 1),
        )
        .unwrap()
        .remove(0);
        (&levels * numbers(shape[0] * 3, 53)).sum(Kind::Double).backward();
        let [weight, bias] = parameters;
        let mut found = vec![levels.detach(), x.grad(), one.grad(), weight.grad(), bias.grad()];
        if several {
            found.push(residual.grad());
        }
        assert!(found.iter().all(|x| x.isfinite().all().int64_value(&[]) == 1));
        found
    }

    fn every_instruction_set_gives_the_same_bits<S: Store>() {
        let sloped = Surrogate::LogTailedRelu { alpha: 0.1 };
        for surrogate in Surrogate::ALL.into_iter().chain([sloped]) {
            for spike in [Spike::Binary, Spike::Ternary, Spike::Integer { levels: 4 }] {
                for reset in [Reset::Hard { potential: 0.0 }, Reset::Soft, Reset::None] {
                    for (shape, steps, several) in [
                        ([3, 1], 3, false),
                        ([127, 1], 3, true),
                        ([4, 32], 1, true),
                        ([30, 10], 3, true),
                        ([100, 200], 3, false),
                    ] {
                        let lif = Lif {
                            leak: Leak::Learned { initial: 0.7 },
                            threshold: Threshold::Learned { initial: 0.9, share: Share::Layer },
                            reset,
                            spike,
                            reset_gradient: ResetGradient::Flowing,
                            initial: FirstMembrane::Threshold { share: 0.4 },
                            surrogate: surrogate.clone(),
                            ..Lif::default()
                        };
                        let baseline = run::<S>(Available::SCALAR, &lif, shape, steps, several);
                        for instructions in Available::each() {
                            let found = run::<S>(instructions, &lif, shape, steps, several);
                            for (found, baseline) in found.iter().zip(&baseline) {
                                assert!(
                                    found.equal(baseline),
                                    "{instructions:?}: {lif:?}, {shape:?}"
                                );
                            }
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

    #[test]
    fn every_instruction_set_gives_the_same_bits_in_bf16() {
        every_instruction_set_gives_the_same_bits::<Bf16>();
    }

    #[test]
    fn readers_have_a_gradient_each_and_the_input_has_their_sum() {
        let lif = Lif::default();
        let values = |count: i64, factor: i64| {
            let values = (0..count).map(|i| ((i * factor) % 101) as f64 / 50.0 - 0.7);
            Tensor::from_slice(&values.collect::<Vec<_>>()).view([6, -1]).set_requires_grad(true)
        };
        let x = values(6 * 300, 37);
        let weights = [11, 13, 17].map(|factor| values(6 * 300, factor).detach());
        let gradient = |readers: usize, weights: &[&Tensor]| {
            let terms = [Term { data: &x, steps: 3, norm: None }];
            let parameters = LifParameters::default();
            let levels = for_readers(readers, &lif, parameters, &terms, 3).unwrap().unwrap();
            assert_eq!(levels.len(), readers);
            assert!(levels.iter().all(|level| level.data_ptr() == levels[0].data_ptr()));
            // A reader without a gradient is no trouble.
            let loss = levels.iter().zip(weights).map(|(level, weight)| level * *weight);
            loss.reduce(|a, b| a + b).unwrap().sum(Kind::Double).backward();
            let gradient = x.grad().copy();
            x.shallow_clone().zero_grad();
            gradient
        };
        let [a, b, c] = weights.each_ref();
        let (two, three) = (a + b, a + b + c);
        let near = |found: Tensor, expected: Tensor| found.allclose(&expected, 1e-12, 1e-12, false);
        assert!(near(gradient(3, &[a, b, c]), gradient(1, &[&three])));
        assert!(near(gradient(3, &[a, b]), gradient(1, &[&two])));
    }

    #[test]
    fn other_devices_are_left_to_the_plain_form() {
        assert_eq!(kind(&[]).unwrap(), None);
        let x = Tensor::zeros([2, 3], (Kind::Int64, Device::Cpu));
        let terms = [Term { data: &x, steps: 1, norm: None }];
        assert!(lif(&Lif::default(), LifParameters::default(), &terms, 2).unwrap().is_none());
    }
}
