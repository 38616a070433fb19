//! Fused activation sites against their plain forms, on random neurons and shapes.

mod common;

use common::Random;
use snn_core::lif::{self, LifParameters};
use snn_core::tch::{Device, Kind, Tensor, no_grad, set_num_threads};
use snn_core::fused::{self, Term};
use snn_core::quant_relu;
use snn_ir::site::ResetGradient;
use snn_ir::{Leak, Lif, Reset, Share, Spike, Surrogate, Threshold};
use std::collections::{BTreeMap, BTreeSet};

/// A neuron of any kind that has a fused form.
fn neuron(random: &mut Random) -> Lif {
    let surrogates = [
        Surrogate::Atan { alpha: 2.0 },
        Surrogate::Rectangle { width: 1.25 },
        Surrogate::Triangle { width: 0.75 },
        Surrogate::Sigmoid { alpha: 4.0 },
        Surrogate::FastSigmoid { slope: 5.0 },
        Surrogate::PiecewiseQuadratic { alpha: 1.5 },
        Surrogate::Gaussian { sigma: 0.5 },
        Surrogate::LogTailedRelu { alpha: 0.125 },
        Surrogate::SuperSpike { alpha: 2.0 },
        Surrogate::StraightThrough,
    ];
    let spike = match random.below(3) {
        0 => Spike::Binary,
        1 => Spike::Ternary,
        _ => Spike::Integer { levels: u8::try_from(1 + random.below(5)).unwrap() },
    };
    let potential = if spike == Spike::Binary && random.below(2) == 0 { -0.25 } else { 0.0 };
    let factor = [0.5, 0.9, 1.0][random.below(3)];
    let theta = [0.5, 1.0, 0.7][random.below(3)];
    Lif {
        leak: if random.below(2) == 0 { Leak::Factor { factor } } else { Leak::Learned { initial: 0.6 } },
        threshold: match random.below(3) {
            0 => Threshold::Learned { initial: theta, share: Share::Layer },
            1 => Threshold::Learned { initial: theta, share: Share::Channel },
            _ => Threshold::Fixed(theta),
        },
        reset: [Reset::Hard { potential }, Reset::Soft, Reset::None][random.below(3)],
        spike,
        reset_gradient: [ResetGradient::Detached, ResetGradient::Flowing][random.below(2)],
        surrogate: surrogates[random.below(surrogates.len())].clone(),
        ..Lif::default()
    }
}

struct Case {
    lif: Lif,
    /// Of one macro-step.
    shape: Vec<i64>,
    time_steps: usize,
    steps: usize,
    currents: Tensor,
    upstream: Tensor,
    threshold: Tensor,
}

fn plain(data: &Tensor, steps: usize) -> Term<'_> {
    Term { data, steps, norm: None }
}

fn normal(random: &mut Random, shape: &[i64]) -> Tensor {
    let count = usize::try_from(shape.iter().product::<i64>()).unwrap();
    let values: Vec<f32> = (0..count).map(|_| (random.below(1 << 16) as f32 / 16384.0) - 2.0).collect();
    Tensor::from_slice(&values).view(shape)
}

fn case(seed: u64) -> Case {
    let random = &mut Random::new(seed);
    let size = |random: &mut Random, most| i64::try_from(1 + random.below(most)).unwrap();
    let shape = if random.below(3) == 0 {
        vec![size(random, 5), size(random, 300)]
    } else {
        vec![size(random, 3), size(random, 20), size(random, 9), size(random, 9)]
    };
    let time_steps = 1 + random.below(6);
    let steps = if random.below(4) == 0 { 1 } else { time_steps };
    let over = |steps: usize| {
        let mut shape = shape.clone();
        shape[0] *= i64::try_from(steps).unwrap();
        shape
    };
    let channels_last = random.below(3) > 0;
    let layout = |x: Tensor| match x.dim() {
        4 if channels_last => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        _ => x,
    };
    let lif = neuron(random);
    let thresholds = match lif.threshold {
        Threshold::Learned { share: Share::Channel, .. } => shape[1],
        _ => 1,
    };
    Case {
        currents: layout(normal(random, &over(steps))),
        upstream: layout(normal(random, &over(time_steps))),
        threshold: normal(random, &[thresholds]).abs() * 0.25 + 0.5,
        lif,
        shape,
        time_steps,
        steps,
    }
}

/// Levels, and gradients for currents, leak and threshold.
fn run(case: &Case, kind: Kind, is_fused: bool) -> (Tensor, [Option<Tensor>; 3]) {
    let leaf = |x: &Tensor| no_grad(|| x.to_kind(kind).copy()).set_requires_grad(true);
    let (currents, threshold) = (leaf(&case.currents), leaf(&case.threshold));
    let leak = leaf(&Tensor::from_slice(&[0.375_f32]));
    let mut split = case.shape.clone();
    split.insert(0, i64::try_from(case.steps).unwrap());
    let levels = if is_fused {
        let parameters = LifParameters { leak: Some(&leak), threshold: Some(&threshold), registry: None };
        fused::lif(&case.lif, parameters, &[plain(&currents, case.steps)], case.time_steps)
            .unwrap()
            .expect("a fused form")
    } else {
        let mut broad = vec![1; case.shape.len()];
        broad[1] = threshold.size()[0];
        let theta = threshold.view(broad.as_slice());
        let parameters = LifParameters { leak: Some(&leak), threshold: Some(&theta), registry: None };
        let currents = currents.reshape(split.as_slice());
        lif::sequence(&case.lif, parameters, &currents, case.time_steps, None).unwrap().0.flatten(0, 1)
    };
    (&levels * case.upstream.to_kind(kind)).sum(kind).backward();
    (levels.detach(), [currents, leak, threshold].map(|x| x.grad().defined().then(|| x.grad())))
}

/// Largest difference, relative to the largest value, or to 1 where that is less.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let scale = b.abs().max().double_value(&[]).max(1.0);
    (a - b).abs().max().double_value(&[]) / scale
}

#[test]
fn levels_are_equal_and_gradients_agree() {
    let mut kinds = BTreeSet::new();
    for seed in 0..600 {
        let case = case(seed);
        kinds.insert(format!("{:?} {:?}", std::mem::discriminant(&case.lif.surrogate), case.lif.spike.levels() > 1));
        for (kind, tolerance, sum_tolerance) in [(Kind::Double, 1e-10, 1e-10), (Kind::Float, 1e-6, 2e-5)] {
            let what = format!("seed {seed}, {kind:?}, {:?}, {:?} x {}", case.lif, case.shape, case.time_steps);
            let (levels, gradients) = run(&case, kind, true);
            let (expected, references) = run(&case, kind, false);
            assert_eq!(levels.size(), expected.size(), "{what}");
            assert!(levels.equal(&expected), "{what}");
            let tolerances = [tolerance, sum_tolerance, sum_tolerance];
            for (((name, found), reference), tolerance) in
                ["currents", "leak", "threshold"].into_iter().zip(&gradients).zip(&references).zip(tolerances)
            {
                match (found, reference) {
                    (Some(found), Some(reference)) => {
                        let difference = difference(found, reference);
                        assert!(difference <= tolerance, "{what}: gradient for the {name}: {difference:e}");
                    }
                    (None, None) => {}
                    // A parameter that nothing reached.
                    (Some(only), None) | (None, Some(only)) => {
                        assert!(only.abs().max().double_value(&[]) < 1e-30, "{what}: {name}");
                    }
                }
            }
        }
    }
    assert_eq!(kinds.len(), 20, "every surrogate, with one level and several");
}

#[test]
fn quant_relu_is_equal_and_gradients_agree() {
    for seed in 0..200 {
        let case = case(10_000 + seed);
        let levels = u8::try_from(1 + seed % 15).unwrap();
        for (kind, tolerance, sum_tolerance) in [(Kind::Double, 1e-10, 1e-10), (Kind::Float, 1e-6, 2e-5)] {
            let run = |is_fused: bool| {
                let leaf = |x: &Tensor| no_grad(|| x.to_kind(kind).copy()).set_requires_grad(true);
                let (x, step) = (leaf(&(&case.currents * 3.0)), leaf(&(&case.threshold * 0.5)));
                let y = if is_fused {
                    fused::quant_relu(&step, levels, &[plain(&x, 1)]).unwrap().expect("a fused form")
                } else {
                    quant_relu::quant_relu(&x, &step, levels, 1).unwrap()
                };
                let upstream = case.upstream.to_kind(kind).narrow(0, 0, x.size()[0]);
                (&y * upstream).sum(kind).backward();
                (y.detach(), x.grad(), step.grad())
            };
            let ((y, by_x, by_step), (expected, x_reference, step_reference)) = (run(true), run(false));
            let what = format!("seed {seed}, {kind:?}, {levels} levels, {:?}", case.shape);
            assert!(y.equal(&expected), "{what}");
            assert!(difference(&by_x, &x_reference) <= tolerance, "{what}");
            let difference = difference(&by_step, &step_reference);
            assert!(difference <= sum_tolerance, "{what}: {difference:e}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let lif = Lif { threshold: Threshold::Learned { initial: 1.0, share: Share::Channel }, ..Lif::default() };
    let lif = Lif { leak: Leak::Learned { initial: 0.5 }, ..lif };
    let random = &mut Random::new(1);
    let shape = vec![2, 24, 32, 32];
    let (currents, upstream) = (normal(random, &[8, 24, 32, 32]), normal(random, &[8, 24, 32, 32]));
    let threshold = normal(random, &[24]).abs() + 0.5;
    let case = Case { lif, shape, time_steps: 4, steps: 4, currents, upstream, threshold };
    let of = |threads| {
        set_num_threads(threads);
        run(&case, Kind::Float, true)
    };
    let (levels, gradients) = of(1);
    for threads in [2, 3, 5] {
        let (again, others) = of(threads);
        assert!(levels.equal(&again));
        for (a, b) in gradients.iter().zip(&others) {
            assert!(a.as_ref().unwrap().equal(b.as_ref().unwrap()), "{threads} threads");
        }
    }
}

#[test]
fn what_has_no_fused_form_is_left_to_the_plain_one() {
    let x = Tensor::zeros([2, 3], (Kind::Half, Device::Cpu));
    assert!(fused::lif(&Lif::default(), LifParameters::default(), &[plain(&x, 1)], 2).unwrap().is_none());
    let own =
        Lif { surrogate: Surrogate::Custom { name: "mine".into(), params: BTreeMap::default() }, ..Lif::default() };
    let x = x.to_kind(Kind::Float);
    assert!(fused::lif(&own, LifParameters::default(), &[plain(&x, 1)], 2).unwrap().is_none());
    let current = Lif { synapse: snn_ir::Synapse::Current { alpha: 0.5 }, ..Lif::default() };
    assert!(fused::lif(&current, LifParameters::default(), &[plain(&x, 1)], 2).unwrap().is_none());
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let x = Tensor::zeros([6, 3], (Kind::Float, Device::Cpu));
    let error = |lif: &Lif, threshold: &Tensor, steps| {
        let parameters = LifParameters { leak: None, threshold: Some(threshold), registry: None };
        fused::lif(lif, parameters, &[plain(&x, steps)], 4).unwrap_err().to_string()
    };
    let one = Tensor::ones([1], (Kind::Float, Device::Cpu));
    assert_eq!(error(&Lif::default(), &one, 4), "currents: expected shape [4·B, …] or [B, …], found [6, 3]");
    assert_eq!(error(&Lif::default(), &one, 3), "currents: expected shape [4·B, …] or [B, …], found [6, 3]");
    let lif = Lif { threshold: Threshold::Learned { initial: 1.0, share: Share::Channel }, ..Lif::default() };
    let two = Tensor::ones([2], (Kind::Float, Device::Cpu));
    assert_eq!(error(&lif, &two, 1), "threshold: expected shape [1] or [3], found [2]");
    assert!(fused::quant_relu(&two, 4, &[plain(&x, 1)]).unwrap_err().to_string().contains("step"));
}
