//! What a comparison counts, what fails it, and what a report says.

mod network;

use ndarray::{Array2, ArrayD, IxDyn};
use snn_ir::naive::Naive;
use snn_ir::random::{Numbers, pixels, trained};
use snn_ir::{
    Code, Conv, Evaluate, Evaluation, Form, Graph, Input, Lif, Logits, Model, Op, Record, Site,
    SiteOutput, SiteTrace, Tensor,
};
use snn_reparam::proof::{Batch, Demands, Deployed, Grid, Interpreters, Proof};
use snn_reparam::verify::{Comparison, Level, Report, Tuning, same_conversion};
use snn_reparam::{GridOptions, convert, to_grid};

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

fn compared(level: Level, pairs: &[(Evaluation, Evaluation)]) -> Comparison {
    let mut comparison = Comparison::new(level, "reference", "candidate");
    for (reference, candidate) in pairs {
        comparison.add(reference, candidate).unwrap();
    }
    comparison
}

#[test]
fn equal_results_hold_at_every_level() {
    for level in [Level::Bitwise, Level::ZeroFlips, Level::Agreement] {
        let pair = || (real(&[[0.5, 1.0, -2.0]], active()), real(&[[0.5, 1.0, -2.0]], active()));
        let comparison = compared(level, &[pair(), pair()]);
        assert!(comparison.failures().is_empty(), "{:?}", comparison.failures());
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
    let comparison = compared(Level::ZeroFlips, &[pair(), pair()]);
    assert_eq!((comparison.decisions, comparison.flips, comparison.ties), (14, 6, 14));
    let sites: Vec<_> = comparison
        .sites
        .iter()
        .map(|s| (s.site.as_str(), s.decisions, s.active, s.flips, s.ties))
        .collect();
    assert_eq!(sites, [("a", 6, 4, 2, 10), ("b", 8, 4, 4, 4)]);
    let failures = comparison.failures();
    assert!(
        failures.len() == 1 && failures[0].contains("6 of 14 decisions differ, first at site `a`"),
        "{failures:?}"
    );
    assert!(failures[0].contains("reference against candidate"));
    assert!(compared(Level::Agreement, &[pair()]).failures().is_empty(), "measured, not demanded");
    assert_eq!(compared(Level::Bitwise, &[pair()]).failures().len(), 1);
}

#[test]
fn values_of_a_relu_are_decisions_of_being_active() {
    let pair = (
        real(&[[0.0; 3]], vec![values("a", &[0.0, 1.0, 2.0, 0.0])]),
        real(&[[0.0; 3]], vec![values("a", &[0.0, 1.5, 0.0, 0.1])]),
    );
    let comparison = compared(Level::ZeroFlips, &[pair]);
    assert_eq!((comparison.decisions, comparison.flips, comparison.sites[0].active), (4, 2, 2));
}

#[test]
fn a_silent_site_fails() {
    let silent = || vec![trace("a", &[1, 1, 3], &[0; 3], 0), trace("b", &[1, 1, 1], &[1], 0)];
    let pair = || (real(&[[0.0; 3]], silent()), real(&[[0.0; 3]], silent()));
    let comparison = compared(Level::ZeroFlips, &[pair()]);
    let failures = comparison.failures();
    assert!(
        failures.len() == 1 && failures[0].contains("site `a` was silent on every sample"),
        "{failures:?}"
    );
    assert_eq!(comparison.active_sites(), 1);
    // One sample that reaches it is enough.
    let awake = || vec![trace("a", &[1, 1, 3], &[0, 1, 0], 0), trace("b", &[1, 1, 1], &[0], 0)];
    let later = (real(&[[0.0; 3]], awake()), real(&[[0.0; 3]], awake()));
    assert!(compared(Level::ZeroFlips, &[pair(), later]).failures().is_empty());
}

#[test]
fn nothing_compared_is_nothing_shown() {
    let failures = Comparison::new(Level::Bitwise, "a", "b").failures();
    assert!(
        failures.iter().any(|failure| failure.contains("no samples were compared")),
        "{failures:?}"
    );
    let report = Report::new(Level::Bitwise, (50.0, 50.0), 1.0, Vec::new(), Vec::new());
    assert!(!report.holds());
}

#[test]
fn logits_at_each_level() {
    let of = |level, a: [f64; 3], b: [f64; 3]| {
        compared(level, &[(real(&[a], active()), real(&[b], active()))])
    };
    // The last bit.
    let a = [1.0, 2.0, 4.0];
    let b = [1.0, 2.0, 4.0 + f64::EPSILON * 4.0];
    assert_eq!(of(Level::Bitwise, a, b).unequal_logits, 1);
    assert!(of(Level::Bitwise, a, b).failures()[0].contains("1 logits differ"));
    assert!(of(Level::ZeroFlips, a, b).failures().is_empty());
    // More than rounding, relative to the largest.
    let far = of(Level::ZeroFlips, a, [1.0, 2.5, 4.0]);
    assert!((far.logit_difference.unwrap() - 0.125).abs() < 1e-15);
    assert!(
        far.failures()[0].contains("logits differ by 1.2e-1 of the largest"),
        "{:?}",
        far.failures()
    );
    assert_eq!(of(Level::ZeroFlips, a, [5.0, 2.0, 4.0]).class_changes, 1);
    let pair =
        (integer(&[[1, 2, 3], [5, 5, 5]], active()), integer(&[[1, 2, 3], [5, 5, 6]], active()));
    let comparison = compared(Level::Bitwise, &[pair]);
    assert_eq!(
        (comparison.unequal_logits, comparison.class_changes, comparison.samples),
        (1, 1, 2)
    );
    assert!(
        (comparison.logit_difference.unwrap() - 1.0 / 5.0).abs() < 1e-15,
        "of the reference's largest"
    );
    assert_eq!(comparison.failures().len(), 1);
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
                    let comparison = compared(Level::ZeroFlips, &pairs);
                    assert!(!comparison.failures().is_empty(), "{position} {bad} {both}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let error = |a: &Evaluation, b: &Evaluation| {
        Comparison::new(Level::ZeroFlips, "one", "other").add(a, b).unwrap_err().to_string()
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
    let mut comparison = compared(Level::ZeroFlips, &[(a.clone(), a.clone())]);
    let two =
        real(&[[0.0; 3]], vec![trace("a", &[1, 1, 1], &[1], 0), trace("b", &[1, 1, 1], &[1], 0)]);
    assert!(
        comparison.add(&two, &two).unwrap_err().to_string().contains("1 sites before and 2 now")
    );
}

// === Reports ===

fn holding() -> Comparison {
    compared(
        Level::ZeroFlips,
        &[(real(&[[0.0, 1.0, 2.0]], active()), real(&[[0.0, 1.0, 2.0]], active()))],
    )
}

fn report(accuracies: (f64, f64), max_drop: f64) -> Report {
    Report::new(Level::ZeroFlips, accuracies, max_drop, vec![holding()], Vec::new())
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
        Level::ZeroFlips,
        &[(
            real(&[[0.0; 3]], active()),
            real(&[[0.0; 3]], vec![trace("a", &[1, 1, 3], &[1, 1, 2], 0)]),
        )],
    );
    let report = Report::new(Level::Bitwise, (1.0, 1.0), 0.0, vec![holding(), flipped], Vec::new());
    assert_eq!((report.flips, report.samples, report.sites, report.active_sites), (1, 1, 1, 1));
    assert!(!report.holds());
    let other = Report::new(
        Level::Bitwise,
        (1.0, 1.0),
        0.0,
        vec![holding()],
        vec!["the file is another".into()],
    );
    assert_eq!(
        (other.holds(), other.failures.as_slice()),
        (false, ["the file is another".to_string()].as_slice())
    );
    // The naive evaluator sees few samples; silence there is not held against the network, a flip
    // is.
    let silent = vec![trace("a", &[1, 1, 3], &[0; 3], 0)];
    let few = compared(
        Level::Bitwise,
        &[(integer(&[[1, 2, 3]], silent.clone()), integer(&[[1, 2, 3]], silent))],
    );
    let many = compared(
        Level::ZeroFlips,
        &[(real(&[[0.0, 1.0, 2.0]; 2], active()), real(&[[0.0, 1.0, 2.0]; 2], active()))],
    );
    let report = Report::new(Level::Bitwise, (1.0, 1.0), 0.0, vec![many, few], Vec::new());
    assert!(report.holds(), "{:?}", report.failures);
}

// === The file and the run ===

fn grid_model() -> Model {
    let trained = network::network(|graph: &mut Graph| {
        graph.push("c1", Op::Conv(Conv { bias: true, ..Conv::square(2, 3, 1) }), &["image"]);
        graph.push("a", network::quant(3), &["c1"]);
        graph.push("c2", Op::Conv(Conv::square(2, 3, 1)), &["a"]);
        graph.push("sum", Op::Add, &["c2", "a"]);
        graph.push("b", Op::Activation { site: Site::Lif(Lif::default()), code: None }, &["sum"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", network::linear(2), &["flat"]);
    });
    let mut grid =
        to_grid(&convert(&trained, &Code::Unary.into()).unwrap(), GridOptions::default())
            .unwrap()
            .model;
    grid.signature_mut().classes = vec!["circle".into(), "square".into()];
    grid
}

/// Changes the first value of a weight by one.
fn nudge(model: &mut Model, name: &str) {
    let tensor = model.weights_mut().get_mut(name).unwrap();
    match tensor {
        Tensor::I8(values) => *values.iter_mut().next().unwrap() -= 1,
        Tensor::I32(values) => *values.iter_mut().next().unwrap() += 1,
        Tensor::F32(_) | Tensor::F64(_) => panic!("floats on the grid"),
    }
}

/// A change of a model.
type Edit = fn(&mut Model);

#[test]
fn a_file_is_the_conversion_of_its_run() {
    let expected = grid_model();
    assert!(same_conversion(&expected, &expected.clone(), Tuning::None).is_empty());
    assert!(same_conversion(&expected, &expected.clone(), Tuning::Weights).is_empty());
    let edits: [(&str, Edit); 9] = [
        ("the forms (or the units of the logits)", |model| {
            model.signature_mut().form = Form::Events
        }),
        ("the forms (or the units of the logits)", |model| {
            model.signature_mut().form = Form::Grid { logit_unit: 1.0 }
        }),
        ("the graphs", |model| model.graph_mut().nodes[1].name.push('x')),
        ("the macro-steps", |model| model.signature_mut().time_steps += 1),
        ("the preprocessings", |model| model.signature_mut().preprocessing.mean[0] += 1),
        ("the names of the classes", |model| model.signature_mut().classes.swap(0, 1)),
        ("the names of the weights", |model| drop(model.weights_mut().remove("fc.bias"))),
        ("the names of the weights", |model| {
            let more = model.weights()["fc.bias"].clone();
            model.weights_mut().insert("more.bias".into(), more);
        }),
        ("`fc.bias`", |model| {
            model.weights_mut().insert("fc.bias".into(), Tensor::I32(ArrayD::zeros(vec![3])));
        }),
    ];
    for (what, edit) in edits {
        for tuning in [Tuning::None, Tuning::Weights] {
            let mut file = expected.clone();
            edit(&mut file);
            let failures = same_conversion(&expected, &file, tuning);
            assert!(
                failures.iter().any(|failure| failure.contains(what)),
                "{what} {tuning:?}: {failures:?}"
            );
            assert!(
                failures.iter().all(|failure| failure.contains("not the conversion of the run"))
            );
        }
    }
}

#[test]
fn tuning_may_change_weights_and_biases_of_layers_and_nothing_else() {
    let expected = grid_model();
    for name in expected.weights().keys() {
        let mut file = expected.clone();
        nudge(&mut file, name);
        let failures = same_conversion(&expected, &file, Tuning::None);
        assert!(
            failures.len() == 1 && failures[0].contains(&format!("`{name}`")),
            "{name}: {failures:?}"
        );
        let tunable =
            ["c1.weight", "c1.bias", "c2.weight", "fc.weight", "fc.bias"].contains(&name.as_str());
        assert_eq!(
            same_conversion(&expected, &file, Tuning::Weights).is_empty(),
            tunable,
            "{name}"
        );
    }
    // What was checked: multipliers, thresholds and the one-to-one synapse.
    for name in ["c1.multiplier", "a.thresholds", "b.threshold", "sum.identity.weight"] {
        assert!(expected.weights().contains_key(name), "{name}");
    }
}

// === The proof ===

/// An interpreter that makes one mistake: in one sample's level of one site.
struct Wrong<'m> {
    right: Naive<'m>,
    calls: usize,
}

impl Evaluate for Wrong<'_> {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        let mut result = self.right.evaluate(input, record)?;
        self.calls += 1;
        match (self.calls, result.sites.first_mut(), &mut result.logits) {
            (2, Some(SiteTrace { output: SiteOutput::Levels(levels), .. }), _) => {
                *levels.first_mut().unwrap() += 1
            }
            (2, None, Logits::Integer(sums)) => *sums.first_mut().unwrap() += 1,
            _ => {}
        }
        Ok(result)
    }
}

/// Who answers wrongly once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistaken {
    Nobody,
    Events,
    Deployment(Record),
}

/// A proof over two batches of eight images whose labels are the trained network's classes.
fn prove(seed: u64, mistaken: Mistaken, demands: Demands) -> Report {
    let trained = trained(seed, Numbers::Dyadic);
    let events = convert(&trained, &Code::Unary.into()).unwrap();
    let grid = to_grid(&events, GridOptions::default()).unwrap();
    let mut reference = Naive::new(&trained).unwrap();
    let (mut events_right, mut deployed_right) =
        (Naive::new(&events.model).unwrap(), Naive::new(&grid.model).unwrap());
    let mut events_wrong = Wrong { right: Naive::new(&events.model).unwrap(), calls: 0 };
    let mut deployed_wrong = Wrong { right: Naive::new(&grid.model).unwrap(), calls: 0 };
    let (mut naive, mut dense, mut sparse) = (
        Naive::new(&grid.model).unwrap(),
        Naive::new(&grid.model).unwrap(),
        Naive::new(&grid.model).unwrap(),
    );
    let candidate: &mut dyn Evaluate =
        if mistaken == Mistaken::Events { &mut events_wrong } else { &mut events_right };
    let (evaluate, record): (&mut dyn Evaluate, Record) = match mistaken {
        Mistaken::Deployment(record) => (&mut deployed_wrong, record),
        Mistaken::Nobody | Mistaken::Events => (&mut deployed_right, Record::Sites),
    };
    let deployments = vec![Deployed { name: "deployed somehow".into(), evaluate, record }];
    let mut interpreters = Interpreters {
        trained: &mut reference,
        events: candidate,
        naive: &mut naive,
        grid: Some(Grid { dense: &mut dense, events: &mut sparse, deployments }),
    };
    let mut proof = Proof::new(&interpreters, demands);
    for batch in 0..2 {
        let images = pixels(&trained, 8, batch);
        let classes = Naive::new(&trained)
            .unwrap()
            .evaluate(&Input::Static(images.view()), Record::Logits)
            .unwrap()
            .logits
            .argmax();
        let labels: Vec<i64> =
            classes.into_iter().map(|class| i64::try_from(class).unwrap()).collect();
        proof.add(&mut interpreters, &Batch { pixels: images.view(), labels: &labels }).unwrap();
        let few = Batch { pixels: images.view(), labels: &labels[1..] };
        let error = proof.add(&mut interpreters, &few).unwrap_err().to_string();
        assert!(error.contains("8 samples with 7 labels"), "{error}");
    }
    proof.finish()
}

#[test]
fn a_proof_holds_and_one_wrong_level_breaks_it() {
    let demands = || Demands { max_drop: 100.0, naive_samples: 11, failures: Vec::new() };
    let seed = (0..100)
        .find(|seed| prove(*seed, Mistaken::Nobody, demands()).holds())
        .expect("a network without a silent site");
    let report = prove(seed, Mistaken::Nobody, demands());
    assert_eq!((report.samples, report.flips, report.comparisons.len()), (16, 0, 5));
    assert_eq!(
        report.comparisons.iter().map(|c| c.samples).collect::<Vec<_>>(),
        [16, 16, 16, 16, 11]
    );
    assert!((report.accuracy_reference - 100.0).abs() < 1e-12);
    let broken = prove(seed, Mistaken::Events, demands());
    assert_eq!(broken.flips, 1);
    assert!(broken.failures[0].contains("decisions differ"), "{:?}", broken.failures);
    let outside = Demands { failures: vec!["a self-test failed".into()], ..demands() };
    assert_eq!(prove(seed, Mistaken::Nobody, outside).failures, ["a self-test failed"]);
}

#[test]
fn one_wrong_answer_of_a_deployment_breaks_a_proof() {
    let demands = || Demands { max_drop: 100.0, naive_samples: 11, failures: Vec::new() };
    let holds = |seed: &u64| prove(*seed, Mistaken::Nobody, demands()).holds();
    let seed = (0..100).find(holds).expect("a network without a silent site");
    let level = prove(seed, Mistaken::Deployment(Record::Sites), demands());
    assert_eq!(level.flips, 1);
    assert!(level.failures[0].contains("against deployed somehow: 1 of"), "{:?}", level.failures);
    let logit = prove(seed, Mistaken::Deployment(Record::Logits), demands());
    assert_eq!((logit.flips, logit.failures.len()), (0, 1));
    assert!(
        logit.failures[0].contains("against deployed somehow: 1 logits differ"),
        "{:?}",
        logit.failures
    );
    // Where nobody looked at sites, none was seen silent.
    assert_eq!(logit.active_sites, logit.sites);
}

#[test]
fn a_proof_without_images_fails() {
    let trained = trained(1, Numbers::Dyadic);
    let events = convert(&trained, &Code::Unary.into()).unwrap();
    let mut reference = Naive::new(&trained).unwrap();
    let (mut a, mut b) = (Naive::new(&events.model).unwrap(), Naive::new(&events.model).unwrap());
    let interpreters =
        Interpreters { trained: &mut reference, events: &mut a, naive: &mut b, grid: None };
    let report = Proof::new(&interpreters, Demands::default()).finish();
    assert!(!report.holds());
    assert!(
        report.failures.iter().any(|failure| failure.contains("no samples")),
        "{:?}",
        report.failures
    );
}
