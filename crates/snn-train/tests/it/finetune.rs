//! Fine-tuning on the grid: it learns, its model is on the grid, and a resume is exact.

use snn_data::Source;
use snn_ir::{Code, Form, Model};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_train::{
    Error, FinetuningConfig, OptimiserConfig, Options, Outcome, RunConfig, RunFolder, SgdConfig,
    Start, finetune, train,
};
use std::path::Path;
use std::sync::Arc;

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

/// The config that fine-tunes a model of a run for so many epochs at a rate.
fn for_finetuning(
    config: &RunConfig,
    run: &Path,
    (epochs, learning_rate): (usize, f64),
) -> RunConfig {
    let finetuning = FinetuningConfig { epochs, learning_rate };
    RunConfig { finetuning, ..config.clone() }.for_finetuning(run)
}

fn go(
    model: &Model,
    folder: &Path,
    start: Start,
    step_limit: Option<usize>,
) -> Result<Outcome, Error> {
    let config = RunConfig::from_toml(CONFIG).unwrap().for_finetuning(Path::new("run"));
    finetune(
        &config,
        model,
        folder,
        &Options { start, step_limit, ..Options::default() },
        &mut |_| {},
    )
}

fn grid_model(folder: &Path, seed: u64) -> Model {
    let config = RunConfig::with_overrides(CONFIG, &[format!("seed={seed}")]).unwrap();
    train(&config, folder, &Options::default(), &mut |_| {}).unwrap();
    let trained = Model::load(folder.join("model.safetensors")).unwrap();
    let events = convert(&trained, &Code::Unary.into()).unwrap().model;
    to_grid(&events, GridOptions::default()).unwrap().model
}

#[test]
fn fine_tuning_resumes_exactly_and_stays_on_the_grid() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let model = grid_model(&at("trained"), 0);
    let Outcome::Finished(result) = go(&model, &at("whole"), Start::New, None).unwrap() else {
        panic!("not finished")
    };
    assert!((result.relu_share - 0.375).abs() < 1e-12);

    let bytes = |name: &str| std::fs::read(at(name).join("model.safetensors")).unwrap();
    for (name, stop) in [("early", 3), ("middle", 10)] {
        assert_eq!(
            go(&model, &at(name), Start::New, Some(stop)).unwrap(),
            Outcome::Stopped { steps: stop }
        );
        go(&model, &at(name), Start::Resume, None).unwrap();
        assert_eq!(bytes(name), bytes("whole"), "{name}");
    }

    let tuned = Model::load(at("whole").join("model.safetensors")).unwrap();
    assert!(matches!(tuned.form(), Form::Grid { .. }));
    assert_ne!(tuned, model);
    // The interpreter of the grid gives the accuracy that was reported.
    let test: Arc<dyn Source> = Arc::new(snn_data::Dataset::open("shapes10", None).unwrap().test);
    let measure = |model: &Model| {
        let mut interpreter = snn_core::Libtorch::new(model, tch::Device::Cpu).unwrap();
        snn_train::evaluate(&test, &mut interpreter, 256).unwrap()
    };
    let accuracy = measure(&tuned);
    assert!((accuracy.share() - result.test_accuracy).abs() < 1e-12, "{accuracy:?} {result:?}");

    let other = grid_model(&at("other"), 1);
    let error = go(&other, &at("early"), Start::Resume, None).unwrap_err().to_string();
    assert!(error.contains("base.safetensors"), "{error}");
}

/// A network that has hardly been trained gains far more than chance by training on the grid alone.
/// The regulariser goes on on the grid: fewer spikes than by fine-tuning without it.
#[test]
fn activity_falls_on_the_grid() {
    let parent = tempfile::tempdir().unwrap();
    let model = grid_model(&parent.path().join("trained"), 0);
    let mean_activity = |model: &Model| {
        let network = snn_core::GridNetwork::new(model, tch::Device::Cpu).unwrap();
        let test = snn_data::Dataset::open("shapes10", None).unwrap().test;
        let test: Arc<dyn Source> = Arc::new(test);
        let batch = snn_train::evaluation_batches(&test, 64).unwrap().next().unwrap().unwrap();
        let input = snn_train::input(&batch.samples);
        let pixels = snn_core::Pixels::new(&input, tch::Device::Cpu).unwrap();
        let (forward, sites) = network.forward_with_activity(&pixels).unwrap();
        let plain = network.forward(&pixels, snn_core::Mode::Evaluate).unwrap();
        assert!(forward.sums.equal(&plain.sums) && sites.len() == 5);
        sites.iter().map(|site| site.activity.double_value(&[])).sum::<f64>() / 5.0
    };
    let tuned = |name: &str, sets: &[String]| {
        let config = RunConfig::with_overrides(CONFIG, sets).unwrap();
        let config = for_finetuning(&config, Path::new("run"), (2, 0.02));
        let folder = parent.path().join(name);
        finetune(&config, &model, &folder, &Options::default(), &mut |_| {}).unwrap();
        mean_activity(&Model::load(folder.join("model.safetensors")).unwrap())
    };
    let free = tuned("free", &[]);
    let sparse = tuned("sparse", &["activity={ weight = 3.0, target = 0.02 }".to_string()]);
    assert!(sparse < 0.8 * free, "{sparse} of {free}, {} before", mean_activity(&model));
}

#[test]
fn fine_tuning_learns() {
    let parent = tempfile::tempdir().unwrap();
    let model = grid_model(&parent.path().join("trained"), 0);
    let more = ["data.held_out=6400".to_string()]; // leaves 1,600, a hundred batches
    let config = for_finetuning(
        &RunConfig::with_overrides(CONFIG, &more).unwrap(),
        Path::new("run"),
        (4, 0.02),
    );
    let folder = parent.path().join("tuned");
    let outcome = finetune(&config, &model, &folder, &Options::default(), &mut |_| {}).unwrap();
    let Outcome::Finished(result) = outcome else { panic!("not finished") };
    let test: Arc<dyn Source> = Arc::new(snn_data::Dataset::open("shapes10", None).unwrap().test);
    let mut interpreter = snn_core::Libtorch::new(&model, tch::Device::Cpu).unwrap();
    let before = snn_train::evaluate(&test, &mut interpreter, 256).unwrap().share();
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
    let tet = RunConfig::with_overrides(CONFIG, &["loss=tet".into()]).unwrap();
    assert!(
        tune(&tet, &model).contains("`loss` must be cross_entropy on the grid"),
        "{}",
        tune(&tet, &model)
    );
    let sets = ["batch_norm_reestimation.batches=1".into()];
    let again = RunConfig::with_overrides(CONFIG, &sets).unwrap();
    assert!(
        tune(&again, &model).contains("`batch_norm_reestimation.batches` must be 0"),
        "{}",
        tune(&again, &model)
    );
    let sets = [format!("distillation.teacher='{}'", parent.path().join("none").display())];
    let taught = RunConfig::with_overrides(CONFIG, &sets).unwrap();
    assert!(tune(&taught, &model).contains("`distillation.teacher`"), "{}", tune(&taught, &model));
    let three = RunConfig { time_steps: 3, ..config };
    assert!(tune(&three, &model).contains("time_steps"), "{}", tune(&three, &model));
    assert!(RunFolder::open(&folder).is_err(), "a refused run leaves no folder");
}

/// All options of a run that make sense on the grid.
#[test]
fn averages_mixtures_and_a_teacher_resume_exactly_on_the_grid() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let model = grid_model(&at("trained"), 0);
    let sets = [
        "optimiser=adamw".to_string(),
        "optimiser.learning_rate=1e-4".into(),
        "gradient_clip=10".into(),
        "weight_average=0.9".into(),
        "data.mixup=0.2".into(),
        format!("distillation.teacher='{}'", at("trained").display()),
    ];
    let config = RunConfig { epochs: 1, ..RunConfig::with_overrides(CONFIG, &sets).unwrap() };
    let go = |name: &str, start, step_limit| {
        let options = Options { start, step_limit, ..Options::default() };
        finetune(&config, &model, &at(name), &options, &mut |_| {}).unwrap()
    };
    go("whole", Start::New, None);
    go("run", Start::New, Some(7));
    go("run", Start::Resume, None);
    let bytes = |name: &str| std::fs::read(at(name).join("model.safetensors")).unwrap();
    assert_eq!(bytes("run"), bytes("whole"));
    assert_ne!(Model::load(at("whole").join("model.safetensors")).unwrap(), model);
    let again = for_finetuning(&config, Path::new("run"), (3, 0.01));
    assert!(
        matches!(again.optimiser, OptimiserConfig::Sgd(SgdConfig { weight_decay: 0.0, .. })),
        "the rate is meant for it"
    );
}

/// Biases have no bound of their own, so that an accumulator may outgrow 2³¹: then there is no
/// model, and nothing is written of it.
#[test]
fn weights_that_leave_the_grid_are_a_clear_error_and_leave_the_folder_as_it_was() {
    let parent = tempfile::tempdir().unwrap();
    let model = grid_model(&parent.path().join("trained"), 0);
    let config = for_finetuning(&RunConfig::from_toml(CONFIG).unwrap(), Path::new("run"), (2, 1e9));
    let folder = parent.path().join("run");
    for start in [Start::New, Start::Resume] {
        let options = Options { start, ..Options::default() };
        let error = finetune(&config, &model, &folder, &options, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::LeftGrid { epoch: 1, .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("lower the learning rate") && message.contains('`'), "{message}");
        for file in ["model.safetensors", "metrics.jsonl", "result.json", "curves.svg"] {
            assert!(!folder.join(file).exists(), "{file}");
        }
    }
}

/// The teacher of a staged run is its twin, in fine-tuning as in training.
#[test]
fn a_staged_run_is_fine_tuned_with_its_twin_as_teacher() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let sets = ["twin={ epochs = 1 }".to_string(), "epochs=1".into()];
    let staged = RunConfig::with_overrides(CONFIG, &sets).unwrap();
    train(&staged, &at("run"), &Options::default(), &mut |_| {}).unwrap();
    let trained = Model::load(at("run").join("model.safetensors")).unwrap();
    let events = convert(&trained, &Code::Unary.into()).unwrap().model;
    let model = to_grid(&events, GridOptions::default()).unwrap().model;
    let config = RunFolder::open(at("run")).unwrap().config().unwrap();
    let config = for_finetuning(&config, &at("run"), (1, 1e-3));
    assert_eq!(config.distillation.teacher, at("run").join("twin"));
    let options = Options { step_limit: Some(1), ..Options::default() };
    finetune(&config, &model, &at("tuned"), &options, &mut |_| {}).unwrap();
    let teacher = Model::load(at("tuned").join("teacher.safetensors")).unwrap();
    assert_eq!(teacher, Model::load(at("run").join("twin/model.safetensors")).unwrap());
    // Without one, none.
    let untaught =
        RunConfig::with_overrides(CONFIG, &[sets[0].clone(), "distillation.weight=0".into()]);
    assert!(
        for_finetuning(&untaught.unwrap(), &at("run"), (1, 1e-3)).distillation.teacher
            == Path::new("")
    );
    std::fs::remove_dir_all(at("run").join("twin")).unwrap();
    let error = finetune(&config, &model, &at("later"), &options, &mut |_| {}).unwrap_err();
    let folder = at("run").join("twin").display().to_string();
    assert!(error.to_string().starts_with(&format!("`distillation.teacher` {folder}")), "{error}");
}
