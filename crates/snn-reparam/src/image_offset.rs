//! The integer mean of images (eq. 1), where a network was trained with another one.
//!
//! Others read `x = (p − m)/S` of a pixel p with any mean m, we read `(p − M)/S` with an integer M.
//! The difference `d = (M − m)/S` is added to each value of a channel: by a batch norm of the image
//! ([`keep`]), which is exact and which training frameworks have as well; or in the biases of the
//! layers that read it ([`take_up`]), which leaves integer pixels, as events need, and is exact but
//! at a border of zero padding: there the other network has a zero, and we have d.

use crate::graph_edit::{factors, free_name};
use ndarray::{Array1, ArrayD, Axis};
use serde::Serialize;
use snn_ir::{Graph, Model, Node, Norm, Op, PoolKind, Preprocessing, Result, Tensor, Weights};
use std::collections::BTreeMap;
use std::fmt;

/// Where differences to an integer mean went.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Remainder {
    /// `d_c`: what every value of a channel lacks with the integer mean.
    pub offset: Vec<f64>,
    /// The batch norm of the image that adds it, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<String>,
    /// Nodes whose bias (of a batch norm, mean) took it up.
    pub taken_up_by: Vec<String>,
    /// Upper bound of what remains in a current at the border, where a convolution reads zero
    /// padding: the largest `|κ|·Σ |w|·|d_c|` over the taps that may lie in the padding, κ the
    /// factor of a batch norm that alone reads the layer; 0 where no tap does, or no mean was
    /// rounded.
    pub at_border: f64,
}

impl fmt::Display for Remainder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.offset.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
        if most == 0.0 {
            return f.write_str("means are integers in pixel terms");
        }
        write!(
            f,
            "means are no integers in pixel terms: each value differs by at most {most:.3e}"
        )?;
        match &self.kept_by {
            Some(norm) => write!(
                f,
                ", which the batch norm `{norm}` adds; `snn quantise` moves it into the layers \
                 that read the image"
            ),
            None => write!(
                f,
                ", which {} take up; at the border at most {:.3e} of a current remains",
                self.taken_up_by.join(", "),
                self.at_border
            ),
        }
    }
}

/// Adds `offset[c]` to every value of channel c of the input node by a batch norm that all its
/// readers read in its place, and gives the name of that node.
///
/// # Errors
/// The input node has another number of channels.
pub fn keep(graph: &mut Graph, weights: &mut Weights, offset: &[f64]) -> Result<Remainder> {
    let mut remainder = Remainder { offset: offset.to_vec(), ..Remainder::default() };
    let Some(input) = graph.nodes.first().map(|node| node.name.clone()) else {
        return Ok(remainder);
    };
    if offset.iter().all(|d| *d == 0.0) {
        return Ok(remainder);
    }
    let name = free_name(format!("{input}_offset"), |name| graph.node(name).is_some());
    for read in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if *read == input {
            read.clone_from(&name);
        }
    }
    let norm = Norm::without_scale();
    graph.nodes.insert(1, Node::new(&name, Op::BatchNorm(norm), vec![input]));
    let dtype = if weights.values().any(|tensor| tensor.dtype() == "f64") { "f64" } else { "f32" };
    let mut set = |part: &str, values| {
        weights.insert(format!("{name}.{part}"), of_type(dtype, values));
    };
    set("bias", offset.to_vec());
    set("running_mean", vec![0.0; offset.len()]);
    set("running_var", vec![1.0 - norm.eps; offset.len()]);
    graph.resolve()?;
    remainder.kept_by = Some(name);
    Ok(remainder)
}

/// The same network without a batch norm of its image, which becomes mean, deviation and biases
/// ([`take_up`]), with the name of that node; `None` if it has none of which all factors
/// `κ = γ/√(σ² + ε)` are positive.
///
/// # Errors
/// The image reaches an operation through which a constant cannot be moved; it is named.
pub fn integer_pixels(model: &Model) -> Result<Option<(Model, String, Remainder)>> {
    let Some(input) = model.graph().nodes.first().map(|node| node.name.clone()) else {
        return Ok(None);
    };
    let Some((name, norm)) = sole_norm(model.graph(), &input) else { return Ok(None) };
    let (mut signature, mut weights) = model.clone().into_parts();
    let factor = factors(&weights, &name, norm)?;
    if factor.iter().any(|factor| !(*factor > 0.0 && factor.is_finite())) {
        return Ok(None);
    }
    let part = |part| snn_ir::weights::real(&weights, &name, part);
    let added = part("bias")? - part("running_mean")? * &factor;
    let Preprocessing { mean, std } = &signature.preprocessing;
    let (mut means, mut stds, mut offset) = (Vec::new(), Vec::new(), Vec::new());
    for (((mean, std), factor), added) in mean.iter().zip(std).zip(&factor).zip(&added) {
        let std = std / factor;
        let exact = f64::from(*mean) - added * std;
        let nearest = nearest_mean(exact);
        means.push(nearest);
        stds.push(std);
        offset.push((f64::from(nearest) - exact) / std);
    }
    signature.preprocessing = Preprocessing::new(means, stds);
    let graph = &mut signature.graph;
    graph.nodes.retain(|node| node.name != name);
    for read in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if *read == name {
            read.clone_from(&input);
        }
    }
    weights.retain(|part, _| part.rsplit_once('.').is_none_or(|(node, _)| node != name));
    let remainder = take_up(graph, &mut weights, &offset)?;
    Ok(Some((Model::new(signature, weights), name, remainder)))
}

/// The batch norm that is the only reader of a node.
fn sole_norm(graph: &Graph, node: &str) -> Option<(String, Norm)> {
    let mut readers = graph.readers(node);
    let (reader, None) = (readers.next()?, readers.next()) else { return None };
    match &reader.op {
        Op::BatchNorm(norm) => Some((reader.name.clone(), *norm)),
        _ => None,
    }
}

/// The integer mean that is nearest to a mean in pixel terms.
#[must_use]
pub fn nearest_mean(mean: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of a pixel"
    )]
    let nearest = mean.round().clamp(0.0, f64::from(u8::MAX)) as u8;
    nearest
}

/// Adds `offset[c]` to every value of channel c of the input node, in the layers that read it, so
/// that the network computes what it would of `x + d`: in the bias of a layer that has one, in the
/// mean of the batch norm that alone reads the layer, or in a bias that is made. That is exact but
/// where a convolution reads zero padding, since the padding is not offset.
///
/// # Errors
/// The image reaches an operation through which a constant cannot be moved; it is named.
pub fn take_up(graph: &mut Graph, weights: &mut Weights, offset: &[f64]) -> Result<Remainder> {
    let mut remainder = Remainder { offset: offset.to_vec(), ..Remainder::default() };
    let Some(input) = graph.nodes.first() else { return Ok(remainder) };
    if offset.iter().all(|d| *d == 0.0) {
        return Ok(remainder);
    }
    let shapes = graph.shapes()?;
    // Offset of each channel of the nodes that move the image on.
    let mut moved = BTreeMap::from([(input.name.clone(), offset.to_vec())]);
    for (index, shape) in shapes.iter().enumerate().skip(1) {
        let node = &graph.nodes[index];
        let Some(from) = node.inputs.iter().find_map(|input| moved.get(input)).cloned() else {
            continue;
        };
        let name = node.name.clone();
        let refuse = |what: &str| snn_ir::Error::Refused {
            node: name.clone(),
            reason: format!(
                "it reads the image and is {what}, through which the difference to an integer mean \
                 cannot be moved; give means that are integers in pixel terms (m = n/255)"
            ),
        };
        let average = |window: &snn_ir::Window| window.padding.iter().all(|p| *p == 0);
        match &node.op {
            Op::Conv(conv) => {
                let padded = conv.padding.iter().any(|p| *p > 0);
                let (shift, most) = shift(weights, &name, conv.groups, &from)?;
                if padded {
                    let factors = match sole_norm(graph, &name) {
                        Some((norm, attributes)) => factors(weights, &norm, attributes)?,
                        None => Array1::ones(most.len()).into_dyn(),
                    };
                    let bounds =
                        most.iter().zip(&factors).map(|(most, factor)| most * factor.abs());
                    remainder.at_border = bounds.fold(remainder.at_border, f64::max);
                }
                remainder.taken_up_by.push(add(graph, weights, index, &shift)?);
            }
            Op::Linear { .. } => {
                let (shift, _) = shift(weights, &name, 1, &from)?;
                remainder.taken_up_by.push(add(graph, weights, index, &shift)?);
            }
            Op::BatchNorm(_) => {
                less(weights, &format!("{name}.running_mean"), &from)?;
                remainder.taken_up_by.push(name);
            }
            Op::Flatten => {
                let each = shape[0] / from.len().max(1);
                let spread = from.iter().flat_map(|d| std::iter::repeat_n(*d, each)).collect();
                moved.insert(name, spread);
            }
            Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::Pool { pool: PoolKind::Max, .. }
            | Op::GlobalPool { pool: PoolKind::Max | PoolKind::Average } => {
                moved.insert(name, from);
            }
            Op::Pool { pool: PoolKind::Average, window } if average(window) => {
                moved.insert(name, from);
            }
            op => return Err(refuse(op.label())),
        }
    }
    Ok(remainder)
}

fn real(weights: &Weights, name: &str) -> Result<ArrayD<f64>> {
    Ok(snn_ir::weights::get(weights, name)?.to_f64())
}

/// `Σ w·d` of each output of a synapse, and its `Σ |w|·|d|`.
fn shift(
    weights: &Weights,
    node: &str,
    groups: usize,
    offset: &[f64],
) -> Result<(Vec<f64>, Vec<f64>)> {
    let weight = real(weights, &format!("{node}.weight"))?;
    let outputs = weight.shape()[0];
    let (mut shift, mut most) = (vec![0.0; outputs], vec![0.0; outputs]);
    for (o, row) in weight.axis_iter(Axis(0)).enumerate() {
        let first = o / (outputs / groups) * row.shape()[0];
        for (c, taps) in row.axis_iter(Axis(0)).enumerate() {
            shift[o] += taps.sum() * offset[first + c];
            most[o] += taps.mapv(f64::abs).sum() * offset[first + c].abs();
        }
    }
    Ok((shift, most))
}

/// Adds to what a layer yields, and gives the name of the node that does it.
fn add(graph: &mut Graph, weights: &mut Weights, layer: usize, shift: &[f64]) -> Result<String> {
    let name = graph.nodes[layer].name.clone();
    let part = format!("{name}.bias");
    let has_bias = match &graph.nodes[layer].op {
        Op::Conv(conv) => conv.bias,
        Op::Linear { bias, .. } => *bias,
        _ => false,
    };
    if has_bias {
        let negative: Vec<f64> = shift.iter().map(|value| -value).collect();
        less(weights, &part, &negative)?;
        return Ok(name);
    }
    if let Some((norm, _)) = sole_norm(graph, &name) {
        less(weights, &format!("{norm}.running_mean"), shift)?;
        return Ok(norm);
    }
    match &mut graph.nodes[layer].op {
        Op::Conv(conv) => conv.bias = true,
        Op::Linear { bias, .. } => *bias = true,
        _ => {}
    }
    let dtype = snn_ir::weights::get(weights, &format!("{name}.weight"))?.dtype();
    weights.insert(part, of_type(dtype, shift.to_vec()));
    Ok(name)
}

/// Takes values off a weight.
fn less(weights: &mut Weights, name: &str, values: &[f64]) -> Result<()> {
    let own = real(weights, name)?;
    let values = own.iter().zip(values).map(|(own, value)| own - value).collect();
    let values = of_type(snn_ir::weights::get(weights, name)?.dtype(), values);
    weights.insert(name.into(), values);
    Ok(())
}

/// Values in f64, or rounded to f32: in the type of the weights beside them, which training asks
/// for.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the type of the weights")]
fn of_type(dtype: &str, values: Vec<f64>) -> Tensor {
    let values = Array1::from_vec(values);
    if dtype == "f64" { values.into() } else { values.mapv(|value| value as f32).into() }
}
