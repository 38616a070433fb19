//! Sites on the grid (eq. 13): exact integers held in doubles, and, for fine-tuning, a gradient
//! through them.

use crate::error::Result;
use crate::network::value::{Value, merge, over_time};
use crate::neuron::surrogate::SurrogateGradient;
use crate::neuron::threshold_fn::{Theta, fire};
use crate::tensor::with_values;
use snn_ir::MEMBRANE_LIMIT;
use snn_ir::Spike;
use snn_ir::{GridAdaptation, GridLif, GridReset, GridSynapse};
use tch::{Kind, Tensor};

/// Kind that holds membranes and currents: every integer below 2⁵³ is exact in it.
pub(crate) const WIDE: Kind = Kind::Double;

/// Integers of a LIF site, which broadcast over a current.
#[derive(Debug)]
pub(crate) struct LifIntegers {
    pub(crate) threshold: Tensor,
    /// What a spike adds to the threshold, if it adapts.
    pub(crate) jump: Option<Tensor>,
    /// Membranes before the first macro-step, where they are not 0.
    pub(crate) first: Option<Tensor>,
}

/// Levels of a LIF site for all macro-steps, of kind `output`.
///
/// With a gradient, in units of the threshold (`x = u/θ'`, `θ' = θ·2^f`): floors and saturations
/// pass it straight through, a reset is a constant.
///
/// `state` is that before the first macro-step, and after the last.
pub(crate) fn grid_lif(
    lif: GridLif,
    constants: &LifIntegers,
    currents: &Value,
    time_steps: usize,
    surrogate: &SurrogateGradient,
    output: Kind,
    state: &mut GridLifState,
) -> Result<Value> {
    let neuron = GridNeuron::new(lif, constants)?;
    let slices = over_time(&currents.data, currents.steps)?;
    let GridLifState { integers, shadow } = state;
    let mut levels = Vec::with_capacity(time_steps);
    for current in crate::neuron::lif::cycle(&slices, time_steps) {
        let step = tch::no_grad(|| neuron.step(current, integers))?;
        let fired = step.levels.f_to_kind(output)?;
        if !current.requires_grad() && shadow.membrane.is_none() {
            levels.push(fired);
            continue;
        }
        let graph = neuron.shadow_step(current, &step, shadow, surrogate)?.f_to_kind(output)?;
        levels.push(with_values(graph, |values| Ok(values.f_copy_(&fired)?))?);
    }
    Ok(Value::new(merge(levels)?, time_steps))
}

/// State of a LIF site on the grid; the default is that before the first macro-step.
#[derive(Default)]
pub(crate) struct GridLifState {
    integers: Integers,
    shadow: Shadow,
}

/// State of the neurons: integers, absent before the first macro-step.
#[derive(Default)]
struct Integers {
    membrane: Option<Tensor>,
    current: Option<Tensor>,
    adaptation: Option<Tensor>,
}

/// The same in units of the threshold, with gradients.
#[derive(Default)]
struct Shadow {
    membrane: Option<Tensor>,
    current: Option<Tensor>,
    adaptation: Option<Tensor>,
}

/// One macro-step in integers, held in doubles.
struct IntegerStep {
    current: Tensor,
    u: Tensor,
    adaptation: Option<Tensor>,
    levels: Tensor,
}

struct GridNeuron {
    lif: GridLif,
    leak: f64,
    guard: f64,
    /// `θ·2^f`.
    threshold: Tensor,
    jump: Option<Tensor>,
    /// What the leak leaves of the first membrane.
    first: Option<Tensor>,
}

/// `k/2^m`: a double without rounding.
fn factor(multiplier: u32, shift: u8) -> f64 {
    f64::from(multiplier) / f64::from(1_u32 << shift)
}

/// `⌊x·k/2^m⌋`. The product of the numerators is below 2⁴⁷ and `k/2^m` is a double, so the quotient
/// is exact before the floor.
fn leaked(value: &Tensor, factor: f64) -> Result<Tensor> {
    Ok(value.f_mul_scalar(factor)?.f_floor_()?)
}

fn saturated(mut value: Tensor) -> Result<Tensor> {
    let limit = MEMBRANE_LIMIT as f64;
    Ok(value.f_clamp_(-limit, limit)?)
}

impl GridNeuron {
    fn new(lif: GridLif, constants: &LifIntegers) -> Result<Self> {
        let guard = f64::from(1_u32 << lif.guard_bits);
        let leak = factor(lif.leak_multiplier, lif.leak_shift);
        let first = constants.first.as_ref();
        Ok(Self {
            lif,
            leak,
            guard,
            threshold: tch::no_grad(|| constants.threshold.f_mul_scalar(guard))?,
            jump: constants.jump.as_ref().map(Tensor::shallow_clone),
            first: first.map(|first| tch::no_grad(|| leaked(first, leak))).transpose()?,
        })
    }

    /// Eq. 13.
    fn step(&self, current: &Tensor, state: &mut Integers) -> Result<IntegerStep> {
        let mut input = current.f_mul_scalar(self.guard)?;
        if let GridSynapse::Current { multiplier, shift } = self.lif.synapse {
            if let Some(before) = &state.current {
                input = input.f_add_(&leaked(before, factor(multiplier, shift))?)?;
            }
            input = saturated(input)?;
            state.current = Some(input.shallow_clone());
        }
        let u = saturated(match (&state.membrane, &self.first) {
            (Some(membrane), _) => leaked(membrane, self.leak)?.f_add_(&input)?,
            (None, Some(first)) => input.f_add(first)?,
            // Saturation is in place, and a synaptic current is kept.
            (None, None) if state.current.is_some() => input.f_add_scalar(0.0)?,
            (None, None) => input.shallow_clone(),
        })?;
        let adaptation = state.adaptation.as_ref().map(Tensor::shallow_clone);
        let edge = match &adaptation {
            Some(adaptation) => self.threshold.f_add(adaptation)?,
            None => self.threshold.shallow_clone(),
        };
        let levels = levels(&u, &edge, self.lif.spike)?;
        state.membrane = Some(match self.lif.reset {
            GridReset::Hard => u.f_masked_fill(&levels.f_ne(0.0)?, 0.0)?,
            GridReset::Soft => u.f_sub(&self.threshold.f_mul(&levels)?)?,
            GridReset::None => u.shallow_clone(),
        });
        if let (GridAdaptation::Threshold { multiplier, shift }, Some(jump)) =
            (self.lif.adaptation, &self.jump)
        {
            let mut next = levels.f_abs()?.f_mul(jump)?;
            if let Some(before) = &state.adaptation {
                next = next.f_add_(&leaked(before, factor(multiplier, shift))?)?;
            }
            state.adaptation = Some(saturated(next)?);
        }
        Ok(IntegerStep { current: input, u, adaptation, levels })
    }

    /// The same with a gradient: sums in units of the threshold, whose values are those of the
    /// integers.
    fn shadow_step(
        &self,
        current: &Tensor,
        step: &IntegerStep,
        state: &mut Shadow,
        surrogate: &SurrogateGradient,
    ) -> Result<Tensor> {
        let valued = |graph: Tensor, integers: &Tensor| {
            with_values(graph, |values| {
                Ok(integers.f_div_out(values, &self.threshold).map(drop)?)
            })
        };
        let mut input = current
            .f_mul(&tch::no_grad(|| self.threshold.f_reciprocal()?.f_mul_scalar(self.guard))?)?;
        if let GridSynapse::Current { multiplier, shift } = self.lif.synapse {
            if let Some(before) = &state.current {
                input = before.f_mul_scalar(factor(multiplier, shift))?.f_add(&input)?;
            }
            input = valued(input, &step.current)?;
            state.current = Some(input.shallow_clone());
        }
        let charged = match &state.membrane {
            Some(membrane) => membrane.f_mul_scalar(self.leak)?.f_add(&input)?,
            None if state.current.is_some() => input.f_mul_scalar(1.0)?,
            None => input,
        };
        let charged = valued(charged, &step.u)?;
        let theta = match (&state.adaptation, &step.adaptation) {
            (Some(shadow), Some(integers)) => {
                Theta::Tensor(valued(shadow.f_mul_scalar(1.0)?, integers)?.f_add_scalar(1.0)?)
            }
            _ => Theta::Fixed(1.0),
        };
        let fired = fire(&charged, &theta, self.lif.spike, surrogate)?;
        if let (GridAdaptation::Threshold { multiplier, shift }, Some(jump)) =
            (self.lif.adaptation, &self.jump)
        {
            // The levels that count are the integers', even where a quotient was rounded onto a
            // threshold.
            let size = match self.lif.spike {
                Spike::Ternary => fired.f_abs()?,
                Spike::Binary | Spike::Integer { .. } => fired.shallow_clone(),
            };
            let added = size.f_mul(&tch::no_grad(|| jump.f_div(&self.threshold))?)?;
            state.adaptation = Some(match &state.adaptation {
                Some(before) => before.f_mul_scalar(factor(multiplier, shift))?.f_add(&added)?,
                None => added,
            });
        }
        state.membrane = Some(match self.lif.reset {
            GridReset::Hard => charged.f_masked_fill(&step.levels.f_ne(0.0)?, 0.0)?,
            // What is subtracted is a constant; the next step takes its value from the integers.
            GridReset::Soft | GridReset::None => charged,
        });
        Ok(fired)
    }
}

/// `o` of eq. 13. Quotients of integers of this size cannot round onto a whole number that they are
/// not.
fn levels(u: &Tensor, edge: &Tensor, spike: Spike) -> Result<Tensor> {
    Ok(match spike {
        Spike::Binary => u.f_ge_tensor(edge)?.f_to_kind(WIDE)?,
        Spike::Ternary => {
            let up = u.f_ge_tensor(edge)?.f_to_kind(WIDE)?;
            up.f_sub(&u.f_le_tensor(&edge.f_neg()?)?.f_to_kind(WIDE)?)?
        }
        Spike::Integer { levels } => {
            let twice = edge.f_mul_scalar(2.0)?;
            u.f_mul_scalar(2.0)?
                .f_add_(edge)?
                .f_div_(&twice)?
                .f_floor_()?
                .f_clamp_(0.0, f64::from(levels))?
        }
    })
}

/// Levels `q = #{ d : J ≥ θ_d }`, of kind `output`. `thresholds` has the levels first and each of
/// them broadcasts over a current.
///
/// With a gradient: `∂q/∂J = 1/s` from half a step below the first threshold to half a step above
/// the last, `s` their mean spacing.
pub(crate) fn grid_quant_relu(
    thresholds: &[Tensor],
    currents: &Value,
    output: Kind,
) -> Result<Value> {
    let x = &currents.data;
    let levels = tch::no_grad(|| {
        let mut levels = x.f_zeros_like()?;
        for threshold in thresholds {
            levels = levels.f_add_(&x.f_ge_tensor(threshold)?)?;
        }
        Ok::<_, crate::Error>(levels.f_to_kind(output)?)
    })?;
    let (Some(first), Some(last), true) =
        (thresholds.first(), thresholds.last(), x.requires_grad())
    else {
        return Ok(currents.with(levels));
    };
    let slope = tch::no_grad(|| {
        // A single threshold stands at half a step (eq. 10).
        let spacing = match thresholds.len() {
            1 => first.f_abs()?.f_mul_scalar(2.0)?,
            count => last.f_sub(first)?.f_div_scalar((count - 1) as f64)?,
        };
        let spacing = spacing.f_clamp_min(1.0)?;
        let half = spacing.f_mul_scalar(0.5)?;
        let inside = x
            .f_gt_tensor(&first.f_sub(&half)?)?
            .f_logical_and(&x.f_lt_tensor(&last.f_add(&half)?)?)?;
        Ok::<_, crate::Error>(inside.f_to_kind(WIDE)?.f_div_(&spacing)?)
    })?;
    let graph = x.f_mul(&slope)?.f_to_kind(output)?;
    let data = with_values(graph, |values| Ok(values.f_copy_(&levels)?))?;
    Ok(currents.with(data))
}
