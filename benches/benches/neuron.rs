//! One macro-step of LIF neurons on tensors.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snn_core::lif;
use snn_core::tch::{Device, Kind, Tensor};
use snn_ir::Lif;
use std::hint::black_box;

/// Channels, height and width of the first stage of `ResNet`-20, the largest of its activations.
const SHAPE: [i64; 3] = [16, 32, 32];

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lif/step");
    let neuron = Lif::default();
    for batch in [1_i64, 32] {
        let shape = [&[batch], SHAPE.as_slice()].concat();
        let neurons = shape.iter().product::<i64>().unsigned_abs();
        group.throughput(Throughput::Elements(neurons));
        let current = Tensor::randn(&shape, (Kind::Float, Device::Cpu));
        let (_, state) = lif::step(&neuron, lif::LifParameters::default(), &current, None).expect("a step");
        group.bench_function(BenchmarkId::new("forward", batch), |bencher| {
            bencher.iter(|| {
                lif::step(&neuron, lif::LifParameters::default(), black_box(&current), Some(&state)).expect("a step")
            });
        });
        let learned = Tensor::randn(&shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        group.bench_function(BenchmarkId::new("forward and backward", batch), |bencher| {
            bencher.iter(|| {
                let (spikes, _) = lif::step(&neuron, lif::LifParameters::default(), black_box(&learned), Some(&state))
                    .expect("a step");
                spikes.sum(Kind::Float).backward();
                learned.grad().zero_()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
