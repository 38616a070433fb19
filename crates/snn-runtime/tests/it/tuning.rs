//! Times of layers: what is measured decides which form of a layer runs, and changes no bit.

use crate::draw::pixels;
use ndarray::{Array1, ArrayD, IxDyn};
use snn_ir::{
    Code, Conv, Evaluate, Form, Graph, GridLif, GridReset, Input, Model, Naive, Op, PoolKind,
    Preprocessing, Record, Signature, Site, SiteOutput, Weights,
};
use snn_runtime::InstructionSet;
use snn_runtime::deploy::{Deployment, Kernels, Options, SHARES, Tuning};
use std::collections::BTreeMap;
use std::sync::Arc;

const CHANNELS: usize = 16;
const STEPS: usize = 3;

/// Spiking layers of every kind that has two forms: a convolution, one with a stride and padding on
/// one side, a depth-wise one and a linear layer.
fn model() -> Model {
    let (mut graph, mut weights) = (Graph::default(), Weights::new());
    graph.push("image", Op::Input { shape: vec![CHANNELS, 9, 9] }, &[]);
    let mut last = "image".to_owned();
    let one_sided = Conv { padding: vec![0, 0, 1, 1], ..Conv::square(CHANNELS, 3, 2) };
    let depth_wise = Conv { groups: CHANNELS, ..Conv::square(CHANNELS, 3, 1) };
    for (name, conv) in [
        ("first", Conv::square(CHANNELS, 3, 1)),
        ("plain", Conv::square(CHANNELS, 3, 1)),
        ("one-sided", one_sided),
        ("depth-wise", depth_wise),
    ] {
        let shape = IxDyn(&[CHANNELS, CHANNELS / conv.groups, 3, 3]);
        let mut count = 0_i8;
        let weight = || {
            count = count.wrapping_add(37);
            count.rem_euclid(12) - 4
        };
        weights
            .insert(format!("{name}.weight"), ArrayD::from_shape_simple_fn(shape, weight).into());
        last = graph.push(name, Op::Conv(conv), &[&last]);
        last = spiking(&mut graph, &mut weights, &last, CHANNELS);
    }
    last = graph.push("pool", Op::GlobalPool { pool: PoolKind::Max }, &[&last]);
    last = graph.push("flat", Op::Flatten, &[&last]);
    last = graph.push("linear", Op::Linear { features: 5, bias: false }, &[&last]);
    let weight =
        ArrayD::from_shape_fn(IxDyn(&[5, CHANNELS]), |at| i8::try_from(at[0] + at[1]).unwrap());
    weights.insert("linear.weight".into(), weight.into());
    weights.insert("linear.multiplier".into(), Array1::<i32>::ones(5).into());
    graph.push("head", Op::TimeMean, &[&last]);
    let pixels = Preprocessing::new(vec![128; CHANNELS], vec![1.0; CHANNELS]);
    Model::new(Signature::new(Form::Grid { logit_unit: 1.0 }, graph, STEPS, pixels), weights)
}

fn spiking(graph: &mut Graph, weights: &mut Weights, input: &str, channels: usize) -> String {
    weights.insert(format!("{input}.multiplier"), Array1::<i32>::ones(channels).into());
    let name = format!("{input}.act");
    weights.insert(format!("{name}.threshold"), Array1::<i32>::from_elem(channels, 9).into());
    let site = Site::GridLif(GridLif::new(1, 1, 8, GridReset::Soft));
    graph.push(name, Op::Activation { site, code: Some(Code::Binary) }, &[input])
}

fn tuned(tuning: &Tuning, instruction_set: InstructionSet) -> Deployment {
    let options = Options {
        instruction_set: Some(instruction_set),
        tuning: Some(Arc::new(tuning.clone())),
        ..Options::default()
    };
    Deployment::new(&model(), &options).unwrap()
}

/// Times as they would be if one form took longer than the other at every share.
fn always(tuning: &Tuning, events: u64, dense: u64) -> Tuning {
    let times = |time| vec![time; SHARES.len()];
    let layers: BTreeMap<&str, serde_json::Value> = tuning
        .layers()
        .map(|(layer, _)| {
            (
                layer,
                serde_json::json!({
                    "added": SHARES, "events": times(events), "dense": times(dense),
                }),
            )
        })
        .collect();
    serde_json::from_value(serde_json::to_value(layers).unwrap()).unwrap()
}

#[test]
fn what_is_measured_decides_and_changes_no_bit() {
    let model = model();
    let images = pixels(&model, &[4], 1);
    let input = Input::Static(images.view());
    let expected = Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
    for site in &expected.sites {
        let fires = |levels: &ArrayD<i16>| levels.iter().any(|level| *level != 0);
        let SiteOutput::Levels(levels) = &site.output else { panic!("{}", site.site) };
        assert!(fires(levels), "{}", site.site);
    }
    for set in InstructionSet::available() {
        let mut tuning = Tuning::default();
        let options = Options { instruction_set: Some(set), ..Options::default() };
        let measured = tuning.measure(&model, &options).unwrap();
        // Three convolutions of spikes and a linear layer, at one and at three macro-steps; and
        // the first layer where a dense product takes pixels, whose bytes need all eight bits.
        let layers = if set >= InstructionSet::Avx512Vnni { 5 } else { 4 };
        assert_eq!((measured, tuning.layers().count()), (2 * layers, 2 * layers), "{set}");
        assert_eq!(tuning.measure(&model, &options).unwrap(), 0, "{set}: they are known now");
        for (layer, times) in tuning.layers() {
            assert!(layer.starts_with(&set.to_string()), "{layer}");
            assert!(times.events.iter().chain(&times.dense).all(|time| *time > 0), "{layer}");
            assert!(times.break_even() <= 1000);
        }
        let text = serde_json::to_string(&tuning).unwrap();
        assert_eq!(serde_json::from_str::<Tuning>(&text).unwrap(), tuning);

        let (events, dense) = (always(&tuning, 1, 2), always(&tuning, 2, 1));
        assert!(!tuned(&events, set).summary().to_string().contains("dense"), "{set}");
        let dense_forms = tuned(&dense, set).summary().to_string();
        let all = dense_forms.matches("more than 0 of 1000").count();
        assert_eq!(all, layers, "{set}: {dense_forms}");
        for tuning in [&tuning, &events, &dense] {
            let found = tuned(tuning, set).run(&input, Record::Sites).unwrap();
            assert_eq!(found.logits, expected.logits, "{set}");
            for (found, expected) in found.sites.iter().zip(&expected.sites) {
                assert_eq!(found.output, expected.output, "{set}: {}", found.site);
            }
        }
    }
}

/// What a layer adds through events: every active input, but where macro-steps share additions.
#[test]
fn additions_are_counted_less_what_steps_share() {
    const T: usize = 4;
    for (outputs, shared) in [(16, 1), (64, T as u64)] {
        let (mut graph, mut weights) = (Graph::default(), Weights::new());
        let ones = |count| Array1::<i32>::ones(count);
        graph.push("image", Op::Input { shape: vec![8, 6, 6] }, &[]);
        graph.push("stem", Op::Scale, &["image"]);
        let source = Site::GridQuantRelu { levels: 1 };
        graph.push("in", Op::Activation { site: source, code: Some(Code::Graded) }, &["stem"]);
        graph.push("conv", Op::Conv(Conv::square(outputs, 3, 1)), &["in"]);
        let last = spiking(&mut graph, &mut weights, "conv", outputs);
        graph.push("pool", Op::GlobalPool { pool: PoolKind::Sum }, &[&last]);
        graph.push("scores", Op::Scale, &["pool"]);
        graph.push("head", Op::TimeMean, &["scores"]);
        weights.insert("stem.weight".into(), ones(8).into());
        weights.insert("in.thresholds".into(), ndarray::Array2::<i32>::ones((1, 8)).into());
        let kernel = ArrayD::from_elem(IxDyn(&[outputs, 8, 3, 3]), 1_i8);
        weights.insert("conv.weight".into(), kernel.into());
        weights.insert("scores.weight".into(), ones(outputs).into());
        let pixels = Preprocessing::new(vec![0; 8], vec![1.0; 8]);
        let signature = Signature::new(Form::Grid { logit_unit: 1.0 }, graph, T, pixels);
        let model = Model::new(signature, weights);
        let options = Options { kernels: Kernels::Events, statistics: true, ..Options::default() };
        let mut session = Deployment::new(&model, &options).unwrap().session();
        // All inputs are active at all macro-steps, which are frames.
        session.run_frames(vec![1_u8; T * 8 * 36]).unwrap();
        let node = session.statistics().iter().find(|node| node.node == last).unwrap();
        assert_eq!(node.added * shared, node.inputs, "{outputs} outputs");
        session.reset_statistics();
        session.run_frames(vec![0_u8; T * 8 * 36]).unwrap();
        let node = session.statistics().iter().find(|node| node.node == last).unwrap();
        assert_eq!(node.added, 0);
        assert!(node.inputs >= (T * 8 * 36) as u64);
    }
}

#[test]
fn forced_kernels_ask_no_times_and_other_models_have_none() {
    let mut tuning = Tuning::default();
    tuning.measure(&model(), &Options::default()).unwrap();
    let dense = always(&tuning, 2, 1);
    let options = Options {
        kernels: Kernels::Events,
        tuning: Some(Arc::new(dense.clone())),
        ..Options::default()
    };
    let forced = Deployment::new(&model(), &options).unwrap();
    assert!(!forced.summary().to_string().contains("dense"));
    // Another model's layers are not among those that were measured.
    let mut other = Tuning::default();
    other.merge(always(&tuning, 1, 2));
    other.merge(dense.clone());
    assert_eq!(other, dense, "the later times count");
    let mut trained = model().signature().clone();
    trained.form = Form::Trained;
    let trained = Model::new(trained, Weights::new());
    assert!(Tuning::default().measure(&trained, &Options::default()).is_err());
}
