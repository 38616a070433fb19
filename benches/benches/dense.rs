//! The convolutions of the layers of `events` in libtorch, f32, channels last, one thread: whatever
//! the share of active inputs, they take this long.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use snn_benches::{dense, layer::LAYERS};
use std::time::Duration;

fn convolution(criterion: &mut Criterion) {
    snn_core::tch::set_num_threads(1);
    let mut group = criterion.benchmark_group("dense");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    for (channels, size) in LAYERS {
        for steps in [1, 4, 8] {
            let mut run =
                dense::convolution(channels, size, steps).expect("libtorch has memory for a layer");
            let id =
                BenchmarkId::new("convolution, f32", format!("{channels}x{size}x{size}/T{steps}"));
            group.bench_function(id, |bencher| bencher.iter(|| run().expect("as before")));
        }
    }
    group.finish();
}

criterion_group!(benches, convolution);
criterion_main!(benches);
