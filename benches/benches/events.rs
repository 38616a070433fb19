//! One layer of a deployment, a 3×3 convolution with its neurons, by width, share of active inputs, macro-steps and code, beside a bare loop that widens and adds as many
//! known rows of int8 weights and beside the layer's own time at full density. One thread.
//!
//! Elements are weights added: active inputs × real fan-out.
#![expect(unsafe_code, reason = "a function compiled for AVX2 is called where AVX2 was detected")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_benches::layer::{DENSITIES, LAYERS, additions, frames, model};
use snn_ir::Code;
use snn_runtime::deploy::{Deployment, Kernels, Options};
use std::hint::black_box;
use std::time::{Duration, Instant};

const STEPS: usize = 4;

fn layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    for (channels, size) in LAYERS {
        for (name, code, time_steps, kernels) in [
            ("spikes", Code::Binary, 1, Kernels::Auto),
            ("spikes", Code::Binary, STEPS, Kernels::Auto),
            ("spikes, events only", Code::Binary, STEPS, Kernels::Events),
            ("spikes, dense", Code::Binary, STEPS, Kernels::Dense),
            ("spikes", Code::Binary, 8, Kernels::Auto),
            ("levels", Code::Unary, 1, Kernels::Auto),
            ("levels, events only", Code::Unary, 1, Kernels::Events),
            ("levels, dense", Code::Unary, 1, Kernels::Dense),
        ] {
            let options = Options { kernels, statistics: true, ..Options::default() };
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
        let weights: Vec<i8> = (0..9 * channels * channels + 63).map(|_| random.random_range(-127..=127)).collect();
        // They begin at a cache line, as a deployment's do.
        let weights = &weights[weights.as_ptr().align_offset(64).min(63)..][..9 * channels * channels];
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
