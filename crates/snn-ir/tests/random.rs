//! Random models are valid, and the naive evaluator runs every one of them.

use snn_ir::naive::Naive;
use snn_ir::random::{Numbers, pixels, trained};
use snn_ir::{Evaluate, Input, Record};

#[test]
fn every_random_model_validates_and_runs() {
    let mut ties = 0;
    let mut active = 0;
    for seed in 0..400 {
        for numbers in [Numbers::Real, Numbers::Dyadic] {
            let model = trained(seed, numbers);
            model.validate().unwrap_or_else(|e| panic!("seed {seed} {numbers:?}: {e}\n{:#?}", model.graph));
            let pixels = pixels(&model, 1, seed);
            let result = Naive::new(&model).unwrap().evaluate(&Input::Static(pixels.view()), Record::Sites).unwrap();
            if numbers == Numbers::Dyadic {
                ties += result.sites.iter().map(|s| s.ties).sum::<u64>();
            }
            active += result.sites.iter().filter(|s| s.output.active() > 0).count();
        }
    }
    assert!(ties > 1000, "dyadic models must meet thresholds exactly, found {ties} ties");
    assert!(active > 1000);
}
