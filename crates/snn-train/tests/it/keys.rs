//! Keys of a config that choose the network, the weights to start from, the encoder, augmentation
//! and limits: each has an effect and resumes bit for bit.

use snn_ir::Model;
use snn_train::{Error, Options, Outcome, Progress, RunConfig, RunFolder, RunResult, Start, train};
use std::path::Path;

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
test_limit = 100
crop_padding = 1
";

fn config(sets: &[&str]) -> RunConfig {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    RunConfig::with_overrides(PLAIN, &sets).unwrap()
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

fn finish(config: &RunConfig, folder: &Path) -> RunResult {
    match go(config, folder, Start::New, None).unwrap() {
        Outcome::Finished(result) => result,
        other => panic!("{other:?}"),
    }
}

fn refused(config: &RunConfig, folder: &Path) -> String {
    let error = go(config, folder, Start::New, None).unwrap_err().to_string();
    assert!(!folder.exists(), "a refused run leaves no folder: {error}");
    error
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

/// Trains with each row of settings on top of `base`, once in one go and once stopped after `stop`
/// steps and resumed, to the same bytes; the weights of all, and of `base` alone, differ. The
/// header of the file has the encoder, so that the files of two encoders always do.
fn all_differ_and_resume(base: &[&str], stop: usize, rows: &[&[&str]]) {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let weights =
        |name: &str| Model::load(at(name).join("model.safetensors")).unwrap().weights().clone();
    finish(&config(base), &at("plain"));
    let mut models = vec![(["nothing"].as_slice(), weights("plain"))];
    for (number, sets) in rows.iter().enumerate() {
        let config = config(&[base, sets].concat());
        let (whole, stopped) = (format!("whole{number}"), format!("stopped{number}"));
        finish(&config, &at(&whole));
        go(&config, &at(&stopped), Start::New, Some(stop)).unwrap();
        go(&config, &at(&stopped), Start::Resume, None).unwrap();
        assert_eq!(bytes(&at(&stopped)), bytes(&at(&whole)), "{sets:?}");
        models.push((sets, weights(&whole)));
    }
    for (number, (sets, model)) in models.iter().enumerate() {
        let same = models[..number].iter().find(|(_, other)| other == model);
        assert!(same.is_none(), "{sets:?} changes nothing beside {:?}", same.map(|(sets, _)| sets));
    }
}

#[test]
fn each_key_has_an_effect_and_resumes_bit_for_bit() {
    let rows: [&[&str]; 17] = [
        &["data.crop_border=reflect"],
        &["data.flip=none"],
        &["data.flip=alternating"],
        &["data.auto_augment=auto-augment-cifar"],
        &["data.auto_augment=auto-augment-imagenet"],
        &["data.auto_augment=auto-augment-svhn"],
        &["data.auto_augment=trivial-augment"],
        &["data.auto_augment=rand-augment"],
        &["data.auto_augment={ kind = 'rand-augment', operations = 1, magnitude = 20 }"],
        &["data.erasing=0.5"],
        &["data.mixup=0.4"],
        &["data.cutmix=1"],
        &["data.mixup=0.4", "data.cutmix=1"],
        &["data.mixup=0.4", "data.mix_epochs=1"],
        &["encoder=latency"],
        &["encoder={ kind = 'poisson', seed = 1, rate = 1.0 }"],
        &["encoder={ kind = 'phase', bits = 2 }"],
    ];
    all_differ_and_resume(&[], 13, &rows);
}

/// Optimisers, schedules, groups, mixing and distillation by itself.
#[test]
fn each_key_of_a_recipe_has_an_effect_and_resumes_bit_for_bit() {
    let rows: [&[&str]; 22] = [
        &["activity.weight=1.0"],
        &["activity.weight=1.0", "activity.target=0.1"],
        &["activity={ weight = 1.0, sites = [{ names = 'stem.*', target = 1.0 }] }"],
        &["optimiser=muon"],
        &["optimiser={ kind = 'muon', normalise = false, others = { kind = 'adamw' } }"],
        &["optimiser=muon", "groups=[{ names = 'block*', others = true }]"],
        &["schedule=linear"],
        &["schedule={ kind = 'linear', peak_fraction = 0.23, start_factor = 0.2 }"],
        &["schedule=cosine"],
        &["schedule={ kind = 'cosine', final_factor = 0.25 }"],
        &["lookahead=rising"],
        &["lookahead={ kind = 'constant', every = 3, alpha = 0.8 }"],
        &["groups=[{ names = '*.bn*.bias', learning_rate = 8.0 }]"],
        &["groups=[{ names = '*', weight_decay = 20.0 }]"],
        &["groups=[{ names = 'stem.*', frozen = true }]"],
        &["groups=[{ names = 'stem.*', freeze_until = 1 }]"],
        &["groups=[{ names = 'stem.*', freeze_after = 1 }]", "lookahead=constant"],
        &["optimiser=adamw", "groups=[{ names = 'stem.*', freeze_until = 1 }]"],
        &["data.mixup=0.4", "data.mix_probability=0.5"],
        &["data.mixup=0.4", "data.cutmix=1", "data.mix_switch=0.9"],
        &["distillation={ per_step = true, own_weight = 0.5 }"],
        &["groups=[{ names = '*step', frozen = true }]", "memory=recompute"],
    ];
    all_differ_and_resume(&[], 13, &rows);
}

/// Weights that are frozen keep their bytes, whatever passes over them.
#[test]
fn frozen_weights_stay_as_they_begin() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let groups = "groups=[{ names = 'stem.*', frozen = true }, \
                  { names = 'block1.*', freeze_after = 1 }]";
    let everything = [
        groups,
        "lookahead={ kind = 'constant', every = 3, alpha = 0.3 }",
        "optimiser={ kind = 'sgd', weight_decay = 0.1 }",
        "gradient_clip=0.5",
    ];
    for memory in ["memory=keep", "memory=recompute"] {
        let config = config(&[&everything[..], &[memory]].concat());
        let name = |what: &str| at(&format!("{what}-{memory}"));
        // Its own bytes after the first epoch, and after the second.
        go(&config, &name("half"), Start::New, Some(11)).unwrap();
        let half = Model::load(name("half").join("model.safetensors")).unwrap();
        finish(&config, &name("whole"));
        let whole = Model::load(name("whole").join("model.safetensors")).unwrap();
        let begun = whole.graph().initial_weights(3).unwrap();
        for (weight, after) in whole.weights() {
            let measured = weight.contains("running");
            let frozen = weight.starts_with("stem.") && !measured;
            assert_eq!(*after == begun[weight], frozen, "{weight}");
            let frozen = frozen || weight.starts_with("block1.") && !measured;
            assert_eq!(*after == half.weights()[weight], frozen, "{weight} in the second epoch");
        }
        let result = RunFolder::open(name("whole")).unwrap().result().unwrap().unwrap();
        let learned = |name: &str| !name.contains("running") && !name.starts_with("stem.");
        let count = whole.weights().iter().filter(|(name, _)| learned(name));
        let count: usize = count.map(|(_, w)| w.shape().iter().product::<usize>()).sum();
        assert_eq!(result.parameters, count);
    }
    assert_eq!(
        bytes(&at("whole-memory=keep")),
        bytes(&at("whole-memory=recompute")),
        "checkpointing gives the same bits where weights are frozen"
    );
    let nothing = config(&["groups=[{ names = 'stem.bm.*' }]"]);
    let error = refused(&nothing, &at("none"));
    assert!(error.contains("\"stem.bm.*\"") && error.contains("`stem.bn."), "{error}");
    let all = config(&["groups=[{ names = '*', freeze_after = 1 }]"]);
    let error = refused(&all, &at("none"));
    assert!(error.contains("freezes every weight of the network in epoch 2"), "{error}");
}

/// 40 recordings of two classes in the layout of N-MNIST: events on the left or on the right.
fn n_mnist(folder: &Path) -> String {
    let folder = folder.join("n-mnist");
    std::fs::create_dir_all(&folder).unwrap();
    let mut labels = Vec::new();
    for number in 1..=40_u8 {
        let side = number % 2;
        let event = |k: u8| {
            let x = side * 17 + k.wrapping_mul(number) % 17;
            let y = k.wrapping_mul(5).wrapping_add(number) % 34;
            // Rarer and rarer, so that slices of equal duration are not those of equal number.
            let [high, low] = u16::from(k).pow(2).to_be_bytes();
            [x, y, (k % 2) << 7, high, low]
        };
        let events: Vec<u8> = (0..100).flat_map(event).collect();
        std::fs::write(folder.join(format!("{number:05}.bin")), events).unwrap();
        labels.push(format!("{number} {side}\n"));
    }
    std::fs::write(folder.join("labels.txt"), labels.concat()).unwrap();
    format!("data.path='{}'", folder.display())
}

/// Two epochs of two steps on the frames of recordings: 36 of them are for training.
const RECORDINGS: [&str; 5] = [
    "data.dataset=n-mnist",
    "data.frames.slices=2",
    "data.held_out=4",
    "data.validation_limit=0",
    "data.test_limit=0",
];

#[test]
fn each_key_of_recordings_has_an_effect_and_resumes_bit_for_bit() {
    let data = tempfile::tempdir().unwrap();
    let path = n_mnist(data.path());
    let base = [&RECORDINGS[..], &[&path]].concat();
    let rows: [&[&str]; 8] = [
        &["data.frames.augment=[{ roll = { pixels = 3 } }]"],
        &["data.frames.augment=[{ rotate = { degrees = 40.0 } }]"],
        &["data.frames.augment=[{ nda = { magnitude = 2, operations = 2 } }]"],
        &["data.crop_padding=3", "data.flip=horizontal", "data.frames.size=17x17"],
        &["data.frames.augment=['flip-columns', { drop-events = { share = [0.1, 0.5] } }]"],
        &["data.event_mix=1"],
        &["data.event_mix=1", "data.frames.augment=[{ roll = { pixels = 3 } }]"],
        &["data.frames.by=time"],
    ];
    all_differ_and_resume(&base, 3, &rows);
}

/// A cache gives the samples that it was made of, to training and to validation.
#[test]
fn a_cache_changes_no_bit_of_a_run() {
    let data = tempfile::tempdir().unwrap();
    let recordings = n_mnist(data.path());
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/images");
    for part in ["train", "val"] {
        for (class, photo) in [("cat", "420.JPEG"), ("dog", "444.JPEG")] {
            let folder = data.path().join("pets").join(part).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for number in 0..6 {
                std::fs::copy(photos.join(photo), folder.join(format!("{number}.jpg"))).unwrap();
            }
        }
    }
    let pets = format!("data.path='{}'", data.path().join("pets").display());
    let pictures = [
        "data.dataset=picture-folder",
        "data.pictures.size=16",
        "data.held_out=4",
        "data.validation_limit=0",
        "data.test_limit=0",
        "batch=4",
        "encoder={ kind = 'poisson', seed = 1, rate = 1.0 }",
        &pets,
    ];
    for (name, base) in
        [("pictures", &pictures[..]), ("recordings", &[&RECORDINGS[..], &[&recordings]].concat())]
    {
        let at = |what: &str| data.path().join(format!("{name}-{what}"));
        let cache = format!("data.cache={{ folder = '{}' }}", at("cache").display());
        let plain = finish(&config(base), &at("plain"));
        let config = config(&[base, &[&cache]].concat());
        let cached = finish(&config, &at("cached"));
        assert_eq!(bytes(&at("cached")), bytes(&at("plain")), "{name}");
        assert_eq!(cached.validation_accuracy, plain.validation_accuracy, "{name}");
        // The test pictures and those held out, or all recordings for training and those for tests.
        let files = || {
            let entries =
                std::fs::read_dir(at("cache")).unwrap().map(|entry| entry.unwrap().path());
            entries.filter(|path| path.extension().is_some_and(|end| end == "cache")).count()
        };
        assert_eq!(files(), 2, "{name}");
        // A run that goes on reads the same caches.
        go(&config, &at("stopped"), Start::New, Some(3)).unwrap();
        go(&config, &at("stopped"), Start::Resume, None).unwrap();
        assert_eq!(bytes(&at("stopped")), bytes(&at("plain")), "{name}");
        assert_eq!(files(), 2, "{name}");
    }
}

/// As if every epoch were mixed, but from the second on.
#[test]
fn an_epoch_after_which_mixing_stops_is_as_the_epochs_say() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let mixed = ["data.mixup=0.4", "data.cutmix=1"];
    let loss = |name: &str, sets: &[&str]| {
        finish(&config(&[&mixed, sets].concat()), &at(name));
        RunFolder::open(at(name)).unwrap().metrics().unwrap().into_iter().map(|m| m.train_loss)
    };
    let all: Vec<f64> = loss("all", &[]).collect();
    let two: Vec<f64> = loss("two", &["data.mix_epochs=2"]).collect();
    let one: Vec<f64> = loss("one", &["data.mix_epochs=1"]).collect();
    assert_eq!(all, two, "both epochs are mixed");
    assert_eq!(all[0].to_bits(), one[0].to_bits());
    assert_ne!(all[1].to_bits(), one[1].to_bits());
}

#[test]
fn limits_of_validation_and_test_leave_the_training_as_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let few = finish(&config(&["data.test_limit=7", "data.validation_limit=5"]), &at("few"));
    let more = finish(&config(&["data.test_limit=0", "data.validation_limit=300"]), &at("more"));
    assert_eq!((few.test_images, more.test_images), (7, 2_000));
    assert_eq!(bytes(&at("few")), bytes(&at("more")));
    assert!(
        few.validation_accuracy
            .is_some_and(|share| (share * 5.0 - (share * 5.0).round()).abs() < 1e-9)
    );
    assert_eq!(
        refused(&config(&["data.test_limit=2001"]), &at("none")),
        "`data.test_limit`: expected at most the 2000 test images, found 2001"
    );
    assert_eq!(
        refused(&config(&["data.validation_limit=7833"]), &at("none")),
        "`data.validation_limit`: expected at most the 7832 images held out, found 7833"
    );
}

#[test]
fn a_result_at_chance_level_is_known_as_that() {
    let parent = tempfile::tempdir().unwrap();
    let sets = ["data.test_limit=0", "optimiser.learning_rate=1e-12", "schedule=constant"];
    let result = finish(&config(&sets), &parent.path().join("run"));
    assert!((result.chance - 0.1).abs() < 1e-9, "shapes10 has 200 test images a class");
    assert!(result.is_at_chance(), "{result:?}");
    assert!(!RunResult { test_accuracy: 0.2, ..result.clone() }.is_at_chance());
    // Three standard deviations of 2,000 images are two points.
    assert!(RunResult { test_accuracy: 0.119, ..result }.is_at_chance());
}

/// A graph that conversion, policies and the trainer know nothing of.
const GRAPH: &str = r#"{ "nodes": [
    { "name": "image", "op": { "op": "input", "shape": [3, 16, 16] } },
    { "name": "conv1", "op": { "op": "conv", "channels": 4, "kernel": [3, 3], "stride": [2, 2],
      "padding": [1, 1], "dilation": [1, 1], "groups": 1, "bias": true }, "inputs": ["image"] },
    { "name": "act1", "op": { "op": "activation", "site": { "kind": "lif" } },
      "inputs": ["conv1"] },
    { "name": "flat", "op": { "op": "flatten" }, "inputs": ["act1"] },
    { "name": "fc", "op": { "op": "linear", "features": 10, "bias": true }, "inputs": ["flat"] },
    { "name": "head", "op": { "op": "time_mean" }, "inputs": ["fc"] }
] }"#;

#[test]
fn a_network_is_read_from_json_toml_or_a_model() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let json = serde_json::from_str::<serde_json::Value>(GRAPH).unwrap();
    std::fs::write(at("net.json"), GRAPH).unwrap();
    std::fs::write(at("net.toml"), toml::to_string(&json).unwrap()).unwrap();
    let from = |file: &str, sets: &[&str]| {
        let network = format!("network={{ kind = 'file', path = '{}' }}", at(file).display());
        config(&[&["policy=none", &network], sets].concat())
    };
    finish(&from("net.json", &[]), &at("json"));
    finish(&from("net.toml", &[]), &at("toml"));
    std::fs::copy(at("json").join("model.safetensors"), at("net.safetensors")).unwrap();
    finish(&from("net.safetensors", &[]), &at("model"));
    assert_eq!(bytes(&at("json")), bytes(&at("toml")));
    assert_eq!(bytes(&at("json")), bytes(&at("model")));
    let model = Model::load(at("json").join("model.safetensors")).unwrap();
    assert_eq!(model.graph().nodes.len(), 6);
    // A run goes on with its own copy: the file may change or go.
    for (name, change) in [("changed", Some("\"channels\": 5")), ("gone", None)] {
        go(&from("net.json", &["policy=all"]), &at(name), Start::New, Some(7)).unwrap();
        match change {
            Some(other) => {
                std::fs::write(at("net.json"), GRAPH.replace("\"channels\": 4", other)).unwrap();
            }
            None => std::fs::remove_file(at("net.json")).unwrap(),
        }
        go(&from("net.json", &["policy=all"]), &at(name), Start::Resume, None).unwrap();
        std::fs::write(at("net.json"), GRAPH).unwrap();
    }
    finish(&from("net.json", &["policy=all"]), &at("copied"));
    assert_eq!(bytes(&at("changed")), bytes(&at("copied")));
    assert_eq!(bytes(&at("gone")), bytes(&at("copied")));
    // The copy is the graph before the policy, which a config can name.
    let kept = from("copied/network.json", &["policy=none"]);
    finish(&kept, &at("kept"));
    assert_eq!(bytes(&at("kept")), bytes(&at("json")));
    // A policy applies to its sites.
    let relu = finish(&from("net.json", &["policy=all"]), &at("relu"));
    assert!((relu.relu_share - 1.0).abs() < 1e-12);

    std::fs::write(at("wrong.json"), GRAPH.replace("[3, 16, 16]", "[3, 8, 8]")).unwrap();
    let error = refused(&from("wrong.json", &[]), &at("none"));
    assert!(error.contains("expected input [3, 16, 16] and 10 classes"), "{error}");
    std::fs::write(at("typo.json"), GRAPH.replace("\"inputs\"", "\"input\"")).unwrap();
    let error = refused(&from("typo.json", &[]), &at("none"));
    assert!(error.contains("typo.json") && error.contains("input"), "{error}");
    let error = refused(&from("net.yaml", &[]), &at("none"));
    assert!(error.contains("net.yaml"), "{error}");
}

#[test]
fn a_run_starts_from_the_weights_of_another_and_lists_the_differences() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    finish(&config(&["policy=all"]), &at("relu"));
    let from = format!("start_from={}", at("relu").display());
    let hybrid =
        config(&[&from, "time_steps=3", "neuron.leak={ kind = 'learned', initial = 0.5 }"]);
    let encoded = config(&[&from, "encoder=latency"]);
    go(&encoded, &at("encoded"), Start::New, Some(0)).unwrap();
    let told = RunFolder::open(at("encoded")).unwrap().info().unwrap().differences.join("\n");
    assert!(told.contains("encoder: Direct there, Latency here"), "{told}");
    let mut told = Vec::new();
    train(&hybrid, &at("whole"), &Options::default(), &mut |progress| {
        if let Progress::Begun { differences, .. } = progress {
            told = differences.to_vec();
        }
    })
    .unwrap();
    let text = told.join("\n");
    assert!(text.contains("time steps: 2 there, 3 here"), "{text}");
    assert!(text.contains("site `block1.act1`") && !text.contains("site `stem.act`"), "{text}");
    assert!(text.contains("leak`: begins as usual"), "{text}");
    let run = RunFolder::open(at("whole")).unwrap();
    assert_eq!(run.info().unwrap().differences, told);
    // Training began with those weights: the model that is kept has them.
    let load = |path: &str| Model::load(at(path)).unwrap();
    let (base, relu) = (load("whole/base.safetensors"), load("relu/model.safetensors"));
    assert_eq!(base.weights()["stem.conv.weight"], relu.weights()["stem.conv.weight"]);
    finish(&config(&["time_steps=3"]), &at("fresh"));
    assert_ne!(bytes(&at("fresh")), bytes(&at("whole")));
    std::fs::rename(at("relu"), at("moved")).unwrap();

    // Anything else that does not fit is refused by name.
    let error = refused(&hybrid, &at("none"));
    assert!(error.contains("`start_from`") && error.contains("relu"), "{error}");
    let from = format!("start_from={}", at("moved/model.safetensors").display());
    let error = refused(&config(&[&from, "network={ kind = 'small', width = 4 }"]), &at("none"));
    assert!(error.contains("for weight `block1."), "{error}");
    let error = refused(
        &config(&[&from, "policy=none", "network={ kind = 'resnet', width = 3, blocks = [1] }"]),
        &at("none"),
    );
    assert!(error.contains("which has none") || error.contains("none of this name"), "{error}");
}

/// A kill between the writes that begin a run, in their order: whatever is there already, the run
/// resumes to the same bytes, and once all is there it needs nothing of other places.
#[test]
fn a_run_that_was_killed_as_it_began_resumes_to_the_same_bytes() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    std::fs::write(at("net.json"), GRAPH).unwrap();
    let network = format!("network={{ kind = 'file', path = '{}' }}", at("net.json").display());
    finish(&config(&["policy=all", "seed=9", &network]), &at("relu"));
    let from = format!("start_from={}", at("relu").display());
    let teacher = format!("distillation.teacher='{}'", at("relu").display());
    let config = config(&["policy=none", &network, &from, &teacher]);
    finish(&config, &at("whole"));
    let differences = |name: &str| {
        let differences = RunFolder::open(at(name)).unwrap().info().unwrap().differences;
        assert_eq!(differences.len(), 1, "{differences:?}");
        differences
    };

    let beginning = [
        "config.toml",
        "network.json",
        "base.safetensors",
        "teacher.safetensors",
        "run.json",
        "trainer.json",
    ];
    for written in 1..=beginning.len() {
        let name = format!("run{written}");
        std::fs::create_dir(at(&name)).unwrap();
        for file in &beginning[..written] {
            std::fs::copy(at("whole").join(file), at(&name).join(file)).unwrap();
        }
        if written == beginning.len() {
            std::fs::rename(at("relu"), at("moved")).unwrap();
            std::fs::remove_file(at("net.json")).unwrap();
        }
        let outcome = go(&config, &at(&name), Start::Resume, None).unwrap();
        assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
        assert_eq!(bytes(&at(&name)), bytes(&at("whole")), "{:?}", &beginning[..written]);
        assert_eq!(differences(&name), differences("whole"));
    }
}

/// Two convolutions of one shape, whose sum is pooled.
const WIRED: &str = r#"{ "nodes": [
    { "name": "image", "op": { "op": "input", "shape": [3, 16, 16] } },
    { "name": "conv1", "op": { "op": "conv", "channels": 4, "kernel": [3, 3], "stride": [2, 2],
      "padding": [1, 1], "dilation": [1, 1] } },
    { "name": "act1", "op": { "op": "activation", "site": { "kind": "lif" } } },
    { "name": "conv2", "op": { "op": "conv", "channels": 4, "kernel": [3, 3], "padding": [1, 1] } },
    { "name": "act2", "op": { "op": "activation", "site": { "kind": "lif" } } },
    { "name": "conv3", "op": { "op": "conv", "channels": 4, "kernel": [3, 3], "padding": [1, 1] },
      "inputs": ["act2"] },
    { "name": "sum", "op": { "op": "add" }, "inputs": ["conv3", "conv2"] },
    { "name": "act3", "op": { "op": "activation", "site": { "kind": "lif" } } },
    { "name": "pool", "op": { "op": "pool", "pool": "average",
      "window": { "kernel": [2, 2], "stride": [2, 2] } } },
    { "name": "flat", "op": { "op": "flatten" } },
    { "name": "fc", "op": { "op": "linear", "features": 10, "bias": true } },
    { "name": "head", "op": { "op": "time_mean" } }
] }"#;

/// Attributes and edges that leave the meaning of the weights are listed, others refused.
#[test]
fn differences_of_operations_and_edges_are_listed_or_refused() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let network =
        |file: &str| format!("network={{ kind = 'file', path = '{}' }}", at(file).display());
    std::fs::write(at("net.json"), WIRED).unwrap();
    finish(&config(&["policy=none", &network("net.json")]), &at("run"));
    let from = format!("start_from={}", at("run").display());
    let change = |changes: &[(&str, &str)]| {
        let changed = changes.iter().fold(WIRED.to_string(), |graph, (old, new)| {
            assert!(graph.contains(old), "{old}");
            graph.replace(old, new)
        });
        std::fs::write(at("other.json"), changed).unwrap();
        config(&["policy=none", &network("other.json"), &from])
    };
    let listed = |name: &str, changes: &[(&str, &str)]| {
        finish(&change(changes), &at(name));
        RunFolder::open(at(name)).unwrap().info().unwrap().differences
    };
    assert_eq!(
        listed(
            "attributes",
            &[
                (
                    r#""padding": [1, 1], "dilation": [1, 1]"#,
                    r#""padding": [2, 2], "dilation": [2, 2]"#,
                ),
                ("average", "max"),
                (r#"["conv3", "conv2"]"#, r#"["conv2", "conv3"]"#),
            ],
        ),
        [
            "node `conv1`: dilation [1,1] there, [2,2] here; padding [1,1] there, [2,2] here",
            "node `sum`: reads conv3, conv2 there, conv2, conv3 here",
            "node `pool`: pool \"average\" there, \"max\" here",
        ]
    );
    // A node without weights that only one of them has.
    assert_eq!(
        listed("names", &[(r#""name": "pool""#, r#""name": "shrink""#)]),
        [
            "node `shrink`: only here",
            "node `flat`: reads pool there, shrink here",
            "node `pool`: only there",
        ]
    );

    // Weights for the features of another layer, and for other places of the image.
    let rewired = change(&[
        (r#"["act2"]"#, r#"["act1"]"#),
        (r#"["conv3", "conv2"]"#, r#"["conv3", "act2"]"#),
    ]);
    let error = refused(&rewired, &at("none"));
    assert!(
        error.ends_with("expected weights of `conv3` for `conv1`, found those for `conv2`"),
        "{error}"
    );
    let wide = r#""kernel": [1, 4], "stride": [1, 4]"#;
    let error = refused(&change(&[(r#""kernel": [2, 2], "stride": [2, 2]"#, wide)]), &at("none"));
    assert!(
        error.contains("weights of `fc` for [4, 8, 2] flattened") && error.contains("[4, 4, 4]"),
        "{error}"
    );
    // Other types of the same shape.
    let path = at("double.safetensors");
    let mut model = Model::load(at("run").join("model.safetensors")).unwrap();
    for tensor in model.weights_mut().values_mut() {
        *tensor = tensor.to_f64().into();
    }
    model.save(&path).unwrap();
    let from = format!("start_from={}", path.display());
    let error = refused(&config(&["policy=none", &network("net.json"), &from]), &at("none"));
    assert!(error.contains("expected f32 for weight `conv1."), "{error}");
    assert!(error.ends_with("found f64"), "{error}");
}

#[test]
fn a_classifier_of_other_classes_begins_anew_where_that_is_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    // The same network with four classes.
    let mut other = GRAPH.replace("\"features\": 10", "\"features\": 4");
    std::fs::write(at("ten.json"), GRAPH).unwrap();
    let ten = format!("network={{ kind = 'file', path = '{}' }}", at("ten.json").display());
    let plain = config(&["policy=none", &ten]);
    finish(&plain, &at("ten"));
    other = other.replace('\n', " ");
    let graph: snn_ir::Graph = serde_json::from_str(&other).unwrap();
    let model = Model::load(at("ten").join("model.safetensors")).unwrap();
    let (mut signature, _) = model.into_parts();
    signature.classes = ["a", "b", "c", "d"].map(str::to_string).to_vec();
    signature.graph = graph;
    let weights = signature.graph.initial_weights(9).unwrap();
    let four = Model::new(signature, weights);
    four.save(at("four.safetensors")).unwrap();

    let path = at("four.safetensors").display().to_string();
    let error =
        refused(&config(&["policy=none", &ten, &format!("start_from={path}")]), &at("none"));
    assert!(error.contains("new_classes = true") && error.contains("`fc."), "{error}");
    let anew = format!("start_from={{ path = '{path}', new_classes = true }}");
    finish(&config(&["policy=none", &ten, &anew]), &at("run"));
    let base = Model::load(at("run").join("base.safetensors")).unwrap();
    assert_eq!(base.weights()["conv1.weight"], four.weights()["conv1.weight"]);
    let told = RunFolder::open(at("run")).unwrap().info().unwrap().differences.join("\n");
    assert!(
        told.contains("weight `fc.weight`: [4, 256] there, [10, 256] here: begins anew"),
        "{told}"
    );
}

#[test]
fn a_set_that_is_too_small_for_what_is_held_out_names_the_key() {
    let parent = tempfile::tempdir().unwrap();
    let error = refused(&config(&["data.held_out=8000"]), &parent.path().join("run"));
    for part in ["`data.held_out`", "fewer than the 8000 training samples", "found 8000"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn more_threads_than_the_machine_can_use_are_refused_before_anything_is_written() {
    let parent = tempfile::tempdir().unwrap();
    for key in ["threads", "data.loader_threads"] {
        let error = refused(&config(&[&format!("{key}=1000")]), &parent.path().join("run"));
        for part in [&format!("`{key}`"), "expected at most ", "processors", "found 1000"] {
            assert!(error.contains(part), "{error}");
        }
        // Before the data is opened, which is not there; a config as such may be of a larger
        // machine.
        let sets = [format!("{key}=1000"), "data.dataset=cifar-10".into()];
        let config = RunConfig::with_overrides(PLAIN, &sets).unwrap();
        let options =
            Options { data_root: Some(parent.path().to_path_buf()), ..Options::default() };
        let error = train(&config, &parent.path().join("run"), &options, &mut |_| {});
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}`: expected at most")), "{error}");
    }
}

#[test]
fn batches_that_cannot_be_made_name_keys_as_configs_do() {
    let parent = tempfile::tempdir().unwrap();
    for (sets, key) in [
        (&["batch=10000"][..], "batch"),
        (&["data.event_mix=0.5"], "data.event_mix"),
        (&["data.crop_border=reflect", "data.crop_padding=16"], "data.crop_padding"),
    ] {
        let error = refused(&config(sets), &parent.path().join("run"));
        assert!(error.starts_with(&format!("`{key}`: expected ")), "{error}");
    }
}

#[test]
fn errors_name_keys_as_configs_do() {
    for (text, key) in [
        ("dataset = 'imagenette'\npictures = { size = 9000 }", "data.pictures.size"),
        ("dataset = 'imagenette'\npictures = { scale = [2, 1] }", "data.pictures.scale"),
        ("dataset = 'n-mnist'\nframes = { slices = 2, size = '90x90' }", "data.frames.size"),
        ("dataset = 'cifar-10'\npath = 'nowhere'", "data.path"),
    ] {
        let root = tempfile::tempdir().unwrap();
        for part in ["train", "val"] {
            let folder = root.path().join(format!("imagenette2/{part}/n1"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("a.jpg"), "").unwrap();
        }
        for part in ["Train", "Test"] {
            for class in 0..10 {
                let folder = root.path().join(format!("n-mnist/{part}/{class}"));
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join("1.bin"), [1, 2, 0, 0, 0]).unwrap();
            }
        }
        let text = format!("epochs = 1\ntime_steps = 2\n[data]\nheld_out = 0\n{text}");
        let error = RunConfig::from_toml(&text)
            .and_then(|config| config.open_data(Some(root.path())))
            .map(|_| format!("{key} is taken"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("`{key}` must be ")), "{error}");
    }
}

#[test]
fn a_key_that_takes_a_number_or_a_table_is_set_to_either() {
    let learned = "neuron.threshold={ kind = 'learned', initial = 0.5 }";
    let of = |sets: &[&str]| config(sets).neuron.threshold;
    let number = of(&["neuron.threshold=2"]);
    assert_ne!(of(&[learned]), number);
    // In either order, the last one counts.
    assert_eq!(of(&[learned, "neuron.threshold=2"]), number);
    assert_eq!(of(&["neuron.threshold=2", learned]), of(&[learned]));
    let set = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        RunConfig::with_overrides(PLAIN, &sets).unwrap_err().to_string()
    };
    // What takes one alone says which.
    assert!(set(&["epochs={ many = 1 }"]).contains("epochs"), "{}", set(&["epochs={ many = 1 }"]));
    assert!(set(&["data=3"]).contains("data"), "{}", set(&["data=3"]));
}

/// The regulariser makes every site fire less, and a site that it spares less so.
#[test]
fn activity_falls_and_spared_sites_keep_more_of_it() {
    let parent = tempfile::tempdir().unwrap();
    let rates = |name: &str, sets: &[&str]| {
        let folder = parent.path().join(name);
        finish(&config(&[&["epochs=6", "policy=none"], sets].concat()), &folder);
        RunFolder::open(&folder).unwrap().metrics().unwrap().pop().unwrap().firing_rates
    };
    let free = rates("free", &[]);
    let sparse = rates("sparse", &["activity={ weight = 1.0, target = 0.05 }"]);
    for (site, rate) in &sparse {
        assert!(*rate < 0.7 * free[site], "{site}: {rate} of {}", free[site]);
    }
    let stem = "activity.sites=[{ names = 'stem.*', target = 1.0 }]";
    let spared = rates("spared", &["activity={ weight = 1.0, target = 0.05 }", stem]);
    let (spared, sparse) = (spared["stem.act"], sparse["stem.act"]);
    assert!(spared > 2.0 * sparse, "{spared} {sparse}");
}

#[test]
fn an_activity_that_cannot_be_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let relus = config(&["activity.weight=1.0", "policy=all", "replacement=relu"]);
    assert!(refused(&relus, &folder).contains("no site of this network has levels"));
    let sites = "activity.sites=[{ names = 'stage*', target = 0.5 }]";
    let error = refused(&config(&["activity.weight=1.0", sites]), &folder);
    assert!(error.contains("matches no site that has an activity; they are `stem.act`"), "{error}");
    let sets = ["activity.weight=1.0", "memory=recompute"].map(String::from);
    let error = RunConfig::with_overrides(PLAIN, &sets).unwrap_err().to_string();
    assert!(error.contains("`memory` must be \"keep\" beside `activity`"), "{error}");
}
