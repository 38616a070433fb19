//! A run that was stopped and resumed ends as one that was not, bit for bit.

use snn_data::Source;
use snn_train::{
    EpochMetrics, Error, Options, Outcome, Progress, RunConfig, RunFolder, Start, train,
};
use std::path::Path;
use std::sync::Arc;

/// Two epochs of ten steps of a network with every kind of site and weight.
const CONFIG: &str = "
seed = 3
epochs = 2
batch = 16
time_steps = 2
checkpoint_every = 4
threads = 1
policy = { kind = 'sites', include = ['stem.act', 'block2.act2'] }
network = { kind = 'small', width = 3 }
[data]
dataset = 'shapes10'
held_out = 7832 # of 8,000: leaves 168, ten batches of 16
validation_limit = 100
crop_padding = 1
[neuron]
leak = { kind = 'learned', initial = 0.5 }
";
const STEPS: usize = 10;

fn config() -> RunConfig {
    RunConfig::from_toml(CONFIG).unwrap()
}

fn go(folder: &Path, start: Start, step_limit: Option<usize>) -> Result<Outcome, Error> {
    let options = Options { start, step_limit, ..Options::default() };
    train(&config(), folder, &options, &mut |_| {})
}

fn model_bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

/// What a resume must reproduce: everything but times and memory.
fn without_times(folder: &Path) -> Vec<EpochMetrics> {
    let metrics = RunFolder::open(folder).unwrap().metrics().unwrap();
    metrics
        .into_iter()
        .map(|m| EpochMetrics { images_per_second: 0.0, peak_memory_bytes: None, ..m })
        .collect()
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    let parent = tempfile::tempdir().unwrap();
    let whole = parent.path().join("whole");
    let Outcome::Finished(expected) = go(&whole, Start::New, None).unwrap() else {
        panic!("not finished")
    };
    assert_eq!(without_times(&whole).len(), 2);

    // Killed before the first step, inside an epoch on and off a checkpoint, at its last step,
    // right after it, in the second.
    for stops in [
        vec![0],
        vec![4],
        vec![6],
        vec![STEPS - 1],
        vec![STEPS],
        vec![STEPS + 3],
        vec![3, 1, 5, 2, 7, 1, 6],
    ] {
        let folder = parent.path().join(format!("{stops:?}"));
        let mut start = Start::New;
        for &stop in &stops {
            let outcome = go(&folder, start, Some(stop)).unwrap();
            assert!(matches!(outcome, Outcome::Stopped { .. }), "{stops:?}: {outcome:?}");
            start = Start::Resume;
        }
        let Outcome::Finished(result) = go(&folder, Start::Resume, None).unwrap() else {
            panic!("not finished")
        };
        assert_eq!(model_bytes(&folder), model_bytes(&whole), "{stops:?}");
        assert_eq!(without_times(&folder), without_times(&whole), "{stops:?}");
        assert_eq!(result.test_accuracy.to_bits(), expected.test_accuracy.to_bits());
    }
}

#[test]
fn every_option_of_training_resumes_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    let mut models = Vec::new();
    for (precision, memory) in
        [("f32", "keep"), ("f32", "recompute"), ("bf16", "keep"), ("bf16", "recompute")]
    {
        let sets = [format!("precision={precision}"), format!("memory={memory}")];
        let config = RunConfig::with_overrides(CONFIG, &sets).unwrap();
        let go = |folder: &Path, start, step_limit| {
            let options = Options { start, step_limit, ..Options::default() };
            train(&config, folder, &options, &mut |_| {}).unwrap()
        };
        let (whole, stopped) =
            [format!("{precision}-{memory}"), format!("{precision}-{memory}-stopped")]
                .map(|name| parent.path().join(name))
                .into();
        assert!(matches!(go(&whole, Start::New, None), Outcome::Finished(_)));
        go(&stopped, Start::New, Some(6));
        go(&stopped, Start::Resume, Some(STEPS + 3));
        assert!(matches!(go(&stopped, Start::Resume, None), Outcome::Finished(_)));
        assert_eq!(model_bytes(&stopped), model_bytes(&whole), "{sets:?}");
        models.push(model_bytes(&whole));
    }
    assert_eq!(models[0], models[1], "recomputing changes no bit");
    assert_eq!(models[2], models[3], "recomputing changes no bit in bf16");
    assert_ne!(models[0], models[2], "bf16 rounds");
}

#[test]
fn a_kill_between_the_writes_that_end_an_epoch_repeats_them() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, folder) = (parent.path().join("whole"), parent.path().join("run"));
    go(&whole, Start::New, None).unwrap();
    // The checkpoint of step 8 beside the metrics and the model of the end of the epoch.
    go(&folder, Start::New, Some(STEPS - 1)).unwrap();
    let checkpoint = std::fs::read(folder.join("checkpoint.safetensors")).unwrap();
    go(&folder, Start::Resume, Some(STEPS)).unwrap();
    assert_eq!(without_times(&folder).len(), 1);
    std::fs::write(folder.join("checkpoint.safetensors"), checkpoint).unwrap();
    go(&folder, Start::Resume, None).unwrap();
    assert_eq!(without_times(&folder), without_times(&whole));
    assert_eq!(model_bytes(&folder), model_bytes(&whole));
    // A finished run can be resumed: it returns its result and changes nothing.
    let before = std::fs::read(folder.join("result.json")).unwrap();
    assert!(matches!(go(&folder, Start::Resume, None).unwrap(), Outcome::Finished(_)));
    assert_eq!(std::fs::read(folder.join("result.json")).unwrap(), before);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    go(&folder, Start::New, Some(2)).unwrap();
    assert!(!folder.join("checkpoint.safetensors").exists(), "it would say nothing new");
    let mut begun = None;
    let options = Options { start: Start::Resume, step_limit: Some(0), ..Options::default() };
    train(&config(), &folder, &options, &mut |progress| {
        if let Progress::Begun { epoch, step, .. } = progress {
            begun = Some((epoch, step));
        }
    })
    .unwrap();
    assert_eq!(begun, Some((1, 0)));
}

#[test]
fn folders_in_use_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    go(&folder, Start::New, Some(5)).unwrap();
    let before = std::fs::read(folder.join("checkpoint.safetensors")).unwrap();
    assert!(matches!(go(&folder, Start::New, Some(0)), Err(Error::FolderInUse { .. })));
    assert_eq!(std::fs::read(folder.join("checkpoint.safetensors")).unwrap(), before);

    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    assert_eq!(go(&folder, Start::Overwrite, Some(0)).unwrap(), Outcome::Stopped { steps: 0 });
    assert!(!folder.join("checkpoint.safetensors").exists(), "that of the run thrown away");
    assert_eq!(std::fs::read_to_string(folder.join("notes.txt")).unwrap(), "mine");

    let foreign = parent.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.tex"), "").unwrap();
    for start in [Start::New, Start::Overwrite] {
        let error = go(&foreign, start, Some(0)).unwrap_err();
        assert!(matches!(error, Error::ForeignFolder { .. }), "{error}");
        assert!(error.to_string().contains("files already that are not a run's"), "{error}");
    }
    assert!(matches!(go(&foreign, Start::Resume, None), Err(Error::NoRun { .. })));
    assert!(matches!(
        go(&parent.path().join("none"), Start::Resume, None),
        Err(Error::NoRun { .. })
    ));
}

#[test]
fn a_run_is_resumed_with_its_own_config() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    go(&folder, Start::New, Some(1)).unwrap();
    for (set, key) in [
        (
            "optimiser.learning_rate=0.05",
            "/run/config.toml: the run was started with `optimiser.learning_rate` = 0.1, what is \
             to resume it has 0.05",
        ),
        ("epochs=3", "`epochs` = 2"),
        ("policy=outer", "`policy.exclude` = []"),
    ] {
        let other = RunConfig::with_overrides(CONFIG, &[set.to_string()]).unwrap();
        let options = Options { start: Start::Resume, ..Options::default() };
        let error = train(&other, &folder, &options, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn a_damaged_checkpoint_is_a_clear_error() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    go(&folder, Start::New, Some(5)).unwrap();
    let path = folder.join("checkpoint.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let foreign = std::fs::read({
        go(&parent.path().join("other"), Start::New, Some(STEPS)).unwrap();
        // A whole epoch is needed for a model; finish it.
        go(&parent.path().join("other"), Start::Resume, None).unwrap();
        parent.path().join("other/model.safetensors")
    })
    .unwrap();
    let mut flipped = bytes.clone();
    flipped[20] ^= 0x40;
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..7], b"".as_slice(), &flipped, &foreign] {
        std::fs::write(&path, damaged).unwrap();
        let error = go(&folder, Start::Resume, None).unwrap_err().to_string();
        assert!(error.contains("checkpoint.safetensors: damaged:"), "{error}");
    }
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(go(&folder, Start::Resume, Some(1)).unwrap(), Outcome::Stopped { .. }));
}

#[test]
fn a_diverging_run_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let sets =
        ["optimiser.learning_rate=1e30", "schedule=constant", "policy=none"].map(str::to_string);
    let config = RunConfig::with_overrides(CONFIG, &sets).unwrap();
    let error =
        train(&config, &parent.path().join("run"), &Options::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Diverged { epoch: 1, step: 1.., .. }), "{error}");
}

#[test]
fn the_files_say_what_was_done() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let mut epochs = Vec::new();
    let (mut steps, mut tested) = (0, 0);
    let outcome = train(&config(), &path, &Options::default(), &mut |progress| match progress {
        Progress::Epoch(metrics) => epochs.push(metrics.clone()),
        Progress::Step { .. } => steps += 1,
        Progress::Testing => tested += 1,
        _ => {}
    })
    .unwrap();
    let Outcome::Finished(result) = outcome else { panic!("not finished") };
    let folder = RunFolder::open(&path).unwrap();
    assert_eq!((steps, tested), (2 * STEPS, 1));
    assert_eq!(folder.metrics().unwrap(), epochs);
    assert_eq!(epochs.iter().map(|metrics| metrics.epoch).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(epochs[0].firing_rates.len(), 5);
    assert!(epochs[0].firing_rates.values().all(|rate| (0.0..=1.0).contains(rate)));
    assert_eq!(folder.config().unwrap(), config());
    assert_eq!(folder.info().unwrap().seed, 3);
    assert_eq!(folder.result().unwrap(), Some(result.clone()));
    assert_eq!((result.test_images, result.final_epoch, result.time_steps), (2_000, 2, 2));
    assert!((result.relu_share - 0.375).abs() < 1e-12);

    // The model in the folder is the one that was measured: an interpreter of its own gives the
    // same accuracy.
    let model = snn_ir::Model::load(folder.model_path()).unwrap();
    let test: Arc<dyn Source> = Arc::new(snn_data::Dataset::open("shapes10", None).unwrap().test);
    let mut interpreter =
        snn_core::Libtorch::with_options(&model, &snn_core::NetworkOptions::new(tch::Device::Cpu))
            .unwrap();
    let accuracy = snn_train::evaluate(&test, &mut interpreter, 256).unwrap();
    assert!((accuracy.share() - result.test_accuracy).abs() < 1e-12, "{accuracy:?} {result:?}");
}
