//! Masks in both engines: values, what they cost, and that every way of getting one wrong shows.

use crate::draw::pixels;
use ndarray::{Array1, ArrayD, Axis, IxDyn};
use snn_ir::{
    Code, Conv, Evaluate, Form, Graph, GridLif, GridReset, Input, Model, Naive, Op, PoolKind,
    Preprocessing, Record, Signature, Site, SiteOutput, Tensor, Weights,
};
use snn_runtime::deploy::{Deployment, Kernels, Options};
use snn_runtime::{Counting, InstructionSet};

/// How a mask is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shared {
    /// One value for each value.
    No,
    /// One channel for every two.
    Groups,
    /// One position for all.
    Positions,
}

/// Weights of either sign.
fn weights(shape: &[usize], seed: i32) -> Tensor {
    let mut next = 5 * seed;
    Tensor::I8(ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next = (next * 31 + 11) % 101;
        i8::try_from(next % 7 - 2).unwrap()
    }))
}

/// `x` of four channels of levels 0 to 5, or of binary spikes, masked by spikes of the image, as a
/// network on the grid. `inputs` are those of the mask.
fn model(shared: Shared, inverted: bool, levels: Option<Code>, inputs: [&str; 2]) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 4, 3] }, &[]);
    let channels = if shared == Shared::Groups { 2 } else { 4 };
    let lif = Site::GridLif(GridLif::new(1, 1, 2, GridReset::Hard));
    let spikes = |site| Op::Activation { site, code: Some(Code::Binary) };
    for (name, channels) in [("m", channels), ("x", 4)] {
        graph.push(format!("{name}.conv"), Op::Conv(Conv::square(channels, 1, 1)), &["image"]);
    }
    graph.push("spikes", spikes(lif.clone()), &["m.conv"]);
    let mut mask = "spikes".to_string();
    if shared == Shared::Positions {
        let max = Op::Pool {
            pool: PoolKind::Max,
            window: snn_ir::Window { kernel: vec![4, 3], stride: vec![1, 1], padding: vec![0, 0] },
        };
        mask = graph.push("any", max, &["spikes"]);
    }
    let site = match levels {
        Some(code) => Op::Activation { site: Site::GridQuantRelu { levels: 5 }, code: Some(code) },
        None => spikes(lif),
    };
    graph.push("x", site, &["x.conv"]);
    let inputs = inputs.map(|name| if name == "m" { mask.as_str() } else { name });
    graph.push("y", Op::Mask { inverted }, &inputs);
    graph.push("c", Op::Conv(Conv::square(3, 3, 1)), &["y"]);
    graph.push("z", spikes(Site::GridLif(GridLif::new(1, 1, 2, GridReset::Soft))), &["c"]);
    graph.push("flat", Op::Flatten, &["z"]);
    graph.push("fc", Op::Linear { features: 3, bias: false }, &["flat"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut all = Weights::new();
    for (name, shape, seed) in [
        ("m.conv", vec![channels, 2, 1, 1], 1),
        ("x.conv", vec![4, 2, 1, 1], 3),
        ("c", vec![3, 4, 3, 3], 4),
        ("fc", vec![3, 36], 5),
    ] {
        all.insert(format!("{name}.weight"), weights(&shape, seed));
        all.insert(format!("{name}.multiplier"), Array1::<i32>::ones(shape[0]).into());
    }
    for (name, channels, threshold) in [("spikes", channels, 4), ("x", 4, 3), ("z", 3, 2)] {
        let threshold = Array1::from_elem(channels, threshold);
        all.insert(format!("{name}.threshold"), Tensor::I32(threshold.into_dyn()));
    }
    if levels.is_some() {
        let levels =
            ArrayD::from_shape_fn(IxDyn(&[5, 4]), |at| i32::try_from(2 * at[0] + 1).unwrap());
        all.remove("x.threshold");
        all.insert("x.thresholds".into(), Tensor::I32(levels));
    }
    let preprocessing = Preprocessing::new(vec![128; 2], vec![1.0; 2]);
    Model::new(Signature::new(Form::Grid { logit_unit: 1.0 }, graph, 4, preprocessing), all)
}

fn deployments(model: &Model) -> impl Iterator<Item = (String, Deployment)> {
    InstructionSet::available().flat_map(move |level| {
        let all =
            [Kernels::Auto, Kernels::Events, Kernels::Dense, Kernels::StepTree, Kernels::Tiles];
        all.map(|kernels| {
            let options = Options { instruction_set: Some(level), kernels, ..Options::default() };
            (format!("{options:?}"), Deployment::new(model, &options).unwrap())
        })
    })
}

/// Both engines equal the naive evaluator, which itself tells the mask from every wrong one.
#[test]
fn a_wrong_mask_would_show() {
    for shared in [Shared::No, Shared::Groups, Shared::Positions] {
        for inverted in [false, true] {
            for levels in [None, Some(Code::Unary), Some(Code::BitPlane), Some(Code::Graded)] {
                let what = format!("{shared:?}, inverted {inverted}, {levels:?}");
                let right = model(shared, inverted, levels, ["m", "x"]);
                let images = pixels(&right, &[6], 3);
                let input = Input::Static(images.view());
                let run = |model: &Model| {
                    Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap()
                };
                let expected = run(&right);
                for trace in &expected.sites {
                    let (on, all) = (trace.output.active(), trace.output.len() as u64);
                    assert!(on > 0 && on < all, "{what}: {} shows nothing", trace.site);
                }
                let found = Counting::new(&right).unwrap().evaluate(&input, Record::Sites).unwrap();
                assert_eq!(found, expected, "{what}");
                for (name, deployment) in deployments(&right) {
                    let found = deployment.run(&input, Record::Sites).unwrap();
                    assert_eq!(found.logits, expected.logits, "{what}, {name}");
                }
                let z = |evaluation: &snn_ir::Evaluation| {
                    evaluation.sites.iter().find(|trace| trace.site == "z").unwrap().output.clone()
                };
                let mut wrong = vec![model(shared, !inverted, levels, ["m", "x"])];
                // Of two masks of one shape either could be the first; not where one is inverted.
                if levels.is_none() && shared == Shared::No && inverted {
                    wrong.push(model(shared, inverted, levels, ["x", "m"]));
                }
                for other in wrong {
                    assert_ne!(z(&run(&other)), z(&expected), "{what}");
                }
            }
        }
    }
}

/// A mask costs a comparison for each event that meets it, passed on or not; what it holds back
/// costs its readers nothing.
#[test]
fn a_mask_costs_a_comparison_an_event() {
    for (shared, inverted, levels) in [
        (Shared::No, false, None),
        (Shared::Groups, true, Some(Code::Unary)),
        (Shared::Positions, false, Some(Code::BitPlane)),
        (Shared::Groups, false, Some(Code::Graded)),
    ] {
        let mut plain = model(shared, inverted, levels, ["m", "x"]);
        let images = pixels(&plain, &[5], 8);
        let input = Input::Static(images.view());
        let counted = |model: &Model| {
            let counting = Counting::new(model).unwrap();
            let sites = counting.run(&input, Record::Sites).unwrap().sites;
            (counting.counts(), sites)
        };
        let (counts, sites) = counted(&plain);
        let x = sites.iter().find(|trace| trace.site == "x").unwrap();
        let SiteOutput::Levels(of_x) = &x.output else { panic!("levels") };
        // What does not vary meets the mask at every macro-step.
        let steps = plain.time_steps() / of_x.len_of(Axis(0));
        let events = of_x.iter().filter(|q| **q != 0).count() * steps;
        let tally = counts.node("y").unwrap().tally;
        assert_eq!(tally.comparisons, events as u64, "{shared:?}");
        assert_eq!((tally.additions, tally.multiplications, tally.neuron_updates), (0, 0, 0));
        let before = counts.node("c").unwrap().tally;
        assert!(before.additions + before.multiplications > 0);
        if levels.is_some() {
            continue; // levels do not vary over time, so that they would be read once
        }
        // Without the mask its reader receives more.
        let node = plain.graph_mut().nodes.iter_mut().find(|node| node.name == "c").unwrap();
        node.inputs = vec!["x".into()];
        let nodes = &mut plain.graph_mut().nodes;
        let flat = nodes.iter().position(|node| node.name == "flat").unwrap();
        // Everything is read: the mask by a synapse of its own, which the head does not see.
        nodes.insert(
            flat,
            snn_ir::Node::new("kept", Op::GlobalPool { pool: PoolKind::Sum }, vec!["y".into()]),
        );
        nodes.insert(
            flat + 1,
            snn_ir::Node::new(
                "kept.fc",
                Op::Linear { features: 3, bias: false },
                vec!["kept".into()],
            ),
        );
        let fc = nodes.iter().position(|node| node.name == "fc").unwrap();
        nodes.insert(
            fc + 1,
            snn_ir::Node::new("scores", Op::Add, vec!["fc".into(), "kept.fc".into()]),
        );
        nodes.last_mut().unwrap().inputs = vec!["scores".into()];
        plain.weights_mut().insert("kept.fc.weight".into(), weights(&[3, 4], 6));
        plain.weights_mut().insert("kept.fc.multiplier".into(), Array1::<i32>::ones(3).into());
        let (counts, _) = counted(&plain);
        let after = counts.node("c").unwrap().tally;
        assert!(
            after.additions + after.multiplications > before.additions + before.multiplications
        );
    }
}

/// Planes that sum pooling made are masked as they are: the counts of what passes.
#[test]
fn pooled_planes_are_masked_too() {
    for code in [Code::Unary, Code::BitPlane, Code::Graded] {
        let mut model = model(Shared::No, true, Some(code), ["m", "x"]);
        let window = snn_ir::Window { kernel: vec![3; 2], stride: vec![1; 2], padding: vec![1; 2] };
        let nodes = &mut model.graph_mut().nodes;
        let y = nodes.iter().position(|node| node.name == "y").unwrap();
        nodes[y].inputs[1] = "pooled".into();
        let op = Op::Pool { pool: PoolKind::Sum, window };
        nodes.insert(y, snn_ir::Node::new("pooled", op, vec!["x".into()]));
        let images = pixels(&model, &[6], 4);
        let input = Input::Static(images.view());
        let expected = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
        let found = Counting::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
        assert_eq!(found, expected, "{code:?}");
        for (name, deployment) in deployments(&model) {
            let found = deployment.run(&input, Record::Sites).unwrap();
            assert_eq!(found.logits, expected.logits, "{code:?}, {name}");
        }
    }
}
