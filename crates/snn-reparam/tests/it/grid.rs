//! The grid: units, multipliers, thresholds, leaks, what the plan says of them, and what is
//! refused.

use crate::network::lines;
use ndarray::ArrayD;
use snn_ir::testing::Numbers;
use snn_ir::{
    Adaptation, Code, FirstMembrane, Form, Graph, GridLif, Leak, Lif, Model, Op, Preprocessing,
    QuantRelu, Reset, Share, Signature, Site, Spike, Synapse, Tensor, Threshold,
};
use snn_ir::{GridAdaptation, GridReset, GridSynapse};
use snn_reparam::{Effect, Error, GridOptions, convert, to_grid};
use std::collections::BTreeMap;

/// Several chains `image [inputs] → linear`, added, then a site, a linear layer and the head: the
/// form `events`.
fn events(streams: &[(&[f64], f64)], site: Site) -> Model {
    let inputs = streams[0].0.len();
    let mut graph = Graph::default();
    let mut weights = BTreeMap::new();
    let mut set = |name: &str, shape: &[usize], values: &[f64]| {
        weights.insert(
            name.into(),
            Tensor::F64(ArrayD::from_shape_vec(shape, values.to_vec()).unwrap()),
        );
    };
    graph.push("image", Op::Input { shape: vec![inputs] }, &[]);
    let mut currents = Vec::new();
    for (number, (weight, bias)) in streams.iter().enumerate() {
        let name = format!("in{number}");
        set(&format!("{name}.weight"), &[1, inputs], weight);
        set(&format!("{name}.bias"), &[1], &[*bias]);
        currents.push(graph.push(name, Op::Linear { features: 1, bias: true }, &["image"]));
    }
    let current = match currents.as_slice() {
        [one] => one.clone(),
        all => graph.push("sum", Op::Add, &all.iter().map(String::as_str).collect::<Vec<_>>()),
    };
    let code = match site.spike() {
        Some(Spike::Binary) => Code::Binary,
        Some(Spike::Ternary) => Code::Ternary,
        Some(Spike::Integer { .. }) | None => Code::Unary,
    };
    match &site {
        Site::QuantRelu(q) => set("site.step", &[1], &[q.step]),
        Site::Lif(Lif { threshold: Threshold::Learned { initial, .. }, .. }) => {
            set("site.threshold", &[1], &[2.0 * initial]);
        }
        _ => {}
    }
    graph.push("site", Op::Activation { site, code: Some(code) }, &[&current]);
    graph.push("out", Op::Linear { features: 1, bias: false }, &["site"]);
    set("out.weight", &[1, 1], &[1.0]);
    graph.push("head", Op::TimeMean, &["out"]);
    let preprocessing = Preprocessing::new(vec![128; inputs], vec![1.0; inputs]);
    let model = Model::new(Signature::new(Form::Events, graph, 4, preprocessing), weights);
    model.validate().unwrap();
    model
}

fn grid(events: &Model) -> Model {
    to_grid(events, GridOptions::default()).unwrap().model
}

fn ints(model: &Model, name: &str) -> Vec<i64> {
    model.weights()[name].to_i64(name).unwrap().iter().copied().collect()
}

#[expect(clippy::cast_possible_truncation, reason = "whole numbers far below 2^53")]
fn whole(value: f64) -> i64 {
    assert!(value.fract() == 0.0 && value.abs() < 1e15);
    value as i64
}

fn quant(levels: u8, step: f64) -> Site {
    Site::QuantRelu(QuantRelu { levels, step, share: Share::Layer })
}

fn lif(threshold: f64, reset: Reset, factor: f64) -> Site {
    Site::Lif(Lif {
        threshold: threshold.into(),
        reset,
        leak: Leak::Factor { factor },
        ..Lif::default()
    })
}

const HARD: Reset = Reset::Hard { potential: 0.0 };

// === Units ===

#[test]
fn the_unit_of_one_stream_is_its_largest_weight_over_127() {
    // Largest weight 127/64: the unit is 1/64.
    let model = grid(&events(&[(&[-127.0 / 64.0, 0.5, 0.011], 0.75)], quant(3, 0.5)));
    assert_eq!(ints(&model, "in0.weight"), [-127, 32, 1]);
    assert_eq!(ints(&model, "in0.multiplier"), [1]);
    assert_eq!(ints(&model, "in0.bias"), [48]);
    // (d − ½)·32.
    assert_eq!(ints(&model, "site.thresholds"), [16, 48, 80]);
}

#[test]
fn where_streams_meet_the_unit_is_an_eighth_of_the_finest() {
    let model =
        grid(&events(&[(&[127.0 / 64.0, 0.5], 0.75), (&[127.0 / 16.0, 0.5], 0.0)], quant(1, 1.0)));
    // Unit 1/512.
    assert_eq!(ints(&model, "in0.multiplier"), [8]);
    assert_eq!(ints(&model, "in0.weight"), [127, 32]);
    assert_eq!(ints(&model, "in1.multiplier"), [32]);
    assert_eq!(ints(&model, "in1.weight"), [127, 8]);
    assert_eq!(ints(&model, "in0.bias"), [384]);
    assert_eq!(ints(&model, "site.thresholds"), [256]);
}

#[test]
fn a_stream_of_zeros_is_no_stream() {
    let model = grid(&events(&[(&[127.0 / 64.0, 0.5], 0.0), (&[0.0, 0.0], 0.25)], quant(1, 1.0)));
    assert_eq!(ints(&model, "in0.multiplier"), [1]);
    assert_eq!((ints(&model, "in1.weight"), ints(&model, "in1.bias")), (vec![0, 0], vec![16]));
}

#[test]
fn no_threshold_or_bias_needs_more_than_sixteen_bits() {
    // Weights of 1e-12 beside a threshold of 1, of a bias of 3, and of κ = 0.
    for (weight, bias, expected) in
        [(1e-12, 0.0, 65_536), (1e-12, -3.0, 21_846), (0.0, 0.5, 65_536)]
    {
        let model = grid(&events(&[(&[weight], bias)], lif(1.0, HARD, 0.5)));
        assert_eq!(ints(&model, "site.threshold"), [expected], "{weight} {bias}");
        assert_eq!(ints(&model, "in0.weight"), [0]);
        assert!(ints(&model, "in0.bias")[0].abs() <= 65_536);
    }
    let model = grid(&events(&[(&[0.0], 0.0)], quant(200, 0.01)));
    let thresholds = ints(&model, "site.thresholds");
    assert_eq!((thresholds.len(), thresholds[199]), (200, 65_536));
}

#[test]
fn a_soft_reset_subtracts_a_whole_number_of_units() {
    for (weight, threshold) in [(0.37, 1.0), (0.011, 0.7), (5.0, 1.3), (1e-9, 1.0), (300.0, 1.0)] {
        let events = events(&[(&[weight, -weight / 3.0], 0.1)], lif(threshold, Reset::Soft, 0.5));
        let model = grid(&events);
        let count = ints(&model, "site.threshold")[0];
        let unit = threshold / count as f64;
        let natural: f64 =
            [weight / 127.0, threshold / 65_536.0, 0.1 / 65_536.0].into_iter().fold(0.0, f64::max);
        // θ/⌊θ/natural⌋, one unit at least.
        assert_eq!(count, whole((threshold / natural).floor().max(1.0)), "{weight} {threshold}");
        let (n, multiplier) = (ints(&model, "in0.weight")[0], ints(&model, "in0.multiplier")[0]);
        let rounding = 0.5 * multiplier as f64 * unit;
        assert!(
            ((n * multiplier) as f64 * unit - weight).abs() <= rounding * (1.0 + 1e-9),
            "{weight} {threshold}"
        );
        assert_eq!(ints(&model, "in0.bias"), [whole((0.1 / unit).round())]);
    }
}

#[test]
fn a_reset_potential_moves_into_the_threshold() {
    let of = |potential| {
        grid(&events(&[(&[127.0 / 64.0], 0.0)], lif(1.0, Reset::Hard { potential }, 0.5)))
    };
    assert_eq!(ints(&of(0.0), "site.threshold"), [64]);
    assert_eq!(ints(&of(-0.5), "site.threshold"), [96]);
    assert_eq!(ints(&of(0.25), "site.threshold"), [48]);
}

// === Thresholds ===

#[test]
fn integer_thresholds_decide_as_the_real_ones() {
    for step in [0.3, 0.5, 1.0 / 3.0, 0.015_625, 0.0123, 7.0] {
        let levels = 5;
        let model = grid(&events(&[(&[127.0 / 128.0], 0.0)], quant(levels, step)));
        let thresholds = ints(&model, "site.thresholds");
        for current in -100..5000_i64 {
            let found = thresholds.iter().filter(|threshold| current >= **threshold).count();
            // The unit is 1/128, which divides exactly; 1e-9 is the tolerance for a tie that a
            // step's own rounding missed.
            let expected = ((current as f64 / 128.0 / step + 0.5 + 1e-9).floor())
                .clamp(0.0, f64::from(levels));
            assert_eq!(
                i64::try_from(found).unwrap(),
                whole(expected),
                "step {step} current {current}"
            );
        }
    }
    for threshold in [1.0, 0.3, 0.7, 1.0 / 3.0] {
        let model = grid(&events(&[(&[127.0 / 128.0], 0.0)], lif(threshold, HARD, 0.5)));
        assert_eq!(ints(&model, "site.threshold"), [whole((threshold * 128.0).ceil())]);
    }
}

// === Leaks ===

fn leak(factor: f64, leak_bits: u8) -> (u32, u8) {
    let options = GridOptions { leak_bits, ..GridOptions::default() };
    let model = to_grid(&events(&[(&[1.0], 0.0)], lif(1.0, HARD, factor)), options).unwrap().model;
    let Op::Activation { site: Site::GridLif(lif), .. } = model.graph().node("site").unwrap().op
    else {
        panic!("LIF")
    };
    assert_eq!((lif.guard_bits, lif.reset), (options.guard_bits, GridReset::Hard));
    (lif.leak_multiplier, lif.leak_shift)
}

#[test]
fn leaks_are_in_lowest_terms() {
    assert_eq!(leak(0.0, 12), (0, 0));
    assert_eq!(leak(1.0, 12), (1, 0));
    assert_eq!(leak(0.5, 12), (1, 1));
    assert_eq!(leak(0.75, 12), (3, 2));
    assert_eq!(leak(0.625, 2), (3, 2), "rounded half up to ¾");
    assert_eq!(leak(1.0 / 3.0, 12), (1365, 12));
    assert_eq!(leak(0.9, 16), (58_982 / 2, 15));
    assert_eq!(leak(0.999_999, 12), (1, 0));
    assert_eq!(leak(0.4, 0), (0, 0));
    assert_eq!(leak(0.6, 0), (1, 0));
}

#[test]
fn the_plan_says_whether_the_floor_is_exact() {
    let of = |factor, guard_bits| {
        let options = GridOptions { guard_bits, ..GridOptions::default() };
        let plan =
            to_grid(&events(&[(&[1.0], 0.0)], lif(1.0, HARD, factor)), options).unwrap().plan;
        lines(&plan, Effect::Converted)
            .into_iter()
            .find(|line| line.starts_with("site: leak"))
            .unwrap()
    };
    // T = 4: three leaks of one bit each.
    assert!(of(0.5, 3).contains("leak 1/2^1") && of(0.5, 3).ends_with("floor exact"));
    assert!(of(0.5, 2).ends_with("loses less than a guard bit a step"));
    assert!(of(1.0, 0).ends_with("floor exact"));
    assert!(
        of(0.3, 16).contains("off by")
            && of(0.3, 16).ends_with("loses less than a guard bit a step")
    );
}

#[test]
fn soft_and_hard_resets_stay_what_they_are() {
    for (reset, expected) in [(Reset::Soft, GridReset::Soft), (HARD, GridReset::Hard)] {
        let model = grid(&events(&[(&[1.0], 0.0)], lif(1.0, reset, 0.5)));
        let Op::Activation { site: Site::GridLif(lif), code } =
            &model.graph().node("site").unwrap().op
        else {
            panic!("LIF")
        };
        let expected = GridLif::new(1, 1, 8, expected);
        assert_eq!((*lif, *code), (expected, Some(Code::Binary)));
    }
}

// === Kinds of LIF ===

fn site_of(model: &Model) -> GridLif {
    match model.graph().node("site").unwrap().op {
        Op::Activation { site: Site::GridLif(lif), .. } => lif,
        _ => panic!("LIF"),
    }
}

fn line_of(site: &Site, options: GridOptions) -> String {
    let plan = to_grid(&events(&[(&[127.0 / 64.0], 0.0)], site.clone()), options).unwrap().plan;
    lines(&plan, Effect::Converted).into_iter().find(|line| line.starts_with("site: leak")).unwrap()
}

#[test]
fn a_learned_threshold_is_the_weight_and_not_its_start() {
    let learned = Threshold::Learned { initial: 1.0, share: Share::Layer };
    for (reset, expected) in
        [(HARD, 128), (Reset::None, 128), (Reset::Hard { potential: 0.5 }, 96), (Reset::Soft, 128)]
    {
        let site = Site::Lif(Lif { threshold: learned, reset, ..Lif::default() });
        let model = grid(&events(&[(&[127.0 / 64.0], 0.0)], site));
        assert_eq!(ints(&model, "site.threshold"), [expected], "{reset:?}");
    }
}

#[test]
fn no_reset_stays_none_and_spikes_what_they_are() {
    for spike in [Spike::Binary, Spike::Ternary, Spike::Integer { levels: 3 }] {
        let model = grid(&events(
            &[(&[1.0], 0.0)],
            Site::Lif(Lif { reset: Reset::None, spike, ..Lif::default() }),
        ));
        assert_eq!(site_of(&model), GridLif { spike, ..GridLif::new(1, 1, 8, GridReset::None) });
    }
}

#[test]
fn integer_spikes_count_whole_numbers_of_units_whatever_the_reset() {
    for (weight, threshold) in [(0.37, 1.0), (0.011, 0.7), (5.0, 1.3)] {
        for (reset, levels) in [(HARD, 3), (Reset::Soft, 3), (Reset::None, 200)] {
            let spike = Spike::Integer { levels };
            let site =
                Site::Lif(Lif { threshold: threshold.into(), reset, spike, ..Lif::default() });
            let model = grid(&events(&[(&[weight, -weight / 3.0], 0.0)], site));
            let count = ints(&model, "site.threshold")[0];
            let natural =
                f64::max(weight / 127.0, (f64::from(levels) - 0.5) * threshold / 65_536.0);
            assert_eq!(
                count,
                whole((threshold / natural).floor().max(1.0)),
                "{weight} {threshold} {reset:?}"
            );
            let (n, multiplier) =
                (ints(&model, "in0.weight")[0], ints(&model, "in0.multiplier")[0]);
            let unit = threshold / count as f64;
            assert!(
                ((n * multiplier) as f64 * unit - weight).abs()
                    <= 0.5 * multiplier as f64 * unit * (1.0 + 1e-9)
            );
        }
    }
}

#[test]
fn an_integer_neuron_whose_levels_are_out_of_reach_is_refused() {
    // The highest edge, 254½·θ, has 2^16 units.
    let site = Site::Lif(Lif {
        spike: Spike::Integer { levels: 255 },
        reset: Reset::Soft,
        ..Lif::default()
    });
    let events = events(&[(&[1e-9], 0.0)], site);
    let grid = |guard_bits| to_grid(&events, GridOptions { guard_bits, ..GridOptions::default() });
    grid(14).unwrap();
    let error = grid(15).unwrap_err().to_string();
    assert!(error.contains("site") && error.contains("use at most 14"), "{error}");
}

/// From half of the threshold and with a soft reset (QCFS) nothing is rounded: the threshold is a
/// whole number of units, and half of it one of guard bits.
#[test]
fn first_membranes_are_whole_numbers_of_guard_bits() {
    let share = |share| FirstMembrane::Threshold { share };
    for reset in [Reset::Soft, Reset::None, Reset::Hard { potential: -0.25 }] {
        for (initial, part) in [(share(0.5), 0.5), (share(-0.25), -0.25)] {
            let lif = Lif {
                leak: Leak::Factor { factor: 1.0 },
                threshold: Threshold::Fixed(0.7),
                reset,
                initial,
                ..Lif::default()
            };
            let source = events(&[(&[0.3, -0.9], 0.1)], Site::Lif(lif.clone()));
            let model = grid(&source);
            assert!(site_of(&model).initial);
            let (threshold, first) = (ints(&model, "site.threshold"), ints(&model, "site.initial"));
            assert_eq!(first, [whole(threshold[0] as f64 * 256.0 * part)]);
            let line = line_of(&Site::Lif(lif), GridOptions::default());
            assert!(!line.contains("off by") && line.contains("floor exact"), "{line}");
        }
    }
    // It leaks once more than the first current does: what is no multiple of 2^(m·T) is floored.
    for (first, floor) in [(0.5, "exact"), (0.3, "loses")] {
        let lif = Lif { initial: share(first), ..Lif::default() };
        let line = line_of(&Site::Lif(lif), GridOptions::default());
        assert!(line.contains(&format!("floor {floor}")), "{line}");
    }
    // A potential counts from the reset potential, to which the grid has moved 0.
    let lif = Lif {
        reset: Reset::Hard { potential: -1.0 },
        initial: FirstMembrane::Potential(0.5),
        ..Lif::default()
    };
    let model = grid(&events(&[(&[127.0, 0.0], 0.0)], Site::Lif(lif.clone())));
    let (threshold, first) = (ints(&model, "site.threshold"), ints(&model, "site.initial"));
    assert_eq!(first[0] * 4, threshold[0] * 3 * 256, "three quarters of the way");
    // At rest there is no such weight, and the file is what it was.
    let lif = Lif { initial: FirstMembrane::Rest, ..lif };
    let model = grid(&events(&[(&[127.0, 0.0], 0.0)], Site::Lif(lif)));
    assert!(!site_of(&model).initial && !model.weights().contains_key("site.initial"));
}

/// A potential that is no whole number of guard bits is rounded to the nearest, which the plan
/// says; one that no membrane can have is refused.
#[test]
fn the_plan_says_what_a_first_membrane_loses() {
    let lif = |initial| Lif { initial: FirstMembrane::Potential(initial), ..Lif::default() };
    let options = GridOptions { guard_bits: 0, ..GridOptions::default() };
    let line = line_of(&Site::Lif(lif(0.123)), options);
    assert!(line.contains("first membrane off by up to"), "{line}");
    let source = events(&[(&[1.0], 0.0)], Site::Lif(lif(1e9)));
    let error = to_grid(&source, GridOptions::default()).unwrap_err().to_string();
    assert!(error.contains("site (lif)") && error.contains("first membrane of"), "{error}");
}

#[test]
fn synaptic_currents_and_adaptations_become_fractions_and_a_jump() {
    let lif = Lif {
        synapse: Synapse::Current { alpha: 0.75 },
        adaptation: Adaptation::Threshold { decay: 0.625, strength: 0.5 },
        ..Lif::default()
    };
    let model = grid(&events(&[(&[127.0 / 64.0], 0.0)], Site::Lif(lif)));
    let expected = GridLif {
        synapse: GridSynapse::Current { multiplier: 3, shift: 2 },
        adaptation: GridAdaptation::Threshold { multiplier: 5, shift: 3 },
        ..GridLif::new(1, 1, 8, GridReset::Hard)
    };
    assert_eq!(site_of(&model), expected);
    // Half of 64 units, times 2⁸.
    assert_eq!(ints(&model, "site.adaptation"), [32 << 8]);
    // A strength far above everything else is what the floor of the unit comes from.
    let strong = Lif {
        adaptation: Adaptation::Threshold { decay: 0.5, strength: 1000.0 },
        ..Lif::default()
    };
    let model = grid(&events(&[(&[1e-6], 0.0)], Site::Lif(strong)));
    assert_eq!(ints(&model, "site.adaptation"), [65_536 << 8]);
}

#[test]
fn the_plan_says_what_the_kinds_lose() {
    let of = |lif: &Lif, guard_bits| {
        line_of(&Site::Lif(lif.clone()), GridOptions { guard_bits, ..GridOptions::default() })
    };
    // T = 4. The synapse has two bits a step, the leak one.
    let synaptic = Lif { synapse: Synapse::Current { alpha: 0.75 }, ..Lif::default() };
    assert!(
        of(&synaptic, 6).contains("synapse 3/2^2 (exact)")
            && of(&synaptic, 6).ends_with("floor exact")
    );
    assert!(of(&synaptic, 5).ends_with("loses less than a guard bit a step"));
    // The jump is 32·2^f: three steps of two bits need f ≥ 1, were it not for the membrane's three
    // bits.
    let adaptive = |strength| Lif {
        adaptation: Adaptation::Threshold { decay: 0.25, strength },
        ..Lif::default()
    };
    assert!(of(&adaptive(0.5), 3).ends_with("floor exact"));
    assert!(of(&adaptive(0.5), 2).ends_with("loses less than a guard bit a step"));
    assert!(
        of(&adaptive(1.0 / 64.0), 5).ends_with("loses less than a guard bit a step"),
        "a jump of 2⁵ decays by 2⁶"
    );
    assert!(of(&adaptive(0.0), 3).ends_with("floor exact"));
    assert!(of(&adaptive(0.3), 2).contains("jump off by up to"));
    assert!(!of(&adaptive(0.5), 2).contains("off by up to"));
}

// === Plans and refusals ===

#[test]
fn the_plan_says_how_large_sums_grow() {
    let note = |inputs: usize| {
        let conversion =
            to_grid(&events(&[(&vec![1.0; inputs], 0.0)], quant(3, 1.0)), GridOptions::default())
                .unwrap();
        lines(&conversion.plan, Effect::Kept)
            .into_iter()
            .find(|line| line.starts_with("in0: |Σ"))
            .unwrap()
    };
    // 127 · 128 = 2^13.99 for one pixel, 2^24 for 1040 of them.
    assert_eq!(note(1), "in0: |Σ n·x| < 2^14, exact in f32");
    assert_eq!(note(1032), "in0: |Σ n·x| < 2^24, exact in f32");
    assert_eq!(note(1033), "in0: |Σ n·x| < 2^25, exact in f64");
}

#[test]
fn options_out_of_range_are_refused() {
    let events = events(&[(&[1.0], 0.0)], quant(3, 1.0));
    for options in [
        GridOptions { guard_bits: 17, ..GridOptions::default() },
        GridOptions { leak_bits: 17, ..GridOptions::default() },
        GridOptions { guard_bits: 255, leak_bits: 255, ..GridOptions::default() },
    ] {
        let error = to_grid(&events, options).unwrap_err().to_string();
        assert!(
            error.contains("at most 16") && error.contains(&options.leak_bits.to_string()),
            "{error}"
        );
    }
    for (guard_bits, leak_bits) in [(0, 0), (16, 16)] {
        to_grid(&events, GridOptions { guard_bits, leak_bits, ..GridOptions::default() }).unwrap();
    }
}

#[test]
fn currents_that_need_more_than_32_bits_are_refused_by_name() {
    // Streams whose sizes are 10¹² apart.
    let error =
        to_grid(&events(&[(&[1.0], 0.0), (&[1e12], 0.0)], quant(3, 1.0)), GridOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("in1.multiplier") && error.contains("2^31"), "{error}");
    let error =
        to_grid(&events(&[(&[1.0], 0.0), (&[1e6], 0.0)], quant(3, 1.0)), GridOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("node `in1`") && error.contains("32 bits"), "{error}");
    let error =
        to_grid(&events(&[(&vec![1.0; 140_000], 0.0)], quant(3, 1.0)), GridOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("node `in0`") && error.contains("sum of weights times inputs"),
        "{error}"
    );
}

#[test]
fn only_events_go_on_the_grid() {
    let trained = snn_ir::testing::trained(1, Numbers::Real);
    let error = to_grid(&trained, GridOptions::default());
    assert!(matches!(error, Err(Error::Form { expected: "events", found: "trained" })));
}

// === Whole models ===

/// Weights are bytes within ±127, multipliers the least that hold their rows, and the head's
/// weights are off by half a step at most.
#[test]
fn weights_of_random_models_are_rounded_to_the_nearest() {
    for seed in 0..200 {
        let trained = snn_ir::testing::trained(seed, Numbers::Real);
        let events = convert(&trained, &Code::Unary.into()).unwrap();
        let grid = grid(&events.model);
        for (name, tensor) in grid.weights() {
            if let Tensor::I8(values) = tensor {
                assert!(values.iter().all(|n| n.unsigned_abs() <= 127), "{name}");
            }
        }
        let Form::Grid { logit_unit } = grid.form() else { panic!("on the grid") };
        let readers = |name: &str| {
            grid.graph()
                .nodes
                .iter()
                .any(|node| matches!(node.op, Op::TimeMean) && node.inputs[0] == name)
        };
        if !readers("fc") || !grid.weights().contains_key("fc.weight") {
            continue; // moved behind an add
        }
        let (real, multiplier) =
            (events.model.weights()["fc.weight"].to_f64(), ints(&grid, "fc.multiplier"));
        let rounded = grid.weights()["fc.weight"].to_f64();
        for (o, (row, n)) in real.outer_iter().zip(rounded.outer_iter()).enumerate() {
            let step = multiplier[o] as f64 * logit_unit;
            let largest = row.iter().fold(0.0_f64, |max, w| max.max(w.abs()));
            assert!(
                largest <= 127.5 * step
                    && (multiplier[o] == 1 || largest > 126.999 * (step - logit_unit)),
                "seed {seed}"
            );
            for (w, n) in row.iter().zip(&n) {
                assert!(
                    (n * step - w).abs() <= 0.5 * step * (1.0 + 1e-6),
                    "seed {seed}: {n} · {step} for {w}"
                );
            }
        }
        let bias = events.model.weights()["fc.bias"].to_f64();
        for (b, n) in bias.iter().zip(ints(&grid, "fc.bias")) {
            assert!((n as f64 * logit_unit - b).abs() <= 0.5 * logit_unit * (1.0 + 1e-6));
        }
    }
}

/// Conversion is a function: the same model gives the same file.
#[test]
fn conversion_is_deterministic() {
    for seed in 0..30 {
        let bytes = || {
            let events =
                convert(&snn_ir::testing::trained(seed, Numbers::Real), &Code::BitPlane.into())
                    .unwrap();
            let grid = to_grid(&events.model, GridOptions::default()).unwrap();
            (events.model.to_bytes().unwrap(), grid.model.to_bytes().unwrap(), grid.plan)
        };
        let (a, b) = (bytes(), bytes());
        assert!(a == b, "seed {seed}");
        assert_eq!(Model::from_bytes(&a.1).unwrap().to_bytes().unwrap(), a.1);
    }
}
