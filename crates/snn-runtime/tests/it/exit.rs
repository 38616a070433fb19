//! Runs that end early: the sums of a network with that many macro-steps, rules read off
//! trajectories, calibration.

use crate::draw::{Numbers, model, pixels};
use ndarray::Axis;
use snn_ir::Naive;
use snn_ir::{Evaluate, Input, Logits, Model, Record};
use snn_runtime::Sums;
use snn_runtime::deploy::{Confidence, Deployment, Options, Trajectories};

/// Sums of the naive evaluator for an image with this many macro-steps.
fn naive(model: &Model, image: &ndarray::ArrayD<u8>, steps: usize) -> Vec<i64> {
    let model = model.clone().with_time_steps(steps);
    let image = image.view().insert_axis(Axis(0));
    let found =
        Naive::new(&model).unwrap().evaluate(&Input::Static(image), Record::Logits).unwrap();
    let Logits::Integer(sums) = found.logits else { panic!("integers") };
    sums.iter().copied().collect()
}

/// The lead of the first over the second.
fn lead(sums: &[i64]) -> Option<i64> {
    let mut sorted = sums.to_vec();
    sorted.sort_unstable();
    Some(sorted[sorted.len() - 1] - sorted[sorted.len().checked_sub(2)?])
}

#[test]
fn a_run_ends_at_the_first_macro_step_that_is_sure_with_the_sums_so_far() {
    let (mut early, mut late) = (0, 0);
    for seed in 0..150 {
        let model = model(seed, 8, Numbers::Integer).with_time_steps(4);
        let image = pixels(&model, &[], seed);
        let sums: Vec<Vec<i64>> = (1..=4).map(|steps| naive(&model, &image, steps)).collect();
        let leads: Vec<Option<i64>> = sums.iter().map(|sums| lead(sums)).collect();
        // What a head that does not sum holds is the score of one step.
        let readout = model.graph().readout();
        let summed = |t: u64| i64::try_from(readout.divisor(t)).unwrap();
        let margins = leads.iter().zip(1_u64..).filter_map(|(lead, t)| Some((*lead)? / summed(t)));
        for threads in [1, 2] {
            let options = Options { threads, ..Options::default() };
            let mut session = Deployment::new(&model, &options).unwrap().session();
            for margin in margins.clone().chain([0, 1, i64::MAX]) {
                let expected = (1..4)
                    .find(|&t| {
                        let least = i128::from(margin) * i128::from(summed(t as u64));
                        leads[t - 1].is_some_and(|lead| i128::from(lead) >= least)
                    })
                    .unwrap_or(4);
                let exit =
                    session.run_until(image.as_slice().unwrap(), Confidence { margin }).unwrap();
                assert_eq!(exit.steps, expected, "seed {seed}, margin {margin}");
                assert_eq!(
                    exit.scores.sums(),
                    Sums::Integer(&sums[expected - 1]),
                    "seed {seed}, margin {margin}"
                );
                if expected < 4 { early += 1 } else { late += 1 }
            }
            // Nothing is left behind: a whole run follows with the sums of all macro-steps.
            assert_eq!(
                session.run(image.as_slice().unwrap()).unwrap().sums(),
                Sums::Integer(&sums[3])
            );
        }
    }
    assert!(early > 100 && late > 100, "{early} ended early, {late} did not");
}

#[test]
fn trajectories_say_what_runs_do() {
    for seed in 0..40 {
        let model = model(seed, 8, Numbers::Integer).with_time_steps(3);
        let deployment = Deployment::new(&model, &Options::default()).unwrap();
        let mut session = deployment.session();
        let images = pixels(&model, &[12], seed);
        let images = images.as_slice().unwrap();
        let size = images.len() / 12;
        let classes = session.run(&images[..size]).map(|scores| scores.len());
        let classes = classes.unwrap();
        let labels: Vec<usize> = (0..12).map(|image| image % classes).collect();
        let trajectories = Trajectories::record(&mut session, images, &labels).unwrap();
        assert_eq!(trajectories.images(), 12);
        assert!(trajectories.nanoseconds_of_run() > 0.0);
        let curve = trajectories.curve(6);
        assert!(curve.len() > 1 && curve.len() <= 6);
        assert_eq!(curve[0].confidence.margin, 0);
        assert_eq!(curve.last().unwrap().confidence, Confidence::NEVER);
        assert!((curve.last().unwrap().steps - 3.0).abs() < 1e-12);
        assert!(curve.windows(2).all(|pair| {
            pair[0].confidence.margin < pair[1].confidence.margin
                && pair[0].steps <= pair[1].steps
                && pair[0].nanoseconds <= pair[1].nanoseconds
        }));
        for point in curve.iter().chain([&trajectories.at(Confidence { margin: 3 })]) {
            let (mut correct, mut steps) = (0_u32, 0_usize);
            for (image, &label) in images.chunks_exact(size).zip(&labels) {
                let exit = session.run_until(image, point.confidence).unwrap();
                correct += u32::from(exit.scores.argmax() == label);
                steps += exit.steps;
            }
            assert!(
                (point.accuracy - f64::from(correct) / 12.0).abs() < 1e-12,
                "seed {seed}, {point:?}"
            );
            assert!((point.steps - steps as f64 / 12.0).abs() < 1e-12, "seed {seed}, {point:?}");
        }
        // A loss of everything is always borne; none is borne only by rules that lose nothing.
        assert_eq!(trajectories.calibrate(1.0).confidence.margin, 0);
        let whole = trajectories.at(Confidence::NEVER);
        assert!(trajectories.calibrate(0.0).accuracy >= whole.accuracy);
        assert!(trajectories.calibrate(0.0).steps <= whole.steps);
        assert_eq!(trajectories.calibrate(f64::NAN), whole);
        assert_eq!(trajectories.calibrate(-2.0), whole);
    }
}

#[test]
fn images_and_labels_must_fit() {
    let model = model(3, 6, Numbers::Integer);
    let mut session = Deployment::new(&model, &Options::default()).unwrap().session();
    let images = pixels(&model, &[2], 0);
    let images = images.as_slice().unwrap();
    for (pixels, labels, what) in [
        (&images[..0], vec![], "at least 1"),
        (&images[1..], vec![0, 0], "2 labels"),
        (images, vec![0, 100_000], "value 1: expected a label below"),
    ] {
        let error = Trajectories::record(&mut session, pixels, &labels).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    assert!(session.run_until(&images[1..], Confidence::NEVER).is_err());
}
