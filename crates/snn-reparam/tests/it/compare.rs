//! What a comparison counts, what fails it, and what a report says.

use ndarray::{Array2, ArrayD, IxDyn};
use snn_ir::{Evaluation, Logits, SiteOutput, SiteTrace};
use snn_reparam::proof::{
    Comparison, Findings, LayerRounding, Report, Strictness, Tuning, Verdict,
};

fn trace(site: &str, shape: &[usize], levels: &[i16], ties: u64) -> SiteTrace {
    let levels = ArrayD::from_shape_vec(IxDyn(shape), levels.to_vec()).unwrap();
    SiteTrace { site: site.into(), output: SiteOutput::Levels(levels), ties }
}

fn values(site: &str, values: &[f64]) -> SiteTrace {
    let values = ArrayD::from_shape_vec(IxDyn(&[1, 1, values.len()]), values.to_vec()).unwrap();
    SiteTrace { site: site.into(), output: SiteOutput::Values(values), ties: 0 }
}

fn real(rows: &[[f64; 3]], sites: Vec<SiteTrace>) -> Evaluation {
    Evaluation { logits: Logits::Real(Array2::from(rows.to_vec())), sites }
}

fn integer(rows: &[[i64; 3]], sites: Vec<SiteTrace>) -> Evaluation {
    Evaluation { logits: Logits::Integer(Array2::from(rows.to_vec())), sites }
}

fn active() -> Vec<SiteTrace> {
    vec![trace("a", &[1, 1, 3], &[1, 0, 2], 0)]
}

fn compared(strictness: Strictness, pairs: &[(Evaluation, Evaluation)]) -> Comparison {
    let mut comparison = Comparison::new(strictness, "reference", "candidate");
    for (reference, candidate) in pairs {
        comparison.add(reference, candidate).unwrap();
    }
    comparison
}

#[test]
fn equal_results_hold_at_every_level() {
    for level in [Strictness::Bitwise, Strictness::ZeroFlips, Strictness::Agreement] {
        let pair = || (real(&[[0.5, 1.0, -2.0]], active()), real(&[[0.5, 1.0, -2.0]], active()));
        let comparison = compared(level, &[pair(), pair()]);
        assert!(comparison.differences().is_empty(), "{:?}", comparison.differences());
        assert_eq!((comparison.samples, comparison.decisions, comparison.flips), (2, 6, 0));
        assert_eq!(
            (comparison.unequal_logits, comparison.class_changes, comparison.active_sites()),
            (0, 0, 1)
        );
    }
}

#[test]
fn flips_and_ties_are_counted_site_by_site() {
    let reference =
        || vec![trace("a", &[1, 1, 3], &[1, 0, 2], 5), trace("b", &[2, 1, 2], &[0, 1, 1, 0], 2)];
    // In another order: sites are found by name.
    let candidate =
        || vec![trace("b", &[2, 1, 2], &[0, 1, 0, 1], 0), trace("a", &[1, 1, 3], &[1, 0, 1], 0)];
    let pair = || (real(&[[0.0, 1.0, 2.0]], reference()), real(&[[0.0, 1.0, 2.0]], candidate()));
    let comparison = compared(Strictness::ZeroFlips, &[pair(), pair()]);
    assert_eq!((comparison.decisions, comparison.flips, comparison.ties), (14, 6, 14));
    let sites: Vec<_> = comparison
        .sites
        .iter()
        .map(|s| (s.site.as_str(), s.decisions, s.active, s.flips, s.ties))
        .collect();
    assert_eq!(sites, [("a", 6, 4, 2, 10), ("b", 8, 4, 4, 4)]);
    let failures = comparison.differences();
    assert!(
        failures.len() == 1 && failures[0].contains("6 of 14 decisions differ, first at site `a`"),
        "{failures:?}"
    );
    assert_eq!(comparison.pair(), "reference against candidate");
    assert!(
        compared(Strictness::Agreement, &[pair()]).differences().is_empty(),
        "measured, not demanded"
    );
    assert_eq!(compared(Strictness::Bitwise, &[pair()]).differences().len(), 1);
}

#[test]
fn values_of_a_relu_are_decisions_of_being_active() {
    let pair = (
        real(&[[0.0; 3]], vec![values("a", &[0.0, 1.0, 2.0, 0.0])]),
        real(&[[0.0; 3]], vec![values("a", &[0.0, 1.5, 0.0, 0.1])]),
    );
    let comparison = compared(Strictness::ZeroFlips, &[pair]);
    assert_eq!((comparison.decisions, comparison.flips, comparison.sites[0].active), (4, 2, 2));
}

#[test]
fn a_silent_site_fails() {
    let silent = || vec![trace("a", &[1, 1, 3], &[0; 3], 0), trace("b", &[1, 1, 1], &[1], 0)];
    let pair = || (real(&[[0.0; 3]], silent()), real(&[[0.0; 3]], silent()));
    let comparison = compared(Strictness::ZeroFlips, &[pair()]);
    assert_eq!(comparison.silent_sites().collect::<Vec<_>>(), ["a"]);
    assert_eq!((comparison.active_sites(), comparison.differences()), (1, Vec::new()));
    // However many comparisons see it, it is one cause.
    let report = judged(vec![comparison.clone(), comparison], false);
    assert!(
        report.failures.len() == 1
            && report.failures[0].contains("site `a` was silent on all 1 samples"),
        "{:?}",
        report.failures
    );
    // One sample that reaches it is enough.
    let awake = || vec![trace("a", &[1, 1, 3], &[0, 1, 0], 0), trace("b", &[1, 1, 1], &[0], 0)];
    let later = (real(&[[0.0; 3]], awake()), real(&[[0.0; 3]], awake()));
    let comparison = compared(Strictness::ZeroFlips, &[pair(), later]);
    assert_eq!(comparison.silent_sites().count(), 0);
    assert!(judged(vec![comparison], false).holds());
}

#[test]
fn nothing_compared_is_nothing_shown() {
    let failures = Comparison::new(Strictness::Bitwise, "a", "b").differences();
    assert!(
        failures.iter().any(|failure| failure.contains("no samples were compared")),
        "{failures:?}"
    );
    let report = judged(Vec::new(), true);
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(report.failures[0].contains("nothing was compared"), "{:?}", report.failures);
}

#[test]
fn logits_at_each_level() {
    let of = |level, a: [f64; 3], b: [f64; 3]| {
        compared(level, &[(real(&[a], active()), real(&[b], active()))])
    };
    // The last bit.
    let a = [1.0, 2.0, 4.0];
    let b = [1.0, 2.0, 4.0 + f64::EPSILON * 4.0];
    assert_eq!(of(Strictness::Bitwise, a, b).unequal_logits, 1);
    assert!(of(Strictness::Bitwise, a, b).differences()[0].contains("1 logits differ"));
    assert!(of(Strictness::ZeroFlips, a, b).differences().is_empty());
    // More than rounding, relative to the largest.
    let far = of(Strictness::ZeroFlips, a, [1.0, 2.5, 4.0]);
    assert!((far.logit_difference.unwrap() - 0.125).abs() < 1e-15);
    assert!(
        far.differences()[0].contains("logits differ by 1.2e-1 of the largest"),
        "{:?}",
        far.differences()
    );
    assert_eq!(of(Strictness::ZeroFlips, a, [5.0, 2.0, 4.0]).class_changes, 1);
    let pair =
        (integer(&[[1, 2, 3], [5, 5, 5]], active()), integer(&[[1, 2, 3], [5, 5, 6]], active()));
    let comparison = compared(Strictness::Bitwise, &[pair]);
    assert_eq!(
        (comparison.unequal_logits, comparison.class_changes, comparison.samples),
        (1, 1, 2)
    );
    assert!(
        (comparison.logit_difference.unwrap() - 1.0 / 5.0).abs() < 1e-15,
        "of the reference's largest"
    );
    assert_eq!(comparison.differences().len(), 1);
}

#[test]
fn logits_that_are_not_numbers_fail_wherever_they_stand() {
    for position in 0..3 {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for both in [false, true] {
                let (mut a, mut b) = ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]);
                b[position] = bad;
                if both {
                    a[position] = bad;
                }
                let fine = || (real(&[[1.0; 3]], active()), real(&[[1.0; 3]], active()));
                let pair = || (real(&[a], active()), real(&[b], active()));
                for pairs in [vec![pair()], vec![pair(), fine()], vec![fine(), pair()]] {
                    let comparison = compared(Strictness::ZeroFlips, &pairs);
                    assert!(!comparison.differences().is_empty(), "{position} {bad} {both}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let error = |a: &Evaluation, b: &Evaluation| {
        Comparison::new(Strictness::ZeroFlips, "one", "other").add(a, b).unwrap_err().to_string()
    };
    let a = real(&[[0.0; 3]], active());
    let mut b = real(&[[0.0; 3], [0.0; 3]], active());
    assert!(error(&a, &b).contains("logits of different kinds or shapes"));
    b = integer(&[[0; 3]], active());
    assert!(error(&a, &b).contains("one and other have logits of different kinds"));
    b = real(&[[0.0; 3]], vec![trace("a", &[3, 1, 1], &[1, 0, 2], 0)]);
    assert!(error(&a, &b).contains("site `a` has different shapes"));
    b = real(&[[0.0; 3]], vec![values("a", &[1.0, 0.0, 2.0])]);
    assert!(error(&a, &b).contains("site `a` has different shapes or kinds"));
    b = real(&[[0.0; 3]], vec![trace("b", &[1, 1, 3], &[1, 0, 2], 0)]);
    assert!(error(&a, &b).contains("site `a` was recorded by one only"));
    b = real(&[[0.0; 3]], Vec::new());
    assert!(error(&a, &b).contains("one recorded 1 sites, other 0"));
    assert!(error(&b, &b).contains("recorded 0 sites"), "sites were not recorded at all");
    // A batch with other sites than the batches before.
    let mut comparison = compared(Strictness::ZeroFlips, &[(a.clone(), a.clone())]);
    let two =
        real(&[[0.0; 3]], vec![trace("a", &[1, 1, 1], &[1], 0), trace("b", &[1, 1, 1], &[1], 0)]);
    assert!(
        comparison.add(&two, &two).unwrap_err().to_string().contains("1 sites before and 2 now")
    );
}

// === Reports ===

fn holding() -> Comparison {
    compared(
        Strictness::ZeroFlips,
        &[(real(&[[0.0, 1.0, 2.0]], active()), real(&[[0.0, 1.0, 2.0]], active()))],
    )
}

/// The judgement of these comparisons, with accuracies that are equal.
fn judged(comparisons: Vec<Comparison>, on_grid: bool) -> Report {
    Report::new(Findings { on_grid, comparisons, ..Findings::default() })
}

fn report(accuracies: (f64, f64), max_drop: f64) -> Report {
    Report::new(Findings {
        accuracy_reference: accuracies.0,
        accuracy_converted: accuracies.1,
        max_drop,
        comparisons: vec![holding()],
        ..Findings::default()
    })
}

#[test]
fn accuracy_may_fall_by_so_much_and_no_more() {
    assert!(report((90.0, 90.0), 0.0).holds());
    assert!(report((90.0, 91.0), 0.0).holds(), "a gain is no drop");
    assert!(report((90.0, 89.0), 1.0).holds());
    let falls = report((90.0, 88.5), 1.0);
    assert!(
        !falls.holds() && falls.failures[0].contains("fell by 1.50 points, allowed are 1"),
        "{:?}",
        falls.failures
    );
    for (a, b, max_drop) in [(f64::NAN, 90.0, 1.0), (90.0, f64::NAN, 1.0), (90.0, 90.0, f64::NAN)] {
        assert!(!report((a, b), max_drop).holds(), "{a} {b} {max_drop}");
    }
}

#[test]
fn a_report_holds_only_if_every_comparison_does() {
    let flipped = compared(
        Strictness::ZeroFlips,
        &[(
            real(&[[0.0; 3]], active()),
            real(&[[0.0; 3]], vec![trace("a", &[1, 1, 3], &[1, 1, 2], 0)]),
        )],
    );
    let report = judged(vec![holding(), flipped], true);
    assert_eq!((report.flips, report.samples, report.sites, report.active_sites), (1, 1, 1, 1));
    assert!(!report.holds());
    let other = Report::new(Findings {
        comparisons: vec![holding()],
        failures: vec!["the file is another".into()],
        ..Findings::default()
    });
    assert_eq!(
        (other.holds(), other.failures.as_slice()),
        (false, ["the file is another".to_string()].as_slice())
    );
    // The naive evaluator sees few samples; silence there is not held against the network, a flip
    // is.
    let silent = vec![trace("a", &[1, 1, 3], &[0; 3], 0)];
    let few = compared(
        Strictness::Bitwise,
        &[(integer(&[[1, 2, 3]], silent.clone()), integer(&[[1, 2, 3]], silent))],
    );
    let many = compared(
        Strictness::ZeroFlips,
        &[(real(&[[0.0, 1.0, 2.0]; 2], active()), real(&[[0.0, 1.0, 2.0]; 2], active()))],
    );
    let report = judged(vec![many, few], true);
    assert!(report.holds(), "{:?}", report.failures);
}

#[test]
fn pairs_that_fail_alike_are_one_cause() {
    let flipped = |candidate: &str| {
        let mut comparison = Comparison::new(Strictness::Bitwise, "events", candidate);
        let wrong = vec![trace("a", &[1, 1, 3], &[1, 1, 2], 0)];
        comparison.add(&integer(&[[1, 2, 3]], active()), &integer(&[[1, 2, 4]], wrong)).unwrap();
        comparison
    };
    let names = ["scalar", "avx2", "avx512", "avx512vnni"];
    let report = judged(names.map(flipped).into(), true);
    assert_eq!(report.failures.len(), 2, "{:?}", report.failures);
    let first = "events against scalar (and 3 more comparisons): 1 of 3 decisions differ";
    assert!(report.failures[0].starts_with(first), "{:?}", report.failures);
    assert!(report.failures[1].ends_with("1 logits differ"), "{:?}", report.failures);
}

#[test]
fn a_flip_in_f64_at_a_tie_says_so() {
    let pair = (
        real(&[[0.0; 3]], vec![trace("a", &[1, 1, 3], &[1, 0, 2], 7)]),
        real(&[[0.0; 3]], vec![trace("a", &[1, 1, 3], &[1, 1, 2], 0)]),
    );
    let causes = compared(Strictness::ZeroFlips, std::slice::from_ref(&pair)).differences();
    assert!(causes[0].contains("7 decisions were ties"), "{causes:?}");
    // On the grid there are none.
    let causes = compared(Strictness::Bitwise, &[pair]).differences();
    assert!(!causes[0].contains("ties"), "{causes:?}");
}

#[test]
fn a_verdict_says_of_how_many_images_classes_and_weights() {
    let of = |tuning, test_samples, on_grid| {
        Report::new(Findings {
            on_grid,
            tuning,
            test_samples,
            class_changes: 1,
            changed_weights: 3,
            weights: 50,
            comparisons: vec![compared(
                Strictness::Bitwise,
                &[(integer(&[[1, 2, 3]; 4], four()), integer(&[[1, 2, 3]; 4], four()))],
            )],
            ..Findings::default()
        })
    };
    let bitwise = of(Tuning::None, Some(1000), true);
    assert_eq!(
        bitwise.verdict_line(),
        "holds: bitwise; 4 of 1000 images; 75.0 % keep their class (1 changed); 3 of 50 weights \
         differ from the run's conversion"
    );
    assert!(
        of(Tuning::None, None, false).verdict_line().starts_with("holds: zero flips; 4 images")
    );
    // A fine-tuned model never holds bitwise, and not at all on a few images of many.
    for many in [None, Some(1000), Some(5)] {
        let few = of(Tuning::Weights, many, true);
        assert_eq!((few.verdict, few.holds()), (Verdict::Unproven, false));
        assert!(few.failures[0].contains("images at least, these are 4"), "{:?}", few.failures);
    }
    let all = of(Tuning::Weights, Some(4), true);
    assert_eq!((all.verdict, all.holds()), (Verdict::FineTuned, true));
    assert!(!all.verdict_line().contains("bitwise"));
}

/// With a few images the frames that are made of them are as many.
#[test]
fn made_frames_say_nothing_of_silence() {
    let silent = || vec![trace("a", &[1, 4, 1], &[0, 0, 0, 0], 0)];
    let compared = |sites: fn() -> Vec<SiteTrace>| {
        let pair = (integer(&[[1, 2, 3]; 4], sites()), integer(&[[1, 2, 3]; 4], sites()));
        vec![compared(Strictness::Bitwise, &[pair])]
    };
    let judged = |comparisons, made_frames| {
        Report::new(Findings { on_grid: true, comparisons, made_frames, ..Findings::default() })
    };
    let holds = judged(compared(four), compared(silent));
    assert_eq!((holds.verdict, holds.active_sites), (Verdict::Bitwise, 1));
    assert_eq!(holds.comparisons.len(), 2);
    let fails = judged(compared(silent), compared(four));
    assert_eq!((fails.verdict, fails.active_sites), (Verdict::Failed, 0));
    assert!(fails.failures[0].contains("silent on all 4"), "{:?}", fails.failures);
}

/// Half a step is said of the file's own weights only where they are the conversion's.
#[test]
fn a_rounding_line_says_what_was_shown() {
    let line = |largest_error, changed_weights| {
        let layer =
            LayerRounding { node: "fc".into(), weights: 50, largest_error, relative_error: 0.01 };
        let findings = Findings { rounding: vec![layer], changed_weights, ..Findings::default() };
        Report::new(findings).rounding_line().unwrap()
    };
    assert_eq!(
        line(0.5, 0),
        "every one of 50 weights is within half a step of its real value (largest 0.500 steps, \
         `fc`)"
    );
    let changed = line(0.5, 3);
    assert!(changed.starts_with("in the run's conversion every one"), "{changed}");
    assert!(
        changed.ends_with(
            "3 values of the file are not the conversion's, and nothing bounds \
                               them"
        ),
        "{changed}"
    );
    for error in [0.51, f64::INFINITY, f64::NAN] {
        let line = line(error, 0);
        assert!(line.contains("more than half a step") && !line.contains("every"), "{line}");
    }
    assert_eq!(Report::new(Findings::default()).rounding_line(), None);
}

fn four() -> Vec<SiteTrace> {
    vec![trace("a", &[1, 4, 1], &[1, 0, 2, 1], 0)]
}
