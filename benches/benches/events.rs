//! One layer of a deployment, a 3×3 convolution with its neurons, by width, share of active inputs, macro-steps and code, beside a bare loop that widens and adds as many
//! known rows of int8 weights and beside the layer's own time at full density. One thread.
//!
//! Elements are weights added: active inputs × real fan-out.
#![expect(unsafe_code, reason = "a function compiled for AVX2 is called where AVX2 was detected")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::graph::{Conv, Graph, Op, PoolKind};
use snn_ir::site::{GridLif, GridReset};
use snn_ir::{Code, Model, Preprocessing, Site, Weights};
use snn_runtime::deploy::{Deployment, Form, Options};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Channels in and out, with the height and width at which a ResNet has them.
const LAYERS: [(usize, usize); 6] = [(16, 32), (32, 16), (64, 16), (128, 16), (256, 8), (512, 4)];
/// Active inputs in percent.
const DENSITIES: [u32; 8] = [0, 2, 5, 10, 15, 25, 50, 100];
const STEPS: usize = 4;

/// A network whose first sites emit the pixels, as binary spikes or as levels up to 4, and whose second ones are the layer that is measured.
fn model(channels: usize, size: usize, time_steps: usize, code: Code) -> Model {
    let levels: u8 = if code == Code::Binary { 1 } else { 4 };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![channels, size, size] }, &[]);
    graph.push("stem", Op::Scale, &["image"]);
    let code = if code == Code::Binary { Code::Graded } else { code };
    graph.push("act", Op::Activation { site: Site::GridQuantRelu { levels }, code: Some(code) }, &["stem"]);
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
    let thresholds =
        Array2::from_shape_fn((usize::from(levels), channels), |(level, _)| i32::try_from(level + 1).unwrap_or(1));
    weights.insert("act.thresholds".into(), thresholds.into());
    // Weights as a trained layer has them: few large ones.
    let weight = || (0..4).map(|_| random.random_range(-32..=32_i8)).sum::<i8>().clamp(-127, 127);
    let kernel = IxDyn(&[channels, channels, 3, 3]);
    weights.insert("conv.weight".into(), ArrayD::from_shape_simple_fn(kernel, weight).into());
    weights.insert("conv.multiplier".into(), Array1::<i32>::ones(channels).into());
    let deviation = (channels as f64 * 9.0 * 0.1).sqrt() * 37.0;
    weights.insert("layer.threshold".into(), Array1::<i32>::from_elem(channels, whole(1.3 * deviation)).into());
    Model {
        form: snn_ir::Form::Grid { logit_unit: 1.0 },
        graph,
        weights,
        time_steps,
        preprocessing: Preprocessing::new(vec![0; channels], vec![1.0; channels]),
        classes: Vec::new(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
fn whole(value: f64) -> i32 {
    value.round() as i32
}

fn frames(length: usize, percent: u32, levels: u8) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..length).map(|_| if random.random_ratio(percent, 100) { random.random_range(1..=levels) } else { 0 }).collect()
}

/// Weights that the layer adds for these frames: active inputs times taps inside the image times outputs.
fn additions(frames: &[u8], channels: usize, size: usize) -> u64 {
    let inside = |at: usize| if at == 0 || at == size - 1 { 2 } else { 3_u64 };
    let active = frames.iter().enumerate().filter(|(_, pixel)| **pixel != 0);
    active.map(|(i, _)| inside(i / size % size) * inside(i % size) * channels as u64).sum()
}

fn layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    for (channels, size) in LAYERS {
        for (name, code, time_steps, form) in [
            ("spikes", Code::Binary, 1, Form::Auto),
            ("spikes", Code::Binary, STEPS, Form::Auto),
            ("spikes, events only", Code::Binary, STEPS, Form::Events),
            ("spikes, dense", Code::Binary, STEPS, Form::Dense),
            ("spikes", Code::Binary, 8, Form::Auto),
            ("levels", Code::Unary, 1, Form::Auto),
            ("levels, events only", Code::Unary, 1, Form::Events),
            ("levels, dense", Code::Unary, 1, Form::Dense),
        ] {
            let options = Options { form, statistics: true, ..Options::default() };
            let deployment =
                Deployment::new(&model(channels, size, time_steps, code), &options).expect("a valid model");
            let mut session = deployment.session();
            for percent in DENSITIES {
                let frames =
                    frames(time_steps * channels * size * size, percent, if code == Code::Binary { 1 } else { 4 });
                group.throughput(Throughput::Elements(additions(&frames, channels, size)));
                let id =
                    BenchmarkId::new(format!("{name}/{channels}x{size}x{size}/T{time_steps}"), format!("{percent} %"));
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|iterations| {
                        session.reset_statistics();
                        for _ in 0..iterations {
                            black_box(session.run_frames(&frames).expect("frames of the right size").argmax());
                        }
                        let node = session.statistics().iter().find(|node| node.node == "layer");
                        Duration::from_nanos(node.map_or(0, |node| node.nanoseconds))
                    });
                });
            }
        }
    }
    group.finish();
}

/// Known rows: as many for each output as the layer has at 10 %, anywhere in its weights.
fn bare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bare");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    for (channels, size) in LAYERS {
        let lanes = channels.min(128);
        let blocks = channels / lanes;
        let frames = frames(STEPS * channels * size * size, 10, 1);
        let total = additions(&frames, channels, size) / channels as u64;
        let each = usize::try_from(total).unwrap_or(1) / (STEPS * size * size);
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let weights: Vec<i8> = (0..9 * channels * channels).map(|_| random.random_range(-127..=127)).collect();
        let rows: Vec<u32> = (0..STEPS * size * size * each)
            .map(|_| random.random_range(0..u32::try_from(9 * channels).unwrap_or(1)))
            .collect();
        let mut sums = vec![0_i16; STEPS * size * size * channels];
        group.throughput(Throughput::Elements((rows.len() * channels) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{channels}x{size}x{size}/T{STEPS}")), |bencher| {
            bencher.iter_custom(|iterations| {
                let started = Instant::now();
                for _ in 0..iterations {
                    for block in 0..blocks {
                        let weights = &weights[block * 9 * channels * lanes..][..9 * channels * lanes];
                        let sums = &mut sums[block * STEPS * size * size * lanes..][..STEPS * size * size * lanes];
                        widen_and_add(lanes, weights, &rows, each, sums);
                    }
                    black_box(&mut sums);
                }
                started.elapsed()
            });
        });
    }
    group.finish();
}

fn widen_and_add(lanes: usize, weights: &[i8], rows: &[u32], each: usize, sums: &mut [i16]) {
    assert!(is_x86_feature_detected!("avx2"), "this bench needs AVX2");
    // SAFETY: AVX2 was detected.
    unsafe {
        match lanes {
            16 => widen_and_add_in::<1>(weights, rows, each, sums),
            32 => widen_and_add_in::<2>(weights, rows, each, sums),
            64 => widen_and_add_in::<4>(weights, rows, each, sums),
            _ => widen_and_add_in::<8>(weights, rows, each, sums),
        }
    }
}

#[target_feature(enable = "avx2")]
fn widen_and_add_in<const VECTORS: usize>(weights: &[i8], rows: &[u32], each: usize, sums: &mut [i16]) {
    use std::arch::x86_64::{__m128i, __m256i, _mm256_add_epi16, _mm256_cvtepi8_epi16, _mm256_setzero_si256};
    let (vectors, _) = weights.as_chunks::<16>();
    let (weights, _) = vectors.as_chunks::<VECTORS>();
    for (rows, sums) in rows.chunks_exact(each.max(1)).zip(sums.chunks_exact_mut(16 * VECTORS)) {
        let mut registers = [_mm256_setzero_si256(); VECTORS];
        for &row in rows {
            let row = &weights[row as usize];
            for vector in 0..VECTORS {
                // SAFETY: 16 bytes are 16 bytes.
                let bytes = unsafe { std::mem::transmute::<[i8; 16], __m128i>(row[vector]) };
                registers[vector] = _mm256_add_epi16(registers[vector], _mm256_cvtepi8_epi16(bytes));
            }
        }
        for (sums, register) in sums.chunks_exact_mut(16).zip(registers) {
            // SAFETY: 32 bytes are 32 bytes.
            sums.copy_from_slice(&unsafe { std::mem::transmute::<__m256i, [i16; 16]>(register) });
        }
    }
}

criterion_group!(benches, bare, layer);
criterion_main!(benches);
