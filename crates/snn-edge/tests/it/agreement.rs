//! Programs against the naive evaluator: equal scores, whatever the graph.

use crate::draw::{Numbers, model, pixels};
use ndarray::ArrayD;
use snn_edge::{Engine, Mode, Program, compile};
use snn_ir::{Evaluate, Input, Logits, Model, Naive, Record};

/// Scores by the naive evaluator, `[B, classes]`.
fn naive(model: &Model, input: &Input<'_>) -> Vec<Vec<i64>> {
    let found = Naive::new(model).unwrap().evaluate(input, Record::Logits).unwrap();
    let Logits::Integer(sums) = found.logits else { panic!("a model on the grid has integers") };
    sums.rows().into_iter().map(|row| row.to_vec()).collect()
}

/// The bytes of one sample, all frames one after another.
fn bytes(samples: &ArrayD<u8>) -> Vec<u8> {
    samples.iter().copied().collect()
}

/// Scores of one sample by an engine, in each mode that takes it; the buffer holds rubbish before.
fn check(model: &Model, seed: u64) {
    let program = compile(model).unwrap();
    let program = Program::new(&program).unwrap();
    let images = pixels(model, &[1], seed);
    let frames = pixels(model, &[model.time_steps(), 1], seed);
    let expected = naive(model, &Input::Static(images.view()));
    let of_frames = naive(model, &Input::Frames(frames.view()));
    let mut buffer =
        vec![-1; Mode::ALL.map(|mode| program.memory(mode)).into_iter().max().unwrap()];
    let mut engine = Engine::new(program, Mode::Image, &mut buffer).unwrap();
    for _ in 0..2 {
        let scores = engine.run(&bytes(&images)).unwrap();
        assert_eq!(scores.iter().collect::<Vec<_>>(), expected[0], "seed {seed}: image");
    }
    let mut engine = Engine::new(program, Mode::Frames, &mut buffer).unwrap();
    for _ in 0..2 {
        let scores = engine.run(&bytes(&frames)).unwrap();
        assert_eq!(scores.iter().collect::<Vec<_>>(), of_frames[0], "seed {seed}: frames");
    }
    let mut engine = Engine::new(program, Mode::Stream, &mut buffer).unwrap();
    for _ in 0..2 {
        let mut scores = Vec::new();
        for frame in bytes(&frames).chunks_exact(program.input_size()) {
            scores = engine.step(frame).unwrap().iter().collect();
        }
        assert_eq!(scores, of_frames[0], "seed {seed}: stream");
        engine.reset().unwrap();
    }
}

#[test]
fn grid_models_give_the_scores_of_the_naive_evaluator() {
    for seed in 0..1500 {
        let model = model(seed, usize::try_from(seed % 14).unwrap(), Numbers::Integer);
        check(&model, seed);
    }
}
