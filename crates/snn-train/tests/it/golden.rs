//! Optimiser, schedules and loss against `PyTorch`; `tests/it/golden/generate.py` makes the values.

use serde::Deserialize;
use snn_core::{Forward, Parameter};
use snn_train::loss::{Targets, cross_entropy, distillation, right_steps, step_distillation};
use snn_train::optim::muon::orthogonalised;
use snn_train::{
    AdamWConfig, GroupConfig, LookaheadConfig, LossConfig, MuonConfig, Optimiser, OptimiserConfig,
    OthersConfig, ScheduleConfig, SgdConfig, WarmUpConfig,
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
    cosine_to: Vec<GoldenCosineTo>,
    linear: Vec<GoldenOneCycle>,
    muon: Vec<GoldenMuon>,
    lookahead_rising: Vec<GoldenLookahead>,
    lookahead_constant: Vec<GoldenLookahead>,
    per_step: Vec<GoldenPerStep>,
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
struct GoldenCosineTo {
    total: usize,
    final_factor: f64,
    factors: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenMuon {
    shape: Vec<i64>,
    iterations: usize,
    nesterov: bool,
    normalise: bool,
    weight_decay: f64,
    values: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct GoldenLookahead {
    every: usize,
    #[serde(default)]
    alpha: f64,
    #[serde(default)]
    decay: f64,
    #[serde(default)]
    power: f64,
    total: usize,
    values: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct GoldenPerStep {
    temperature: f64,
    alpha: f64,
    beta: f64,
    right: Vec<usize>,
    loss: f64,
    gradient: Vec<f64>,
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
        let schedule = ScheduleConfig::Cosine { warm_up: 0.0, final_factor: 0.0 };
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
    let warm = ScheduleConfig::Cosine { warm_up: 0.1, final_factor: 0.0 };
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
        let schedule = ScheduleConfig::Cosine { warm_up: 0.0, final_factor: 0.0 };
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
        ScheduleConfig::Cosine { warm_up: 0.0, final_factor: 0.0 },
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

#[test]
fn a_cosine_to_another_rate_than_0_is_that_of_pytorch() {
    for GoldenCosineTo { total, final_factor, factors } in golden().cosine_to {
        let schedule = ScheduleConfig::Cosine { warm_up: 0.0, final_factor };
        let found: Vec<f64> = (0..total).map(|step| schedule.factor(step, total)).collect();
        assert_close(&found, &factors, DOUBLE, "cosine");
    }
}

#[test]
fn the_linear_schedule_is_that_of_airbench() {
    for case in golden().linear {
        let (peak_fraction, start_factor, final_factor) =
            (case.peak_fraction, case.start_factor, case.final_factor);
        let schedule = ScheduleConfig::Linear { peak_fraction, start_factor, final_factor };
        let found: Vec<f64> =
            (0..case.total).map(|step| schedule.factor(step, case.total)).collect();
        assert_close(&found, &case.factors, DOUBLE, &format!("{schedule:?}"));
    }
}

/// Weights that Muon moves, and one after them that is the classifier.
fn hidden(shape: &[i64]) -> [Parameter; 2] {
    let classifier = Parameter { decays: true, ..parameter("fc.weight", &tensor(&[2, 2], 0)) };
    [parameter("conv.weight", &tensor(shape, 0)), classifier]
}

fn descend_hidden(
    rate: f64,
    steps: std::ops::Range<usize>,
    parameters: &[Parameter],
    optimiser: &mut Optimiser,
) -> Vec<Vec<f64>> {
    steps
        .map(|step| {
            let p = &parameters[0].tensor;
            let gradient = tensor(&p.size(), i64::try_from(step).unwrap() + 1);
            (p.square() * 0.25 + p * gradient).sum(Kind::Float).backward();
            optimiser.step(rate / (1.0 + step as f64)).unwrap();
            flat(p)
        })
        .collect()
}

/// Orthogonalisation multiplies errors of f32, and PyTorch and this project multiply matrices alike
/// but add in other orders.
const ORTHOGONALISED: f64 = 2e-4;

#[test]
fn muon_is_that_of_airbench_and_of_its_author() {
    for case in golden().muon {
        let GoldenMuon { shape, iterations, nesterov, normalise, weight_decay, values } = case;
        let config = MuonConfig {
            learning_rate: 0.1,
            momentum: 0.6,
            nesterov,
            iterations,
            normalise,
            weight_decay,
            others: OthersConfig::default(),
        };
        config.validate().unwrap();
        let parameters = hidden(&shape);
        let mut optimiser = OptimiserConfig::from(config).init(&parameters).unwrap();
        let found = descend_hidden(config.learning_rate, 0..5, &parameters, &mut optimiser);
        for (found, expected) in found.iter().zip(&values) {
            assert_close(found, expected, ORTHOGONALISED, &format!("{config:?}"));
        }
    }
}

#[test]
fn orthogonalised_matrices_have_singular_values_near_1() {
    for shape in [[5_i64, 9], [9, 5], [1, 4], [4, 1]] {
        let matrix = tensor(&shape, 3).to_kind(Kind::Double);
        let (_, before, _) = matrix.svd(true, true);
        let (_, after, _) = orthogonalised(&matrix, 5).unwrap().svd(true, true);
        let (least, most) = (after.min().double_value(&[]), after.max().double_value(&[]));
        // Those of the matrix spread over more than an order of magnitude.
        assert!(least > 0.3 && most < 1.3, "{shape:?}: {before} became {after}");
        let zeros = orthogonalised(&(matrix * 0.0), 5).unwrap();
        assert!(zeros.count_nonzero(None).int64_value(&[]) == 0, "nothing stays nothing");
    }
    assert!(orthogonalised(&tensor(&[2, 2, 2], 0), 3).is_err(), "only matrices");
}

#[test]
fn muon_leaves_the_classifier_and_what_is_no_matrix_to_the_other_optimiser() {
    let adamw = AdamWConfig { learning_rate: 0.01, weight_decay: 0.0, ..AdamWConfig::default() };
    let muon = MuonConfig { others: OthersConfig::AdamW(adamw), ..MuonConfig::default() };
    let config = OptimiserConfig::from(muon);
    let parameters = || {
        let [conv, classifier] = hidden(&[3, 4]);
        let bias = Parameter { decays: false, ..parameter("norm.bias", &tensor(&[3], 4)) };
        [conv, bias, classifier]
    };
    let mine = parameters();
    let mut optimiser = config.init(&mine).unwrap();
    let state: Vec<String> = optimiser.state().unwrap().into_keys().collect();
    let expected = [
        "first_moment/fc.weight",
        "first_moment/norm.bias",
        "momentum/conv.weight",
        "second_moment/fc.weight",
        "second_moment/norm.bias",
        "steps",
    ];
    assert_eq!(state, expected);
    // They move as AdamW alone moves them, at its own rate in that of the schedule.
    let others = parameters();
    let mut alone = OptimiserConfig::from(adamw).init(&others).unwrap();
    for step in 0..4 {
        for p in [&mine, &others].into_iter().flatten() {
            (&p.tensor * tensor(&p.tensor.size(), step)).sum(Kind::Float).backward();
        }
        let factor = 1.0 / (1.0 + step as f64);
        optimiser.step(0.24 * factor).unwrap();
        alone.step(0.01 * factor).unwrap();
    }
    for position in [1, 2] {
        let (found, expected) = (flat(&mine[position].tensor), flat(&others[position].tensor));
        assert_close(&found, &expected, 1e-6, &mine[position].name);
    }
    assert_ne!(flat(&mine[0].tensor), flat(&others[0].tensor));
    // A group may leave it more.
    let group = GroupConfig { others: true, ..GroupConfig::new("conv.*") };
    let optimiser = config.init_groups(&parameters(), std::slice::from_ref(&group)).unwrap();
    assert!(optimiser.state().unwrap().contains_key("first_moment/conv.weight"));
    let error = OptimiserConfig::from(adamw).init_groups(&parameters(), &[group]).unwrap_err();
    assert!(error.to_string().contains("`optimiser.kind = \"muon\"`"), "{error}");
}

#[test]
fn muon_goes_on_from_a_saved_state_bit_for_bit() {
    let config = OptimiserConfig::from(MuonConfig::default());
    let parameters = hidden(&[3, 2, 2]);
    let mut optimiser = config.init(&parameters).unwrap();
    descend_hidden(0.24, 0..3, &parameters, &mut optimiser);
    let (saved, state) = (parameters[0].tensor.detach().copy(), optimiser.state().unwrap());
    let expected = descend_hidden(0.24, 3..6, &parameters, &mut optimiser);
    let [_, classifier] = hidden(&[3, 2, 2]);
    let resumed = [parameter("conv.weight", &saved), classifier];
    let mut optimiser = config.init(&resumed).unwrap();
    optimiser.restore(&state).unwrap();
    assert_eq!(descend_hidden(0.24, 3..6, &resumed, &mut optimiser), expected);
}

/// Decays of Lookahead, step by step, as the formula of the documentation has them.
fn slow_and_fast(config: LookaheadConfig, total: usize) -> Vec<Vec<f64>> {
    let (mut fast, mut slow) = (tensor(&[2, 3], 0), tensor(&[2, 3], 0));
    (1..=total)
        .map(|step| {
            fast += tensor(&[2, 3], i64::try_from(step).unwrap());
            if let Some(kept) = config.keeps(step, total) {
                slow = &slow * kept + &fast * (1.0 - kept);
                fast = slow.copy();
            }
            if step == total {
                fast = slow.copy();
            }
            flat(&fast)
        })
        .collect()
}

#[test]
fn lookahead_is_that_of_airbench_and_of_its_authors() {
    let golden = golden();
    let rising = golden.lookahead_rising.into_iter().map(|case| {
        let GoldenLookahead { every, decay, power, .. } = case;
        (LookaheadConfig::Rising { every, decay, power }, case)
    });
    let constant = golden.lookahead_constant.into_iter().map(|case| {
        let GoldenLookahead { every, alpha, .. } = case;
        (LookaheadConfig::Constant { every, alpha }, case)
    });
    for (config, GoldenLookahead { total, values, .. }) in rising.chain(constant) {
        config.validate().unwrap();
        for (found, expected) in slow_and_fast(config, total).iter().zip(&values) {
            assert_close(found, expected, SINGLE, &format!("{config:?}"));
        }
    }
}

#[test]
fn distillation_per_step_is_that_of_its_authors() {
    let labels = Tensor::from_slice(&[0_i64, 3, 2, 4]);
    for case in golden().per_step {
        let steps = (tensor(&[3, 4, 5], 3) * 3.0).detach().set_requires_grad(true);
        let teacher = tensor(&[4, 5], 7) * 2.0;
        let own = right_steps(&steps, &labels).unwrap();
        assert!(!own.requires_grad());
        let taught = step_distillation(&steps, &teacher, case.temperature).unwrap();
        let by_own = step_distillation(&steps, &own, case.temperature).unwrap();
        let loss = taught * case.alpha + by_own * case.beta;
        loss.backward();
        assert_close(&flat(&loss), &[case.loss], SINGLE, "loss");
        assert_close(&flat(&steps.grad()), &case.gradient, SINGLE, "gradient");
        // Where no step is right all classes are equal.
        for (sample, right) in case.right.iter().enumerate() {
            let largest = own.get(i64::try_from(sample).unwrap()).abs().max().double_value(&[]);
            assert_eq!(*right == 0, largest == 0.0, "sample {sample}");
        }
    }
}

#[test]
fn groups_have_their_own_rate_decay_and_epochs() {
    let named = |name: &str, phase| parameter(name, &tensor(&[2], phase));
    let parameters = || {
        let bias = Parameter { decays: false, ..named("a.norm.bias", 2) };
        [Parameter { decays: true, ..named("a.conv.weight", 1) }, bias, named("b.bias", 3)]
    };
    let (rate, momentum, weight_decay) = (0.1, 0.0, 0.5);
    let sgd = SgdConfig { learning_rate: rate, momentum, nesterov: false, weight_decay };
    let groups = [
        GroupConfig {
            learning_rate: 4.0,
            weight_decay: Some(0.25),
            ..GroupConfig::new("*.norm.bias")
        },
        GroupConfig { freeze_until: 1, freeze_after: 3, ..GroupConfig::new("{a,b}.*") },
    ];
    let parameters = parameters();
    let mut optimiser = OptimiserConfig::from(sgd).init_groups(&parameters, &groups).unwrap();
    assert_eq!(optimiser.parameter_count(), 6);
    for epoch in 0..4 {
        optimiser.begin_epoch(epoch, 7).unwrap();
        let learns = (1..3).contains(&epoch);
        let before: Vec<Vec<f64>> = parameters.iter().map(|p| flat(&p.tensor)).collect();
        let sum = parameters.iter().map(|p| (&p.tensor * 2.0).sum(Kind::Float));
        sum.reduce(|a, b| a + b).unwrap().backward();
        optimiser.step(rate).unwrap();
        let moved = |decay: f64, rate: f64, before: &[f64]| -> Vec<f64> {
            before.iter().map(|p| p - rate * (2.0 + decay * p)).collect()
        };
        assert_close(
            &flat(&parameters[1].tensor),
            &moved(0.125, 0.4, &before[1]),
            SINGLE,
            "the first group that matches, which has biases decay too",
        );
        for (position, decay) in [(0, 0.5), (2, 0.0)] {
            let p = &parameters[position];
            assert_eq!(p.tensor.requires_grad(), learns, "no gradient is computed");
            assert_eq!(optimiser.is_frozen(&p.name), !learns);
            let expected = if learns {
                moved(decay, rate, &before[position])
            } else {
                before[position].clone()
            };
            assert_close(&flat(&p.tensor), &expected, SINGLE, &format!("{} {epoch}", p.name));
        }
    }
}

/// `AdamW` corrects the bias of its means by the steps of a weight, not of the run.
#[test]
fn a_weight_that_thaws_begins_as_one_that_begins() {
    let adamw = OptimiserConfig::from(AdamWConfig::default());
    let groups = [GroupConfig { freeze_until: 2, ..GroupConfig::new("late.bias") }];
    let bias = |name: &str| Parameter { decays: false, ..parameter(name, &tensor(&[3], 1)) };
    let both = [bias("late.bias"), bias("other.bias")];
    let mut optimiser = adamw.init_groups(&both, &groups).unwrap();
    let fresh = [bias("late.bias")];
    let mut alone = adamw.init(&fresh).unwrap();
    for epoch in 0..4 {
        optimiser.begin_epoch(epoch, 2).unwrap();
        for step in 0..2 {
            let number = i64::try_from(epoch).unwrap() + step;
            for p in both.iter().filter(|p| p.tensor.requires_grad()) {
                (&p.tensor * tensor(&[3], number)).sum(Kind::Float).backward();
            }
            optimiser.step(0.1).unwrap();
            if epoch >= 2 {
                (&fresh[0].tensor * tensor(&[3], number)).sum(Kind::Float).backward();
                alone.step(0.1).unwrap();
            }
        }
    }
    assert_eq!(flat(&both[0].tensor), flat(&fresh[0].tensor));
}

#[test]
fn groups_that_match_nothing_are_refused_with_the_names_that_were_meant() {
    let parameters = [parameter("stem.conv.weight", &tensor(&[2], 1))];
    let sgd = OptimiserConfig::from(SgdConfig::default());
    let refused =
        |groups: &[GroupConfig]| sgd.init_groups(&parameters, groups).unwrap_err().to_string();
    let error = refused(&[GroupConfig::new("*.conv.wieght")]);
    assert!(error.contains("\"*.conv.wieght\"") && error.contains("`stem.conv.weight`"), "{error}");
    let error = refused(&[GroupConfig::new("*"), GroupConfig::new("stem.*")]);
    assert!(error.contains("\"stem.*\"") && error.contains("earlier groups"), "{error}");
    for (group, key) in [
        (GroupConfig { learning_rate: 0.0, ..GroupConfig::new("*") }, "learning_rate"),
        (GroupConfig { weight_decay: Some(-1.0), ..GroupConfig::new("*") }, "weight_decay"),
        (GroupConfig { freeze_until: 2, freeze_after: 2, ..GroupConfig::new("*") }, "freeze_until"),
        (GroupConfig { frozen: true, freeze_after: 2, ..GroupConfig::new("*") }, "freeze_until"),
        (GroupConfig::new("a[*"), "is no pattern"),
    ] {
        let error = group.validate().unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("groups"), "{error}");
    }
    let frozen = GroupConfig { frozen: true, ..GroupConfig::new("*") };
    let mut optimiser = sgd.init_groups(&parameters, &[frozen]).unwrap();
    let error = optimiser.begin_epoch(0, 1).unwrap_err().to_string();
    assert!(error.contains("freezes every weight of the network in epoch 1"), "{error}");
}
