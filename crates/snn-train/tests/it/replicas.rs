//! Replicas: what one network computes, but for rounding; the same bits every time.

use snn_core::tch::Device;
use snn_ir::{Code, Model};
use snn_reparam::{GridOptions, convert, to_grid};
use snn_train::{Error, Options, Outcome, Progress, RunConfig, RunFolder, Start, finetune, train};
use std::path::Path;

/// Two epochs of ten steps.
const PLAIN: &str = "
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
validation_limit = 97
crop_padding = 1
[neuron]
leak = { kind = 'learned', initial = 0.5 }
";

fn config(sets: &[&str]) -> RunConfig {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    RunConfig::with_overrides(PLAIN, &sets).unwrap()
}

fn options(start: Start, step_limit: Option<usize>) -> Options {
    Options { start, step_limit, ..Options::default() }
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

/// The loss of every step.
fn losses(config: &RunConfig, folder: &Path) -> Vec<f64> {
    let mut losses = Vec::new();
    let outcome = train(config, folder, &Options::default(), &mut |progress| {
        if let Progress::Step { loss, .. } = progress {
            losses.push(loss);
        }
    });
    assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
    losses
}

#[test]
fn the_losses_are_those_of_one_network() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    for (name, sets) in [
        ("plain", vec![]),
        ("mixed", vec!["data.mixup=0.4", "data.cutmix=1", "loss=tet"]),
        ("activity", vec!["activity={ weight = 4.0, target = 0.02 }"]),
        ("recomputed", vec!["memory=recompute", "label_smoothing=0"]),
    ] {
        let sets = [&sets[..], &["optimiser.learning_rate=0.01"]].concat();
        let one = losses(&config(&sets), &at(name));
        for replicas in ["replicas=2", "replicas=3"] {
            let several = config(&[&sets[..], &[replicas]].concat());
            let found = losses(&several, &at(&format!("{name} {replicas}")));
            assert_eq!(found.len(), one.len());
            let error = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs();
            let errors: Vec<f64> = found.iter().zip(&one).map(error).collect();
            // Rounding alone at the first step; later a spike may fall the other way.
            assert!(errors[0] < 1e-6, "{name}, {replicas}: {errors:?}");
            assert!(errors.iter().all(|error| *error < 0.02), "{name}, {replicas}: {errors:?}");
        }
        let measured = |name: &str| RunFolder::open(at(name)).unwrap().metrics().unwrap();
        let (a, b) = (measured(name), measured(&format!("{name} replicas=2")));
        for (a, b) in a[0].firing_rates.iter().zip(&b[0].firing_rates) {
            assert!(a.0 == b.0 && (a.1 - b.1).abs() < 0.01, "{a:?} {b:?}");
        }
    }
}

#[test]
fn everything_at_once_resumes_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    train(&config(&["policy=all"]), &at("teacher"), &Options::default(), &mut |_| {}).unwrap();
    let teacher = format!("distillation.teacher='{}'", at("teacher").display());
    let config = config(&[
        "replicas=3",
        "optimiser=adamw",
        "gradient_clip=0.5",
        "weight_average=0.9",
        "data.mixup=0.4",
        "batch_norm_reestimation.batches=3",
        "network={ kind = 'small', width = 3 }",
        "groups=[{ names = 'stem.conv.weight', freeze_after = 1 }]",
        &teacher,
    ]);
    let go = |name: &str, start, limit| {
        train(&config, &at(name), &options(start, limit), &mut |_| {}).unwrap()
    };
    go("whole", Start::New, None);
    for stop in [3, 10, 15] {
        let name = format!("stopped {stop}");
        assert_eq!(go(&name, Start::New, Some(stop)), Outcome::Stopped { steps: stop });
        go(&name, Start::Resume, None);
        assert_eq!(bytes(&at(&name)), bytes(&at("whole")), "{stop}");
    }
    // Their number decides the order of sums.
    let other = RunConfig { replicas: 2, ..config.clone() };
    let error = train(&other, &at("stopped 3"), &options(Start::Resume, None), &mut |_| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`replicas`") || error.contains("`recipe.replicas`"), "{error}");
}

#[test]
fn fine_tuning_on_the_grid_has_replicas_too() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    train(&config(&[]), &at("run"), &Options::default(), &mut |_| {}).unwrap();
    let trained = Model::load(at("run").join("model.safetensors")).unwrap();
    let events = convert(&trained, &Code::Unary.into()).unwrap().model;
    let model = to_grid(&events, GridOptions::default()).unwrap().model;
    let mut ends = Vec::new();
    for replicas in [1, 2] {
        let config = config(&[&format!("replicas={replicas}")]);
        let config = config.for_finetuning(Path::new("run"));
        let mut losses = Vec::new();
        let folder = at(&format!("tuned by {replicas}"));
        finetune(&config, &model, &folder, &Options::default(), &mut |progress| {
            if let Progress::Step { loss, .. } = progress {
                losses.push(loss);
            }
        })
        .unwrap();
        ends.push(losses);
    }
    let (one, two) = (&ends[0], &ends[1]);
    // Integers: the sums of the forward pass are exact.
    assert!((one[0] - two[0]).abs() < 1e-12 * one[0].abs(), "{} {}", one[0], two[0]);
    assert!(one.iter().zip(two).all(|(a, b)| (a - b).abs() < 0.05 * a.abs()), "{one:?} {two:?}");
}

#[test]
fn what_cannot_be_is_refused_and_a_loss_that_is_no_number_ends_all() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    for replicas in ["replicas=0", "replicas=17"] {
        let error = RunConfig::with_overrides(PLAIN, &[replicas.into()]).unwrap_err().to_string();
        assert!(error.contains("`replicas` must be at least 1 and at most `batch`"), "{error}");
    }
    let on_gpu = Options { device: Device::Cuda(0), ..Options::default() };
    let error = train(&config(&["replicas=2"]), &at("none"), &on_gpu, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("replicas share the cores of a processor"), "{error}");
    assert!(!at("none").exists());
    let config = config(&["replicas=2", "optimiser.learning_rate=1e30", "schedule=constant"]);
    let error = train(&config, &at("diverged"), &Options::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
}
