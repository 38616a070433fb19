//! Sites off the grid (eqs. 8 to 11), for all macro-steps at once.

use crate::convert::int;
use crate::error::Result;
use crate::lif;
use crate::quant_relu::{quant_levels, quant_relu, relu};
use crate::record::{Emission, Record};
use crate::walk::Value;
use snn_ir::evaluate::TIE;
use snn_ir::{Leak, ResolvedNode, Site};
use tch::{Kind, Tensor};

/// Channels stand after the merged axis of time and samples.
const CHANNEL_AXIS: usize = 1;

/// What a site emits; `None` for a site that exists on the grid only. `parameter` finds the node's weights.
pub(crate) fn real_site<'p>(
    site: &Site,
    coded: bool,
    info: &ResolvedNode,
    x: &Value,
    time_steps: usize,
    parameter: &dyn Fn(&'static str) -> Result<&'p Tensor>,
    record: &mut Option<&mut dyn Record>,
) -> Result<Option<Value>> {
    let count_ties = record.as_ref().is_some_and(|record| record.counts_ties());
    let mut ties = 0;
    let mut note = |output: &Tensor, values: bool, steps: usize, ties: u64| match record {
        Some(record) => record.site(&Emission { site: &info.name, output, values, steps, shape: &info.shape, ties }),
        None => Ok(()),
    };
    match site {
        Site::Lif(neuron) => {
            let leak = match neuron.leak {
                Leak::Learned { .. } if !coded => Some(parameter("leak")?),
                Leak::Learned { .. } | Leak::Factor { .. } => None,
            };
            let slices = over_time(x)?;
            let within = TIE * neuron.threshold.initial().abs().max(1.0);
            let mut watch = |distance: &Tensor| {
                ties += count(&distance.f_abs()?.f_le(within)?)?;
                Ok(())
            };
            let watch: Option<lif::Watch<'_>> = if count_ties { Some(&mut watch) } else { None };
            let (spikes, _) = lif::run(neuron, leak, lif::cycle(&slices, time_steps), None, false, watch)?;
            let data = merge(spikes)?;
            note(&data, false, time_steps, ties)?;
            Ok(Some(Value { data, steps: time_steps }))
        }
        Site::Relu => {
            let data = relu(&x.data)?;
            note(&data, true, x.steps, 0)?;
            Ok(Some(x.with(data)))
        }
        Site::QuantRelu(q) => {
            let step = parameter("step")?;
            if count_ties {
                ties = quant_ties(&x.data, step, q.levels)?;
            }
            if coded {
                let data = quant_levels(&x.data, step, q.levels, CHANNEL_AXIS)?;
                note(&data, false, x.steps, ties)?;
                return Ok(Some(x.with(data)));
            }
            if count_ties {
                note(&quant_levels(&x.data, step, q.levels, CHANNEL_AXIS)?, false, x.steps, ties)?;
            }
            let data = quant_relu(&x.data, step, q.levels, CHANNEL_AXIS)?;
            if !count_ties {
                note(&data, false, x.steps, 0)?;
            }
            Ok(Some(x.with(data)))
        }
        Site::Custom(_) | Site::GridLif(_) | Site::GridQuantRelu { .. } => Ok(None),
    }
}

/// One tensor for each macro-step, or one for all of them; views.
pub(crate) fn over_time(x: &Value) -> Result<Vec<Tensor>> {
    match x.steps {
        1 => Ok(vec![x.data.shallow_clone()]),
        steps => Ok(x.data.f_chunk(int(steps), 0)?),
    }
}

/// Macro-steps `[B, …]` as one `[T·B, …]`.
pub(crate) fn merge(mut steps: Vec<Tensor>) -> Result<Tensor> {
    match (steps.len(), steps.pop()) {
        (1, Some(only)) => Ok(only),
        (_, last) => {
            steps.extend(last);
            Ok(Tensor::f_cat(&steps, 0)?)
        }
    }
}

fn count(mask: &Tensor) -> Result<u64> {
    let sum = mask.f_sum(Kind::Int64)?.f_int64_value(&[])?;
    Ok(u64::try_from(sum).unwrap_or_default())
}

/// Values within [`TIE`] of the edge between two levels.
fn quant_ties(x: &Tensor, step: &Tensor, levels: u8) -> Result<u64> {
    tch::no_grad(|| {
        let step = crate::stateless::per_channel(step, x)?;
        let ratio = x.f_div(&step)?.f_add_scalar_(0.5)?;
        let near = ratio.f_sub(&ratio.f_round()?)?.f_abs_()?.f_le(TIE)?;
        let inside = ratio.f_ge(0.0)?.f_logical_and(&ratio.f_le(f64::from(levels) + 0.5)?)?;
        count(&near.f_logical_and(&inside)?)
    })
}
