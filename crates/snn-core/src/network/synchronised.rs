//! Batch norm with the statistics of all replicas, by operations on tensors: for networks and
//! devices that fused sites do not take.

use crate::autograd;
use crate::error::{Error, Result};
use crate::fused::BatchNorm;
use crate::network::stateless::per_channel;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// The sums of the values of each channel, and those of their squares, in double precision.
pub(super) fn sums(x: &Tensor) -> Result<[Vec<f64>; 2]> {
    tch::no_grad(|| {
        let x = x.f_detach()?.f_to_kind(Kind::Double)?;
        Ok([by_channel(&x)?, by_channel(&x.f_square()?)?])
    })
}

/// The sum of each channel of a tensor in double precision.
fn by_channel(x: &Tensor) -> Result<Vec<f64>> {
    let others: Vec<i64> = (0..).take(x.dim()).filter(|&axis| axis != 1).collect();
    let sums = x.f_sum_dim_intlist(others.as_slice(), false, Kind::Double)?;
    let mut values = vec![0.0; sums.numel()];
    let count = values.len();
    sums.f_copy_data(&mut values, count)?;
    Ok(values)
}

/// Eq. 4 with the statistics of `norm`, which are those of all replicas.
pub(super) fn batch_norm(x: &Tensor, norm: &BatchNorm<'_>) -> Result<Tensor> {
    let kind = x.f_kind()?;
    let real = if kind == Kind::Double { Kind::Double } else { Kind::Float };
    let [factor, summand] = norm.affine()?;
    let constant = move |values: &[f64], like: &Tensor| -> Result<Tensor> {
        let values = Tensor::f_from_slice(values)?.f_to_kind(real)?.f_to(like.device())?;
        per_channel(&values, like)
    };
    let out = tch::no_grad(|| -> Result<Tensor> {
        let wide = x.f_detach()?.f_to_kind(real)?;
        let out = wide.f_mul(&constant(&factor, &wide)?)?.f_add_(&constant(&summand, &wide)?)?;
        Ok(out.f_to_kind(kind)?)
    })?;
    let inputs: Vec<&Tensor> =
        [Some(x), norm.weight, Some(norm.bias)].into_iter().flatten().collect();
    let parameters = inputs[1..]
        .iter()
        .map(|parameter| Ok((parameter.f_kind()?, parameter.device())))
        .collect::<Result<Vec<_>>>()?;
    let (mean, count) = (norm.statistics.mean.clone(), norm.statistics.count as f64);
    let inverses: Vec<f64> = norm.inverse_deviations().collect();
    let (ranks, scaled) = (norm.ranks.map(Arc::clone), norm.weight.is_some());
    let number = inputs.len();
    autograd::record("batch norm of all replicas", &inputs, &[&out], &[x], move |backward| {
        let [Some(gradient)] = backward.gradients.as_slice() else {
            return Ok((0..number).map(|_| None).collect());
        };
        let [x] = backward.saved.as_slice() else {
            return Err(Error::Torch("a batch norm without its input".into()));
        };
        let gradient = gradient.f_to_kind(real)?;
        let distance = x.f_to_kind(real)?;
        let distance = distance.f_sub(&constant(&mean, &distance)?)?;
        let own = [by_channel(&gradient)?, by_channel(&gradient.f_mul(&distance)?)?];
        let [by_bias, by_distance] = &own;
        let [all_by_bias, all_by_distance] = match &ranks {
            Some(ranks) => ranks.sum_pair("the gradients of a batch norm", own.clone())?,
            None => own.clone(),
        };
        let center: Vec<f64> = all_by_bias.iter().map(|sum| sum / count).collect();
        let slope = all_by_distance.iter().zip(&inverses);
        let slope: Vec<f64> = slope.map(|(sum, inverse)| sum * inverse * inverse / count).collect();
        let by_x = gradient
            .f_sub(&constant(&center, &gradient)?)?
            .f_sub_(&distance.f_mul(&constant(&slope, &gradient)?)?)?
            .f_mul_(&constant(&factor, &gradient)?)?
            .f_to_kind(kind)?;
        let by_weight = by_distance.iter().zip(&inverses).map(|(sum, inverse)| sum * inverse);
        let of_parameters = [scaled.then(|| by_weight.collect()), Some(by_bias.clone())];
        let mut results = vec![Some(by_x)];
        for (values, (kind, device)) in
            of_parameters.into_iter().flatten().zip::<&Vec<_>>(&parameters)
        {
            let values: Vec<f64> = values;
            results.push(Some(Tensor::f_from_slice(&values)?.f_to_kind(*kind)?.f_to(*device)?));
        }
        Ok(results)
    })?;
    Ok(out)
}
