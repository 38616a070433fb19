//! Operations without state (eqs. 2 to 6), on all macro-steps at once.

use crate::error::{Error, Result};
use crate::fused;
use crate::network::value::Value;
use crate::tensor::{int, ints};
use snn_ir::{Conv, Geometry, Node, Op, PoolKind};
use tch::Tensor;

/// Pixels `[…, C, H, W]`, `[…, C, L]` or `[…, F]` as `[N, C, H, W]`, channels last in memory, or
/// `[N, F]`; still `u8`.
pub(crate) fn merged_pixels(pixels: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if let [features] = *shape {
        return Ok(pixels.f_reshape([-1, int(features)])?);
    }
    let [channels, height, width] = ints(snn_ir::chw(shape));
    let images = pixels.f_reshape([-1, channels, height, width])?;
    Ok(images.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// One value for each channel in a shape that broadcasts over `[N, C, H, W]` or `[N, C]`.
pub(crate) fn per_channel(values: &Tensor, like: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1_i64; like.dim()];
    shape[1] = -1;
    Ok(values.f_view(shape.as_slice())?)
}

/// Eq. 2 over one or two axes; the weight has the shape of the model file.
pub(crate) fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv,
) -> Result<Tensor> {
    let geometry = conv.as_2d();
    let (x, padding) = padded(x, geometry, 0.0)?;
    let Geometry { stride, dilation, .. } = geometry;
    let row;
    let weight = if weight.dim() == 3 {
        row = weight.f_unsqueeze(2)?;
        &row
    } else {
        weight
    };
    let (x, stride) = if weight.size()[2..] == [1, 1] && padding == [0, 0] {
        (subsample(&x, stride)?, [1, 1])
    } else {
        (x, stride)
    };
    Ok(unambiguous(&x)?.f_conv2d(
        weight,
        bias,
        ints(stride),
        ints(padding),
        ints(dilation),
        int(conv.groups),
    )?)
}

/// An input with the padding that its windows still need, the same on both sides of an axis: that
/// of the geometry, or none where it is lopsided and has been put around the input as `value`.
pub(crate) fn padded(x: &Tensor, geometry: Geometry, value: f64) -> Result<(Tensor, [usize; 2])> {
    if !geometry.is_lopsided() {
        return Ok((x.shallow_clone(), geometry.padding));
    }
    let ([top, left], [bottom, right]) = (ints(geometry.padding), ints(geometry.padding_after));
    Ok((x.f_pad([left, right, top, bottom], "constant", value)?, [0, 0]))
}

/// `true` for windows whose maxima a kernel of this crate finds on the CPU.
pub(crate) fn has_fused_pool(geometry: Geometry) -> bool {
    let Geometry { kernel, stride, padding, .. } = geometry;
    // Lopsided padding is put around the input before.
    fused::has_pool(kernel, stride) && (padding == [0, 0] || geometry.is_lopsided())
}

/// The positions that a convolution of kernel 1 reads. Left to itself, the oneDNN of libtorch 2.11
/// copies them to a buffer that is too small where channels are few, in the gradient for the
/// weights (CPU, channels last): it writes past the end, and the program crashes later or its
/// gradients are wrong (oneDNN issue 6035).
fn subsample(x: &Tensor, stride: [usize; 2]) -> Result<Tensor> {
    if stride == [1, 1] {
        return Ok(x.shallow_clone());
    }
    let [height, width] = ints(stride);
    let read = x.f_slice(2, None, None, height)?.f_slice(3, None, None, width)?;
    Ok(read.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// Images of one channel with the strides of channels first. Their memory is the same either way,
/// but where the strides say channels last, libtorch 2.11 returns wrong sums in single precision on
/// the CPU for strides that differ between the axes (kernel 3, stride 1 by 2, outputs of width 1).
fn unambiguous(x: &Tensor) -> Result<Tensor> {
    if x.dim() != 4 || x.size()[1] != 1 {
        return Ok(x.shallow_clone());
    }
    Ok(x.f_reshape([-1])?.f_reshape(x.size())?)
}

/// A node that has neither weights nor state (eqs. 5, 6, 6b and 6c).
pub(crate) fn stateless(node: &Node, inputs: &[Value]) -> Result<Value> {
    let Some(first) = inputs.first() else {
        return Err(refused(node, "has no inputs"));
    };
    let x = &first.data;
    match &node.op {
        Op::Pool { pool, window } => {
            let geometry = window.as_2d();
            // What lies outside is no value to a maximum, and a zero to a sum.
            let outside = if *pool == PoolKind::Max { f64::NEG_INFINITY } else { 0.0 };
            let (x, padding) = padded(x, geometry, outside)?;
            let Geometry { kernel, stride, .. } = geometry;
            if *pool == PoolKind::Max
                && has_fused_pool(geometry)
                && let Some(pooled) = fused::max_pool(&x, kernel, stride)?
            {
                return Ok(first.with(pooled));
            }
            let (kernel, stride, padding) = (ints(kernel), ints(stride), ints(padding));
            let average = |divisor| {
                x.f_avg_pool2d(kernel, stride, padding, false, true, Some(divisor))
                    .map_err(Error::from)
            };
            Ok(first.with(match pool {
                PoolKind::Max => x.f_max_pool2d(kernel, stride, padding, [1, 1], false)?,
                PoolKind::Average => average(int(window.size()))?,
                PoolKind::Sum => average(1)?,
            }))
        }
        Op::GlobalPool { pool } => {
            if x.dim() == 2 {
                return Ok(first.with(x.shallow_clone()));
            }
            let (height, width) = (x.size()[2], x.size()[3]);
            // Not a mean over axes: its gradient is no longer channels last, and all layers before
            // it become slower.
            let sum = |divisor| {
                x.f_avg_pool2d([height, width], [1, 1], [0, 0], false, true, Some(divisor))?
                    .f_flatten(1, -1)
            };
            Ok(first.with(match pool {
                PoolKind::Max => x.f_amax([2, 3], false)?,
                PoolKind::Average => sum(height * width)?,
                PoolKind::Sum => sum(1)?,
            }))
        }
        Op::Flatten => Ok(first.with(x.f_flatten(1, -1)?)),
        Op::Add => add(inputs),
        Op::Concat => {
            let steps = inputs.iter().map(|value| value.steps).max().unwrap_or(1);
            let spread =
                inputs.iter().map(|value| over_time(value, steps)).collect::<Result<Vec<_>>>()?;
            Ok(Value::new(Tensor::f_cat(&spread, 1)?, steps))
        }
        Op::ChannelSum { groups } => Ok(first.with(channel_sum(x, *groups)?)),
        Op::Mask { inverted } => mask(first, &inputs[snn_ir::MASKED], *inverted),
        _ => Err(refused(node, "has weights or state")),
    }
}

/// A node that an interpreter cannot compute; a model that was validated has none.
pub(crate) fn refused(node: &Node, reason: &str) -> Error {
    Error::Model(snn_ir::Error::Refused { node: node.name.clone(), reason: reason.into() })
}

/// Sums values from left to right; those that do not vary over time are broadcast over it.
fn add(inputs: &[Value]) -> Result<Value> {
    let steps = inputs.iter().map(|value| value.steps).max().unwrap_or(1);
    let mut terms = inputs.iter();
    let first = terms.next().map(|first| (first.data.shallow_clone(), first.steps));
    let (mut sum, mut sum_steps) = first.ok_or_else(|| Error::Torch("a sum of nothing".into()))?;
    for term in terms {
        (sum, sum_steps) = if term.steps == sum_steps {
            (sum.f_add(&term.data)?, sum_steps)
        } else {
            (
                split_time(&sum, sum_steps)?
                    .f_add(&split_time(&term.data, term.steps)?)?
                    .f_flatten(0, 1)?,
                steps,
            )
        };
    }
    Ok(Value::new(sum, sum_steps))
}

/// Eq. 6c, channels last in memory as all else.
fn channel_sum(x: &Tensor, groups: usize) -> Result<Tensor> {
    let mut shape = x.size();
    let each = shape[1] / int(groups);
    shape[1] = int(groups);
    shape.insert(2, each);
    let sum = x.f_reshape(shape)?.f_sum_dim_intlist([2_i64].as_slice(), false, x.f_kind()?)?;
    if sum.dim() == 2 {
        return Ok(sum);
    }
    Ok(sum.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// Eq. 6b. Gradients flow into both, as of any product.
fn mask(mask: &Value, x: &Value, inverted: bool) -> Result<Value> {
    let size = x.data.size();
    let steps = mask.steps.max(x.steps);
    // Time and samples are two axes where one of the two values does not vary over time.
    let (mask, x, before) = if mask.steps == x.steps {
        (mask.data.shallow_clone(), x.data.shallow_clone(), 1)
    } else {
        (split_time(&mask.data, mask.steps)?, split_time(&x.data, x.steps)?, 2)
    };
    let (mut gate_shape, mut shape) = (mask.size(), x.size());
    // A mask of one position has one along every axis.
    gate_shape.resize(shape.len(), 1);
    let (groups, channels) = (gate_shape[before], shape[before]);
    if groups > 1 && groups < channels {
        gate_shape.insert(before + 1, 1);
        shape[before] = groups;
        shape.insert(before + 1, channels / groups);
    }
    let gate = mask.f_reshape(gate_shape)?;
    let gate = if inverted { gate.f_neg()?.f_add_scalar(1.0)? } else { gate };
    let mut merged = size;
    merged[0] = -1;
    Ok(Value::new(x.f_reshape(shape)?.f_mul(&gate)?.f_reshape(merged)?, steps))
}

/// `[steps·B, …]` as `[steps, B, …]`; no copy.
pub(crate) fn split_time(data: &Tensor, steps: usize) -> Result<Tensor> {
    let mut shape = data.size();
    let batch = shape[0] / int(steps);
    shape[0] = batch;
    shape.insert(0, int(steps));
    Ok(data.f_view(shape.as_slice())?)
}

/// The data of all macro-steps, repeated where it does not vary.
fn over_time(value: &Value, steps: usize) -> Result<Tensor> {
    if value.steps == steps {
        return Ok(value.data.shallow_clone());
    }
    let mut repeats = vec![1; value.data.dim()];
    repeats[0] = int(steps);
    Ok(value.data.f_repeat(repeats)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    /// Values and both gradients of a mask, in each way in which it is shared, against eq. 6b value
    /// by value; in bf16 too, since spikes and small levels are exact there.
    #[test]
    fn a_mask_and_its_gradients_are_those_of_the_product() {
        let (batch, channels, height, width) = (2_usize, 6_usize, 3_usize, 2_usize);
        let positions = height * width;
        for (groups, whole) in [(6, false), (3, false), (1, false), (6, true), (2, true)] {
            for (mask_steps, x_steps) in [(2, 2), (2, 1), (1, 2)] {
                for (inverted, kind) in
                    [(false, Kind::Float), (true, Kind::Double), (true, Kind::BFloat16)]
                {
                    let gates = if whole { 1 } else { positions };
                    let image = |values: Tensor, steps: usize, channels: usize, flat: bool| {
                        let lead = int(steps * batch);
                        let size = if flat {
                            vec![lead, int(channels)]
                        } else {
                            vec![lead, int(height), int(width), int(channels)]
                        };
                        let leaf =
                            values.to_kind(kind).reshape(size.as_slice()).set_requires_grad(true);
                        let data =
                            if flat { leaf.shallow_clone() } else { leaf.permute([0, 3, 1, 2]) };
                        (leaf, Value::new(data, steps))
                    };
                    let (m_leaf, m) = image(
                        numbers(int(mask_steps * batch * groups * gates), 7, 2, 0),
                        mask_steps,
                        groups,
                        whole,
                    );
                    let (x_leaf, x) = image(
                        numbers(int(x_steps * batch * channels * positions), 5, 9, 4),
                        x_steps,
                        channels,
                        false,
                    );
                    let y = mask(&m, &x, inverted).unwrap();
                    assert_eq!(y.steps, 2);
                    assert_eq!(y.data.size(), [4, 6, 3, 2]);
                    assert_eq!(y.data.stride()[1], 1, "channels last");
                    let cotangent = numbers(int(4 * channels * positions), 3, 5, 2)
                        .reshape([4, 3, 2, 6])
                        .permute([0, 3, 1, 2])
                        .to_kind(kind);
                    (&y.data * &cotangent).sum(kind).backward();
                    let flat = |t: &Tensor| {
                        Vec::<f64>::try_from(t.to_kind(Kind::Double).contiguous().reshape([-1]))
                            .unwrap()
                    };
                    // Channels first, as the equation numbers them.
                    let first = |t: &Tensor| flat(&t.permute([0, 3, 1, 2]));
                    let (ms, xs, found) = (flat(&m.data), flat(&x.data), flat(&y.data));
                    let weights = flat(&cotangent);
                    let mut of_m = vec![0.0; ms.len()];
                    let mut of_x = vec![0.0; xs.len()];
                    for n in 0..2 * batch {
                        let at = |steps: usize| if steps == 1 { n % batch } else { n };
                        for c in 0..channels {
                            for p in 0..positions {
                                let g = c / (channels / groups);
                                let i = (at(mask_steps) * groups + g) * gates
                                    + if whole { 0 } else { p };
                                let j = (at(x_steps) * channels + c) * positions + p;
                                let k = (n * channels + c) * positions + p;
                                let (gate, sign) =
                                    if inverted { (1.0 - ms[i], -1.0) } else { (ms[i], 1.0) };
                                assert!((found[k] - gate * xs[j]).abs() < 1e-12);
                                of_m[i] += sign * weights[k] * xs[j];
                                of_x[j] += gate * weights[k];
                            }
                        }
                    }
                    let gradient = if whole { flat(&m_leaf.grad()) } else { first(&m_leaf.grad()) };
                    assert_eq!(gradient, of_m, "{groups} groups, whole {whole}, {kind:?}");
                    assert_eq!(
                        first(&x_leaf.grad()),
                        of_x,
                        "{groups} groups, whole {whole}, {kind:?}"
                    );
                }
            }
        }
    }

    /// Integers below `modulus`, less `shift`.
    fn numbers(count: i64, factor: i64, modulus: i64, shift: i64) -> Tensor {
        let values: Vec<f64> = (0..count).map(|i| (i * factor % modulus - shift) as f64).collect();
        Tensor::from_slice(&values)
    }

    #[test]
    fn one_channel_in_channels_last_memory_convolves_as_in_double_precision() {
        for (kernel, stride, height, width) in
            [(3, [1, 2], 5, 3), (3, [1, 2], 2, 4), (3, [2, 1], 3, 5), (1, [2, 2], 4, 4)]
        {
            let conv = Conv { stride: stride.to_vec(), ..Conv::square(2, kernel, 1) };
            let conv = Conv { padding: vec![kernel / 2, 0], ..conv };
            let (positions, size) = (int(height * width), [2, int(height), int(width), 1]);
            let x = numbers(2 * positions, 7, 11, 0).f_reshape(size).unwrap();
            let weight = numbers(int(2 * kernel * kernel), 13, 19, 9)
                .f_reshape([2, 1, int(kernel), int(kernel)])
                .unwrap();
            let run = |kind| {
                let x = x.f_to_kind(kind).unwrap().f_permute([0, 3, 1, 2]).unwrap();
                assert_eq!(x.stride()[1], 1, "the strides of channels last");
                let y = convolve(&x, &weight.f_to_kind(kind).unwrap(), None, &conv).unwrap();
                Vec::<f64>::try_from(y.f_to_kind(Kind::Double).unwrap().f_reshape([-1]).unwrap())
                    .unwrap()
            };
            assert_eq!(run(Kind::Float), run(Kind::Double), "kernel {kernel}, stride {stride:?}");
        }
    }
    /// Sums, averages, maxima and convolutions of lopsided windows are those of the image with the
    /// padding written out, in both memory layouts; a maximum never is what lies outside.
    #[test]
    fn lopsided_padding_is_that_of_an_image_with_the_padding_written_out() {
        for layout in [false, true] {
            let x = numbers(2 * 3 * 5 * 4, 7, 11, 20).f_reshape([2, 3, 5, 4]).unwrap();
            let x =
                if layout { x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { x };
            let outside = |value: f64| x.pad([0, 1, 1, 0], "constant", value);
            let window =
                |padding| snn_ir::Window { kernel: vec![2, 3], stride: vec![1, 2], padding };
            for (pool, value) in
                [(PoolKind::Sum, 0.0), (PoolKind::Average, 0.0), (PoolKind::Max, f64::NEG_INFINITY)]
            {
                let run = |x: &Tensor, padding| {
                    let op = Op::Pool { pool, window: window(padding) };
                    let node = Node::new("pool", op, Vec::new());
                    let value = Value::new(x.shallow_clone(), 1);
                    stateless(&node, &[value]).unwrap().data
                };
                let found = run(&x, vec![1, 0, 0, 1]);
                assert!(found.equal(&run(&outside(value), vec![0, 0])), "{pool:?}");
                assert!(!found.equal(&run(&x, vec![0, 1, 1, 0])), "{pool:?}: sides swapped");
                assert!(found.max().double_value(&[]) < 0.0, "{pool:?}: a zero from outside");
            }
            let conv = |padding| Conv {
                kernel: vec![2, 3],
                stride: vec![1, 2],
                padding,
                ..Conv::square(2, 1, 1)
            };
            let weight = numbers(2 * 3 * 6, 13, 19, 9).f_reshape([2, 3, 2, 3]).unwrap();
            let run = |x: &Tensor, padding| convolve(x, &weight, None, &conv(padding)).unwrap();
            let found = run(&x, vec![1, 0, 0, 1]);
            assert!(found.equal(&run(&outside(0.0), vec![0, 0])));
            assert!(!found.equal(&run(&x, vec![0, 1, 1, 0])), "sides swapped");
        }
    }

    #[test]
    fn a_strided_kernel_of_one_with_few_channels_has_the_gradients_of_double_precision() {
        for (batch, channels, filters, size, stride) in [
            (32, 4, 8, 32, [2, 2]),
            (6, 2, 2, 9, [3, 3]),
            (5, 3, 4, 8, [2, 1]),
            (4, 6, 5, 7, [1, 2]),
        ] {
            let conv = Conv { stride: stride.to_vec(), ..Conv::square(filters, 1, 1) };
            let (batch, channels, filters, size) =
                (int(batch), int(channels), int(filters), int(size));
            let x = numbers(batch * size * size * channels, 7, 11, 5)
                .f_reshape([batch, size, size, channels])
                .unwrap();
            let weight = numbers(filters * channels, 13, 19, 9)
                .f_reshape([filters, channels, 1, 1])
                .unwrap();
            let run = |kind| {
                let leaf = |x: &Tensor| {
                    x.f_to_kind(kind).unwrap().copy().f_set_requires_grad(true).unwrap()
                };
                let (x, weight) = (leaf(&x), leaf(&weight));
                let y =
                    convolve(&x.f_permute([0, 3, 1, 2]).unwrap(), &weight, None, &conv).unwrap();
                let cotangent = numbers(int(y.numel()), 3, 5, 2)
                    .f_reshape(y.size())
                    .unwrap()
                    .f_to_kind(kind)
                    .unwrap();
                y.f_mul(&cotangent).unwrap().f_sum(kind).unwrap().f_backward().unwrap();
                [y.detach(), x.grad(), weight.grad()]
                    .map(|t| Vec::<f64>::try_from(t.reshape([-1]).to_kind(Kind::Double)).unwrap())
            };
            assert_eq!(
                run(Kind::Float),
                run(Kind::Double),
                "{channels} channels, stride {stride:?}"
            );
        }
    }
}
