//! One layer of a deployment, a 3×3 convolution with its neurons, by width, share of active inputs,
//! macro-steps and code, beside a bare loop that widens and adds as many known rows of int8 weights
//! and beside the layer's own time at full density. One thread.
//!
//! Elements are weights added: active inputs × real fan-out.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snn_benches::bare::Bare;
use snn_benches::layer::{DENSITIES, LAYERS, additions, frames, model};
use snn_ir::Code;
use snn_runtime::deploy::{Deployment, Kernels, Options};
use std::hint::black_box;
use std::time::Duration;

const STEPS: usize = 4;

fn layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
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
            let deployment = Deployment::new(&model(channels, size, time_steps, code), &options)
                .expect("a valid model");
            let mut session = deployment.session();
            for percent in DENSITIES {
                let frames = frames(
                    time_steps * channels * size * size,
                    percent,
                    if code == Code::Binary { 1 } else { 4 },
                );
                group.throughput(Throughput::Elements(additions(&frames, channels, size)));
                let id = BenchmarkId::new(
                    format!("{name}/{channels}x{size}x{size}/T{time_steps}"),
                    format!("{percent} %"),
                );
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|iterations| {
                        session.reset_statistics();
                        for _ in 0..iterations {
                            black_box(
                                session
                                    .run_frames(&frames)
                                    .expect("frames of the right size")
                                    .argmax(),
                            );
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

fn bare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bare");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    for (channels, size) in LAYERS {
        let mut bare = Bare::new(channels, size, STEPS, 10).expect("a machine with AVX2");
        group.throughput(Throughput::Elements(bare.additions()));
        group.bench_function(
            BenchmarkId::from_parameter(format!("{channels}x{size}x{size}/T{STEPS}")),
            |bencher| {
                bencher.iter(|| black_box(bare.run().len()));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, bare, layer);
criterion_main!(benches);
