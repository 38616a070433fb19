//! The naive evaluator against values computed by hand and against other formulations of the same
//! equations.

mod grid;
mod sites;
mod stateless;

use crate::tiny::{byte, chain, grid, int, logits, real, run, run_frames, site, sums, trained};
use ndarray::ArrayD;
use snn_ir::testing::Numbers;
use snn_ir::{
    Evaluate, Input, Lif, Logits, Model, Naive, Op, QuantRelu, Readout, Record, Site, SiteOutput,
    Tensor,
};

/// The values of one operation on pixels minus 128, flattened.
fn of_op<const N: usize>(
    shape: &[usize],
    op: Op,
    weights: [(&str, Tensor); N],
    pixels: &[u8],
) -> Vec<f64> {
    let mut model = trained(chain(shape, vec![("op", op), ("flat", Op::Flatten)]), 1, weights);
    model.signature_mut().preprocessing.mean.fill(128);
    logits(&run(&model, pixels))
}

// === Eq. 1 ===

#[test]
fn pixels_enter_minus_mean_over_deviation() {
    let mut model = trained(chain(&[2, 1, 2], vec![("flat", Op::Flatten)]), 1, []);
    model.signature_mut().preprocessing.mean = vec![100, 200];
    model.signature_mut().preprocessing.std = vec![2.0, 4.0];
    assert_eq!(logits(&run(&model, &[0, 255, 0, 255])), [-50.0, 77.5, -50.0, 13.75]);
}

// === Eq. 7 ===

/// The three heads over frames, and over an image, whose scores do not vary.
#[test]
fn heads_read_the_mean_the_last_and_the_largest_scores() {
    let model = |readout: Readout, steps| {
        let mut model = trained(chain(&[2], vec![]), steps, []);
        let last = model.graph().nodes.len() - 1;
        model.graph_mut().nodes[last].op = readout.op();
        model.signature_mut().preprocessing.mean.fill(128);
        model
    };
    let frames = [130, 120, 134, 125, 129, 121];
    let found = |readout| logits(&run_frames(&model(readout, 3), &frames));
    assert_eq!(found(Readout::Mean), [3.0, -6.0]);
    assert_eq!(found(Readout::Last), [1.0, -7.0]);
    assert_eq!(found(Readout::Max), [6.0, -3.0], "of each class, below 0 too");
    for readout in [Readout::Mean, Readout::Last, Readout::Max] {
        assert_eq!(logits(&run(&model(readout, 4), &[131, 126])), [3.0, -2.0]);
    }
}

/// On the grid a mean is a sum until `logits` divides it; the others have the unit of a step.
#[test]
fn integers_of_heads_have_their_own_scale() {
    for (readout, expected) in [(Readout::Mean, 0.125), (Readout::Last, 0.5), (Readout::Max, 0.5)] {
        let mut model = crate::tiny::grid_model().with_time_steps(4);
        let last = model.graph().nodes.len() - 1;
        model.graph_mut().nodes[last].op = readout.op();
        model.signature_mut().form = snn_ir::Form::Grid { logit_unit: 0.5 };
        assert_eq!(model.logit_scale(4).unwrap().to_bits(), f64::to_bits(expected));
        let logits = model.logits(&ndarray::arr2(&[[8_i64, -2]])).unwrap();
        assert_eq!(logits, ndarray::arr2(&[[8.0 * expected, -2.0 * expected]]));
    }
}

#[test]
fn the_head_is_the_mean_over_macro_steps() {
    let model = trained(chain(&[2], vec![("flat", Op::Flatten)]), 4, []);
    assert_eq!(logits(&run_frames(&model, &[1, 10, 2, 20, 3, 30, 6, 0])), [3.0, 15.0]);
    assert_eq!(logits(&run(&model, &[5, 7])), [5.0, 7.0]);
}

#[test]
fn the_head_on_the_grid_is_an_integer_sum() {
    let graph = chain(&[1], vec![("fc", Op::Linear { features: 2, bias: true })]);
    let weights = [
        ("fc.weight", byte(&[2, 1], &[3, -2])),
        ("fc.bias", int(&[2], &[1, -4])),
        ("fc.multiplier", int(&[2], &[10, 1])),
    ];
    let model = grid(graph, 4, weights);
    let result = run_frames(&model, &[1, 2, 3, 4]);
    assert_eq!(sums(&result), [30 * 10 + 4, -2 * 10 - 16]);
    let Logits::Integer(integers) = &result.logits else { panic!("real") };
    assert_eq!(
        model.logits(integers).unwrap().into_raw_vec_and_offset().0,
        [38.0, -4.5],
        "unit ½, T = 4"
    );
    assert!(crate::tiny::events_model().logits(integers).is_err());
}

#[test]
fn the_class_is_the_first_of_the_largest() {
    let row = |values: [f64; 3]| Logits::Real(ndarray::arr2(&[values])).argmax()[0];
    assert_eq!(row([1.0, 3.0, 3.0]), 1);
    assert_eq!(row([-1.0, -3.0, -2.0]), 0);
    assert_eq!(Logits::Integer(ndarray::arr2(&[[1, 2, 2], [5, 5, 4]])).argmax(), [1, 0]);
}

// === Eq. 14 ===

fn shapes(model: &Model, frames: bool) -> Vec<Vec<usize>> {
    let Op::Input { shape } = &model.graph().nodes[0].op else { panic!("no input") };
    let batch = if frames { vec![model.time_steps(), 2] } else { vec![2] };
    let pixels = ArrayD::from_shape_fn([batch, shape.clone()].concat(), |i| {
        u8::try_from(i[0] * 50).unwrap()
    });
    let input = if frames { Input::Frames(pixels.view()) } else { Input::Static(pixels.view()) };
    let result = Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap();
    let of = |output: &SiteOutput| match output {
        SiteOutput::Levels(levels) => levels.shape().to_vec(),
        SiteOutput::Values(values) => values.shape().to_vec(),
    };
    result.sites.iter().map(|trace| of(&trace.output)).collect()
}

#[test]
fn what_does_not_vary_is_traced_once() {
    let quant = || site(Site::QuantRelu(QuantRelu::default()));
    let graph = chain(
        &[3, 1, 2],
        vec![
            ("relu", site(Site::RELU)),
            ("before", quant()),
            ("neuron", site(Site::Lif(Lif::default()))),
            ("after", quant()),
            ("flat", Op::Flatten),
        ],
    );
    let model = trained(
        graph,
        4,
        [("before.step", real(&[1], &[1.0])), ("after.step", real(&[1], &[1.0]))],
    );
    let (once, each) = (vec![1, 2, 3, 1, 2], vec![4, 2, 3, 1, 2]);
    assert_eq!(shapes(&model, false), [once.clone(), once, each.clone(), each.clone()]);
    assert_eq!(shapes(&model, true), [each.clone(), each.clone(), each.clone(), each]);
}

/// The same frame at every macro-step is the same as an image: levels repeat where they were traced
/// once.
#[test]
fn frames_that_repeat_equal_an_image() {
    for seed in 0..60 {
        let model = snn_ir::testing::trained(seed, Numbers::Dyadic);
        let image = snn_ir::testing::pixels(&model, 2, seed);
        let frames =
            ndarray::stack(ndarray::Axis(0), &vec![image.view(); model.time_steps()]).unwrap();
        let mut naive = Naive::new(&model).unwrap();
        let a = naive.evaluate(&Input::Static(image.view()), Record::Sites).unwrap();
        let b = naive.evaluate(&Input::Frames(frames.view()), Record::Sites).unwrap();
        assert_eq!(a.logits, b.logits);
        for (a, b) in a.sites.iter().zip(&b.sites) {
            let (SiteOutput::Levels(a), SiteOutput::Levels(b)) = (&a.output, &b.output) else {
                panic!("values")
            };
            assert_eq!(a.broadcast(b.raw_dim()).unwrap(), b.view());
        }
    }
}

#[test]
fn samples_of_a_batch_do_not_mix() {
    for seed in 0..60 {
        let model = snn_ir::testing::trained(seed, Numbers::Real);
        let images = snn_ir::testing::pixels(&model, 3, seed);
        let mut naive = Naive::new(&model).unwrap();
        let all = naive.evaluate(&Input::Static(images.view()), Record::Sites).unwrap();
        for sample in 0..3 {
            let one = images.slice_axis(ndarray::Axis(0), (sample..=sample).into());
            let one = naive.evaluate(&Input::Static(one), Record::Sites).unwrap();
            let (Logits::Real(a), Logits::Real(b)) = (&all.logits, &one.logits) else {
                panic!("integers")
            };
            assert_eq!(a.row(sample), b.row(0));
            for (a, b) in all.sites.iter().zip(&one.sites) {
                let (SiteOutput::Levels(a), SiteOutput::Levels(b)) = (&a.output, &b.output) else {
                    panic!("values")
                };
                assert_eq!(
                    a.index_axis(ndarray::Axis(1), sample),
                    b.index_axis(ndarray::Axis(1), 0)
                );
            }
        }
    }
}

#[test]
fn inputs_of_the_wrong_shape_are_refused() {
    let model = crate::tiny::events_model();
    let mut naive = Naive::new(&model).unwrap();
    let mut refused = |shape: &[usize], frames: bool| {
        let pixels = ArrayD::<u8>::zeros(shape);
        let input =
            if frames { Input::Frames(pixels.view()) } else { Input::Static(pixels.view()) };
        let error = naive.evaluate(&input, Record::Logits).unwrap_err().to_string();
        assert!(
            error.starts_with("input: expected") && error.contains(&format!("{shape:?}")),
            "{error}"
        );
    };
    refused(&[1, 3, 3], false);
    refused(&[2, 1, 3, 4], false);
    refused(&[3, 1, 1, 3, 3], false);
    refused(&[2, 1, 1, 3, 3], true);
    refused(&[1, 1, 3, 3], true);
    refused(&[], false);
    refused(&[3], true);
    let nothing = ArrayD::<u8>::zeros(vec![0, 1, 3, 3]);
    let result = naive.evaluate(&Input::Static(nothing.view()), Record::Sites).unwrap();
    assert!(
        result.logits.argmax().is_empty()
            && result.sites.iter().all(|trace| trace.output.is_empty())
    );
}
