//! Integer means: what is rounded goes into the layers that read the image.

use ndarray::{Array1, ArrayD, IxDyn};
use snn_exchange::pixels::{Normalisation, take_up};
use snn_ir::{
    Conv, Evaluate, Form, Graph, GraphBuilder, Input, Model, Naive, PoolKind, Record, Signature,
    Site, Tensor, Weights, weight_specs,
};

const MEAN: [f64; 2] = [0.3, 0.71];
const STD: [f64; 2] = [0.2, 0.35];

/// The model of a graph, with weights of which no two are equal.
fn weights(graph: &Graph) -> Weights {
    let resolved = graph.resolve().unwrap();
    let specs = weight_specs(graph, &resolved, Form::Trained).unwrap();
    let mut count = 0.0_f64;
    specs
        .into_iter()
        .map(|spec| {
            let size = spec.part.shape.iter().product::<usize>();
            let values = (0..size).map(|_| {
                count += 1.0;
                0.5 + 0.4 * (count * 1.7).sin()
            });
            let values = ArrayD::from_shape_vec(IxDyn(&spec.part.shape), values.collect()).unwrap();
            (spec.name, Tensor::F64(values))
        })
        .collect()
}

fn logits(graph: Graph, weights: Weights, mean: Vec<u8>, std: Vec<f64>) -> Vec<f64> {
    let preprocessing = snn_ir::Preprocessing::new(mean, std);
    let model = Model::new(Signature::new(Form::Trained, graph, 1, preprocessing), weights);
    let pixels = Array1::from_iter((0..72_u8).map(|i| i.wrapping_mul(37)));
    let pixels = pixels.into_shape_with_order(IxDyn(&[1, 2, 6, 6])).unwrap();
    let mut naive = Naive::new(&model).unwrap();
    let evaluation = naive.evaluate(&Input::Static(pixels.view()), Record::Logits).unwrap();
    evaluation.logits.to_real(model.signature()).unwrap().iter().copied().collect()
}

fn networks() -> Vec<Graph> {
    let valid = |channels| Conv { padding: vec![0; 2], ..Conv::square(channels, 3, 1) };
    let net = || GraphBuilder::new([2, 6, 6]);
    let mut graphs = Vec::new();
    let mut conv = net();
    conv.conv_norm("a", valid(3))
        .site_of("a.act", Site::RELU)
        .global_pool("p", PoolKind::Average)
        .linear("fc", 2);
    graphs.push(conv.build().unwrap());
    let mut linear = net();
    linear.flatten("f").linear("fc1", 4).site_of("act", Site::RELU).linear("fc2", 2);
    graphs.push(linear.build().unwrap());
    let mut pooled = net();
    pooled.pool("max", PoolKind::Max, 2).pool("mean", PoolKind::Average, 3).norm("bn");
    pooled
        .conv_norm("a", Conv::square(3, 1, 1))
        .site_of("a.act", Site::RELU)
        .flatten("f")
        .linear("fc", 2);
    graphs.push(pooled.build().unwrap());
    let groups = Conv { groups: 2, bias: true, ..valid(4) };
    let mut grouped = net();
    grouped.conv_norm("a", groups).site_of("a.act", Site::RELU).flatten("f").linear("fc", 2);
    graphs.push(grouped.build().unwrap());
    graphs
}

#[test]
fn a_rounded_mean_changes_nothing_without_padding() {
    let normalisation = Normalisation { mean: MEAN.into(), std: STD.into() };
    let rounded = normalisation.preprocessing();
    assert_eq!(rounded.mean, [77, 181]);
    for mut graph in networks() {
        let plain = weights(&graph);
        // The exact normalisation as a batch norm of raw pixels: no mean is rounded there.
        let mut exact = graph.clone();
        let reader = exact.nodes[1].name.clone();
        exact.nodes.insert(
            1,
            snn_ir::Node::new(
                "exact",
                snn_ir::Op::BatchNorm(snn_ir::Norm::with_eps(1.0 / 1024.0)),
                vec!["image".into()],
            ),
        );
        exact.node_mut(&reader).unwrap().inputs[0] = "exact".into();
        let mut with_norm = plain.clone();
        let vector = |values: Vec<f64>| Tensor::from(Array1::from_vec(values));
        let pairs = MEAN.iter().zip(STD);
        let factor: Vec<f64> = STD.iter().map(|std| 1.0 / (255.0 * std)).collect();
        let offset: Vec<f64> = pairs.map(|(mean, std)| -mean / std).collect();
        with_norm.insert("exact.weight".into(), vector(factor));
        with_norm.insert("exact.bias".into(), vector(offset));
        with_norm.insert("exact.running_mean".into(), vector(vec![0.0; 2]));
        with_norm.insert("exact.running_var".into(), vector(vec![1.0 - 1.0 / 1024.0; 2]));
        let expected = logits(exact, with_norm, vec![0; 2], vec![1.0; 2]);

        let mut changed = plain.clone();
        let remainder = take_up(&mut graph, &mut changed, &normalisation.offset()).unwrap();
        assert_eq!(remainder.taken_up_by.len(), 1, "{remainder:?}");
        assert_eq!(remainder.at_border.to_bits(), 0.0_f64.to_bits());
        let found = logits(graph.clone(), changed, rounded.mean.clone(), rounded.std.clone());
        let without =
            logits(networks_like(&graph), plain, rounded.mean.clone(), rounded.std.clone());
        for ((found, expected), without) in found.iter().zip(&expected).zip(&without) {
            assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
            assert!((without - expected).abs() > 1e-6, "the offset is felt");
        }
    }
}

/// The graph as it was before its layer got a bias.
fn networks_like(graph: &Graph) -> Graph {
    let names = |graph: &Graph| -> Vec<String> {
        graph.nodes.iter().map(|node| node.name.clone()).collect()
    };
    networks()
        .into_iter()
        .find(|other| {
            names(other) == names(graph) && {
                let groups = |graph: &Graph| match graph.node("a.conv").map(|node| &node.op) {
                    Some(snn_ir::Op::Conv(conv)) => conv.groups,
                    _ => 0,
                };
                groups(other) == groups(graph)
            }
        })
        .unwrap()
}

#[test]
fn what_remains_at_the_border_is_bounded() {
    let mut net = GraphBuilder::new([2, 6, 6]);
    net.conv("a", Conv::square(3, 3, 1)).flatten("f").linear("fc", 2);
    let mut graph = net.build().unwrap();
    let mut changed = weights(&graph);
    let weight = changed["a.weight"].to_f64();
    let remainder = take_up(&mut graph, &mut changed, &[0.001, -0.002]).unwrap();
    let row = |o: usize, c: usize| -> f64 {
        let taps = weight.iter().skip((o * 2 + c) * 9).take(9);
        taps.map(|w| w.abs()).sum()
    };
    let most = (0..3).map(|o| 0.001 * row(o, 0) + 0.002 * row(o, 1)).fold(0.0, f64::max);
    assert!((remainder.at_border - most).abs() < 1e-12, "{remainder:?}");
    // A pixel of full intensity of every operation that a constant cannot pass.
    let mut net = GraphBuilder::new([2, 6, 6]);
    net.add("twice", &["image", "image"]).flatten("f").linear("fc", 2);
    let mut graph = net.build().unwrap();
    let mut weights = weights(&graph);
    let error = take_up(&mut graph, &mut weights, &[0.1, 0.0]).unwrap_err().to_string();
    assert!(error.contains("`twice`") && error.contains("integers in pixel terms"), "{error}");
    assert!(take_up(&mut graph, &mut weights, &[0.0, 0.0]).is_ok());
}

#[expect(clippy::cast_possible_truncation, reason = "weights of f32 are what is tested")]
/// Training asks for f32, and refuses a network of which one bias is of f64.
#[test]
fn what_takes_up_a_mean_is_of_the_type_of_the_weights() {
    let normalisation = Normalisation { mean: MEAN.into(), std: STD.into() };
    for graph in networks() {
        for single in [true, false] {
            let mut graph = graph.clone();
            let as_f32 = |tensor: &Tensor| tensor.to_f64().mapv(|value| value as f32).into();
            let as_f64 = |tensor: &Tensor| tensor.to_f64().into();
            let of = |tensor: &Tensor| if single { as_f32(tensor) } else { as_f64(tensor) };
            let mut changed: Weights =
                weights(&graph).iter().map(|(name, tensor)| (name.clone(), of(tensor))).collect();
            take_up(&mut graph, &mut changed, &normalisation.offset()).unwrap();
            let dtype = if single { "f32" } else { "f64" };
            for (name, tensor) in &changed {
                assert_eq!(tensor.dtype(), dtype, "{name}");
            }
        }
    }
}
