//! The proof of whole files: the link to the run, the interpreters, frames, ties, fine-tuning.

use crate::network::{self, act, linear, network, quant};
use ndarray::{ArrayD, Axis};
use snn_ir::networks::ResNet;
use snn_ir::testing::{Numbers, pixels, trained};
use snn_ir::{
    Code, Conv, Evaluate, Evaluation, Form, Graph, Input, Lif, Logits, Model, Naive, Neurons, Op,
    PoolKind, Preprocessing, Record, Reset, Signature, Site, SiteOutput, Tensor, Weights,
};
use snn_reparam::proof::{
    Batch, Demands, Difference, Engine, EngineError, Engines, Proof, Report, Strictness, Tuning,
    Verdict, Way, batch_size, difference, naive, prove,
};
use snn_reparam::{CodeChoice, Error, GridOptions, convert, to_grid};

// === Memory ===

#[test]
fn a_batch_is_as_large_as_the_network_allows() {
    for (time_steps, samples) in [(4, 3), (100, 1)] {
        // 3.6 million neurons: 20 samples of it at four steps once took 22.7 GB.
        let graph = ResNet { input: [3, 224, 224], ..ResNet::of_34() }.build();
        let preprocessing = Preprocessing::new(vec![0; 3], vec![1.0; 3]);
        let signature = Signature::new(Form::Trained, graph, time_steps, preprocessing);
        let large = Model::new(signature, Weights::new());
        assert_eq!(batch_size(&large).unwrap(), samples);
    }
    assert_eq!(batch_size(&run()).unwrap(), 50);
}

// === The file and the run ===

fn run() -> Model {
    network(|graph: &mut Graph| {
        graph.push("c1", Op::Conv(Conv { bias: true, ..Conv::square(2, 3, 1) }), &["image"]);
        graph.push("a", quant(3), &["c1"]);
        graph.push("c2", Op::Conv(Conv::square(2, 3, 1)), &["a"]);
        graph.push("sum", Op::Add, &["c2", "a"]);
        graph.push("b", network::lif(), &["sum"]);
        graph.push("flat", Op::Flatten, &["b"]);
        graph.push("fc", linear(2), &["flat"]);
    })
}

fn grid_model() -> Model {
    let mut grid = on_grid(&run());
    grid.signature_mut().classes = vec!["circle".into(), "square".into()];
    grid
}

/// Changes the first value of a weight by one.
fn nudge(model: &mut Model, name: &str) {
    match model.weights_mut().get_mut(name).unwrap() {
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
    for tuning in [Tuning::None, Tuning::Weights] {
        let same = difference(&expected, &expected.clone(), tuning);
        assert!(same.is_none() && same.changed == 0 && same.tunable > 0, "{same:?}");
    }
    let edits: [(&str, bool, Edit); 9] = [
        ("expected the form grid, found events", true, |m| m.signature_mut().form = Form::Events),
        ("expected the scale of the logits", true, |m| {
            m.signature_mut().form = Form::Grid { logit_unit: 1.0 };
        }),
        ("expected node `c1`, found `c1x`", true, |m| m.graph_mut().nodes[1].name.push('x')),
        ("expected T = 3, found T = 4", true, |m| m.signature_mut().time_steps += 1),
        ("the means of the input", true, |m| m.signature_mut().preprocessing.mean[0] += 1),
        ("the names of the classes", true, |m| m.signature_mut().classes.swap(0, 1)),
        ("no weight `fc.bias`", false, |m| drop(m.weights_mut().remove("fc.bias"))),
        ("a weight `more.bias` too many", false, |m| {
            let more = m.weights()["fc.bias"].clone();
            m.weights_mut().insert("more.bias".into(), more);
        }),
        ("`fc.bias` has another type or shape", false, |m| {
            m.weights_mut().insert("fc.bias".into(), Tensor::I32(ArrayD::zeros(vec![3])));
        }),
    ];
    for (what, signature, edit) in edits {
        for tuning in [Tuning::None, Tuning::Weights] {
            let mut file = expected.clone();
            edit(&mut file);
            let found = difference(&expected, &file, tuning);
            let causes = found.causes();
            assert!(causes.len() == 1 && causes[0].contains(what), "{what} {tuning:?}: {causes:?}");
            assert!(causes[0].contains("not the conversion of the run"), "{causes:?}");
            assert_eq!(!found.signature.is_empty(), signature, "{what}");
        }
    }
}

#[test]
fn several_differences_are_one_cause_each() {
    let expected = grid_model();
    let mut file = expected.clone();
    file.signature_mut().time_steps = 7;
    file.signature_mut().classes.clear();
    nudge(&mut file, "c1.weight");
    nudge(&mut file, "fc.weight");
    let causes = difference(&expected, &file, Tuning::None).causes();
    assert_eq!(causes.len(), 3, "{causes:?}");
    assert!(causes[2].contains("1 of 36 values of `c1.weight` differ, and 1 more"), "{causes:?}");
}

#[test]
fn tuning_may_change_weights_and_biases_of_layers_and_nothing_else() {
    let expected = grid_model();
    for name in expected.weights().keys() {
        let mut file = expected.clone();
        nudge(&mut file, name);
        let found: Difference = difference(&expected, &file, Tuning::None);
        let causes = found.causes();
        assert!(causes.len() == 1 && causes[0].contains(&format!("`{name}`")), "{causes:?}");
        assert_eq!(found.changed, 1);
        let tunable =
            ["c1.weight", "c1.bias", "c2.weight", "fc.weight", "fc.bias"].contains(&name.as_str());
        assert_eq!(difference(&expected, &file, Tuning::Weights).is_none(), tunable, "{name}");
    }
    // What was checked: multipliers, thresholds and the one-to-one synapse.
    for name in ["c1.multiplier", "a.thresholds", "b.threshold", "sum.identity.weight"] {
        assert!(expected.weights().contains_key(name), "{name}");
    }
}

// === Engines ===

/// Where an interpreter makes one mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistaken {
    Nobody,
    /// Off the grid.
    Events,
    /// A way on the grid that records this.
    Way(Record),
    /// A way on the grid, where frames vary over time.
    Frames,
}

/// Naive evaluators everywhere, one of them mistaken.
struct Naives(Mistaken);

/// An interpreter that makes one mistake: in one sample's level of one site, or in one logit.
struct Wrong {
    right: Engine,
    /// `true` if frames are what it gets wrong.
    frames: bool,
    calls: usize,
}

impl Evaluate for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        let mut result = self.right.evaluate(input, record)?;
        if input.varies() != self.frames {
            return Ok(result);
        }
        self.calls += 1;
        let wrong = if self.frames { 1 } else { 2 };
        match (result.sites.first_mut(), &mut result.logits) {
            _ if self.calls != wrong => {}
            (Some(site), _) => {
                let SiteOutput::Levels(levels) = &mut site.output else { panic!("levels") };
                *levels.first_mut().unwrap() += 1;
            }
            (None, Logits::Integer(sums)) => *sums.first_mut().unwrap() += 1,
            (None, Logits::Real(_)) => panic!("sums"),
        }
        Ok(result)
    }
}

impl Engines for Naives {
    fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
        naive(model, &Neurons::default())
    }

    fn events(&self, model: &Model) -> Result<Engine, EngineError> {
        let right = naive(model, &Neurons::default())?;
        if self.0 == Mistaken::Events && model.form() == Form::Events {
            return Ok(Box::new(Wrong { right, frames: false, calls: 0 }));
        }
        Ok(right)
    }

    fn ways(&self, model: &Model) -> Result<Vec<Way>, EngineError> {
        let right = naive(model, &Neurons::default())?;
        let (engine, record): (Engine, Record) = match self.0 {
            Mistaken::Way(record) => (Box::new(Wrong { right, frames: false, calls: 0 }), record),
            Mistaken::Frames => (Box::new(Wrong { right, frames: true, calls: 0 }), Record::Sites),
            Mistaken::Nobody | Mistaken::Events => (right, Record::Sites),
        };
        let few = naive(model, &Neurons::default())?;
        Ok(vec![
            Way { name: "deployed somehow".into(), record, samples: None, engine },
            Way {
                name: "deployed on a sample".into(),
                record: Record::Logits,
                samples: Some(10),
                engine: few,
            },
        ])
    }
}

/// The classes that the trained network gives to images.
fn classes(trained: &Model, images: &ArrayD<u8>) -> Vec<i64> {
    let mut naive = Naive::new(trained).unwrap();
    let result = naive.evaluate(&Input::Static(images.view()), Record::Logits).unwrap();
    result.logits.argmax().into_iter().map(|class| i64::try_from(class).unwrap()).collect()
}

fn demands() -> Demands {
    Demands { max_drop: 100.0, naive_samples: 11, frame_samples: 6, ..Demands::default() }
}

/// A proof over two batches of eight images whose labels are the trained network's classes.
fn proved(trained: &Model, file: &Model, mistaken: Mistaken, demands: Demands) -> Report {
    let batches: Vec<(ArrayD<u8>, Vec<i64>)> = (0..2)
        .map(|batch| {
            let images = pixels(trained, 8, batch);
            let labels = classes(trained, &images);
            (images, labels)
        })
        .collect();
    let batches = batches.iter().map(|(images, labels)| {
        Ok::<_, Error>(Batch { input: Input::Static(images.view()), labels })
    });
    prove(trained, file, &Naives(mistaken), demands, batches).unwrap()
}

fn on_grid(trained: &Model) -> Model {
    let events = convert(trained, &Code::Unary.into()).unwrap().model;
    to_grid(&events, GridOptions::default()).unwrap().model
}

/// The first random network all of whose sites emit something.
fn lively() -> (Model, Model) {
    let pair = |seed| {
        let trained = trained(seed, Numbers::Dyadic);
        let file = on_grid(&trained);
        (trained, file)
    };
    (0..100)
        .map(pair)
        .find(|(trained, file)| proved(trained, file, Mistaken::Nobody, demands()).holds())
        .expect("a network without a silent site")
}

#[test]
fn a_proof_holds_and_one_wrong_level_breaks_it() {
    let (trained, file) = lively();
    let report = proved(&trained, &file, Mistaken::Nobody, demands());
    assert_eq!((report.verdict, report.samples, report.flips), (Verdict::Bitwise, 16, 0));
    // Images: conversion, grid, rounding, two ways, naive; then the same with frames.
    let samples: Vec<_> = report.comparisons.iter().map(|c| c.samples).collect();
    assert_eq!(samples, [16, 16, 16, 16, 10, 11, 6, 6, 6, 6, 6, 6]);
    assert!(report.comparisons[6..].iter().all(|c| c.candidate.ends_with("varying frames")));
    assert!((report.accuracy_reference - 100.0).abs() < 1e-12);
    assert_eq!(report.noise.unwrap().samples, 16);
    assert!(report.changed_weights == 0 && report.weights > 0 && !report.rounding.is_empty());
    let broken = proved(&trained, &file, Mistaken::Events, demands());
    assert_eq!(broken.flips, 1);
    assert!(broken.failures[0].contains("decisions differ"), "{:?}", broken.failures);
}

#[test]
fn one_wrong_answer_of_a_way_breaks_a_proof() {
    let (trained, file) = lively();
    let level = proved(&trained, &file, Mistaken::Way(Record::Sites), demands());
    assert_eq!(level.flips, 1);
    assert!(level.failures[0].contains("against deployed somehow: 1 of"), "{:?}", level.failures);
    let logit = proved(&trained, &file, Mistaken::Way(Record::Logits), demands());
    assert_eq!((logit.flips, logit.failures.len()), (0, 1));
    assert!(
        logit.failures[0].contains("against deployed somehow: 1 logits differ"),
        "{:?}",
        logit.failures
    );
    // Where nobody looked at sites, none was seen silent.
    assert_eq!(logit.active_sites, logit.sites);
    let frames = proved(&trained, &file, Mistaken::Frames, demands());
    assert_eq!((frames.verdict, frames.flips), (Verdict::Failed, 1));
    assert!(frames.failures[0].contains("varying frames: 1 of"), "{:?}", frames.failures);
}

#[test]
fn batches_of_frames_are_proved_as_images_are() {
    let (trained, file) = lively();
    let steps = trained.time_steps();
    let pixels = pixels(&trained, 6 * steps, 3);
    let shape = [&[steps, 6], &pixels.shape()[1..]].concat();
    let pixels = pixels.into_shape_with_order(shape).unwrap();
    let input = Input::Frames(pixels.view());
    let mut proof = Proof::new(&trained, &file, &Naives(Mistaken::Nobody), demands()).unwrap();
    proof.add(&Batch { input: input.clone(), labels: &[0; 6] }).unwrap();
    let error = proof.add(&Batch { input, labels: &[0; 5] }).unwrap_err().to_string();
    assert!(error.contains("6 samples with 5 labels"), "{error}");
    let report = proof.finish();
    assert_eq!((report.samples, report.flips), (6, 0));
}

#[test]
fn a_self_test_that_fails_is_a_cause() {
    struct Inexact;
    impl Engines for Inexact {
        fn dense(&self, model: &Model) -> Result<Engine, EngineError> {
            naive(model, &Neurons::default())
        }

        fn events(&self, model: &Model) -> Result<Engine, EngineError> {
            naive(model, &Neurons::default())
        }

        fn self_test(&self, _: &Model) -> Result<(), EngineError> {
            Err("conv1 is off by one".into())
        }
    }
    let (trained, file) = lively();
    let images = pixels(&trained, 8, 0);
    let labels = classes(&trained, &images);
    let batch = Batch { input: Input::Static(images.view()), labels: &labels };
    let report = prove(&trained, &file, &Inexact, demands(), [Ok::<_, Error>(batch)]).unwrap();
    assert!(report.failures[0].contains("conv1 is off by one"), "{:?}", report.failures);
}

// === What an outside check found ===

#[test]
fn a_file_off_the_grid_cannot_be_fine_tuned() {
    let (trained, _) = lively();
    let events = convert(&trained, &Code::Unary.into()).unwrap().model;
    let demands = Demands { tuning: Tuning::Weights, ..demands() };
    let error = Proof::new(&trained, &events, &Naives(Mistaken::Nobody), demands).err().unwrap();
    assert!(matches!(error, Error::FineTuned { found: "events" }), "{error}");
}

/// A refusal of the grid is a failed proof as one of the conversion is.
#[expect(clippy::cast_possible_truncation, reason = "weights of a file are f32")]
#[test]
fn a_run_that_cannot_be_put_on_the_grid_of_the_file_fails_with_the_cause() {
    let (trained, file) = (run(), on_grid(&run()));
    let failed = |trained: &Model, file: &Model| {
        let proof = Proof::new(trained, file, &Naives(Mistaken::Nobody), demands()).unwrap();
        let report = proof.finish();
        assert_eq!((report.verdict, report.failures.len()), (Verdict::Failed, 1));
        report.failures[0].clone()
    };
    // One stream of the sum is 10¹² times the other.
    let mut larger = trained.clone();
    let weight = larger.weights()["c2.weight"].to_f64() * 1e12;
    larger.weights_mut().insert("c2.weight".into(), weight.mapv(|w| w as f32).into());
    let cause = failed(&larger, &file);
    assert!(cause.contains("c2.multiplier") && cause.contains("closer together"), "{cause}");
    // Thresholds that no membrane reaches with the guard bits of the file.
    let mut dead = trained;
    for name in ["c2.weight", "a.step"] {
        let tiny = dead.weights()[name].to_f64() * 1e-9;
        dead.weights_mut().insert(name.into(), tiny.mapv(|w| w as f32).into());
    }
    let mut file = file;
    let conversion = file.signature_mut().conversion.as_mut().unwrap();
    conversion.grid = Some(GridOptions { guard_bits: 16, ..GridOptions::default() });
    let cause = failed(&dead, &file);
    assert!(cause.contains("cannot be converted") && cause.contains("use at most 14"), "{cause}");
}

#[test]
fn a_proof_without_images_fails() {
    let trained = trained(1, Numbers::Dyadic);
    for file in [convert(&trained, &Code::Unary.into()).unwrap().model, on_grid(&trained)] {
        let engines = Naives(Mistaken::Nobody);
        let report = Proof::new(&trained, &file, &engines, Demands::default()).unwrap().finish();
        assert!(!report.holds());
        let told = report.failures.iter().any(|failure| failure.contains("no samples"));
        assert!(told, "{:?}", report.failures);
    }
}

#[test]
fn a_file_of_another_signature_fails_with_its_cause_and_nothing_runs() {
    let (trained, file) = lively();
    let edits: [(&str, Edit); 4] = [
        ("found T = ", |m| m.signature_mut().time_steps += 1),
        ("the names of the classes", |m| {
            let head = m.graph().shapes().unwrap().last().unwrap()[0];
            m.signature_mut().classes = (0..head).map(|c| c.to_string()).collect();
        }),
        ("the means of the input", |m| m.signature_mut().preprocessing.mean[0] ^= 1),
        ("expected node ", |m| {
            let nodes = &mut m.graph_mut().nodes;
            let last = nodes.len() - 1;
            nodes[last].name = "another".into();
        }),
    ];
    for (what, edit) in edits {
        let mut other = file.clone();
        edit(&mut other);
        let report = proved(&trained, &other, Mistaken::Nobody, demands());
        assert_eq!((report.verdict, report.samples), (Verdict::Failed, 0));
        let failures = &report.failures;
        assert!(failures.len() == 1 && failures[0].contains(what), "{what}: {failures:?}");
        assert!(report.verdict_line().ends_with("nothing was run"), "{}", report.verdict_line());
    }
    let error = Proof::new(&trained, &trained, &Naives(Mistaken::Nobody), demands()).err();
    assert!(matches!(error, Some(Error::Form { found: "trained", .. })));
}

/// Conversion with options that are not the usual ones is found in the file.
#[test]
fn options_are_read_from_the_file() {
    let (trained, _) = lively();
    let mut codes = CodeChoice::from(Code::BitPlane);
    let site = trained.graph().nodes.iter().find_map(|node| match &node.op {
        Op::Activation { site: Site::QuantRelu(_), .. } => Some(node.name.clone()),
        _ => None,
    });
    codes.sites.extend(site.map(|site| (site, Code::Graded)));
    let events = convert(&trained, &codes.into()).unwrap().model;
    for options in [
        GridOptions { guard_bits: 3, leak_bits: 5, ..GridOptions::default() },
        GridOptions { guard_bits: 8, leak_bits: 16, ..GridOptions::default() },
        GridOptions { guard_bits: 0, leak_bits: 0, ..GridOptions::default() },
    ] {
        let grid = to_grid(&events, options).unwrap().model;
        let file = Model::from_bytes(&grid.to_bytes().unwrap()).unwrap();
        assert_eq!(file, grid);
        let report = proved(&trained, &file, Mistaken::Nobody, demands());
        let others: Vec<_> =
            report.failures.iter().filter(|failure| !failure.contains("silent")).collect();
        assert!(others.is_empty(), "{options:?}: {others:?}");
        assert_eq!(report.samples, 16);
    }
}

/// A model without stored options, as files were written before: codes and guard bits are read off
/// its graph.
#[test]
fn options_of_older_files_are_read_off_their_graphs() {
    let (trained, file) = lively();
    let mut older = file.clone();
    older.signature_mut().conversion = None;
    assert!(older.to_bytes().unwrap().len() < file.to_bytes().unwrap().len());
    let report = proved(&trained, &older, Mistaken::Nobody, demands());
    assert_eq!((report.verdict, report.failures), (Verdict::Bitwise, Vec::new()));
}

/// `docs/semantics.md`, section 1: IF neurons that are all on, their mean over 7×7, a weight of 1,
/// a neuron with the threshold 1. The mean is the threshold exactly; in f64, 49 times 1/49 is less.
fn tie() -> Model {
    let neuron = |threshold: f64| {
        act(Site::Lif(Lif {
            threshold: threshold.into(),
            leak: snn_ir::Leak::Factor { factor: 1.0 },
            reset: Reset::Hard { potential: 0.0 },
            ..Lif::default()
        }))
    };
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1, 7, 7] }, &[]);
    graph.push("on", Op::Conv(Conv { bias: true, ..Conv::square(3, 1, 1) }), &["image"]);
    graph.push("a", neuron(0.5), &["on"]);
    graph.push("mean", Op::GlobalPool { pool: PoolKind::Average }, &["a"]);
    graph.push("one", linear(3), &["mean"]);
    graph.push("b", neuron(1.0), &["one"]);
    graph.push("fc", linear(3), &["b"]);
    graph.push("head", Op::TimeMean, &["fc"]);
    let mut weights = graph.initial_weights(1).unwrap();
    let mut set = |name: &str, shape: &[usize], values: &[f64]| {
        let values = ArrayD::from_shape_vec(shape, values.to_vec()).unwrap();
        weights.insert(name.into(), Tensor::F64(values));
    };
    // Every neuron of channel 0 fires at every step whatever the image; those of the others see it.
    set("on.weight", &[3, 1, 1, 1], &[0.0, 0.25, -0.25]);
    set("on.bias", &[3], &[0.5, 0.5, 0.25]);
    set("one.weight", &[3, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    set("one.bias", &[3], &[0.0; 3]);
    set("fc.weight", &[3, 3], &[1.0, 0.5, 0.25, 0.0, 1.0, 0.5, 0.25, 0.0, 1.0]);
    set("fc.bias", &[3], &[0.0, 0.5, 0.25]);
    let preprocessing = Preprocessing::new(vec![128], vec![64.0]);
    let signature = Signature::new(Form::Trained, graph, 3, preprocessing);
    Model::new(signature, weights)
}

#[test]
fn a_tie_flips_in_f64_and_the_grid_is_proved_against_the_trained_network() {
    let trained = tie();
    let events = convert(&trained, &Code::Unary.into()).unwrap().model;
    let off_grid = proved(&trained, &events, Mistaken::Nobody, demands());
    assert_eq!(off_grid.verdict, Verdict::Failed, "f64 is not real arithmetic");
    assert!(off_grid.flips > 0 && off_grid.failures[0].contains("were ties"), "{off_grid:?}");

    let grid = to_grid(&events, GridOptions::default()).unwrap().model;
    let report = proved(&trained, &grid, Mistaken::Nobody, demands());
    assert_eq!((report.verdict, report.failures.clone()), (Verdict::Bitwise, Vec::new()));
    assert!(!report.notes.is_empty(), "it says that f64 differs at ties");
    assert!(report.notes[0].contains("are ties; the grid takes every one"), "{:?}", report.notes);
    assert_eq!(report.class_changes, 0);
    let measured = &report.comparisons[0];
    assert!(measured.flips > 0 && measured.strictness == Strictness::Agreement);
    // A grid that is wrong is not excused by ties.
    let mut wrong = grid.clone();
    nudge(&mut wrong, "b.threshold");
    let failed = proved(&trained, &wrong, Mistaken::Nobody, demands());
    assert_eq!(failed.verdict, Verdict::Failed);
}

/// The file with two rows of its classifier swapped.
fn with_swapped_rows(file: &Model) -> Option<Model> {
    let mut file = file.clone();
    let Tensor::I8(weight) = file.weights_mut().get_mut("fc.weight")? else { return None };
    let row = |row| weight.index_axis(Axis(0), row).to_owned();
    let (a, b) = (row(0), row(1));
    weight.index_axis_mut(Axis(0), 0).assign(&b);
    weight.index_axis_mut(Axis(0), 1).assign(&a);
    Some(file)
}

/// Swapped rows of the classifier once held on a few images when a file was said to be fine-tuned.
#[test]
fn a_fine_tuned_file_holds_on_many_images_only_and_says_what_changed() {
    let tuned = |trained: &Model, file: &Model, test_samples, max_drop| {
        let demands = Demands { tuning: Tuning::Weights, test_samples, max_drop, ..demands() };
        proved(trained, file, Mistaken::Nobody, demands)
    };
    let mut found = 0;
    for seed in 0..100 {
        let trained = trained(seed, Numbers::Dyadic);
        let file = on_grid(&trained);
        let Some(swapped) = with_swapped_rows(&file) else { continue };
        let report = tuned(&trained, &swapped, Some(16), 100.0);
        if report.verdict != Verdict::FineTuned || report.class_changes == 0 {
            continue;
        }
        found += 1;
        let line = report.verdict_line();
        assert!(report.changed_weights > 0 && !line.contains("bitwise"), "{line}");
        // Classes changed, so accuracy fell: it is what speaks for a file that is fine-tuned.
        assert_eq!(tuned(&trained, &swapped, Some(16), 0.5).verdict, Verdict::Failed);
        // 16 images of 10,000 show nothing, whatever the file.
        for file in [&file, &swapped] {
            let report = tuned(&trained, file, Some(10_000), 100.0);
            assert_eq!((report.verdict, report.holds()), (Verdict::Unproven, false));
        }
        assert_eq!(tuned(&trained, &file, Some(16), 100.0).changed_weights, 0);
        if found == 3 {
            return;
        }
    }
    panic!("{found} networks whose classes swapped rows change");
}
