//! After the adds are distributed: a convolution of kernel 1, or a linear layer, that reads a sum
//! of currents is composed with the layers below it, which read events:
//! `W·(S e + b) = (W·S) e + W·b`.
//!
//! So a pre-activation shortcut (MS-ResNet) becomes one convolution for each layer that its stream
//! is the sum of. With an outer kernel of one position and no padding there is no border to err at:
//! position `i` of the outer one reads position `i·s` of the inner one, whose window begins at
//! `i·s·s_k`, so the composed stride is the product of both, and kernel, padding and dilation are
//! the inner ones. Events that the sum contains as they are, are read by the outer layer itself.
//! The layers below stay for their other readers.

use crate::error::Result;
use crate::graph_edit::{Draft, kinds};
use crate::plan::{Action, Plan, Refusal};
use ndarray::{ArrayD, IxDyn};
use snn_ir::StreamKind as Kind;
use snn_ir::{Conv, Graph, MAX_WEIGHTS, Node, Op, Role};
use std::collections::HashMap;

/// The most layers that compositions may make: sums of composed shortcuts grow with every stage,
/// and sums of one stream with itself double each time.
const MAX_COMPOSED: usize = 1 << 12;

/// Composes every layer that reads a current and can be composed, in the order of the graph: where
/// a stream contains an earlier composed one, that one reads events by then. Returns why others
/// cannot be.
pub(crate) fn layers_of_currents(
    draft: &mut Draft,
    plan: &mut Plan,
) -> Result<HashMap<String, Refusal>> {
    let mut refused = HashMap::new();
    let (mut made, mut weights) = (0, 0_usize);
    let names: Vec<String> = draft.graph.nodes.iter().map(|node| node.name.clone()).collect();
    let mut kinds = owned_kinds(&draft.graph);
    for name in names {
        let Some(node) = draft.graph.node(&name).cloned() else { continue };
        if !is_composable(&node.op) || kinds[&node.inputs[0]] != Kind::Current {
            continue;
        }
        let terms = match terms(&draft.graph, &kinds, &node.inputs[0], MAX_COMPOSED - made) {
            Ok(terms) => terms,
            Err(reason) => {
                refused.insert(name, reason);
                continue;
            }
        };
        made += terms.len();
        for term in &terms {
            weights = weights.saturating_add(composed_size(draft, &node, term)?);
        }
        if weights > MAX_WEIGHTS {
            refused.insert(name, Refusal::ComposedTooLarge { limit: MAX_WEIGHTS });
            break;
        }
        let layers = terms.iter().enumerate();
        let layers = layers.map(|(number, term)| compose(draft, &node, term, number == 0));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let action = Action::Composed { input: node.inputs[0].clone(), streams: terms.len() };
        plan.note(&name, node.op.label(), action);
        put(draft, &node, layers);
        kinds = owned_kinds(&draft.graph);
    }
    if made > 0 {
        remove_unread(draft, plan);
    }
    Ok(refused)
}

fn owned_kinds(graph: &Graph) -> HashMap<String, Kind> {
    kinds(graph).into_iter().map(|(name, kind)| (name.to_string(), kind)).collect()
}

/// A layer whose outer kernel has one position and no padding.
fn is_composable(op: &Op) -> bool {
    match op {
        Op::Conv(conv) => {
            conv.kernel.iter().all(|&size| size == 1) && conv.padding.iter().all(|&size| size == 0)
        }
        Op::Linear { .. } => true,
        _ => false,
    }
}

/// The layers and event streams whose sum a current is, in order, each as often as it is added.
fn terms(
    graph: &Graph,
    kinds: &HashMap<String, Kind>,
    current: &str,
    most: usize,
) -> std::result::Result<Vec<String>, Refusal> {
    let nodes: HashMap<&str, &Node> =
        graph.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    let (mut terms, mut pending) = (Vec::new(), vec![current]);
    while let Some(name) = pending.pop() {
        let Some(node) = nodes.get(name) else { continue };
        let is_layer = node.op.role() == Role::Synapse && kinds[&node.inputs[0]] != Kind::Current;
        if matches!(node.op, Op::Add) {
            pending.extend(node.inputs.iter().rev().map(String::as_str));
        } else if is_layer || kinds[name] != Kind::Current {
            terms.push(name.to_string());
        } else {
            // What stands between moves or mixes positions or channels (a pooling, a flattening, a
            // concatenation), or is a layer that was refused itself.
            return Err(Refusal::BehindCurrent {
                input: current.into(),
                between: name.into(),
                operation: node.op.label().into(),
            });
        }
        if terms.len() > most {
            return Err(Refusal::TooManyComposed { limit: MAX_COMPOSED });
        }
    }
    Ok(terms)
}

/// One layer of a composition.
struct Layer {
    op: Op,
    input: String,
    weight: ArrayD<f64>,
    bias: Option<ArrayD<f64>>,
}

/// Geometry and weights of a layer as a convolution `[O, C/g, …]`; a linear layer is one without
/// axes.
struct Parts {
    conv: Conv,
    weight: ArrayD<f64>,
    bias: Option<ArrayD<f64>>,
}

impl Parts {
    fn of(draft: &Draft, node: &Node) -> Result<Self> {
        let mut weight = draft.real(&node.name, "weight")?;
        let point = |channels: usize, groups: usize| Conv {
            channels,
            kernel: Vec::new(),
            stride: Vec::new(),
            padding: Vec::new(),
            dilation: Vec::new(),
            groups,
            bias: false,
        };
        let conv = match &node.op {
            Op::Conv(conv) => conv.clone(),
            Op::Linear { features, .. } => point(*features, 1),
            // One weight a channel: as many groups as channels.
            _ => {
                let channels = weight.len();
                weight = weight
                    .into_shape_with_order(IxDyn(&[channels, 1]))
                    .map_err(|error| shape(&error))?;
                point(channels, channels)
            }
        };
        let bias = if draft.has(&node.name, "bias") {
            Some(draft.real(&node.name, "bias")?)
        } else {
            None
        };
        Ok(Self { conv, weight, bias })
    }
}

fn shape(error: &ndarray::ShapeError) -> crate::error::Error {
    snn_ir::Error::Graph(error.to_string()).into()
}

/// Weights of an outer layer and one term of what it reads, composed; saturates.
fn composed_size(draft: &Draft, outer: &Node, term: &str) -> Result<usize> {
    let outer = draft.real(&outer.name, "weight")?;
    let is_layer = |node: &&Node| node.op.role() == Role::Synapse;
    let Some(inner) = draft.graph.node(term).filter(is_layer) else { return Ok(outer.len()) };
    let groups = match &inner.op {
        Op::Conv(conv) => conv.groups,
        Op::Scale => return Ok(outer.len()),
        _ => 1,
    };
    // At most: without common groups.
    let inputs: usize = draft.real(term, "weight")?.shape()[1..].iter().product();
    Ok(outer.shape()[0].saturating_mul(inputs).saturating_mul(groups))
}

/// `W·(S e + b)` of an outer layer and one term of what it reads; its own bias goes with the first.
fn compose(draft: &Draft, outer: &Node, term: &str, first: bool) -> Result<Layer> {
    let outer = Parts::of(draft, outer)?;
    let own = outer.bias.clone().filter(|_| first);
    let inner = draft.graph.node(term).filter(|node| node.op.role() == Role::Synapse).cloned();
    // Events that enter the sum as they are.
    let Some(inner) = inner else {
        return Ok(layer(outer.conv, term.to_string(), outer.weight, own));
    };
    let source = inner.inputs[0].clone();
    let inner = Parts::of(draft, &inner)?;
    let (outputs, middle, groups) = (outer.conv.channels, inner.conv.channels, outer.conv.groups);
    let taps: usize = inner.weight.shape()[2..].iter().product();
    let inputs = inner.weight.shape()[1] * inner.conv.groups;
    // A group of the composed layer holds whole groups of both.
    let shared = gcd(groups, inner.conv.groups);
    let (each, from) = (inputs / shared, outer.weight.shape()[1]);
    let mut weight = vec![0.0; outputs * each * taps];
    let mut bias = own.map_or_else(|| vec![0.0; outputs], |own| own.iter().copied().collect());
    let outer_weights: Vec<f64> = outer.weight.iter().copied().collect();
    let inner_weights: Vec<f64> = inner.weight.iter().copied().collect();
    let row = inner.weight.shape()[1] * taps;
    for o in 0..outputs {
        let begin = o / (outputs / shared) * each;
        for m in 0..from {
            let w = outer_weights[o * from + m];
            let m = o / (outputs / groups) * from + m;
            let c = m / (middle / inner.conv.groups) * inner.weight.shape()[1] - begin;
            let to = &mut weight[(o * each + c) * taps..][..row];
            to.iter_mut().zip(&inner_weights[m * row..][..row]).for_each(|(to, v)| *to += w * v);
            if let Some(inner) = &inner.bias {
                bias[o] += w * inner[[m]];
            }
        }
    }
    // A kernel of one position: where one of the two has no axes, the other's are all there are.
    let inner_axes = inner.conv.kernel.len();
    let axes = inner_axes.max(outer.conv.kernel.len());
    let geometry = if inner_axes == axes { &inner.conv } else { &outer.conv };
    let strides = |conv: &Conv, axis: usize| conv.stride.get(axis).copied().unwrap_or(1);
    let conv = Conv {
        channels: outputs,
        stride: (0..axes)
            .map(|axis| strides(&inner.conv, axis) * strides(&outer.conv, axis))
            .collect(),
        groups: shared,
        ..geometry.clone()
    };
    let dims = [&[outputs, each], conv.kernel.as_slice()].concat();
    let weight = ArrayD::from_shape_vec(IxDyn(&dims), weight).map_err(|error| shape(&error))?;
    let has_bias = inner.bias.is_some() || (first && outer.bias.is_some());
    let bias = ArrayD::from_shape_vec(IxDyn(&[outputs]), bias).map_err(|error| shape(&error))?;
    Ok(layer(conv, source, weight, has_bias.then_some(bias)))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn layer(mut conv: Conv, input: String, weight: ArrayD<f64>, bias: Option<ArrayD<f64>>) -> Layer {
    conv.bias = bias.is_some();
    let op = if conv.kernel.is_empty() {
        Op::Linear { features: conv.channels, bias: conv.bias }
    } else {
        Op::Conv(conv)
    };
    Layer { op, input, weight, bias }
}

/// Puts layers in the place of a node: one has its name, the sum of several has.
fn put(draft: &mut Draft, node: &Node, layers: Vec<Layer>) {
    let position = draft.graph.nodes.iter().position(|other| other.name == node.name);
    let position = position.unwrap_or(draft.graph.nodes.len());
    for part in ["weight", "bias"] {
        draft.weights.remove(&format!("{}.{part}", node.name));
    }
    let alone = layers.len() == 1;
    let mut nodes = Vec::with_capacity(layers.len() + 1);
    for (number, Layer { op, input, weight, bias }) in layers.into_iter().enumerate() {
        let name = if alone {
            node.name.clone()
        } else {
            draft.free_name(format!("{}#{}", node.name, number + 1))
        };
        draft.set_real(&name, "weight", weight);
        if let Some(bias) = bias {
            draft.set_real(&name, "bias", bias);
        }
        nodes.push(Node::new(name, op, vec![input]));
    }
    if !alone {
        let inputs = nodes.iter().map(|node| node.name.clone()).collect();
        nodes.push(Node::new(node.name.clone(), Op::Add, inputs));
    }
    draft.graph.nodes.splice(position..=position, nodes);
}

/// Takes out layers and sums that nothing reads any more.
fn remove_unread(draft: &mut Draft, plan: &mut Plan) {
    let mut readers: HashMap<String, usize> = HashMap::new();
    for input in draft.graph.nodes.iter().flat_map(|node| &node.inputs) {
        *readers.entry(input.clone()).or_default() += 1;
    }
    let mut kept = Vec::with_capacity(draft.graph.nodes.len());
    for node in std::mem::take(&mut draft.graph.nodes).into_iter().rev() {
        let may_go = node.op.role() == Role::Synapse || matches!(node.op, Op::Add);
        if !may_go || readers.get(&node.name).is_some_and(|&count| count > 0) {
            kept.push(node);
            continue;
        }
        for input in &node.inputs {
            if let Some(count) = readers.get_mut(input) {
                *count -= 1;
            }
        }
        for part in ["weight", "bias"] {
            draft.weights.remove(&format!("{}.{part}", node.name));
        }
        plan.note(&node.name, node.op.label(), Action::ComposedAway);
    }
    kept.reverse();
    draft.graph.nodes = kept;
}
