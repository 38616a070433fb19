//! Between tables of a file and nodes: which fields each primitive has.

use crate::error::{Error, Result};
use crate::graph::{NirGraph, Node, path_of};
use crate::op::{Conv, Op, Padding, Pool};
use crate::value::{Table, Value};
use ndarray::{ArrayD, IxDyn};
use snn_ir::{MAX_VALUES, Tensor};

/// A node's fields, taken out one after another.
struct Fields<'n> {
    node: &'n str,
    op: &'static str,
    table: Table,
}

impl Fields<'_> {
    fn fault<V>(&self, field: &str, expected: &str, found: impl Into<String>) -> Result<V> {
        Err(Error::Field {
            node: self.node.into(),
            op: self.op,
            field: format!("`{field}`"),
            expected: expected.into(),
            found: found.into(),
        })
    }

    fn take(&mut self, field: &str, expected: &str) -> Result<Value> {
        match self.table.remove(field) {
            Some(value) => Ok(value),
            None => self.fault(field, expected, "nothing"),
        }
    }

    /// Floats, or integers in their place.
    fn floats(&mut self, field: &str) -> Result<Tensor> {
        const EXPECTED: &str = "an array of floats";
        match self.take(field, EXPECTED)? {
            Value::Floats(tensor) => Ok(tensor),
            Value::Integers(integers) => Ok(Tensor::F64(integers.mapv(|value| value as f64))),
            other => self.fault(field, EXPECTED, other.describe()),
        }
    }

    fn floats_or(&mut self, field: &str, other: impl FnOnce() -> Tensor) -> Result<Tensor> {
        if self.table.contains_key(field) { self.floats(field) } else { Ok(other()) }
    }

    /// One size, or a list of them.
    fn sizes(&mut self, field: &str) -> Result<Vec<usize>> {
        const EXPECTED: &str = "a size or a list of sizes, 0 to 2^28";
        let value = self.take(field, EXPECTED)?;
        let described = value.describe();
        let sizes: Option<Vec<usize>> = match value {
            Value::Integers(integers) if integers.ndim() <= 1 => {
                integers.iter().map(|&size| size_of(size)).collect()
            }
            // An empty list of Python is an array of no floats.
            Value::Floats(tensor) if tensor.is_empty() => Some(Vec::new()),
            _ => None,
        };
        match sizes {
            Some(sizes) => Ok(sizes),
            None => self.fault(field, EXPECTED, described),
        }
    }

    fn sizes_if_there(&mut self, field: &str) -> Result<Option<Vec<usize>>> {
        if self.table.contains_key(field) { self.sizes(field).map(Some) } else { Ok(None) }
    }

    /// A size for each of some axes, or one for all of them.
    fn axes(&mut self, field: &str, axes: usize) -> Result<Vec<usize>> {
        let sizes = self.sizes(field)?;
        match sizes.as_slice() {
            [size] => Ok(vec![*size; axes]),
            _ if sizes.len() == axes => Ok(sizes),
            _ => self.fault(field, &format!("one size or {axes}"), format!("{sizes:?}")),
        }
    }

    fn pair(&mut self, field: &str) -> Result<[usize; 2]> {
        let axes = self.axes(field, 2)?;
        Ok([axes[0], axes[1]])
    }

    fn integer_or(&mut self, field: &str, default: i64) -> Result<i64> {
        match self.table.remove(field) {
            None => Ok(default),
            Some(Value::Integers(integers)) if integers.len() == 1 => {
                Ok(integers.iter().next().copied().unwrap_or(default))
            }
            Some(other) => self.fault(field, "an integer", other.describe()),
        }
    }

    fn padding(&mut self, axes: usize) -> Result<Padding> {
        match self.table.get("padding") {
            Some(Value::Text(text)) => {
                let padding = match text.as_str() {
                    "same" => Padding::Same,
                    "valid" => Padding::Valid,
                    other => {
                        let found = format!("{other:?}");
                        return self.fault("padding", "sizes, \"same\" or \"valid\"", found);
                    }
                };
                self.table.remove("padding");
                Ok(padding)
            }
            _ => Ok(Padding::Zeros(self.axes("padding", axes)?)),
        }
    }

    fn conv(&mut self, axes: usize) -> Result<Conv> {
        Ok(Conv {
            input_shape: match self.sizes_if_there("input_shape")? {
                Some(shape) if shape.len() == axes => Some(shape),
                None => None,
                Some(shape) => {
                    let expected = format!("{axes} sizes");
                    return self.fault("input_shape", &expected, format!("{shape:?}"));
                }
            },
            weight: self.floats("weight")?,
            bias: self.floats("bias")?,
            stride: self.axes("stride", axes)?,
            padding: self.padding(axes)?,
            dilation: self.axes("dilation", axes)?,
            groups: match self.sizes("groups")?.as_slice() {
                [groups] => *groups,
                other => {
                    let found = format!("{other:?}");
                    return self.fault("groups", "one number", found);
                }
            },
        })
    }

    fn pool(&mut self) -> Result<Pool> {
        Ok(Pool {
            kernel_size: self.pair("kernel_size")?,
            stride: self.pair("stride")?,
            padding: self.pair("padding")?,
        })
    }

    /// The threshold, and the reset potential, which old files lack: it is 0.
    fn threshold_and_reset(&mut self) -> Result<(Tensor, Tensor)> {
        let threshold = self.floats("v_threshold")?;
        let reset = self.floats_or("v_reset", || like(&threshold, 0.0))?;
        Ok((threshold, reset))
    }

    /// Refuses what is left: a field that is not known may change what a node means.
    fn finish(self) -> Result<()> {
        match self.table.into_iter().next() {
            None => Ok(()),
            Some((field, value)) => Err(Error::Field {
                node: self.node.into(),
                op: self.op,
                field: format!("`{field}`"),
                expected: "absent: it is no field of this primitive".into(),
                found: value.describe(),
            }),
        }
    }
}

fn size_of(size: i64) -> Option<usize> {
    usize::try_from(size).ok().filter(|&size| size <= MAX_VALUES)
}

/// As many zeros as another array has values, of its type.
fn like(tensor: &Tensor, value: f32) -> Tensor {
    match tensor {
        Tensor::F32(array) => Tensor::F32(array.mapv(|_| value)),
        other => Tensor::F64(ArrayD::from_elem(IxDyn(other.shape()), f64::from(value))),
    }
}

/// A `w_in` of one value stands for one of the shape of the others, as in Python.
fn broadcast(tensor: Tensor, like: &Tensor) -> Tensor {
    if tensor.len() != 1 || tensor.shape() == like.shape() {
        return tensor;
    }
    match &tensor {
        Tensor::F32(array) => {
            let value = array.iter().next().copied().unwrap_or_default();
            Tensor::F32(ArrayD::from_elem(IxDyn(like.shape()), value))
        }
        other => {
            let value = other.to_f64().iter().next().copied().unwrap_or_default();
            Tensor::F64(ArrayD::from_elem(IxDyn(like.shape()), value))
        }
    }
}

/// The graph of a table, which is at `place` in others.
pub(crate) fn graph_from_table(mut table: Table, place: &str) -> Result<NirGraph> {
    let named = if place.is_empty() { "/" } else { place };
    let fault = |field: &str, expected: &str, found: String| Error::Field {
        node: named.into(),
        op: "NIRGraph",
        field: format!("`{field}`"),
        expected: expected.into(),
        found,
    };
    let described = |value: Option<Value>| value.map_or("nothing".into(), |value| value.describe());
    match table.remove("type") {
        // The root of old files has none.
        None if place.is_empty() => {}
        Some(Value::Text(kind)) if kind == "NIRGraph" => {}
        other => return Err(fault("type", "\"NIRGraph\"", described(other))),
    }
    let mut graph = NirGraph { metadata: metadata(&mut table, named)?, ..NirGraph::default() };
    match table.remove("nodes") {
        Some(Value::Table(nodes)) => {
            for (name, value) in nodes {
                let path = path_of(place, &name);
                let Value::Table(fields) = value else {
                    return Err(Error::node(
                        &path,
                        format!("expected a group of fields, found {}", value.describe()),
                    ));
                };
                let node = node_from_table(fields, &path)?;
                graph.nodes.insert(name, node);
            }
        }
        other => return Err(fault("nodes", "a group of nodes", described(other))),
    }
    match table.remove("edges") {
        Some(Value::Texts(edges)) if edges.ndim() == 2 && edges.shape()[1] == 2 => {
            let mut names = edges.into_iter();
            while let (Some(from), Some(to)) = (names.next(), names.next()) {
                graph.edges.push((from, to));
            }
        }
        // An empty list of Python is an array of no floats.
        Some(Value::Floats(tensor)) if tensor.is_empty() => {}
        other => return Err(fault("edges", "an array [edges, 2] of names", described(other))),
    }
    if let Some((field, value)) = table.into_iter().next() {
        return Err(fault(&field, "absent: it is no field of a graph", value.describe()));
    }
    Ok(graph)
}

fn metadata(table: &mut Table, node: &str) -> Result<Table> {
    match table.remove("metadata") {
        None => Ok(Table::new()),
        Some(Value::Table(metadata)) => Ok(metadata),
        Some(other) => Err(Error::node(
            node,
            format!("`metadata` must be a group, found {}", other.describe()),
        )),
    }
}

/// Types of nodes, but for that of a graph.
const PRIMITIVES: [&str; 18] = [
    "Affine",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "CubaLI",
    "CubaLIF",
    "Delay",
    "Flatten",
    "I",
    "IF",
    "Input",
    "LI",
    "LIF",
    "Linear",
    "Output",
    "Scale",
    "SumPool2d",
    "Threshold",
];

fn node_from_table(mut table: Table, path: &str) -> Result<Node> {
    let kind = match table.get("type") {
        Some(Value::Text(kind)) => kind.clone(),
        Some(other) => {
            let reason = format!("`type` must be a text, found {}", other.describe());
            return Err(Error::node(path, reason));
        }
        None => return Err(Error::node(path, "it has no `type`")),
    };
    let metadata = metadata(&mut table, path)?;
    if kind == "NIRGraph" {
        return Ok(Node { op: Op::Graph(graph_from_table(table, path)?), metadata });
    }
    table.remove("type");
    let Some(op) = PRIMITIVES.into_iter().find(|known| *known == kind) else {
        let kind: String = kind.chars().take(40).collect();
        let version = crate::NIR_VERSION;
        let reason = format!("`type` {kind:?} is no primitive of NIR {version}");
        return Err(Error::node(path, reason));
    };
    let mut fields = Fields { node: path, op, table };
    let op = op_from_fields(&mut fields)?;
    fields.finish()?;
    Ok(Node { op, metadata })
}

fn op_from_fields(f: &mut Fields<'_>) -> Result<Op> {
    Ok(match f.op {
        "Input" => Op::Input { shape: f.sizes("shape")? },
        "Output" => Op::Output { shape: f.sizes("shape")? },
        "Affine" => Op::Affine { weight: f.floats("weight")?, bias: f.floats("bias")? },
        "Linear" => Op::Linear { weight: f.floats("weight")? },
        "Scale" => Op::Scale { scale: f.floats("scale")? },
        "Conv1d" => Op::Conv1d(f.conv(1)?),
        "Conv2d" => Op::Conv2d(f.conv(2)?),
        "IF" => {
            let (v_threshold, v_reset) = f.threshold_and_reset()?;
            Op::If { r: f.floats("r")?, v_threshold, v_reset }
        }
        "LIF" => {
            let (v_threshold, v_reset) = f.threshold_and_reset()?;
            let (tau, r, v_leak) = (f.floats("tau")?, f.floats("r")?, f.floats("v_leak")?);
            Op::Lif { tau, r, v_leak, v_threshold, v_reset }
        }
        "LI" => Op::Li { tau: f.floats("tau")?, r: f.floats("r")?, v_leak: f.floats("v_leak")? },
        "CubaLIF" => {
            let (v_threshold, v_reset) = f.threshold_and_reset()?;
            let w_in = f.floats_or("w_in", || like(&v_threshold, 1.0))?;
            Op::CubaLif {
                tau_syn: f.floats("tau_syn")?,
                tau_mem: f.floats("tau_mem")?,
                r: f.floats("r")?,
                v_leak: f.floats("v_leak")?,
                w_in: broadcast(w_in, &v_threshold),
                v_threshold,
                v_reset,
            }
        }
        "CubaLI" => {
            let v_leak = f.floats("v_leak")?;
            let w_in = f.floats_or("w_in", || like(&v_leak, 1.0))?;
            Op::CubaLi {
                tau_syn: f.floats("tau_syn")?,
                tau_mem: f.floats("tau_mem")?,
                r: f.floats("r")?,
                w_in: broadcast(w_in, &v_leak),
                v_leak,
            }
        }
        "I" => Op::I { r: f.floats("r")? },
        "Delay" => Op::Delay { delay: f.floats("delay")? },
        "Flatten" => Op::Flatten {
            input_shape: f.sizes_if_there("input_type")?,
            start_dim: f.integer_or("start_dim", 1)?,
            end_dim: f.integer_or("end_dim", -1)?,
        },
        "AvgPool2d" => Op::AvgPool2d(f.pool()?),
        "SumPool2d" => Op::SumPool2d(f.pool()?),
        "Threshold" => Op::Threshold { threshold: f.floats("threshold")? },
        other => return Err(Error::node(f.node, format!("`{other}` is no primitive"))),
    })
}

/// The table of a graph.
pub(crate) fn graph_to_table(graph: &NirGraph) -> Table {
    let nodes = graph.nodes.iter().map(|(name, node)| {
        let mut table = match &node.op {
            Op::Graph(inner) => graph_to_table(inner),
            op => op_to_table(op),
        };
        if !node.metadata.is_empty() {
            table.insert("metadata".into(), Value::Table(node.metadata.clone()));
        }
        (name.clone(), Value::Table(table))
    });
    let edges = if graph.edges.is_empty() {
        Value::Floats(Tensor::F64(ArrayD::zeros(IxDyn(&[0]))))
    } else {
        let names = graph.edges.iter().flat_map(|(from, to)| [from.clone(), to.clone()]);
        let names = ndarray::Array1::from_iter(names).into_dyn();
        let shape = IxDyn(&[graph.edges.len(), 2]);
        // Two names for each edge.
        Value::Texts(names.into_shape_with_order(shape).unwrap_or_default())
    };
    let mut table = Table::from([
        ("type".into(), Value::from("NIRGraph")),
        ("nodes".into(), Value::Table(nodes.collect())),
        ("edges".into(), edges),
    ]);
    if !graph.metadata.is_empty() {
        table.insert("metadata".into(), Value::Table(graph.metadata.clone()));
    }
    table
}

fn op_to_table(op: &Op) -> Table {
    let mut table = Table::from([("type".into(), Value::from(op.label()))]);
    let mut set = |field: &str, value: Value| {
        table.insert(field.into(), value);
    };
    for (field, tensor) in op.arrays() {
        set(field, Value::Floats(tensor.clone()));
    }
    match op {
        Op::Input { shape } | Op::Output { shape } => set("shape", Value::integers(shape)),
        Op::Conv1d(conv) | Op::Conv2d(conv) => {
            // Python has a number where there is one axis, a list where there are two.
            let axes = |sizes: &[usize]| match sizes {
                [size] => Value::integer(i64::try_from(*size).unwrap_or(i64::MAX)),
                _ => Value::integers(sizes),
            };
            if let Some(shape) = &conv.input_shape {
                set("input_shape", axes(shape));
            }
            set("stride", axes(&conv.stride));
            set("dilation", axes(&conv.dilation));
            set("groups", axes(&[conv.groups]));
            set(
                "padding",
                match &conv.padding {
                    Padding::Same => Value::from("same"),
                    Padding::Valid => Value::from("valid"),
                    Padding::Zeros(sizes) => axes(sizes),
                },
            );
        }
        Op::Flatten { input_shape, start_dim, end_dim } => {
            if let Some(shape) = input_shape {
                set("input_type", Value::integers(shape));
            }
            set("start_dim", Value::integer(*start_dim));
            set("end_dim", Value::integer(*end_dim));
        }
        Op::AvgPool2d(pool) | Op::SumPool2d(pool) => {
            set("kernel_size", Value::integers(&pool.kernel_size));
            set("stride", Value::integers(&pool.stride));
            set("padding", Value::integers(&pool.padding));
        }
        Op::Affine { .. }
        | Op::Linear { .. }
        | Op::Scale { .. }
        | Op::If { .. }
        | Op::Lif { .. }
        | Op::Li { .. }
        | Op::CubaLif { .. }
        | Op::CubaLi { .. }
        | Op::I { .. }
        | Op::Delay { .. }
        | Op::Threshold { .. }
        | Op::Graph(_) => {}
    }
    table
}
