//! LIF neurons on tensors: one macro-step, and a site over all macro-steps in its plain and its
//! fused form, beside a copy of as much memory.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snn_core::fused::{self, BatchNorm, BatchStatistics, Term};
use snn_core::tch::{Device, Kind, Tensor};
use snn_core::{autograd, keep_memory, lif, quant_relu};
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
        let (_, state) =
            lif::step(&neuron, lif::LifParameters::default(), &current, None).expect("a step");
        group.bench_function(BenchmarkId::new("forward", batch), |bencher| {
            bencher.iter(|| {
                lif::step(&neuron, lif::LifParameters::default(), black_box(&current), Some(&state))
                    .expect("a step")
            });
        });
        let learned = Tensor::randn(&shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        group.bench_function(BenchmarkId::new("forward and backward", batch), |bencher| {
            bencher.iter(|| {
                let (spikes, _) = lif::step(
                    &neuron,
                    lif::LifParameters::default(),
                    black_box(&learned),
                    Some(&state),
                )
                .expect("a step");
                spikes.sum(Kind::Float).backward();
                learned.grad().zero_()
            });
        });
    }
    group.finish();
}

/// Forward and backward of ten million neurons over four macro-steps. The least traffic is five
/// passes (read the currents; write the levels; read currents and gradients, write gradients), each
/// of the size that `copy` reads once and writes once: at the bandwidth of `copy`, a fused site
/// takes 2½ times as long as it.
fn site(criterion: &mut Criterion) {
    const TIME_STEPS: usize = 4;
    // As training programs do: otherwise page faults are half of what is measured.
    keep_memory();
    let mut group = criterion.benchmark_group("lif/site");
    group.sample_size(10);
    let neuron = Lif::default();
    let currents =
        Tensor::randn([4 * 9766, 1024], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let gradient = Tensor::rand_like(&currents);
    let bytes = currents.numel() as u64 * 4;
    group.throughput(Throughput::Bytes(2 * bytes));
    let mut copy = Tensor::empty_like(&gradient);
    group.bench_function("copy", |bencher| bencher.iter(|| copy.copy_(black_box(&gradient))));
    group.throughput(Throughput::Bytes(5 * bytes));
    group.bench_function("fused", |bencher| {
        bencher.iter(|| {
            let parameters = lif::LifParameters::default();
            let term = Term { data: black_box(&currents), steps: TIME_STEPS, norm: None };
            let levels = fused::lif(&neuron, parameters, &[term], TIME_STEPS);
            let levels = levels.expect("levels").expect("a fused form");
            // A loss that costs nothing and has this gradient.
            let (loss, gradient) =
                (Tensor::zeros([1], (Kind::Float, Device::Cpu)), gradient.shallow_clone());
            let backward = move |_| Ok(vec![Some(gradient.shallow_clone())]);
            autograd::record("loss", &[&levels], &[&loss], &[], backward).expect("a node");
            Tensor::run_backward(&[loss], &[&currents], false, false)
        });
    });
    group.throughput(Throughput::Bytes(5 * bytes));
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            let split = currents.view([4, -1, 1024]);
            let (levels, _) = lif::sequence(
                &neuron,
                lif::LifParameters::default(),
                black_box(&split),
                TIME_STEPS,
                None,
            )
            .expect("levels");
            let (loss, gradient) =
                (Tensor::zeros([1], (Kind::Float, Device::Cpu)), gradient.view_as(&levels));
            let backward = move |_| Ok(vec![Some(gradient.shallow_clone())]);
            autograd::record("loss", &[&levels], &[&loss], &[], backward).expect("a node");
            Tensor::run_backward(&[loss], &[&currents], false, false)
        });
    });
    group.finish();
}

/// A residual block's second site: a batch norm, a shortcut, a neuron, forward and backward, fused
/// and by libtorch's operations.
fn residual(criterion: &mut Criterion) {
    const TIME_STEPS: i64 = 4;
    let mut group = criterion.benchmark_group("residual");
    group.sample_size(10);
    let shape = [TIME_STEPS * 64, SHAPE[1], SHAPE[2], SHAPE[0]];
    let images =
        |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
    let leaf = |x: Tensor| x.set_requires_grad(true);
    let (x, shortcut) = (leaf(images(&shape)), leaf(images(&shape)));
    let [weight, bias] =
        [1.0, 0.5].map(|value| leaf(Tensor::full([SHAPE[0]], value, (Kind::Float, Device::Cpu))));
    let step = leaf(Tensor::from_slice(&[0.8_f32]));
    let gradient = images(&shape);
    let backward = |y: &Tensor, inputs: &[&Tensor]| {
        let (loss, gradient) =
            (Tensor::zeros([1], (Kind::Float, Device::Cpu)), gradient.shallow_clone());
        autograd::record("loss", &[y], &[&loss], &[], move |_| {
            Ok(vec![Some(gradient.shallow_clone())])
        })
        .expect("a node");
        Tensor::run_backward(&[loss], inputs, false, false)
    };
    group.throughput(Throughput::Elements(x.numel() as u64));
    let neuron = Lif::default();
    for site in ["lif", "quant_relu", "relu"] {
        let inputs: Vec<&Tensor> = [&x, &shortcut, &weight, &bias]
            .into_iter()
            .chain((site == "quant_relu").then_some(&step))
            .collect();
        group.bench_function(BenchmarkId::new("fused", site), |bencher| {
            bencher.iter(|| {
                let statistics =
                    BatchStatistics::of(black_box(&x)).expect("statistics").expect("of floats");
                let norm = BatchNorm {
                    weight: Some(&weight),
                    bias: &bias,
                    eps: 1e-5,
                    statistics: &statistics,
                    ranks: None,
                };
                let terms = [
                    Term { data: &x, steps: 4, norm: Some(norm) },
                    Term { data: &shortcut, steps: 4, norm: None },
                ];
                let y = match site {
                    "lif" => fused::lif(&neuron, lif::LifParameters::default(), &terms, 4),
                    "quant_relu" => fused::quant_relu(&step, 4, &terms),
                    _ => fused::relu(&terms),
                };
                backward(&y.expect("values").expect("a fused form"), &inputs)
            });
        });
        group.bench_function(BenchmarkId::new("plain", site), |bencher| {
            bencher.iter(|| {
                let none = None::<&Tensor>;
                let sum = black_box(&x).batch_norm(
                    Some(&weight),
                    Some(&bias),
                    none,
                    none,
                    true,
                    0.1,
                    1e-5,
                    false,
                ) + &shortcut;
                let y = match site {
                    "lif" => {
                        let split = sum.view([TIME_STEPS, 64, SHAPE[0], SHAPE[1], SHAPE[2]]);
                        lif::sequence(&neuron, lif::LifParameters::default(), &split, 4, None)
                            .map(|run| run.0.flatten(0, 1))
                    }
                    "quant_relu" => quant_relu::quant_relu(&sum, &step, 4, 1),
                    _ => quant_relu::relu(&sum, None),
                };
                backward(&y.expect("values"), &inputs)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step, site, residual);
criterion_main!(benches);
