//! What a trainer refuses, before it writes anything.

use crate::trainer::{Squares, bars, bytes, finish, go, model, network, recipe, trainer};
use snn_data::{
    Augment, Error as DataError, Mix, Result as DataResult, SampleMut, SampleRng, SampleShape,
    Source,
};
use snn_ir::{
    Code, Custom, Encoder, Form, Graph, Lif, Model, Op, Preprocessing, Signature, Site, Surrogate,
};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_train::{
    BatchNormReestimationConfig, Error, LossConfig, OptimiserConfig, Recipe, SgdConfig, Start,
    Trainer,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A source that is wrong at one sample, or at all.
#[derive(Debug)]
struct Wrong {
    at: Option<usize>,
    what: Fault,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Label,
    Unreadable,
    Panic,
}

impl Source for Wrong {
    fn len(&self) -> usize {
        160
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Frames([4, 1, 8, 8])
    }

    fn sample_name(&self, index: usize) -> Option<String> {
        Some(format!("recording{index}.aedat"))
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> DataResult<u16> {
        sample.frames().fill(100);
        match self.what {
            _ if self.at.is_some_and(|at| at != index) => Ok(0),
            Fault::Label => Ok(3),
            Fault::Unreadable => {
                let (expected, found) = ("events".into(), "holes".into());
                Err(DataError::InvalidEvents { expected, found })
            }
            Fault::Panic => panic!("a source of a user's own"),
        }
    }
}

fn wrong(what: Fault) -> Arc<dyn Source> {
    Arc::new(Wrong { at: None, what })
}

fn lif() -> Graph {
    network(Site::Lif(Lif::default()))
}

fn with_preprocessing(mean: u8, std: f64) -> Model {
    let mut model = model(lif(), 4);
    model.signature_mut().preprocessing = Preprocessing::new(vec![mean], vec![std]);
    model
}

fn own() -> Model {
    model(lif(), 4)
}

fn two_classes() -> Model {
    let mut graph = lif();
    graph.node_mut("fc2").unwrap().op = Op::Linear { features: 2, bias: true };
    let (weights, preprocessing) =
        (graph.initial_weights(1).unwrap(), Preprocessing::new(vec![0], vec![128.0]));
    Model::new(Signature::new(Form::Trained, graph, 4, preprocessing), weights)
}

/// With a neuron that no registry knows.
fn custom(name: &str) -> Model {
    model(network(Site::Custom(Custom::new(name))), 4)
}

fn on_grid() -> Model {
    let events = convert(&own(), &Code::Unary.into()).unwrap();
    to_grid(&events.model, GridOptions::default()).unwrap().model
}

fn of(model: Model) -> Trainer {
    Trainer::new(model, bars(48, 0), recipe())
}

fn with(recipe: Recipe) -> Trainer {
    Trainer::new(own(), bars(48, 0), recipe)
}

/// Each refusal of a recipe or a model, with text of its message.
fn recipes_and_models() -> Vec<(Trainer, &'static str)> {
    let mut invalid = own();
    invalid.weights_mut().remove("fc1.weight");
    let surrogate = Surrogate::Custom { name: "own".into(), params: BTreeMap::new() };
    let tuned = |recipe: Recipe| Trainer::new(on_grid(), bars(48, 0), recipe);
    let batches = |batches| BatchNormReestimationConfig { batches };
    let sgd = SgdConfig { learning_rate: -1.0, ..SgdConfig::default() };
    let augment = Augment { fill: vec![1; 2], ..Augment::default() };
    let loss = LossConfig::Tet { regulariser: 0.05, regulariser_target: 1.0 };
    vec![
        (with(Recipe { epochs: 0, ..recipe() }), "`epochs`"),
        (with(Recipe { optimiser: OptimiserConfig::Sgd(sgd), ..recipe() }), "learning_rate"),
        (with(Recipe { batch: 49, ..recipe() }), "`batch`: expected at least one batch"),
        (with(Recipe { loader_threads: 1 << 20, ..recipe() }), "threads"),
        (with(Recipe { augment, ..recipe() }), "fill"),
        (with(Recipe { mix: Mix { mixup: 3.0, ..Mix::default() }, ..recipe() }), "mixup"),
        (
            with(Recipe { batch_norm_reestimation: batches(4), ..recipe() }),
            "at most the 3 steps of an epoch, found 4",
        ),
        (of(invalid), "fc1.weight"),
        (of(custom("own")), "own"),
        (tuned(Recipe { loss, ..recipe() }), "`loss`"),
        (tuned(Recipe { batch_norm_reestimation: batches(1), ..recipe() }), "no batch norm"),
        (tuned(Recipe { grid_surrogate: surrogate, ..recipe() }), "own"),
    ]
}

/// Each refusal of samples.
fn samples() -> Vec<(Trainer, &'static str)> {
    let mut small = lif();
    small.node_mut("image").unwrap().op = Op::Input { shape: vec![1, 6, 6] };
    let squares: Arc<dyn Source> = Arc::new(Squares(48));
    let encoded = |model: Model, encoder| {
        Trainer::new(model, squares.clone(), Recipe { encoder, ..recipe() })
    };
    vec![
        (Trainer::new(own(), bars(0, 0), recipe()), "at least one batch"),
        (
            of(model(lif(), 5)),
            "training samples: expected frames [5, 1, 8, 8], which the model reads, found frames \
             [4, 1, 8, 8]",
        ),
        (of(model(small, 4)), "training samples: expected frames [4, 1, 6, 6]"),
        (
            of(own()).with_validation(squares.clone()).with_test(wrong(Fault::Label)),
            ": expected a label below 3, the number of classes of the model, found 3",
        ),
        (of(two_classes()), "training sample"),
        (
            of(two_classes()),
            "expected a label below 2, the number of classes of the model, found 2",
        ),
        (of(own()).with_validation(wrong(Fault::Label)), "validation sample "),
        (
            of(own()).with_validation(wrong(Fault::Unreadable)),
            ".aedat`: events: expected events, found holes",
        ),
        (Trainer::new(own(), wrong(Fault::Panic), recipe()), ", `recording"),
        (of(own()).with_test(wrong(Fault::Panic)), "a source of a user's own"),
        // The encoder.
        (
            with(Recipe { encoder: Encoder::Latency, ..recipe() }),
            "training samples: expected samples for the encoder latency, found frames [4, 1, 8, 8]",
        ),
        (encoded(with_preprocessing(0, 1.0), Encoder::Phase { bits: 3 }), "3 phases"),
        (
            encoded(own(), Encoder::Poisson { seed: 1, rate: 0.8 }),
            "preprocessing of the model: expected Preprocessing { mean: [0], std: [1.0] }, that of \
             the encoder poisson, found Preprocessing { mean: [0], std: [128.0] }",
        ),
    ]
}

/// Each refusal of a teacher.
fn teachers() -> Vec<(Trainer, &'static str)> {
    let mut other_names = own();
    other_names.signature_mut().classes = ["a", "b", "c"].map(str::to_string).to_vec();
    vec![
        (of(own()).with_teacher(on_grid()), "teacher: expected a model off the grid"),
        (of(own()).with_teacher(two_classes()), "teacher: expected classes 3, as in the network"),
        (of(own()).with_teacher(other_names), "teacher: expected classes [\"left\""),
        (of(own()).with_teacher(own().with_time_steps(5)), "teacher: expected time steps 4"),
        (
            of(own()).with_teacher(own().with_encoder(Encoder::Latency)),
            "teacher: expected encoder Direct, as in the network, found Latency",
        ),
        (
            of(own()).with_teacher(with_preprocessing(3, 128.0)),
            "teacher: expected mean pixels [0], as in the network, found [3]",
        ),
        (
            of(own()).with_teacher(with_preprocessing(0, 1.0)),
            "teacher: expected deviations of pixels [128.0], as in the network, found [1.0]",
        ),
        (of(own()).with_teacher(custom("theirs")), "theirs"),
    ]
}

#[test]
fn whatever_does_not_fit_is_refused_before_anything_is_written() {
    let parent = tempfile::tempdir().unwrap();
    let all = [recipes_and_models(), samples(), teachers()].concat();
    for (number, (trainer, expected)) in all.into_iter().enumerate() {
        for start in [Start::New, Start::Overwrite] {
            let folder = parent.path().join(number.to_string());
            let error = go(&trainer, &folder, start, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!folder.exists(), "a refused run leaves no folder: {error}");
        }
    }
}

/// Labels that no glance at a few samples finds are found where the samples are read.
#[test]
fn a_label_that_is_no_class_ends_training_and_evaluation() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let error = |trainer: &Trainer, name: &str| {
        go(trainer, &at(name), Start::New, None).unwrap_err().to_string()
    };
    let hidden = || -> Arc<dyn Source> { Arc::new(Wrong { at: Some(77), what: Fault::Label }) };
    let expected =
        "sample 77: expected a label below 3, the number of classes of the model, found 3";
    let own = trainer().model().clone();
    let of = |train| Trainer::new(own.clone(), train, recipe());
    assert_eq!(error(&of(hidden()), "train"), format!("training {expected}"));
    let watched = of(bars(48, 0)).with_validation(hidden());
    assert_eq!(error(&watched, "validation"), format!("validation {expected}"));
    assert_eq!(error(&of(bars(48, 0)).with_test(hidden()), "test"), format!("test {expected}"));
    let mut naive = snn_ir::Naive::new(&own).unwrap();
    let found = snn_train::evaluate(&hidden(), &mut naive, 16).unwrap_err().to_string();
    assert_eq!(found, format!("evaluated {expected}"));
}

/// Names and bytes of the files of a run.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
#[expect(clippy::large_stack_arrays, reason = "one, of trainers")]
fn a_resume_with_anything_else_is_refused_by_name_and_writes_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let teacher = trainer().model().clone();
    let taught = || trainer().with_teacher(teacher.clone());
    go(&taught(), &folder, Start::New, Some(4)).unwrap();
    // What a refused resume might put back.
    std::fs::remove_file(folder.join("teacher.safetensors")).unwrap();
    let before = files(&folder);
    let own = trainer().model().clone();
    let with = |model: Model, train, recipe| {
        Trainer::new(model, train, recipe)
            .with_validation(bars(48, 240))
            .with_test(bars(96, 300))
            .with_teacher(teacher.clone())
    };
    let mut wider = own.graph().clone();
    wider.node_mut("fc1").unwrap().op = Op::Linear { features: 24, bias: true };
    let other = teacher.clone().with_weights(teacher.graph().initial_weights(2).unwrap());
    for (other, expected) in [
        (
            with(own.clone(), bars(240, 0), Recipe { batch: 8, ..recipe() }),
            "/run/trainer.json: the run was started with `recipe.batch` = 16, what is to resume \
             it has 8; resume it with what it was started with, or train in another folder",
        ),
        (with(model(wider, 4), bars(240, 0), recipe()), "`model.graph.nodes.fc1.op.features` = 16"),
        (with(own.clone(), bars(243, 0), recipe()), "`sources.training.samples` = 240"),
        (with(own.clone(), bars(240, 1), recipe()), "`sources.training.checksum`"),
        (trainer(), "`teacher` = one, what is to resume it has nothing"),
        (trainer().with_teacher(other), "`teacher.weights`"),
        (
            Trainer::new(own.clone(), bars(240, 0), recipe())
                .with_test(bars(96, 300))
                .with_teacher(teacher.clone()),
            "`sources.validation` = one, what is to resume it has nothing",
        ),
    ] {
        let error = go(&other, &folder, Start::Resume, None).unwrap_err();
        assert!(matches!(error, Error::RunDiffers { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert_eq!(files(&folder), before, "{error}");
    }
    go(&taught(), &folder, Start::Resume, None).unwrap();
}

/// The first weights are drawn with functions whose last bit another machine may round otherwise;
/// once there is a checkpoint they do not matter.
#[test]
fn other_first_weights_are_refused_only_where_training_begins_with_them() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    finish(&trainer(), &at("whole"));
    let own = trainer().model().clone();
    let weights = own.graph().initial_weights(2).unwrap();
    let other = Trainer::new(own.with_weights(weights), bars(240, 0), recipe())
        .with_validation(bars(48, 240))
        .with_test(bars(96, 300));
    go(&trainer(), &at("run"), Start::New, Some(4)).unwrap();
    let checkpoint = std::fs::read(at("run").join("checkpoint.safetensors")).unwrap();
    std::fs::remove_file(at("run").join("checkpoint.safetensors")).unwrap();
    let error = go(&other, &at("run"), Start::Resume, None).unwrap_err().to_string();
    assert!(error.contains("`model.weights`"), "{error}");
    std::fs::write(at("run").join("checkpoint.safetensors"), checkpoint).unwrap();
    go(&other, &at("run"), Start::Resume, None).unwrap();
    assert_eq!(bytes(&at("run")), bytes(&at("whole")));
}

/// A version that adds a key writes it into `trainer.json`; one from before has none, and its runs
/// go on with the default.
#[test]
fn a_run_from_before_a_key_existed_is_resumed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    go(&trainer(), &folder, Start::New, Some(4)).unwrap();
    let path = folder.join("trainer.json");
    let whole: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let defaults = serde_json::to_value(Recipe::default()).unwrap();
    let recipe = whole["recipe"].as_object().unwrap();
    let keys: Vec<&String> = recipe.keys().filter(|key| recipe[*key] == defaults[*key]).collect();
    assert!(keys.len() > 15, "{keys:?}");
    for key in keys {
        let mut older = whole.clone();
        older["recipe"].as_object_mut().unwrap().remove(key);
        std::fs::write(&path, older.to_string()).unwrap();
        go(&trainer(), &folder, Start::Resume, Some(0)).unwrap();
    }
    // An attribute of an operation, and of what is nested in the recipe.
    let mut older = whole;
    older["recipe"]["augment"].as_object_mut().unwrap().remove("cutout").unwrap();
    let nodes = older["model"]["graph"]["nodes"].as_array_mut().unwrap();
    let norm = nodes.iter_mut().find(|node| node["name"] == "norm1").unwrap();
    norm["op"].as_object_mut().unwrap().remove("eps").unwrap();
    std::fs::write(&path, older.to_string()).unwrap();
    go(&trainer(), &folder, Start::Resume, None).unwrap();
}

/// A run of a program that was killed before it was known as one does not block its folder.
#[test]
fn a_program_killed_as_it_begins_starts_anew() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let taught = trainer().with_teacher(trainer().model().clone());
    finish(&taught, &at("whole"));
    std::fs::create_dir(at("run")).unwrap();
    for file in [".lock", "teacher.safetensors", "run.json"] {
        std::fs::copy(at("whole").join(file), at("run").join(file)).unwrap();
    }
    finish(&taught, &at("run"));
    assert_eq!(bytes(&at("run")), bytes(&at("whole")));
    // With a model in it, or without the lock, it is not such a folder.
    for file in ["model.safetensors", "run.json"] {
        let folder = at(&format!("foreign-{file}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(at("whole").join(file), folder.join(file)).unwrap();
        let error = go(&taught, &folder, Start::New, None).unwrap_err();
        assert!(matches!(error, Error::ForeignFolder { .. }), "{error}");
    }
}
