//! Sites off the grid (eqs. 8 to 11).

use super::of_op;
use crate::tiny::{chain, coded, levels, logits, real, run, run_frames, site, trained};
use rand::{RngExt, SeedableRng};
use snn_ir::{Code, Leak, Lif, Op, QuantRelu, Reset, Share, Site, logistic};

// === Eq. 8 ===

/// Spikes of one neuron whose current at macro-step t is `(pixel − 128)/64`, and the ties.
fn spikes(neuron: Lif, pixels: &[u8]) -> (Vec<i16>, u64) {
    let mut model =
        trained(chain(&[1], vec![("neuron", site(Site::Lif(neuron)))]), pixels.len(), []);
    model.signature_mut().preprocessing.mean = vec![128];
    model.signature_mut().preprocessing.std = vec![64.0];
    let result = run_frames(&model, pixels);
    (levels(&result, "neuron"), result.sites[0].ties)
}

#[test]
fn lif_with_hard_reset_to_a_potential() {
    let neuron = Lif { reset: Reset::Hard { potential: -0.5 }, ..Lif::default() };
    // I = 1, 1, 1.5, −1, 1.75 (λ = ½, θ = 1): u = ½, 1 (fires), 1 (fires), −1½, −½ − ½ + 1.75 = ¾.
    assert_eq!(spikes(neuron, &[192, 192, 224, 64, 240]), (vec![0, 1, 1, 0, 0], 2));
}

#[test]
fn lif_with_hard_reset_to_zero_forgets_what_was_left() {
    // u = 1.75 fires, then ¾, then 3/8 + ½ = 7/8.
    assert_eq!(spikes(Lif::default(), &[240, 176, 160]).0, [1, 0, 0]);
}

#[test]
fn lif_with_soft_reset_keeps_what_was_left() {
    let neuron = Lif { reset: Reset::Soft, ..Lif::default() };
    // u = 1.75 fires, leaves ¾; 3/8 + ¾ = 9/8 fires, leaves 1/8; 1/16 + 15/16 = 1 fires, leaves 0;
    // 0.
    assert_eq!(spikes(neuron, &[240, 176, 188, 128]), (vec![1, 1, 1, 0], 1));
}

#[test]
fn if_neurons_do_not_leak() {
    let neuron = |reset| Lif { leak: Leak::Factor { factor: 1.0 }, reset, ..Lif::default() };
    // I = ¾ each: soft ¾, 1½, 1¼, 1, ¾; hard ¾, 1½, ¾, 1½, ¾.
    assert_eq!(spikes(neuron(Reset::Soft), &[176; 5]), (vec![0, 1, 1, 1, 0], 1));
    assert_eq!(spikes(neuron(Reset::Hard { potential: 0.0 }), &[176; 5]).0, [0, 1, 0, 1, 0]);
}

#[test]
fn plif_has_the_leak_of_its_weight() {
    let spikes = |weight: f64| {
        let neuron = Lif { leak: Leak::Learned { initial: 0.9 }, ..Lif::default() };
        let graph = chain(&[1], vec![("neuron", site(Site::Lif(neuron)))]);
        let mut model = trained(graph, 6, [("neuron.leak", real(&[1], &[weight]))]);
        model.signature_mut().preprocessing.std = vec![64.0];
        levels(&run_frames(&model, &[40; 6]), "neuron")
    };
    assert_eq!(logistic(0.0).to_bits(), 0.5_f64.to_bits());
    // I = 5/8: λ = ½ yields 0.625, 0.9375, 1.09 (fires); λ ≈ 1 yields 0.625, 1.25 (fires); λ ≈ 0
    // never reaches 1.
    assert_eq!(spikes(0.0), [0, 0, 1, 0, 0, 1]);
    assert_eq!(spikes(30.0), [0, 1, 0, 1, 0, 1]);
    assert_eq!(spikes(-30.0), [0; 6]);
    assert!((logistic(1.2) - 0.768_524_783_499_017_7).abs() < 1e-15);
}

/// Eq. 8 unrolled: the membrane is the sum of all currents since the last reset, each decayed, less
/// the thresholds spent (soft).
#[test]
fn lif_equals_its_unrolled_sum() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(9);
    for _ in 0..300 {
        let steps = random.random_range(1..=12);
        let pixels: Vec<u8> = (0..steps).map(|_| 16 * random.random_range(4..=15)).collect();
        let soft = random.random_bool(0.5);
        let potential = if soft { 0.0 } else { [0.0, -0.5, 0.25][random.random_range(0..3)] };
        let reset = if soft { Reset::Soft } else { Reset::Hard { potential } };
        let factor: f64 = [0.5, 0.25, 1.0, 0.0][random.random_range(0..4)];
        let neuron =
            Lif { leak: Leak::Factor { factor }, reset, threshold: 1.0.into(), ..Lif::default() };
        let (found, _) = spikes(neuron, &pixels);

        let mut expected: Vec<i16> = Vec::new();
        for t in 0..steps {
            let first = if soft {
                0
            } else {
                expected.iter().rposition(|&o| o == 1).map_or(0, |last| last + 1)
            };
            let decayed =
                |value: f64, at: usize| value * factor.powi(i32::try_from(t - at).unwrap());
            let charge: f64 =
                (first..=t).map(|k| decayed((f64::from(pixels[k]) - 128.0) / 64.0, k)).sum();
            let spent: f64 =
                if soft { (0..t).map(|k| decayed(f64::from(expected[k]), k)).sum() } else { 0.0 };
            expected.push(i16::from(potential + charge - spent >= 1.0));
        }
        assert_eq!(found, expected, "{pixels:?} {reset:?} {factor}");
    }
}

// === Eqs. 9 to 11 ===

#[test]
fn relu_is_the_positive_part() {
    assert_eq!(of_op(&[3], site(Site::RELU), [], &[127, 128, 130]), [0.0, 0.0, 2.0]);
    let limited = site(Site::Relu { limit: Some(1.5) });
    assert_eq!(of_op(&[4], limited, [], &[127, 128, 129, 130]), [0.0, 0.0, 1.0, 1.5]);
}

#[test]
fn quant_relu_rounds_ties_up_and_clips() {
    // I = p/64 − 2, s = ½, D = 3.
    let cases = [
        (0, 0),
        (96, 0),
        (112, 0),
        (128, 0),
        (143, 0),
        (144, 1),
        (175, 1),
        (176, 2),
        (207, 2),
        (208, 3),
        (255, 3),
    ];
    for code in [None, Some(Code::Unary)] {
        for (pixel, level) in cases {
            let quant = Site::QuantRelu(QuantRelu { levels: 3, ..QuantRelu::default() });
            let (form, op) = match code {
                None => (snn_ir::Form::Trained, site(quant)),
                Some(code) => (snn_ir::Form::Events, coded(quant, code)),
            };
            let graph = chain(&[1], vec![("in", Op::Scale), ("level", op), ("out", Op::Scale)]);
            let weights = [
                ("in.weight", real(&[1], &[1.0 / 64.0])),
                ("level.step", real(&[1], &[0.5])),
                ("out.weight", real(&[1], &[10.0])),
            ];
            let mut model = crate::tiny::model(form, graph, 1, weights);
            model.signature_mut().preprocessing.mean = vec![128];
            let result = run(&model, &[pixel]);
            assert_eq!(levels(&result, "level"), [level], "{pixel}");
            let value =
                if code.is_some() { 10.0 * f64::from(level) } else { 5.0 * f64::from(level) };
            assert_eq!(logits(&result), [value], "{pixel}");
        }
    }
}

#[test]
fn steps_of_channels() {
    let quant = Site::QuantRelu(QuantRelu { levels: 4, step: 1.0, share: Share::Channel });
    let weights = [("op.step", real(&[2], &[1.0, 4.0]))];
    assert_eq!(
        of_op(&[2, 1, 2], site(quant), weights, &[130, 133, 129, 134]),
        [2.0, 4.0, 0.0, 8.0]
    );
}
