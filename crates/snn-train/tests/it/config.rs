//! Configs: defaults, errors that name the key, overrides.

use serde_json::{Value, json};
use snn_data::{Border, DatasetName, Flip};
use snn_hybrid::{Policy, Replacement};
use snn_ir::networks::BuiltIn;
use snn_ir::{Adaptation, Encoder, FirstMembrane, Lif, Spike, Surrogate, Synapse};
use snn_train::{
    AdamWConfig, AutoAugmentConfig, BatchNormReestimationConfig, DistillationConfig, LossConfig,
    NetworkConfig, OptimiserConfig, RunConfig, ScheduleConfig, SgdConfig, WarmUpConfig,
};
use std::collections::BTreeMap;
use std::path::Path;

const LEAST: &str = "epochs = 2\n[data]\ndataset = 'shapes10'\n";

/// A built-in network with some of its keys.
fn network(kind: &str, keys: Value) -> NetworkConfig {
    let Value::Object(keys) = keys else { panic!("{keys}") };
    NetworkConfig::BuiltIn(BuiltIn::with_keys(kind, keys).unwrap())
}

fn set(sets: &[&str]) -> Result<RunConfig, String> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    RunConfig::with_overrides(LEAST, &sets).map_err(|e| e.to_string())
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = RunConfig::from_toml(LEAST).unwrap();
    assert_eq!((config.seed, config.epochs, config.batch, config.time_steps), (0, 2, 128, 2));
    assert_eq!((config.data.dataset, config.data.held_out), (DatasetName::Shapes10, 5_000));
    assert_eq!((config.data.crop_padding, config.data.flip), (4, Some(Flip::Horizontal)));
    assert_eq!(config.network, NetworkConfig::default());
    assert_eq!(
        (config.neuron, config.policy, config.replacement),
        (Lif::default(), Policy::None, Replacement::default())
    );
    assert_eq!(
        (config.optimiser, config.schedule),
        (OptimiserConfig::Sgd(SgdConfig::default()), ScheduleConfig::default())
    );
    // Options that are off by default.
    assert_eq!((config.warm_up, config.loss), (WarmUpConfig::Steps(0), LossConfig::CrossEntropy));
    assert_eq!((config.gradient_clip, config.weight_average), (0.0, 0.0));
    assert_eq!(
        (config.data.limit, config.data.validation_limit, config.data.test_limit),
        (0, 0, 0)
    );
    assert_eq!((config.data.crop_border, config.data.mix_epochs), (Border::Fill, 0));
    assert_eq!(config.data.auto_augment, AutoAugmentConfig::None);
    assert_eq!((config.data.erasing, config.data.event_mix), (0.0, 0.0));
    assert_eq!(config.encoder, Encoder::Direct);
    assert!(!config.start_from.is_on() && !config.start_from.new_classes);
    assert_eq!((config.data.cutout, config.data.mixup, config.data.cutmix), (0, 0.0, 0.0));
    assert_eq!(config.batch_norm_reestimation, BatchNormReestimationConfig { batches: 0 });
    assert!(!config.distillation.is_on());
    assert_eq!((config.distillation.weight, config.distillation.temperature), (0.9, 4.0));
}

/// A config from before there were kinds of optimisers.
#[test]
fn an_optimiser_without_a_kind_is_sgd() {
    let text = format!("optimiser = {{ learning_rate = 0.3, momentum = 0.8 }}\n{LEAST}");
    let config = RunConfig::from_toml(&text).unwrap();
    let expected = SgdConfig { learning_rate: 0.3, momentum: 0.8, ..SgdConfig::default() };
    assert_eq!(config.optimiser, OptimiserConfig::Sgd(expected));
    assert!(config.to_toml().unwrap().contains("kind = \"sgd\""), "{}", config.to_toml().unwrap());
}

#[test]
fn everything_can_be_asked_for() {
    let config = set(&[
        "optimiser=adamw",
        "optimiser.learning_rate=0.002",
        "optimiser.beta2=0.99",
        "warm_up={ fraction = 0.1 }",
        "gradient_clip=1",
        "weight_average=0.999",
        "loss={ kind = 'tet', regulariser = 0.01 }",
        "data.cutout=8",
        "data.mixup=0.2",
        "data.cutmix=1",
        "data.mix_epochs=60",
        "data.crop_border=reflect",
        "data.flip=alternating",
        "data.auto_augment=rand-augment",
        "data.auto_augment.magnitude=7",
        "data.erasing=0.25",
        "data.validation_limit=100",
        "data.test_limit=200",
        "encoder={ kind = 'poisson', seed = 1, rate = 0.5 }",
        "start_from=runs/before",
        "network={ kind = 'file', path = 'net.json' }",
        "batch_norm_reestimation.batches=50",
        "distillation.teacher=runs/relu",
        "distillation.weight=0.5",
    ])
    .unwrap();
    let adamw = AdamWConfig { learning_rate: 0.002, beta2: 0.99, ..AdamWConfig::default() };
    assert_eq!(
        (config.optimiser, config.warm_up),
        (OptimiserConfig::AdamW(adamw), WarmUpConfig::Fraction(0.1))
    );
    assert_eq!(config.loss, LossConfig::Tet { regulariser: 0.01, regulariser_target: 1.0 });
    let rand_augment = AutoAugmentConfig::RandAugment { operations: 2, magnitude: 7 };
    assert_eq!(config.data.auto_augment, rand_augment);
    assert_eq!(config.encoder, Encoder::Poisson { seed: 1, rate: 0.5 });
    assert_eq!(config.start_from.path, Path::new("runs/before"));
    let teacher = "runs/relu".into();
    assert_eq!(
        config.distillation,
        DistillationConfig { teacher, weight: 0.5, ..DistillationConfig::default() }
    );
    assert_eq!(RunConfig::from_toml(&config.to_toml().unwrap()).unwrap(), config);
    assert_eq!(set(&["warm_up.steps=500"]).unwrap().warm_up, WarmUpConfig::Steps(500));
}

#[test]
fn resolved_configs_read_back_the_same() {
    let mut configs = vec![
        RunConfig::from_toml(LEAST).unwrap(),
        set(&[
            "policy={ kind = 'sites', include = ['stem.*'] }",
            "replacement=relu",
            "schedule=cosine",
            "network=small",
        ])
        .unwrap(),
    ];
    for path in shipped() {
        configs.push(RunConfig::load(&path, &[]).unwrap());
    }
    for config in configs {
        let text = config.to_toml().unwrap();
        assert_eq!(RunConfig::from_toml(&text).unwrap(), config, "{text}");
    }
}

fn shipped() -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 8, "{found:?}");
    found
}

#[test]
fn a_kind_may_stand_by_its_name() {
    let text = "schedule = 'cosine'\nloss = 'tet'\noptimiser = 'adamw'\nnetwork = 'small'\n\
                encoder = 'latency'\nneuron.surrogate = 'triangle'\nstart_from = 'runs/x'\n";
    let config = RunConfig::from_toml(&format!(
        "{text}epochs = 2\ndata = {{ dataset = 'shapes10', auto_augment = 'trivial-augment' }}"
    ))
    .unwrap();
    assert_eq!(config.schedule, ScheduleConfig::Cosine { warm_up: 0.0, final_factor: 0.0 });
    assert_eq!(config.optimiser, OptimiserConfig::AdamW(AdamWConfig::default()));
    assert_eq!(config.network, network("small", json!({})));
    assert_eq!((config.encoder, config.loss), (Encoder::Latency, set(&["loss=tet"]).unwrap().loss));
    assert_eq!(config.data.auto_augment, AutoAugmentConfig::TrivialAugment);
    assert!(matches!(config.neuron.surrogate, Surrogate::Triangle { .. }));
    assert_eq!(config.start_from.path, Path::new("runs/x"));
}

/// One TOML a table row is plain; this keeps the rows of one table, which is of one network, from
/// drifting apart.
#[test]
fn rows_of_a_table_differ_in_what_the_table_is_about() {
    let mut tables = BTreeMap::<String, Vec<RunConfig>>::new();
    let is_of_a_table = |path: &Path| {
        let path = path.to_string_lossy();
        path.contains("configs/cifar") || path.contains("configs/n-mnist")
    };
    for path in shipped().into_iter().filter(|path| is_of_a_table(path)) {
        let config = RunConfig::load(&path, &[]).unwrap();
        // A staged config is a recipe, and no row.
        if config.twin.is_some() {
            continue;
        }
        let (policy, time_steps) = (Policy::None, 0);
        let dataset = DatasetName::Cifar100;
        let network =
            path.file_stem().unwrap().to_string_lossy().split('-').next().unwrap().to_owned();
        tables.entry(network).or_default().push(RunConfig {
            policy,
            time_steps,
            data: snn_train::DataConfig { dataset, ..config.data.clone() },
            ..config
        });
    }
    let names: Vec<_> = tables.keys().collect();
    assert_eq!(names, ["plif", "resnet18", "resnet20", "simulated"]);
    for rows in tables.values() {
        assert!(rows.len() > 1 && rows.iter().all(|row| *row == rows[0]));
    }
}

#[test]
fn errors_name_the_key() {
    let more =
        |text: &str| RunConfig::from_toml(&format!("{text}\n{LEAST}")).unwrap_err().to_string();
    for (text, message) in [
        ("batches = 3", "unknown field `batches`"),
        ("batch = 'many'", "batch = 'many'"),
        ("batch = 0", "`batch` must be at least 1, found 0"),
        ("label_smoothing = 1.5", "`label_smoothing` must be 0 to below 1"),
        ("optimiser = { momentum = 1.0 }", "`optimiser.momentum`"),
        ("optimiser = { rate = 1.0 }", "unknown field `rate`"),
        ("schedule = { kind = 'cosine', peak_fraction = 0.3 }", "unknown field `peak_fraction`"),
        ("schedule = { kind = 'cosine', warm_up = 1.0 }", "`schedule.warm_up`"),
        ("schedule = { kind = 'step' }", "unknown variant `step`"),
        ("optimiser = { kind = 'lion' }", "expected one of `sgd`, `adamw`, `muon`"),
        ("optimiser = { kind = 'muon', iterations = 0 }", "`optimiser.iterations` must be 1 to 20"),
        ("optimiser = { kind = 'muon', weight_decay = 0.1 }", "0 beside `normalise`"),
        (
            "optimiser = { kind = 'muon', others = { momentum = 1.0 } }",
            "`optimiser.others.momentum` must be 0 to below 1, found 1",
        ),
        ("lookahead = { kind = 'constant', every = 0 }", "`lookahead.every` must be at least 1"),
        ("lookahead = { kind = 'constant', alpha = 0.0 }", "`lookahead.alpha`"),
        ("lookahead = { kind = 'rising', decay = 1.0 }", "`lookahead.decay`"),
        ("lookahead = { kind = 'rising', power = -1.0 }", "`lookahead.power`"),
        ("lookahead = 'risen'", "did you mean `rising`?"),
        ("schedule = { kind = 'linear', peak_fraction = 1.0 }", "`schedule.peak_fraction`"),
        ("schedule = { kind = 'linear', final_factor = 2.0 }", "`schedule.final_factor`"),
        ("schedule = { kind = 'cosine', final_factor = -0.1 }", "`schedule.final_factor`"),
        ("groups = [{ learning_rate = 2.0 }]", "missing field `names`"),
        ("groups = [{ names = '*', lerning_rate = 2.0 }]", "lerning_rate"),
        ("groups = [{ names = '*', learning_rate = -2.0 }]", ".learning_rate` must be a factor"),
        ("distillation = { own_weight = 0.5 }", "0 without `distillation.per_step`"),
        ("distillation = { per_step = true, weight = -0.5 }", "`distillation.weight`"),
        ("optimiser = { kind = 'adamw', momentum = 0.9 }", "unknown field `momentum`"),
        (
            "optimiser = { kind = 'adamw', beta1 = 1.0 }",
            "`optimiser.beta1` must be 0 to below 1, found 1",
        ),
        ("optimiser = { kind = 'adamw', beta2 = -1.0 }", "`optimiser.beta2`"),
        ("optimiser = { kind = 'adamw', eps = 0.0 }", "`optimiser.eps` must be positive"),
        ("optimiser = { kind = 'adamw', learning_rate = 0.0 }", "`optimiser.learning_rate`"),
        ("optimiser = { kind = 'adamw', weight_decay = nan }", "`optimiser.weight_decay`"),
        ("warm_up = { fraction = 1.0 }", "`warm_up.fraction` must be 0 to below 1"),
        ("warm_up = { epochs = 1 }", "unknown variant `epochs`"),
        (
            "warm_up = { steps = 5 }\nschedule = { kind = 'cosine', warm_up = 0.1 }",
            "`schedule.warm_up` must be 0",
        ),
        ("gradient_clip = -1.0", "`gradient_clip` must be at least 0"),
        ("gradient_clip = inf", "`gradient_clip`"),
        ("weight_average = 1.0", "`weight_average` must be 0 to below 1"),
        ("loss = { kind = 'hinge' }", "unknown variant `hinge`"),
        ("loss = { kind = 'tet', regulariser = 1.5 }", "`loss.regulariser` must be 0 to 1"),
        ("loss = { kind = 'tet', regulariser_target = inf }", "`loss.regulariser_target`"),
        ("distillation = { weight = 2.0 }", "`distillation.weight` must be 0 to 1"),
        ("distillation = { temperature = 0.0 }", "`distillation.temperature` must be positive"),
        ("distillation = { techer = 'x' }", "unknown field `techer`"),
        ("batch_norm_reestimation = { batch = 3 }", "unknown field `batch`"),
        ("batch_norm_reestimation = { batches = -1 }", "batches = -1"),
        ("network = { kind = 'vgg' }", "unknown variant `vgg`"),
        ("network = { kind = 'file' }", "missing field `path`"),
        ("network = 'file'", "missing field `path`"),
        ("network = 'fille'", "did you mean `file`?"),
        ("encoder = 'posson'", "did you mean `poisson`?"),
        ("encoder = { kind = 'poisson', seed = 0, rate = 1.5 }", "rate"),
        ("encoder = { kind = 'phase', bits = 3 }", "multiple of the period of 3 phases"),
        ("start_from = { path = 'x', new_clases = true }", "did you mean `new_classes`?"),
        ("policy = 'outre'", "unknown variant `outre`"),
        ("neuron = { leek = 1 }", "unknown field `leek`"),
        ("epochs = ", "TOML parse error"),
    ] {
        let error = more(text);
        assert!(error.contains(message), "{text}: {error}");
    }
    for (set, message) in [
        ("data.mixup=2.5", "`data.mixup` must be 0 to 2"),
        ("data.cutmix=-0.5", "`data.cutmix` must be 0 to 2"),
        ("data.cutout=-1", "invalid value: integer `-1`"),
        ("data.limit=-1", "invalid value: integer `-1`"),
        ("data.limt=5", "did you mean `data.limit`?"),
        ("data.erasing=1.5", "`data.erasing` must be 0 to 1"),
        ("data.event_mix=-1", "`data.event_mix` must be 0 to 1"),
        ("data.auto_augment=trivial-augmnt", "did you mean `trivial-augment`?"),
        (
            "data.auto_augment={ kind = 'rand-augment', magnitude = 31 }",
            "`data.auto_augment.magnitude` must be at most 30, found 31",
        ),
        ("data.flip=alternatin", "did you mean `alternating`?"),
        ("data.mix_epochs=5", "`data.mix_epochs` must be 0 where nothing is mixed, found 5"),
        ("data.loader_threads=2000", "`data.loader_threads` must be 0 to 1024, found 2000"),
        ("data.mix_epochs=-1", "invalid value: integer `-1`"),
    ] {
        let error = self::set(&[set]).unwrap_err();
        assert!(error.contains(message), "{set}: {error}");
    }
    let error = RunConfig::from_toml("[data]\ndataset = 'shapes10'").unwrap_err().to_string();
    assert!(error.contains("missing field `epochs`"), "{error}");
    let error = RunConfig::load(Path::new("no/such.toml"), &[]).unwrap_err().to_string();
    assert!(error.contains("no/such.toml"), "{error}");
}

#[test]
fn overrides_set_values_of_the_right_type() {
    let config = set(&[
        "seed = 7",
        "optimiser.learning_rate=1",
        "optimiser.nesterov=false",
        "data.dataset=cifar-100",
        "data.flip='none'",
        "network.blocks=[1, 1]",
        "neuron.surrogate={ kind = 'rectangle', width = 1.0 }",
        "neuron.threshold=0.5",
        "policy=outer",
        "schedule=constant",
    ])
    .unwrap();
    assert_eq!(
        (config.seed, config.policy, config.schedule),
        (7, Policy::Outer, ScheduleConfig::Constant)
    );
    assert_eq!(
        config.optimiser,
        OptimiserConfig::Sgd(SgdConfig {
            learning_rate: 1.0,
            nesterov: false,
            ..SgdConfig::default()
        })
    );
    assert_eq!((config.data.dataset, config.data.flip), (DatasetName::Cifar100, Some(Flip::None)));
    assert_eq!(config.network, network("resnet", json!({ "blocks": [1, 1] })));
    assert_eq!(config.neuron.surrogate, Surrogate::Rectangle { width: 1.0 });
    // A kind, then a key that only that kind has.
    let small = network("small", json!({ "width": 8 }));
    assert_eq!(set(&["network=small", "network.width=8"]).unwrap().network, small);
    assert_eq!(set(&["network={ kind = 'small', width = 8 }"]).unwrap().network, small);
}

/// Keys that a config does not write out where they have their defaults.
#[test]
fn overrides_reach_keys_that_are_not_written_out() {
    let config = set(&[
        "network=file",
        "network.path=net.json",
        "neuron.spike=ternary",
        "neuron.synapse=current",
        "neuron.synapse.alpha=1",
        "neuron.adaptation={ kind = 'threshold', decay = 0.5, strength = 0.25 }",
        "neuron.initial={ kind = 'threshold', share = 0.5 }",
    ])
    .unwrap();
    assert_eq!(config.network, NetworkConfig::File { path: "net.json".into() });
    assert_eq!(config.neuron.spike, Spike::Ternary);
    assert_eq!(config.neuron.synapse, Synapse::Current { alpha: 1.0 });
    let adaptation = Adaptation::Threshold { decay: 0.5, strength: 0.25 };
    assert_eq!(config.neuron.adaptation, adaptation);
    assert_eq!(config.neuron.initial, FirstMembrane::Threshold { share: 0.5 });
    let config = set(&["neuron.initial=0.25"]).unwrap();
    assert_eq!(config.neuron.initial, FirstMembrane::Potential(0.25));
}

#[cfg(feature = "data")]
#[test]
fn overrides_reach_the_keys_of_recordings_and_pictures() {
    let config = set(&[
        "data.dataset=n-mnist",
        "time_steps=4",
        "data.frames.slices=4",
        "data.frames.size=17x17",
        "data.frames.sensor=34x34",
        "data.cache.max_gib=8",
        "data.split=split.toml",
    ])
    .unwrap();
    assert_eq!((config.data.frames.slices, config.data.split.to_str()), (4, Some("split.toml")));
    assert_eq!(config.data.frames.size.unwrap().to_string(), "17x17");
    let cache = config.data.cache.unwrap();
    assert_eq!((cache.max_gib, cache.folder.to_str()), (8, Some("cache")));
    let config = set(&["data.dataset=imagenette", "data.pictures.scale=[0.5, 1.0]"]).unwrap();
    assert!(matches!(config.data.pictures.scale, [0.5, 1.0]));
}

/// Mirrored, a movement to the left is one to the right.
#[cfg(feature = "data")]
#[test]
fn recordings_are_not_mirrored_unless_asked() {
    let of = |more: &str| {
        let text = format!("epochs = 1\ntime_steps = 10\n[data]\ndataset = 'n-mnist'\n{more}");
        RunConfig::from_toml(&text).unwrap().data.flip
    };
    assert_eq!(of(""), Some(Flip::None));
    assert_eq!(of("flip = 'horizontal'"), Some(Flip::Horizontal));
}

#[cfg(feature = "data")]
#[test]
fn a_recording_has_a_frame_for_each_time_step() {
    let error = set(&["data.dataset=n-mnist"]).unwrap_err();
    for part in ["`data.frames.slices`", "10 frames", "`time_steps` is 2", "same number"] {
        assert!(error.contains(part), "{error}");
    }
    set(&["data.dataset=n-mnist", "data.frames.slices=2"]).unwrap();
}

/// A build without pictures and recordings reads the config of a run on images.
#[test]
fn keys_of_other_data_are_written_only_where_they_say_something() {
    let text = RunConfig::from_toml(LEAST).unwrap().to_toml().unwrap();
    for key in ["pictures", "frames", "split", "cache"] {
        assert!(!text.contains(key), "{text}");
    }
    #[cfg(feature = "data")]
    {
        // One that writes them out, as earlier builds did, is the same.
        let more = "split = ''\nframes = { slices = 10, augment = [] }\npictures = { size = 0 }";
        let long = format!("{text}\n").replace("[data]\n", &format!("[data]\n{more}\n"));
        let (long, short) = (RunConfig::from_toml(&long), RunConfig::from_toml(&text));
        assert_eq!(long.unwrap(), short.unwrap());
    }
}

#[test]
fn overrides_refuse_the_rest() {
    for (text, message) in [
        ("data.cach.max_gib=3", "did you mean `data.cache.max_gib`?"),
        ("neuron.spik=ternary", "did you mean `neuron.spike`?"),
        ("neuron.spike=ternry", "did you mean `ternary`?"),
        ("network=file", "missing field `path`"),
        ("neuron.leak.factr=1", "did you mean `neuron.leak.factor`?"),
        ("batch", "expected `key.path=value`"),
        ("bach=3", "there is no key `bach`; did you mean `batch`?"),
        ("optimiser.momentun=0.5", "did you mean `optimiser.momentum`?"),
        ("data.flp=none", "did you mean `data.flip`?"),
        ("batch=many", "`batch` takes a value of type integer, found `many`"),
        ("batch=1.5", "type integer"),
        ("optimiser.nesterov=1", "type boolean"),
        ("data=shapes10", "type table"),
        ("data.dataset=cifar10", "cifar-10"),
        ("batch=0", "`batch` must be at least 1"),
        ("policy=outre", "unknown variant `outre`"),
    ] {
        let error = set(&[text]).unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn every_built_in_network_is_read_by_its_name_and_keys() {
    for row in snn_ir::networks::NETWORKS {
        let by_name = set(&[&format!("network={}", row.kind)]).unwrap();
        assert_eq!(by_name.network, NetworkConfig::BuiltIn(BuiltIn::of(row)), "{}", row.kind);
        // What is written out reads back, and so do all keys of a narrow one.
        let written = RunConfig::from_toml(&by_name.to_toml().unwrap()).unwrap();
        assert_eq!(written, by_name, "{}", row.kind);
        let keys: Value = serde_json::from_str(row.narrow).unwrap();
        let narrow = network(row.kind, keys.clone());
        let table = toml::to_string(&json!({ "kind": row.kind, "keys": keys })).unwrap();
        let text = format!("{LEAST}[network]\n{}", table.replace("[keys]", ""));
        assert_eq!(RunConfig::from_toml(&text).unwrap().network, narrow, "{text}");
    }
}

#[test]
fn keys_of_networks_are_checked() {
    let error = |keys: &str| {
        RunConfig::from_toml(&format!("{LEAST}[network]\n{keys}")).unwrap_err().to_string()
    };
    for (keys, expected) in [
        ("kind = 'resnet188'", "did you mean `resnet18`?"),
        ("kind = 'resnet18'\ninner_with = 2", "did you mean `inner_width`?"),
        ("kind = 'resnet18'\ninner_width = 0", "`inner_width` must be a factor above 0"),
        ("kind = 'resnet18'\ninner_width = 'x'", "invalid type: string \"x\""),
        ("kind = 'resnet18'\nstem = 'mnist'", "unknown variant `mnist`, expected one of `auto`"),
        ("kind = 'resnet'\nwidth = 0", "`width` must be 1 to 1048576, found 0"),
        ("kind = 'resnet'\nblocks = []", "`blocks` must be a list of one stage or more"),
        ("kind = 'resnet'\nblocks = [1, 0]", "`blocks` must be a list of at most 32 stages"),
        ("kind = 'file'\npaht = 'x'", "did you mean `path`?"),
        ("kind = 'file'", "missing field `path`"),
        ("kind = 3", "`kind` must be a name, found 3"),
        ("width = 3", "missing field `kind`"),
    ] {
        let error = error(keys);
        assert!(error.contains(expected), "{keys}: {error}");
    }
    let sets =
        set(&["network=resnet18", "network.inner_width=2", "network.stem_width=32"]).unwrap();
    let expected = json!({ "inner_width": 2.0, "stem_width": 32 });
    assert_eq!(sets.network, network("resnet18", expected));
}

/// Every shipped config makes a network of the data it is for: policy, groups and twin fit.
#[test]
fn every_shipped_config_builds_its_network() {
    use snn_core::Parameter;
    use snn_core::tch::{Device, Kind, Tensor};
    for path in shipped() {
        let config = RunConfig::load(&path, &[]).unwrap();
        let (input, classes) = match config.data.dataset.spec().classes {
            // The classes are those of a folder, which is not at hand: any number of them will do.
            0 => (config.data.source().shape().unwrap().image(), 10),
            _ => config.input(None).unwrap(),
        };
        let twin = config.twin_config().unwrap();
        for config in [Some(config.clone()), twin].into_iter().flatten() {
            let graph = config.network.build(input, classes, &config.neuron);
            let graph = graph.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let (graph, placement) = snn_hybrid::apply(&graph, &config.policy, &config.replacement)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(!placement.sites.is_empty());
            let resolved = graph.resolve().unwrap();
            let specs = snn_ir::weight_specs(&graph, &resolved, snn_ir::Form::Trained).unwrap();
            let parameters: Vec<Parameter> = specs
                .into_iter()
                .map(|spec| Parameter {
                    name: spec.name,
                    tensor: Tensor::zeros([1, 1], (Kind::Float, Device::Cpu)),
                    learned: spec.part.learned,
                    range: spec.part.range,
                    decays: spec.part.decays,
                })
                .collect();
            let mut optimiser = config
                .optimiser
                .init_groups(&parameters, &config.groups)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            optimiser.begin_epoch(0, 1).unwrap();
        }
    }
}
