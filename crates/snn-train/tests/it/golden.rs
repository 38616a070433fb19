//! Optimiser, schedules and loss against `PyTorch`; `tests/it/golden/generate.py` makes the values.

use serde::Deserialize;
use snn_core::{Forward, Parameter};
use snn_train::loss::{Targets, cross_entropy, distillation};
use snn_train::{
    AdamWConfig, LossConfig, Optimiser, OptimiserConfig, ScheduleConfig, SgdConfig, WarmUpConfig,
};
use tch::{Kind, Tensor};

/// Single precision, a handful of roundings (`PyTorch` fuses multiplication and addition, we do
/// not).
const SINGLE: f64 = 5e-6;
/// Double precision; `PyTorch` computes the cosine recursively.
const DOUBLE: f64 = 1e-12;

#[derive(Deserialize)]
struct Golden {
    sgd: Vec<GoldenSgd>,
    adamw: Vec<GoldenAdamW>,
    clip: Vec<GoldenClip>,
    one_cycle: Vec<GoldenOneCycle>,
    cosine: Vec<GoldenCosine>,
    warm_up_cosine: Vec<GoldenWarmUp>,
    loss: Vec<GoldenLoss>,
    tet: Vec<GoldenTet>,
    distillation: Vec<GoldenDistillation>,
}

#[derive(Deserialize)]
struct GoldenAdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    values: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct GoldenClip {
    limit: f64,
    norm: f64,
    gradients: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct GoldenWarmUp {
    warm_up: usize,
    total: usize,
    factors: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenTet {
    regulariser: f64,
    target: f64,
    smoothing: f64,
    share: f64,
    loss: f64,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenDistillation {
    temperature: f64,
    loss: f64,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenSgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    values: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct GoldenOneCycle {
    total: usize,
    peak_fraction: f64,
    start_factor: f64,
    final_factor: f64,
    factors: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenCosine {
    total: usize,
    factors: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenLoss {
    smoothing: f64,
    loss: f64,
    gradient: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/values.json")).unwrap()
}

/// The formula of the script.
fn tensor(shape: &[i64], phase: i64) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f64> =
        (0..count).map(|i| ((i * 37 + phase * 11) % 101) as f64 / 50.0 - 1.0).collect();
    Tensor::from_slice(&values).to_kind(Kind::Float).reshape(shape)
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "{what}, value {i}: found {a}, expected {b}"
        );
    }
}

fn parameter(name: &str, tensor: &Tensor) -> Parameter {
    Parameter {
        name: name.to_string(),
        tensor: tensor.detach().set_requires_grad(true),
        learned: true,
        range: snn_ir::Range::Finite,
        decays: name == "conv.weight",
    }
}

fn descend(
    learning_rate: f64,
    steps: std::ops::Range<usize>,
    parameters: &[Parameter],
    optimiser: &mut Optimiser,
) -> Vec<Vec<f64>> {
    steps
        .map(|step| {
            let p = &parameters[0].tensor;
            let gradient = tensor(&[2, 3], i64::try_from(step).unwrap() + 1);
            (p.square() * 0.25 + p * gradient).sum(Kind::Float).backward();
            optimiser.step(learning_rate / (1.0 + step as f64)).unwrap();
            flat(p)
        })
        .collect()
}

#[test]
fn sgd_is_that_of_pytorch() {
    for case in golden().sgd {
        let (momentum, nesterov, weight_decay) = (case.momentum, case.nesterov, case.weight_decay);
        let config = SgdConfig { learning_rate: 0.1, momentum, nesterov, weight_decay };
        let parameters = [parameter("conv.weight", &tensor(&[2, 3], 0))];
        let mut optimiser = OptimiserConfig::from(config).init(&parameters).unwrap();
        for (found, expected) in descend(config.learning_rate, 0..5, &parameters, &mut optimiser)
            .iter()
            .zip(&case.values)
        {
            assert_close(found, expected, SINGLE, &format!("{config:?}"));
        }
    }
}

#[test]
fn sgd_goes_on_from_a_saved_state_bit_for_bit() {
    let config = SgdConfig::default();
    let parameters = [parameter("conv.weight", &tensor(&[2, 3], 0))];
    let mut optimiser = OptimiserConfig::from(config).init(&parameters).unwrap();
    descend(config.learning_rate, 0..3, &parameters, &mut optimiser);
    let (saved, state) = (parameters[0].tensor.detach().copy(), optimiser.state().unwrap());
    let expected = descend(config.learning_rate, 3..6, &parameters, &mut optimiser);

    let resumed = [parameter("conv.weight", &saved)];
    let mut optimiser = OptimiserConfig::from(config).init(&resumed).unwrap();
    optimiser.restore(&state).unwrap();
    assert_eq!(descend(config.learning_rate, 3..6, &resumed, &mut optimiser), expected);

    let other = [parameter("conv.weight", &tensor(&[3, 3], 0))];
    let error = OptimiserConfig::from(config).init(&other).unwrap().restore(&state).unwrap_err();
    assert!(error.to_string().contains("conv.weight"), "{error}");
}

#[test]
fn weight_decay_spares_norms_and_what_is_not_learned_stays() {
    let config = SgdConfig { weight_decay: 0.5, ..SgdConfig::default() };
    let still = Parameter {
        name: "norm.running_mean".into(),
        tensor: tensor(&[2], 3),
        learned: false,
        range: snn_ir::Range::Finite,
        decays: false,
    };
    let parameters = [
        parameter("conv.weight", &tensor(&[2], 1)),
        parameter("norm.weight", &tensor(&[2], 2)),
        still,
    ];
    let before: Vec<Vec<f64>> = parameters.iter().map(|p| flat(&p.tensor)).collect();
    let mut optimiser = OptimiserConfig::from(config).init(&parameters).unwrap();
    ((&parameters[0].tensor + &parameters[1].tensor) * 0.0).sum(Kind::Float).backward();
    optimiser.step(0.1).unwrap();
    assert_ne!(flat(&parameters[0].tensor), before[0]);
    assert_eq!(flat(&parameters[1].tensor), before[1]);
    assert_eq!(flat(&parameters[2].tensor), before[2]);
    assert_eq!(optimiser.state().unwrap().len(), 2);
}

#[test]
fn scaled_rates_do_not_depend_on_the_unit_of_the_inputs() {
    let outputs = |config: OptimiserConfig, unit: f64| {
        let parameters = [parameter("conv.weight", &(tensor(&[2, 3], 5) / unit))];
        let input = tensor(&[3], 7) * unit;
        let mut optimiser = config.init(&parameters).unwrap();
        optimiser.scale_rates_by_size().unwrap();
        let weight = &parameters[0].tensor;
        let before = flat(&weight.matmul(&input));
        for _ in 0..3 {
            weight.matmul(&input).square().sum(Kind::Float).backward();
            optimiser.step(0.02).unwrap();
        }
        (before, flat(&weight.matmul(&input)))
    };
    for config in [
        OptimiserConfig::Sgd(SgdConfig { weight_decay: 0.0, ..SgdConfig::default() }),
        OptimiserConfig::AdamW(AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() }),
    ] {
        let (reference, scaled) = (outputs(config, 1.0), outputs(config, 64.0));
        assert_close(&scaled.0, &reference.0, SINGLE, "before");
        assert_close(&scaled.1, &reference.1, SINGLE, "after");
        assert_ne!(reference.0, reference.1);
    }
}

#[test]
fn schedules_are_those_of_pytorch() {
    for case in golden().one_cycle {
        let (peak_fraction, start_factor, final_factor) =
            (case.peak_fraction, case.start_factor, case.final_factor);
        let schedule = ScheduleConfig::OneCycle { peak_fraction, start_factor, final_factor };
        let found: Vec<f64> =
            (0..case.factors.len()).map(|step| schedule.factor(step, case.total)).collect();
        assert_close(&found, &case.factors, DOUBLE, &format!("{schedule:?}"));
    }
    for case in golden().cosine {
        let schedule = ScheduleConfig::Cosine { warm_up: 0.0 };
        let found: Vec<f64> =
            (0..case.total).map(|step| schedule.factor(step, case.total)).collect();
        assert_close(&found, &case.factors, DOUBLE, "cosine");
    }
}

#[test]
fn schedules_end_where_they_should() {
    let one_cycle = ScheduleConfig::default();
    let factors: Vec<f64> = (0..100).map(|step| one_cycle.factor(step, 100)).collect();
    assert!(
        (factors[0] - 0.04).abs() < 1e-12
            && (factors[29] - 1.0).abs() < 1e-12
            && factors[99] < 1e-5
    );
    let warm = ScheduleConfig::Cosine { warm_up: 0.1 };
    assert_close(
        &(0..10).map(|s| warm.factor(s, 100)).collect::<Vec<_>>(),
        &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        DOUBLE,
        "warm-up",
    );
    for schedule in [
        one_cycle,
        warm,
        ScheduleConfig::Constant,
        ScheduleConfig::OneCycle { peak_fraction: 0.0, start_factor: 0.1, final_factor: 0.1 },
        ScheduleConfig::OneCycle { peak_fraction: 1.0, start_factor: 0.1, final_factor: 0.1 },
    ] {
        for total in 1..5 {
            for step in 0..total {
                assert!(
                    (0.0..=1.0).contains(&schedule.factor(step, total)),
                    "{schedule:?} {step} {total}"
                );
            }
        }
    }
}

#[test]
fn the_loss_is_that_of_pytorch() {
    for case in golden().loss {
        let logits = (tensor(&[4, 5], 3) * 3.0).detach().set_requires_grad(true);
        let labels = Tensor::from_slice(&[0_i64, 3, 2, 4]);
        let loss = cross_entropy(&logits, &labels, case.smoothing).unwrap();
        loss.backward();
        assert_close(&flat(&loss), &[case.loss], SINGLE, "loss");
        assert_close(&flat(&logits.grad()), &case.gradient, SINGLE, "gradient");
    }
}

#[test]
fn adamw_is_that_of_pytorch() {
    for case in golden().adamw {
        let GoldenAdamW { beta1, beta2, eps, weight_decay, values } = case;
        let config = AdamWConfig { learning_rate: 0.1, beta1, beta2, eps, weight_decay };
        let parameters = [parameter("conv.weight", &tensor(&[2, 3], 0))];
        let mut optimiser = OptimiserConfig::from(config).init(&parameters).unwrap();
        let found = descend(config.learning_rate, 0..5, &parameters, &mut optimiser);
        for (found, expected) in found.iter().zip(&values) {
            assert_close(found, expected, SINGLE, &format!("{config:?}"));
        }
    }
}

#[test]
fn adamw_goes_on_from_a_saved_state_bit_for_bit() {
    let config = AdamWConfig::default();
    let parameters = [parameter("conv.weight", &tensor(&[2, 3], 0))];
    let mut optimiser = OptimiserConfig::from(config).init(&parameters).unwrap();
    descend(1e-3, 0..3, &parameters, &mut optimiser);
    let (state, saved) = (optimiser.state().unwrap(), parameters[0].tensor.copy());
    let expected = descend(1e-3, 3..6, &parameters, &mut optimiser);

    let parameters = [parameter("conv.weight", &saved)];
    let mut resumed = OptimiserConfig::from(config).init(&parameters).unwrap();
    resumed.restore(&state).unwrap();
    assert_eq!(descend(1e-3, 3..6, &parameters, &mut resumed), expected);
    // The number of steps is a part of the state: without it the bias is corrected anew.
    assert!(
        resumed
            .restore(
                &OptimiserConfig::from(SgdConfig::default())
                    .init(&parameters)
                    .unwrap()
                    .state()
                    .unwrap()
            )
            .is_err()
    );
    for steps in [f64::NAN, 1.5, -1.0, 1e20] {
        let mut damaged = state.clone();
        damaged.insert("steps".into(), snn_ir::Tensor::F64(ndarray::arr0(steps).into_dyn()));
        let error = resumed.restore(&damaged).unwrap_err().to_string();
        assert!(error.contains("one whole number for `steps`"), "{error}");
    }
}

#[test]
fn clipping_is_that_of_pytorch() {
    for case in golden().clip {
        let parameters = [
            parameter("conv.weight", &tensor(&[2, 3], 0)),
            parameter("norm.bias", &tensor(&[4], 0)),
        ];
        let gradients = [tensor(&[2, 3], 1), tensor(&[4], 2)];
        for (parameter, gradient) in parameters.iter().zip(&gradients) {
            (&parameter.tensor * gradient).sum(Kind::Float).backward();
        }
        let mut optimiser = OptimiserConfig::from(SgdConfig::default()).init(&parameters).unwrap();
        assert_close(
            &[optimiser.clip_gradients(case.limit).unwrap()],
            &[case.norm],
            SINGLE,
            "norm",
        );
        for (parameter, expected) in parameters.iter().zip(&case.gradients) {
            assert_close(
                &flat(&parameter.tensor.grad()),
                expected,
                SINGLE,
                &format!("limit {}", case.limit),
            );
        }
    }
}

#[test]
fn a_warm_up_before_a_cosine_is_that_of_pytorch() {
    for GoldenWarmUp { warm_up, total, factors } in golden().warm_up_cosine {
        let schedule = ScheduleConfig::Cosine { warm_up: 0.0 };
        let found: Vec<f64> = (0..total)
            .map(|step| WarmUpConfig::Steps(warm_up).factor(&schedule, step, total))
            .collect();
        assert_close(&found, &factors, DOUBLE, "warm-up");
    }
}

#[test]
fn a_warm_up_rises_to_any_schedule_and_leaves_it_as_it_is() {
    for schedule in [
        ScheduleConfig::default(),
        ScheduleConfig::Cosine { warm_up: 0.0 },
        ScheduleConfig::Constant,
    ] {
        let (warm, total) = (WarmUpConfig::Fraction(0.25), 40);
        for step in 0..10 {
            let expected = (step + 1) as f64 / 10.0 * schedule.factor(0, 30);
            assert!(
                (warm.factor(&schedule, step, total) - expected).abs() < 1e-15,
                "{schedule:?} {step}"
            );
        }
        for step in 10..total {
            assert_eq!(
                warm.factor(&schedule, step, total).to_bits(),
                schedule.factor(step - 10, 30).to_bits()
            );
        }
        // A warm-up as long as the run or longer.
        for step in 0..4 {
            assert!((0.0..=1.0).contains(&WarmUpConfig::Steps(9).factor(&schedule, step, 4)));
        }
    }
}

#[test]
fn tet_is_that_of_pytorch() {
    for case in golden().tet {
        let step_logits = (tensor(&[3, 4, 5], 3) * 3.0).detach().set_requires_grad(true);
        let logits = step_logits.mean_dim([0_i64].as_slice(), false, Kind::Float);
        let others = Tensor::from_slice(&[2_i64, 3, 1, 0]);
        let targets = Targets {
            labels: Tensor::from_slice(&[0_i64, 3, 2, 4]),
            mixed: (case.share < 1.0).then_some((others, case.share)),
            smoothing: case.smoothing,
        };
        let config =
            LossConfig::Tet { regulariser: case.regulariser, regulariser_target: case.target };
        let scores = Forward { logits, step_logits };
        let loss = config.of(&scores, &targets).unwrap();
        loss.backward();
        assert_close(&flat(&loss), &[case.loss], SINGLE, "loss");
        assert_close(&flat(&scores.step_logits.grad()), &case.gradient, SINGLE, "gradient");
        assert_ne!(flat(&loss), flat(&LossConfig::CrossEntropy.of(&scores, &targets).unwrap()));
    }
}

#[test]
fn distillation_is_that_of_pytorch() {
    for case in golden().distillation {
        let student = (tensor(&[4, 5], 3) * 3.0).detach().set_requires_grad(true);
        let loss = distillation(&student, &(tensor(&[4, 5], 7) * 2.0), case.temperature).unwrap();
        loss.backward();
        assert_close(&flat(&loss), &[case.loss], SINGLE, "loss");
        assert_close(&flat(&student.grad()), &case.gradient, SINGLE, "gradient");
    }
}
