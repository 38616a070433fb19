//! A layer to measure: a 3×3 convolution with its neurons.

use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::{Code, Form, Model, Preprocessing, Signature, Site, Weights};
use snn_ir::{Conv, Graph, Op, PoolKind};
use snn_ir::{GridLif, GridReset};

/// Channels in and out, with the height and width at which a ResNet has them.
pub const LAYERS: [(usize, usize); 6] =
    [(16, 32), (32, 16), (64, 16), (128, 16), (256, 8), (512, 4)];
/// Active inputs in percent.
pub const DENSITIES: [u32; 8] = [0, 2, 5, 10, 15, 25, 50, 100];

/// A network on the grid whose first sites emit the pixels, as binary spikes or as levels up to 4,
/// and whose second ones are the layer that is measured.
pub fn model(channels: usize, size: usize, time_steps: usize, code: Code) -> Model {
    let levels: u8 = if code == Code::Binary { 1 } else { 4 };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![channels, size, size] }, &[]);
    graph.push("stem", Op::Scale, &["image"]);
    let code = if code == Code::Binary { Code::Graded } else { code };
    graph.push(
        "act",
        Op::Activation { site: Site::GridQuantRelu { levels }, code: Some(code) },
        &["stem"],
    );
    graph.push("conv", Op::Conv(Conv::square(channels, 3, 1)), &["act"]);
    let site = Site::GridLif(GridLif::new(1, 1, 8, GridReset::Hard));
    graph.push("layer", Op::Activation { site, code: Some(Code::Binary) }, &["conv"]);
    graph.push("pool", Op::GlobalPool { pool: PoolKind::Sum }, &["layer"]);
    graph.push("scores", Op::Scale, &["pool"]);
    graph.push("mean", Op::TimeMean, &["scores"]);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut weights = Weights::new();
    weights.insert("stem.weight".into(), Array1::<i32>::ones(channels).into());
    weights.insert("scores.weight".into(), Array1::<i32>::ones(channels).into());
    let thresholds = Array2::from_shape_fn((usize::from(levels), channels), |(level, _)| {
        i32::try_from(level + 1).unwrap_or(1)
    });
    weights.insert("act.thresholds".into(), thresholds.into());
    // Weights as a trained layer has them: few large ones.
    let weight = || (0..4).map(|_| random.random_range(-32..=32_i8)).sum::<i8>().clamp(-127, 127);
    let kernel = IxDyn(&[channels, channels, 3, 3]);
    weights.insert("conv.weight".into(), ArrayD::from_shape_simple_fn(kernel, weight).into());
    weights.insert("conv.multiplier".into(), Array1::<i32>::ones(channels).into());
    let deviation = (channels as f64 * 9.0 * 0.1).sqrt() * 37.0;
    weights.insert(
        "layer.threshold".into(),
        Array1::<i32>::from_elem(channels, whole(1.3 * deviation)).into(),
    );
    Model::new(
        Signature::new(
            Form::Grid { logit_unit: 1.0 },
            graph,
            time_steps,
            Preprocessing::new(vec![0; channels], vec![1.0; channels]),
        ),
        weights,
    )
}

#[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
fn whole(value: f64) -> i32 {
    value.round() as i32
}

/// Pixels, of which a share is active, with levels of 1 to `levels`.
pub fn frames(length: usize, percent: u32, levels: u8) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..length)
        .map(
            |_| if random.random_ratio(percent, 100) { random.random_range(1..=levels) } else { 0 },
        )
        .collect()
}

/// Weights that the layer adds for these frames: active inputs times taps inside the image times
/// outputs.
pub fn additions(frames: &[u8], channels: usize, size: usize) -> u64 {
    let inside = |at: usize| if at == 0 || at == size - 1 { 2 } else { 3_u64 };
    let active = frames.iter().enumerate().filter(|(_, pixel)| **pixel != 0);
    active.map(|(i, _)| inside(i / size % size) * inside(i % size) * channels as u64).sum()
}
