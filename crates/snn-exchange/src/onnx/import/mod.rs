//! Nodes of ONNX to nodes of a graph.

mod arithmetic;
mod input;
mod layers;
mod shapes;
mod windows;

use super::external::External;
use super::file::{Source, SourceNode};
use super::fold::fold;
use super::names::Names;
use super::report::{Became, Entry, Report};
use super::tensor::{Constant, MAX_COMPUTED, MAX_COPIES};
use super::{Imported, Options, proto};
use crate::pixels::{Normalisation, add_offset};
use crate::{Error, Refusal, Result};
use snn_ir::{Form, Graph, Model, Node, Op, Signature, Site, Tensor, Weights};
use std::collections::HashMap;
use std::rc::Rc;

/// What an operator says when it cannot be taken over.
type Outcome<V> = std::result::Result<V, String>;

/// A value of the file.
#[derive(Clone)]
enum Edge {
    Constant(Rc<Constant>),
    Stream(Stream),
    /// Of a node that was refused.
    Lost,
}

/// A value that depends on the image.
#[derive(Debug, Clone)]
struct Stream {
    /// The node that yields it.
    node: String,
    /// Its shape there, of one sample.
    shape: Vec<usize>,
    /// Its shape in the file, with the batch and [`Stream::pad`].
    onnx: Vec<usize>,
    /// Zeros of a `Pad` before and behind each spatial axis, which what reads it has to add.
    pad: Vec<[usize; 2]>,
    /// Position of the channels in `onnx`.
    channel_axis: usize,
    /// `true` if no value is negative.
    positive: bool,
    /// `true` if this edge is the only use of the node's value.
    sole: bool,
}

/// The operators that are taken over, for errors.
const OPERATORS: &str = "Conv, Gemm, MatMul, BatchNormalization, Relu, Clip (from 0), Add, Sum, \
                         Sub, Mul, Div (by constants), Concat, MaxPool, AveragePool, \
                         GlobalAveragePool, GlobalMaxPool, ReduceMean, ReduceMax, ReduceSum (over \
                         all positions), Flatten, Reshape, Squeeze, Unsqueeze, Transpose (of the \
                         image), Pad, Identity, Cast, Dropout, Softmax (at the end) and what \
                         computes constants";

pub(super) struct Importer<'s> {
    source: &'s Source,
    external: External,
    graph: Graph,
    weights: Weights,
    edges: HashMap<&'s str, Edge>,
    readers: HashMap<&'s str, usize>,
    names: Names,
    batch: usize,
    /// Numbers of values of constants: what was read, and what was computed.
    read: usize,
    computed: usize,
    /// How the image is normalised, with what the graph itself does so far.
    normalisation: Normalisation,
}

impl<'s> Importer<'s> {
    pub(super) fn run(
        source: &'s Source,
        external: External,
        options: &Options,
    ) -> Result<Imported> {
        let mut readers: HashMap<&str, usize> = HashMap::new();
        *readers.entry(&source.output).or_default() += 1;
        for input in source.nodes.iter().flat_map(|node| &node.inputs) {
            *readers.entry(input).or_default() += 1;
        }
        let mut importer = Self {
            source,
            external,
            graph: Graph::default(),
            weights: Weights::new(),
            edges: HashMap::new(),
            readers,
            names: Names::default(),
            batch: 1,
            read: 0,
            computed: 0,
            normalisation: Normalisation::unit(1),
        };
        importer.add_input(options)?;
        let (mut entries, mut refusals) = (Vec::new(), Vec::new());
        for node in &source.nodes {
            let refusal = |reason| Refusal {
                node: node.name.clone(),
                operator: node.operator.clone(),
                reason,
            };
            match importer.node(node) {
                Ok(Some(became)) => entries.push(Entry {
                    node: node.name.clone(),
                    operator: node.operator.clone(),
                    became,
                }),
                Ok(None) => {}
                Err(reason) => {
                    refusals.push(refusal(reason));
                    for output in &node.outputs {
                        importer.edges.insert(output, Edge::Lost);
                    }
                }
            }
        }
        if !refusals.is_empty() {
            return Err(Error::Refused(refusals));
        }
        importer.finish(options, entries)
    }

    /// The head, the preprocessing, and the whole as a model.
    fn finish(mut self, options: &Options, entries: Vec<Entry>) -> Result<Imported> {
        let source = self.source;
        let output = source.output.as_str();
        let Some(Edge::Stream(stream)) = self.edges.get(output).cloned() else {
            return Err(Error::Bytes(format!(
                "output `{output}` does not depend on the image; nothing is left to compute"
            )));
        };
        if stream.shape.iter().skip(1).any(|size| *size != 1) || !stream.pad.is_empty() {
            return Err(Error::Bytes(format!(
                "output `{output}` must have the shape [N, classes], found {:?}; name the output \
                 of a classifier with the option `output`",
                stream.onnx
            )));
        }
        let mut tip = stream.node;
        if stream.shape.len() > 1 {
            let name = self.names.give("flatten", "", None);
            tip = self.graph.push(name, Op::Flatten, &[&tip]);
        }
        let head = self.names.give("head", "", None);
        self.graph.push(head, Op::TimeMean, &[&tip]);
        let offset = self.normalisation.offset();
        let remainder =
            add_offset(&mut self.graph, &mut self.weights, &offset, options.round_means)?;
        let signature =
            Signature::new(Form::Trained, self.graph, 1, self.normalisation.preprocessing())
                .with_classes(options.classes.clone());
        let model = Model::new(signature, self.weights);
        model.validate()?;
        let report =
            Report { producer: source.producer.clone(), opset: source.opset, entries, remainder };
        Ok(Imported { model, report })
    }

    /// Takes one node over; `None` where what it reads was refused.
    fn node(&mut self, node: &'s SourceNode) -> Outcome<Option<Became>> {
        if !node.domain.is_empty() {
            return Err(format!(
                "operators of `{}` are not taken over; export with the operators of ONNX alone",
                node.domain
            ));
        }
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            inputs.push(if name.is_empty() { None } else { Some(self.edge(name)?) });
        }
        let lost = inputs.iter().any(|edge| matches!(edge, Some(Edge::Lost)));
        if node.operator == "Constant" {
            let value = self.constant(node)?;
            self.read = self.read.saturating_add(value.len());
            self.set(node, Edge::Constant(Rc::new(value)));
            return Ok(Some(Became::Constant));
        }
        let constants: Option<Vec<Option<&Constant>>> = inputs
            .iter()
            .map(|edge| match edge {
                Some(Edge::Constant(constant)) => Some(Some(constant.as_ref())),
                None => Some(None),
                Some(Edge::Stream(_) | Edge::Lost) => None,
            })
            .collect();
        if let Some(constants) = constants
            && let Some(value) = fold(node, &constants, self.source.opset)?
        {
            self.computed = self.computed.saturating_add(value.len());
            if self.computed / MAX_COPIES > MAX_COMPUTED.saturating_add(self.read) {
                return Err(format!(
                    "constants computed up to here have {} values, of {} in the file; store them \
                     as initialisers",
                    self.computed, self.read
                ));
            }
            self.set(node, Edge::Constant(Rc::new(value)));
            return Ok(Some(Became::Constant));
        }
        if lost {
            if !Self::is_known(&node.operator) {
                return Err(unknown(&node.operator));
            }
            for output in &node.outputs {
                self.edges.insert(output, Edge::Lost);
            }
            return Ok(None);
        }
        let inputs = Inputs { node, edges: inputs };
        let became = match node.operator.as_str() {
            "Conv" => self.conv(&inputs)?,
            "Gemm" => self.gemm(&inputs)?,
            "MatMul" => self.mat_mul(&inputs)?,
            "BatchNormalization" => self.batch_norm(&inputs)?,
            "Relu" => self.site(&inputs, None)?,
            "Clip" => self.clip(&inputs)?,
            "Add" | "Sum" | "Sub" | "Mul" | "Div" => self.arithmetic(&inputs)?,
            "Concat" => self.concat(&inputs)?,
            "MaxPool" | "AveragePool" => self.pool(&inputs)?,
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax" | "ReduceSum" => {
                self.global_pool(&inputs)?
            }
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(&inputs)?,
            "Transpose" => self.transpose(&inputs)?,
            "Pad" => self.pad(&inputs)?,
            "Identity" | "Cast" => {
                let stream = inputs.any_stream(0)?.clone();
                self.pass(node, stream, Became::Passed)
            }
            "Dropout" => self.dropout(&inputs)?,
            "Softmax" | "LogSoftmax" => self.softmax(&inputs)?,
            "Shape" => {
                let sizes = super::fold::span(node, &inputs.any_stream(0)?.onnx)?;
                self.set(node, Edge::Constant(Rc::new(Constant::ints(sizes))));
                Became::Constant
            }
            other => return Err(unknown(other)),
        };
        Ok(Some(became))
    }

    fn is_known(operator: &str) -> bool {
        const FOLDED: [&str; 9] = [
            "Shape",
            "Gather",
            "Slice",
            "ConstantOfShape",
            "Neg",
            "Sqrt",
            "Reciprocal",
            "Constant",
            "LogSoftmax",
        ];
        FOLDED.contains(&operator) || OPERATORS.split([' ', ',']).any(|known| known == operator)
    }

    /// The value of a name.
    fn edge(&mut self, name: &'s str) -> Outcome<Edge> {
        if let Some(edge) = self.edges.get(name) {
            return Ok(edge.clone());
        }
        let source = self.source;
        let tensor = source.initialisers.get(name).ok_or_else(|| {
            format!(
                "its input `{name}` is no input of the network, no constant and no node's output"
            )
        })?;
        let value = Constant::read(tensor, &self.external)
            .map_err(|reason| format!("its constant `{name}`: {reason}"))?;
        self.read = self.read.saturating_add(value.len());
        let edge = Edge::Constant(Rc::new(value));
        self.edges.insert(name, edge.clone());
        Ok(edge)
    }

    fn constant(&self, node: &SourceNode) -> Outcome<Constant> {
        if let Some(tensor) = node.tensor("value")? {
            return Constant::read(&tensor, &self.external);
        }
        if let Some(value) = node.int("value_int")? {
            return Ok(Constant::scalar(value));
        }
        if let Some(values) = node.ints("value_ints")? {
            return Ok(Constant::ints(values.to_vec()));
        }
        if let Some(values) = node.floats("value_floats")? {
            return Ok(values);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the file has an f32")]
        match node.float("value_float")? {
            Some(value) => Constant::floats(vec![value as f32]).reshaped(&[]),
            None => Err("it has no value that can be read; numbers can".into()),
        }
    }

    /// Sets the first output of a node.
    fn set(&mut self, node: &'s SourceNode, edge: Edge) {
        if let Some(output) = node.outputs.first() {
            self.edges.insert(output, edge);
        }
    }

    /// Readers of an output of a node, by its position.
    fn readers(&self, node: &SourceNode, output: usize) -> usize {
        let name = node.outputs.get(output).map(String::as_str);
        name.and_then(|name| self.readers.get(name)).copied().unwrap_or(0)
    }

    /// Gives a stream on as what a node yields.
    fn pass(&mut self, node: &'s SourceNode, mut stream: Stream, became: Became) -> Became {
        stream.sole &= self.readers(node, 0) == 1;
        self.set(node, Edge::Stream(stream));
        became
    }

    /// Adds a node and gives its name and shape. `weight` is the name of its weight in the file.
    fn push(
        &mut self,
        node: &SourceNode,
        weight: Option<&str>,
        op: Op,
        inputs: &[&Stream],
    ) -> Outcome<(String, Vec<usize>)> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape.as_slice()).collect();
        let shape = output_shape(&node.name, &op, &shapes)?;
        let name = self.names.give(&node.name, &node.operator, weight);
        let inputs = inputs.iter().map(|input| input.node.clone()).collect();
        self.graph.nodes.push(Node::new(name.clone(), op, inputs));
        Ok((name, shape))
    }

    /// Adds a node whose output has the shape that it has in the graph, behind the batch.
    fn push_plain(
        &mut self,
        node: &'s SourceNode,
        weight: Option<&str>,
        op: Op,
        inputs: &[&Stream],
        positive: bool,
    ) -> Outcome<Became> {
        let label = op.label();
        let (name, shape) = self.push(node, weight, op, inputs)?;
        let onnx = [&[self.batch], shape.as_slice()].concat();
        self.yields(node, &name, shape, onnx, positive);
        Ok(Became::Node { name, op: label })
    }

    /// Adds a node whose output has the shape of its one input.
    fn push_like(
        &mut self,
        node: &'s SourceNode,
        op: Op,
        input: &Stream,
        positive: bool,
    ) -> Outcome<Became> {
        let label = op.label();
        let (name, shape) = self.push(node, None, op, &[input])?;
        self.yields(node, &name, shape, input.onnx.clone(), positive);
        Ok(Became::Node { name, op: label })
    }

    fn yields(
        &mut self,
        node: &'s SourceNode,
        name: &str,
        shape: Vec<usize>,
        onnx: Vec<usize>,
        positive: bool,
    ) {
        let sole = self.readers(node, 0) == 1;
        let (pad, channel_axis) = (Vec::new(), 1);
        let node_name = name.to_string();
        let stream = Stream { node: node_name, shape, onnx, pad, channel_axis, positive, sole };
        self.set(node, Edge::Stream(stream));
    }

    fn add_weight(&mut self, node: &str, part: &str, value: &Constant) {
        let tensor = match value {
            Constant::F32(a) => Tensor::F32(a.clone()),
            Constant::F64(a) => Tensor::F64(a.clone()),
            Constant::I64(a) => Tensor::F64(a.mapv(|v| v as f64)),
        };
        self.weights.insert(format!("{node}.{part}"), tensor);
    }

    /// A ReLU, perhaps with a limit.
    fn site(&mut self, inputs: &Inputs<'s>, limit: Option<f64>) -> Outcome<Became> {
        let stream = inputs.stream(0)?;
        let op = Op::Activation { site: Site::Relu { limit }, code: None };
        self.push_like(inputs.node, op, stream, true)
    }
}

/// The inputs of a node.
struct Inputs<'s> {
    node: &'s SourceNode,
    edges: Vec<Option<Edge>>,
}

impl Inputs<'_> {
    fn get(&self, position: usize) -> Option<&Edge> {
        self.edges.get(position).and_then(Option::as_ref)
    }

    /// A stream that may wait for padding.
    fn any_stream(&self, position: usize) -> Outcome<&Stream> {
        match self.get(position) {
            Some(Edge::Stream(stream)) => Ok(stream),
            _ => Err(format!("its input {position} must depend on the image, not be a constant")),
        }
    }

    fn stream(&self, position: usize) -> Outcome<&Stream> {
        let stream = self.any_stream(position)?;
        if !stream.pad.is_empty() {
            return Err(
                "it reads a Pad; only a convolution or pooling can take the padding in".into()
            );
        }
        if stream.channel_axis != 1 {
            return Err(
                "it reads an image whose channels come last; transpose the image first".into()
            );
        }
        Ok(stream)
    }

    /// A constant, or `None` of an input that is left out.
    fn constant(&self, position: usize) -> Outcome<Option<&Constant>> {
        match self.get(position) {
            Some(Edge::Constant(constant)) => Ok(Some(constant)),
            None => Ok(None),
            Some(Edge::Stream(_) | Edge::Lost) => Err(format!(
                "its input {position} (`{}`) must be a constant, and depends on the image",
                self.node.inputs[position]
            )),
        }
    }

    fn needed(&self, position: usize) -> Outcome<&Constant> {
        self.constant(position)?.ok_or_else(|| format!("its input {position} is missing"))
    }

    /// The name of an input in the file.
    fn name(&self, position: usize) -> Option<&str> {
        self.node.inputs.get(position).map(String::as_str)
    }
}

/// Shape of an operation's output; what is wrong where it does not fit.
fn output_shape(name: &str, op: &Op, inputs: &[&[usize]]) -> Outcome<Vec<usize>> {
    let unequal = || format!("its inputs must have equal shapes, found {inputs:?}");
    match op {
        Op::Add if inputs.iter().all(|shape| *shape == inputs[0]) => Ok(inputs[0].to_vec()),
        Op::Add => Err(unequal()),
        Op::Concat => {
            let mut shape = inputs[0].to_vec();
            if inputs.iter().any(|other| other[1..] != shape[1..]) {
                return Err(unequal());
            }
            shape[0] = inputs.iter().fold(0_usize, |sum, other| sum.saturating_add(other[0]));
            Ok(shape)
        }
        op => {
            let mut graph = Graph::default();
            graph.push("input of it", Op::Input { shape: inputs[0].to_vec() }, &[]);
            graph.push(name, op.clone(), &["input of it"]);
            let shapes = graph.shapes().map_err(|error| error.to_string())?;
            shapes.into_iter().next_back().ok_or_else(|| "it yields nothing".into())
        }
    }
}

fn unknown(operator: &str) -> String {
    let advice = match operator {
        "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Gelu" | "Erf" | "Sigmoid" | "Tanh"
        | "HardSwish" | "HardSigmoid" | "Softplus" | "Mish" => {
            "train or fine-tune the network with Relu or Clip in its place"
        }
        "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "ConvInteger" => {
            "export the network before it was quantised"
        }
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" => {
            "train the network with batch normalisation in its place"
        }
        _ => "replace it before the export, or cut the network before it",
    };
    format!("this operator is not taken over; {advice}. Taken over are {OPERATORS}")
}

/// Axes of the input, from its declaration: sizes, or `None` where they are free.
fn declared(input: &proto::ValueInfo) -> Option<(i32, Vec<Option<usize>>)> {
    let tensor = input.r#type.as_ref()?.tensor_type.as_ref()?;
    let sizes = tensor.shape.as_ref()?.dim.iter();
    let size = |dim: &proto::Dimension| {
        dim.dim_value.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0)
    };
    Some((tensor.elem_type, sizes.map(size).collect()))
}
