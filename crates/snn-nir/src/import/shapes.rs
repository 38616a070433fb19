//! Shapes of what flows through a flat graph.

use crate::error::{Error, Result};
use crate::flat::Flat;
use crate::op::{Conv, Op, Padding};
use std::collections::BTreeMap;

/// The most channels of all nodes together. One value of a file may stand for all channels of a
/// node; this bounds what is made of it.
const MAX_ALL_CHANNELS: usize = 1 << 24;

/// The shape of each node's output.
pub(super) fn infer(flat: &Flat) -> Result<BTreeMap<String, Vec<usize>>> {
    let mut shapes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let Some(Op::Input { shape }) = flat.nodes.get(&flat.input) else {
        return Err(Error::Graph("its input is no Input".into()));
    };
    if !(1..=3).contains(&shape.len()) {
        return Err(Error::refused(
            &flat.input,
            format!("expected a shape [C, H, W], [C, L] or [F], found {shape:?}"),
        ));
    }
    shapes.insert(flat.input.clone(), shape.clone());
    let mut pending = vec![flat.input.clone()];
    while let Some(name) = pending.pop() {
        let input = shapes[&name].clone();
        for target in flat.targets_of(&name) {
            let output = output(flat, target, &input)?;
            match shapes.get(target) {
                None => {
                    shapes.insert(target.clone(), output);
                    pending.push(target.clone());
                }
                Some(known) if *known == output => {}
                Some(known) => {
                    return Err(Error::refused(
                        target,
                        format!(
                            "it reads shapes that make outputs of {known:?} and {output:?}; the \
                             latter comes from `{name}`, of shape {input:?}"
                        ),
                    ));
                }
            }
        }
    }
    let channels = shapes.values().map(|shape| shape.first().copied().unwrap_or(1));
    let channels = channels.fold(0_usize, usize::saturating_add);
    if channels > MAX_ALL_CHANNELS {
        return Err(Error::Graph(format!(
            "its nodes have {channels} channels together; expected at most {MAX_ALL_CHANNELS}"
        )));
    }
    match flat.nodes.keys().find(|name| !shapes.contains_key(*name)) {
        None => Ok(shapes),
        Some(name) => Err(Error::refused(
            name,
            "no edge leads to it from the Input, so that there is nothing for it to read",
        )),
    }
}

/// The shape of the output of a node that reads this shape.
fn output(flat: &Flat, name: &str, input: &[usize]) -> Result<Vec<usize>> {
    let misfit = |expected: String| {
        Error::refused(name, format!("expected an input {expected}, found shape {input:?}"))
    };
    match &flat.nodes[name] {
        Op::Affine { weight, .. } | Op::Linear { weight } => match (weight.shape(), input) {
            (&[outputs, inputs], &[size]) if inputs == size => Ok(vec![outputs]),
            (&[_, inputs], _) => Err(misfit(format!("of shape [{inputs}]"))),
            (shape, _) => Err(Error::refused(
                name,
                format!("its weight has the shape {shape:?}; ours are [outputs, inputs]"),
            )),
        },
        Op::Conv1d(conv) | Op::Conv2d(conv) => conv_shape(conv, input).map_err(misfit),
        Op::AvgPool2d(pool) | Op::SumPool2d(pool) => {
            let [channels, height, width] = *input else {
                return Err(misfit("of shape [C, H, W]".into()));
            };
            let mut shape = vec![channels];
            for (axis, size) in [height, width].into_iter().enumerate() {
                let padding = 2 * pool.padding[axis];
                let size = windows(size, pool.kernel_size[axis], pool.stride[axis], padding);
                shape.push(size.map_err(misfit)?);
            }
            Ok(shape)
        }
        Op::Flatten { start_dim, end_dim, .. } => {
            let shape = flattened(input, *start_dim, *end_dim)
                .ok_or_else(|| misfit(format!("that has the axes {start_dim} to {end_dim}")))?;
            // Some exporters count the axis of the batch. Then only the whole vector fits what
            // reads it.
            let whole = size(input);
            let readers = flat.targets_of(name);
            let fits = |reader: &String| match &flat.nodes[reader] {
                Op::Affine { weight, .. } | Op::Linear { weight } => {
                    weight.shape().last() == Some(&whole)
                }
                _ => false,
            };
            if shape.len() > 1 && !readers.is_empty() && readers.iter().all(fits) {
                return Ok(vec![whole]);
            }
            Ok(shape)
        }
        Op::Input { .. }
        | Op::Output { .. }
        | Op::Scale { .. }
        | Op::If { .. }
        | Op::Lif { .. }
        | Op::Li { .. }
        | Op::CubaLif { .. }
        | Op::CubaLi { .. }
        | Op::I { .. }
        | Op::Delay { .. }
        | Op::Threshold { .. } => Ok(input.to_vec()),
        Op::Graph(_) => Err(Error::refused(name, "it is a graph in a graph that has none")),
    }
}

fn conv_shape(conv: &Conv, input: &[usize]) -> std::result::Result<Vec<usize>, String> {
    let kernel = &conv.weight.shape()[2..];
    let channels = conv.weight.shape()[1].saturating_mul(conv.groups);
    if input.len() != kernel.len() + 1 || input[0] != channels {
        return Err(format!("of {channels} channels and {} axes", kernel.len()));
    }
    let mut shape = vec![conv.weight.shape()[0]];
    let padding = padding(conv);
    for axis in 0..kernel.len() {
        let both = padding[axis].saturating_add(padding[axis + kernel.len()]);
        let extent = (kernel[axis] - 1).saturating_mul(conv.dilation[axis]).saturating_add(1);
        shape.push(windows(input[axis + 1], extent, conv.stride[axis], both)?);
    }
    Ok(shape)
}

/// Padding before each axis, then behind each.
pub(super) fn padding(conv: &Conv) -> Vec<usize> {
    let kernel = &conv.weight.shape()[2..];
    match &conv.padding {
        Padding::Valid => vec![0; 2 * kernel.len()],
        Padding::Zeros(sizes) => [sizes.as_slice(), sizes].concat(),
        Padding::Same => {
            let total: Vec<usize> = (0..kernel.len())
                .map(|axis| (kernel[axis] - 1).saturating_mul(conv.dilation[axis]))
                .collect();
            let before = total.iter().map(|total| total / 2);
            let after = total.iter().map(|total| total - total / 2);
            before.chain(after).collect()
        }
    }
}

fn windows(
    size: usize,
    extent: usize,
    stride: usize,
    padding: usize,
) -> std::result::Result<usize, String> {
    let padded = size.saturating_add(padding);
    if padded < extent {
        return Err(format!("of at least {extent} along each axis, with padding {padding} in all"));
    }
    Ok((padded - extent) / stride + 1)
}

/// The shape with the axes from `start` to `end` made one; `None` where there are no such axes.
fn flattened(input: &[usize], start: i64, end: i64) -> Option<Vec<usize>> {
    let rank = i64::try_from(input.len()).ok()?;
    let at = |axis: i64| usize::try_from(if axis < 0 { axis + rank } else { axis }).ok();
    let (start, end) = (at(start)?, at(end)?);
    // A vector is flat, whatever axis of a batch was counted.
    if input.len() == 1 {
        return Some(input.to_vec());
    }
    if start > end || end >= input.len() {
        return None;
    }
    let middle = size(&input[start..=end]);
    Some([&input[..start], &[middle], &input[end + 1..]].concat())
}

fn size(shape: &[usize]) -> usize {
    shape.iter().fold(1, |all, &size| all.saturating_mul(size))
}
