//! Builders of networks. They write graphs of LIF sites; a policy of `snn-hybrid` then decides
//! which of them train as ReLU.

mod resnet;
mod small;

pub use resnet::ResNet;
pub use small::SmallNet;

use crate::graph::{Conv, Graph, Op};
use crate::site::{Lif, Site};

/// ε of batch norm (PyTorch's default, which all surveyed recipes keep).
pub const BATCH_NORM_EPS: f64 = 1e-5;

/// Convolution and batch norm; returns the name of the norm.
fn conv_bn(graph: &mut Graph, conv: &str, norm: &str, attributes: Conv, input: &str) -> String {
    let conv = graph.push(conv, Op::Conv(attributes), &[input]);
    graph.push(norm, Op::BatchNorm { eps: BATCH_NORM_EPS }, &[&conv])
}

/// A LIF site.
fn lif(graph: &mut Graph, name: &str, neuron: &Lif, input: &str) -> String {
    graph.push(name, Op::Activation { site: Site::Lif(neuron.clone()), code: None }, &[input])
}

/// A basic residual block, post-activation: conv, site, conv, add, site. The shortcut is the
/// identity, or a 1×1 convolution where the shape changes.
fn basic_block(
    graph: &mut Graph,
    block: &str,
    (inputs, channels, stride): (usize, usize, usize),
    neuron: &Lif,
    input: &str,
) -> String {
    let at = |part: &str| format!("{block}.{part}");
    let norm = conv_bn(graph, &at("conv1"), &at("bn1"), Conv::square(channels, 3, stride), input);
    let inner = lif(graph, &at("act1"), neuron, &norm);
    let norm = conv_bn(graph, &at("conv2"), &at("bn2"), Conv::square(channels, 3, 1), &inner);
    let shortcut = if stride == 1 && inputs == channels {
        input.to_string()
    } else {
        conv_bn(
            graph,
            &at("shortcut.conv"),
            &at("shortcut.bn"),
            Conv::square(channels, 1, stride),
            input,
        )
    };
    let sum = graph.push(at("add"), Op::Add, &[&norm, &shortcut]);
    lif(graph, &at("act2"), neuron, &sum)
}
