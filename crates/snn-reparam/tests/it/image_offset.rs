//! Integer means of images: what is rounded goes into the layers that read them, or a batch norm.

use ndarray::{Array1, ArrayD, IxDyn};
use snn_ir::{
    Conv, Evaluate, Form, Graph, GraphBuilder, Input, Model, Naive, Node, Norm, Op, PoolKind,
    Preprocessing, Record, Signature, Site, Tensor, Weights, weight_specs,
};
use snn_reparam::image_offset::{integer_pixels, keep, nearest_mean, take_up};
use snn_reparam::{Action, Levels, QuantiseOptions, Refusal, SiteValues, convert, quantise};

/// Means that are no integers, and deviations of pixels.
const MEAN: [f64; 2] = [76.5, 181.05];
const STD: [f64; 2] = [51.0, 89.25];

fn integer_means() -> Vec<u8> {
    MEAN.iter().map(|mean| nearest_mean(*mean)).collect()
}

/// What values lack with these.
fn offset() -> Vec<f64> {
    let channels = integer_means().into_iter().zip(MEAN).zip(STD);
    channels.map(|((integer, mean), std)| (f64::from(integer) - mean) / std).collect()
}

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

fn model(graph: Graph, weights: Weights, mean: Vec<u8>, std: Vec<f64>) -> Model {
    Model::new(Signature::new(Form::Trained, graph, 1, Preprocessing::new(mean, std)), weights)
}

fn logits(model: &Model) -> Vec<f64> {
    let pixels = Array1::from_iter((0..72_u8).map(|i| i.wrapping_mul(37)));
    let pixels = pixels.into_shape_with_order(IxDyn(&[1, 2, 6, 6])).unwrap();
    let mut naive = Naive::new(model).unwrap();
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

/// A network with its exact normalisation as a batch norm of raw pixels: no mean is rounded there.
fn exact(mut graph: Graph, mut weights: Weights) -> Model {
    let norm = Norm::with_eps(1.0 / 1024.0);
    for read in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if read == "image" {
            "exact".clone_into(read);
        }
    }
    graph.nodes.insert(1, Node::new("exact", Op::BatchNorm(norm), vec!["image".into()]));
    let pairs = MEAN.iter().zip(STD);
    let parts = [
        ("weight", STD.iter().map(|std| 1.0 / std).collect()),
        ("bias", pairs.map(|(mean, std)| -mean / std).collect()),
        ("running_mean", vec![0.0; 2]),
        ("running_var", vec![1.0 - norm.eps; 2]),
    ];
    for (part, values) in parts {
        weights.insert(format!("exact.{part}"), Array1::<f64>::from_vec(values).into());
    }
    model(graph, weights, vec![0; 2], vec![1.0; 2])
}

fn near(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9)
}

#[test]
fn a_rounded_mean_changes_nothing_without_padding() {
    assert_eq!(integer_means(), [77, 181]);
    for graph in networks() {
        let plain = weights(&graph);
        let expected = logits(&exact(graph.clone(), plain.clone()));
        let (mut taken, mut changed) = (graph.clone(), plain.clone());
        let remainder = take_up(&mut taken, &mut changed, &offset()).unwrap();
        assert_eq!(remainder.taken_up_by.len(), 1, "{remainder:?}");
        assert_eq!(remainder.at_border.to_bits(), 0.0_f64.to_bits());
        let found = logits(&model(taken, changed, integer_means(), STD.into()));
        let without = logits(&model(graph, plain, integer_means(), STD.into()));
        assert!(near(&found, &expected), "{found:?} for {expected:?}");
        assert!(!near(&without, &expected), "the offset is felt");
    }
}

/// The bound at a border is one of currents, those behind a batch norm too: nothing differs by
/// more, and something by a good part of it.
#[test]
fn currents_at_the_border_differ_by_no_more_than_the_bound() {
    for norm in [false, true] {
        let mut net = GraphBuilder::new([2, 6, 6]);
        net.conv("a", Conv::square(3, 3, 1));
        if norm {
            net.norm("a.bn");
        }
        net.flatten("f");
        let graph = net.build().unwrap();
        let mut plain = weights(&graph);
        if norm {
            let factors = Array1::from_vec(vec![8.0, -9.0, 1.0]);
            plain.insert("a.bn.weight".into(), factors.into());
        }
        let exact = logits(&exact(graph.clone(), plain.clone()));
        let (mut taken, mut changed) = (graph, plain);
        let remainder = take_up(&mut taken, &mut changed, &offset()).unwrap();
        let found = logits(&model(taken, changed, integer_means(), STD.into()));
        let apart = exact.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let bound = remainder.at_border;
        assert!(apart <= bound + 1e-12 && apart > 0.2 * bound, "{apart} of {bound}");
    }
}

/// A network whose first layer reads padding, with and without a bias or a batch norm.
fn padded() -> [Graph; 3] {
    let build = |bias: bool, norm: bool| {
        let mut net = GraphBuilder::new([2, 6, 6]);
        net.conv("a", Conv { bias, ..Conv::square(3, 3, 1) });
        if norm {
            net.norm("a.bn");
        }
        net.site_of("act", Site::RELU).flatten("f").linear("fc", 2);
        net.build().unwrap()
    };
    [build(false, false), build(true, false), build(false, true)]
}

#[test]
fn a_batch_norm_keeps_a_mean_exactly_and_quantise_moves_it() {
    for graph in padded() {
        let plain = weights(&graph);
        let expected = logits(&exact(graph.clone(), plain.clone()));
        let (mut kept, mut with_norm) = (graph.clone(), plain.clone());
        let remainder = keep(&mut kept, &mut with_norm, &offset()).unwrap();
        assert_eq!(remainder.kept_by.as_deref(), Some("image_offset"));
        let kept = model(kept, with_norm, integer_means(), STD.into());
        assert!(near(&logits(&kept), &expected));

        // Both the offset and the whole normalisation as a batch norm become the same means.
        let rounded = |model: &Model| integer_pixels(model).unwrap().expect("it has one");
        let (a, norm, remainder) = rounded(&kept);
        let (b, ..) = rounded(&exact(graph.clone(), plain.clone()));
        assert_eq!(norm, "image_offset");
        assert!(near(&remainder.offset, &offset()) && remainder.at_border > 0.0);
        for model in [&a, &b] {
            assert_eq!(model.preprocessing().mean, integer_means());
            assert!(near(&model.preprocessing().std, &STD));
        }
        assert!(near(&logits(&a), &logits(&b)));
        assert_eq!(integer_pixels(&a).unwrap(), None);
        // Nothing but the border differs, and its bound is one of the layer's outputs.
        let has_norm = graph.node("a.bn").is_some();
        let same_graph = has_norm || matches!(&graph.nodes[1].op, Op::Conv(conv) if conv.bias);
        assert_eq!(a.graph() == &graph, same_graph, "a bias is made only where there is no place");
        assert!(!near(&logits(&a), &expected), "the border is felt");

        let refused = convert(&kept, &snn_ir::Code::Graded.into()).unwrap_err();
        let snn_reparam::Error::Refused(plan) = refused else { panic!("{refused}") };
        let reasons: Vec<_> = plan.entries.iter().filter_map(snn_reparam::Entry::refusal).collect();
        assert!(reasons.contains(&&Refusal::NormOfImage), "{plan}");
        let seen = {
            let pixels = ArrayD::from_elem(IxDyn(&[1, 2, 6, 6]), 200_u8);
            let mut naive = Naive::new(&kept).unwrap();
            let mut values = SiteValues::default();
            let evaluation = naive.evaluate(&Input::Static(pixels.view()), Record::Sites);
            values.add(&evaluation.unwrap()).unwrap();
            values
        };
        let options = QuantiseOptions::new(Levels::Of(255));
        let quantised = quantise(&kept, &seen, &options).unwrap();
        let first = &quantised.plan.entries[0];
        assert_eq!(first.node, "image_offset");
        assert_eq!(first.action, Action::OfImage { at_border: remainder.at_border });
        assert_eq!(quantised.model.preprocessing().mean, integer_means());
        convert(&quantised.model, &snn_ir::Code::Graded.into()).unwrap();
    }
}

#[test]
fn a_norm_of_the_image_with_a_factor_that_is_not_positive_stays() {
    let graph = padded()[0].clone();
    let plain = weights(&graph);
    let mut negative = exact(graph, plain);
    let factors = Array1::from_vec(vec![1.0, -1.0]);
    negative.weights_mut().insert("exact.weight".into(), factors.into());
    assert_eq!(integer_pixels(&negative).unwrap(), None);
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
    for graph in networks().into_iter().chain(padded()) {
        for single in [true, false] {
            let mut graph = graph.clone();
            let as_f32 = |tensor: &Tensor| tensor.to_f64().mapv(|value| value as f32).into();
            let as_f64 = |tensor: &Tensor| tensor.to_f64().into();
            let of = |tensor: &Tensor| if single { as_f32(tensor) } else { as_f64(tensor) };
            let mut changed: Weights =
                weights(&graph).iter().map(|(name, tensor)| (name.clone(), of(tensor))).collect();
            take_up(&mut graph, &mut changed, &offset()).unwrap();
            keep(&mut graph, &mut changed, &offset()).unwrap();
            let dtype = if single { "f32" } else { "f64" };
            for (name, tensor) in &changed {
                assert_eq!(tensor.dtype(), dtype, "{name}");
            }
        }
    }
}
