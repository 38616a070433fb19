//! Random models are valid, and the naive evaluator runs every one of them.

use snn_ir::Naive;
use snn_ir::testing::{Numbers, Sites, pixels, trained, trained_with};
use snn_ir::{Evaluate, Input, Record};

#[test]
fn every_random_model_validates_and_runs() {
    let mut ties = 0;
    let mut active = 0;
    for seed in 0..400 {
        for (numbers, sites) in [
            (Numbers::Real, Sites::Basic),
            (Numbers::Dyadic, Sites::Basic),
            (Numbers::Real, Sites::All),
            (Numbers::Dyadic, Sites::All),
        ] {
            let model = trained_with(seed, numbers, sites);
            model
                .validate()
                .unwrap_or_else(|e| panic!("seed {seed} {numbers:?}: {e}\n{:#?}", model.graph()));
            let pixels = pixels(&model, 1, seed);
            let result = Naive::new(&model)
                .unwrap()
                .evaluate(&Input::Static(pixels.view()), Record::Sites)
                .unwrap();
            if numbers == Numbers::Dyadic {
                ties += result.sites.iter().map(|s| s.ties).sum::<u64>();
            }
            active += result.sites.iter().filter(|s| s.output.active() > 0).count();
        }
    }
    assert!(ties > 1000, "dyadic models must meet thresholds exactly, found {ties} ties");
    assert!(active > 1000);
}

#[test]
fn every_kind_of_site_is_drawn() {
    let mut labels = std::collections::BTreeSet::new();
    for seed in 0..200 {
        assert_eq!(trained(seed, Numbers::Real), trained_with(seed, Numbers::Real, Sites::Basic));
        let model = trained_with(seed, Numbers::Real, Sites::All);
        labels.extend(model.graph().sites().unwrap().iter().map(|info| info.site.label()));
    }
    let expected = [
        "adaptive_lif",
        "current_lif",
        "if",
        "integer_lif",
        "lif",
        "plif",
        "quant_relu",
        "ternary_lif",
    ];
    assert!(labels.iter().eq(expected.iter()), "{labels:?}");
}
