//! Options of a run beside the plain recipe; all of them resume bit for bit.

use safetensors::SafeTensors;
use snn_data::Source;
use snn_ir::Model;
use snn_train::{
    Error, Options, Outcome, Progress, RunConfig, RunFolder, Start, initial_model, train,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Two epochs of ten steps, nothing extra.
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
validation_limit = 100
crop_padding = 1
[neuron]
leak = { kind = 'learned', initial = 0.5 }
";
const STEPS: usize = 10;

fn config(sets: &[&str]) -> RunConfig {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    RunConfig::with_overrides(PLAIN, &sets).unwrap()
}

/// Everything at once, with the run in `teacher` as teacher.
fn everything(teacher: &Path) -> RunConfig {
    let teacher = format!("distillation.teacher='{}'", teacher.display());
    config(&[
        "optimiser=adamw",
        "warm_up.steps=5",
        "gradient_clip=0.5",
        "weight_average=0.9",
        "loss=tet",
        "data.cutout=4",
        "data.mixup=0.4",
        "data.cutmix=1",
        "batch_norm_reestimation.batches=3",
        &teacher,
    ])
}

fn go(
    config: &RunConfig,
    folder: &Path,
    start: Start,
    step_limit: Option<usize>,
) -> Result<Outcome, Error> {
    let options = Options { start, step_limit, ..Options::default() };
    train(config, folder, &options, &mut |_| {})
}

fn finish(config: &RunConfig, folder: &Path) {
    assert!(matches!(go(config, folder, Start::New, None).unwrap(), Outcome::Finished(_)));
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

/// One tensor of a checkpoint.
fn checkpointed(folder: &Path, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(folder.join("checkpoint.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensor(name)
        .unwrap()
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect()
}

#[test]
fn everything_at_once_resumes_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    finish(&config(&["policy=all"]), &at("teacher"));
    let config = everything(&at("teacher"));
    finish(&config, &at("whole"));
    let metrics = |name: &str| {
        let metrics = RunFolder::open(at(name)).unwrap().metrics().unwrap();
        metrics.into_iter().map(|m| {
            (m.train_loss, m.train_accuracy, m.validation_accuracy, m.firing_rates, m.averaged)
        })
    };

    for (number, stops) in
        [vec![0], vec![3], vec![STEPS - 1], vec![STEPS], vec![STEPS + 5], vec![3, 5, 4, 6, 1]]
            .iter()
            .enumerate()
    {
        let name = format!("run{number}");
        let mut start = Start::New;
        for &stop in stops {
            let outcome = go(&config, &at(&name), start, Some(stop)).unwrap();
            assert!(matches!(outcome, Outcome::Stopped { .. }), "{stops:?}: {outcome:?}");
            start = Start::Resume;
        }
        // A run keeps its teacher: that of the config may be gone.
        std::fs::rename(at("teacher"), at("moved")).unwrap();
        let Outcome::Finished(result) = go(&config, &at(&name), Start::Resume, None).unwrap()
        else {
            panic!()
        };
        std::fs::rename(at("moved"), at("teacher")).unwrap();
        assert_eq!(bytes(&at(&name)), bytes(&at("whole")), "{stops:?}");
        assert!(metrics(&name).eq(metrics("whole")), "{stops:?}");
        let whole = RunFolder::open(at("whole")).unwrap().result().unwrap().unwrap();
        assert_eq!(result.test_accuracy.to_bits(), whole.test_accuracy.to_bits());
        assert!(result.averaged && result.batch_norm_batches == 3);
    }
    assert!(metrics("whole").all(|(.., averaged)| averaged));
}

/// Each thing alone changes what is learned: none of the keys is without effect.
#[test]
fn every_key_has_an_effect_and_loader_threads_have_none() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let config = |sets: &[&str]| config(&[sets, &["epochs=1"]].concat());
    finish(&config(&[]), &at("plain"));
    let plain = bytes(&at("plain"));
    let teacher = format!("distillation.teacher='{}'", at("plain").display());
    let keys = [
        "optimiser=adamw",
        "warm_up.steps=5",
        "gradient_clip=0.5",
        "weight_average=0.9",
        "loss=tet",
        "data.cutout=4",
        "data.mixup=0.4",
        "data.cutmix=1",
        "batch_norm_reestimation.batches=3",
        &teacher,
    ];
    for (number, key) in keys.iter().enumerate() {
        let folder = at(&number.to_string());
        finish(&config(&[key]), &folder);
        assert_ne!(bytes(&folder), plain, "{key}");
    }
    let everything = RunConfig { epochs: 1, ..everything(&at("plain")) };
    for threads in [0, 1, 3] {
        let mut config = everything.clone();
        config.data.loader_threads = threads;
        finish(&config, &at(&format!("threads{threads}")));
    }
    assert_eq!(bytes(&at("threads0")), bytes(&at("threads1")));
    assert_eq!(bytes(&at("threads3")), bytes(&at("threads1")));
}

#[test]
fn the_average_follows_its_formula_and_is_what_is_evaluated() {
    let parent = tempfile::tempdir().unwrap();
    let config = config(&["weight_average=0.95", "checkpoint_every=1"]);
    let folder = parent.path().join("run");
    let (first, _) = initial_model(&config, &config.open_data(None).unwrap()).unwrap();
    let snn_ir::Tensor::F32(first) = &first.weights()["stem.conv.weight"] else { panic!("f32") };
    let mut average: Vec<f32> = first.iter().copied().collect();
    for step in 1..6 {
        let start = if step == 1 { Start::New } else { Start::Resume };
        go(&config, &folder, start, Some(1)).unwrap();
        let weights = checkpointed(&folder, "weight/stem.conv.weight");
        // (1 + n)/(10 + n) at step n = step − 1
        let decay = 0.95_f32.min(step as f32 / (9.0 + step as f32));
        average.iter_mut().zip(&weights).for_each(|(a, w)| *a = decay * *a + (1.0 - decay) * w);
        let found = checkpointed(&folder, "average/stem.conv.weight");
        let far = found.iter().zip(&average).any(|(a, b)| (a - b).abs() > 1e-6);
        assert!(!far, "after {step} steps: {found:?}, expected {average:?}");
    }
    go(&config, &folder, Start::Resume, None).unwrap();
    let model = Model::load(folder.join("model.safetensors")).unwrap();
    let written = model.weights()["stem.conv.weight"].to_f64();
    let same = |name: &str| {
        checkpointed(&folder, name)
            .iter()
            .zip(&written)
            .all(|(a, b)| f64::from(*a).to_bits() == b.to_bits())
    };
    assert!(same("average/stem.conv.weight") && !same("weight/stem.conv.weight"));
    // The reported accuracy is that of the model in the folder.
    let result = RunFolder::open(&folder).unwrap().result().unwrap().unwrap();
    let test: Arc<dyn Source> = Arc::new(snn_data::Dataset::open("shapes10", None).unwrap().test);
    let mut interpreter =
        snn_core::Libtorch::with_options(&model, &snn_core::NetworkOptions::new(tch::Device::Cpu))
            .unwrap();
    let accuracy = snn_train::evaluate(&test, &mut interpreter, 256).unwrap();
    assert!((accuracy.share() - result.test_accuracy).abs() < 1e-12, "{accuracy:?} {result:?}");
}

#[test]
fn reestimation_changes_running_statistics_alone() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    finish(&config(&[]), &at("without"));
    finish(&config(&["batch_norm_reestimation.batches=10"]), &at("with"));
    let load = |name: &str| Model::load(at(name).join("model.safetensors")).unwrap().into_parts().1;
    let (without, with) = (load("without"), load("with"));
    for (name, weight) in &without {
        let statistic = name.ends_with(".running_mean") || name.ends_with(".running_var");
        assert_eq!(weight != &with[name], statistic, "{name}");
    }
    let error = go(&config(&["batch_norm_reestimation.batches=11"]), &at("more"), Start::New, None)
        .unwrap_err();
    assert!(error.to_string().contains("at most the 10 steps of an epoch, found 11"), "{error}");
    assert!(!at("more").exists(), "a refused run leaves no folder");
}

#[test]
fn a_teacher_that_does_not_fit_is_refused_before_anything_is_written() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let refused = |teacher: &str| {
        let key = format!("distillation.teacher='{}'", at(teacher).display());
        let error = go(&config(&[&key]), &at("student"), Start::New, None).unwrap_err();
        assert!(!at("student").exists(), "{error}");
        error.to_string()
    };
    let error = refused("nothing");
    assert!(error.contains("expected the folder of a run") && error.contains("nothing"), "{error}");

    go(&config(&[]), &at("begun"), Start::New, Some(1)).unwrap();
    assert!(
        refused("begun").contains("expected a run that has finished an epoch"),
        "{}",
        refused("begun")
    );

    finish(&config(&[]), &at("other"));
    let path = at("other").join("model.safetensors");
    let mut model = Model::load(&path).unwrap();
    model.signature_mut().classes.swap(0, 1);
    model.save(&path).unwrap();
    assert!(refused("other").contains("expected classes ["), "{}", refused("other"));

    let config_path = at("other").join("config.toml");
    let text = std::fs::read_to_string(&config_path).unwrap();
    std::fs::write(&config_path, text.replace("shapes10", "cifar-10")).unwrap();
    assert!(
        refused("other").contains("expected a run on shapes10, found one on cifar-10"),
        "{}",
        refused("other")
    );

    // On the grid.
    finish(&config(&["replacement={ kind = 'quant_relu', levels = 4 }"]), &at("grid"));
    let path = at("grid").join("model.safetensors");
    let events =
        snn_reparam::convert(&Model::load(&path).unwrap(), &snn_ir::Code::Unary.into()).unwrap();
    let grid =
        snn_reparam::to_grid(&events.model, snn_reparam::GridOptions::default()).unwrap().model;
    grid.save(&path).unwrap();
    assert!(refused("grid").contains("expected a model off the grid"), "{}", refused("grid"));
}

#[test]
fn a_stop_flag_ends_a_run_with_a_checkpoint_to_go_on_from() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    finish(&config(&[]), &at("whole"));
    // Off a checkpoint, on one, at the last step of an epoch.
    for stop in [3, 4, STEPS] {
        let folder = at(&stop.to_string());
        let options = Options::default();
        let flag = options.stop.clone();
        let outcome = train(&config(&[]), &folder, &options, &mut |progress| {
            if matches!(progress, Progress::Step { step, .. } if step == stop) {
                flag.store(true, Ordering::Relaxed);
            }
        });
        assert_eq!(outcome.unwrap(), Outcome::Interrupted { steps: stop });
        let mut begun = 0;
        let options = Options { start: Start::Resume, ..Options::default() };
        train(&config(&[]), &folder, &options, &mut |progress| {
            if let Progress::Begun { step, .. } = progress {
                begun = step;
            }
        })
        .unwrap();
        assert_eq!(begun, stop, "nothing is done twice");
        assert_eq!(bytes(&folder), bytes(&at("whole")), "stopped at {stop}");
    }
}

#[test]
fn a_limit_trains_on_the_first_images_that_are_not_held_out() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, resumed, all) =
        (parent.path().join("whole"), parent.path().join("resumed"), parent.path().join("all"));
    let limited = config(&["data.limit=50"]);
    let mut begun = None;
    train(&limited, &whole, &Options::default(), &mut |progress| {
        if let Progress::Begun { steps, .. } = progress {
            begun = Some(steps);
        }
    })
    .unwrap();
    assert_eq!(begun, Some(3), "50 images are three batches of 16");
    assert!(matches!(
        go(&limited, &resumed, Start::New, Some(5)).unwrap(),
        Outcome::Stopped { .. }
    ));
    assert!(matches!(go(&limited, &resumed, Start::Resume, None).unwrap(), Outcome::Finished(_)));
    assert_eq!(bytes(&resumed), bytes(&whole));
    // As many as there are is no limit, more is an error.
    finish(&config(&[]), &parent.path().join("none"));
    finish(&config(&["data.limit=168"]), &all);
    assert_eq!(bytes(&all), bytes(&parent.path().join("none")));
    let error = go(&config(&["data.limit=169"]), &parent.path().join("more"), Start::New, None)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`data.limit`: expected at most the 168 training images that are not held out, found 169"
    );
}
