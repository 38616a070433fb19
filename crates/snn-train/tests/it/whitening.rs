//! First weights that are computed from the training samples, and weights that are frozen.

use crate::trainer::{bytes, finish, go};
use ndarray::{Array2, Array4};
use snn_data::{Images, Source};
use snn_ir::{
    Conv, Form, Graph, GraphBuilder, InitialWeights, Model, PoolKind, Preprocessing, Signature,
    WHITENING_EPS,
};
use snn_train::{OptimiserConfig, Recipe, RunFolder, SgdConfig, Start, Trainer};
use std::sync::Arc;

const IMAGES: usize = 120;
const SIDE: usize = 6;
const MEAN: [u8; 2] = [100, 140];
const STD: [f64; 2] = [40.0, 60.0];

/// Smooth pictures, so that the pixels of a patch depend on each other.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "58 to 221")]
fn pixels() -> Array4<u8> {
    Array4::from_shape_fn((IMAGES, 2, SIDE, SIDE), |(image, channel, y, x)| {
        let phase = (image * 37 % 101) as f64 / 16.0 + channel as f64;
        let wave = (y as f64 * 0.7 + x as f64 * 0.4 + phase).sin();
        let noise = ((image * 7919 + channel * 104_729 + y * 31 + x * 17) % 23) as f64;
        (128.0 + 70.0 * wave + noise).round() as u8
    })
}

fn source() -> Arc<dyn Source> {
    let labels = (0..IMAGES).map(|image| u16::try_from(image % 3).unwrap()).collect();
    Arc::new(Images::new(pixels(), labels, 3).unwrap())
}

fn graph() -> Graph {
    let mut net = GraphBuilder::new([2, SIDE, SIDE]);
    net.conv("whiten", Conv { padding: vec![0; 2], bias: true, ..Conv::square(16, 2, 1) });
    net.initial(InitialWeights::Whitening).frozen().site("act1");
    net.conv("conv", Conv::square(8, 3, 1)).initial(InitialWeights::Dirac).norm("bn").site("act2");
    net.global_pool("pool", PoolKind::Average).linear("fc", 3).build().unwrap()
}

fn trainer(recipe: Recipe) -> Trainer {
    let graph = graph();
    let weights = graph.initial_weights(4).unwrap();
    let preprocessing = Preprocessing::new(MEAN.to_vec(), STD.to_vec());
    let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    Trainer::new(model, source(), recipe).with_test(source()).with_computed_weights()
}

fn recipe() -> Recipe {
    let sgd = SgdConfig { learning_rate: 0.1, weight_decay: 0.05, ..SgdConfig::default() };
    Recipe {
        epochs: 2,
        batch: 24,
        threads: 1,
        checkpoint_every: 2,
        weight_average: 0.9,
        optimiser: OptimiserConfig::Sgd(sgd),
        ..Recipe::default()
    }
}

/// `Σ p pᵀ / n` over all patches of 2×2, by loops.
fn second_moments() -> Array2<f64> {
    let (pixels, mut sum, mut patches) = (pixels(), Array2::zeros((8, 8)), 0.0);
    for image in 0..IMAGES {
        for y in 0..SIDE - 1 {
            for x in 0..SIDE - 1 {
                let at = |n: usize| {
                    let (channel, dy, dx) = (n / 4, n / 2 % 2, n % 2);
                    let pixel = f64::from(pixels[[image, channel, y + dy, x + dx]]);
                    (pixel - f64::from(MEAN[channel])) / STD[channel]
                };
                for a in 0..8 {
                    for b in 0..8 {
                        sum[[a, b]] += at(a) * at(b);
                    }
                }
                patches += 1.0;
            }
        }
    }
    sum / patches
}

#[test]
fn whitening_filters_make_the_patches_white_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    finish(&trainer(recipe()), &run);
    let model = Model::load(run.join("model.safetensors")).unwrap();
    let filters = model.weights()["whiten.weight"].to_f64();
    let filters = filters.into_shape_with_order((16, 8)).unwrap();
    // The outputs do not depend on each other, and all but have the size 1: λ/(λ + ε).
    let moments = filters.dot(&second_moments()).dot(&filters.t());
    let mut last = f64::INFINITY;
    for i in 0..8 {
        let eigenvalue = WHITENING_EPS * moments[[i, i]] / (1.0 - moments[[i, i]]);
        assert!(moments[[i, i]] > 0.5 && moments[[i, i]] < 1.0, "{}", moments[[i, i]]);
        assert!(eigenvalue < last, "the largest first");
        last = eigenvalue;
        for j in 0..8 {
            assert!(i == j || moments[[i, j]].abs() < 1e-4, "{i} {j} {}", moments[[i, j]]);
            let negative = -filters[[i, j]];
            assert_eq!(filters[[i + 8, j]].to_bits(), negative.to_bits(), "the negatives");
        }
        let row = filters.row(i);
        let largest = row.iter().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        assert!(*largest > 0.0, "{row}");
    }
    // Ten steps with decay have moved its bias and everything else.
    let first = trainer(recipe());
    for (name, weight) in model.weights() {
        let begun = &first.model().weights()[name];
        assert!(weight != begun, "{name}");
    }
    let told = RunFolder::open(&run).unwrap().info().unwrap().computed_weights;
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("`whiten.weight` whitens patches of 120 training images, eigenvalues "),
        "{told:?}"
    );
    // Parameters that learn: all but the 128 that are frozen and the running statistics.
    let result = RunFolder::open(&run).unwrap().result().unwrap().unwrap();
    assert_eq!(result.parameters, 16 + 8 * 16 * 9 + 16 + 8 * 3 + 3);
}

#[test]
fn a_run_with_computed_weights_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    finish(&trainer(recipe()), &at("whole"));
    for stop in [0, 1, 3, 5, 7] {
        let name = format!("stopped at {stop}");
        go(&trainer(recipe()), &at(&name), Start::New, Some(stop)).unwrap();
        go(&trainer(recipe()), &at(&name), Start::Resume, None).unwrap();
        assert_eq!(bytes(&at(&name)), bytes(&at("whole")), "{name}");
    }
    // A run that was killed before its first checkpoint computes them again.
    std::fs::remove_file(at("stopped at 0").join("checkpoint.safetensors")).unwrap();
    go(&trainer(recipe()), &at("stopped at 0"), Start::Resume, None).unwrap();
    assert_eq!(bytes(&at("stopped at 0")), bytes(&at("whole")));
}
