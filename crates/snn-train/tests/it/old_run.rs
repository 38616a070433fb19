//! Runs that the first preview wrote (commit a3c0cf6, on x86-64 with AVX2) are read and go on.

use snn_ir::Model;
use snn_train::{Options, Outcome, RunConfig, RunFolder, Start, train};
use std::path::{Path, PathBuf};

/// Two runs of one config: `finished`, and `stopped`, killed in its second epoch.
fn fixture(run: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first-preview").join(run)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn go(config: &RunConfig, folder: &Path, start: Start, step_limit: Option<usize>) -> Outcome {
    let options = Options { start, step_limit, ..Options::default() };
    train(config, folder, &options, &mut |_| {}).unwrap()
}

#[test]
fn a_finished_run_is_read() {
    let run = RunFolder::open(fixture("finished")).unwrap();
    let (config, result) = (run.config().unwrap(), run.result().unwrap().unwrap());
    assert_eq!((config.epochs, config.batch, config.time_steps), (2, 16, 2));
    assert_eq!(run.metrics().unwrap().len(), 2);
    assert_eq!((result.final_epoch, result.test_images), (2, 2_000));
    assert_eq!(run.info().unwrap().seed, config.seed);
    // Resuming it returns its result and changes none of its files.
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    copy(&fixture("finished"), &folder);
    assert_eq!(go(&config, &folder, Start::Resume, None), Outcome::Finished(result));
    for entry in std::fs::read_dir(fixture("finished")).unwrap() {
        let path = entry.unwrap().path();
        let now = std::fs::read(folder.join(path.file_name().unwrap())).unwrap();
        assert!(now == std::fs::read(&path).unwrap(), "{}", path.display());
    }
}

#[test]
fn a_run_that_was_killed_goes_on_to_the_same_bytes() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let config = RunFolder::open(fixture("stopped")).unwrap().config().unwrap();
    copy(&fixture("stopped"), &at("resumed"));
    assert!(matches!(go(&config, &at("resumed"), Start::Resume, None), Outcome::Finished(_)));
    // Stopped once more on the way: the same on every processor.
    copy(&fixture("stopped"), &at("twice"));
    let halted = go(&config, &at("twice"), Start::Resume, Some(3));
    assert!(!matches!(halted, Outcome::Finished(_)));
    go(&config, &at("twice"), Start::Resume, None);
    go(&config, &at("whole"), Start::New, Some(14));
    let bytes = |folder: &Path, file: &str| std::fs::read(folder.join(file)).unwrap();
    let checkpoint = "checkpoint.safetensors";
    let weights = |bytes: &[u8]| {
        let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
        let names = file.names().into_iter().filter(|name| name.starts_with("weight/"));
        names
            .map(|name| (name.to_string(), file.tensor(name).unwrap().data().to_vec()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let same_machine = weights(&bytes(&at("whole"), checkpoint))
        == weights(&bytes(&fixture("stopped"), checkpoint));
    go(&config, &at("whole"), Start::Resume, None);
    let model = "model.safetensors";
    assert!(bytes(&at("resumed"), model) == bytes(&at("twice"), model));
    if same_machine {
        assert!(bytes(&at("resumed"), model) == bytes(&at("whole"), model));
    }
    // On another kind of processor libtorch adds in another order, and last bits differ.
    let load = |name: &str| Model::load(at(name).join(model)).unwrap();
    for (name, tensor) in load("whole").weights() {
        let difference = tensor.to_f64() - load("resumed").weights()[name].to_f64();
        assert!(difference.iter().all(|d| d.abs() < 0.02), "{name}: {difference}");
    }
}
