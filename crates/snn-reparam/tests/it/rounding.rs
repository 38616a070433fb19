//! The independent bound on rounding: it holds for what conversion makes and finds every nudge.

use ndarray::Axis;
use snn_ir::testing::{Numbers, Sites, trained_with};
use snn_ir::{Code, Form, InputMoments, LayerInputs, Model, Op, Tensor, weights};
use snn_reparam::proof::{Tuning, check_rounding, difference};
use snn_reparam::{GridOptions, convert, to_grid, to_grid_calibrated};

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
            Op::Activation { site: snn_ir::Site::GridLif(lif), .. } if lif.leak_multiplier > 1 => {
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

/// Moments as if every input were on by itself every other time.
fn coins(events: &Model) -> LayerInputs {
    let mut all = LayerInputs::new();
    for node in &events.graph().nodes {
        let groups = match &node.op {
            Op::Conv(conv) => conv.groups,
            Op::Linear { .. } => 1,
            _ => continue,
        };
        let weight = weights::real(events.weights(), &node.name, "weight").unwrap();
        let mut moments = InputMoments::new(weight.len() / weight.shape()[0]);
        moments.count = 100.0;
        moments.sums.fill(50.0);
        moments.products.fill(25.0);
        moments.products.diag_mut().fill(50.0);
        all.insert(node.name.clone(), vec![moments; groups]);
    }
    all
}

/// `true` for a weight `NODE.PART` of this part.
fn is_part(name: &str, part: &str) -> bool {
    name.rsplit('.').next() == Some(part)
}

/// Of independent inputs no error makes up for another, so that weights are the nearest; biases
/// make up for the mean, which the proof of a calibrated file allows and that of others does not.
#[test]
fn calibrated_files_are_next_to_the_nearest() {
    let (mut tried, mut told, mut product, mut square) = (0, 0, 0.0, 0.0);
    for seed in 0..40 {
        let options = GridOptions { calibration: 100, ..GridOptions::default() };
        let Some((events, nearest)) = pair(seed, options) else { continue };
        let calibrated = to_grid_calibrated(&events, options, &coins(&events)).unwrap().model;
        let strict = difference(&nearest, &calibrated, Tuning::None);
        let allowed = difference(&nearest, &calibrated, Tuning::Calibration);
        assert!(allowed.is_none(), "seed {seed}: {:?}", allowed.causes());
        for (name, tensor) in nearest.weights() {
            // Without a bias the mean error counts, and inputs with a mean are not independent.
            let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let has_bias = nearest.weights().contains_key(&format!("{layer}.bias"));
            let may_differ = is_part(name, "bias") || (is_part(name, "weight") && !has_bias);
            assert!(may_differ || calibrated.weights()[name] == *tensor, "seed {seed}: {name}");
        }
        tried += usize::from(!strict.is_none());
        // The bias takes up M·Σ e·μ, e = w/(M·u) − n, with every mean ½.
        for (name, bias) in calibrated.weights().iter().filter(|(name, _)| is_part(name, "bias")) {
            let layer = name.strip_suffix(".bias").unwrap();
            let real = |model: &Model, part| weights::real(model.weights(), layer, part).unwrap();
            let (integers, multiplier) = (real(&nearest, "weight"), real(&nearest, "multiplier"));
            let (exact, before) = (real(&events, "weight"), real(&nearest, "bias"));
            for (o, moved) in (&bias.to_f64() - &before).iter().enumerate() {
                let (row, n) = (exact.index_axis(Axis(0), o), integers.index_axis(Axis(0), o));
                let squares = n.iter().map(|n| n * n).sum::<f64>();
                let step = row.iter().zip(&n).map(|(w, n)| w * n).sum::<f64>() / squares;
                let errors: f64 = row.iter().zip(&n).map(|(w, n)| w / step - n).sum();
                let expected = 0.5 * multiplier[[o]] * errors;
                if squares > 0.0 && expected.abs() > 2.0 {
                    told += 1;
                    product += moved * expected;
                    square += expected * expected;
                }
            }
        }

        // Two integers off is too far.
        let mut wrong = calibrated.clone();
        let far = wrong.weights_mut().values_mut().find_map(|tensor| match tensor {
            Tensor::I8(values) => values.iter_mut().find(|n| n.abs() < 100),
            _ => None,
        });
        *far.unwrap() += 2;
        assert!(!difference(&nearest, &wrong, Tuning::Calibration).is_none());
        // And so is a bias that makes up for more than weights can do.
        let mut wrong = calibrated.clone();
        let mut biases = wrong.weights_mut().iter_mut().filter(|(name, _)| is_part(name, "bias"));
        if let Some((_, Tensor::I32(values))) = biases.next() {
            values[[0]] += 1_000_000_000;
        }
        assert!(
            wrong == calibrated || !difference(&nearest, &wrong, Tuning::Calibration).is_none()
        );
    }
    assert!(tried > 20 && told > 20, "{tried} {told}");
    // The step is known from the integers alone, and so are the errors, but for a little.
    assert!((0.8..1.2).contains(&(product / square)), "{product} {square}");
}

#[test]
fn moments_that_do_not_fit_are_refused_by_name() {
    let options = GridOptions { calibration: 100, ..GridOptions::default() };
    let (events, _) = pair(0, options).unwrap();
    let whole = coins(&events);
    let name = whole.keys().next().unwrap().clone();
    let refused = |inputs: &LayerInputs| {
        to_grid_calibrated(&events, options, inputs).unwrap_err().to_string()
    };
    let mut lacking = whole.clone();
    lacking.remove(&name);
    assert!(refused(&lacking).contains(&name), "{}", refused(&lacking));
    let mut short = whole.clone();
    short.insert(name.clone(), vec![InputMoments::new(1); 1]);
    assert!(refused(&short).contains("rows of"), "{}", refused(&short));
    let wide = GridOptions { calibration: 100, ..GridOptions::int16() };
    let error = to_grid_calibrated(&events, wide, &whole).unwrap_err().to_string();
    assert!(error.contains("16 bits"), "{error}");
}
