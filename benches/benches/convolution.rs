//! One event-driven convolution on the grid, through the runtime: image → sites that send events →
//! convolution → head.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::{Code, Form, Model, Preprocessing, Signature, Site, Weights};
use snn_ir::{Conv, Graph, Op, PoolKind};
use snn_runtime::Counting;

/// Channels in and out.
const CHANNELS: usize = 32;
/// Height and width.
const SIZE: usize = 16;
/// Levels of a site.
const LEVELS: u8 = 4;

/// A network whose sites emit `pixel / 10`: a one-to-one stem, then the convolution that is
/// measured.
fn model(code: Code) -> Model {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![CHANNELS, SIZE, SIZE] }, &[]);
    graph.push("stem", Op::Scale, &["image"]);
    graph.push(
        "act",
        Op::Activation { site: Site::GridQuantRelu { levels: LEVELS }, code: Some(code) },
        &["stem"],
    );
    graph.push("conv", Op::Conv(Conv::square(CHANNELS, 3, 1)), &["act"]);
    graph.push("head", Op::GlobalPool { pool: PoolKind::Sum }, &["conv"]);
    graph.push("mean", Op::TimeMean, &["head"]);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut weights = Weights::new();
    weights.insert("stem.weight".into(), Array1::<i32>::ones(CHANNELS).into());
    let thresholds = Array2::from_shape_fn((usize::from(LEVELS), CHANNELS), |(d, _)| 10 * (d + 1));
    weights.insert(
        "act.thresholds".into(),
        thresholds.mapv(|n| i32::try_from(n).unwrap_or(i32::MAX)).into(),
    );
    let kernel = IxDyn(&[CHANNELS, CHANNELS, 3, 3]);
    weights.insert(
        "conv.weight".into(),
        ArrayD::from_shape_simple_fn(kernel, || random.random_range(-127..=127_i8)).into(),
    );
    weights.insert("conv.multiplier".into(), Array1::<i32>::ones(CHANNELS).into());
    Model::new(
        Signature::new(
            Form::Grid { logit_unit: 1.0 },
            graph,
            1,
            Preprocessing::new(vec![0; CHANNELS], vec![1.0; CHANNELS]),
        ),
        weights,
    )
}

fn convolution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convolution");
    for (name, code) in
        [("unary", Code::Unary), ("bitplane", Code::BitPlane), ("graded", Code::Graded)]
    {
        let runtime = Counting::new(&model(code)).expect("a valid model");
        for active in [1_u32, 5, 15, 50] {
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let image = ArrayD::from_shape_simple_fn(IxDyn(&[CHANNELS, SIZE, SIZE]), || {
                if random.random_ratio(active, 100) { random.random_range(10..50_u8) } else { 0 }
            });
            runtime.reset_counts();
            let mut session = runtime.session();
            session.run(image.view()).expect("an image of the right shape");
            drop(session);
            // What one image costs: additions, or multiplications where payloads are graded.
            let tally = runtime
                .counts()
                .node("conv")
                .map(|node| node.tally.additions.max(node.tally.multiplications));
            group.throughput(Throughput::Elements(tally.unwrap_or_default()));
            let mut session = runtime.session();
            group.bench_function(BenchmarkId::new(name, format!("{active} % active")), |bencher| {
                bencher.iter(|| {
                    session.run(image.view()).map(|scores| scores.argmax()).expect("as before")
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, convolution);
criterion_main!(benches);
