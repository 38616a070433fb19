//! What a NIR graph must be before anything is made of it.

use crate::error::{Error, Result};
use crate::graph::{NirGraph, path_of};
use crate::op::{Conv, Op, Padding};
use snn_ir::Tensor;
use std::collections::HashSet;

impl NirGraph {
    /// Checks the graph and those in it: edges between nodes that are there, each once; ranks and
    /// shapes of arrays that belong together; no NaN; strides and groups that can be.
    ///
    /// # Errors
    /// The first node or edge that does not fit.
    pub fn check(&self) -> Result<()> {
        graph(self, "")
    }
}

/// Checks a graph that is at `place` in others.
fn graph(graph: &NirGraph, place: &str) -> Result<()> {
    let mut seen = HashSet::new();
    for (from, to) in &graph.edges {
        let edge = |reason: String| Error::Edge {
            from: path_of(place, from),
            to: path_of(place, to),
            reason,
        };
        if let Some(lost) = [from, to].into_iter().find(|name| !graph.nodes.contains_key(*name)) {
            return Err(edge(format!("there is no node `{}`", path_of(place, lost))));
        }
        if !seen.insert((from, to)) {
            return Err(edge(
                "it stands twice; a node reads the sum of its edges, each once (put a Scale of 2 \
                 between them where twice the value is meant)"
                    .into(),
            ));
        }
        if matches!(graph.nodes[from].op, Op::Output { .. }) {
            return Err(edge("an Output has no edges to other nodes".into()));
        }
        if matches!(graph.nodes[to].op, Op::Input { .. }) {
            return Err(edge("an Input has no edges from other nodes".into()));
        }
    }
    for (name, inner) in &graph.nodes {
        let path = path_of(place, name);
        match &inner.op {
            Op::Graph(inner) => self::graph(inner, &path)?,
            op => node(op, &path)?,
        }
    }
    Ok(())
}

fn node(op: &Op, path: &str) -> Result<()> {
    let fault = |field: &str, expected: &str, found: String| {
        Err(Error::Field {
            node: path.into(),
            op: op.label(),
            field: format!("`{field}`"),
            expected: expected.into(),
            found,
        })
    };
    for (field, tensor) in op.arrays() {
        if let Some(at) = position_of_nan(tensor) {
            return fault(field, "free of NaN", format!("NaN at position {at}"));
        }
        if tensor.is_integer() {
            return fault(field, "an array of floats", tensor.dtype().into());
        }
    }
    if op.is_elementwise() {
        let arrays = op.arrays();
        let (first, of) = arrays[0];
        if let Some((field, tensor)) = arrays.iter().find(|(_, t)| t.shape() != of.shape()) {
            let expected = format!("of the shape {:?} of `{first}`", of.shape());
            return fault(field, &expected, format!("shape {:?}", tensor.shape()));
        }
    }
    match op {
        Op::Affine { weight, bias } => {
            let shape = weight.shape();
            if shape.len() < 2 {
                return fault("weight", "of two axes or more", format!("shape {shape:?}"));
            }
            let outputs = [&shape[..shape.len() - 2], &shape[shape.len() - 2..shape.len() - 1]];
            let outputs = outputs.concat();
            if bias.shape() != outputs {
                let expected = format!("of shape {outputs:?}, one value for each output");
                return fault("bias", &expected, format!("shape {:?}", bias.shape()));
            }
        }
        Op::Linear { weight } if weight.shape().len() < 2 => {
            let found = format!("shape {:?}", weight.shape());
            return fault("weight", "of two axes or more", found);
        }
        Op::Conv1d(conv) => return self::conv(conv, 1, &fault),
        Op::Conv2d(conv) => return self::conv(conv, 2, &fault),
        Op::AvgPool2d(pool) | Op::SumPool2d(pool) => {
            for (field, sizes) in [("kernel_size", pool.kernel_size), ("stride", pool.stride)] {
                if sizes.contains(&0) {
                    return fault(field, "at least 1", format!("{sizes:?}"));
                }
            }
        }
        Op::Input { .. }
        | Op::Output { .. }
        | Op::Linear { .. }
        | Op::Scale { .. }
        | Op::If { .. }
        | Op::Lif { .. }
        | Op::Li { .. }
        | Op::CubaLif { .. }
        | Op::CubaLi { .. }
        | Op::I { .. }
        | Op::Delay { .. }
        | Op::Flatten { .. }
        | Op::Threshold { .. }
        | Op::Graph(_) => {}
    }
    Ok(())
}

fn conv(conv: &Conv, axes: usize, fault: &dyn Fn(&str, &str, String) -> Result<()>) -> Result<()> {
    let shape = conv.weight.shape();
    if shape.len() != axes + 2 || shape.contains(&0) {
        let expected =
            format!("of shape [outputs, inputs / groups] and {axes} sizes of the kernel");
        return fault("weight", &expected, format!("shape {shape:?}"));
    }
    if conv.bias.shape() != [shape[0]] {
        let expected = format!("of shape [{}], one value for each output", shape[0]);
        return fault("bias", &expected, format!("shape {:?}", conv.bias.shape()));
    }
    for (field, sizes) in [("stride", &conv.stride), ("dilation", &conv.dilation)] {
        if sizes.len() != axes || sizes.contains(&0) {
            return fault(field, &format!("{axes} sizes of at least 1"), format!("{sizes:?}"));
        }
    }
    match &conv.padding {
        Padding::Zeros(sizes) if sizes.len() != axes => {
            return fault("padding", &format!("{axes} sizes"), format!("{sizes:?}"));
        }
        Padding::Same if conv.stride.iter().any(|&stride| stride != 1) => {
            let found = format!("{:?}", conv.stride);
            return fault("stride", "1, as the padding is \"same\"", found);
        }
        Padding::Zeros(_) | Padding::Same | Padding::Valid => {}
    }
    if conv.groups == 0 || !shape[0].is_multiple_of(conv.groups) {
        let expected = format!("a divisor of the {} outputs", shape[0]);
        return fault("groups", &expected, conv.groups.to_string());
    }
    Ok(())
}

fn position_of_nan(tensor: &Tensor) -> Option<usize> {
    match tensor {
        Tensor::F32(array) => array.iter().position(|value| value.is_nan()),
        Tensor::F64(array) => array.iter().position(|value| value.is_nan()),
        Tensor::I8(_) | Tensor::I32(_) => None,
    }
}
