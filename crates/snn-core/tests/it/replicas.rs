//! Replicas that have parts of a batch compute what one network computes of the whole.

use crate::common::{Random, trained};
use snn_core::tch::{Device, Kind, Tensor};
use snn_core::{
    Checkpointing, DropoutKey, Mode, Network, NetworkOptions, Parameter, Pixels, Precision,
    ThreadRank, TrainingOptions,
};
use snn_ir::{Conv, Graph, GraphBuilder, Input, Model, Norm, Op, PoolKind};
use std::sync::Arc;

/// Norms that fused sites take in, alone and in a sum, and norms that stand by themselves; dropout.
fn graph() -> Graph {
    let mut net = GraphBuilder::new([3, 8, 8]);
    net.op("input_norm", Op::BatchNorm(Norm { scale: false, ..Norm::default() }));
    net.conv_site("a", Conv::square(6, 3, 1)).dropout("drop", 0.3);
    net.conv_norm("b", Conv::square(6, 3, 1)).drop_path("path", 0.4);
    net.add("sum", &["path", "drop"]).site("c");
    net.conv_norm("d", Conv::square(6, 3, 1)).add("sum2", &["d.bn", "c"]).site("e");
    net.op("norm", Op::BatchNorm(Norm::default()));
    net.global_pool("pool", PoolKind::Average).linear("fc", 4).build().unwrap()
}

fn network(model: &Model, kind: Kind, training: TrainingOptions) -> Network {
    let options = NetworkOptions { kind, training, ..NetworkOptions::new(Device::Cpu) };
    Network::with_options(model, &options).unwrap()
}

fn key(first_sample: u64) -> DropoutKey {
    DropoutKey { seed: 5, step: 3, first_sample }
}

/// A pass with gradients of the sum of squares of all scores, and the scores.
fn pass(network: &mut Network, pixels: &Pixels, first_sample: usize) -> Tensor {
    network.set_dropout_key(key(first_sample as u64));
    let logits = network.forward(pixels, Mode::Train).unwrap().logits;
    logits.square().sum(logits.kind()).backward();
    logits.detach()
}

fn gradients(network: &Network) -> Vec<Option<Tensor>> {
    let learned = |p: &Parameter| p.learned.then(|| p.tensor.grad());
    network.parameters().iter().map(learned).collect()
}

/// Scores, gradients and running statistics of one network, or of replicas that have so many
/// samples each.
fn run(
    model: &Model,
    kind: Kind,
    training: TrainingOptions,
    pixels: &Pixels,
    parts: &[usize],
) -> (Tensor, Vec<Option<Tensor>>, Network) {
    let mut first = network(model, kind, training);
    if parts.len() == 1 {
        let logits = pass(&mut first, pixels, 0);
        return (logits, gradients(&first), first);
    }
    let mut ranks = ThreadRank::group(parts.len()).into_iter().map(Arc::new);
    first.set_ranks(ranks.next().unwrap());
    let others: Vec<Network> = ranks
        .map(|rank| {
            let mut other = network(model, kind, training);
            other.share_parameters(first.parameters()).unwrap();
            other.set_ranks(rank);
            other
        })
        .collect();
    let mut at = parts[0];
    let work: Vec<_> = others
        .into_iter()
        .zip(&parts[1..])
        .map(|(network, &count)| {
            at += count;
            (network, pixels.part(at - count, count).unwrap(), at - count)
        })
        .collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = work
            .into_iter()
            .map(|(mut network, pixels, first_sample)| {
                scope.spawn(move || {
                    let logits = pass(&mut network, &pixels, first_sample);
                    (logits, gradients(&network))
                })
            })
            .collect();
        let own = pixels.part(0, parts[0]).unwrap();
        let mut logits = vec![pass(&mut first, &own, 0)];
        let mut sums = gradients(&first);
        for thread in threads {
            let (more_logits, more) = thread.join().unwrap();
            logits.push(more_logits);
            for (sum, more) in sums.iter_mut().zip(more) {
                if let (Some(sum), Some(more)) = (sum, more) {
                    *sum += more;
                }
            }
        }
        (Tensor::cat(&logits, 0), sums, first)
    })
}

fn near(what: &str, a: &Tensor, b: &Tensor, allowed: f64) {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let size = b.abs().max().double_value(&[]).max(1e-12);
    let error = (a - b).abs().max().double_value(&[]) / size;
    assert!(error < allowed, "{what}: relative error {error:e}");
}

#[test]
fn replicas_have_the_gradients_of_the_whole_batch() {
    let mut random = Random::new(77);
    let graph = graph();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 3);
    let images = random.images(&[8, 3, 8, 8]);
    let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
    for checkpointing in [Checkpointing::Off, Checkpointing::Blocks] {
        let training = TrainingOptions { checkpointing, ..TrainingOptions::default() };
        let run = |parts: &[usize]| run(&model, Kind::Double, training, &pixels, parts);
        let (logits, expected, one) = run(&[8]);
        for parts in [vec![4, 4], vec![3, 3, 2], vec![1, 7]] {
            let (found, sums, first) = run(&parts);
            near("scores", &found, &logits, 1e-10);
            for ((p, sum), expected) in first.parameters().iter().zip(&sums).zip(&expected) {
                if let (Some(sum), Some(expected)) = (sum, expected) {
                    near(&format!("gradient of {}, {parts:?}", p.name), sum, expected, 1e-9);
                }
            }
            for (found, expected) in first.parameters().iter().zip(one.parameters()) {
                near(&format!("{} after it", found.name), &found.tensor, &expected.tensor, 1e-12);
            }
            // The same bits, whoever came first.
            let (again, sums_again, _) = run(&parts);
            assert!(again.equal(&found));
            for (a, b) in sums.iter().flatten().zip(sums_again.iter().flatten()) {
                assert!(a.equal(b));
            }
        }
    }
}

#[test]
fn replicas_compute_in_bf16_too() {
    let mut random = Random::new(78);
    let graph = graph();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 2);
    let images = random.images(&[8, 3, 8, 8]);
    let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
    let training = TrainingOptions { precision: Precision::Bf16, ..TrainingOptions::default() };
    let (logits, expected, _) = run(&model, Kind::Float, training, &pixels, &[8]);
    let (found, sums, _) = run(&model, Kind::Float, training, &pixels, &[4, 4]);
    near("scores", &found, &logits, 0.05);
    for (sum, expected) in sums.iter().zip(&expected) {
        if let (Some(sum), Some(expected)) = (sum, expected) {
            let both = [sum, expected].map(|x| x.to_kind(Kind::Double));
            let [a, b] = &both;
            let product = (a * b).sum(Kind::Double).double_value(&[]);
            let sizes = both.each_ref().map(|x| x.square().sum(Kind::Double).double_value(&[]));
            assert!(product > 0.9 * (sizes[0] * sizes[1]).sqrt(), "{product} of {sizes:?}");
        }
    }
}

#[test]
fn parameters_of_another_model_are_refused() {
    let mut random = Random::new(79);
    let graph = graph();
    let weights = random.weights(&graph);
    let model = trained(graph, weights, 2);
    let mut own = network(&model, Kind::Float, TrainingOptions::default());
    let error = own.share_parameters(&[]).unwrap_err().to_string();
    assert!(error.contains("must be those of a network of the same model"), "{error}");
}
