//! Shapes of outputs.

use super::MAX_WEIGHTS;
use crate::error::{Error, Result};
use crate::graph::op::{extent, sides};
use crate::graph::{Conv, MASKED, Node, Op, Window};

pub(super) fn output_shape(node: &Node, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    let misfit = |expected: String, found: &[usize]| Error::Shape {
        node: node.name.clone(),
        expected,
        found: found.to_vec(),
    };
    match &node.op {
        Op::Input { shape } | Op::Delay { shape, .. } => {
            if (1..=3).contains(&shape.len()) {
                Ok(shape.clone())
            } else {
                Err(misfit("a shape [C, H, W], [C, L] or [F]".into(), shape))
            }
        }
        Op::Conv(conv) => {
            conv_shape(conv, inputs[0]).map_err(|expected| misfit(expected, inputs[0]))
        }
        Op::Linear { features, .. } => match inputs[0] {
            _ if *features == 0 => Err(Error::Attribute {
                node: node.name.clone(),
                field: "features",
                expected: "at least 1",
                found: "0".into(),
            }),
            [inputs] => {
                check_weight_count(&[*features, *inputs])
                    .map_err(|expected| misfit(expected, &[*features, *inputs]))?;
                Ok(vec![*features])
            }
            other => Err(misfit("[F] (flatten first)".into(), other)),
        },
        Op::Pool { window, .. } => {
            pool_shape(window, inputs[0]).map_err(|expected| misfit(expected, inputs[0]))
        }
        Op::GlobalPool { .. } => Ok(vec![inputs[0][0]]),
        Op::Flatten => Ok(vec![inputs[0].iter().product()]),
        Op::Scale
        | Op::BatchNorm { .. }
        | Op::Activation { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. } => Ok(inputs[0].to_vec()),
        Op::Add => match inputs.iter().find(|shape| **shape != inputs[0]) {
            Some(other) => Err(misfit(format!("equal shapes {:?}", inputs[0]), other)),
            None => Ok(inputs[0].to_vec()),
        },
        Op::Concat => {
            if let Some(other) = inputs.iter().find(|shape| shape[1..] != inputs[0][1..]) {
                Err(misfit(format!("shapes [C, {:?}]", &inputs[0][1..]), other))
            } else {
                let mut shape = inputs[0].to_vec();
                shape[0] = inputs.iter().fold(0_usize, |sum, s| sum.saturating_add(s[0]));
                Ok(shape)
            }
        }
        Op::ChannelSum { groups } => {
            if *groups == 0 || !inputs[0][0].is_multiple_of(*groups) {
                return Err(misfit(format!("channels that {groups} groups divide"), inputs[0]));
            }
            let mut shape = inputs[0].to_vec();
            shape[0] = *groups;
            Ok(shape)
        }
        Op::Mask { .. } => {
            mask_shape(inputs[0], inputs[MASKED]).map_err(|expected| misfit(expected, inputs[0]))
        }
        Op::TimeMean | Op::TimeLast | Op::TimeMax => match inputs[0] {
            [_] => Ok(inputs[0].to_vec()),
            other => Err(misfit("[classes]".into(), other)),
        },
    }
}

/// Eq. 6b: the mask has one channel for each group of channels of `x`, and one position or those of
/// `x`.
fn mask_shape(mask: &[usize], x: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let positions = mask[1..] == x[1..] || mask[1..].iter().all(|&size| size == 1);
    if positions && x[0].is_multiple_of(mask[0]) {
        return Ok(x.to_vec());
    }
    let expected = format!("a mask [G] or [G, …] with G a divisor of {}", x[0]);
    Err(if x.len() > 1 {
        format!("{expected} and {:?} (or 1) positions, for the masked shape {x:?}", &x[1..])
    } else {
        format!("{expected}, for the masked shape {x:?}")
    })
}

fn conv_shape(conv: &Conv, input: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let rank = conv.kernel.len();
    if input.len() != rank + 1 {
        return Err(format!("[C] and {rank} spatial axes"));
    }
    if !input[0].is_multiple_of(conv.groups) {
        return Err(format!("channels that {} groups divide", conv.groups));
    }
    check_weight_count(
        &[&[conv.channels, input[0] / conv.groups], conv.kernel.as_slice()].concat(),
    )?;
    let mut shape = vec![conv.channels];
    let (before, after) = sides(&conv.padding, rank);
    for axis in 0..rank {
        let extent = extent(conv.kernel[axis], conv.dilation[axis]);
        let padding = before[axis] + after[axis];
        shape.push(windows(input[axis + 1], extent, conv.stride[axis], padding)?);
    }
    Ok(shape)
}

fn check_weight_count(shape: &[usize]) -> std::result::Result<(), String> {
    match shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)) {
        Some(count) if count <= MAX_WEIGHTS => Ok(()),
        _ => Err(format!("at most {MAX_WEIGHTS} weights, not {shape:?}")),
    }
}

fn pool_shape(window: &Window, input: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let rank = window.kernel.len();
    if input.len() != rank + 1 {
        return Err(format!("[C] and {rank} spatial axes"));
    }
    let mut shape = vec![input[0]];
    let (before, after) = sides(&window.padding, rank);
    for axis in 0..rank {
        let padding = before[axis] + after[axis];
        shape.push(windows(input[axis + 1], window.kernel[axis], window.stride[axis], padding)?);
    }
    Ok(shape)
}

/// Number of positions of a window along an axis (eq. 5); `padding` is that of both sides together.
fn windows(
    size: usize,
    extent: usize,
    stride: usize,
    padding: usize,
) -> std::result::Result<usize, String> {
    let padded = size + padding;
    if padded < extent {
        return Err(format!("an axis of at least {extent} with padding {padding} in all"));
    }
    Ok((padded - extent) / stride + 1)
}
