//! The runtime against the naive evaluator: equal bits, whatever the graph and the codes.

use crate::draw::{Numbers, model, pixels, recoded};
use proptest::prelude::*;
use snn_ir::Naive;
use snn_ir::{Code, Evaluate, Evaluation, Input, Model, Record};
use snn_runtime::Counting;

/// At least this many models of each kind; `SNN_CASES` raises it.
const CASES: u32 = 256;

fn config() -> ProptestConfig {
    let cases = std::env::var("SNN_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn agree(found: &Evaluation, expected: &Evaluation, what: &str) {
    for (found, expected) in found.sites.iter().zip(&expected.sites) {
        assert_eq!(found.site, expected.site, "{what}");
        assert_eq!(found.output, expected.output, "{what}: site {}", found.site);
    }
    assert_eq!(found.sites.len(), expected.sites.len(), "{what}");
    assert_eq!(found.logits, expected.logits, "{what}");
}

fn check(model: &Model, seed: u64) {
    let (batch, steps) = (2, model.time_steps());
    let (images, frames) = (pixels(model, &[batch], seed), pixels(model, &[steps, batch], seed));
    for input in [Input::Static(images.view()), Input::Frames(frames.view())] {
        let expected = Naive::new(model).unwrap().evaluate(&input, Record::Sites).unwrap();
        let mut codes = vec![("as drawn", model.clone())];
        codes.extend(
            [Code::Unary, Code::BitPlane, Code::Graded]
                .map(|code| (code.label(), recoded(model, code))),
        );
        for (code, model) in codes {
            let what = format!("{code}, frames {}", input.varies());
            let mut runtime = Counting::new(&model).unwrap();
            agree(&runtime.evaluate(&input, Record::Sites).unwrap(), &expected, &what);
            let again = runtime.evaluate(&input, Record::Logits).unwrap();
            assert_eq!(again.logits, expected.logits, "{what}: a second time");
            assert!(again.sites.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn grid_models_give_the_same_bits(seed in any::<u64>(), size in 0_usize..14) {
        check(&model(seed, size, Numbers::Integer), seed);
    }

    #[test]
    fn events_models_give_the_same_bits(seed in any::<u64>(), size in 0_usize..10) {
        check(&model(seed, size, Numbers::Dyadic), seed);
    }

    #[test]
    fn coarse_events_models_give_the_same_bits(seed in any::<u64>(), size in 0_usize..8) {
        check(&model(seed, size, Numbers::Coarse), seed);
    }
}

/// Random models are of use only if neurons both fire and stay silent, meet thresholds exactly, and
/// streams of every kind occur.
#[test]
fn drawn_models_are_not_trivial() {
    let (mut active, mut values, mut varied, mut ties) = (0, 0, 0, 0);
    for seed in 0..200 {
        let model = model(seed, 8, Numbers::Dyadic);
        let images = pixels(&model, &[2], seed);
        for trace in Naive::new(&model)
            .unwrap()
            .evaluate(&Input::Static(images.view()), Record::Sites)
            .unwrap()
            .sites
        {
            let (on, all) = (trace.output.active(), trace.output.len() as u64);
            (active, values, ties) = (active + on, values + all, ties + trace.ties);
            varied += u64::from(on > 0 && on < all);
        }
    }
    assert!(
        (0.1..0.9).contains(&(active as f64 / values as f64)),
        "{active} of {values} values are active"
    );
    assert!(varied > 300, "{varied} sites do something");
    assert!(ties * 20 > values, "{ties} ties in {values} values");
}
