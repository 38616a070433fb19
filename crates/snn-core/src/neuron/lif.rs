//! Leaky integrate-and-fire on tensors (eq. 8).

use crate::error::{Error, Result};
use crate::neuron::registry::Registry;
use crate::neuron::surrogate::SurrogateGradient;
use crate::neuron::threshold_fn::{Theta, fire};
use snn_ir::ResetGradient;
use snn_ir::{Adaptation, FirstMembrane, Leak, Lif, Reset, Spike, Synapse, Threshold};
use tch::Tensor;

/// State that a LIF neuron carries from one macro-step to the next. A value: passed in, returned,
/// absent before the first macro-step, where the membrane is `v₀`.
#[derive(Debug)]
pub struct LifState {
    /// Membrane after the reset, `u⁺[t]`, of the shape of a current.
    pub membrane: Tensor,
    /// Synaptic current `i[t]`; absent with an instant synapse.
    pub current: Option<Tensor>,
    /// Adaptation of the next macro-step, `a[t+1] = ρ·a[t] + |o[t]|`; absent without one.
    pub adaptation: Option<Tensor>,
}

/// Learned values of a LIF neuron, and the registry of its surrogate.
#[derive(Debug, Default, Clone, Copy)]
pub struct LifParameters<'p> {
    /// The `a` of PLIF, `λ = 1/(1 + e^(−a))`, shape `[1]`; a fixed leak ignores it, and without it
    /// PLIF has its initial leak.
    pub leak: Option<&'p Tensor>,
    /// A learned threshold, in a shape that broadcasts over a current; a fixed one ignores it, and
    /// without it a learned one has its initial value.
    pub threshold: Option<&'p Tensor>,
    /// Custom surrogates.
    pub registry: Option<&'p Registry>,
}

/// One macro-step of a LIF neuron (eq. 8): charge, fire, reset.
///
/// # Shapes
/// `current` and all of the state any equal shape; levels likewise.
///
/// # Errors
/// The shapes differ, the registry does not have the surrogate, or libtorch cannot allocate.
///
/// ```
/// use snn_core::lif::{self, LifParameters};
/// let neuron = snn_ir::Lif::default(); // λ = ½, θ = 1, hard reset to 0
/// let current = tch::Tensor::from_slice(&[0.75_f32, 1.0]);
/// let (spikes, state) = lif::step(&neuron, LifParameters::default(), &current, None)?;
/// assert_eq!(Vec::<f32>::try_from(spikes).unwrap(), [0.0, 1.0]);
/// let (spikes, _) = lif::step(&neuron, LifParameters::default(), &current, Some(&state))?;
/// assert_eq!(Vec::<f32>::try_from(spikes).unwrap(), [1.0, 1.0]);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn step(
    lif: &Lif,
    parameters: LifParameters<'_>,
    current: &Tensor,
    state: Option<&LifState>,
) -> Result<(Tensor, LifState)> {
    let (mut levels, state) = run(lif, parameters, [current], state, true, None)?;
    match (levels.pop(), state) {
        (Some(levels), Some(state)) => Ok((levels, state)),
        _ => Err(Error::Torch("a macro-step gave no spikes".into())),
    }
}

/// `steps` macro-steps of a LIF neuron (eq. 8).
///
/// # Shapes
/// `currents` `[T, …]`, or `[1, …]` for a current that does not vary over time (it is not copied);
/// the state `[…]`; levels `[T, …]` with `T = steps`.
///
/// # Errors
/// As [`step`], or the first axis is neither 1 nor `steps`.
pub fn sequence(
    lif: &Lif,
    parameters: LifParameters<'_>,
    currents: &Tensor,
    steps: usize,
    state: Option<&LifState>,
) -> Result<(Tensor, LifState)> {
    let slices = currents.f_unbind(0)?;
    if steps == 0 || (slices.len() != 1 && slices.len() != steps) {
        return Err(Error::Shape {
            what: "currents",
            expected: format!("[{steps}, …] or [1, …]"),
            found: currents.size(),
        });
    }
    let (levels, state) = run(lif, parameters, cycle(&slices, steps), state, true, None)?;
    let state = state.ok_or_else(|| Error::Torch("a sequence of no macro-steps".into()))?;
    Ok((Tensor::f_stack(&levels, 0)?, state))
}

/// The slices in order, or the only one `steps` times.
pub(crate) fn cycle(slices: &[Tensor], steps: usize) -> impl Iterator<Item = &Tensor> {
    slices.iter().cycle().take(steps)
}

/// Sees every membrane before its reset, with the threshold it is compared with.
pub(crate) type Watch<'w> = &'w mut dyn FnMut(&Tensor, &Theta) -> Result<()>;

/// Levels of every macro-step, and the state after the last one unless `finish` is false.
pub(crate) fn run<'c>(
    lif: &Lif,
    parameters: LifParameters<'_>,
    currents: impl IntoIterator<Item = &'c Tensor>,
    state: Option<&LifState>,
    finish: bool,
    mut watch: Option<Watch<'_>>,
) -> Result<(Vec<Tensor>, Option<LifState>)> {
    let neuron = PreparedLif::new(lif, parameters)?;
    let share = |tensor: &Option<Tensor>| tensor.as_ref().map(Tensor::shallow_clone);
    let mut decayed = state.map(|state| neuron.decay(&state.membrane)).transpose()?;
    let mut synaptic = state.and_then(|state| share(&state.current));
    let mut adaptation = state.and_then(|state| share(&state.adaptation));
    let mut last = None;
    let mut levels = Vec::new();
    let mut currents = currents.into_iter().peekable();
    while let Some(current) = currents.next() {
        for (what, carried) in
            [("membrane", &decayed), ("synaptic current", &synaptic), ("adaptation", &adaptation)]
        {
            check_shape(what, carried.as_ref(), current)?;
        }
        if decayed.is_none() {
            decayed = neuron.first(current)?.map(|first| neuron.decay(&first)).transpose()?;
        }
        let input = neuron.filter(synaptic.as_ref(), current)?;
        let u = neuron.charge(decayed.as_ref(), &input)?;
        let adapted = neuron.adapted(adaptation.as_ref())?;
        let theta = adapted.as_ref().unwrap_or(&neuron.theta);
        if let Some(watch) = &mut watch {
            watch(&u, theta)?;
        }
        let fired = fire(&u, theta, lif.spike, &neuron.surrogate)?;
        adaptation = neuron.adapt(adaptation.as_ref(), &fired)?;
        synaptic = matches!(lif.synapse, Synapse::Current { .. }).then_some(input);
        if currents.peek().is_some() {
            decayed = Some(neuron.discharge_and_decay(&u, &fired)?);
        } else if finish {
            let membrane = neuron.discharge(&u, &fired)?;
            last = Some(LifState {
                membrane,
                current: share(&synaptic),
                adaptation: share(&adaptation),
            });
        }
        levels.push(fired);
    }
    Ok((levels, last))
}

fn check_shape(what: &'static str, carried: Option<&Tensor>, current: &Tensor) -> Result<()> {
    match carried {
        Some(carried) if carried.size() != current.size() => {
            let expected = format!("{:?}, that of the current", current.size());
            Err(Error::Shape { what, expected, found: carried.size() })
        }
        _ => Ok(()),
    }
}

/// Leak factor of eq. 8: a number, or a tensor that has a gradient.
enum Factor {
    Fixed(f64),
    Learned(Tensor),
}

impl Factor {
    fn new(leak: Leak, parameter: Option<&Tensor>) -> Result<Self> {
        match (leak, parameter) {
            (Leak::Factor { factor }, _) | (Leak::Learned { initial: factor }, None) => {
                Ok(Factor::Fixed(factor))
            }
            (Leak::Learned { .. }, Some(a)) => {
                if a.numel() != 1 {
                    return Err(Error::Shape {
                        what: "leak",
                        expected: "[1]".into(),
                        found: a.size(),
                    });
                }
                if a.requires_grad() {
                    Ok(Factor::Learned(a.f_sigmoid()?.f_view(&[] as &[i64])?))
                } else {
                    Ok(Factor::Fixed(snn_ir::logistic(a.f_double_value(&[0])?)))
                }
            }
        }
    }

    fn times(&self, membrane: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Factor::Fixed(factor) => membrane.f_mul_scalar(*factor)?,
            Factor::Learned(factor) => membrane.f_mul(factor)?,
        })
    }

    /// The IF neuron multiplies by nothing.
    fn is_one(&self) -> bool {
        matches!(self, Factor::Fixed(factor) if factor.to_bits() == 1.0_f64.to_bits())
    }
}

/// A LIF neuron with its constants.
struct PreparedLif<'l> {
    lif: &'l Lif,
    factor: Factor,
    theta: Theta,
    surrogate: SurrogateGradient,
    rest: f64,
}

impl<'l> PreparedLif<'l> {
    fn new(lif: &'l Lif, parameters: LifParameters<'_>) -> Result<Self> {
        let theta = match (lif.threshold, parameters.threshold) {
            (Threshold::Fixed(theta), _) | (Threshold::Learned { initial: theta, .. }, None) => {
                Theta::Fixed(theta)
            }
            (Threshold::Learned { .. }, Some(theta)) => Theta::Tensor(theta.shallow_clone()),
        };
        let surrogate = match parameters.registry {
            Some(registry) => SurrogateGradient::new(&lif.surrogate, registry)?,
            None => SurrogateGradient::new(&lif.surrogate, &Registry::default())?,
        };
        Ok(Self {
            lif,
            factor: Factor::new(lif.leak, parameters.leak)?,
            theta,
            surrogate,
            rest: lif.rest(),
        })
    }

    /// `v₀`, in the shape and memory of a current; `None` at rest.
    fn first(&self, current: &Tensor) -> Result<Option<Tensor>> {
        let number = match (self.lif.initial, &self.theta) {
            (FirstMembrane::Rest, _) => return Ok(None),
            (FirstMembrane::Threshold { share }, Theta::Tensor(theta)) => {
                let distance = theta.f_sub_scalar(self.rest)?.f_mul_scalar(share)?;
                let first = distance.f_add_scalar(self.rest)?;
                return Ok(Some(tch::no_grad(|| current.f_zeros_like())?.f_add(&first)?));
            }
            (initial, Theta::Fixed(theta)) => initial.of(self.rest, *theta),
            (initial, Theta::Tensor(_)) => initial.of(self.rest, self.rest),
        };
        Ok(Some(tch::no_grad(|| current.f_full_like(number))?))
    }

    /// `i[t]`.
    fn filter(&self, synaptic: Option<&Tensor>, current: &Tensor) -> Result<Tensor> {
        Ok(match (self.lif.synapse, synaptic) {
            (Synapse::Current { alpha }, Some(synaptic)) => {
                synaptic.f_mul_scalar(alpha)?.f_add(current)?
            }
            (Synapse::Current { .. }, None) | (Synapse::Instant, _) => current.shallow_clone(),
        })
    }

    /// `v_r + λ·(u⁺ − v_r)`.
    fn decay(&self, membrane: &Tensor) -> Result<Tensor> {
        if self.rest == 0.0 {
            return if self.factor.is_one() {
                Ok(membrane.shallow_clone())
            } else {
                self.factor.times(membrane)
            };
        }
        Ok(self.factor.times(&membrane.f_sub_scalar(self.rest)?)?.f_add_scalar(self.rest)?)
    }

    /// `u[t]`.
    fn charge(&self, decayed: Option<&Tensor>, input: &Tensor) -> Result<Tensor> {
        Ok(match decayed {
            Some(decayed) => decayed.f_add(input)?,
            None if self.rest == 0.0 => input.shallow_clone(),
            None => input.f_add_scalar(self.rest)?,
        })
    }

    /// `θ + β·a[t]`; `None` where that is `θ`.
    fn adapted(&self, adaptation: Option<&Tensor>) -> Result<Option<Theta>> {
        match (self.lif.adaptation, adaptation) {
            (Adaptation::Threshold { strength, .. }, Some(a)) => {
                Ok(Some(self.theta.plus(&a.f_mul_scalar(strength)?)?))
            }
            (Adaptation::Threshold { .. } | Adaptation::None, _) => Ok(None),
        }
    }

    /// `a[t+1] = ρ·a[t] + |o[t]|`.
    fn adapt(&self, adaptation: Option<&Tensor>, fired: &Tensor) -> Result<Option<Tensor>> {
        let Adaptation::Threshold { decay, .. } = self.lif.adaptation else { return Ok(None) };
        let jump = self.size(fired)?;
        Ok(Some(match adaptation {
            Some(a) => a.f_mul_scalar(decay)?.f_add(&jump)?,
            None => jump,
        }))
    }

    /// `|o|`, with its gradient.
    fn size(&self, fired: &Tensor) -> Result<Tensor> {
        Ok(match self.lif.spike {
            Spike::Binary | Spike::Integer { .. } => fired.shallow_clone(),
            Spike::Ternary => fired.f_abs()?,
        })
    }

    /// `u⁺[t]`.
    fn discharge(&self, u: &Tensor, fired: &Tensor) -> Result<Tensor> {
        Ok(match (self.lif.reset, self.lif.reset_gradient) {
            (Reset::Hard { potential }, ResetGradient::Detached) => {
                u.f_masked_fill(&fired.f_detach()?.f_ne(0.0)?, potential)?
            }
            // Each of the two products is exact, and one of them is zero.
            (Reset::Hard { potential }, ResetGradient::Flowing) => {
                let full = match self.lif.spike {
                    Spike::Integer { .. } => fired.f_clamp_max(1.0)?,
                    Spike::Binary | Spike::Ternary => self.size(fired)?,
                };
                let kept = u.f_mul(&full.f_neg()?.f_add_scalar(1.0)?)?;
                if potential == 0.0 { kept } else { kept.f_add(&full.f_mul_scalar(potential)?)? }
            }
            (Reset::Soft, ResetGradient::Detached) => {
                u.f_sub(&tch::no_grad(|| self.theta.times(fired))?)?
            }
            (Reset::Soft, ResetGradient::Flowing) => u.f_sub(&self.theta.times(fired)?)?,
            (Reset::None, _) => u.shallow_clone(),
        })
    }

    /// The reset and the decay of the next macro-step; for the default neuron one product with 0 or
    /// λ, the same value and gradient in fewer passes over memory.
    fn discharge_and_decay(&self, u: &Tensor, fired: &Tensor) -> Result<Tensor> {
        if let (
            Reset::Hard { .. },
            ResetGradient::Detached,
            Spike::Binary,
            Adaptation::None,
            Factor::Fixed(factor),
            Theta::Fixed(theta),
        ) = (
            self.lif.reset,
            self.lif.reset_gradient,
            self.lif.spike,
            self.lif.adaptation,
            &self.factor,
            &self.theta,
        ) && self.rest == 0.0
        {
            let kept = tch::no_grad(|| {
                let silent = u.f_lt_scalar_out(&u.f_empty_like()?, *theta);
                silent?.f_mul_scalar_(*factor)
            })?;
            return Ok(u.f_mul(&kept)?);
        }
        self.decay(&self.discharge(u, fired)?)
    }
}
