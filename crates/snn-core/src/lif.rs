//! Leaky integrate-and-fire on tensors (eq. 8).

use crate::error::{Error, Result};
use crate::surrogate::fire;
use snn_ir::site::ResetGradient;
use snn_ir::{Leak, Lif, Reset};
use tch::Tensor;

/// What a LIF neuron carries from one macro-step to the next. A value: passed in, returned, absent at rest.
#[derive(Debug)]
pub struct LifState {
    /// Membrane after the reset, `u⁺[t]`, of the shape of a current.
    pub membrane: Tensor,
}

/// One macro-step of a LIF neuron (eq. 8): `u = v_r + λ·(u⁺ − v_r) + I`, a spike where `u ≥ θ`, then the reset.
///
/// `leak` is the learned `a` of PLIF, `λ = 1/(1 + e^(−a))`; a neuron with a fixed leak ignores it, and without it PLIF has its initial leak. The product is rounded
/// before the sum.
///
/// # Shapes
/// `leak` `[1]`; `current` and the membrane any equal shape; spikes likewise.
///
/// # Errors
/// The shapes differ, or libtorch cannot allocate.
///
/// ```
/// use snn_core::lif;
/// let neuron = snn_ir::Lif::default(); // λ = ½, θ = 1, hard reset to 0
/// let current = tch::Tensor::from_slice(&[0.75_f32, 1.0]);
/// let (spikes, state) = lif::step(&neuron, None, &current, None)?;
/// assert_eq!(Vec::<f32>::try_from(spikes).unwrap(), [0.0, 1.0]);
/// let (spikes, _) = lif::step(&neuron, None, &current, Some(&state))?;
/// assert_eq!(Vec::<f32>::try_from(spikes).unwrap(), [1.0, 1.0]);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn step(
    lif: &Lif,
    leak: Option<&Tensor>,
    current: &Tensor,
    state: Option<&LifState>,
) -> Result<(Tensor, LifState)> {
    let (mut spikes, state) = run(lif, leak, [current], state, true, None)?;
    match (spikes.pop(), state) {
        (Some(spikes), Some(state)) => Ok((spikes, state)),
        _ => Err(Error::Torch("a macro-step gave no spikes".into())),
    }
}

/// `steps` macro-steps of a LIF neuron (eq. 8).
///
/// # Shapes
/// `currents` `[T, …]`, or `[1, …]` for a current that does not vary over time (it is not copied); the membrane `[…]`; spikes `[T, …]` with `T = steps`.
///
/// # Errors
/// The first axis is neither 1 nor `steps`, shapes differ, or libtorch cannot allocate.
pub fn sequence(
    lif: &Lif,
    leak: Option<&Tensor>,
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
    let (spikes, state) = run(lif, leak, cycle(&slices, steps), state, true, None)?;
    let state = state.ok_or_else(|| Error::Torch("a sequence of no macro-steps".into()))?;
    Ok((Tensor::f_stack(&spikes, 0)?, state))
}

/// The slices in order, or the only one `steps` times.
pub(crate) fn cycle(slices: &[Tensor], steps: usize) -> impl Iterator<Item = &Tensor> {
    slices.iter().cycle().take(steps)
}

/// Leak factor of eq. 8: a number, or a tensor that has a gradient.
enum Factor {
    Fixed(f64),
    Learned(Tensor),
}

impl Factor {
    fn new(leak: Leak, parameter: Option<&Tensor>) -> Result<Self> {
        match (leak, parameter) {
            (Leak::Factor { factor }, _) | (Leak::Learned { initial: factor }, None) => Ok(Factor::Fixed(factor)),
            (Leak::Learned { .. }, Some(a)) => {
                if a.numel() != 1 {
                    return Err(Error::Shape { what: "leak", expected: "[1]".into(), found: a.size() });
                }
                if a.requires_grad() {
                    Ok(Factor::Learned(a.f_sigmoid()?.f_view(&[] as &[i64])?))
                } else {
                    Ok(Factor::Fixed(snn_ir::naive::logistic(a.f_double_value(&[0])?)))
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

/// Sees every `u − θ`.
pub(crate) type Watch<'w> = &'w mut dyn FnMut(&Tensor) -> Result<()>;

/// Spikes of every macro-step, and the state after the last one unless `finish` is false.
pub(crate) fn run<'c>(
    lif: &Lif,
    leak: Option<&Tensor>,
    currents: impl IntoIterator<Item = &'c Tensor>,
    state: Option<&LifState>,
    finish: bool,
    mut watch: Option<Watch<'_>>,
) -> Result<(Vec<Tensor>, Option<LifState>)> {
    let basic = Lif::default();
    if lif.spike != basic.spike
        || lif.synapse != basic.synapse
        || lif.adaptation != basic.adaptation
        || matches!(lif.threshold, snn_ir::Threshold::Learned { .. })
    {
        let expected = "binary, with a fixed threshold, without synaptic current and adaptation".into();
        return Err(Error::Argument { what: "neuron", expected, found: format!("{lif:?}") });
    }
    let neuron = Neuron::new(lif, leak)?;
    let mut decayed = state.map(|state| neuron.decay(&state.membrane)).transpose()?;
    let mut last = None;
    let mut spikes = Vec::new();
    let mut currents = currents.into_iter().peekable();
    while let Some(current) = currents.next() {
        if let Some(decayed) = &decayed
            && decayed.size() != current.size()
        {
            let expected = format!("{:?}, that of the current", current.size());
            return Err(Error::Shape { what: "membrane", expected, found: decayed.size() });
        }
        let u = neuron.charge(decayed.as_ref(), current)?;
        if let Some(watch) = &mut watch {
            watch(&u.f_sub_scalar(lif.threshold.initial())?)?;
        }
        let fired = fire(&u, lif.threshold.initial(), &lif.surrogate)?;
        if currents.peek().is_some() {
            decayed = Some(neuron.discharge_and_decay(&u, &fired)?);
        } else if finish {
            last = Some(LifState { membrane: neuron.discharge(&u, &fired)? });
        }
        spikes.push(fired);
    }
    Ok((spikes, last))
}

/// A LIF neuron with its leak factor at hand.
struct Neuron<'l> {
    lif: &'l Lif,
    factor: Factor,
    rest: f64,
}

impl<'l> Neuron<'l> {
    fn new(lif: &'l Lif, leak: Option<&Tensor>) -> Result<Self> {
        let rest = match lif.reset {
            Reset::Hard { potential } => potential,
            Reset::Soft | Reset::None => 0.0,
        };
        Ok(Self { lif, factor: Factor::new(lif.leak, leak)?, rest })
    }

    /// `v_r + λ·(u⁺ − v_r)`.
    fn decay(&self, membrane: &Tensor) -> Result<Tensor> {
        if self.rest == 0.0 {
            return if self.factor.is_one() { Ok(membrane.shallow_clone()) } else { self.factor.times(membrane) };
        }
        Ok(self.factor.times(&membrane.f_sub_scalar(self.rest)?)?.f_add_scalar(self.rest)?)
    }

    /// Eq. 8, first line.
    fn charge(&self, decayed: Option<&Tensor>, current: &Tensor) -> Result<Tensor> {
        Ok(match decayed {
            Some(decayed) => decayed.f_add(current)?,
            None if self.rest == 0.0 => current.shallow_clone(),
            None => current.f_add_scalar(self.rest)?,
        })
    }

    /// Eq. 8, third line.
    fn discharge(&self, u: &Tensor, fired: &Tensor) -> Result<Tensor> {
        let threshold = self.lif.threshold.initial();
        Ok(match (self.lif.reset, self.lif.reset_gradient) {
            (Reset::Hard { potential }, ResetGradient::Detached) => u.f_masked_fill(&self.above(u)?, potential)?,
            // Each of the two products is exact, and one of them is zero.
            (Reset::Hard { potential }, ResetGradient::Flowing) => {
                let kept = u.f_mul(&fired.f_neg()?.f_add_scalar(1.0)?)?;
                if potential == 0.0 { kept } else { kept.f_add(&fired.f_mul_scalar(potential)?)? }
            }
            (Reset::Soft, ResetGradient::Detached) => u.f_sub(&fired.f_detach()?.f_mul_scalar(threshold)?)?,
            (Reset::Soft, ResetGradient::Flowing) => u.f_sub(&fired.f_mul_scalar(threshold)?)?,
            (Reset::None, _) => u.shallow_clone(),
        })
    }

    /// The third line and the decay of the next first line; for the default neuron one product with 0 or λ, the same value and gradient in fewer passes over memory.
    fn discharge_and_decay(&self, u: &Tensor, fired: &Tensor) -> Result<Tensor> {
        if let (Reset::Hard { .. }, ResetGradient::Detached, Factor::Fixed(factor)) =
            (self.lif.reset, self.lif.reset_gradient, &self.factor)
            && self.rest == 0.0
        {
            let kept = tch::no_grad(|| {
                let silent = u.f_lt_scalar_out(&u.f_empty_like()?, self.lif.threshold.initial());
                silent?.f_mul_scalar_(*factor)
            })?;
            return Ok(u.f_mul(&kept)?);
        }
        self.decay(&self.discharge(u, fired)?)
    }

    /// Where `u ≥ θ`, without gradient.
    fn above(&self, u: &Tensor) -> Result<Tensor> {
        Ok(u.f_detach()?.f_ge(self.lif.threshold.initial())?)
    }
}
