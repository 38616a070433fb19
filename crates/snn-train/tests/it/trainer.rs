//! The trainer with networks, neurons and data of a program's own.

use snn_core::tch::{Device, Tensor};
use snn_core::{Libtorch, NetworkOptions, Registry, SurrogateDerivative, TensorNeuron};
use snn_core::{TensorParameters, surrogate};
use snn_data::{Result as DataResult, SampleMut, SampleRng, SampleShape, Source};
use snn_ir::Custom;
use snn_ir::{
    Code, Conv, Encoder, Form, Graph, Lif, Model, Norm, Op, PoolKind, Preprocessing, Signature,
    Site, Surrogate,
};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_train::{Error, Options, Outcome, Recipe, RunFolder, Start, Trainer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const STEPS: usize = 4;

/// A bar that moves left or right over time, or stands: only the order of the frames tells the
/// first two apart.
#[derive(Debug)]
struct Bars {
    samples: usize,
    first: usize,
}

impl Source for Bars {
    fn len(&self) -> usize {
        self.samples
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Frames([STEPS, 1, 8, 8])
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> DataResult<u16> {
        let number = self.first + index;
        let (label, start) = (number % 3, number / 3 % 8);
        for (t, mut frame) in sample.frames().outer_iter_mut().enumerate() {
            let column = match label {
                0 => start + t,
                1 => start + 8 - t,
                _ => start,
            };
            for row in 0..8 {
                frame[[0, row, column % 8]] = 200 + u8::try_from(number % 7).unwrap_or(0);
            }
        }
        Ok(u16::try_from(label).unwrap_or(0))
    }
}

pub(crate) fn bars(samples: usize, first: usize) -> Arc<dyn Source> {
    Arc::new(Bars { samples, first })
}

fn site(site: Site) -> Op {
    Op::Activation { site, code: None }
}

pub(crate) fn network(second: Site) -> Graph {
    let mut graph = Graph::default();
    graph.push("image", Op::Input { shape: vec![1, 8, 8] }, &[]);
    graph.push("conv1", Op::Conv(Conv::square(6, 3, 1)), &["image"]);
    graph.push("norm1", Op::BatchNorm(Norm::default()), &["conv1"]);
    graph.push("act1", site(Site::Lif(Lif::default())), &["norm1"]);
    graph.push("flat", Op::Flatten, &["act1"]);
    graph.push("fc1", Op::Linear { features: 16, bias: true }, &["flat"]);
    graph.push("act2", site(second), &["fc1"]);
    graph.push("fc2", Op::Linear { features: 3, bias: true }, &["act2"]);
    graph.push("head", Op::TimeMean, &["fc2"]);
    graph
}

pub(crate) fn model(graph: Graph, time_steps: usize) -> Model {
    let preprocessing = Preprocessing::new(vec![0], vec![128.0]);
    let weights = graph.initial_weights(1).unwrap();
    let classes = ["left", "right", "still"].map(str::to_string).to_vec();
    let signature = Signature::new(Form::Trained, graph, time_steps, preprocessing);
    Model::new(signature.with_classes(classes), weights)
}

pub(crate) fn recipe() -> Recipe {
    Recipe { epochs: 2, batch: 16, threads: 1, checkpoint_every: 3, ..Recipe::default() }
}

pub(crate) fn trainer() -> Trainer {
    Trainer::new(model(network(Site::Lif(Lif::default())), STEPS), bars(240, 0), recipe())
        .with_validation(bars(48, 240))
        .with_test(bars(96, 300))
}

pub(crate) fn go(
    trainer: &Trainer,
    folder: &Path,
    start: Start,
    limit: Option<usize>,
) -> Result<Outcome, Error> {
    let options = Options { start, step_limit: limit, ..Options::default() };
    trainer.fit(folder, &options, &mut |_| {})
}

pub(crate) fn finish(trainer: &Trainer, folder: &Path) -> snn_train::RunResult {
    match go(trainer, folder, Start::New, None).unwrap() {
        Outcome::Finished(result) => result,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

#[test]
fn frames_train_and_resume_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let trainer =
        Trainer::new(trainer().model().clone(), bars(240, 0), Recipe { epochs: 8, ..recipe() })
            .with_validation(bars(48, 240))
            .with_test(bars(96, 300));
    let result = finish(&trainer, &at("whole"));
    assert!(!result.is_at_chance(), "{result:?}");
    assert!(result.test_accuracy > 0.6, "motion is learned: {result:?}");
    assert_eq!((result.test_images, result.time_steps), (96, STEPS));
    assert!((result.chance - 1.0 / 3.0).abs() < 1e-9, "{result:?}");
    for (name, stop) in [("a", 0), ("b", 4), ("c", 15), ("d", 17)] {
        assert!(matches!(
            go(&trainer, &at(name), Start::New, Some(stop)).unwrap(),
            Outcome::Stopped { .. }
        ));
        go(&trainer, &at(name), Start::Resume, None).unwrap();
        assert_eq!(bytes(&at(name)), bytes(&at("whole")), "stopped at {stop}");
    }
    // The model of the run gives the accuracy of the result, through the one `evaluate`.
    let model = Model::load(at("whole").join("model.safetensors")).unwrap();
    let mut libtorch = Libtorch::with_options(&model, &NetworkOptions::new(Device::Cpu)).unwrap();
    let accuracy = snn_train::evaluate(&bars(96, 300), &mut libtorch, 10).unwrap();
    assert_eq!(accuracy.share().to_bits(), result.test_accuracy.to_bits());
    let run = RunFolder::open(at("whole")).unwrap();
    assert!(!run.has_config());
    assert!(run.config().unwrap_err().to_string().contains("a program started it"));
    assert_eq!(run.metrics().unwrap().len(), 8);
    assert!(at("whole").join("firing_rates.svg").is_file());
}

/// Masks are a function of seed and step: a run that is resumed in the middle of an epoch, and one
/// that computes activations again, end with the same bytes.
#[test]
fn networks_with_dropout_resume_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let mut graph = network(Site::Lif(Lif::default()));
    graph
        .nodes
        .insert(4, snn_ir::Node::new("drop", Op::Dropout { rate: 0.3 }, vec!["act1".into()]));
    graph.node_mut("flat").unwrap().inputs = vec!["drop".into()];
    let trainer = |recipe: Recipe| {
        Trainer::new(model(graph.clone(), STEPS), bars(240, 0), recipe).with_test(bars(96, 300))
    };
    finish(&trainer(recipe()), &at("whole"));
    for (name, stop) in [("a", 4), ("b", 15), ("c", 17)] {
        let trainer = trainer(recipe());
        go(&trainer, &at(name), Start::New, Some(stop)).unwrap();
        go(&trainer, &at(name), Start::Resume, None).unwrap();
        assert_eq!(bytes(&at(name)), bytes(&at("whole")), "stopped at {stop}");
    }
    finish(&trainer(Recipe { seed: 5, ..recipe() }), &at("other"));
    assert_ne!(bytes(&at("other")), bytes(&at("whole")), "another seed has other masks");
}

/// Fine-tuning on the grid takes any source too.
#[test]
fn frames_are_fine_tuned_on_the_grid() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    finish(&trainer(), &at("trained"));
    let trained = Model::load(at("trained").join("model.safetensors")).unwrap();
    let events = convert(&trained, &Code::Unary.into()).unwrap();
    let grid = to_grid(&events.model, GridOptions::default()).unwrap().model;
    let recipe = Recipe {
        epochs: 1,
        optimiser: snn_train::OptimiserConfig::Sgd(snn_train::SgdConfig {
            learning_rate: 0.005,
            weight_decay: 0.0,
            ..snn_train::SgdConfig::default()
        }),
        ..recipe()
    };
    let tuner = Trainer::new(grid, bars(240, 0), recipe).with_test(bars(96, 300));
    let result = finish(&tuner, &at("whole"));
    assert!(matches!(
        go(&tuner, &at("stopped"), Start::New, Some(7)).unwrap(),
        Outcome::Stopped { .. }
    ));
    go(&tuner, &at("stopped"), Start::Resume, None).unwrap();
    assert_eq!(bytes(&at("stopped")), bytes(&at("whole")));
    let tuned = Model::load(at("whole").join("model.safetensors")).unwrap();
    assert!(matches!(tuned.form(), Form::Grid { .. }));
    let mut libtorch = Libtorch::new(&tuned, Device::Cpu).unwrap();
    let accuracy = snn_train::evaluate(&bars(96, 300), &mut libtorch, 32).unwrap();
    assert_eq!(accuracy.share().to_bits(), result.test_accuracy.to_bits());
}

/// Fires where the sum of all currents is at least `threshold`, and never forgets.
#[derive(Debug)]
struct Sum;

impl TensorNeuron for Sum {
    fn step(
        &self,
        parameters: &TensorParameters<'_>,
        current: &Tensor,
        state: Option<Vec<Tensor>>,
    ) -> snn_core::Result<(Tensor, Vec<Tensor>)> {
        let sum = match state.and_then(|mut state| state.pop()) {
            Some(sum) => sum.f_add(current)?,
            None => current.shallow_clone(),
        };
        let distance = sum.f_sub_scalar(parameters.number("threshold")?)?;
        Ok((surrogate::spike(&distance, &Surrogate::default())?, vec![sum]))
    }
}

/// `h′(x) = e^(−|x|)`.
#[derive(Debug)]
struct Exponential;

impl SurrogateDerivative for Exponential {
    fn derivative(&self, _: &BTreeMap<String, f64>, x: &Tensor) -> snn_core::Result<Tensor> {
        Ok(x.f_abs()?.f_neg()?.f_exp()?)
    }
}

#[test]
fn neurons_and_surrogates_of_a_users_own_train_through_the_registry() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let sum = Custom { params: BTreeMap::from([("threshold".into(), 1.0)]), ..Custom::new("sum") };
    let own = Surrogate::Custom { name: "exponential".into(), params: BTreeMap::new() };
    let mut graph = network(Site::Custom(sum));
    let lif = Lif { surrogate: own, ..Lif::default() };
    graph.node_mut("act1").unwrap().op = site(Site::Lif(lif));
    let model = model(graph, STEPS);
    let bare = Trainer::new(model, bars(240, 0), recipe()).with_test(bars(48, 300));
    let error = go(&bare, &at("bare"), Start::New, None).unwrap_err().to_string();
    assert!(error.contains("exponential") || error.contains("sum"), "{error}");
    assert!(!at("bare").exists());
    let registry =
        Registry::default().with_neuron("sum", Sum).with_surrogate("exponential", Exponential);
    let trainer = bare.with_registry(registry);
    finish(&trainer, &at("whole"));
    go(&trainer, &at("stopped"), Start::New, Some(5)).unwrap();
    go(&trainer, &at("stopped"), Start::Resume, None).unwrap();
    assert_eq!(bytes(&at("stopped")), bytes(&at("whole")));
    let trained = Model::load(at("whole").join("model.safetensors")).unwrap();
    assert_ne!(trained.weights()["fc1.weight"], trainer.model().weights()["fc1.weight"]);
}

/// Still images whose frames an encoder makes.
#[derive(Debug)]
pub(crate) struct Squares(pub(crate) usize);

impl Source for Squares {
    fn len(&self) -> usize {
        self.0
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Static([1, 8, 8])
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> DataResult<u16> {
        let label = index % 3;
        let mut image = sample.image()?;
        for (place, pixel) in image.iter_mut().enumerate() {
            *pixel = if place % 3 == label { 250 } else { 10 };
        }
        Ok(u16::try_from(label).unwrap_or(0))
    }
}

#[test]
fn encoders_work_in_the_loaders_threads_and_resume_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: String| parent.path().join(name);
    let squares: Arc<dyn Source> = Arc::new(Squares(96));
    let mut models = Vec::new();
    for encoder in [
        Encoder::Direct,
        Encoder::Poisson { seed: 1, rate: 0.8 },
        Encoder::Latency,
        Encoder::Phase { bits: 2 },
    ] {
        let mut model = model(network(Site::Lif(Lif::default())), STEPS);
        if let Some(preprocessing) = encoder.preprocessing(1) {
            model.signature_mut().preprocessing = preprocessing;
        }
        let trainer = |loader_threads| {
            let recipe = Recipe { encoder, loader_threads, ..recipe() };
            Trainer::new(model.clone(), squares.clone(), recipe).with_test(squares.clone())
        };
        let name = |what: &str| at(format!("{}-{what}", encoder.label()));
        finish(&trainer(1), &name("whole"));
        finish(&trainer(3), &name("threads"));
        go(&trainer(1), &name("stopped"), Start::New, Some(5)).unwrap();
        go(&trainer(1), &name("stopped"), Start::Resume, None).unwrap();
        assert_eq!(bytes(&name("stopped")), bytes(&name("whole")), "{encoder:?}");
        assert_eq!(bytes(&name("threads")), bytes(&name("whole")), "{encoder:?}");
        let trained = Model::load(name("whole").join("model.safetensors")).unwrap();
        assert_eq!(trained.encoder(), encoder, "the model keeps it");
        // Trained further, the model brings its encoder along; another one is refused.
        let further = |encoder| {
            let recipe = Recipe { encoder, ..recipe() };
            Trainer::new(trained.clone(), squares.clone(), recipe)
        };
        assert_eq!(further(Encoder::Direct).recipe().encoder, encoder);
        let other = Encoder::Poisson { seed: 2, rate: 0.8 };
        if encoder != Encoder::Direct {
            let result = go(&further(other), &name("other"), Start::New, Some(1));
            assert!(result.unwrap_err().to_string().contains("which the model was trained with"));
        }
        models.push(trained.weights().clone());
    }
    for (number, model) in models.iter().enumerate() {
        assert!(!models[..number].contains(model), "each encoder trains another network");
    }
}

/// What the trainer accepts beside: pooling of other kinds, and no source of evaluation at all.
#[test]
fn a_trainer_needs_no_validation_and_no_test() {
    let parent = tempfile::tempdir().unwrap();
    let mut graph = network(Site::Lif(Lif::default()));
    graph.node_mut("flat").unwrap().op = Op::GlobalPool { pool: PoolKind::Average };
    let trainer = Trainer::new(model(graph, STEPS), bars(48, 0), recipe());
    let result = finish(&trainer, &parent.path().join("run"));
    assert_eq!((result.test_images, result.validation_accuracy), (0, None));
    assert!(!result.is_at_chance(), "nothing was tested");
}
