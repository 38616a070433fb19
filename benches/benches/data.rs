//! Reading data: an event camera's recording to frames, a JPEG file to an input of ImageNet, CIFAR's augmentation, a cache.
//!
//! Files of one's own: `SNN_RECORDINGS`, a folder with `dvs/moving-dark-box.aedat` and `imagenet-sample/val/`; without it made ones.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array4;
use snn_data::cache::{Cache, Fingerprint};
use snn_data::events::{EventReader, Events, ReadOptions};
use snn_data::frames::{Framing, Slicing};
use snn_data::image::{DecodeOptions, RandomResizedCrop, decode};
use snn_data::policy::{Policy, PolicyAugment};
use snn_data::{Augment, Images, SampleRng, Source, Transform};
use std::hint::black_box;
use std::path::{Path, PathBuf};

fn recordings() -> Option<PathBuf> {
    std::env::var_os("SNN_RECORDINGS").map(PathBuf::from)
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden")
}

fn events(criterion: &mut Criterion) {
    let path = recordings().map(|folder| folder.join("dvs/moving-dark-box.aedat"));
    let path = path.filter(|path| path.is_file()).unwrap_or_else(|| fixtures().join("events/dvs128.aedat"));
    let framing = Framing { slicing: Slicing::Number { slices: 10 }, size: None };
    let read = || Events::read(&path, ReadOptions::default()).expect("a recording");
    let recording = read();
    let mut group = criterion.benchmark_group("data/events");
    group.throughput(Throughput::Elements(recording.len() as u64));
    group.sample_size(20);
    group.bench_function("aedat2", |bencher| bencher.iter(|| read().len()));
    group.bench_function("frames", |bencher| bencher.iter(|| framing.frames(&recording).expect("frames")));
    group.bench_function("aedat2+frames", |bencher| {
        bencher.iter(|| {
            let mut reader = EventReader::open(&path, ReadOptions::default()).expect("a recording");
            framing.read(&mut reader).expect("frames")
        });
    });
    let mut kept = recording.clone();
    group.bench_function("aedat2, memory kept", |bencher| {
        bencher.iter(|| {
            let mut reader = EventReader::open(&path, ReadOptions::default()).expect("a recording");
            reader.read_into(&mut kept).expect("events");
        });
    });
    let mut kept = recording.clone();
    group.bench_function("aedat2+frames, memory kept", |bencher| {
        bencher.iter(|| {
            let mut reader = EventReader::open(&path, ReadOptions::default()).expect("a recording");
            reader.read_into(&mut kept).expect("events");
            framing.frames(&kept).expect("frames")
        });
    });
    group.finish();
}

fn pictures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let root = recordings().map(|folder| folder.join("imagenet-sample/val"));
    for class in root.and_then(|root| std::fs::read_dir(root).ok()).into_iter().flatten().flatten() {
        found.extend(std::fs::read_dir(class.path()).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    if found.is_empty() {
        found.push(fixtures().join("images/420.JPEG"));
    }
    found.sort();
    found
}

fn jpeg(criterion: &mut Criterion) {
    let files = pictures();
    let crop = RandomResizedCrop::default();
    let mut group = criterion.benchmark_group("data/jpeg");
    group.throughput(Throughput::Elements(files.len() as u64));
    group.sample_size(10);
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            files.iter().map(|file| decode(file, DecodeOptions::default()).expect("a picture").width()).sum::<usize>()
        });
    });
    group.bench_function("decode+crop224", |bencher| {
        bencher.iter(|| {
            for (index, file) in files.iter().enumerate() {
                let picture = decode(file, DecodeOptions::default()).expect("a picture");
                let mut rng = SampleRng::for_sample(0, 0, index);
                black_box(crop.apply(&picture, &mut rng).expect("a crop").planes());
            }
        });
    });
    group.finish();
}

/// Images of CIFAR's size for augmentation and cache.
const COUNT: usize = 2_048;

fn cifar() -> Images {
    let bytes = |(n, c, y, x): (usize, usize, usize, usize)| u8::try_from((n * 31 + c * 7 + y * 3 + x * x) % 256);
    let pixels = Array4::from_shape_fn((COUNT, 3, 32, 32), |index| bytes(index).unwrap_or_default());
    Images::new(pixels, vec![0; COUNT], 1).expect("as many labels as images")
}

fn augment(criterion: &mut Criterion) {
    let images = cifar();
    let mean = [125, 123, 114];
    let standard = Augment { cutout: 16, ..Augment::standard(&mean) };
    let policy = PolicyAugment { policy: Policy::AutoAugmentCifar, fill: mean.to_vec() };
    let mut group = criterion.benchmark_group("data/cifar");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.sample_size(10);
    let mut image = ndarray::Array3::zeros((3, 32, 32));
    group.bench_function("crop+flip+autoaugment+cutout", |bencher| {
        bencher.iter(|| {
            for index in 0..COUNT {
                let mut rng = SampleRng::for_sample(0, 0, index);
                images.load(index, image.view_mut(), &mut rng).expect("an image");
                policy.apply(image.view_mut(), &mut rng).expect("a policy");
                standard.apply(image.view_mut(), &mut rng).expect("an augmentation");
                black_box(&image);
            }
        });
    });
    group.finish();
}

fn cache(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("snn-bench-data-{}", std::process::id()));
    let cache = Cache::open(&folder, 1 << 30).expect("a folder");
    let images = cifar();
    let cached = cache.get(&Fingerprint::new("bench"), &images, 1).expect("a cache");
    let bytes = COUNT * 3 * 32 * 32;
    let mut batch = vec![0_u8; bytes];
    let mut group = criterion.benchmark_group("data/cache");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.sample_size(20);
    let sources: [(&str, &dyn Source); 2] = [("mapped", &cached), ("memory", &images)];
    for (name, source) in sources {
        group.bench_function(BenchmarkId::new("hit", name), |bencher| {
            bencher.iter(|| {
                for (index, bytes) in batch.chunks_exact_mut(3 * 32 * 32).enumerate() {
                    let image = ndarray::ArrayViewMut3::from_shape((3, 32, 32), bytes).expect("an image");
                    let mut rng = SampleRng::for_sample(0, 0, index);
                    source.load(index, image, &mut rng).expect("a sample");
                }
            });
        });
    }
    let copy: Vec<u8> = images.pixels().iter().copied().collect();
    group.bench_function("copy", |bencher| bencher.iter(|| batch.copy_from_slice(black_box(&copy))));
    group.finish();
    std::fs::remove_dir_all(folder).expect("the folder of this process");
}

criterion_group!(benches, events, jpeg, augment, cache);
criterion_main!(benches);
