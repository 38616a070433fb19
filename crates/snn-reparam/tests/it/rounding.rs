//! The independent bound on rounding: it holds for what conversion makes and finds every nudge.

use snn_ir::testing::{Numbers, Sites, trained_with};
use snn_ir::{Code, Form, Model, Tensor};
use snn_reparam::proof::check_rounding;
use snn_reparam::{GridOptions, convert, to_grid};

fn pair(seed: u64, options: GridOptions) -> Option<(Model, Model)> {
    let kinds = if seed.is_multiple_of(2) { Sites::Basic } else { Sites::All };
    let trained = trained_with(seed, Numbers::Real, kinds);
    let events = convert(&trained, &Code::Graded.into()).unwrap().model;
    let grid = to_grid(&events, options).ok()?.model;
    Some((events, grid))
}

#[test]
fn every_conversion_is_within_half_a_step() {
    let mut errors = Vec::new();
    for seed in 0..400 {
        let options = match seed % 4 {
            0 => GridOptions::default(),
            3 => GridOptions::int16(),
            1 => GridOptions { guard_bits: 4, leak_bits: 6, ..GridOptions::default() },
            _ => GridOptions { guard_bits: 2, leak_bits: 16, ..GridOptions::default() },
        };
        let Some((events, grid)) = pair(seed, options) else { continue };
        let (found, causes) = check_rounding(&events, &grid, options).unwrap();
        assert_eq!(causes, Vec::<String>::new(), "seed {seed}");
        for layer in &found {
            assert!((0.0..=0.500_001).contains(&layer.largest_error), "seed {seed}: {layer:?}");
            // A layer whose weights are far below everything else they meet is rounded to zeros.
            assert!((0.0..=1.0).contains(&layer.relative_error), "seed {seed}: {layer:?}");
            errors.push(layer.relative_error);
        }
    }
    assert!(errors.len() > 600, "{}", errors.len());
    errors.sort_by(f64::total_cmp);
    assert!(errors[errors.len() / 2] < 0.01, "half of the layers lose below 1 %");
}

/// A weight by two steps, a bias, a threshold or a multiplier by enough to see, a leak by one bit:
/// each is found, and named.
#[test]
fn an_integer_that_is_not_the_nearest_is_found() {
    let (mut tried, mut found) = (0, 0);
    for seed in 0..60 {
        let Some((events, grid)) = pair(seed, GridOptions::default()) else { continue };
        for name in grid.weights().keys() {
            let mut wrong = grid.clone();
            match wrong.weights_mut().get_mut(name).unwrap() {
                Tensor::I8(values) => {
                    let largest = values.iter().map(|n| n.unsigned_abs()).max().unwrap();
                    if largest < 100 {
                        continue; // a channel of small weights leaves its scale open
                    }
                    let n = values.iter_mut().max_by_key(|n| n.unsigned_abs()).unwrap();
                    *n -= 3 * n.signum();
                }
                Tensor::I32(values) => {
                    let n = values.iter_mut().max_by_key(|n| n.unsigned_abs()).unwrap();
                    if n.unsigned_abs() < 100 {
                        continue;
                    }
                    *n += *n / 8;
                }
                _ => panic!("integers"),
            }
            tried += 1;
            let (_, causes) = check_rounding(&events, &wrong, GridOptions::default()).unwrap();
            found += usize::from(!causes.is_empty());
        }
    }
    // What is not found is a channel of one weight, whose scale can follow it, and nothing else
    // that speaks of that scale.
    assert!(tried > 300, "{tried}");
    assert!(found as f64 > 0.9 * f64::from(tried), "{found} of {tried}");
}

#[test]
fn a_leak_that_is_one_bit_off_is_found() {
    let options = GridOptions::default();
    let mut tried = 0;
    for seed in 0..40 {
        let Some((events, grid)) = pair(seed, options) else { continue };
        let mut wrong = grid.clone();
        let leak = wrong.graph_mut().nodes.iter_mut().find_map(|node| match &mut node.op {
            snn_ir::Op::Activation { site: snn_ir::Site::GridLif(lif), .. }
                if lif.leak_multiplier > 1 =>
            {
                Some(&mut lif.leak_multiplier)
            }
            _ => None,
        });
        let Some(leak) = leak else { continue };
        *leak -= 1;
        tried += 1;
        let (_, causes) = check_rounding(&events, &wrong, options).unwrap();
        assert!(causes.iter().any(|cause| cause.contains("leak")), "seed {seed}: {causes:?}");
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn other_forms_are_refused() {
    let (events, grid) = pair(0, GridOptions::default()).unwrap();
    assert!(check_rounding(&events, &events, GridOptions::default()).is_err());
    assert!(check_rounding(&grid, &grid, GridOptions::default()).is_err());
    assert!(matches!(grid.form(), Form::Grid { .. }));
}
