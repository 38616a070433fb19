//! The largest numbers of the grid: currents next to 2³¹, membranes that saturate, scores beyond 32
//! bits.

use crate::agreement::{check_with, naive};
use ndarray::{Array2, Array3, ArrayD, IxDyn};
use snn_ir::{
    Code, Form, Graph, GridAdaptation, GridLif, GridReset, GridSynapse, Input, Model, Op,
    Preprocessing, Signature, Site, Spike, Tensor, Weights,
};

/// A multiplier that takes 127 · 128 next to 2³¹.
const OF_PIXELS: i32 = 132_000;
/// A multiplier that takes 127 next to 2³¹.
const OF_SPIKES: i32 = 16_900_000;

/// Four neurons of the largest currents, of which the last has the smallest threshold, and a head
/// of as large ones.
fn extreme(lif: GridLif, code: Code, multiplier: i32) -> Model {
    let mut graph = Graph::default();
    let image = graph.push("image", Op::Input { shape: vec![1] }, &[]);
    let currents = Op::Linear { features: 4, bias: false };
    let currents = graph.push("currents", currents, &[&image]);
    let site = Op::Activation { site: Site::GridLif(lif), code: Some(code) };
    let site = graph.push("site", site, &[&currents]);
    let scores = graph.push("scores", Op::Linear { features: 2, bias: false }, &[&site]);
    graph.push("head", Op::TimeMean, &[&scores]);
    let bytes = |shape: [usize; 2], values: Vec<i8>| {
        Tensor::I8(ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap())
    };
    let integers = |values: Vec<i32>| {
        Tensor::I32(ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).unwrap())
    };
    let limit = 1 << 30;
    let weights = Weights::from([
        ("currents.weight".into(), bytes([4, 1], vec![127, -127, 1, 127])),
        ("currents.multiplier".into(), integers(vec![OF_PIXELS, OF_PIXELS, 1, OF_PIXELS])),
        ("site.threshold".into(), integers(vec![limit, i32::MAX, 1 << 14, 1])),
        ("site.adaptation".into(), integers(vec![limit, 1, i32::MAX, 0])),
        ("site.initial".into(), integers(vec![limit, -limit, 1 << 16, -limit])),
        ("scores.weight".into(), bytes([2, 4], vec![127, 0, 0, 0, 0, 0, 0, -127])),
        ("scores.multiplier".into(), integers(vec![multiplier; 2])),
    ]);
    let form = Form::Grid { logit_unit: 1.0 };
    let signature = Signature::new(form, graph, 6, Preprocessing::new(vec![128], vec![1.0]));
    let mut model = Model::new(signature, weights);
    if lif.adaptation == GridAdaptation::None {
        model.weights_mut().remove("site.adaptation");
    }
    if !lif.initial {
        model.weights_mut().remove("site.initial");
    }
    model
}

#[test]
fn the_largest_numbers_give_the_scores_of_the_naive_evaluator() {
    let decays = [(0, 0), (1, 0), (1, 1), (65_535, 16), (65_536, 16)];
    let mut beyond = 0;
    for reset in [GridReset::Hard, GridReset::Soft, GridReset::None] {
        for (spike, code, most) in [
            (Spike::Binary, Code::Binary, 1),
            (Spike::Ternary, Code::Ternary, 1),
            (Spike::Integer { levels: 255 }, Code::Graded, 255),
        ] {
            for (number, (multiplier, shift)) in decays.into_iter().enumerate() {
                let guard_bits = [0, 1, 8, 15, 16][number];
                for attributes in 0..8 {
                    let mut lif = GridLif::new(multiplier, shift, guard_bits, reset);
                    lif.spike = spike;
                    if attributes & 1 == 1 {
                        lif.synapse = GridSynapse::Current { multiplier, shift };
                    }
                    if attributes & 2 == 2 && most == 1 {
                        lif.adaptation = GridAdaptation::Threshold { multiplier, shift };
                    }
                    lif.initial = attributes & 4 == 4;
                    let model = extreme(lif, code, OF_SPIKES / most);
                    for pixel in [0, 127, 128, 129, 255] {
                        let image = Array2::from_elem([1, 1], pixel).into_dyn();
                        let scores = naive(&model, &Input::Static(image.view()));
                        beyond += usize::from(scores.iter().any(|s| i32::try_from(*s).is_err()));
                        // The frames are the image, its complement, the image, and so on.
                        let frame =
                            |t: usize| if t.is_multiple_of(2) { pixel } else { 255 - pixel };
                        let frames = Array3::from_shape_fn([6, 1, 1], |(t, ..)| frame(t));
                        check_with(&model, &image, &frames.into_dyn());
                    }
                }
            }
        }
    }
    assert!(beyond > 100, "{beyond} runs have scores beyond 32 bits");
}
