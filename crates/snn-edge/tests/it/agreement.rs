//! Programs against the naive evaluator: equal scores, whatever the graph.

use crate::draw::{Numbers, model, pixels};
use ndarray::ArrayD;
use snn_edge::{Engine, Mode, Program, compile};
use snn_ir::testing::{self, Sites};
use snn_ir::{Code, Evaluate, Form, Input, Logits, Model, Naive, Node, Op, Record, Site};
use snn_reparam::{GridOptions, convert, to_grid};
use std::collections::BTreeMap;

/// Scores of one sample by the naive evaluator.
pub(crate) fn naive(model: &Model, input: &Input<'_>) -> Vec<i64> {
    let found = Naive::new(model).unwrap().evaluate(input, Record::Logits).unwrap();
    let Logits::Integer(sums) = found.logits else { panic!("a model on the grid has integers") };
    sums.row(0).to_vec()
}

/// Compares the scores of random pixels in every mode.
pub(crate) fn check(model: &Model, seed: u64) {
    let frames = pixels(model, &[model.time_steps(), 1], seed);
    check_with(model, &pixels(model, &[1], seed), &frames);
}

/// Compares the scores of an image `[1, …]` and of frames `[T, 1, …]` in every mode, twice each;
/// the buffer holds rubbish before.
pub(crate) fn check_with(model: &Model, image: &ArrayD<u8>, frames: &ArrayD<u8>) {
    let program = compile(model).unwrap();
    let program = Program::new(&program).unwrap();
    let of_image = naive(model, &Input::Static(image.view()));
    let of_frames = naive(model, &Input::Frames(frames.view()));
    let (image, frames) = (image.as_slice().unwrap(), frames.as_slice().unwrap());
    for mode in Mode::ALL {
        let mut buffer = vec![-1; program.memory(mode)];
        let mut engine = Engine::new(program, mode, &mut buffer).unwrap();
        for round in 0..2 {
            let (scores, expected) = match mode {
                Mode::Image => (engine.run(image).unwrap().iter().collect(), &of_image),
                Mode::Frames => (engine.run(frames).unwrap().iter().collect(), &of_frames),
                Mode::Stream => {
                    engine.reset().unwrap();
                    let mut scores = Vec::new();
                    for frame in frames.chunks_exact(program.input_size()) {
                        scores = engine.step(frame).unwrap().iter().collect();
                    }
                    (scores, &of_frames)
                }
            };
            let nodes = &model.graph().nodes;
            assert_eq!(&scores, expected, "{mode:?}, round {round}, {nodes:#?}");
        }
    }
}

#[test]
fn models_on_the_grid_give_the_scores_of_the_naive_evaluator() {
    let mut seen = BTreeMap::<String, usize>::new();
    for seed in 0..1000 {
        let model = model(seed, usize::try_from(seed % 14).unwrap(), Numbers::Integer);
        check(&model, seed);
        for node in &model.graph().nodes {
            let label = match &node.op {
                Op::Activation { site: Site::GridLif(lif), code } => {
                    format!("{code:?} {:?}", lif.reset)
                }
                Op::Activation { code, .. } => format!("{code:?}"),
                op => op.label().to_string(),
            };
            *seen.entry(label).or_default() += 1;
        }
    }
    // Every operation of the grid, every code of thresholds, every reset with every code.
    assert!(seen.len() >= 33 && seen.values().all(|count| *count > 20), "{seen:#?}");
}

#[test]
fn converted_models_give_the_scores_of_the_naive_evaluator() {
    let (mut wide, mut converted) = (0, 0);
    for seed in 0..300 {
        let trained = testing::trained_with(seed, testing::Numbers::Real, Sites::All);
        let code = [Code::Unary, Code::BitPlane, Code::Graded][usize::try_from(seed % 3).unwrap()];
        let events = convert(&trained, &code.into()).unwrap().model;
        let options = if seed % 2 == 0 { GridOptions::default() } else { GridOptions::int16() };
        // Some weights are too large for the grid.
        let Ok(grid) = to_grid(&events, options) else { continue };
        assert!(matches!(grid.model.form(), Form::Grid { .. }));
        check(&grid.model, seed);
        converted += 1;
        let is_high = |node: &Node| node.name.rsplit('.').next() == Some("high");
        wide += usize::from(grid.model.graph().nodes.iter().any(is_high));
    }
    assert!(converted > 200 && wide > 90, "{converted} models, {wide} of them of 16 bits");
}
