//! Corners of sites on the grid, and of the weights' layouts.

use ndarray::{Array1, Array2, Array4, ArrayD, IxDyn};
use snn_ir::Naive;
use snn_ir::Weights;
use snn_ir::{Code, GridAdaptation, GridLif, GridReset, GridSynapse, Site, Spike};
use snn_ir::{Conv, Graph, Op};
use snn_ir::{Evaluate, Input, Logits, Record, SiteOutput};
use snn_ir::{Form, Model, Preprocessing, Signature};
use snn_runtime::Counting;

/// One neuron on the grid that receives `current` at every macro-step; its spikes. An adaptation
/// has the jump 4.
fn spikes(lif: GridLif, current: i32, threshold: i32, time_steps: usize) -> Vec<i16> {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1] }, &[]);
    graph.push("stem", Op::Linear { features: 1, bias: true }, &["image"]);
    let code = match lif.spike {
        Spike::Binary => Code::Binary,
        Spike::Ternary => Code::Ternary,
        Spike::Integer { .. } => Code::BitPlane,
    };
    graph.push("lif", Op::Activation { site: Site::GridLif(lif), code: Some(code) }, &["stem"]);
    graph.push("fc", Op::Linear { features: 1, bias: false }, &["lif"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = Weights::new();
    for name in ["stem", "fc"] {
        weights.insert(format!("{name}.weight"), Array2::<i8>::ones((1, 1)).into());
        weights.insert(format!("{name}.multiplier"), Array1::<i32>::ones(1).into());
    }
    weights.insert("stem.bias".into(), Array1::from_elem(1, current).into());
    weights.insert("lif.threshold".into(), Array1::from_elem(1, threshold).into());
    if lif.adaptation != GridAdaptation::None {
        weights.insert("lif.adaptation".into(), Array1::from_elem(1, 4).into());
    }
    let preprocessing = Preprocessing::new(vec![0], vec![1.0]);
    let form = Form::Grid { logit_unit: 1.0 };
    let model = Model::new(Signature::new(form, graph, time_steps, preprocessing), weights);
    let image = Array2::<u8>::zeros((1, 1)).into_dyn();
    let input = Input::Static(image.view());
    let found = Counting::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap();
    assert_eq!(found, Naive::new(&model).unwrap().evaluate(&input, Record::Sites).unwrap());
    let SiteOutput::Levels(levels) = &found.sites[0].output else { panic!("levels") };
    let spikes: Vec<i16> = levels.iter().copied().collect();
    assert_eq!(
        found.logits,
        Logits::Integer(ndarray::arr2(&[[spikes.iter().map(|s| i64::from(*s)).sum()]]))
    );
    spikes
}

#[test]
fn a_neuron_fires_at_its_threshold() {
    let lif = GridLif::new(1, 1, 4, GridReset::Hard);
    assert_eq!(spikes(lif, 4, 4, 3), [1, 1, 1]);
    // 4, 6, 7, 7.5: with the guard bits 7 is reached, at the third step.
    assert_eq!(spikes(lif, 4, 7, 4), [0, 0, 1, 0]);
    assert_eq!(
        spikes(GridLif { reset: GridReset::Soft, leak_shift: 0, ..lif }, 4, 6, 4),
        [0, 1, 1, 0]
    );
}

#[test]
fn membranes_saturate_before_they_decide() {
    let lif = |guard_bits, reset| GridLif::new(1, 0, guard_bits, reset);
    // θ·2^f is above the limit of 2³⁰: no current makes the neuron fire.
    assert_eq!(spikes(lif(16, GridReset::Hard), 1 << 20, 1 << 15, 3), [0, 0, 0]);
    assert_eq!(spikes(lif(16, GridReset::Hard), 1 << 20, 1 << 14, 3), [1, 1, 1]);
    assert_eq!(spikes(lif(16, GridReset::Soft), 1 << 14, (1 << 14) - 1, 3), [1, 1, 1]);
    // A negative current saturates below and stays there.
    assert_eq!(spikes(lif(0, GridReset::Soft), -(1 << 30), 1, 5), [0, 0, 0, 0, 0]);
}

#[test]
fn kinds_of_neurons_do_what_their_equations_say() {
    let lif = GridLif::new(1, 0, 0, GridReset::None);
    assert_eq!(spikes(lif, 2, 4, 4), [0, 1, 1, 1], "no reset");
    // i = 4, 6, 7, 7.5; a spike does not touch it.
    let synapse = GridSynapse::Current { multiplier: 1, shift: 1 };
    assert_eq!(
        spikes(GridLif { synapse, ..GridLif::new(0, 0, 4, GridReset::Hard) }, 4, 7, 5),
        [0, 0, 1, 1, 1]
    );
    // Thresholds 4, 8, 6, 5, 4 + 4 + ½·1.
    let adaptation = GridAdaptation::Threshold { multiplier: 1, shift: 1 };
    assert_eq!(
        spikes(GridLif { adaptation, ..GridLif::new(0, 0, 0, GridReset::Hard) }, 5, 4, 5),
        [1, 0, 0, 1, 0]
    );
    let ternary = GridLif { spike: Spike::Ternary, ..GridLif::new(1, 0, 0, GridReset::Soft) };
    assert_eq!(spikes(ternary, -3, 4, 4), [0, -1, -1, -1]);
    assert_eq!(spikes(GridLif { adaptation, ..ternary }, -5, 4, 4), [-1, 0, -1, -1]);
    // 7 → 3 with 1 left, 8 → 3 with 2 left, …; ⌊u/2 + ½⌋ at most 3.
    let integer = GridLif { spike: Spike::Integer { levels: 3 }, ..ternary };
    assert_eq!(spikes(integer, 7, 2, 3), [3, 3, 3]);
    assert_eq!(spikes(integer, 1, 2, 3), [1, 0, 1], "ties round up, and leave a negative membrane");
    assert_eq!(spikes(integer, -7, 2, 2), [0, 0]);
}

/// Weights of a 3×3 convolution reach the right taps: the runtime's layouts against a convolution
/// written out.
#[test]
fn every_tap_and_channel_has_its_own_weight() {
    for channels in [1, 7, 8, 9, 16, 17, 32, 33, 40] {
        let conv = Conv::square(channels, 3, 1);
        let mut graph = Graph::default();
        graph.push("image", Op::Input { shape: vec![2, 3, 3] }, &[]);
        graph.push("conv", Op::Conv(conv), &["image"]);
        graph.push("flat", Op::Flatten, &["conv"]);
        graph.push("head", Op::TimeMean, &["flat"]);
        let weight = Array4::from_shape_fn((channels, 2, 3, 3), |(o, c, a, b)| {
            i8::try_from((o * 18 + c * 9 + a * 3 + b) % 127).unwrap()
        });
        let mut weights = Weights::new();
        weights.insert("conv.weight".into(), weight.clone().into());
        weights.insert("conv.multiplier".into(), Array1::<i32>::ones(channels).into());
        let model = Model::new(
            Signature::new(
                Form::Grid { logit_unit: 1.0 },
                graph,
                1,
                Preprocessing::new(vec![0; 2], vec![1.0; 2]),
            ),
            weights,
        );
        // One pixel in the centre of channel 1: the outputs are the kernel, reversed.
        let mut image = ArrayD::<u8>::zeros(IxDyn(&[1, 2, 3, 3]));
        image[[0, 1, 1, 1]] = 1;
        let logits = Counting::new(&model).unwrap().logits_batch(image.view()).unwrap();
        let expected = |(o, a, b)| f64::from(weight[[o, 1, 2 - a, 2 - b]]);
        for (at, found) in ndarray::indices((channels, 3, 3)).into_iter().zip(&logits) {
            assert_eq!(found.to_bits(), expected(at).to_bits(), "{channels} channels at {at:?}");
        }
    }
}
