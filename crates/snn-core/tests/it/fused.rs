//! Fused activation sites against their plain forms, on random neurons and shapes.

use crate::common::Random;
use snn_core::fused::{self, BatchNorm, BatchStatistics, Term};
use snn_core::lif::{self, LifParameters};
use snn_core::quant_relu;
use snn_core::tch::{Device, Kind, Tensor, no_grad, set_num_threads};
use snn_ir::ResetGradient;
use snn_ir::{FirstMembrane, Leak, Lif, Reset, Share, Spike, Surrogate, Threshold};
use std::collections::{BTreeMap, BTreeSet};

/// A neuron of any kind that has a fused form.
fn neuron(random: &mut Random) -> Lif {
    let others = [
        Surrogate::Rectangle { width: 1.25 },
        Surrogate::Triangle { width: 0.75 },
        Surrogate::FastSigmoid { slope: 5.0 },
        Surrogate::PiecewiseQuadratic { alpha: 1.5 },
        Surrogate::LogTailedRelu { alpha: 0.125 },
        Surrogate::SuperSpike { alpha: 2.0 },
    ];
    let surrogates: Vec<Surrogate> = Surrogate::ALL.into_iter().chain(others).collect();
    let spike = match random.below(3) {
        0 => Spike::Binary,
        1 => Spike::Ternary,
        _ => Spike::Integer { levels: u8::try_from(1 + random.below(5)).unwrap() },
    };
    let potential = if spike == Spike::Binary && random.below(2) == 0 { -0.25 } else { 0.0 };
    let factor = [0.5, 0.9, 1.0][random.below(3)];
    let theta = [0.5, 1.0, 0.7][random.below(3)];
    Lif {
        leak: if random.below(2) == 0 {
            Leak::Factor { factor }
        } else {
            Leak::Learned { initial: 0.6 }
        },
        threshold: match random.below(3) {
            0 => Threshold::Learned { initial: theta, share: Share::Layer },
            1 => Threshold::Learned { initial: theta, share: Share::Channel },
            _ => Threshold::Fixed(theta),
        },
        reset: [Reset::Hard { potential }, Reset::Soft, Reset::None][random.below(3)],
        spike,
        reset_gradient: [ResetGradient::Detached, ResetGradient::Flowing][random.below(2)],
        surrogate: surrogates[random.below(surrogates.len())].clone(),
        initial: match random.below(3) {
            0 => FirstMembrane::Potential(0.3),
            1 => FirstMembrane::Threshold { share: [0.5, -0.4][random.below(2)] },
            _ => FirstMembrane::Rest,
        },
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
    let values: Vec<f32> =
        (0..count).map(|_| (random.below(1 << 16) as f32 / 16384.0) - 2.0).collect();
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
        let parameters =
            LifParameters { leak: Some(&leak), threshold: Some(&threshold), registry: None };
        fused::lif(&case.lif, parameters, &[plain(&currents, case.steps)], case.time_steps)
            .unwrap()
            .expect("a fused form")
    } else {
        let mut broad = vec![1; case.shape.len()];
        broad[1] = threshold.size()[0];
        let theta = threshold.view(broad.as_slice());
        let parameters =
            LifParameters { leak: Some(&leak), threshold: Some(&theta), registry: None };
        let currents = currents.reshape(split.as_slice());
        lif::sequence(&case.lif, parameters, &currents, case.time_steps, None)
            .unwrap()
            .0
            .flatten(0, 1)
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
        kinds.insert(format!(
            "{:?} {:?}",
            std::mem::discriminant(&case.lif.surrogate),
            case.lif.spike.levels() > 1
        ));
        for (kind, tolerance, sum_tolerance) in
            [(Kind::Double, 1e-10, 1e-10), (Kind::Float, 1e-6, 2e-5)]
        {
            let what = format!(
                "seed {seed}, {kind:?}, {:?}, {:?} x {}",
                case.lif, case.shape, case.time_steps
            );
            let (levels, gradients) = run(&case, kind, true);
            let (expected, references) = run(&case, kind, false);
            assert_eq!(levels.size(), expected.size(), "{what}");
            assert!(levels.equal(&expected), "{what}");
            let tolerances = [tolerance, sum_tolerance, sum_tolerance];
            for (((name, found), reference), tolerance) in ["currents", "leak", "threshold"]
                .into_iter()
                .zip(&gradients)
                .zip(&references)
                .zip(tolerances)
            {
                match (found, reference) {
                    (Some(found), Some(reference)) => {
                        let difference = difference(found, reference);
                        assert!(
                            difference <= tolerance,
                            "{what}: gradient for the {name}: {difference:e}"
                        );
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
        for (kind, tolerance, sum_tolerance) in
            [(Kind::Double, 1e-10, 1e-10), (Kind::Float, 1e-6, 2e-5)]
        {
            let run = |is_fused: bool| {
                let leaf = |x: &Tensor| no_grad(|| x.to_kind(kind).copy()).set_requires_grad(true);
                let (x, step) = (leaf(&(&case.currents * 3.0)), leaf(&(&case.threshold * 0.5)));
                let y = if is_fused {
                    fused::quant_relu(&step, levels, &[plain(&x, 1)])
                        .unwrap()
                        .expect("a fused form")
                } else {
                    quant_relu::quant_relu(&x, &step, levels, 1).unwrap()
                };
                let upstream = case.upstream.to_kind(kind).narrow(0, 0, x.size()[0]);
                (&y * upstream).sum(kind).backward();
                (y.detach(), x.grad(), step.grad())
            };
            let ((y, by_x, by_step), (expected, x_reference, step_reference)) =
                (run(true), run(false));
            let what = format!("seed {seed}, {kind:?}, {levels} levels, {:?}", case.shape);
            assert!(y.equal(&expected), "{what}");
            assert!(difference(&by_x, &x_reference) <= tolerance, "{what}");
            let difference = difference(&by_step, &step_reference);
            assert!(difference <= sum_tolerance, "{what}: {difference:e}");
        }
    }
}

/// Terms of a site: data, γ and β of a norm if it has one, and macro-steps.
struct Sum {
    terms: Vec<(Tensor, Option<[Tensor; 2]>, usize)>,
    eps: f64,
}

impl Sum {
    /// One to three terms in the shape of a case; at least one has a norm.
    fn new(case: &Case, random: &mut Random) -> Self {
        let count = 1 + random.below(3);
        let term = |position: usize| {
            let steps = if position > 0 && random.below(3) == 0 { 1 } else { case.steps };
            let mut shape = case.shape.clone();
            shape[0] *= i64::try_from(steps).unwrap();
            let values = shape[0] * shape[2..].iter().product::<i64>();
            let channels = [shape[1]];
            let norm = (position == 0 || random.below(2) == 0) && values > 1;
            let norm = norm.then(|| [normal(random, &channels), normal(random, &channels)]);
            (normal(random, &shape) + 0.25, norm, steps)
        };
        Self { terms: (0..count).map(term).collect(), eps: 1e-5 }
    }

    /// Copies of all tensors that want gradients.
    fn leaves(&self, kind: Kind) -> Self {
        let leaf = |x: &Tensor| no_grad(|| x.to_kind(kind).copy()).set_requires_grad(true);
        let terms = self.terms.iter().map(|(data, norm, steps)| {
            (leaf(data), norm.as_ref().map(|norm| norm.each_ref().map(leaf)), *steps)
        });
        Self { terms: terms.collect(), eps: self.eps }
    }

    fn gradients(&self) -> Vec<Tensor> {
        let tensors = self
            .terms
            .iter()
            .flat_map(|(data, norm, _)| std::iter::once(data).chain(norm.iter().flatten()));
        tensors.map(|x| x.grad().to_kind(Kind::Double)).collect()
    }

    fn statistics(&self) -> Vec<BatchStatistics> {
        self.terms.iter().map(|(data, ..)| BatchStatistics::of(data).unwrap().unwrap()).collect()
    }

    fn fused<'s>(&'s self, statistics: &'s [BatchStatistics]) -> Vec<Term<'s>> {
        let terms = self.terms.iter().zip(statistics).map(|((data, norm, steps), statistics)| {
            let norm = norm.as_ref().map(|[weight, bias]| BatchNorm {
                weight: Some(weight),
                bias,
                eps: self.eps,
                statistics,
                ranks: None,
            });
            Term { data, steps: *steps, norm }
        });
        terms.collect()
    }

    /// The sum, `[T, B, …]`, with `normed` for a term behind a norm.
    fn plain(&self, normed: impl Fn(usize, &Tensor, &[Tensor; 2]) -> Tensor) -> Tensor {
        let terms = self.terms.iter().enumerate().map(|(position, (data, norm, steps))| {
            let term = norm
                .as_ref()
                .map_or_else(|| data.shallow_clone(), |norm| normed(position, data, norm));
            let mut split = term.size();
            split[0] /= i64::try_from(*steps).unwrap();
            split.insert(0, i64::try_from(*steps).unwrap());
            term.reshape(split)
        });
        terms.reduce(|sum, term| sum + term).unwrap()
    }
}

#[test]
fn sums_and_batch_norms_before_a_site_are_those_of_libtorch() {
    let mut kinds = BTreeSet::new();
    for seed in 0..300 {
        let case = case(20_000 + seed);
        let mut random = Random::new(seed);
        let sum = Sum::new(&case, &mut random);
        let terms = sum.terms.iter().map(|(_, norm, steps)| (norm.is_some(), *steps == 1));
        kinds.insert(terms.collect::<Vec<_>>());
        let threshold = no_grad(|| case.threshold.to_kind(Kind::Double));
        let lif = |kind: Kind, currents: &Tensor| {
            let mut broad = vec![1; case.shape.len()];
            broad[1] = threshold.size()[0];
            let theta = threshold.to_kind(kind).view(broad.as_slice());
            let parameters = LifParameters { leak: None, threshold: Some(&theta), registry: None };
            lif::sequence(&case.lif, parameters, currents, case.time_steps, None)
                .unwrap()
                .0
                .flatten(0, 1)
        };
        let fused = |sum: &Sum, kind: Kind| {
            let (statistics, threshold) = (sum.statistics(), threshold.to_kind(kind));
            let parameters =
                LifParameters { leak: None, threshold: Some(&threshold), registry: None };
            fused::lif(&case.lif, parameters, &sum.fused(&statistics), case.time_steps)
                .unwrap()
                .expect("a fused form")
        };
        let what = format!("seed {seed}: {:?}, {:?}, {:?}", case.lif, case.shape, kinds.last());

        // In double precision: libtorch's own batch norm, and all gradients.
        let (ours, theirs) = (sum.leaves(Kind::Double), sum.leaves(Kind::Double));
        let levels = fused(&ours, Kind::Double);
        let expected = lif(
            Kind::Double,
            &theirs.plain(|_, x, [weight, bias]| {
                x.batch_norm(
                    Some(weight),
                    Some(bias),
                    None::<&Tensor>,
                    None::<&Tensor>,
                    true,
                    0.1,
                    sum.eps,
                    false,
                )
            }),
        );
        assert!(levels.equal(&expected), "{what}");
        let reference_levels = levels.detach();
        for levels in [&levels, &expected] {
            (levels * case.upstream.to_kind(Kind::Double)).sum(Kind::Double).backward();
        }
        for (found, reference) in ours.gradients().iter().zip(&theirs.gradients()) {
            let difference = difference(found, reference);
            assert!(difference < 1e-10, "{what}: {difference:e}");
        }

        // In single precision and bf16: the same products and sums, each rounded to single
        // precision, give the same levels.
        for kind in [Kind::Float, Kind::BFloat16] {
            let ours = sum.leaves(kind);
            let levels = fused(&ours, kind);
            let terms = ours.statistics();
            let terms = ours.fused(&terms);
            let currents = no_grad(|| {
                let wide = Sum { terms: ours.leaves(Kind::Float).terms, eps: sum.eps };
                wide.plain(|position, x, _| {
                    let mut broad = vec![1; x.dim()];
                    broad[1] = -1;
                    let affine = terms[position].norm.unwrap().affine().unwrap();
                    let [factor, summand] = affine.map(|values| {
                        Tensor::from_slice(&values).to_kind(Kind::Float).view(broad.as_slice())
                    });
                    x * factor + summand
                })
            });
            let threshold = threshold.to_kind(kind).to_kind(Kind::Float);
            let mut broad = vec![1; case.shape.len()];
            broad[1] = threshold.size()[0];
            let theta = threshold.view(broad.as_slice());
            let parameters = LifParameters { leak: None, threshold: Some(&theta), registry: None };
            let (expected, _) =
                lif::sequence(&case.lif, parameters, &currents, case.time_steps, None).unwrap();
            assert!(levels.to_kind(Kind::Float).equal(&expected.flatten(0, 1)), "{what}, {kind:?}");
            // Where the levels are those of double precision too, gradients differ by rounding. In
            // bf16 the data differs by more than that: its gradients are compared below.
            let jumps = matches!(
                case.lif.surrogate,
                Surrogate::Rectangle { .. }
                    | Surrogate::LogTailedRelu { .. }
                    | Surrogate::StraightThrough
            );
            if kind == Kind::Float
                && !jumps
                && levels.to_kind(Kind::Double).equal(&reference_levels)
            {
                (&levels * case.upstream.to_kind(kind)).sum(kind).backward();
                for (found, reference) in ours.gradients().iter().zip(&theirs.gradients()) {
                    let difference = difference(found, reference);
                    assert!(difference < 2e-4, "{what}: {difference:e}");
                }
            }
        }
    }
    assert!(kinds.len() > 12, "{kinds:?}");
}

/// A norm without γ is that of a γ of ones, to the bit, with one gradient less.
#[test]
fn a_norm_without_scale_has_a_scale_of_one() {
    let random = &mut Random::new(31);
    for kind in [Kind::Float, Kind::Double] {
        let data = normal(random, &[6, 5, 3, 2]).to_kind(kind);
        let bias = normal(random, &[5]).to_kind(kind);
        let upstream = normal(random, &[6, 5, 3, 2]).to_kind(kind);
        let run = |scaled: bool| {
            let leaf = |x: &Tensor| no_grad(|| x.copy()).set_requires_grad(true);
            let (data, bias) = (leaf(&data), leaf(&bias));
            let ones = Tensor::ones([5], (kind, Device::Cpu));
            let statistics = BatchStatistics::of(&data).unwrap().unwrap();
            let norm = BatchNorm {
                weight: scaled.then_some(&ones),
                bias: &bias,
                eps: 1e-5,
                statistics: &statistics,
                ranks: None,
            };
            let terms = [Term { data: &data, steps: 2, norm: Some(norm) }];
            let levels =
                fused::lif(&Lif::default(), LifParameters::default(), &terms, 2).unwrap().unwrap();
            (&levels * &upstream).sum(kind).backward();
            [levels.detach(), data.grad(), bias.grad()]
        };
        for (with, without) in run(true).iter().zip(&run(false)) {
            assert!(with.equal(without));
            assert!(with.abs().sum(Kind::Double).double_value(&[]) > 0.0);
        }
    }
}

#[test]
fn gradients_in_bf16_are_those_of_double_precision_within_its_rounding() {
    let random = &mut Random::new(5);
    let lif = Lif::default();
    let terms = (0..2).map(|_| {
        (normal(random, &[32, 16, 6, 6]), Some([normal(random, &[16]), normal(random, &[16])]), 4)
    });
    let sum = Sum { terms: terms.collect(), eps: 1e-5 };
    let rounded = sum.leaves(Kind::BFloat16);
    let upstream = normal(random, &[32, 16, 6, 6]);
    let run = |kind: Kind| {
        let sum = rounded.leaves(kind);
        let statistics = sum.statistics();
        let levels = fused::lif(&lif, LifParameters::default(), &sum.fused(&statistics), 4)
            .unwrap()
            .expect("a form");
        (&levels * upstream.to_kind(kind)).sum(kind).backward();
        (levels.to_kind(Kind::Double).detach(), sum.gradients())
    };
    let ((levels, found), (expected, reference)) = (run(Kind::BFloat16), run(Kind::Double));
    assert!(levels.equal(&expected));
    for (found, reference) in found.iter().zip(&reference) {
        // A value is rounded to 8 bits at most three times on its way.
        let error =
            (found - reference).norm().double_value(&[]) / reference.norm().double_value(&[]);
        assert!(error < 3.0 / 256.0, "{error:e}");
        assert!(error > 1e-6, "in bf16 indeed");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let lif = Lif {
        threshold: Threshold::Learned { initial: 1.0, share: Share::Channel },
        ..Lif::default()
    };
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
    assert!(
        fused::lif(&Lif::default(), LifParameters::default(), &[plain(&x, 1)], 2)
            .unwrap()
            .is_none()
    );
    let own = Lif {
        surrogate: Surrogate::Custom { name: "mine".into(), params: BTreeMap::default() },
        ..Lif::default()
    };
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
    assert_eq!(
        error(&Lif::default(), &one, 4),
        "currents: expected shape [4·B, …] or [B, …], found [6, 3]"
    );
    assert_eq!(
        error(&Lif::default(), &one, 3),
        "currents: expected shape [4·B, …] or [B, …], found [6, 3]"
    );
    let lif = Lif {
        threshold: Threshold::Learned { initial: 1.0, share: Share::Channel },
        ..Lif::default()
    };
    let two = Tensor::ones([2], (Kind::Float, Device::Cpu));
    assert_eq!(error(&lif, &two, 1), "threshold: expected shape [1] or [3], found [2]");
    assert!(fused::quant_relu(&two, 4, &[plain(&x, 1)]).unwrap_err().to_string().contains("step"));
}
