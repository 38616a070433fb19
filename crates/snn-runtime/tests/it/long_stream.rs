//! Streams of any length: frame by frame through a deployment, and all at once through the naive
//! evaluator.

use crate::draw::{Numbers, model, pixels};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use snn_ir::{
    Code, Evaluate, Form, Input, Logits, Model, Preprocessing, Record, Signature, Site, Weights,
};
use snn_ir::{Graph, Op};
use snn_ir::{GridLif, GridReset};
use snn_ir::{MEMBRANE_LIMIT, Naive};
use snn_runtime::deploy::{Deployment, Kernels, Options};
use snn_runtime::{InstructionSet, Sums};

/// The sums of all frames, `[T, …shape]`, by the naive evaluator.
fn naive(model: &Model, frames: &ArrayD<u8>) -> Vec<i64> {
    let model = model.clone().with_time_steps(frames.shape()[0]);
    let frames = frames.view().insert_axis(Axis(1));
    let found =
        Naive::new(&model).unwrap().evaluate(&Input::Frames(frames), Record::Logits).unwrap();
    let Logits::Integer(sums) = found.logits else { panic!("integers") };
    sums.iter().copied().collect()
}

/// The sums of the frames pushed one after another, with every instruction set and by several
/// threads.
fn check(model: &Model, frames: &ArrayD<u8>, expected: &[i64]) {
    let options = InstructionSet::available();
    for (level, threads) in options.flat_map(|level| [(level, 1), (level, 2)]) {
        let kernels = if threads == 1 { Kernels::Auto } else { Kernels::Dense };
        let options =
            Options { instruction_set: Some(level), threads, kernels, ..Options::default() };
        let mut session = Deployment::new(model, &options).unwrap().session();
        let mut state = session.rest();
        for frame in frames.axis_iter(Axis(0)) {
            session.push(&mut state, frame.as_slice().unwrap()).unwrap();
        }
        assert_eq!(state.scores().sums(), Sums::Integer(expected), "{options:?}");
        assert_eq!(state.steps(), frames.shape()[0] as u64);
    }
}

#[test]
fn long_streams_give_what_the_naive_evaluator_gives() {
    let mut active = 0;
    for seed in 0..24 {
        // The macro-steps of the model say nothing about streams.
        let model = model(seed, 5, Numbers::Integer).with_time_steps(1);
        let frames = pixels(&model, &[700], seed);
        let expected = naive(&model, &frames);
        active += usize::from(expected.iter().any(|&sum| sum != 0));
        check(&model, &frames, &expected);
    }
    assert!(active > 12, "{active} of 24 networks say anything");
}

/// One neuron without leak or reset, driven by its pixel less 128 times 127.
fn integrator(guard_bits: u8, threshold: i32) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("fc", Op::Linear { features: 1, bias: false }, &["image"]);
    let site = Site::GridLif(GridLif::new(1, 0, guard_bits, GridReset::None));
    graph.push("act", Op::Activation { site, code: Some(Code::Binary) }, &["fc"]);
    graph.push("out", Op::Linear { features: 1, bias: false }, &["act"]);
    graph.push("head", Op::TimeMean, &["out"]);
    let mut weights = Weights::new();
    weights.insert("fc.weight".into(), Array2::from_elem((1, 1), 127_i8).into());
    weights.insert("fc.multiplier".into(), Array1::from_elem(1, 100_i32).into());
    weights.insert("act.threshold".into(), Array1::from_elem(1, threshold).into());
    weights.insert("out.weight".into(), Array2::from_elem((1, 1), 1_i8).into());
    weights.insert("out.multiplier".into(), Array1::<i32>::ones(1).into());
    let preprocessing = Preprocessing::new(vec![128], vec![1.0]);
    Model::new(Signature::new(Form::Grid { logit_unit: 1.0 }, graph, 1, preprocessing), weights)
}

#[test]
fn membranes_saturate_and_come_back() {
    for guard_bits in [0_u8, 4, 8] {
        // Up for long, then down by one unit of the pixel a frame: from saturation it takes a known
        // number of frames to the threshold.
        let (up, down) = (3_000, 12_000);
        let half = i32::try_from(MEMBRANE_LIMIT / 2).unwrap() >> guard_bits;
        let model = integrator(guard_bits, half);
        let frames =
            ArrayD::from_shape_fn(IxDyn(&[up + down, 1]), |at| if at[0] < up { 255 } else { 124 });
        let step = i64::from(127 * 127 * 100) << guard_bits;
        let back = i64::from(4 * 127 * 100) << guard_bits;
        let unsaturated = step * i64::try_from(up).unwrap();
        assert!(
            unsaturated > 4 * MEMBRANE_LIMIT,
            "without a limit the membrane would be far above"
        );
        let first = (MEMBRANE_LIMIT / 2 + step - 1) / step;
        let last = MEMBRANE_LIMIT / 2 / back;
        let spikes =
            i64::try_from(up).unwrap() - (first - 1) + last.min(i64::try_from(down).unwrap());
        let expected = naive(&model, &frames);
        assert_eq!(expected, [spikes], "{guard_bits} guard bits");
        check(&model, &frames, &expected);
    }
}
