//! Sites on the grid (eq. 13): exact integers held in doubles, and, for fine-tuning, a gradient through them.

use crate::error::Result;
use crate::real_site::{merge, over_time};
use crate::straight_through::with_values;
use crate::surrogate::derivative;
use crate::walk::Value;
use snn_ir::Surrogate;
use snn_ir::naive::MEMBRANE_LIMIT;
use snn_ir::site::{GridLif, GridReset};
use tch::{Kind, Tensor};

/// Kind that holds membranes and currents: every integer below 2⁵³ is exact in it.
pub(crate) const WIDE: Kind = Kind::Double;

/// Spikes of a LIF site for all macro-steps, of kind `output`. `threshold` broadcasts over a current.
///
/// With a gradient, in units of the threshold (`x = u/θ' − 1`, `θ' = θ·2^f`): the floor and the saturation pass it straight through, a reset is a constant.
pub(crate) fn grid_lif(
    lif: GridLif,
    threshold: &Tensor,
    currents: &Value,
    time_steps: usize,
    surrogate: Surrogate,
    output: Kind,
) -> Result<Value> {
    let leak = f64::from(lif.leak_multiplier) / f64::from(1_u32 << lif.leak_shift);
    let guard = f64::from(1_u32 << lif.guard_bits);
    let limit = MEMBRANE_LIMIT as f64;
    let threshold = tch::no_grad(|| threshold.f_mul_scalar(guard))?;
    let slices = over_time(currents)?;
    let mut membrane: Option<Tensor> = None; // integers
    let mut shadow: Option<Tensor> = None; // what has the gradient, in units of the threshold
    let mut spikes = Vec::with_capacity(time_steps);
    for current in crate::lif::cycle(&slices, time_steps) {
        let (u, fired) = tch::no_grad(|| {
            let mut u = current.f_mul_scalar(guard)?;
            if let Some(membrane) = &membrane {
                // The product of the numerators is below 2⁴⁷ and k/2^m is a double, so the quotient is exact before the floor.
                u = u.f_add_(&membrane.f_mul_scalar(leak)?.f_floor_()?)?;
            }
            let u = u.f_clamp_(-limit, limit)?;
            let fired = u.f_ge_tensor(&threshold)?;
            membrane = Some(match lif.reset {
                GridReset::Hard => u.f_masked_fill(&fired, 0.0)?,
                GridReset::Soft => u.f_sub(&threshold.f_mul(&fired)?)?,
            });
            Ok::<_, crate::Error>((u, fired))
        })?;
        if !current.requires_grad() {
            spikes.push(fired.f_to_kind(output)?);
            continue;
        }
        let charge = current.f_mul(&tch::no_grad(|| threshold.f_reciprocal()?.f_mul_scalar(guard))?)?;
        let charged = match shadow {
            Some(shadow) => shadow.f_mul_scalar(leak)?.f_add(&charge)?,
            None => charge,
        };
        let slope = tch::no_grad(|| derivative(&u.f_div(&threshold)?.f_sub_scalar(1.0)?, surrogate))?;
        let graph = charged.f_mul(&slope)?.f_to_kind(output)?;
        spikes.push(with_values(graph, |values| Ok(values.f_copy_(&fired.f_to_kind(output)?)?))?);
        shadow = Some(match lif.reset {
            GridReset::Hard => charged.f_masked_fill(&fired, 0.0)?,
            GridReset::Soft => charged,
        });
    }
    Ok(Value { data: merge(spikes)?, steps: time_steps })
}

/// Levels `q = #{ d : J ≥ θ_d }`, of kind `output`. `thresholds` has the levels first and each of them broadcasts over a current.
///
/// With a gradient: `∂q/∂J = 1/s` from half a step below the first threshold to half a step above the last, `s` their mean spacing.
pub(crate) fn grid_quant_relu(thresholds: &[Tensor], currents: &Value, output: Kind) -> Result<Value> {
    let x = &currents.data;
    let levels = tch::no_grad(|| {
        let mut levels = x.f_zeros_like()?;
        for threshold in thresholds {
            levels = levels.f_add_(&x.f_ge_tensor(threshold)?)?;
        }
        Ok::<_, crate::Error>(levels.f_to_kind(output)?)
    })?;
    let (Some(first), Some(last), true) = (thresholds.first(), thresholds.last(), x.requires_grad()) else {
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
        let inside = x.f_gt_tensor(&first.f_sub(&half)?)?.f_logical_and(&x.f_lt_tensor(&last.f_add(&half)?)?)?;
        Ok::<_, crate::Error>(inside.f_to_kind(WIDE)?.f_div_(&spacing)?)
    })?;
    let graph = x.f_mul(&slope)?.f_to_kind(output)?;
    let data = with_values(graph, |values| Ok(values.f_copy_(&levels)?))?;
    Ok(currents.with(data))
}
