//! A graph of ONNX while it is written.

use crate::onnx::proto::{self, DataType};
use prost::Message;
use prost::bytes::Bytes;
use std::collections::{BTreeMap, HashSet};

/// Operator set of what is written; onnxruntime has it since 1.12, PyTorch exports up to it.
pub(super) const OPSET: i64 = 17;
/// Version of the file format that belongs to it.
const IR_VERSION: i64 = 8;

/// Nodes and initialisers; every value has a name of its own.
#[derive(Default)]
pub(super) struct Builder {
    nodes: Vec<Bytes>,
    /// By the name that was wanted: its name, and the tensor.
    initialisers: BTreeMap<String, (String, Bytes)>,
    names: HashSet<String>,
}

/// A value of an attribute.
pub(super) enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
}

impl Builder {
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// A name that no value has.
    pub(super) fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }

    /// Adds a node and gives the name of its output.
    pub(super) fn node(
        &mut self,
        wanted: &str,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        let output = self.name(wanted);
        self.named(&output, operator, inputs, attributes);
        output
    }

    /// Adds a node whose output has a name that was given before.
    pub(super) fn named(
        &mut self,
        output: &str,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) {
        let attribute = attributes.iter().map(|(name, value)| {
            let mut attribute =
                proto::Attribute { name: (*name).into(), ..proto::Attribute::default() };
            match value {
                Attribute::Float(value) => (attribute.r#type, attribute.f) = (1, *value),
                Attribute::Int(value) => (attribute.r#type, attribute.i) = (2, *value),
                Attribute::Ints(values) => {
                    (attribute.r#type, attribute.ints) = (7, values.to_vec());
                }
            }
            attribute.encode_to_vec().into()
        });
        let node = proto::Node {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![output.into()],
            name: output.into(),
            op_type: operator.into(),
            attribute: attribute.collect(),
            domain: String::new(),
        };
        self.nodes.push(node.encode_to_vec().into());
    }

    /// An initialiser, once for each wanted name; its name, which is another where a value has it.
    fn initialiser(&mut self, key: &str, kind: DataType, shape: &[usize], raw: Vec<u8>) -> String {
        if let Some((name, _)) = self.initialisers.get(key) {
            return name.clone();
        }
        let name = self.name(key);
        let tensor = proto::Tensor {
            dims: shape.iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect(),
            data_type: kind.into(),
            name: name.clone(),
            raw_data: Some(raw.into()),
            ..proto::Tensor::default()
        };
        let tensor = tensor.encode_to_vec().into();
        self.initialisers.insert(key.into(), (name.clone(), tensor));
        name
    }

    pub(super) fn i64s(&mut self, name: &str, shape: &[usize], values: &[i64]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initialiser(name, DataType::Int64, shape, raw)
    }

    pub(super) fn f32s(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initialiser(name, DataType::Float, shape, raw)
    }

    pub(super) fn f64s(&mut self, name: &str, shape: &[usize], values: &[f64]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initialiser(name, DataType::Double, shape, raw)
    }

    /// One integer, as an initialiser that all of its uses share.
    pub(super) fn integer(&mut self, value: i64) -> String {
        self.i64s(&format!("integer:{value}"), &[], &[value])
    }

    /// One float, as an initialiser that all of its uses share.
    pub(super) fn float(&mut self, value: f32) -> String {
        self.f32s(&format!("float:{value}"), &[], &[value])
    }

    pub(super) fn cast(&mut self, wanted: &str, input: &str, to: DataType) -> String {
        self.node(wanted, "Cast", &[input], &[("to", Attribute::Int(i32::from(to).into()))])
    }

    /// The file. Inputs and outputs with their types and shapes, where a name is a free size.
    pub(super) fn finish(
        self,
        inputs: &[(&str, DataType, Vec<Size<'_>>)],
        outputs: &[(&str, DataType, Vec<Size<'_>>)],
        metadata: Vec<(&str, String)>,
    ) -> Vec<u8> {
        let info = |(name, kind, shape): &(&str, DataType, Vec<Size<'_>>)| {
            let dim = shape.iter().map(|size| match size {
                Size::Fixed(size) => {
                    proto::Dimension { dim_value: i64::try_from(*size).ok(), dim_param: None }
                }
                Size::Free(name) => {
                    proto::Dimension { dim_value: None, dim_param: Some((*name).into()) }
                }
            });
            let shape = Some(proto::Shape { dim: dim.collect() });
            let tensor_type = Some(proto::TensorType { elem_type: (*kind).into(), shape });
            let info = proto::ValueInfo {
                name: (*name).into(),
                r#type: Some(proto::Type { tensor_type }),
            };
            info.encode_to_vec().into()
        };
        let graph = proto::Graph {
            node: self.nodes,
            name: "network".into(),
            initializer: self.initialisers.into_values().map(|(_, tensor)| tensor).collect(),
            input: inputs.iter().map(info).collect(),
            output: outputs.iter().map(info).collect(),
            sparse_initializer: Vec::new(),
        };
        let entry = |(key, value): (&str, String)| proto::Entry { key: key.into(), value };
        let model = proto::Model {
            ir_version: IR_VERSION,
            producer_name: "snn-exchange".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph.encode_to_vec().into()),
            opset_import: vec![proto::OperatorSet { domain: String::new(), version: OPSET }],
            metadata_props: metadata.into_iter().map(entry).collect(),
            functions: Vec::new(),
        };
        model.encode_to_vec()
    }
}

/// Size of an axis.
pub(super) enum Size<'a> {
    Fixed(usize),
    Free(&'a str),
}
