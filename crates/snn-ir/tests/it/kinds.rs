//! Every kind of LIF site by hand, on the grid against exact reals, as data, and neurons of a
//! user's own.

use crate::tiny::{byte, chain, coded, grid, int, levels, real, run_frames, site, trained};
use ndarray::ArrayD;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use snn_ir::Naive;
use snn_ir::{
    Adaptation, Code, Custom, Evaluate, FirstMembrane, Graph, GridLif, Input, Leak, Lif, Model,
    Neuron, NeuronKind, Neurons, Op, Record, Reset, Share, Site, Spike, Surrogate, Synapse,
    Threshold,
};
use snn_ir::{GridAdaptation, GridReset, GridSynapse, LearnedParam};
use std::collections::BTreeMap;

// === Eq. 8 ===

/// Levels of one neuron whose current at macro-step t is `(pixel − 128)/64`, and the ties.
fn spikes(neuron: Lif, pixels: &[u8]) -> (Vec<i16>, u64) {
    let mut model =
        trained(chain(&[1], vec![("neuron", site(Site::Lif(neuron)))]), pixels.len(), []);
    model.signature_mut().preprocessing.mean = vec![128];
    model.signature_mut().preprocessing.std = vec![64.0];
    let result = run_frames(&model, pixels);
    (levels(&result, "neuron"), result.sites[0].ties)
}

fn integrating(change: impl FnOnce(&mut Lif)) -> Lif {
    let mut lif = Lif { leak: Leak::Factor { factor: 1.0 }, reset: Reset::Soft, ..Lif::default() };
    change(&mut lif);
    lif
}

#[test]
fn without_reset_the_membrane_keeps_integrating() {
    // I = ¾ each, λ = ½: u = 0.75, 1.125, 1.3125; then I = −2: −1.34.
    let neuron = Lif { reset: Reset::None, ..Lif::default() };
    assert_eq!(spikes(neuron, &[176, 176, 176, 0]).0, [0, 1, 1, 0]);
}

#[test]
fn ternary_spikes_are_symmetric() {
    let ternary = |reset| integrating(|n| (n.spike, n.reset) = (Spike::Ternary, reset));
    // I = 1.5, −1, −1, −1, ½. Soft: u = 1.5, −½, −1.5, −1.5, 0. Hard: 1.5, −1, −1, −1, ½. None:
    // 1.5, ½, −½, −1.5, −1.
    let pixels = [224, 64, 64, 64, 160];
    assert_eq!(spikes(ternary(Reset::Soft), &pixels), (vec![1, 0, -1, -1, 0], 0));
    assert_eq!(
        spikes(ternary(Reset::Hard { potential: 0.0 }), &pixels),
        (vec![1, -1, -1, -1, 0], 3)
    );
    assert_eq!(spikes(ternary(Reset::None), &pixels), (vec![1, 0, 0, -1, -1], 1));
}

#[test]
fn integer_spikes_are_rounded_multiples_of_the_threshold() {
    let integer = |reset| {
        integrating(|n| {
            (n.spike, n.reset, n.threshold) =
                (Spike::Integer { levels: 3 }, reset, Threshold::Fixed(0.5));
        })
    };
    // I = 127/64, 0, 0. Soft: u/θ = 3.97 (3 at most), then 0.97, then −0.03.
    assert_eq!(spikes(integer(Reset::Soft), &[255, 128, 128]).0, [3, 1, 0]);
    assert_eq!(spikes(integer(Reset::Hard { potential: 0.0 }), &[255, 128, 128]).0, [3, 0, 0]);
    assert_eq!(spikes(integer(Reset::None), &[255, 128, 0]).0, [3, 3, 0]);
    // Ties round up: I = ¼ is half a threshold, I = −¼ minus half of one.
    assert_eq!(spikes(integer(Reset::Hard { potential: 0.0 }), &[144, 112]), (vec![1, 0], 2));
}

#[test]
fn a_synaptic_current_decays() {
    // I = 1, 0, 0, 0; i = 1, ½, ¼, ⅛; u = 1, 1.5, 1.75, 1.875.
    let neuron = integrating(|n| {
        n.synapse = Synapse::Current { alpha: 0.5 };
        n.threshold = Threshold::Fixed(1.75);
        n.reset = Reset::None;
    });
    assert_eq!(spikes(neuron, &[192, 128, 128, 128]).0, [0, 0, 1, 1]);
}

#[test]
fn spikes_raise_an_adaptive_threshold() {
    let neuron = |spike| Lif {
        leak: Leak::Factor { factor: 0.0 },
        adaptation: Adaptation::Threshold { decay: 0.5, strength: 1.0 },
        spike,
        ..Lif::default()
    };
    // u = 1.5 each; a = 0, 1, ½, 1.25, 0.625, 0.3125; fires at 1 + a ≤ 1.5.
    assert_eq!(spikes(neuron(Spike::Binary), &[224; 6]), (vec![1, 0, 1, 0, 0, 1], 1));
    // Negative spikes raise it as well.
    assert_eq!(spikes(neuron(Spike::Ternary), &[32; 6]), (vec![-1, 0, -1, 0, 0, -1], 1));
}

#[test]
fn the_soft_reset_of_an_adaptive_neuron_subtracts_the_base_threshold() {
    // IF, β = 1, ρ = 0, I = 1.25: u = 1.25 fires, leaves ¼; u = 1.5 < 2; u = 2.75 fires, leaves
    // 1.75; u = 3 ≥ 2 fires.
    let neuron =
        integrating(|n| n.adaptation = Adaptation::Threshold { decay: 0.0, strength: 1.0 });
    assert_eq!(spikes(neuron, &[208; 4]).0, [1, 0, 1, 1]);
}

#[test]
fn the_first_membrane_is_where_the_first_step_begins() {
    // QCFS: IF, θ = 1, soft reset, I = 5/16: u = 0.3125, 0.625, 0.9375, 1.25; from ½ it fires a
    // step and a half earlier, and the count of spikes is the nearest one and not the floor.
    let pixels = [148; 5];
    let at_rest = integrating(|_| {});
    assert_eq!(spikes(at_rest, &pixels).0, [0, 0, 0, 1, 0]);
    for initial in [FirstMembrane::Potential(0.5), FirstMembrane::Threshold { share: 0.5 }] {
        assert_eq!(spikes(integrating(|n| n.initial = initial), &pixels).0, [0, 1, 0, 0, 1]);
    }
    // It leaks towards the reset potential before the first current: λ = ½, v_r = −1, v₀ = 1 is
    // −1 + ½·2 = 0; a share of the way from −1 to θ = 1.
    let leaky = |initial| Lif { reset: Reset::Hard { potential: -1.0 }, initial, ..Lif::default() };
    for initial in [FirstMembrane::Potential(1.0), FirstMembrane::Threshold { share: 1.0 }] {
        assert_eq!(spikes(leaky(initial), &[192, 192]), (vec![1, 0], 1));
        assert_eq!(spikes(leaky(initial), &[191, 255]).0, [0, 1]);
    }
    assert_eq!(spikes(leaky(FirstMembrane::Rest), &[192, 255]).0, [0, 1]);
}

#[test]
fn a_share_of_a_learned_threshold_follows_its_channels() {
    let lif = integrating(|n| {
        n.threshold = Threshold::Learned { initial: 1.0, share: Share::Channel };
        n.initial = FirstMembrane::Threshold { share: 0.5 };
    });
    let graph = chain(&[2], vec![("neuron", site(Site::Lif(lif)))]);
    let mut model = trained(graph, 1, [("neuron.threshold", real(&[2], &[1.0, 3.0]))]);
    model.signature_mut().preprocessing.std = vec![64.0; 2];
    // I = 1 each (the mean is 0): u = 1.5 ≥ 1, and 2.5 < 3.
    assert_eq!(levels(&run_frames(&model, &[64, 64]), "neuron"), [1, 0]);
}

#[test]
fn first_membranes_as_data() {
    let write = |initial| serde_json::to_value(Lif { initial, ..Lif::default() }).unwrap();
    assert!(write(FirstMembrane::Rest).get("initial").is_none(), "as files always were");
    assert_eq!(write(FirstMembrane::Potential(0.5))["initial"], 0.5);
    let share = write(FirstMembrane::Threshold { share: 0.5 });
    let table = serde_json::json!({"kind": "threshold", "share": 0.5});
    assert_eq!(share["initial"], table);
    let read = |text: &str| toml::from_str::<Lif>(text).map(|lif| lif.initial);
    assert_eq!(read("initial = 1").unwrap(), FirstMembrane::Potential(1.0));
    assert_eq!(read("initial = { kind = 'rest' }").unwrap(), FirstMembrane::Rest);
    let read_back = serde_json::from_value::<Lif>(share).unwrap().initial;
    assert_eq!(read_back.of(0.0, 3.0).to_bits(), 1.5_f64.to_bits());
    for (text, parts) in [
        ("initial = 'half'", ["a number", "share"]),
        ("initial = { kind = 'half' }", ["half", "threshold"]),
        ("initial = { kind = 'threshold' }", ["share", "missing"]),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    for (initial, part) in [
        (FirstMembrane::Potential(f64::NAN), "initial must be finite"),
        (FirstMembrane::Threshold { share: 1.5 }, "initial.share must be −1 to 1"),
    ] {
        let lif = Lif { initial, ..Lif::default() };
        let graph = chain(&[1], vec![("neuron", site(Site::Lif(lif)))]);
        let error = graph.resolve().unwrap_err().to_string();
        assert!(error.contains("neuron") && error.contains(part), "{error}");
    }
}

#[test]
fn learned_thresholds_are_weights_of_layers_or_channels() {
    let graph = |share| {
        let lif = Lif { threshold: Threshold::Learned { initial: 1.0, share }, ..Lif::default() };
        chain(&[2], vec![("neuron", site(Site::Lif(lif)))])
    };
    let found = |share, weight| {
        let mut model = trained(graph(share), 1, [("neuron.threshold", weight)]);
        model.signature_mut().preprocessing.std = vec![64.0; 2];
        levels(&run_frames(&model, &[64, 64]), "neuron")
    };
    assert_eq!(found(Share::Channel, real(&[2], &[1.0, 1.5])), [1, 0]);
    assert_eq!(found(Share::Layer, real(&[1], &[1.5])), [0, 0]);
    let initial = graph(Share::Channel).initial_weights(1).unwrap();
    assert_eq!(initial["neuron.threshold"].to_f64(), ndarray::arr1(&[1.0, 1.0]).into_dyn());
    for (value, message) in [(0.0, "values above 0"), (-1.0, "values above 0")] {
        let model = trained(graph(Share::Layer), 1, [("neuron.threshold", real(&[1], &[value]))]);
        let error = model.validate().unwrap_err().to_string();
        assert!(error.contains("neuron.threshold") && error.contains(message), "{error}");
    }
    let mut model = trained(graph(Share::Layer), 1, [("neuron.threshold", real(&[1], &[0.25]))]);
    model.validate().unwrap();
    let Some(Op::Activation { site: Site::Lif(lif), .. }) =
        model.graph_mut().node_mut("neuron").map(|n| &mut n.op)
    else {
        panic!("LIF")
    };
    lif.reset = Reset::Hard { potential: 0.5 };
    assert!(model.validate().unwrap_err().to_string().contains("values above 0.5"));
}

// === Eq. 13 ===

/// Sets the first membrane of a site, which is missing, and has a range.
fn set_first(model: &mut Model, first: i32) {
    let missing = model.validate().unwrap_err().to_string();
    assert!(missing.contains("site.initial"), "{missing}");
    model.weights_mut().insert("site.initial".into(), int(&[1], &[(1 << 30) + 1]));
    let error = model.validate().unwrap_err().to_string();
    assert!(error.contains("values of −2^30 to 2^30"), "{error}");
    model.weights_mut().insert("site.initial".into(), int(&[1], &[first]));
}

/// Where the floor loses nothing the grid is eq. 8 in exact reals.
#[test]
#[expect(clippy::too_many_lines, reason = "one neuron in both arithmetics")]
fn the_grid_is_exact_where_guard_bits_suffice() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(17);
    let (mut negative, mut high) = (0, 0);
    for case in 0..3000 {
        let steps = random.random_range(1..=7);
        let pixels: Vec<u8> = (0..steps).map(|_| random.random()).collect();
        // Quarters: m = 2, and 2·(T − 1) ≤ 12 guard bits.
        let mut quarters = || random.random_range(0..=4_u32);
        let (leak, alpha, decay) = (quarters(), quarters(), quarters());
        let threshold = random.random_range(1..=150_i32);
        let jump = random.random_range(0..=100 << 12_i32);
        let spike = *[Spike::Binary, Spike::Ternary, Spike::Integer { levels: 4 }]
            .choose(&mut random)
            .unwrap();
        let (reset, grid_reset) = *[
            (Reset::Hard { potential: 0.0 }, GridReset::Hard),
            (Reset::Soft, GridReset::Soft),
            (Reset::None, GridReset::None),
        ]
        .choose(&mut random)
        .unwrap();
        let current = random.random_bool(0.5);
        let adapts = random.random_bool(0.5) && !matches!(spike, Spike::Integer { .. });
        let factor = |k: u32| f64::from(k) / 4.0;
        // In guard bits; 0 is rest.
        let first = if random.random_bool(0.5) { random.random_range(-8192..=8192) } else { 0 };
        let real_site = Lif {
            leak: Leak::Factor { factor: factor(leak) },
            threshold: Threshold::Fixed(f64::from(threshold)),
            reset,
            spike,
            synapse: if current {
                Synapse::Current { alpha: factor(alpha) }
            } else {
                Synapse::Instant
            },
            adaptation: if adapts {
                Adaptation::Threshold { decay: factor(decay), strength: f64::from(jump) / 4096.0 }
            } else {
                Adaptation::None
            },
            initial: if first == 0 {
                FirstMembrane::Rest
            } else {
                FirstMembrane::Potential(f64::from(first) / 4096.0)
            },
            ..Lif::default()
        };
        let mut reals =
            trained(chain(&[1], vec![("site", site(Site::Lif(real_site.clone())))]), steps, []);
        reals.signature_mut().preprocessing.mean = vec![128];
        let expected = levels(&run_frames(&reals, &pixels), "site");

        let grid_site = GridLif {
            spike,
            synapse: if current {
                GridSynapse::Current { multiplier: alpha, shift: 2 }
            } else {
                GridSynapse::Instant
            },
            adaptation: if adapts {
                GridAdaptation::Threshold { multiplier: decay, shift: 2 }
            } else {
                GridAdaptation::None
            },
            initial: first != 0,
            ..GridLif::new(leak, 2, 12, grid_reset)
        };
        let code = match spike {
            Spike::Binary => Code::Binary,
            Spike::Ternary => Code::Ternary,
            Spike::Integer { .. } => Code::Unary,
        };
        let unit = |features| Op::Linear { features, bias: false };
        let graph = chain(
            &[1],
            vec![
                ("in", unit(1)),
                ("site", coded(Site::GridLif(grid_site), code)),
                ("out", unit(1)),
            ],
        );
        let mut model = grid(
            graph,
            steps,
            [
                ("in.weight", byte(&[1, 1], &[1])),
                ("in.multiplier", int(&[1], &[1])),
                ("site.threshold", int(&[1], &[threshold])),
                ("out.weight", byte(&[1, 1], &[1])),
                ("out.multiplier", int(&[1], &[1])),
            ],
        );
        model.signature_mut().preprocessing.mean = vec![128];
        if adapts {
            model.weights_mut().insert("site.adaptation".into(), int(&[1], &[jump]));
        }
        if first != 0 {
            set_first(&mut model, first);
        }
        let found = levels(&run_frames(&model, &pixels), "site");
        assert_eq!(found, expected, "case {case}: {pixels:?} {real_site:?}");
        negative += found.iter().filter(|level| **level < 0).count();
        high += found.iter().filter(|level| **level > 1).count();
    }
    assert!(negative > 500 && high > 500, "{negative} spikes of −1, {high} levels above 1");
}

// === Data ===

fn lif(json: &str) -> Result<Lif, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn thresholds_are_numbers_or_tables() {
    for (json, threshold) in [
        (r#"{"threshold": 1.0}"#, Threshold::Fixed(1.0)),
        (r#"{"threshold": 2}"#, Threshold::Fixed(2.0)),
        (
            r#"{"threshold": {"kind": "learned", "initial": 0.5}}"#,
            Threshold::Learned { initial: 0.5, share: Share::Layer },
        ),
        (
            r#"{"threshold": {"kind": "learned", "initial": 0.5, "share": "channel"}}"#,
            Threshold::Learned { initial: 0.5, share: Share::Channel },
        ),
    ] {
        let neuron = lif(json).unwrap();
        assert_eq!(neuron.threshold, threshold);
        let text = serde_json::to_string(&neuron).unwrap();
        assert_eq!(lif(&text).unwrap(), neuron);
    }
    for (json, message) in [
        (r#"{"threshold": "one"}"#, "a number, or a table"),
        (r#"{"threshold": {"kind": "learned"}}"#, "initial"),
        (
            r#"{"threshold": {"kind": "learned", "initial": 1, "bogus": 1}}"#,
            "unknown field `bogus`",
        ),
        (r#"{"threshold": {"kind": "fixed", "initial": 1}}"#, "unknown variant `fixed`"),
    ] {
        let error = lif(json).unwrap_err();
        assert!(error.contains(message), "{json}: {error}");
    }
}

/// What the first version of this crate wrote, byte for byte.
#[test]
fn files_without_the_newer_attributes_read_and_write_as_before() {
    let old = concat!(
        r#"{"leak":{"kind":"factor","factor":0.5},"threshold":1.0,"reset":{"kind":"hard","potential":0.0},"#,
        r#""reset_gradient":"detached","surrogate":{"kind":"atan","alpha":2.0}}"#
    );
    assert_eq!(lif(old).unwrap(), Lif::default());
    assert_eq!(serde_json::to_string(&Lif::default()).unwrap(), old);
    let old = r#"{"leak_multiplier":1,"leak_shift":1,"guard_bits":8,"reset":"hard"}"#;
    assert_eq!(
        serde_json::from_str::<GridLif>(old).unwrap(),
        GridLif::new(1, 1, 8, GridReset::Hard)
    );
    assert_eq!(serde_json::to_string(&GridLif::new(1, 1, 8, GridReset::Hard)).unwrap(), old);
}

#[test]
fn nothing_unknown_stands_beside_a_tag() {
    let refused = |error: Option<serde_json::Error>, what: &str| {
        let error = error.unwrap_or_else(|| panic!("{what} was read")).to_string();
        assert!(error.contains("unknown field `bogus`"), "{what}: {error}");
    };
    for op in ["scale", "flatten", "add", "concat", "time_mean", "time_last", "time_max"] {
        let json = format!(r#"{{"op": "{op}", "bogus": 1}}"#);
        refused(serde_json::from_str::<Op>(&json).err(), &json);
        serde_json::from_str::<Op>(&format!(r#"{{"op": "{op}"}}"#)).unwrap();
    }
    for (field, kinds) in [
        ("reset", &["soft", "none"][..]),
        ("spike", &["binary", "ternary"]),
        ("synapse", &["instant"]),
        ("adaptation", &["none"]),
        ("surrogate", &["straight_through"]),
    ] {
        for kind in kinds {
            let json = format!(r#"{{"{field}": {{"kind": "{kind}", "bogus": 1}}}}"#);
            refused(serde_json::from_str::<Lif>(&json).err(), &json);
            lif(&json.replace(r#", "bogus": 1"#, "")).unwrap();
        }
    }
    refused(serde_json::from_str::<Site>(r#"{"kind": "relu", "bogus": 1}"#).err(), "relu");
    refused(
        serde_json::from_str::<snn_ir::Form>(r#"{"kind": "trained", "bogus": 1}"#).err(),
        "trained",
    );
    refused(
        serde_json::from_str::<snn_ir::Form>(r#"{"kind": "events", "bogus": 1}"#).err(),
        "events",
    );
    refused(
        serde_json::from_str::<Site>(r#"{"kind": "custom", "name": "x", "bogus": 1}"#).err(),
        "custom",
    );
}

#[test]
fn attributes_that_do_not_go_together_are_named() {
    let integer = Spike::Integer { levels: 3 };
    let hard = |potential| Reset::Hard { potential };
    let adaptation = |decay, strength| Adaptation::Threshold { decay, strength };
    let base = Lif::default;
    for (neuron, message) in [
        (Lif { spike: Spike::Integer { levels: 0 }, ..base() }, "spike.levels must be 1 to 255"),
        (Lif { spike: Spike::Ternary, reset: hard(-0.5), ..base() }, "reset.potential must be 0"),
        (Lif { spike: integer, reset: hard(0.25), ..base() }, "reset.potential must be 0"),
        (
            Lif { spike: integer, adaptation: adaptation(0.5, 1.0), ..base() },
            "adaptation must be none for integer",
        ),
        (
            Lif { synapse: Synapse::Current { alpha: 1.5 }, ..base() },
            "synapse.alpha must be in [0, 1]",
        ),
        (Lif { adaptation: adaptation(-0.5, 1.0), ..base() }, "adaptation.decay must be in [0, 1]"),
        (Lif { adaptation: adaptation(0.5, -1.0), ..base() }, "adaptation.strength"),
        (
            Lif { threshold: Threshold::Learned { initial: 0.0, share: Share::Layer }, ..base() },
            "threshold.initial must be positive",
        ),
        (
            Lif { surrogate: Surrogate::Gaussian { sigma: 0.0 }, ..base() },
            "surrogate must be of positive",
        ),
        (
            Lif { surrogate: Surrogate::LogTailedRelu { alpha: -1.0 }, ..base() },
            "surrogate must be of a slope",
        ),
    ] {
        let graph = chain(&[2], vec![("neuron", site(Site::Lif(neuron)))]);
        let error = graph.resolve().unwrap_err().to_string();
        assert!(error.contains("node `neuron`") && error.contains(message), "{message}: {error}");
    }
}

#[test]
fn codes_carry_what_a_site_emits() {
    for (spike, fits) in [
        (Spike::Binary, &[Code::Binary][..]),
        (Spike::Ternary, &[Code::Ternary]),
        (Spike::Integer { levels: 5 }, &[Code::Unary, Code::BitPlane, Code::Graded]),
    ] {
        for code in [Code::Binary, Code::Ternary, Code::Unary, Code::BitPlane, Code::Graded] {
            let lif = Lif { spike, ..Lif::default() };
            let unit = || Op::Linear { features: 1, bias: false };
            let graph = chain(
                &[1],
                vec![("in", unit()), ("site", coded(Site::Lif(lif), code)), ("out", unit())],
            );
            let weights =
                [("in.weight", real(&[1, 1], &[1.0])), ("out.weight", real(&[1, 1], &[1.0]))];
            let model = crate::tiny::model(snn_ir::Form::Events, graph, 2, weights);
            let result = model.validate();
            assert_eq!(result.is_ok(), fits.contains(&code), "{spike:?} as {code:?}: {result:?}");
        }
    }
    assert_eq!(Code::Ternary.micro_steps(1), 2);
}

// === A user's own neuron ===

/// Fires `gain` where the sum of all currents is at least `threshold`.
#[derive(Debug)]
struct Sum;

#[derive(Debug)]
struct SumNeuron {
    threshold: f64,
    gain: i16,
}

impl NeuronKind for Sum {
    fn neuron(&self, parameters: &BTreeMap<String, f64>) -> Result<Box<dyn Neuron>, String> {
        let get = |name: &str| parameters.get(name).copied().ok_or(format!("it needs `{name}`"));
        #[expect(clippy::cast_possible_truncation, reason = "a small whole number")]
        Ok(Box::new(SumNeuron { threshold: get("threshold")?, gain: get("gain")? as i16 }))
    }
}

impl Neuron for SumNeuron {
    fn rest(&self) -> Vec<f64> {
        vec![0.0]
    }

    fn step(&self, state: &mut [f64], current: f64) -> i16 {
        state[0] += current;
        if state[0] >= self.threshold { self.gain } else { 0 }
    }
}

fn custom_model(gain: f64, share: Share, thresholds: &[f64]) -> Model {
    let custom = Custom {
        params: BTreeMap::from([("gain".to_string(), gain)]),
        learned: BTreeMap::from([("threshold".to_string(), LearnedParam { initial: 3.0, share })]),
        ..Custom::new("sum")
    };
    let graph: Graph = chain(&[2], vec![("own", site(Site::Custom(custom)))]);
    trained(graph, 3, [("own.threshold", real(&[thresholds.len()], thresholds))])
}

fn custom_levels(model: &Model, neurons: &Neurons) -> snn_ir::Result<Vec<i16>> {
    let pixels = ArrayD::<u8>::from_elem(vec![1, 2], 1);
    let result = Naive::with_neurons(model, neurons)?
        .evaluate(&Input::Static(pixels.view()), Record::Sites)?;
    Ok(levels(&result, "own"))
}

#[test]
fn a_neuron_of_a_users_own_runs_by_its_name() {
    let neurons = Neurons::default().with("sum", Sum);
    let model = custom_model(1.0, Share::Channel, &[2.0, 3.0]);
    assert_eq!(custom_levels(&model, &neurons).unwrap(), [0, 0, 1, 0, 1, 1]);
    assert_eq!(
        custom_levels(&custom_model(1.0, Share::Layer, &[2.0]), &neurons).unwrap(),
        [0, 0, 1, 1, 1, 1]
    );
    let initial = model.graph().initial_weights(1).unwrap();
    assert_eq!(initial["own.threshold"].to_f64(), ndarray::arr1(&[3.0, 3.0]).into_dyn());
    let bytes = model.to_bytes().unwrap();
    assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
}

#[test]
fn what_a_registry_lacks_is_named() {
    let model = custom_model(1.0, Share::Layer, &[2.0]);
    let error = Naive::new(&model).unwrap_err().to_string();
    assert!(error.contains("node `own`") && error.contains("no neuron `sum`"), "{error}");
    let others = Neurons::default().with("other", Sum);
    let error = Naive::with_neurons(&model, &others).unwrap_err().to_string();
    assert!(error.contains("only `other`"), "{error}");
    let neurons = Neurons::default().with("sum", Sum);
    let mut incomplete = model;
    let Some(Op::Activation { site: Site::Custom(custom), .. }) =
        incomplete.graph_mut().node_mut("own").map(|n| &mut n.op)
    else {
        panic!("custom")
    };
    custom.params.clear();
    let error = Naive::with_neurons(&incomplete, &neurons).unwrap_err().to_string();
    assert!(
        error.contains("node `own`") && error.contains("neuron `sum`: it needs `gain`"),
        "{error}"
    );
    let error =
        custom_levels(&custom_model(2.0, Share::Layer, &[2.0]), &neurons).unwrap_err().to_string();
    assert!(error.contains("node `own`") && error.contains("it emitted 2"), "{error}");
}

/// The bits of leaks of an older file are the most that any decay of any site has.
#[test]
fn options_of_a_graph_look_at_every_decay() {
    let grid = GridLif {
        synapse: GridSynapse::Current { multiplier: 1, shift: 14 },
        adaptation: GridAdaptation::Threshold { multiplier: 1, shift: 15 },
        ..GridLif::new(1, 13, 5, GridReset::Hard)
    };
    let leak_bits = |lif: GridLif| {
        let graph = chain(&[1], vec![("neuron", site(Site::GridLif(lif)))]);
        let options = snn_ir::GridOptions::of_graph(&graph);
        assert_eq!(options.guard_bits, 5);
        options.leak_bits
    };
    assert_eq!(leak_bits(grid), 15);
    assert_eq!(leak_bits(GridLif { adaptation: GridAdaptation::None, ..grid }), 14);
    assert_eq!(leak_bits(GridLif::new(1, 13, 5, GridReset::Hard)), 13);
    assert_eq!(leak_bits(GridLif::new(1, 3, 5, GridReset::Hard)), 12);
}
