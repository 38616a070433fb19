//! Whether conversion would refuse a network, before it is trained.

use crate::commands::convert::convert;
use snn_ir::{Code, Form, Graph, Model, Op, Signature};
use snn_reparam::{CodeChoice, ConversionOptions, GridOptions};

/// Why conversion to the integer grid would refuse a network, as far as its graph tells; `None` if
/// it would not.
///
/// What is refused depends on the operations and on what they read, hardly on how many channels
/// there are: a network with the same graph, but few channels and fresh weights, is converted.
pub(crate) fn refusal(model: &Model) -> Option<snn_reparam::Error> {
    if model.form() != Form::Trained {
        return None;
    }
    let graph = narrow(model.graph());
    let weights = match graph.initial_weights(0) {
        Ok(weights) => weights,
        Err(error) => return Some(error.into()),
    };
    let preprocessing = model.preprocessing().clone();
    let signature = Signature::new(Form::Trained, graph, model.time_steps(), preprocessing)
        .with_encoder(model.encoder());
    let model = Model::new(signature, weights);
    let refused = |code| {
        let grid = Some(GridOptions::default());
        convert(&model, &ConversionOptions { codes: CodeChoice::from(code), grid }).err()
    };
    // Levels and values of any kind fit into one of these two codes.
    refused(Code::Unary).and_then(|refusal| refused(Code::Graded).map(|_| refusal))
}

/// A graph with the fewest channels that are the same share of those of every layer but the last;
/// the graph itself where there is no such share.
fn narrow(graph: &Graph) -> Graph {
    let layers = || {
        graph.nodes.iter().filter_map(|node| match &node.op {
            Op::Conv(conv) => Some((&node.name, conv.channels)),
            Op::Linear { features, .. } => Some((&node.name, *features)),
            _ => None,
        })
    };
    let Some((last, _)) = layers().next_back() else { return graph.clone() };
    let channels = layers().filter(|(name, _)| *name != last).map(|(_, channels)| channels);
    let Some(common) = channels.reduce(greatest_common_divisor) else { return graph.clone() };
    let shares = (2..=common).rev().filter(|share| common.is_multiple_of(*share));
    let mut narrower = shares.map(|share| divided(graph, last, share));
    narrower.find(|graph| graph.resolve().is_ok()).unwrap_or_else(|| graph.clone())
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A graph with the channels of all layers but one divided, where they can be.
fn divided(graph: &Graph, kept: &str, share: usize) -> Graph {
    let mut graph = graph.clone();
    let divide = |count: &mut usize| {
        if count.is_multiple_of(share) {
            *count /= share;
        }
    };
    for node in &mut graph.nodes {
        // First weights of other sizes may not exist.
        node.initial = None;
        match &mut node.op {
            Op::Conv(conv) if node.name != kept => {
                divide(&mut conv.channels);
                divide(&mut conv.groups);
            }
            Op::Linear { features, .. } if node.name != kept => divide(features),
            Op::Delay { shape, .. } => shape.iter_mut().take(1).for_each(divide),
            _ => {}
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::{narrow, refusal};
    use snn_ir::networks::BuiltIn;
    use snn_ir::{
        Form, Graph, GraphBuilder, Lif, Model, Op, PoolKind, Preprocessing, Signature, Site,
    };

    fn model(graph: &Graph) -> Model {
        let preprocessing = Preprocessing::new(vec![0; 3], vec![1.0; 3]);
        let signature = Signature::new(Form::Trained, graph.clone(), 2, preprocessing);
        // No weights of its own: the graph decides.
        Model::new(signature, snn_ir::Weights::new())
    }

    /// However large a network is, what is converted is small.
    #[test]
    fn the_graph_alone_is_checked() {
        for kind in BuiltIn::kinds() {
            let graph = BuiltIn::named(kind).unwrap().graph([3, 32, 32], 10, &Lif::default());
            let count = |graph: &Graph| -> u64 { graph.multiply_adds().unwrap().iter().sum() };
            let (whole, small) = (count(&graph), count(&narrow(&graph)));
            assert!(8 * small < whole, "{kind}: {small} of {whole} multiply-adds");
            assert_eq!(narrow(&graph).nodes.len(), graph.nodes.len(), "{kind}");
            let refused = refusal(&model(&graph));
            assert!(refused.is_none(), "{kind}: {refused:?}");
        }
    }

    #[test]
    fn what_does_not_convert_is_named() {
        let graph = |site: Site| {
            let mut net = GraphBuilder::new([3, 8, 8]);
            net.conv("conv", snn_ir::Conv::square(12, 3, 1)).norm("bn").site_of("act", site);
            net.global_pool("gap", PoolKind::Average).linear("fc", 10).build().unwrap()
        };
        assert!(refusal(&model(&graph(Site::Lif(Lif::default())))).is_none());
        let refused = refusal(&model(&graph(Site::RELU))).unwrap().to_string();
        assert!(refused.contains("act"), "{refused}");
        // A recurrence, and groups: divided with the rest.
        let mut net = GraphBuilder::new([3, 8, 8]);
        let square = || snn_ir::Conv::square(64, 3, 1);
        net.conv("conv", square()).recurrent_site("act", Some(square()));
        net.conv("deep", snn_ir::Conv { groups: 64, ..square() }).site("b");
        let graph = net.global_pool("gap", PoolKind::Average).linear("fc", 10).build().unwrap();
        let small = narrow(&graph);
        assert!(matches!(&small.node("deep").unwrap().op, Op::Conv(conv) if conv.groups == 1));
        assert!(refusal(&model(&graph)).is_none());
    }
}
