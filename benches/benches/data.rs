//! Reading data: an event camera's recording to frames, a JPEG file to an input of ImageNet,
//! CIFAR's augmentation, a cache.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array3, Array4};
use snn_benches::data::{
    Augmentation, FRAMING, IMAGES, crop, fill, frames, images, pictures, recording,
};
use snn_data::Source;
use snn_data::cache::{Cache, Fingerprint};
use snn_data::pictures::{DecodeOptions, decode};
use snn_data::recordings::events::{EventReader, Events, ReadOptions};
use std::hint::black_box;

fn events(criterion: &mut Criterion) {
    let path = recording();
    let events = Events::read(&path, ReadOptions::default()).expect("a recording");
    let mut group = criterion.benchmark_group("data/events");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.sample_size(20);
    group.bench_function("aedat2", |bencher| {
        bencher.iter(|| Events::read(&path, ReadOptions::default()));
    });
    let mut kept = events.clone();
    group.bench_function("aedat2, memory kept", |bencher| {
        bencher.iter(|| {
            let mut reader = EventReader::open(&path, ReadOptions::default()).expect("a recording");
            reader.read_into(&mut kept).expect("events");
        });
    });
    group.bench_function("frames", |bencher| {
        bencher.iter(|| FRAMING.frames(&events).expect("frames"));
    });
    group
        .bench_function("aedat2+frames", |bencher| bencher.iter(|| frames(&path).expect("frames")));
    group.finish();
}

fn jpeg(criterion: &mut Criterion) {
    let files = pictures();
    let mut group = criterion.benchmark_group("data/jpeg");
    group.throughput(Throughput::Elements(files.len() as u64));
    group.sample_size(10);
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            files
                .iter()
                .map(|file| decode(file, DecodeOptions::default()).expect("a picture").width())
                .sum::<usize>()
        });
    });
    group.bench_function("decode+crop224", |bencher| {
        bencher.iter(|| {
            for (index, file) in files.iter().enumerate() {
                black_box(crop(file, index).expect("a crop"));
            }
        });
    });
    group.finish();
}

fn augment(criterion: &mut Criterion) {
    let augmentation = Augmentation::new().expect("images");
    let mut group = criterion.benchmark_group("data/cifar");
    group.throughput(Throughput::Elements(IMAGES as u64));
    group.sample_size(10);
    let mut image = Array3::zeros((3, 32, 32));
    group.bench_function("crop+flip+autoaugment+cutout", |bencher| {
        bencher.iter(|| {
            for index in 0..IMAGES {
                augmentation.make(index, &mut image).expect("an image");
                black_box(&image);
            }
        });
    });
    group.finish();
}

fn cache(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("snn-bench-data-{}", std::process::id()));
    let cache = Cache::open(&folder, 1 << 30).expect("a folder");
    let images = images().expect("images");
    let cached = cache.get(&Fingerprint::new("bench"), &images, 1).expect("a cache");
    let mut batch = Array4::zeros((IMAGES, 3, 32, 32));
    let mut group = criterion.benchmark_group("data/cache");
    group.throughput(Throughput::Bytes(batch.len() as u64));
    group.sample_size(20);
    let sources: [(&str, &dyn Source); 2] = [("mapped", &cached), ("memory", &images)];
    for (name, source) in sources {
        group.bench_function(BenchmarkId::new("hit", name), |bencher| {
            bencher.iter(|| fill(source, &mut batch).expect("samples"));
        });
    }
    let copy: Vec<u8> = images.pixels().iter().copied().collect();
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            batch.as_slice_mut().expect("a whole batch").copy_from_slice(black_box(&copy));
        });
    });
    group.finish();
    std::fs::remove_dir_all(folder).expect("the folder of this process");
}

criterion_group!(benches, events, jpeg, augment, cache);
criterion_main!(benches);
