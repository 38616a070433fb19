//! Fine-tuning on the grid: the same integers as the evaluator, gradients, and weights that learn.

use crate::common::{Random, grid_model};
use snn_core::tch::{Device, Kind, Tensor, no_grad};
use snn_core::{GridNetwork, Libtorch, Mode, Pixels, arrays};
use snn_ir::testing::{Numbers, pixels, trained};
use snn_ir::{Code, Evaluate, Input, Logits, Model, Naive, Record};
use snn_reparam::{GridOptions, convert as to_events, to_grid};

fn sums(evaluator: &mut dyn Evaluate, input: &Input<'_>) -> ndarray::Array2<i64> {
    match evaluator.evaluate(input, Record::Logits).unwrap().logits {
        Logits::Integer(sums) => sums,
        Logits::Real(_) => panic!("not on the grid"),
    }
}

/// The forward pass in both modes against the naive evaluator.
fn compare(network: &GridNetwork, model: &Model, input: &Input<'_>, what: &str) {
    let expected = sums(&mut Naive::new(model).unwrap(), input);
    let pixels = Pixels::new(input, Device::Cpu).unwrap();
    for mode in [Mode::Train, Mode::Evaluate] {
        let forward = network.forward(&pixels, mode).unwrap();
        let found = arrays::array::<i64>(&forward.sums).unwrap();
        assert!(found == expected.clone().into_dyn(), "{what}, {mode:?}");
        let logits = arrays::array::<f64>(&forward.logits).unwrap();
        assert!(logits == model.logits(&expected).unwrap().into_dyn(), "{what}, {mode:?}");
    }
}

/// One step of descent.
fn descend(network: &mut GridNetwork, rate: f64) {
    for parameter in network.parameters() {
        let mut gradient = parameter.tensor.grad();
        // What only a delay longer than the run reads has none.
        if !gradient.defined() {
            continue;
        }
        let mut tensor = parameter.tensor.shallow_clone();
        let _same = no_grad(|| tensor.f_sub_(&(&gradient * rate))).unwrap();
        let _same = gradient.zero_();
    }
    network.project().unwrap();
}

#[test]
fn forward_gives_the_integers_of_the_evaluator() {
    let mut random = Random::new(31);
    for seed in 0..5 {
        let model = grid_model(seed, 3);
        let network = GridNetwork::new(&model, Device::Cpu).unwrap();
        assert_eq!(network.model().unwrap(), model, "nothing has been learned yet");
        let images = random.images(&[3, 2, 8, 8]);
        compare(&network, &model, &Input::Static(images.view()), "static");
        let frames = random.images(&[3, 2, 2, 8, 8]);
        compare(&network, &model, &Input::Frames(frames.view()), "frames");
    }
}

#[test]
fn random_grids_learn_and_stay_exact() {
    let mut tested = 0;
    for seed in 0..40 {
        let trained = trained(seed, Numbers::Real);
        let Ok(events) = to_events(&trained, &Code::Unary.into()) else { continue };
        let Ok(grid) = to_grid(&events.model, GridOptions::default()) else { continue };
        let images = pixels(&trained, 3, seed);
        let input = Input::Static(images.view());
        let mut network = GridNetwork::new(&grid.model, Device::Cpu).unwrap();
        assert_eq!(network.model().unwrap(), grid.model, "seed {seed}");
        compare(&network, &grid.model, &input, &format!("before, seed {seed}"));
        let pixels = Pixels::new(&input, Device::Cpu).unwrap();
        let labels = Tensor::from_slice(&[0_i64, 1, 0]);
        for _ in 0..3 {
            let loss = network
                .forward(&pixels, Mode::Train)
                .unwrap()
                .logits
                .cross_entropy_for_logits(&labels);
            loss.backward();
            descend(&mut network, 0.05);
        }
        let Ok(after) = network.model() else { continue };
        compare(&network, &after, &input, &format!("after, seed {seed}"));
        assert_eq!(
            sums(&mut Libtorch::new(&after, Device::Cpu).unwrap(), &input),
            sums(&mut Naive::new(&after).unwrap(), &input)
        );
        tested += 1;
    }
    assert!(tested > 20, "{tested} grids");
}

#[test]
fn the_loss_falls_and_everything_learns() {
    let mut random = Random::new(32);
    let model = grid_model(1, 2);
    let mut network = GridNetwork::new(&model, Device::Cpu).unwrap();
    let images = random.images(&[8, 2, 8, 8]);
    let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
    let labels = Tensor::from_slice(&[0_i64, 1, 2, 3, 4, 0, 1, 2]);
    let mut losses = Vec::new();
    for step in 0..80 {
        let loss =
            network.forward(&pixels, Mode::Train).unwrap().logits.cross_entropy_for_logits(&labels);
        loss.backward();
        losses.push(loss.double_value(&[]));
        if step == 0 {
            for parameter in network.parameters() {
                let size = parameter.tensor.grad().abs().sum(Kind::Double).double_value(&[]);
                assert!(size > 0.0 && size.is_finite(), "{} has no gradient", parameter.name);
            }
        }
        descend(&mut network, 0.003);
    }
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best < 0.7 * losses[0], "{losses:?}");
    let after = network.model().unwrap();
    assert_ne!(after, model);
    let link = snn_reparam::proof::difference(&model, &after, snn_reparam::proof::Tuning::Weights);
    assert!(link.is_none() && link.changed > 0, "{link:?}");
    compare(&network, &after, &Input::Static(images.view()), "after learning");
}

#[test]
fn shadows_go_out_and_in() {
    let model = grid_model(2, 1);
    let mut network = GridNetwork::new(&model, Device::Cpu).unwrap();
    let shadows = network.shadows().unwrap();
    for parameter in network.parameters() {
        let mut tensor = parameter.tensor.shallow_clone();
        let _same = no_grad(|| tensor.f_mul_scalar_(-1.0)).unwrap();
    }
    assert_ne!(network.model().unwrap(), model);
    network.load(&shadows).unwrap();
    assert_eq!(network.model().unwrap(), model);
}
