//! The libtorch interpreter on the grid, and of random models in all forms, against the naive
//! evaluator.

use crate::common::{Random, assert_same, grid_model};
use ndarray::ArrayD;
use snn_core::{Libtorch, self_test, tch::Device};
use snn_ir::F32_EXACT;
use snn_ir::testing::{Numbers, pixels, trained};
use snn_ir::{
    Code, Conv, Evaluate, Form, Graph, Input, Logits, Model, Naive, Op, PoolKind, Preprocessing,
    Record, Signature, Site, Tensor, Weights,
};
use snn_reparam::{GridOptions, convert, to_grid};

/// Equal in every bit on the grid; off it equal in every spike and close in value.
fn compare(model: &Model, input: &Input<'_>, what: &str) {
    let theirs = Naive::new(model).unwrap().evaluate(input, Record::Sites).unwrap();
    let ours = Libtorch::new(model, Device::Cpu).unwrap().evaluate(input, Record::Sites).unwrap();
    if matches!(model.form(), Form::Grid { .. }) {
        assert!(matches!(ours.logits, Logits::Integer(_)));
        assert!(ours == theirs, "{what}: the evaluators differ on the grid");
    } else {
        let quiet = true;
        assert_same(&ours, &theirs, what, quiet);
    }
}

#[test]
fn a_grid_by_hand_is_equal_in_every_bit() {
    let mut random = Random::new(21);
    for seed in 0..6 {
        let model = grid_model(seed, 1 + usize::try_from(seed).unwrap() % 4);
        let images = random.images(&[3, 2, 8, 8]);
        let input = Input::Static(images.view());
        compare(&model, &input, &format!("static, seed {seed}"));
        let frames = random.images(&[model.time_steps(), 2, 2, 8, 8]);
        compare(&model, &Input::Frames(frames.view()), &format!("frames, seed {seed}"));
        let result =
            Libtorch::new(&model, Device::Cpu).unwrap().evaluate(&input, Record::Sites).unwrap();
        assert_eq!(result.sites.len(), 4);
        assert!(
            result.sites.iter().all(|trace| trace.output.active() > 0),
            "a site is silent, seed {seed}"
        );
    }
}

#[test]
fn random_models_agree_in_all_three_forms() {
    let mut on_grid = 0;
    for seed in 0..60 {
        for numbers in [Numbers::Real, Numbers::Dyadic] {
            let trained = trained(seed, numbers);
            let pixels = pixels(&trained, 2, seed);
            let input = Input::Static(pixels.view());
            let what = |form: &str| format!("{form}, seed {seed}, {numbers:?}");
            compare(&trained, &input, &what("trained"));
            let Ok(events) = convert(&trained, &Code::Unary.into()) else { continue };
            compare(&events.model, &input, &what("events"));
            let Ok(grid) = to_grid(&events.model, GridOptions::default()) else { continue };
            compare(&grid.model, &input, &what("grid"));
            on_grid += 1;
        }
    }
    assert!(on_grid > 60, "{on_grid} models reached the grid");
}

#[test]
fn the_self_test_passes_here() {
    for seed in 0..3 {
        self_test(&grid_model(seed, 2), Device::Cpu).unwrap();
    }
}

/// A hidden layer of 1,100 levels up to 255, summed over 64 positions: the largest inputs under
/// dense weights leave single precision, and the rows of `fc` have three weights each.
fn sparse_rows() -> Model {
    let mut graph = Graph::default();
    let site = Site::GridQuantRelu { levels: 255 };
    graph.push("image", Op::Input { shape: vec![1, 8, 8] }, &[]);
    graph.push("conv", Op::Conv(Conv::square(1_100, 1, 1)), &["image"]);
    graph.push("act", Op::Activation { site, code: Some(Code::Graded) }, &["conv"]);
    graph.push("sum", Op::GlobalPool { pool: PoolKind::Sum }, &["act"]);
    graph.push("fc", Op::Linear { features: 2, bias: false }, &["sum"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let integers = |shape: &[usize], value: &dyn Fn(&[usize]) -> i32| {
        ArrayD::from_shape_fn(shape, |at| value(ndarray::Dimension::slice(&at)))
    };
    let small = |values: ArrayD<i32>| Tensor::I8(values.mapv(|v| i8::try_from(v).unwrap()));
    let weights = Weights::from([
        (
            "conv.weight".into(),
            small(integers(&[1_100, 1, 1, 1], &|at| i32::try_from(at[0] % 5).unwrap() - 2)),
        ),
        ("conv.multiplier".into(), Tensor::I32(integers(&[1_100], &|_| 1))),
        (
            "act.thresholds".into(),
            Tensor::I32(integers(&[255, 1_100], &|at| i32::try_from(at[0]).unwrap() + 1)),
        ),
        (
            "fc.weight".into(),
            small(integers(&[2, 1_100], &|at| if at[1] % 400 == 7 { 120 } else { 0 })),
        ),
        ("fc.multiplier".into(), Tensor::I32(integers(&[2], &|_| 1))),
    ]);
    let form = Form::Grid { logit_unit: 0.001 };
    let preprocessing = Preprocessing::new(vec![100], vec![1.0]);
    Model::new(Signature::new(form, graph, 1, preprocessing), weights)
}

#[test]
fn the_self_test_covers_layers_that_only_sparse_weights_keep_in_single_precision() {
    let model = sparse_rows();
    let streams = model.validate().unwrap().streams().unwrap();
    let fc = model.graph().nodes.iter().position(|node| node.name == "fc").unwrap();
    let largest = streams.bounds[fc - 1].iter().copied().fold(0.0, f64::max);
    assert!(largest * 1_100.0 >= F32_EXACT && streams.sums[fc] < F32_EXACT, "{largest}");
    assert_eq!(self_test(&model, Device::Cpu).unwrap(), 2, "both layers");
    let pixels =
        ArrayD::from_shape_fn(vec![3, 1, 8, 8], |at| u8::try_from(at[0] * 90 + at[3] * 9).unwrap());
    compare(&model, &Input::Static(pixels.view()), "sparse rows");
}

/// Moments by loops over the padded windows of pixels, and over what the naive evaluator emits.
#[test]
fn moments_are_those_of_what_layers_read() {
    let mut random = Random::new(5);
    let conv = Conv {
        channels: 6,
        kernel: vec![3, 2],
        stride: vec![2, 1],
        padding: vec![1, 1, 0, 2],
        dilation: vec![1, 2],
        groups: 2,
        bias: true,
    };
    let mut graph = Graph::default();
    graph.push("x", Op::Input { shape: vec![4, 6, 5] }, &[]);
    graph.push("conv", Op::Conv(conv), &["x"]);
    let lif = Site::Lif(snn_ir::Lif::default());
    graph.push("act", Op::Activation { site: lif, code: None }, &["conv"]);
    graph.push("flat", Op::Flatten, &["act"]);
    graph.push("fc", Op::Linear { features: 3, bias: true }, &["flat"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = graph.initial_weights(3).unwrap();
    for name in ["conv.bias", "fc.bias"] {
        let Some(Tensor::F32(bias)) = weights.get_mut(name) else { panic!("{name}") };
        bias.fill(0.25);
    }
    let mean = vec![100, 120, 90, 140];
    let preprocessing = Preprocessing::new(mean.clone(), vec![64.0; 4]);
    let model = Model::new(Signature::new(Form::Trained, graph, 3, preprocessing), weights);
    let events = convert(&model, &Code::Unary.into()).unwrap().model;
    let grid = to_grid(&events, GridOptions::default()).unwrap().model;

    let batches: Vec<_> = (0..2).map(|_| random.images(&[2, 4, 6, 5])).collect();
    let samples = batches
        .iter()
        .map(|images| snn_core::Pixels::new(&Input::Static(images.view()), Device::Cpu));
    let found = snn_core::layer_inputs(&grid, Device::Cpu, samples).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["conv", "fc"]);

    // Height (6 + 1 + 0 − 3)/2 + 1 = 3, width 5 + 1 + 2 − 3 + 1 = 6.
    let windows = &found["conv"];
    assert_eq!((windows.len(), windows[0].sums.len(), windows[0].count), (2, 12, 72.0));
    for (group, moments) in windows.iter().enumerate() {
        let (mut sums, mut products) = ([0.0; 12], [[0.0; 12]; 12]);
        for image in batches.iter().flat_map(|images| images.outer_iter()) {
            for (i, j) in (0..3).flat_map(|i| (0..6).map(move |j| (i, j))) {
                let pixel = |k: usize| {
                    let (c, di, dj) = (2 * group + k / 6, k / 2 % 3, k % 2);
                    let (y, x) = ((2 * i + di).wrapping_sub(1), (j + 2 * dj).wrapping_sub(1));
                    let value = image.get([c, y, x].as_slice());
                    value.map_or(0.0, |p| f64::from(*p) - f64::from(mean[c]))
                };
                for k in 0..12 {
                    sums[k] += pixel(k);
                    for (l, product) in products[k].iter_mut().enumerate() {
                        *product += pixel(k) * pixel(l);
                    }
                }
            }
        }
        assert_eq!(moments.sums.to_vec(), sums);
        assert!(moments.products.outer_iter().zip(&products).all(|(a, b)| a.to_vec() == b));
    }
    let (mut sums, mut count) = (vec![0.0; 108], 0.0);
    for images in &batches {
        let input = Input::Static(images.view());
        let trace = Naive::new(&grid).unwrap().evaluate(&input, Record::Sites).unwrap();
        let snn_ir::SiteOutput::Levels(levels) = &trace.sites[0].output else { panic!("levels") };
        for step in levels.outer_iter() {
            for sample in step.outer_iter() {
                count += 1.0;
                sums.iter_mut().zip(sample.iter()).for_each(|(sum, q)| *sum += f64::from(*q));
            }
        }
    }
    assert_eq!((found["fc"][0].count, found["fc"][0].sums.to_vec()), (count, sums));
    assert!(found["fc"][0].sums.sum() > 0.0, "no neuron fired");
}
