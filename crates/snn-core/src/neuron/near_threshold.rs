//! Decisions that came within rounding of a threshold.

use crate::error::Result;
use crate::neuron::threshold_fn::Theta;
use snn_ir::Spike;
use snn_ir::TIE;
use tch::{Kind, Tensor};

/// Membranes near the threshold of a LIF site.
pub(crate) fn of_spikes(u: &Tensor, theta: &Theta, spike: Spike) -> Result<u64> {
    tch::no_grad(|| {
        let threshold = theta.constant(u)?;
        let within = threshold.f_abs()?.f_clamp_min_(1.0)?.f_mul_scalar_(TIE)?;
        let near =
            |distance: Tensor| Ok::<_, crate::Error>({ distance }.f_abs_()?.f_le_tensor(&within)?);
        match spike {
            Spike::Binary => count(&near(u.f_sub(&threshold)?)?),
            Spike::Ternary => {
                count(&near(u.f_sub(&threshold)?)?.f_logical_or(&near(u.f_add(&threshold)?)?)?)
            }
            Spike::Integer { levels } => of_levels(u, &threshold, levels),
        }
    })
}

/// Values near the edge between two levels of `step`, which broadcasts over them.
pub(crate) fn of_levels(x: &Tensor, step: &Tensor, levels: u8) -> Result<u64> {
    tch::no_grad(|| {
        let ratio = x.f_div(step)?.f_add_scalar_(0.5)?;
        let near = ratio.f_sub(&ratio.f_round()?)?.f_abs_()?.f_le(TIE)?;
        let inside = ratio.f_ge(0.0)?.f_logical_and(&ratio.f_le(f64::from(levels) + 0.5)?)?;
        count(&near.f_logical_and(&inside)?)
    })
}

fn count(mask: &Tensor) -> Result<u64> {
    let sum = mask.f_sum(Kind::Int64)?.f_int64_value(&[])?;
    Ok(u64::try_from(sum).unwrap_or_default())
}
