//! Neurons over 1,000 random steps: spikes of the naive evaluator beside those of the equations.

use crate::{fixture_of, graph};
use ndarray::{Array3, ArrayD, Ix3};
use snn_ir::{
    Evaluate, Input, Naive, Op, Preprocessing, Readout, Record, Site, SiteOutput, Tensor,
};
use snn_nir::{Discretisation, Imported, Op as Nir, Options};
use snn_test_support::Random;

const STEPS: usize = 1000;
/// Pixels of 0 to 255 enter as 0 to 4, so that neurons fire often.
const DEVIATION: f64 = 64.0;

fn options() -> Options {
    let preprocessing = Some(Preprocessing::new(vec![0; 3], vec![DEVIATION; 3]));
    Options { time_steps: Some(STEPS), preprocessing, ..Options::default() }
}

fn frames() -> Array3<u8> {
    let mut random = Random::new(7);
    let pixels = (0..STEPS * 3).map(|_| u8::try_from(random.below(256)).unwrap());
    Array3::from_shape_vec((STEPS, 1, 3), pixels.collect()).unwrap()
}

/// What every site emits, `[T, neurons]`, by name.
type Emitted = Vec<(String, Vec<Vec<f64>>)>;

/// What sites emit, and the class scores.
fn run(imported: &Imported, frames: &Array3<u8>) -> (Emitted, Vec<f64>) {
    let mut naive = Naive::new(&imported.model).unwrap();
    let input = Input::Frames(frames.view().into_dyn());
    let result = naive.evaluate(&input, Record::Sites).unwrap();
    let logits = result.logits.to_real(imported.model.signature()).unwrap();
    let sites = result.sites.iter().map(|site| {
        let values: ArrayD<f64> = match &site.output {
            SiteOutput::Levels(levels) => levels.mapv(f64::from),
            SiteOutput::Values(values) => values.clone(),
        };
        let values = values.into_dimensionality::<Ix3>().unwrap();
        let steps = values.outer_iter().map(|step| step.row(0).to_vec());
        (site.site.clone(), steps.collect())
    });
    (sites.collect(), logits.row(0).to_vec())
}

/// The current of the first layer of a file at each step.
fn currents(name: &str, frames: &Array3<u8>) -> Vec<Vec<f64>> {
    let Nir::Affine { weight, bias } = &graph(name).nodes["fc1"].op else { panic!("{name}") };
    let (weight, bias) = (weight.to_f64(), bias.to_f64());
    frames
        .outer_iter()
        .map(|frame| {
            let sum = |k: usize| {
                let all = (0..3).map(|c| weight[[k, c]] * f64::from(frame[[0, c]]) / DEVIATION);
                all.sum::<f64>() + bias[[k]]
            };
            (0..4).map(sum).collect()
        })
        .collect()
}

/// Runs a neuron of one state on the currents of four.
fn spikes<S: Default>(
    currents: &[Vec<f64>],
    mut step: impl FnMut(&mut S, f64) -> f64,
) -> Vec<Vec<f64>> {
    let mut states: Vec<S> = (0..4).map(|_| S::default()).collect();
    let mut row = |currents: &Vec<f64>| {
        currents.iter().zip(&mut states).map(|(&current, state)| step(state, current)).collect()
    };
    currents.iter().map(&mut row).collect()
}

fn check(name: &str, expected: &[Vec<f64>]) {
    let imported = graph(name).to_model(&options()).unwrap();
    let (sites, _) = run(&imported, &frames());
    let fired: f64 = expected.iter().flatten().sum();
    assert!(fired > 200.0 && fired < 3800.0, "{name}: {fired} spikes say little");
    let (_, found) = sites.iter().find(|(site, _)| site == "neuron").unwrap();
    for (t, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "{name}, step {t}");
    }
    assert_eq!(found.len(), STEPS);
}

/// `1` where the strict threshold of NIR is passed, and the membrane is set to 0.
fn fire(v: &mut f64) -> f64 {
    let fires = *v > 1.0;
    *v = if fires { 0.0 } else { *v };
    f64::from(u8::from(fires))
}

const DT: f64 = 1e-4;

#[test]
fn integrate_and_fire() {
    let currents = currents("if", &frames());
    check(
        "if",
        &spikes(&currents, |v: &mut f64, current| {
            *v += current;
            fire(v)
        }),
    );
}

#[test]
fn leaky_integrate_and_fire() {
    let currents = currents("lif", &frames());
    let tau = DT / 0.5;
    // NIR's own equation, with r = τ/dt.
    check(
        "lif",
        &spikes(&currents, |v: &mut f64, current| {
            *v += DT / tau * ((0.0 - *v) + tau / DT * current);
            fire(v)
        }),
    );
    // snnTorch's `Leaky` with reset to zero, no delay of the reset.
    check(
        "lif",
        &spikes(&currents, |v: &mut f64, current| {
            *v = (1.0 - DT / tau) * *v + current;
            fire(v)
        }),
    );
    // SpikingJelly's `LIFNode` without decay of the input.
    check(
        "lif",
        &spikes(&currents, |v: &mut f64, current| {
            *v = *v - (*v - 0.0) / (tau / DT) + current;
            fire(v)
        }),
    );
}

#[test]
fn current_based_leaky_integrate_and_fire() {
    let currents = currents("cuba_lif", &frames());
    let (tau_syn, tau_mem) = (DT / 0.25, DT / 0.5);
    check(
        "cuba_lif",
        &spikes(&currents, |state: &mut [f64; 2], current| {
            let [i, v] = state;
            *i += DT / tau_syn * (-*i + tau_syn / DT * current);
            *v += DT / tau_mem * ((0.0 - *v) + tau_mem / DT * *i);
            fire(v)
        }),
    );
}

#[test]
fn leaky_integrator() {
    let frames = frames();
    let currents = currents("li", &frames);
    let membranes = spikes(&currents, |v: &mut f64, current| {
        *v += 0.5 * ((0.0 - *v) + current);
        *v
    });
    for (readout, at) in [(Readout::Last, STEPS - 1), (Readout::Mean, STEPS)] {
        let options = Options { readout: Some(readout), ..options() };
        let imported = graph("li").to_model(&options).unwrap();
        let (sites, logits) = run(&imported, &frames);
        let value = |name: &str, t: usize| {
            sites.iter().find(|(site, _)| site == name).unwrap().1[t].clone()
        };
        for (t, expected) in membranes.iter().enumerate() {
            let parts = value("neuron.positive", t).into_iter().zip(value("neuron.negative", t));
            for ((positive, negative), expected) in parts.zip(expected) {
                let found = positive - negative;
                assert!((found - expected).abs() < 1e-9, "step {t}: {found} and {expected}");
            }
        }
        let Nir::Linear { weight } = &graph("li").nodes["fc2"].op else { panic!() };
        let weight = weight.to_f64();
        for (class, logit) in logits.iter().enumerate() {
            let score =
                |t: usize| -> f64 { (0..4).map(|k| weight[[class, k]] * membranes[t][k]).sum() };
            let expected = if at < STEPS {
                score(at)
            } else {
                (0..STEPS).map(score).sum::<f64>() / STEPS as f64
            };
            assert!((logit - expected).abs() < 1e-9, "{logit} and {expected}");
        }
    }
}

#[test]
fn a_recurrent_sub_graph_beside_a_shortcut() {
    let frames = frames();
    let file = graph("recurrent");
    let imported = file.to_model(&options()).unwrap();
    let (sites, _) = run(&imported, &frames);
    let Nir::Graph(inner) = &file.nodes["rnn"].op else { panic!() };
    let Nir::Affine { weight, bias } = &inner.nodes["w_rec"].op else { panic!() };
    let (weight, bias) = (weight.to_f64(), bias.to_f64());
    let currents = currents("recurrent", &frames);
    let (mut before, mut states) = (vec![0.0; 4], [[0.0_f64; 2]; 4]);
    let mut fired = 0.0;
    for (t, currents) in currents.iter().enumerate() {
        let mut now = vec![0.0; 4];
        for k in 0..4 {
            let back: f64 = (0..4).map(|c| weight[[k, c]] * before[c]).sum::<f64>() + bias[[k]];
            let [i, v] = &mut states[k];
            *i = 0.75 * *i + (currents[k] + back);
            *v = 0.5 * *v + *i;
            now[k] = fire(v);
        }
        fired += now.iter().sum::<f64>();
        assert_eq!(sites.iter().find(|(site, _)| site == "rnn.lif").unwrap().1[t], now, "step {t}");
        before = now;
    }
    assert!(fired > 200.0 && fired < 3800.0, "{fired} spikes");
    let delayed =
        imported.report.notes.iter().any(|note| note.text.contains("`rnn.lif` a step later"));
    assert!(delayed, "{:?}", imported.report.notes);
}

#[test]
fn exactly_the_threshold_is_no_spike_in_nir() {
    // Both signs of the file's type: a membrane of exactly 1 and of the next number.
    for (name, node) in [("lif", "neuron"), ("if", "neuron")] {
        let imported = graph(name).to_model(&options()).unwrap();
        let Op::Activation { site: Site::Lif(lif), .. } =
            &imported.model.graph().node(node).unwrap().op
        else {
            panic!("{name}")
        };
        assert_eq!(lif.threshold.initial(), f64::from(1.0_f32.next_up()), "{name}");
    }
    let weights = graph("lif").to_model(&options()).unwrap().model.weights().clone();
    assert!(matches!(weights["fc1.weight"], Tensor::F32(_)));
}

/// `fixtures/nir/steps.json`, which Python computed.
#[derive(serde::Deserialize)]
struct Solved {
    frames: String,
    deviation: f64,
    #[serde(flatten)]
    emitted: std::collections::BTreeMap<String, serde_json::Value>,
}

#[test]
fn neurons_of_any_parameters_fire_as_python_says() {
    let solved: Solved = serde_json::from_slice(&fixture_of("steps.json.gz")).unwrap();
    assert_eq!(solved.deviation, DEVIATION);
    let byte = |at: usize| u8::from_str_radix(&solved.frames[2 * at..2 * at + 2], 16).unwrap();
    let pixels = (0..STEPS * 3).map(byte).collect();
    let frames = Array3::from_shape_vec((STEPS, 1, 3), pixels).unwrap();
    for (how, discretisation) in
        [("euler", Discretisation::Euler), ("exponential", Discretisation::Exponential)]
    {
        for kind in ["if", "lif", "cuba_lif"] {
            let options = Options { discretisation, ..options() };
            let imported = graph(&format!("steps_{kind}")).to_model(&options).unwrap();
            let (sites, _) = run(&imported, &frames);
            let (_, found) = sites.iter().find(|(site, _)| site == "neuron").unwrap();
            let name = format!("{kind}.{how}");
            let expected: Vec<String> =
                serde_json::from_value(solved.emitted[&name].clone()).unwrap();
            assert_eq!((found.len(), expected.len()), (STEPS, STEPS));
            let fired = expected.iter().flat_map(|step| step.bytes()).filter(|bit| *bit == b'1');
            assert!(fired.count() > 400, "{name}: too few spikes say little");
            for (t, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let found: String =
                    found.iter().map(|&spike| if spike == 1.0 { '1' } else { '0' }).collect();
                assert_eq!(found, *expected, "{name}, step {t}");
            }
        }
        let options = Options { discretisation, ..options() };
        let imported = graph("steps_li").to_model(&options).unwrap();
        let (sites, _) = run(&imported, &frames);
        let part = |name: &str| &sites.iter().find(|(site, _)| site == name).unwrap().1;
        let (positive, negative) = (part("neuron.positive"), part("neuron.negative"));
        let expected: Vec<Vec<f64>> =
            serde_json::from_value(solved.emitted[&format!("li.{how}")].clone()).unwrap();
        assert_eq!(expected.len(), STEPS / 20);
        for (place, expected) in expected.iter().enumerate() {
            let t = 20 * place + 19;
            for (k, expected) in expected.iter().enumerate() {
                let found = positive[t][k] - negative[t][k];
                // Gains are rounded to the f32 of the file's weights.
                let most = 1e-6 * expected.abs().max(1.0);
                assert!((found - expected).abs() < most, "{how}, step {t}: {found}, {expected}");
            }
        }
    }
}
