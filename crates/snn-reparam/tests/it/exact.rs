//! Conversion keeps every spike: trained against events against grid, on the naive evaluator, with
//! exact numbers.

use snn_ir::Naive;
use snn_ir::testing::{Numbers, Sites, pixels, trained_with};
use snn_ir::{Code, Evaluate, Input, Logits, Model, Op, Record, SiteOutput, SiteTrace};
use snn_reparam::{Action, GridOptions, convert, to_grid};
use std::collections::BTreeMap;

fn sites(model: &Model, input: &Input<'_>) -> (BTreeMap<String, SiteTrace>, Logits) {
    let result = Naive::new(model).unwrap().evaluate(input, Record::Sites).unwrap();
    (result.sites.iter().map(|s| (s.site.clone(), s.clone())).collect(), result.logits)
}

const KINDS: [Sites; 2] = [Sites::Basic, Sites::All];

/// Largest difference of two logits, relative to the largest logit.
fn distance(a: &Logits, b: &Logits) -> f64 {
    let (Logits::Real(a), Logits::Real(b)) = (a, b) else { panic!("real logits") };
    let largest = a.iter().fold(1e-300_f64, |max, v| max.max(v.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

fn same(a: &SiteTrace, b: &SiteTrace) -> bool {
    match (&a.output, &b.output) {
        (SiteOutput::Levels(a), SiteOutput::Levels(b)) => a == b,
        (SiteOutput::Values(a), SiteOutput::Values(b)) => a == b,
        _ => false,
    }
}

/// With dyadic numbers every f64 operation is exact, so that events must equal the trained network
/// in every level, ties included.
#[test]
fn events_equal_the_trained_network_exactly() {
    let (mut ties, mut negative) = (0, 0);
    for (seed, kinds) in (0..300).flat_map(|seed| KINDS.map(|kinds| (seed, kinds))) {
        let model = trained_with(seed, Numbers::Dyadic, kinds);
        let events =
            convert(&model, &Code::Unary.into()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let pixels = pixels(&model, 2, seed);
        let input = Input::Static(pixels.view());
        let (before, logits) = sites(&model, &input);
        let (after, converted) = sites(&events.model, &input);
        assert_eq!(before.len(), after.len());
        // Averages of the trained network divide by numbers that are no powers of two; all else is
        // exact.
        assert!(distance(&logits, &converted) < 1e-13, "seed {seed}: {logits:?} {converted:?}");
        for (name, trace) in &before {
            ties += trace.ties;
            negative += usize::from(match &trace.output {
                SiteOutput::Levels(levels) => levels.iter().any(|q| *q < 0),
                SiteOutput::Values(_) => false,
            });
            assert!(
                same(trace, &after[name]),
                "seed {seed}, {kinds:?}: site {name} differs\n{}",
                events.plan
            );
        }
    }
    assert!(ties > 1000, "{ties}");
    assert!(negative > 50, "{negative} sites with spikes of −1");
}

/// With real numbers, rounding is the only difference: no level differs, and logits agree to
/// rounding.
#[test]
fn events_equal_the_trained_network_in_real_numbers() {
    for (seed, kinds) in (0..300).flat_map(|seed| KINDS.map(|kinds| (seed, kinds))) {
        let model = trained_with(seed, Numbers::Real, kinds);
        let events =
            convert(&model, &Code::BitPlane.into()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let pixels = pixels(&model, 2, seed);
        let input = Input::Static(pixels.view());
        let (before, logits) = sites(&model, &input);
        let (after, converted) = sites(&events.model, &input);
        assert!(distance(&logits, &converted) < 1e-9, "seed {seed}: {logits:?} {converted:?}");
        for (name, trace) in &before {
            assert!(
                same(trace, &after[name]),
                "seed {seed}, {kinds:?}: site {name} differs ({} ties)\n{}",
                trace.ties,
                events.plan
            );
        }
    }
}

#[test]
fn every_model_goes_on_the_grid() {
    goes_on_the_grid(Sites::Basic);
}

#[test]
fn every_kind_of_site_goes_on_the_grid() {
    goes_on_the_grid(Sites::All);
}

/// `true` if a channel has weights of zero only (κ = 0): its unit is the floor, a part of its
/// thresholds that is no power of two, so that its bias is rounded.
fn has_dead_channels(events: &Model) -> bool {
    let synapses = events
        .graph()
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Conv(_) | Op::Linear { .. }));
    synapses
        .map(|node| events.weights()[&format!("{}.weight", node.name)].to_f64())
        .any(|weight| weight.outer_iter().any(|row| row.iter().all(|w| *w == 0.0)))
}

/// `true` if a node on the grid loses something: a weight, jump or threshold that is no whole
/// number (of units that a large threshold made coarse, say), a leak whose floor rounds.
fn loses(action: &Action) -> bool {
    match action {
        Action::Rounded { error, .. } => *error > 1e-9,
        Action::IntegerNeuron {
            jump_error, threshold_error, initial_error, floor_exact, ..
        } => !floor_exact || jump_error.max(*threshold_error).max(*initial_error) > 1e-9,
        _ => false,
    }
}

/// On the grid nothing is infinite, zero units do not divide, and most decisions survive 8 bits:
/// all of them where the numbers are whole numbers of the unit, that is with dyadic numbers, one
/// stream into every accumulator, weights in every channel and leaks that are exact.
fn goes_on_the_grid(kinds: Sites) {
    let (mut equal, mut total, mut exact) = (0_usize, 0_usize, 0);
    let real = (0..300).map(|seed| (seed, Numbers::Real));
    for (seed, numbers) in real.chain((0..900).map(|seed| (seed, Numbers::Dyadic))) {
        let model = trained_with(seed, numbers, kinds);
        let events = convert(&model, &Code::Graded.into()).unwrap();
        let grid = to_grid(&events.model, GridOptions::default())
            .unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", events.plan));
        let pixels = pixels(&model, 2, seed);
        let input = Input::Static(pixels.view());
        let (before, _) = sites(&events.model, &input);
        let (after, _) = sites(&grid.model, &input);
        let is_exact = numbers == Numbers::Dyadic
            && !events
                .model
                .graph()
                .nodes
                .iter()
                .any(|node| matches!(node.op, Op::Add | Op::Concat))
            && !has_dead_channels(&events.model)
            && !grid.plan.entries.iter().any(|entry| loses(&entry.action));
        exact += usize::from(is_exact);
        for (name, trace) in &before {
            let (SiteOutput::Levels(a), SiteOutput::Levels(b)) =
                (&trace.output, &after[name].output)
            else {
                panic!("levels")
            };
            assert!(!is_exact || a == b, "seed {seed}: site {name} differs\n{}", grid.plan);
            total += a.len();
            equal += a.iter().zip(b).filter(|(a, b)| a == b).count();
        }
    }
    assert!(exact > 20, "{exact} models without rounding");
    let share = equal as f64 / total as f64;
    assert!(share > 0.95, "{share} of {total} decisions are those before rounding");
}
