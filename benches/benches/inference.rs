//! One image through a ResNet-20 on the grid: event-driven beside dense, one thread each.

#[path = "../../crates/snn-runtime/examples/throughput/resnet20.rs"]
mod resnet20;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_runtime::Counting;

fn inference(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resnet20");
    group.sample_size(20);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let image = ArrayD::from_shape_simple_fn(IxDyn(&[1, 3, 32, 32]), || random.random::<u8>());
    for code in ["unary", "bitplane", "graded", "lif"] {
        let model = resnet20::model(code).expect("a valid model");
        let runtime = Counting::new(&model).expect("a valid model");
        let mut session = runtime.session();
        group.bench_function(BenchmarkId::new("events", code), |bencher| {
            let image = image.index_axis(ndarray::Axis(0), 0);
            bencher.iter(|| {
                session
                    .run(image.view())
                    .map(|scores| scores.argmax())
                    .expect("an image of the right shape")
            });
        });
        #[cfg(feature = "libtorch")]
        {
            use snn_ir::{Evaluate, Input, Record};
            snn_core::tch::set_num_threads(1);
            let mut dense =
                snn_core::Libtorch::new(&model, snn_core::tch::Device::Cpu).expect("a valid model");
            let input = Input::Static(image.view());
            let found =
                dense.evaluate(&input, Record::Logits).expect("an image of the right shape");
            assert_eq!(
                found.logits,
                runtime.run(&input, Record::Logits).expect("as before").logits,
                "{code}"
            );
            // What codes share has one dense form; the spiking network has another.
            if code == "unary" || code == "lif" {
                let name = if code == "lif" { "lif" } else { "levels" };
                group.bench_function(BenchmarkId::new("dense", name), |bencher| {
                    bencher.iter(|| dense.evaluate(&input, Record::Logits).expect("as before"));
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, inference);
criterion_main!(benches);
