//! A sum over channels becomes the convolution that it is, 1×1 with a weight of 1
//! for each channel of its group; of a vector `[F]`, a linear layer. Norms after it then fold into
//! it, and scales before it merge into it, as into any layer.

use crate::error::Result;
use crate::graph_edit::Draft;
use crate::plan::{Action, Plan};
use ndarray::{ArrayD, IxDyn};
use snn_ir::{Conv, Op};

/// Turns every channel sum into a convolution or linear layer.
pub(crate) fn to_layers(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let resolved = draft.graph.resolve()?;
    let mut layers = Vec::new();
    for (index, node) in draft.graph.nodes.iter().enumerate() {
        let Op::ChannelSum { groups } = node.op else { continue };
        let shape = &resolved.nodes[resolved.nodes[index].inputs[0]].shape;
        layers.push((index, groups, shape.clone()));
    }
    for (index, groups, shape) in layers {
        let node = &mut draft.graph.nodes[index];
        let (axes, each) = (shape.len() - 1, shape[0] / groups);
        plan.note(&node.name, node.op.label(), Action::BecomesLayer { groups });
        let weight = if axes == 0 {
            node.op = Op::Linear { features: groups, bias: false };
            ArrayD::from_shape_fn(IxDyn(&[groups, shape[0]]), |at| {
                f64::from(u8::from(at[1] / each == at[0]))
            })
        } else {
            node.op = Op::Conv(Conv {
                channels: groups,
                kernel: vec![1; axes],
                stride: vec![1; axes],
                padding: vec![0; axes],
                dilation: vec![1; axes],
                groups,
                bias: false,
            });
            ArrayD::ones(IxDyn(&[&[groups, each], vec![1; axes].as_slice()].concat()))
        };
        let name = node.name.clone();
        draft.set_real(&name, "weight", weight);
    }
    Ok(())
}
