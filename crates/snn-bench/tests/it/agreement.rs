//! Proof, not luck: on random hybrids of every kind of neuron, libtorch, the event runtime and the
//! naive evaluator give the same bits on the grid in every code, and the event runtime emits the
//! trained network's every spike off it. `SNN_CASES` sets the number of graphs (256).

use ndarray::ArrayD;
use snn_core::Libtorch;
use snn_ir::Naive;
use snn_ir::testing::{Numbers, Sites, pixels, trained_with};
use snn_ir::{Code, Evaluate, Evaluation, Input, Logits, Model, Record, SiteOutput};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_runtime::Counting;
use tch::Device;

const CODES: [Code; 3] = [Code::Unary, Code::BitPlane, Code::Graded];

fn cases() -> u64 {
    std::env::var("SNN_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
}

/// Every other graph has neurons of all kinds, not LIF and QuantRelu alone.
fn draw(seed: u64, numbers: Numbers) -> Model {
    trained_with(
        seed,
        numbers,
        if (seed / 2).is_multiple_of(2) { Sites::Basic } else { Sites::All },
    )
}

/// Two samples: an image each or, every fourth time, a frame for each macro-step.
struct Samples {
    pixels: ArrayD<u8>,
    frames: bool,
}

impl Samples {
    fn draw(model: &Model, seed: u64) -> Self {
        let frames = seed % 4 == 3;
        let pixels = pixels(model, if frames { 2 * model.time_steps() } else { 2 }, seed);
        let shape = [&[model.time_steps(), 2], &pixels.shape()[1..]].concat();
        Self {
            pixels: if frames { pixels.into_shape_with_order(shape).unwrap() } else { pixels },
            frames,
        }
    }
}

fn run(evaluator: &mut dyn Evaluate, samples: &Samples) -> Evaluation {
    let pixels = samples.pixels.view();
    let input = if samples.frames { Input::Frames(pixels) } else { Input::Static(pixels) };
    evaluator.evaluate(&input, Record::Sites).unwrap()
}

/// Levels of every site and integer logits, which must be the same bits.
fn assert_same(seed: u64, what: &str, a: &Evaluation, b: &Evaluation) {
    for (a, b) in a.sites.iter().zip(&b.sites) {
        assert_eq!(a.site, b.site, "seed {seed}, {what}");
        assert!(a.output == b.output, "seed {seed}, {what}: site {} differs", a.site);
    }
    assert_eq!(a.sites.len(), b.sites.len(), "seed {seed}, {what}");
    match (&a.logits, &b.logits) {
        (Logits::Integer(a), Logits::Integer(b)) => assert_eq!(a, b, "seed {seed}, {what}: logits"),
        (Logits::Real(a), Logits::Real(b)) => {
            // The trained network divides averages by numbers that are no powers of two, which
            // rounds.
            let largest = a.iter().fold(1e-300_f64, |max, v| max.max(v.abs()));
            let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart <= 1e-12 * largest, "seed {seed}, {what}: logits {a:?} and {b:?}");
        }
        _ => panic!("seed {seed}, {what}: logits of different kinds"),
    }
}

#[test]
fn three_interpreters_give_the_same_bits_on_the_grid_in_every_code() {
    let (mut active, mut decisions) = (0_u64, 0_u64);
    for seed in 0..cases() {
        let numbers = if seed % 2 == 0 { Numbers::Real } else { Numbers::Dyadic };
        let trained = draw(seed, numbers);
        let samples = Samples::draw(&trained, seed);
        for code in CODES {
            let events = convert(&trained, &code.into()).unwrap();
            let options = if seed % 4 == 1 { GridOptions::int16() } else { GridOptions::default() };
            let grid = to_grid(&events.model, options).unwrap().model;
            let naive = run(&mut Naive::new(&grid).unwrap(), &samples);
            let libtorch = run(&mut Libtorch::new(&grid, Device::Cpu).unwrap(), &samples);
            let runtime = run(&mut Counting::new(&grid).unwrap(), &samples);
            assert_same(seed, &format!("{code:?}, libtorch against naive"), &libtorch, &naive);
            assert_same(seed, &format!("{code:?}, events against naive"), &runtime, &naive);
            active += naive.sites.iter().map(|s| s.output.active()).sum::<u64>();
            decisions += naive.sites.iter().map(|s| s.output.len() as u64).sum::<u64>();
        }
    }
    // Networks of the silent, or of the saturated, would be equal trivially.
    let share = active as f64 / decisions as f64;
    assert!((0.05..0.95).contains(&share), "{share} of {decisions} decisions are active");
}

/// Of the decisions of random networks weights of 16 bits change fewer than a tenth of those that
/// weights of 8 bits change.
#[test]
fn sixteen_bits_change_few_decisions() {
    let (mut changed, mut decisions) = ([0_u64; 2], 0);
    for seed in 0..cases() {
        let trained = draw(seed, Numbers::Real);
        let samples = Samples::draw(&trained, seed);
        let events = convert(&trained, &Code::Graded.into()).unwrap().model;
        let real = run(&mut Naive::new(&events).unwrap(), &samples);
        for (options, changed) in
            [GridOptions::default(), GridOptions::int16()].into_iter().zip(&mut changed)
        {
            let grid = to_grid(&events, options).unwrap().model;
            let whole = run(&mut Naive::new(&grid).unwrap(), &samples);
            for (a, b) in real.sites.iter().zip(&whole.sites) {
                let (SiteOutput::Levels(a), SiteOutput::Levels(b)) = (&a.output, &b.output) else {
                    panic!("levels")
                };
                *changed += a.iter().zip(b).filter(|(a, b)| a != b).count() as u64;
            }
        }
        decisions += real.sites.iter().map(|s| s.output.len() as u64).sum::<u64>();
    }
    let [of_8, of_16] = changed;
    assert!(of_8 > 0 && 10 * of_16 < of_8, "{of_16} and {of_8} of {decisions}");
}

#[test]
fn off_the_grid_every_spike_is_the_trained_networks() {
    let mut ties = 0;
    for seed in 0..cases() {
        let trained = draw(seed, Numbers::Dyadic);
        let samples = Samples::draw(&trained, seed);
        let reference = run(&mut Libtorch::new(&trained, Device::Cpu).unwrap(), &samples);
        ties += reference.sites.iter().map(|s| s.ties).sum::<u64>();
        for code in CODES {
            let events = convert(&trained, &code.into()).unwrap().model;
            let runtime = run(&mut Counting::new(&events).unwrap(), &samples);
            assert_same(seed, &format!("{code:?}, trained against events"), &reference, &runtime);
            assert!(runtime.sites.iter().all(|s| matches!(s.output, SiteOutput::Levels(_))));
        }
    }
    assert!(ties > cases(), "thresholds must be met exactly, found {ties} ties");
}
