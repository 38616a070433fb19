//! Staged training: the swap of sites keeps the function, and twin and network are one run.

use ndarray::Array4;
use snn_core::tch::Device;
use snn_core::{Libtorch, NetworkOptions};
use snn_data::Source;
use snn_ir::{
    Evaluate, FirstMembrane, Input, Leak, Lif, Logits, Model, Record, Reset, Spike, Synapse,
};
use snn_train::{
    EVALUATION_BATCH, Error, Options, Outcome, Progress, RunConfig, RunFolder, SpikingFit, Start,
    evaluate, train,
};
use std::path::Path;
use std::sync::Arc;

/// A small residual network of spiking neurons that integrate.
const NETWORK: &str = "
seed = 3
epochs = 2
batch = 16
time_steps = 4
checkpoint_every = 4
threads = 1
policy = 'none'
network = { kind = 'small', width = 3 }
[neuron]
leak = { kind = 'factor', factor = 1.0 }
reset = { kind = 'soft' }
[data]
dataset = 'shapes10'
held_out = 7832 # of 8,000: leaves 168, ten batches of 16
validation_limit = 100
test_limit = 100
crop_padding = 1
";
const STEPS: usize = 10;

fn config(sets: &[&str]) -> RunConfig {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    RunConfig::with_overrides(NETWORK, &sets).unwrap()
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

fn finish(config: &RunConfig, folder: &Path) -> snn_train::RunResult {
    match go(config, folder, Start::New, None).unwrap() {
        Outcome::Finished(result) => result,
        other => panic!("{other:?}"),
    }
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

/// The model that a run begins with.
fn begun(config: &RunConfig, folder: &Path) -> Model {
    let outcome = go(config, folder, Start::New, Some(0)).unwrap();
    assert!(matches!(outcome, Outcome::Stopped { steps: 0 }), "{outcome:?}");
    Model::load(folder.join("base.safetensors")).unwrap()
}

fn interpreter(model: &Model) -> Libtorch {
    Libtorch::with_options(model, &NetworkOptions::new(Device::Cpu)).unwrap()
}

fn accuracy(model: &Model, source: &Arc<dyn Source>) -> f64 {
    evaluate(source, &mut interpreter(model), EVALUATION_BATCH).unwrap().share()
}

fn logits(model: &Model, images: &Array4<u8>) -> Vec<f64> {
    let view = images.view().into_dyn();
    let found = interpreter(model).evaluate(&Input::Static(view), Record::Logits).unwrap().logits;
    match found {
        Logits::Real(scores) => scores.into_iter().collect(),
        Logits::Integer(_) => panic!("a grid"),
    }
}

/// The distance of the second from the first, in the size of the first.
fn distance(first: &[f64], second: &[f64]) -> f64 {
    let square: f64 = first.iter().zip(second).map(|(a, b)| (a - b).powi(2)).sum();
    (square / first.iter().map(|a| a * a).sum::<f64>()).sqrt()
}

fn images(count: usize) -> Array4<u8> {
    Array4::from_shape_fn((count, 3, 16, 16), |(n, c, y, x)| {
        u8::try_from((n * 37 + c * 91 + y * y * 5 + x * (n + 3) * 7) % 256).unwrap()
    })
}

/// Spikes of D levels at T = 1 are a quantised ReLU: the swap is exact, through residual sums,
/// poolings and kept sites, whichever sites change.
#[test]
fn the_swap_is_exact_where_the_neuron_can_be() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let twin = ["policy=all", "time_steps=1", "replacement.levels=3"];
    finish(&config(&twin), &at("twin"));
    let twin = Model::load(at("twin").join("model.safetensors")).unwrap();
    let images = images(20);
    let expected = logits(&twin, &images);
    let from = format!("start_from={{ path = '{}', swap = true }}", at("twin").display());
    let levels = "neuron.spike={ kind = 'integer', levels = 3 }";
    let policies = [
        "policy=none",
        "policy=outer",
        "policy=inner",
        "policy={ kind = 'sites', include = ['block1.*'] }",
    ];
    let learned = "threshold = { kind = 'learned', initial = 0.7, share = 'channel' }";
    for threshold in ["threshold = 1.0", learned] {
        for (number, policy) in policies.iter().enumerate() {
            let sets = [policy, levels, &from, "time_steps=1", "replacement.levels=3"];
            let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
            let text = NETWORK.replace("[neuron]", &format!("[neuron]\n{threshold}"));
            let folder = at(&format!("{number}{}", threshold.len()));
            let mut model = begun(&RunConfig::with_overrides(&text, &sets).unwrap(), &folder);
            // Statistics of batch norm are measured again: those of the twin are what is compared.
            let told = RunFolder::open(&folder).unwrap().info().unwrap().differences.join("\n");
            assert!(told.contains("swap `"), "{told}");
            assert!(!told.contains("no weights"), "{policy}: {told}");
            for (name, weight) in model.weights_mut() {
                if name.contains("running") {
                    weight.clone_from(&twin.weights()[name]);
                }
            }
            let apart = distance(&expected, &logits(&model, &images));
            assert!(apart < 1e-3, "{policy}, {threshold}: {apart}\n{told}");
        }
    }
}

/// The weights are the same at any size: activity is measured on what the network sees.
#[test]
fn the_swap_takes_a_twin_of_other_images() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    finish(&config(&["policy=all", "time_steps=1", "epochs=1"]), &at("twin"));
    let mut twin = Model::load(at("twin").join("model.safetensors")).unwrap();
    let start = |name: &str, path: &Path| {
        let from = format!("start_from={{ path = '{}', swap = true }}", path.display());
        begun(&config(&[&from]), &at(name))
    };
    let same = start("same", &at("twin"));
    twin.signature_mut().graph.nodes[0].op = snn_ir::Op::Input { shape: vec![3, 24, 24] };
    twin.save(at("other.safetensors")).unwrap();
    assert_eq!(start("other", &at("other.safetensors")).weights(), same.weights());
}

/// Accuracy before any step: that of the swapped network is near its twin's, and far above that of
/// the twin's weights with spiking neurons in them.
#[test]
fn a_swapped_network_computes_nearly_what_its_twin_does() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let data = [
        "network.width=6",
        "data.held_out=6400",
        "data.validation_limit=10",
        "batch=32",
        "checkpoint_every=0",
    ];
    let of_twin = ["epochs=4", "policy=all", "time_steps=1"];
    let twin = finish(&config(&[&data[..], &of_twin].concat()), &at("twin"));
    let test: Arc<dyn Source> = Arc::new(snn_data::Dataset::open("shapes10", None).unwrap().test);
    let few: Arc<dyn Source> =
        Arc::new(snn_data::Subset::new(Arc::clone(&test), (0..500).collect()).unwrap());
    let twin_model = Model::load(at("twin").join("model.safetensors")).unwrap();
    let reached = accuracy(&twin_model, &few);
    assert!(reached > 0.5, "the twin has learned: {reached} {twin:?}");
    let real = sample(&few, 50);
    let expected = logits(&twin_model, &real);
    for (name, sets) in [
        ("pure", vec!["policy=none"]),
        ("hybrid", vec!["policy=outer"]),
        ("leaky", vec!["policy=outer", "neuron.leak={ kind = 'learned', initial = 0.9 }"]),
        ("default", vec!["policy=outer", "neuron.leak={ kind = 'factor', factor = 0.5 }"]),
    ] {
        let start = |swap: bool| {
            let from = format!("start_from={{ path = '{}', swap = {swap} }}", at("twin").display());
            let config = config(&[&data[..], &sets, &[&from]].concat());
            begun(&config, &at(&format!("{name}-{swap}")))
        };
        let (mapped, unmapped) = (start(true), start(false));
        let (with, without) = (accuracy(&mapped, &few), accuracy(&unmapped, &few));
        let apart = distance(&expected, &logits(&mapped, &real));
        let afar = distance(&expected, &logits(&unmapped, &real));
        let least = if name == "pure" { 0.5 } else { 0.75 };
        assert!(with > least * reached, "{name}: {with} of {reached}");
        assert!(with > without + 0.1, "{name}: {with} mapped, {without} unmapped");
        assert!(apart < 0.8 && apart < afar, "{name}: {apart} mapped, {afar} unmapped");
    }
}

fn sample(source: &Arc<dyn Source>, count: usize) -> Array4<u8> {
    let loader = snn_data::LoaderConfig::evaluation(count);
    let loader = loader.init_source(Arc::clone(source), None).unwrap();
    let batch = loader.epoch(0).unwrap().next().unwrap().unwrap();
    batch.samples.images().unwrap().to_owned()
}

/// What a neuron emits on the mean for a constant current, by the equations (eq. 8).
fn emitted(lif: &Lif, fit: &SpikingFit, steps: usize, current: f64) -> f64 {
    let Leak::Factor { factor } = lif.leak else { panic!() };
    let (mut u, mut i, mut sum) = (lif.initial.of(0.0, fit.threshold), 0.0, 0.0);
    for _ in 0..steps {
        let x = current + fit.shift;
        i = if let Synapse::Current { alpha } = lif.synapse { alpha * i + x } else { x };
        u = factor * u + i;
        let o = match lif.spike {
            Spike::Integer { levels } => {
                (u / fit.threshold + 0.5).floor().clamp(0.0, f64::from(levels))
            }
            _ => f64::from(u8::from(u >= fit.threshold)),
        };
        u = match lif.reset {
            Reset::Soft => u - fit.threshold * o,
            Reset::Hard { .. } if o > 0.0 => 0.0,
            _ => u,
        };
        sum += o;
    }
    sum / steps as f64
}

/// The error of a fit is that of the equations, and no neighbour is better.
#[test]
fn a_fit_is_the_best_there_is() {
    let soft = |factor| Lif { leak: Leak::Factor { factor }, reset: Reset::Soft, ..Lif::default() };
    let kinds = [
        ("IF", soft(1.0), 4),
        ("QCFS", Lif { initial: FirstMembrane::Threshold { share: 0.5 }, ..soft(1.0) }, 4),
        ("leaky", soft(0.9), 2),
        ("default", Lif::default(), 4),
        ("current", Lif { synapse: Synapse::Current { alpha: 0.5 }, ..soft(1.0) }, 3),
        ("integer", Lif { spike: Spike::Integer { levels: 4 }, ..soft(1.0) }, 1),
    ];
    let activities = [[1.0; 5], [60.0, 20.0, 10.0, 5.0, 5.0], [10.0, 0.0, 0.0, 0.0, 10.0]];
    for (name, lif, steps) in kinds {
        for levels in activities {
            let step = 0.37;
            let fit = SpikingFit::new(&lif, steps, step, &levels, true).unwrap();
            let error = |fit: &SpikingFit| {
                let (mut left, mut power) = (0.0, 0.0);
                for (level, count) in levels.iter().enumerate() {
                    let share = 0.99 * count / levels.iter().sum::<f64>() + 0.01 / 5.0;
                    for point in 0..8 {
                        let place = (f64::from(point) + 0.5) / 8.0 - 0.5;
                        let current = step * (level as f64 + place);
                        let target = step * level as f64;
                        let found = fit.value * emitted(&lif, fit, steps, current);
                        left += share / 8.0 * (target - found).powi(2);
                        power += share / 8.0 * target.powi(2);
                    }
                }
                (left / power).sqrt()
            };
            let own = error(&fit);
            assert!((own - fit.error).abs() < 1e-9, "{name}: {own} {fit:?}");
            for factor in [0.9, 1.1] {
                let value = SpikingFit { value: fit.value * factor, ..fit };
                assert!(error(&value) >= own, "{name}: {value:?}, {fit:?}");
                let both = SpikingFit { threshold: fit.threshold * factor, ..fit };
                assert!(error(&both) > 0.9 * own, "{name}: {both:?} is far better than {fit:?}");
            }
            match name {
                "integer" => {
                    assert!(own < 1e-9, "D levels at once are the quantised ReLU: {fit:?}");
                }
                "IF" | "QCFS" => assert!(own < 0.2, "{levels:?}: {fit:?}"),
                _ => assert!(own < 0.6, "{name}, {levels:?}: {fit:?}"),
            }
            let plain = SpikingFit::new(&lif, steps, step, &levels, false).unwrap();
            assert!(plain.shift == 0.0 && plain.error >= fit.error, "{name}: {plain:?} {fit:?}");
        }
    }
    let error = SpikingFit::new(&Lif::default(), 2, 1.0, &[0.0, 0.0], true).unwrap_err();
    assert!(error.to_string().contains("levels of a quantised ReLU"), "{error}");
}

/// A site with other levels than in the twin has its steps, and nearly its outputs.
#[test]
fn the_swap_keeps_the_largest_output_where_levels_change() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let twin = ["policy=all", "time_steps=1", "replacement.levels=12"];
    finish(&config(&twin), &at("twin"));
    let twin = Model::load(at("twin").join("model.safetensors")).unwrap();
    let from = format!("start_from={{ path = '{}', swap = true }}", at("twin").display());
    let levels = "replacement={ kind = 'quant_relu', levels = 12, \
                  sites = [{ names = 'block1.*', levels = 4 }] }";
    let config = config(&["policy=all", "time_steps=1", levels, &from]);
    let model = begun(&config, &at("run"));
    for (site, factor) in [("stem.act", 1.0), ("block1.act1", 3.0), ("block1.act2", 3.0)] {
        let step = |model: &Model| {
            snn_ir::weights::get(model.weights(), &format!("{site}.step")).unwrap().to_f64()
        };
        let (before, after) = (step(&twin), step(&model));
        let close = before.iter().zip(&after).all(|(a, b)| (factor * a / b - 1.0).abs() < 1e-6);
        assert!(close, "{site}: {before} {after}");
    }
    let told = RunFolder::open(at("run")).unwrap().info().unwrap().differences.join("\n");
    assert!(told.contains("swap `block1.act1`: 12 levels become 4, step times 3.000"), "{told}");
    assert!(!told.contains("swap `stem"), "{told}");
}

fn staged(sets: &[&str]) -> RunConfig {
    let twin = ["twin={ epochs = 1, optimiser = { learning_rate = 0.2 }, schedule = 'cosine' }"];
    config(&[&twin[..], &["epochs=1", "policy=outer", "time_steps=2"], sets].concat())
}

/// Killed in either stage or between them, the run resumes to the same bytes.
#[test]
fn a_staged_run_is_one_run() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let config = staged(&["distillation={ per_step = true, weight = 0.5, temperature = 3.0 }"]);
    let mut stages = Vec::new();
    train(&config, &at("whole"), &Options::default(), &mut |progress| match progress {
        Progress::Stage { number, of, name } => stages.push(format!("{number}/{of} {name}")),
        Progress::Begun { model, .. } => stages.push(format!("T={}", model.time_steps())),
        _ => {}
    })
    .unwrap();
    assert_eq!(stages, ["1/2 twin", "T=1", "2/2 network", "T=2"]);
    let run = RunFolder::open(at("whole")).unwrap();
    let result = run.result().unwrap().unwrap();
    let twin = run.twin().unwrap();
    let of_twin = twin.result().unwrap().unwrap();
    assert!((of_twin.relu_share - 1.0).abs() < 1e-12 && of_twin.time_steps == 1);
    let told = result.twin.as_ref().unwrap().test_accuracy;
    assert_eq!(told.to_bits(), of_twin.test_accuracy.to_bits());
    assert_eq!(run.config().unwrap(), config);
    let own = twin.config().unwrap();
    assert_eq!((own.epochs, own.time_steps, own.optimiser.learning_rate()), (1, 1, 0.2));
    assert!(run.info().unwrap().differences.iter().any(|line| line.starts_with("swap `block1")));

    let stops: [&[usize]; 5] = [&[0], &[STEPS - 1], &[STEPS], &[STEPS + 7], &[3, 5, 4, 3]];
    for (number, stops) in stops.iter().enumerate() {
        let name = format!("run{number}");
        let mut start = Start::New;
        for &stop in *stops {
            let outcome = go(&config, &at(&name), start, Some(stop)).unwrap();
            assert!(matches!(outcome, Outcome::Stopped { .. }), "{stops:?}: {outcome:?}");
            start = Start::Resume;
        }
        let outcome = go(&config, &at(&name), Start::Resume, None).unwrap();
        let Outcome::Finished(resumed) = outcome else { panic!("{stops:?}: {outcome:?}") };
        for folder in ["", "twin"] {
            let same = bytes(&at(&name).join(folder)) == bytes(&at("whole").join(folder));
            assert!(same, "{stops:?} {folder}");
        }
        assert_eq!(resumed.test_accuracy.to_bits(), result.test_accuracy.to_bits());
    }
    // Once the network has begun the twin is not needed.
    go(&config, &at("later"), Start::New, Some(STEPS + 3)).unwrap();
    std::fs::remove_dir_all(at("later").join("twin")).unwrap();
    go(&config, &at("later"), Start::Resume, None).unwrap();
    assert_eq!(bytes(&at("later")), bytes(&at("whole")));

    // Anything else than the run was started with is refused, and so is a folder in use.
    let taught = "distillation={ per_step = true, weight = 0.5, temperature = 3.0 }";
    let other = staged(&["twin.epochs=2", taught]);
    let error = go(&other, &at("whole"), Start::Resume, None).unwrap_err().to_string();
    assert!(error.contains("`twin.epochs` = 1"), "{error}");
    let error = go(&config, &at("whole"), Start::New, None).unwrap_err();
    assert!(matches!(error, Error::FolderInUse { .. }), "{error}");
    let half = staged(&["twin.epochs=2", "distillation.weight=0"]);
    go(&half, &at("half"), Start::New, Some(3)).unwrap();
    let error = go(&other, &at("half"), Start::Resume, None).unwrap_err().to_string();
    assert!(error.contains("`distillation.per_step` = false"), "{error}");
    // Thrown away, twin and all.
    let result = go(&config, &at("half"), Start::Overwrite, None).unwrap();
    assert!(matches!(result, Outcome::Finished(_)), "{result:?}");
    assert_eq!(bytes(&at("half")), bytes(&at("whole")));
}

/// Sites change in stages, each a run in the folder of the next; killed in any of them, or between
/// two, the whole resumes to the same bytes.
#[test]
fn a_crossover_is_one_run() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let config = staged(&["policy=stem", "crossover={ stages = 3 }"]);
    let mut stages = Vec::new();
    train(&config, &at("whole"), &Options::default(), &mut |progress| match progress {
        Progress::Stage { number, of, name } => stages.push(format!("{number}/{of} {name}")),
        Progress::Begun { model, placement, .. } => {
            let spiking = placement.sites.iter().filter(|site| site.spiking).count();
            stages.push(format!("{spiking} LIF, T={}", model.time_steps()));
        }
        _ => {}
    })
    .unwrap();
    assert_eq!(
        stages,
        [
            "1/4 twin",
            "0 LIF, T=1",
            "2/4 crossover",
            "2 LIF, T=2",
            "3/4 crossover",
            "3 LIF, T=2",
            "4/4 network",
            "4 LIF, T=2"
        ]
    );
    let run = RunFolder::open(at("whole")).unwrap();
    let result = run.result().unwrap().unwrap();
    let folders = ["", "crossover", "crossover/crossover", "crossover/crossover/twin"];
    let of = |folder: &str| RunFolder::open(at("whole").join(folder)).unwrap();
    let seconds = |folder: &str| of(folder).result().unwrap().unwrap().wall_seconds;
    let told = result.twin.as_ref().unwrap();
    let before: f64 = folders[1..].iter().map(|folder| seconds(folder)).sum();
    assert!((told.wall_seconds - before).abs() < 1e-9, "{} {before}", told.wall_seconds);
    let twin = run.twin().unwrap();
    assert_eq!(twin.path(), at("whole").join(folders[3]));
    let of_twin = twin.result().unwrap().unwrap();
    assert_eq!(told.test_accuracy.to_bits(), of_twin.test_accuracy.to_bits());
    assert_eq!(twin.config().unwrap(), config.twin_config().unwrap().unwrap());
    // Two sites changed in the first stage, and one in each that followed.
    for (folder, swaps) in folders.iter().zip([1, 1, 2]) {
        let told = of(folder).info().unwrap().differences;
        let found = told.iter().filter(|line| line.starts_with("swap `")).count();
        assert_eq!(found, swaps, "{folder}: {told:?}");
    }
    // All of them learn from the twin.
    for folder in &folders[..3] {
        let teacher = std::fs::read(at("whole").join(folder).join("teacher.safetensors")).unwrap();
        let own = std::fs::read(twin.path().join("model.safetensors")).unwrap();
        assert!(teacher == own, "{folder}");
    }

    let stops: [&[usize]; 3] = [&[STEPS], &[STEPS + 4, STEPS], &[3, 8, STEPS, STEPS, 2]];
    for (number, stops) in stops.iter().enumerate() {
        let name = format!("run{number}");
        let mut start = Start::New;
        for &stop in *stops {
            let outcome = go(&config, &at(&name), start, Some(stop)).unwrap();
            assert!(matches!(outcome, Outcome::Stopped { .. }), "{stops:?}: {outcome:?}");
            start = Start::Resume;
        }
        go(&config, &at(&name), Start::Resume, None).unwrap();
        for folder in folders {
            let same = bytes(&at(&name).join(folder)) == bytes(&at("whole").join(folder));
            assert!(same, "{stops:?} {folder}");
        }
    }
    // A twin from elsewhere stands in place of its own, and everything is thrown away at once.
    let options = Options { twin: Some(twin.path().into()), ..Options::default() };
    train(&config, &at("taken"), &options, &mut |_| {}).unwrap();
    assert_eq!(bytes(&at("taken")), bytes(&at("whole")));
    go(&staged(&[]), &at("taken"), Start::Overwrite, Some(0)).unwrap();
    assert!(!at("taken/crossover").exists());

    // Refused before anything is trained or written.
    let other = staged(&["policy=stem", "crossover={ stages = 5 }"]);
    let error = go(&other, &at("refused"), Start::New, None).unwrap_err().to_string();
    assert!(error.contains("`crossover.stages` must be at most 4"), "{error}");
    let other = staged(&["policy=stem", "crossover={ stages = 3 }", "twin.epochs=2"]);
    let error = train(&other, &at("refused"), &options, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("`epochs` = 1"), "{error}");
    assert!(!at("refused").exists());
}

/// A finished twin in place of the run's own: the same bytes, also where the copy was cut off.
#[test]
fn a_finished_twin_is_taken_over() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let config = staged(&[]);
    go(&config, &at("whole"), Start::New, None).unwrap();
    let with = |config: &RunConfig, folder: &Path, start: Start, twin: &Path| {
        let options = Options { start, twin: Some(twin.into()), ..Options::default() };
        let mut stages = 0;
        let outcome = train(config, folder, &options, &mut |progress| {
            stages += usize::from(matches!(progress, Progress::Stage { .. }));
        });
        outcome.map(|_| stages)
    };
    let twin = at("whole").join("twin");
    assert_eq!(with(&config, &at("taken"), Start::New, &twin).unwrap(), 1, "one stage is left");
    for folder in ["", "twin"] {
        assert_eq!(bytes(&at("taken").join(folder)), bytes(&at("whole").join(folder)));
    }
    assert!(!at("taken").join("twin/checkpoint.safetensors").exists());

    std::fs::create_dir_all(at("cut").join("twin")).unwrap();
    std::fs::copy(at("whole").join("config.toml"), at("cut").join("config.toml")).unwrap();
    for file in ["config.toml", "run.json", "trainer.json", "model.safetensors"] {
        std::fs::copy(twin.join(file), at("cut").join("twin").join(file)).unwrap();
    }
    assert_eq!(with(&config, &at("cut"), Start::Resume, &twin).unwrap(), 1);
    assert_eq!(bytes(&at("cut")), bytes(&at("whole")));

    // Of another config, not finished, or for a run without a twin: nothing is written.
    let refused = |config: &RunConfig, twin: &Path| {
        let error = with(config, &at("refused"), Start::New, twin).unwrap_err().to_string();
        assert!(!at("refused").exists(), "{error}");
        error
    };
    let error = refused(&staged(&["twin.optimiser.learning_rate=0.3"]), &twin);
    assert!(error.contains("`optimiser.learning_rate` = 0.2"), "{error}");
    go(&config, &at("begun"), Start::New, Some(3)).unwrap();
    let error = refused(&config, &at("begun").join("twin"));
    assert!(error.contains("the run is not finished"), "{error}");
    let error = with(&config, &at("whole"), Start::Overwrite, &twin).unwrap_err().to_string();
    assert!(error.contains("lies in the folder that would be overwritten"), "{error}");
    assert!(twin.join("result.json").is_file());
    let alone = RunConfig { twin: None, ..config.clone() };
    assert!(refused(&alone, &twin).contains("no table `twin`"));
}

#[test]
fn keys_of_a_twin_are_those_of_a_config() {
    let twin = |text: &str| staged(&[text]).twin_config().unwrap().unwrap();
    assert!(config(&[]).twin_config().unwrap().is_none());
    let usual = twin("epochs=1");
    assert_eq!((usual.time_steps, usual.policy.label(), usual.batch), (1, "all", 16));
    assert!(usual.twin.is_none() && !usual.distillation.is_on());
    let adamw = twin("twin.optimiser=adamw").optimiser;
    assert!(matches!(adamw, snn_train::OptimiserConfig::AdamW(_)), "{adamw:?}");
    assert_eq!(twin("twin.time_steps=3").time_steps, 3);
    assert_eq!(twin("twin.warm_up={ fraction = 0.1 }").warm_up.steps(50), 5);
    assert_eq!(twin("twin.data.cutout=4").data.cutout, 4);
    // A twin of encoded images has their frames.
    let encoded = staged(&["encoder=latency"]).twin_config().unwrap().unwrap();
    assert_eq!(encoded.time_steps, 2);
    for (set, expected) in [
        ("twin={ batch = 3 }", "`twin` needs `epochs`"),
        ("twin.epochs=0", "`twin.epochs` must be at least 1, found 0"),
        ("twin.seed=4", "`twin.seed` must be absent"),
        ("twin.network=resnet", "`twin.network` must be absent"),
        ("twin.optimiser.learning_rat=1.0", "did you mean `learning_rate`?"),
        ("twin.schedule=cosin", "did you mean `cosine`?"),
        ("twin.epoks=4", "did you mean `epochs`?"),
    ] {
        let sets = ["twin={ epochs = 1 }".to_string(), set.to_string()];
        let error = RunConfig::with_overrides(NETWORK, &sets).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("twin"), "{set}: {error}");
    }
}

/// A twin with the policy of the run has its kinds of sites: nothing is swapped, the run starts
/// from its weights as they are.
#[test]
fn a_twin_of_the_same_policy_is_an_earlier_stage() {
    let parent = tempfile::tempdir().unwrap();
    let no_teacher = "distillation.weight=0";
    for (name, sets) in [
        ("spiking", &["policy=none", "twin.policy=none", "twin.time_steps=2", no_teacher][..]),
        ("relu", &["policy=all", no_teacher][..]),
    ] {
        let folder = parent.path().join(name);
        go(&staged(sets), &folder, Start::New, None).unwrap();
        let run = RunFolder::open(&folder).unwrap();
        let twin = run.twin().unwrap();
        let base = Model::load(folder.join("base.safetensors")).unwrap();
        let last = Model::load(twin.model_path()).unwrap();
        assert!(base.weights() == last.weights(), "{name}");
        let share = |run: &RunFolder| run.result().unwrap().unwrap().relu_share;
        assert_eq!(share(&run).to_bits(), share(&twin).to_bits(), "{name}");
    }
}

/// What could be refused only after the twin is refused before it.
#[test]
fn a_staged_run_that_cannot_be_is_refused_before_its_twin_is_trained() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let refused = |config: &RunConfig| {
        let error = go(config, &at("run"), Start::New, None).unwrap_err().to_string();
        assert!(!at("run").exists(), "{error}");
        error
    };
    let error = refused(&staged(&["twin.policy=none"]));
    assert!(error.contains("`start_from.swap`") && error.contains("LIF neurons here"), "{error}");
    let error = refused(&staged(&["replacement=relu"]));
    assert!(error.contains("quantised ReLUs there"), "{error}");
    let error = refused(&staged(&["policy={ kind = 'sites', include = ['nowhere'] }"]));
    assert!(error.contains("nowhere"), "{error}");
    let of_twin = "twin.batch_norm_reestimation.batches=0";
    let error = refused(&staged(&["batch_norm_reestimation.batches=400", of_twin]));
    assert!(error.contains("`batch_norm_reestimation.batches`"), "{error}");
    let error = refused(&staged(&["groups=[{ names = 'nowhere.*' }]", "twin.groups=[]"]));
    assert!(error.contains("nowhere.*"), "{error}");
    let error = refused(&staged(&["distillation.teacher=nowhere"]));
    assert!(error.contains("`distillation.teacher` nowhere"), "{error}");
    let error = refused(&staged(&["twin.encoder=latency", "twin.time_steps=4"]));
    assert!(error.contains("teacher: expected encoder Direct"), "{error}");
    assert!(error.contains("`distillation.weight = 0` is for none"), "{error}");
    for key in ["threads", "data.loader_threads"] {
        let error = refused(&staged(&[&format!("twin.{key}=1000")]));
        assert!(error.contains(&format!("`twin.{key}`: expected at most")), "{error}");
    }
}

/// A recurrent layer behind a recurrent residual block, with dropout.
const RECURRENT: &str = "
nodes = [
  { name = 'image', op = { op = 'input', shape = [3, 16, 16] } },
  { name = 'stem.conv', op = { op = 'conv', channels = 6, kernel = [3, 3], padding = [1, 1] } },
  { name = 'stem.bn', op = { op = 'batch_norm' } },
  { name = 'stem.act', op = { op = 'activation', site = { kind = 'lif', NEURON } } },
  { name = 'stem.drop', op = { op = 'dropout', rate = 0.1 } },
  { name = 'conv', op = { op = 'conv', channels = 6, kernel = [3, 3], padding = [1, 1] } },
  { name = 'bn', op = { op = 'batch_norm' } },
  { name = 'path', op = { op = 'drop_path', rate = 0.1 } },
  { name = 'late', inputs = ['block.act'], op = { op = 'delay', steps = 1, shape = [6, 16, 16] } },
  { name = 'late.conv', op = { op = 'conv', channels = 6, kernel = [1, 1] } },
  { name = 'add', inputs = ['path', 'late.conv', 'stem.act'], op = { op = 'add' } },
  { name = 'block.act', op = { op = 'activation', site = { kind = 'lif', BLOCK } } },
  { name = 'pool', op = { op = 'pool', pool = 'average', window = { kernel = [4, 4] } } },
  { name = 'flat', op = { op = 'flatten' } },
  { name = 'fc1', op = { op = 'linear', features = 12 } },
  { name = 'fc1.bn', op = { op = 'batch_norm' } },
  { name = 'act.delay', inputs = ['act'], op = { op = 'delay', steps = 1, shape = [12] } },
  { name = 'act.recurrent', op = { op = 'linear', features = 12 } },
  { name = 'act.sum', inputs = ['fc1.bn', 'act.recurrent'], op = { op = 'add' } },
  { name = 'act', op = { op = 'activation', site = { kind = 'lif', NEURON } } },
  { name = 'act.drop', op = { op = 'dropout', rate = 0.1 } },
  { name = 'fc2', op = { op = 'linear', features = 10, bias = true } },
  { name = 'head', op = { op = 'time_mean' } },
]
";

/// The config of that network, whose neurons are quantised `ReLU`s: their levels at once, and no
/// memory. `block` are attributes of the site in the middle.
fn recurrent(folder: &Path, block: &str) -> RunConfig {
    let neuron = "spike = { kind = 'integer', levels = 3 }, reset = { kind = 'soft' }, \
                  leak = { kind = 'factor', factor = 0.0 }";
    let block = if block.is_empty() { neuron } else { block };
    let file = folder.join("network.toml");
    std::fs::write(&file, RECURRENT.replace("NEURON", neuron).replace("BLOCK", block)).unwrap();
    let network = format!("network={{ kind = 'file', path = '{}' }}", file.display());
    config(&[&network, "time_steps=3", "replacement.levels=3"])
}

/// Weights behind a delay take the value of a spike in, and so do those behind dropout; what a
/// membrane is compared with takes in that of the spikes which reach it.
#[test]
fn the_swap_is_exact_through_delays_and_dropout() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let images = images(20);
    // Of a site that is no quantised ReLU in the twin either: potentials of all kinds.
    let block = "threshold = 0.9, reset = { kind = 'hard', potential = -0.4 }, \
                 adaptation = { kind = 'threshold', decay = 0.5, strength = 0.3 }, \
                 initial = 0.2";
    for (number, (block, twin_policy, policies)) in [
        ("", "all", vec!["none", "{ kind = 'sites', include = ['block.act'] }", "stem", "head"]),
        (block, "{ kind = 'sites', include = ['stem.act', 'act'] }", vec!["none", "stem"]),
    ]
    .into_iter()
    .enumerate()
    {
        let base = recurrent(parent.path(), block);
        let with =
            |sets: &[String]| RunConfig::with_overrides(&base.to_toml().unwrap(), sets).unwrap();
        let twin = at(&format!("twin{number}"));
        finish(&with(&[format!("policy={twin_policy}")]), &twin);
        let from = format!("start_from={{ path = '{}', swap = true }}", twin.display());
        let twin = Model::load(twin.join("model.safetensors")).unwrap();
        let expected = logits(&twin, &images);
        for (place, policy) in policies.into_iter().enumerate() {
            let folder = at(&format!("run{number}-{place}"));
            let mut model = begun(&with(&[format!("policy={policy}"), from.clone()]), &folder);
            let told = RunFolder::open(&folder).unwrap().info().unwrap().differences.join("\n");
            assert!(told.contains("swap `") && !told.contains("no weights"), "{policy}: {told}");
            for (name, weight) in model.weights_mut() {
                if name.contains("running") {
                    weight.clone_from(&twin.weights()[name]);
                }
            }
            let apart = distance(&expected, &logits(&model, &images));
            assert!(apart < 1e-3, "{policy}: {apart}\n{told}");
        }
    }
}

/// What comes out of a delay at T = 1 is zero, and nothing is learned behind it.
#[test]
fn a_twin_in_which_delays_are_silent_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let base = recurrent(parent.path(), "").to_toml().unwrap();
    let staged = |twin: &str| RunConfig::with_overrides(&base, &[twin.to_string()]).unwrap();
    let run = parent.path().join("run");
    let error = go(&staged("twin={ epochs = 1 }"), &run, Start::New, None).unwrap_err().to_string();
    for part in ["time steps of the twin: expected more than 1", "`act.delay`", "found 1"] {
        assert!(error.contains(part) && error.contains("`twin.time_steps`"), "{error}");
    }
    assert!(!run.exists());
    let enough = staged("twin={ epochs = 1, time_steps = 2 }");
    go(&enough, &run, Start::New, Some(0)).unwrap();
}

/// A network that passes nothing on is told of once, by name, and in the files.
#[test]
fn a_silent_network_is_told_of_once() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    for (name, sets) in [("held-out", vec![]), ("none", vec!["data.validation_limit=0"])] {
        let mut sets = sets;
        sets.extend(["neuron.threshold=1000.0", "time_steps=2"]);
        if name == "none" {
            sets.extend(["data.held_out=0", "data.limit=160"]);
        }
        finish(&config(&sets), &at(name));
        let metrics = RunFolder::open(at(name)).unwrap().metrics().unwrap();
        assert_eq!(metrics[0].silent_sites.len(), 5, "{name}: {:?}", metrics[0]);
        assert!(metrics[0].constant_scores, "{name}");
        let warnings = metrics[0].warnings(None);
        assert!(warnings[0].contains("`stem.act`") && warnings.len() == 2, "{warnings:?}");
        assert!(metrics[1].warnings(Some(&metrics[0])).is_empty(), "{name}: once");
        // After every epoch: what falls silent later is told of, too.
        assert_eq!(metrics[1].silent_sites.len(), 5, "{name}: {:?}", metrics[1]);
        assert!(metrics[1].constant_scores, "{name}");
        let mut before = metrics[0].clone();
        before.constant_scores = false;
        before.silent_sites.retain(|site| site != "block2.act1");
        let warnings = metrics[1].warnings(Some(&before));
        assert!(warnings[0].contains("the site `block2.act1` never fires"), "{warnings:?}");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
    finish(&config(&["policy=all", "time_steps=1"]), &at("fine"));
    let metrics = RunFolder::open(at("fine")).unwrap().metrics().unwrap();
    assert_eq!(metrics[0].warnings(None), [""; 0]);
    let line = std::fs::read_to_string(at("fine").join("metrics.jsonl")).unwrap();
    assert!(!line.contains("silent_sites") && !line.contains("constant_scores"), "{line}");
}
