//! Batches with the standard augmentation.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array4;
use snn_data::{Augment, Images, LoaderConfig};

/// Images of the set; an epoch is one measurement.
const COUNT: usize = 2_048;
/// Images in a batch.
const BATCH: usize = 128;

fn loader(criterion: &mut Criterion) {
    let bytes = |(n, c, y, x): (usize, usize, usize, usize)| {
        u8::try_from((n * 31 + c * 7 + y * 3 + x) % 256)
    };
    let pixels =
        Array4::from_shape_fn((COUNT, 3, 32, 32), |index| bytes(index).unwrap_or_default());
    let images = Images::new(pixels, vec![0; COUNT], 1).expect("as many labels as images");
    let mut group = criterion.benchmark_group("loader");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.sample_size(20);
    for threads in [0, 1, 2] {
        let augment = Augment::standard(&[125, 123, 114]);
        let config =
            LoaderConfig { batch_size: BATCH, threads, augment, ..LoaderConfig::default() };
        let loader = config.init(&images, None).expect("valid settings");
        group.bench_function(BenchmarkId::new("epoch", format!("{threads} threads")), |bencher| {
            bencher.iter(|| {
                let batches = loader.epoch(0).expect("an epoch");
                batches.map(|batch| batch.expect("a batch").len()).sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, loader);
criterion_main!(benches);
