//! The file as nodes and tensors, with its sizes checked.

use super::proto;
use super::tensor::Constant;
use crate::{Error, Result};
use prost::Message;
use prost::bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a node says when an attribute is not as it should be.
type Outcome<V> = std::result::Result<V, String>;

/// The most nodes, initialisers, inputs, or attributes and edges of a node that are read.
const MAX_PARTS: usize = 1 << 16;

/// A graph as its file has it.
pub(super) struct Source {
    pub(super) producer: String,
    /// Version of the default operator set.
    pub(super) opset: i64,
    /// What the output depends on, each node behind those that it reads.
    pub(super) nodes: Vec<SourceNode>,
    pub(super) initialisers: HashMap<String, proto::Tensor>,
    /// Inputs that are no initialisers.
    pub(super) inputs: Vec<proto::ValueInfo>,
    pub(super) output: String,
}

/// A node as its file has it.
#[derive(Debug, Clone)]
pub(super) struct SourceNode {
    /// Its name; of one without, the name of its first output.
    pub(super) name: String,
    pub(super) operator: String,
    /// Empty for the default operator set.
    pub(super) domain: String,
    /// An empty name stands for an input that is left out.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    attributes: BTreeMap<String, proto::Attribute>,
}

fn decoded<M: Message + Default>(bytes: Bytes, what: &str) -> Result<M> {
    M::decode(bytes).map_err(|error| {
        Error::Bytes(format!("{what}: expected protocol-buffer fields of ONNX ({error})"))
    })
}

fn at_most(count: usize, what: &str) -> Result<()> {
    if count <= MAX_PARTS {
        return Ok(());
    }
    Err(Error::Bytes(format!("expected at most {MAX_PARTS} {what}, found {count}")))
}

impl Source {
    /// Reads a file; `output` names the output that is wanted of several.
    pub(super) fn read(bytes: Bytes, output: Option<&str>) -> Result<Self> {
        let model: proto::Model = decoded(bytes, "model")?;
        let graph = model
            .graph
            .ok_or_else(|| Error::Bytes("no ONNX model: expected a graph, found none".into()))?;
        if !model.functions.is_empty() {
            return Err(Error::Bytes(
                "the model has functions of its own, which are not read; export it with them \
                 inlined (`onnx.inliner.inline_local_functions`)"
                    .into(),
            ));
        }
        let graph: proto::Graph = decoded(graph, "graph")?;
        if !graph.sparse_initializer.is_empty() {
            return Err(Error::Bytes(
                "the model has sparse initialisers, which are not read; store them dense".into(),
            ));
        }
        at_most(graph.node.len(), "nodes")?;
        at_most(graph.initializer.len(), "initialisers")?;
        at_most(graph.input.len() + graph.output.len(), "inputs and outputs")?;
        let mut initialisers = HashMap::new();
        for bytes in graph.initializer {
            let tensor: proto::Tensor = decoded(bytes, "initialiser")?;
            at_most(tensor.dims.len() + tensor.external_data.len(), "axes of a tensor")?;
            initialisers.insert(tensor.name.clone(), tensor);
        }
        let mut inputs = Vec::new();
        for bytes in graph.input {
            let input: proto::ValueInfo = decoded(bytes, "input")?;
            // Files before IR version 4 list initialisers among the inputs.
            if !initialisers.contains_key(&input.name) {
                inputs.push(input);
            }
        }
        let outputs = graph.output.into_iter().map(|bytes| decoded(bytes, "output"));
        let outputs = outputs.collect::<Result<Vec<proto::ValueInfo>>>()?;
        let output = chosen(&outputs, output)?;
        let nodes = graph.node.into_iter().enumerate().map(|(i, bytes)| SourceNode::read(i, bytes));
        let nodes = in_order(nodes.collect::<Result<Vec<_>>>()?, &output)?;
        let version = model.opset_import.iter().find(|set| is_default_domain(&set.domain));
        let producer = format!("{} {}", model.producer_name, model.producer_version);
        Ok(Self {
            producer: producer.trim().to_string(),
            opset: version.map_or(1, |set| set.version),
            nodes,
            initialisers,
            inputs,
            output,
        })
    }
}

fn is_default_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn chosen(outputs: &[proto::ValueInfo], wanted: Option<&str>) -> Result<String> {
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    match (wanted, names.as_slice()) {
        (None, [only]) => Ok((*only).to_string()),
        (None, _) => Err(Error::Option {
            option: "output",
            expected: "the name of the output to take, of a network of several".into(),
            found: format!("none, and outputs {names:?}"),
        }),
        (Some(wanted), names) if names.contains(&wanted) => Ok(wanted.into()),
        (Some(wanted), names) => Err(Error::Option {
            option: "output",
            expected: format!("one of {names:?}"),
            found: wanted.into(),
        }),
    }
}

/// The nodes that an output depends on, each behind those that it reads.
fn in_order(nodes: Vec<SourceNode>, output: &str) -> Result<Vec<SourceNode>> {
    let mut makers = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if let Some(other) = makers.insert(name.clone(), index) {
                let other: &SourceNode = &nodes[other];
                return Err(Error::Bytes(format!(
                    "nodes `{}` and `{}` both yield `{name}`; each value has one maker",
                    other.name, node.name
                )));
            }
        }
    }
    let mut order = Vec::with_capacity(nodes.len());
    let (mut begun, mut done) = (HashSet::new(), HashSet::new());
    let mut open: Vec<usize> = makers.get(output).copied().into_iter().collect();
    while let Some(&index) = open.last() {
        let mut read = nodes[index].inputs.iter().filter_map(|input| makers.get(input).copied());
        if done.contains(&index) {
            open.pop();
        } else if begun.insert(index) {
            for input in read {
                if done.contains(&input) {
                    continue;
                }
                if begun.contains(&input) {
                    return Err(Error::Bytes(format!(
                        "node `{}` depends on itself; a network of ONNX has no cycles",
                        nodes[input].name
                    )));
                }
                open.push(input);
            }
        } else {
            // All that it reads was opened above it, and is done.
            debug_assert!(read.all(|input| done.contains(&input)));
            open.pop();
            done.insert(index);
            order.push(index);
        }
    }
    let mut nodes: Vec<Option<SourceNode>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| nodes[index].take()).collect())
}

impl SourceNode {
    fn read(position: usize, bytes: Bytes) -> Result<Self> {
        let node: proto::Node = decoded(bytes, "node")?;
        at_most(node.input.len() + node.output.len() + node.attribute.len(), "parts of a node")?;
        let first = node.output.iter().find(|name| !name.is_empty());
        let name = match (node.name.is_empty(), first) {
            (false, _) => node.name,
            (true, Some(output)) => output.clone(),
            (true, None) => format!("node {position}"),
        };
        let attributes = node.attribute.into_iter().map(|bytes| {
            let attribute: proto::Attribute = decoded(bytes, "attribute")?;
            Ok((attribute.name.clone(), attribute))
        });
        Ok(Self {
            attributes: attributes.collect::<Result<_>>()?,
            name,
            domain: if is_default_domain(&node.domain) { String::new() } else { node.domain },
            operator: node.op_type,
            inputs: node.input,
            outputs: node.output,
        })
    }

    /// The attribute of this name and `AttributeType`; older files do not say the type.
    fn attribute(&self, name: &str, kind: i32) -> Outcome<Option<&proto::Attribute>> {
        match self.attributes.get(name) {
            Some(attribute) if attribute.r#type != kind && attribute.r#type != 0 => Err(format!(
                "its attribute {name} is of type {}, expected {kind} (of ONNX's AttributeType)",
                attribute.r#type
            )),
            attribute => Ok(attribute),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    pub(super) fn int(&self, name: &str) -> Outcome<Option<i64>> {
        Ok(self.attribute(name, 2)?.map(|attribute| attribute.i))
    }

    /// A switch: an integer that is not 0; absent, off.
    pub(super) fn is_on(&self, name: &str) -> Outcome<bool> {
        Ok(self.int(name)?.unwrap_or(0) != 0)
    }

    /// The shortest decimal of the f32 that a file holds, which is what was meant: 0.00001 and not
    /// 0.0000099999997.
    pub(super) fn float(&self, name: &str) -> Outcome<Option<f64>> {
        let parse = |value: f32| value.to_string().parse().unwrap_or(f64::from(value));
        Ok(self.attribute(name, 1)?.map(|attribute| parse(attribute.f)))
    }

    pub(super) fn string(&self, name: &str) -> Outcome<Option<String>> {
        let attribute = self.attribute(name, 3)?;
        Ok(attribute.map(|attribute| String::from_utf8_lossy(&attribute.s).into_owned()))
    }

    pub(super) fn ints(&self, name: &str) -> Outcome<Option<&[i64]>> {
        Ok(self.attribute(name, 7)?.map(|attribute| attribute.ints.as_slice()))
    }

    pub(super) fn tensor(&self, name: &str) -> Outcome<Option<proto::Tensor>> {
        let Some(attribute) = self.attribute(name, 4)? else { return Ok(None) };
        let bytes = attribute.t.clone().unwrap_or_default();
        decoded(bytes, "tensor of an attribute").map(Some).map_err(|error| error.to_string())
    }

    pub(super) fn floats(&self, name: &str) -> Outcome<Option<Constant>> {
        let attribute = self.attribute(name, 6)?;
        Ok(attribute.map(|attribute| Constant::floats(attribute.floats.clone())))
    }
}
