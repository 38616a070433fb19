//! The proof can fail: each known way to break a conversion is injected, and the comparison finds it. Every fault has a control without it.

use ndarray::{Array2, ArrayD, Axis, IxDyn, Slice, concatenate};
use snn_ir::naive::Naive;
use snn_ir::random::pixels;
use snn_ir::site::QuantRelu;
use snn_ir::{Code, Conv, Evaluate, Evaluation, Form, Graph, Input, Lif, Logits, Model, Op, PoolKind, Preprocessing};
use snn_ir::{Record, Site, SiteOutput, Tensor, Window};
use snn_reparam::verify::{Comparison, Level, Tuning, same_conversion};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_runtime::{Precision, Runtime};

const LEVELS: u8 = 3;
const SAMPLES: usize = 8;

/// conv, norm, QuantRelu `a`, max pooling, conv, LIF `b`, linear: the least network in which every fault can happen.
fn trained() -> Model {
    let site = |site| Op::Activation { site, code: None };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![2, 6, 6] }, &[]);
    graph.push("conv1", Op::Conv(Conv { bias: true, ..Conv::square(4, 3, 1) }), &["image"]);
    graph.push("norm", Op::BatchNorm { eps: 1e-5 }, &["conv1"]);
    graph.push("a", site(Site::QuantRelu(QuantRelu { levels: LEVELS, step: 0.5, ..QuantRelu::default() })), &["norm"]);
    graph.push("pool", Op::Pool { pool: PoolKind::Max, window: Window::square(2) }, &["a"]);
    graph.push("conv2", Op::Conv(Conv { bias: true, ..Conv::square(5, 3, 1) }), &["pool"]);
    graph.push("b", site(Site::Lif(Lif::default())), &["conv2"]);
    graph.push("flatten", Op::Flatten, &["b"]);
    graph.push("fc", Op::Linear { features: 3, bias: true }, &["flatten"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = graph.initial_weights(4).unwrap();
    for (name, values) in [
        ("norm.running_mean", [0.3_f32, -0.2, 0.1, -0.4]),
        ("norm.weight", [1.2, -0.9, 0.8, 1.1]),
        ("norm.bias", [0.2, 0.3, 0.1, 0.4]),
    ] {
        weights.insert(name.into(), Tensor::from(ndarray::arr1(&values)));
    }
    weights.insert("conv2.bias".into(), Tensor::from(ndarray::arr1(&[0.3_f32, 0.2, 0.4, -0.2, 0.1])));
    let preprocessing = Preprocessing::new(vec![120, 60], vec![64.0, 64.0]);
    Model { form: Form::Trained, graph, weights, time_steps: 3, preprocessing, classes: Vec::new() }
}

fn naive(model: &Model, input: &Input<'_>) -> Evaluation {
    Naive::new(model).unwrap().evaluate(input, Record::Sites).unwrap()
}

/// What the comparison says of two evaluations.
fn failures(level: Level, reference: &Evaluation, candidate: &Evaluation) -> Vec<String> {
    let mut comparison = Comparison::new(level, "reference", "candidate");
    comparison.add(reference, candidate).unwrap();
    comparison.failures()
}

/// Trained against a converted model on the event runtime, off the grid.
fn off_grid(converted: &Model) -> Vec<String> {
    let trained = trained();
    let pixels = pixels(&trained, SAMPLES, 1);
    let input = Input::Static(pixels.view());
    let events = Runtime::new(converted, Precision::F64).unwrap().evaluate(&input, Record::Sites).unwrap();
    failures(Level::ZeroFlips, &naive(&trained, &input), &events)
}

fn events(trained: &Model) -> Model {
    convert(trained, &Code::Unary.into()).unwrap().model
}

fn change(model: &mut Model, weight: &str, change: impl FnOnce(&mut ArrayD<f64>)) {
    let mut values = model.weights[weight].to_f64();
    change(&mut values);
    model.weights.insert(weight.into(), Tensor::F64(values));
}

#[test]
fn the_control_holds() {
    assert_eq!(off_grid(&events(&trained())), Vec::<String>::new());
}

#[test]
fn a_wrong_fold_of_batch_norm_is_found() {
    let mut wrong = trained();
    wrong.weights.insert("norm.running_mean".into(), Tensor::from(ndarray::arr1(&[0.0_f32; 4])));
    assert!(!off_grid(&events(&wrong)).is_empty());
    // On the grid a wrong file agrees with itself in every interpreter: the link to the run is what fails.
    let grid =
        |model: &Model| to_grid(&convert(model, &Code::Unary.into()).unwrap(), GridOptions::default()).unwrap().model;
    assert_eq!(same_conversion(&grid(&trained()), &grid(&trained()), Tuning::None), Vec::<String>::new());
    assert!(!same_conversion(&grid(&trained()), &grid(&wrong), Tuning::None).is_empty());
}

#[test]
fn a_bias_added_at_every_micro_step_is_found() {
    let mut wrong = events(&trained());
    change(&mut wrong, "conv2.bias", |bias| *bias *= f64::from(LEVELS));
    assert!(!off_grid(&wrong).is_empty());
}

#[test]
fn an_affine_shift_with_zero_padding_is_found() {
    // Pixels without their mean, the mean folded into the bias: right inside the image, wrong where the padding is zero.
    let mut wrong = events(&trained());
    let weight = wrong.weights["conv1.weight"].to_f64();
    let mean = std::mem::replace(&mut wrong.preprocessing.mean, vec![0, 0]);
    change(&mut wrong, "conv1.bias", |bias| {
        for (bias, row) in bias.iter_mut().zip(weight.axis_iter(Axis(0))) {
            let taps = row.axis_iter(Axis(0)).zip(&mean);
            *bias -= taps.map(|(taps, mean)| taps.sum() * f64::from(*mean)).sum::<f64>();
        }
    });
    assert!(!off_grid(&wrong).is_empty());
}

#[test]
fn rounding_ties_to_even_is_found() {
    // One channel whose current in units is the pixel, with thresholds at 1, 3, 5: half-to-even rounding would not fire at the
    // first and the third when exactly met.
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("conv", Op::Linear { features: 1, bias: false }, &["image"]);
    let site = Site::GridQuantRelu { levels: LEVELS };
    graph.push("a", Op::Activation { site, code: Some(Code::Unary) }, &["conv"]);
    graph.push("fc", Op::Linear { features: 1, bias: false }, &["a"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let one = || Tensor::I8(ArrayD::from_elem(vec![1, 1], 1));
    let unit = || Tensor::I32(ArrayD::from_elem(vec![1], 1));
    let thresholds = |values: [i32; 3]| Tensor::from(Array2::from_shape_vec((3, 1), values.to_vec()).unwrap());
    let names = ["conv.weight", "fc.weight", "conv.multiplier", "fc.multiplier", "a.thresholds"];
    let weights = names.map(ToString::to_string).into_iter().zip([one(), one(), unit(), unit(), thresholds([1, 3, 5])]);
    let right = Model {
        form: Form::Grid { logit_unit: 1.0 },
        graph,
        weights: weights.collect(),
        time_steps: 1,
        preprocessing: Preprocessing::new(vec![0], vec![1.0]),
        classes: Vec::new(),
    };
    let mut wrong = right.clone();
    wrong.weights.insert("a.thresholds".into(), thresholds([2, 3, 6]));
    let pixels = ArrayD::from_shape_vec(vec![7, 1], (0..7).collect::<Vec<u8>>()).unwrap();
    let input = Input::Static(pixels.view());
    let run = |model| Runtime::new(model, Precision::Grid).unwrap().evaluate(&input, Record::Sites).unwrap();
    assert_eq!(failures(Level::Bitwise, &naive(&right, &input), &run(&right)), Vec::<String>::new());
    assert!(!failures(Level::Bitwise, &naive(&right, &input), &run(&wrong)).is_empty());
}

/// The converted network after its pooling, which then takes levels as pixels, one frame a (micro-)step.
fn rest(time_steps: usize) -> Model {
    let mut model = events(&trained());
    model.graph.nodes.retain(|node| !["conv1", "a", "pool"].contains(&node.name.as_str()));
    model.weights.retain(|name, _| !name.starts_with("conv1.") && !name.starts_with("a."));
    model.graph.nodes[0].op = Op::Input { shape: vec![4, 3, 3] };
    model.graph.nodes[1].inputs = vec!["image".into()];
    model.preprocessing = Preprocessing::new(vec![0; 4], vec![1.0; 4]);
    model.time_steps = time_steps;
    model
}

/// Levels of site `a` of the converted network, `[B, 4, 6, 6]`, and what the whole network did.
fn levels() -> (ArrayD<u8>, Evaluation) {
    let model = events(&trained());
    let pixels = pixels(&model, SAMPLES, 1);
    let mut evaluation = naive(&model, &Input::Static(pixels.view()));
    let a = evaluation.sites.remove(0);
    let SiteOutput::Levels(levels) = a.output else { panic!("levels") };
    (levels.index_axis(Axis(0), 0).mapv(|q| u8::try_from(q).unwrap()), evaluation)
}

/// 2×2 max pooling.
fn pooled(values: &ArrayD<u8>) -> ArrayD<u8> {
    ArrayD::from_shape_fn(IxDyn(&[SAMPLES, 4, 3, 3]), |at| {
        let window = |i, j| values[[at[0], at[1], 2 * at[2] + i, 2 * at[3] + j]];
        window(0, 0).max(window(0, 1)).max(window(1, 0)).max(window(1, 1))
    })
}

#[test]
fn max_pooling_of_bit_planes_is_found() {
    let (levels, whole) = levels();
    let run = |pooled: &ArrayD<u8>| naive(&rest(3), &Input::Static(pooled.view()));
    assert_eq!(failures(Level::ZeroFlips, &whole, &run(&pooled(&levels))), Vec::<String>::new());
    let bit = |k: u8| pooled(&levels.mapv(|q| (q >> k) & 1)).mapv(|b| b << k);
    let wrong = bit(0) + bit(1);
    assert!(!failures(Level::ZeroFlips, &whole, &run(&wrong)).is_empty());
}

#[test]
fn firing_at_every_micro_step_is_found() {
    let (levels, whole) = levels();
    let planes: Vec<ArrayD<u8>> =
        (1..=LEVELS).map(|k| pooled(&levels).mapv(|q| u8::from(q >= k)).insert_axis(Axis(0))).collect();
    let views: Vec<_> = planes.iter().map(|a| a.view()).collect();
    let step = concatenate(Axis(0), &views).unwrap();
    let frames = concatenate(Axis(0), &[step.view(), step.view(), step.view()]).unwrap();
    let steps = usize::from(LEVELS);
    let micro = naive(&rest(3 * steps), &Input::Frames(frames.view()));
    // Spikes of a macro-step are the sum of those of its micro-steps.
    let SiteOutput::Levels(spikes) = &micro.sites[0].output else { panic!("levels") };
    let macros: Vec<_> = (0..3)
        .map(|t| {
            spikes.slice_axis(Axis(0), Slice::from(t * steps..(t + 1) * steps)).sum_axis(Axis(0)).insert_axis(Axis(0))
        })
        .collect();
    let views: Vec<_> = macros.iter().map(|a| a.view()).collect();
    let mut wrong = whole.clone();
    wrong.sites[0].output = SiteOutput::Levels(concatenate(Axis(0), &views).unwrap());
    let found = failures(Level::ZeroFlips, &whole, &wrong);
    assert!(found.iter().any(|failure| failure.contains("decisions differ")), "{found:?}");
    let Logits::Real(logits) = &micro.logits else { panic!("real logits") };
    assert_eq!(logits.dim(), (SAMPLES, 3));
}
