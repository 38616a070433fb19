//! The libtorch interpreter on the grid, and of random models in all forms, against the naive
//! evaluator.

use crate::common::{Random, assert_same, grid_model};
use snn_core::{Libtorch, tch::Device};
use snn_ir::random::{Numbers, pixels, trained};
use snn_ir::{Code, Evaluate, Form, Input, Logits, Model, Record, naive::Naive};
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
            let Ok(grid) = to_grid(&events, GridOptions::default()) else { continue };
            compare(&grid.model, &input, &what("grid"));
            on_grid += 1;
        }
    }
    assert!(on_grid > 60, "{on_grid} models reached the grid");
}

#[test]
fn the_self_test_passes_here() {
    for seed in 0..3 {
        snn_core::self_test(&grid_model(seed, 2), Device::Cpu).unwrap();
    }
}
