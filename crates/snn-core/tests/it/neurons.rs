//! Neurons on tensors: exact values, and gradients against closed forms.

use snn_core::quant_relu::quant_relu;
use snn_core::tch::{Kind, Tensor};
use snn_core::{LifParameters, lif, surrogate};
use snn_ir::ResetGradient;
use snn_ir::{Leak, Lif, Reset, Surrogate};
use std::f64::consts::FRAC_PI_2;

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).set_requires_grad(true)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

/// Gradient of `Σ weight·output`.
fn gradient(output: &Tensor, weights: &[f64], of: &Tensor) -> Vec<f64> {
    (output.view([-1]) * Tensor::from_slice(weights)).sum(Kind::Double).backward();
    values(&of.grad())
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
        "found {found:?}, expected {expected:?}"
    );
}

/// Every built-in surrogate, and some with other parameters.
fn surrogates() -> impl Iterator<Item = Surrogate> {
    Surrogate::ALL.into_iter().chain([
        Surrogate::Atan { alpha: 3.5 },
        Surrogate::Rectangle { width: 1.5 },
        Surrogate::Triangle { width: 0.8 },
        Surrogate::PiecewiseQuadratic { alpha: 1.25 },
        Surrogate::LogTailedRelu { alpha: 0.1 },
        Surrogate::SuperSpike { alpha: 1.5 },
    ])
}

fn closed_form(surrogate: &Surrogate, x: f64) -> f64 {
    match *surrogate {
        Surrogate::Atan { alpha } => alpha / 2.0 / (1.0 + (FRAC_PI_2 * alpha * x).powi(2)),
        Surrogate::Rectangle { width } => f64::from(u8::from(x.abs() < width / 2.0)) / width,
        Surrogate::Triangle { width } => (width - x.abs()).max(0.0) / (width * width),
        Surrogate::Sigmoid { alpha } => {
            alpha * (-alpha * x).exp() / (1.0 + (-alpha * x).exp()).powi(2)
        }
        Surrogate::FastSigmoid { slope } => (1.0 + slope * x.abs()).powi(-2),
        Surrogate::PiecewiseQuadratic { alpha } => (alpha - alpha * alpha * x.abs()).max(0.0),
        Surrogate::Gaussian { sigma } => {
            (-x * x / (2.0 * sigma * sigma)).exp() / (sigma * std::f64::consts::TAU.sqrt())
        }
        Surrogate::LogTailedRelu { alpha } if x <= 0.0 => alpha,
        Surrogate::LogTailedRelu { .. } => 1.0 / x.max(1.0),
        Surrogate::SuperSpike { alpha } => alpha / (1.0 + x.abs()).powi(2),
        Surrogate::StraightThrough => 1.0,
        Surrogate::Custom { .. } => unreachable!("not among the built-in ones"),
    }
}

#[test]
fn spikes_are_exactly_zero_or_one() {
    let x = [-1e30, -1.0, -1e-300, -0.0, 0.0, 1e-300, 0.3, 1e30, f64::INFINITY, f64::NEG_INFINITY];
    for surrogate in surrogates() {
        for kind in [Kind::Float, Kind::Double] {
            let x = Tensor::from_slice(&x).to_kind(kind).set_requires_grad(true);
            let spikes = surrogate::spike(&x, &surrogate).unwrap();
            assert_eq!(spikes.kind(), kind);
            let expected: Vec<f64> =
                values(&x).iter().map(|x| f64::from(u8::from(*x >= 0.0))).collect();
            assert_eq!(values(&spikes), expected);
            assert_eq!(values(&surrogate::spike(&x.detach(), &surrogate).unwrap()), expected);
        }
    }
}

#[test]
fn surrogate_gradients_are_the_closed_forms() {
    // ±0.75 and ±0.8 are the edges of the rectangle and the triangle.
    let x = [-3.0, -0.8, -0.75, -0.2, 0.0, 0.1, 0.74, 0.75, 0.8, 5.0];
    let weights: Vec<f64> = (0..x.len()).map(|i| 1.0 + i as f64).collect();
    for surrogate in surrogates() {
        let leaf = leaf(&x);
        let found = gradient(&surrogate::spike(&leaf, &surrogate).unwrap(), &weights, &leaf);
        let expected: Vec<f64> =
            x.iter().zip(&weights).map(|(x, w)| w * closed_form(&surrogate, *x)).collect();
        close(&found, &expected);
    }
}

#[test]
fn two_uses_of_a_spike_add_their_gradients() {
    let x = leaf(&[0.2]);
    let spike = surrogate::spike(&x, &Surrogate::default()).unwrap();
    let found = gradient(&(&spike * &spike + &spike), &[1.0], &x);
    close(&found, &[3.0 * closed_form(&Surrogate::default(), 0.2)]); // 2·o + 1 at o = 1
}

/// Eq. 8 and its derivative by forward-mode differentiation with the surrogate in place of the
/// step's: `(spikes, Σ_t weight_t·∂o[t]/∂I[s])`.
fn reference(lif: &Lif, factor: f64, currents: &[f64], weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (rest, theta) = (lif.rest(), lif.threshold.initial());
    let flowing = f64::from(u8::from(lif.reset_gradient == ResetGradient::Flowing));
    let steps = currents.len();
    let mut spikes = Vec::new();
    let mut gradient = vec![0.0; steps];
    let (mut membrane, mut tangent) = (rest, vec![0.0; steps]);
    for t in 0..steps {
        let u = rest + factor * (membrane - rest) + currents[t];
        let du: Vec<f64> =
            (0..steps).map(|s| factor * tangent[s] + f64::from(u8::from(s == t))).collect();
        let o = f64::from(u8::from(u >= theta));
        let slope = closed_form(&lif.surrogate, u - theta);
        for s in 0..steps {
            let d_o = slope * du[s];
            gradient[s] += weights[t] * d_o;
            tangent[s] = match lif.reset {
                Reset::Hard { .. } => (1.0 - o) * du[s] + flowing * (rest - u) * d_o,
                Reset::Soft => du[s] - flowing * theta * d_o,
                Reset::None => du[s],
            };
        }
        membrane = match lif.reset {
            Reset::Hard { .. } if o > 0.0 => rest,
            Reset::Hard { .. } | Reset::None => u,
            Reset::Soft => u - theta * o,
        };
        spikes.push(o);
    }
    (spikes, gradient)
}

#[test]
fn lif_gradients_through_time() {
    let currents = [0.7, 0.6, 0.9, -0.3, 1.4, 0.2];
    let weights = [1.0, -0.5, 2.0, 0.25, -1.5, 3.0];
    for reset in
        [Reset::Hard { potential: 0.0 }, Reset::Hard { potential: -0.4 }, Reset::Soft, Reset::None]
    {
        for reset_gradient in [ResetGradient::Detached, ResetGradient::Flowing] {
            for factor in [0.0, 0.5, 1.0] {
                for surrogate in surrogates() {
                    let leak = Leak::Factor { factor };
                    let neuron = Lif {
                        leak,
                        reset,
                        reset_gradient,
                        surrogate: surrogate.clone(),
                        threshold: 0.9.into(),
                        ..Lif::default()
                    };
                    let leaf = leaf(&currents);
                    let (spikes, _) =
                        lif::sequence(&neuron, LifParameters::default(), &leaf, 6, None).unwrap();
                    let (expected, slope) = reference(&neuron, factor, &currents, &weights);
                    assert_eq!(values(&spikes), expected, "{neuron:?}");
                    close(&gradient(&spikes, &weights, &leaf), &slope);
                }
            }
        }
    }
}

#[test]
fn learned_leak_has_the_gradient_of_its_factor() {
    let currents = [0.7, 0.6, 0.2, 0.5];
    let weights = [1.0, 2.0, -1.0, 0.5];
    let neuron = Lif { leak: Leak::Learned { initial: 0.5 }, reset: Reset::Soft, ..Lif::default() };
    let a = leaf(&[0.4]);
    let (spikes, _) = lif::sequence(
        &neuron,
        LifParameters { leak: Some(&a), ..LifParameters::default() },
        &Tensor::from_slice(&currents),
        4,
        None,
    )
    .unwrap();
    let found = gradient(&spikes, &weights, &a);
    let factor = 1.0 / (1.0 + (-0.4_f64).exp());
    let (mut membrane, mut tangent, mut expected) = (0.0, 0.0, 0.0);
    for t in 0..4 {
        let u = factor * membrane + currents[t];
        let du = membrane + factor * tangent;
        expected += weights[t] * closed_form(&neuron.surrogate, u - 1.0) * du;
        membrane = if u >= 1.0 { u - 1.0 } else { u };
        tangent = du; // the reset is a constant
    }
    close(&found, &[expected * factor * (1.0 - factor)]);
}

#[test]
fn steps_and_sequences_agree_and_state_is_a_value() {
    let neuron = Lif { reset: Reset::Hard { potential: 0.1 }, ..Lif::default() };
    let currents = Tensor::rand([5, 3, 4], (Kind::Double, tch::Device::Cpu)) * 1.5;
    let (all, last) = lif::sequence(&neuron, LifParameters::default(), &currents, 5, None).unwrap();
    let mut state = None;
    for t in 0..5 {
        let (spikes, next) =
            lif::step(&neuron, LifParameters::default(), &currents.get(t), state.as_ref()).unwrap();
        assert_eq!(values(&spikes), values(&all.get(t)));
        state = Some(next);
    }
    assert_eq!(values(&last.membrane), values(&state.unwrap().membrane));
    let (head, state) =
        lif::sequence(&neuron, LifParameters::default(), &currents.narrow(0, 0, 2), 2, None)
            .unwrap();
    let (tail, _) = lif::sequence(
        &neuron,
        LifParameters::default(),
        &currents.narrow(0, 2, 3),
        3,
        Some(&state),
    )
    .unwrap();
    assert_eq!(values(&Tensor::cat(&[head, tail], 0)), values(&all));
}

#[test]
fn a_current_that_does_not_vary_is_repeated() {
    let neuron = Lif::default();
    let current = leaf(&[0.4, 0.6, 0.9]);
    let (once, _) =
        lif::sequence(&neuron, LifParameters::default(), &current.unsqueeze(0), 4, None).unwrap();
    let (repeated, _) = lif::sequence(
        &neuron,
        LifParameters::default(),
        &current.unsqueeze(0).repeat([4, 1]),
        4,
        None,
    )
    .unwrap();
    assert_eq!(once.size(), [4, 3]);
    assert_eq!(values(&once), values(&repeated));
    assert!(
        lif::sequence(
            &neuron,
            LifParameters::default(),
            &current.unsqueeze(0).repeat([3, 1]),
            4,
            None
        )
        .is_err()
    );
    let (_, state) = lif::step(&neuron, LifParameters::default(), &current, None).unwrap();
    let error =
        lif::step(&neuron, LifParameters::default(), &Tensor::from_slice(&[1.0]), Some(&state))
            .unwrap_err();
    assert!(error.to_string().contains("membrane"), "{error}");
}

/// `(value, ∂o/∂x, ∂o/∂s before scaling)` as in `docs/semantics.md`.
fn lsq(x: f64, s: f64, levels: f64) -> (f64, f64, f64) {
    let q = (x / s + 0.5).floor().clamp(0.0, levels);
    if x / s <= 0.0 {
        (s * q, 0.0, 0.0)
    } else if x / s >= levels {
        (s * q, 0.0, levels)
    } else {
        (s * q, 1.0, q - x / s)
    }
}

#[test]
fn quant_relu_has_exact_values_and_lsq_gradients() {
    // [B, C, L] = [2, 2, 4]; 0.15 and 0.3 fall on edges between levels.
    let x =
        [-1.0, 0.0, 0.15, 0.29, 0.3, 0.5, 0.9, 7.0, 0.05, 0.1, 0.33, 0.77, 1.2, 1.19, -0.2, 0.6];
    let weights: Vec<f64> = (0..16).map(|i| 0.5 + f64::from(i)).collect();
    for (steps, shared) in [(vec![0.3], 8.0_f64), (vec![0.3, 0.4], 4.0)] {
        let (leaf_x, leaf_s) = (leaf(&x), leaf(&steps));
        let output = quant_relu(&leaf_x.view([2, 2, 4]), &leaf_s, 4, 1).unwrap();
        let mut expected_x = Vec::new();
        let mut expected_s = vec![0.0; steps.len()];
        for (i, found) in values(&output).into_iter().enumerate() {
            let share = if steps.len() == 1 { 0 } else { i / 4 % 2 };
            let (value, slope, step_slope) = lsq(x[i], steps[share], 4.0);
            assert_eq!(found.to_bits(), value.to_bits());
            expected_x.push(weights[i] * slope);
            expected_s[share] += weights[i] * step_slope / (shared * 4.0).sqrt();
        }
        (output.view([-1]) * Tensor::from_slice(&weights)).sum(Kind::Double).backward();
        close(&values(&leaf_x.grad()), &expected_x);
        close(&values(&leaf_s.grad()), &expected_s);
        let plain = quant_relu(&leaf_x.detach().view([2, 2, 4]), &leaf_s.detach(), 4, 1).unwrap();
        assert_eq!(values(&plain), values(&output));
    }
    let error =
        quant_relu(&Tensor::from_slice(&x).view([2, 2, 4]), &Tensor::from_slice(&[0.1; 3]), 4, 1)
            .unwrap_err();
    assert!(error.to_string().contains("[1] or [2]"), "{error}");
}
