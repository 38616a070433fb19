//! Masks (eq. 6b): values by hand for each way in which a mask is shared, and what is refused.

use crate::tiny::{chain, coded, logits, model, real, run, site, trained};
use snn_ir::{
    Code, Conv, Form, Graph, GraphBuilder, Leak, Lif, Model, Naive, Op, PoolKind, QuantRelu, Reset,
    Site, Spike, Window,
};

/// Fires where its current is at least 1.
fn spike() -> Lif {
    Lif { leak: Leak::Factor { factor: 0.0 }, reset: Reset::None, ..Lif::default() }
}

/// Emits whole currents of 0 to 15 as they are.
fn level() -> Site {
    Site::QuantRelu(QuantRelu { levels: 15, step: 1.0, ..QuantRelu::default() })
}

/// A 1×1 convolution that takes `channels` channels from `first` on, of so many, as they are.
fn taken(first: usize, channels: usize, inputs: usize) -> snn_ir::Tensor {
    let weight = |i: usize| f64::from(u8::from(i % inputs == first + i / inputs));
    real(&[channels, inputs, 1, 1], &(0..channels * inputs).map(weight).collect::<Vec<_>>())
}

/// An image of four channels `x` and `groups` channels `m` behind them, 2×2; `m` is pooled to one
/// position if `whole`.
fn masked(groups: usize, whole: bool, inverted: bool) -> Model {
    let inputs = 4 + groups;
    let mut net = GraphBuilder::new([inputs, 2, 2]);
    net.conv("xs", Conv::square(4, 1, 1)).site_of("x", level());
    net.at("image").conv("ms", Conv::square(groups, 1, 1));
    net.site_of("m", Site::Lif(spike()));
    if whole {
        net.global_pool("any", PoolKind::Max);
    }
    let mask = net.tip().to_string();
    if inverted {
        net.inverted_mask("y", &mask, "x");
    } else {
        net.mask("y", &mask, "x");
    }
    let graph = net.flatten("flat").build().unwrap();
    let weights = [("xs.weight", taken(0, 4, inputs)), ("ms.weight", taken(4, groups, inputs))];
    let mut model = trained(graph, 1, weights);
    model.weights_mut().insert("x.step".into(), real(&[1], &[1.0]));
    model
}

/// Levels 0 to 15 in the order of channels and positions.
const X: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn y(groups: usize, whole: bool, inverted: bool, mask: &[u8]) -> Vec<f64> {
    logits(&run(&masked(groups, whole, inverted), &[&X, mask].concat()))
}

#[test]
fn a_mask_of_the_same_shape_masks_value_by_value() {
    let mask = [1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0];
    let expected = [0, 0, 0, 3, 0, 0, 6, 0, 8, 9, 10, 11, 0, 13, 0, 0].map(f64::from);
    assert_eq!(y(4, false, false, &mask), expected);
    // Inverted, the rest passes.
    let rest: Vec<f64> = X.iter().zip(expected).map(|(x, y)| f64::from(*x) - y).collect();
    assert_eq!(y(4, false, true, &mask), rest);
}

#[test]
fn a_mask_of_one_channel_masks_all_channels_alike() {
    let expected = [0, 0, 2, 0, 0, 0, 6, 0, 0, 0, 10, 0, 0, 0, 14, 0].map(f64::from);
    assert_eq!(y(1, false, false, &[0, 0, 1, 0]), expected);
}

/// A channel of the mask stands for consecutive channels, as heads are, not for every second one.
#[test]
fn a_channel_of_a_mask_stands_for_consecutive_channels() {
    let mask = [1, 0, 0, 0, 0, 0, 0, 1];
    let expected = [0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 15].map(f64::from);
    assert_eq!(y(2, false, false, &mask), expected);
    let rest: Vec<f64> = X.iter().zip(expected).map(|(x, y)| f64::from(*x) - y).collect();
    assert_eq!(y(2, false, true, &mask), rest);
}

/// A mask of one position masks whole channels, also where there are as many channels as positions.
#[test]
fn a_mask_of_one_position_masks_whole_channels() {
    let pixels = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0];
    let expected = [0, 0, 0, 0, 4, 5, 6, 7, 0, 0, 0, 0, 12, 13, 14, 15].map(f64::from);
    assert_eq!(y(4, true, false, &pixels), expected);
    // … or groups of them.
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 8, 9, 10, 11, 12, 13, 14, 15].map(f64::from);
    assert_eq!(y(2, true, false, &[0, 0, 0, 0, 0, 1, 0, 0]), expected);
    let expected = [0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0].map(f64::from);
    assert_eq!(y(2, true, true, &[0, 0, 0, 0, 0, 1, 0, 0]), expected);
}

#[test]
fn signals_and_vectors_are_masked_alike() {
    for shape in [vec![4, 3], vec![4]] {
        let mut net = GraphBuilder::new(shape.clone());
        net.site_of("x", level()).at("image").site_of("m", Site::Lif(spike()));
        net.mask("y", "m", "x");
        assert_eq!(net.shape().unwrap(), shape);
        // Where `m` has no spike, `x` is zero already.
        net.inverted_mask("none", "m", "x")
            .flatten("b")
            .at("y")
            .flatten("a")
            .concat("flat", &["a", "b"]);
        let mut model = trained(net.build().unwrap(), 1, []);
        model.weights_mut().insert("x.step".into(), real(&[1], &[1.0]));
        let pixels: Vec<u8> = [0, 1, 2].into_iter().cycle().take(shape.iter().product()).collect();
        let mut expected: Vec<f64> = pixels.iter().map(|&p| f64::from(p)).collect();
        expected.resize(2 * pixels.len(), 0.0);
        assert_eq!(logits(&run(&model, &pixels)), expected);
    }
}

/// Adds nodes to a network and leaves the tip at a mask.
type Edit<'e> = &'e dyn for<'n> Fn(&'n mut GraphBuilder) -> &'n mut GraphBuilder;

/// What a mask may be made of, and what it may not: the message names the node, its mask and why.
#[test]
fn a_mask_is_binary_spikes() {
    let with = |build: Edit<'_>| {
        let mut net = GraphBuilder::new([4, 4, 4]);
        net.site_of("x", level()).at("image").site_of("spikes", Site::Lif(spike()));
        net.at("image").site_of("more", Site::Lif(spike()));
        net.at("spikes");
        build(&mut net);
        let mask = net.tip().to_string();
        net.at("x").global_pool("small", PoolKind::Max).at("small");
        let masked =
            if net.at(&mask).shape().is_some_and(|s| s.len() == 1) { "small" } else { "x" };
        net.mask("gate", &mask, masked).flatten("flat");
        // What is not needed is read all the same.
        for name in ["more", "spikes", "small"] {
            net.at(name).flatten(&format!("{name}.flat"));
        }
        net.concat("all", &["flat", "more.flat", "spikes.flat", "small.flat"]);
        net.build().map(|_| ()).map_err(|error| error.to_string())
    };
    let pool = |pool, kernel| Op::Pool {
        pool,
        window: Window { kernel: vec![kernel; 2], stride: vec![1; 2], padding: vec![1; 2] },
    };
    with(&|net| net).unwrap();
    with(&|net| net.op("max", pool(PoolKind::Max, 3))).unwrap();
    with(&|net| net.global_pool("max", PoolKind::Max)).unwrap();
    with(&|net| net.mask("both", "spikes", "more")).unwrap();
    with(&|net| net.inverted_mask("one", "spikes", "more")).unwrap();
    let refused = |what: &str, build: Edit<'_>| {
        let error = with(build).unwrap_err();
        assert!(
            error.starts_with("node `gate`: its mask, the first input `")
                && error.contains(what)
                && error.contains("must be binary spikes"),
            "{error}"
        );
    };
    let lif = |spike| Site::Lif(Lif { spike, ..Lif::default() });
    refused("`x`, yields levels of 0 to 15", &|net| net.at("x"));
    let one = Site::QuantRelu(QuantRelu { levels: 1, ..QuantRelu::default() });
    refused("levels of 0 to 1", &|net| net.at("image").site_of("one", one.clone()));
    let three = Spike::Integer { levels: 3 };
    refused("levels of 0 to 3", &|net| net.at("image").site_of("i", lif(three)));
    refused("ternary", &|net| net.at("image").site_of("t", lif(Spike::Ternary)));
    refused("real values", &|net| net.at("image").site_of("r", Site::RELU));
    refused("sums or averages", &|net| net.op("sum", pool(PoolKind::Sum, 3)));
    refused("sums or averages", &|net| net.global_pool("mean", PoolKind::Average));
    refused("sums or averages", &|net| net.add("add", &["spikes", "more"]));
    refused("events of earlier macro-steps", &|net| net.delay("old", "spikes", 1, [4, 4, 4]));
    refused("levels of 0 to 15", &|net| net.at("x").dropout("drop", 0.5));
    refused("`image`, yields pixels", &|net| net.at("image"));
    refused("a current", &|net| net.at("image").conv("c", Conv::square(4, 3, 1)));
    refused("levels of 0 to 15", &|net| {
        net.at("x").op("max", pool(PoolKind::Max, 3)).mask("deep", "spikes", "max")
    });
    // The two inputs swapped.
    let mut net = GraphBuilder::new([4, 4, 4]);
    net.site_of("x", level()).at("image").site_of("m", Site::Lif(spike()));
    let error = net.mask("gate", "x", "m").flatten("flat").build().unwrap_err().to_string();
    assert!(error.contains("the first input `x`, yields levels"), "{error}");
}

#[test]
fn shapes_that_share_no_mask_are_refused() {
    let with = |mask: [usize; 3], x: [usize; 3]| {
        let mut graph = Graph::default();
        graph.push("image", Op::Input { shape: vec![1, 8, 8] }, &[]);
        for (name, [channels, rows, columns]) in [("m", mask), ("x", x)] {
            let kernel = vec![9 - rows, 9 - columns];
            let conv = Conv { kernel, padding: vec![0, 0], ..Conv::square(channels, 1, 1) };
            graph.push(format!("{name}.conv"), Op::Conv(conv), &["image"]);
            graph.push(name, site(Site::Lif(Lif::default())), &[&format!("{name}.conv")]);
        }
        graph.push("y", Op::Mask { inverted: false }, &["m", "x"]);
        graph.shapes().map(|mut shapes| shapes.remove(5)).map_err(|error| error.to_string())
    };
    for mask in [[6, 4, 5], [3, 4, 5], [1, 4, 5], [6, 1, 1], [2, 1, 1]] {
        assert_eq!(with(mask, [6, 4, 5]).unwrap(), [6, 4, 5]);
    }
    for mask in [[4, 4, 5], [12, 4, 5], [6, 5, 4], [6, 4, 1], [1, 1, 5], [5, 1, 1]] {
        let error = with(mask, [6, 4, 5]).unwrap_err();
        let expected = "node `y`: expected a mask [G] or [G, …] with G a divisor of 6 and [4, 5]";
        assert!(error.starts_with(expected) && error.contains(&format!("{mask:?}")), "{error}");
    }
    let mut graph = chain(&[4], vec![("m", site(Site::Lif(Lif::default())))]);
    graph.nodes.insert(2, snn_ir::Node::new("y", Op::Mask { inverted: true }, vec!["m".into()]));
    let error = graph.resolve().unwrap_err().to_string();
    assert!(error.contains("node `y` (mask): expected two inputs (the mask, then"), "{error}");
}

#[test]
fn what_a_mask_depends_on_is_found() {
    let mut net = GraphBuilder::new([2, 4, 4]);
    net.site("a").pool("max", PoolKind::Max, 2).flatten("flat");
    net.at("image").site("b").global_pool("top", PoolKind::Max).at("image").site("c");
    net.concat("both", &["flat", "top"]).at("c").flatten("c.flat");
    net.at("image").site("d").flatten("d.flat").concat("long", &["c.flat", "d.flat"]);
    net.linear("fc", 10).site("x").mask("y", "both", "x");
    let graph = net.linear("end", 2).build().unwrap();
    let names: Vec<&str> = graph
        .nodes
        .iter()
        .zip(graph.makes_masks())
        .filter_map(|(node, masks)| masks.then_some(node.name.as_str()))
        .collect();
    assert_eq!(names, ["a", "max", "flat", "b", "top", "both"]);
}

/// Dropout makes 1/(1 − p) of a spike in training: no mask, however it is read.
#[test]
fn spikes_behind_dropout_are_no_mask() {
    let build = |drop: &dyn Fn(&mut GraphBuilder)| {
        let mut net = GraphBuilder::new([2, 4, 4]);
        net.site("m");
        drop(&mut net);
        let mask = net.tip().to_string();
        net.at("image").site("x").mask("y", &mask, "x").flatten("flat");
        net.linear("end", 2).build()
    };
    assert!(build(&|_| {}).unwrap().makes_masks()[1], "the site `m`");
    let value = |net: &mut GraphBuilder| _ = net.dropout("drop", 0.5);
    let path = |net: &mut GraphBuilder| _ = net.drop_path("drop", 0.5);
    let pooled = |net: &mut GraphBuilder| _ = net.dropout("drop", 0.5).pool("p", PoolKind::Max, 1);
    for drop in [&value as &dyn Fn(&mut GraphBuilder), &path, &pooled] {
        let error = build(drop).unwrap_err().to_string();
        let expected = "spikes that dropout scales in training (put the dropout behind the mask)";
        assert!(error.contains("node `y`") && error.contains(expected), "{error}");
    }
    // Behind the mask it may stand.
    let mut net = GraphBuilder::new([2, 4, 4]);
    net.site("m").at("image").site("x").mask("y", "m", "x").dropout("drop", 0.5).flatten("flat");
    net.linear("end", 2).build().unwrap();
}

/// A mask varies over time if either input does (eq. 14).
#[test]
fn a_mask_varies_with_its_inputs() {
    let once = || site(Site::QuantRelu(QuantRelu::default()));
    for (x, varies) in [(once(), true), (site(Site::Lif(Lif::default())), true)] {
        let mut graph = chain(&[4], vec![("x", x), ("m", site(Site::Lif(Lif::default())))]);
        graph.nodes[2].inputs = vec!["image".into()];
        let inputs = vec!["m".into(), "x".into()];
        graph.nodes.insert(3, snn_ir::Node::new("y", Op::Mask { inverted: false }, inputs));
        graph.nodes[4].inputs = vec!["y".into()];
        assert_eq!(graph.resolve().unwrap().nodes[3].varies, varies);
    }
}

/// Converted models type-check: what is masked are events.
#[test]
fn a_mask_of_a_current_or_of_pixels_is_no_event_network() {
    for masked in ["conv", "image", "m"] {
        let graph = {
            let mut graph = Graph::default();
            graph.push("image", Op::Input { shape: vec![2, 3, 3] }, &[]);
            graph.push("conv", Op::Conv(Conv::square(2, 1, 1)), &["image"]);
            graph.push("m", coded(Site::Lif(spike()), Code::Binary), &["conv"]);
            graph.push("y", Op::Mask { inverted: false }, &["m", masked]);
            graph.push("flat", Op::Flatten, &["y"]);
            if masked != "conv" {
                graph.push("fc", Op::Linear { features: 2, bias: false }, &["flat"]);
            }
            let last = graph.nodes[graph.nodes.len() - 1].name.clone();
            graph.push("head", Op::TimeMean, &[&last]);
            graph
        };
        let weights = [("conv.weight", real(&[2, 2, 1, 1], &[1.0, 0.5, -1.0, 0.25]))];
        let mut model = model(Form::Events, graph, 2, weights);
        if masked != "conv" {
            model.weights_mut().insert("fc.weight".into(), real(&[2, 18], &[0.5; 36]));
        }
        match (Naive::new(&model), masked) {
            (Ok(_), "m") => {}
            (Err(error), "conv" | "image") => {
                let error = error.to_string();
                assert!(
                    error.starts_with("node `y`: a mask passes events")
                        && error.contains("activation site before its second input"),
                    "{error}"
                );
            }
            (found, masked) => panic!("{masked}: {:?}", found.map(|_| ())),
        }
    }
}

#[test]
fn a_file_may_leave_out_what_is_not_inverted() {
    let read = |op: &str| serde_json::from_str::<Op>(op);
    assert_eq!(read(r#"{"op": "mask"}"#).unwrap(), Op::Mask { inverted: false });
    assert_eq!(read(r#"{"op": "mask", "inverted": true}"#).unwrap(), Op::Mask { inverted: true });
    assert!(read(r#"{"op": "mask", "invert": true}"#).is_err());
    let model = masked(2, true, true);
    let again = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(model, again);
}

/// Consecutive channels, not every second one; positions stay apart (eq. 6c).
#[test]
fn a_channel_sum_adds_consecutive_channels() {
    let sum = |shape: &[usize], groups: usize, pixels: &[u8]| {
        let nodes = vec![("sum", Op::ChannelSum { groups }), ("flat", Op::Flatten)];
        logits(&run(&trained(chain(shape, nodes), 1, []), pixels))
    };
    let pixels = [1, 2, 3, 4, 5, 6, 70, 80];
    assert_eq!(sum(&[4, 1, 2], 1, &pixels), [79.0, 92.0]);
    assert_eq!(sum(&[4, 1, 2], 2, &pixels), [4.0, 6.0, 75.0, 86.0]);
    assert_eq!(sum(&[4, 2], 4, &pixels), pixels.map(f64::from));
    assert_eq!(sum(&[8], 2, &pixels), [10.0, 161.0]);
    for groups in [0, 3, 8] {
        let graph = chain(&[4, 1, 2], vec![("sum", Op::ChannelSum { groups })]);
        let error = graph.resolve().unwrap_err().to_string();
        let expected = format!("node `sum`: expected channels that {groups} groups divide");
        assert!(error.starts_with(&expected), "{error}");
    }
    assert_eq!(
        serde_json::from_str::<Op>(r#"{"op": "channel_sum"}"#).unwrap(),
        Op::ChannelSum { groups: 1 }
    );
    let graph = chain(&[2], vec![("sum", Op::ChannelSum { groups: 2 })]);
    let error = model(Form::Events, graph, 1, []).validate().unwrap_err().to_string();
    assert!(error.contains("`sum`: a channel sum does not exist after conversion"), "{error}");
}
