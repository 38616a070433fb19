//! Fine-tuning on the grid: it learns, its model is on the grid, and a resume is exact.

use snn_ir::{Code, Form, Model};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_train::{Error, Options, Outcome, RunConfig, RunFolder, Start, finetune, train};
use std::path::Path;

const CONFIG: &str = "
epochs = 2
batch = 16
time_steps = 2
checkpoint_every = 4
threads = 1
label_smoothing = 0.0
policy = { kind = 'sites', include = ['stem.act', 'block2.act2'] }
network = { kind = 'small', width = 4 }
[data]
dataset = 'shapes10'
held_out = 7680 # leaves 320, twenty batches of 16
crop_padding = 0
";

fn go(model: &Model, folder: &Path, start: Start, step_limit: Option<usize>) -> Result<Outcome, Error> {
    let config = RunConfig::from_toml(CONFIG).unwrap().for_finetuning(1, snn_train::DEFAULT_FINETUNE_RATE);
    finetune(&config, model, folder, &Options { start, step_limit, ..Options::default() }, &mut |_| {})
}

fn grid_model(folder: &Path, seed: u64) -> Model {
    let config = RunConfig::with_overrides(CONFIG, &[format!("seed={seed}")]).unwrap();
    train(&config, folder, &Options::default(), &mut |_| {}).unwrap();
    let trained = Model::load(folder.join("model.safetensors")).unwrap();
    to_grid(&convert(&trained, &Code::Unary.into()).unwrap(), GridOptions::default()).unwrap().model
}

#[test]
fn fine_tuning_resumes_exactly_and_stays_on_the_grid() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let model = grid_model(&at("trained"), 0);
    let Outcome::Finished(result) = go(&model, &at("whole"), Start::New, None).unwrap() else { panic!("not finished") };
    assert!((result.relu_share - 0.375).abs() < 1e-12);

    let bytes = |name: &str| std::fs::read(at(name).join("model.safetensors")).unwrap();
    for (name, stop) in [("early", 3), ("middle", 10)] {
        assert_eq!(go(&model, &at(name), Start::New, Some(stop)).unwrap(), Outcome::Stopped { steps: stop });
        go(&model, &at(name), Start::Resume, None).unwrap();
        assert_eq!(bytes(name), bytes("whole"), "{name}");
    }

    let tuned = Model::load(at("whole").join("model.safetensors")).unwrap();
    assert!(matches!(tuned.form, Form::Grid { .. }));
    assert_ne!(tuned, model);
    // The interpreter of the grid gives the accuracy that was reported.
    let test = snn_data::Dataset::open("shapes10", None).unwrap().test;
    let measure = |model: &Model| {
        let mut interpreter = snn_core::Libtorch::new(model, tch::Device::Cpu).unwrap();
        snn_train::evaluate_accuracy(&mut interpreter, &test, 256).unwrap()
    };
    let accuracy = measure(&tuned);
    assert!((accuracy.share() - result.test_accuracy).abs() < 1e-12, "{accuracy:?} {result:?}");

    let other = grid_model(&at("other"), 1);
    let error = go(&other, &at("early"), Start::Resume, None).unwrap_err().to_string();
    assert!(error.contains("base.safetensors"), "{error}");
}

/// A network that has hardly been trained gains far more than chance by training on the grid alone.
#[test]
fn fine_tuning_learns() {
    let parent = tempfile::tempdir().unwrap();
    let model = grid_model(&parent.path().join("trained"), 0);
    let more = ["data.held_out=6400".to_string()]; // leaves 1,600, a hundred batches
    let config = RunConfig::with_overrides(CONFIG, &more).unwrap().for_finetuning(4, 0.02);
    let folder = parent.path().join("tuned");
    let outcome = finetune(&config, &model, &folder, &Options::default(), &mut |_| {}).unwrap();
    let Outcome::Finished(result) = outcome else { panic!("not finished") };
    let test = snn_data::Dataset::open("shapes10", None).unwrap().test;
    let mut interpreter = snn_core::Libtorch::new(&model, tch::Device::Cpu).unwrap();
    let before = snn_train::evaluate_accuracy(&mut interpreter, &test, 256).unwrap().share();
    assert!(result.test_accuracy > before + 0.1, "{before} before, {} after", result.test_accuracy);
}

#[test]
fn what_does_not_fit_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let config = RunConfig::from_toml(CONFIG).unwrap();
    let model = grid_model(&parent.path().join("trained"), 0);
    let trained = Model::load(parent.path().join("trained/model.safetensors")).unwrap();
    let folder = parent.path().join("run");
    let tune = |config: &RunConfig, model: &Model| {
        finetune(config, model, &folder, &Options::default(), &mut |_| {}).unwrap_err().to_string()
    };
    assert!(tune(&config, &trained).contains("form"), "{}", tune(&config, &trained));
    let three = RunConfig { time_steps: 3, ..config };
    assert!(tune(&three, &model).contains("time_steps"), "{}", tune(&three, &model));
    assert!(RunFolder::open(&folder).is_err(), "a refused run leaves no folder");
}
