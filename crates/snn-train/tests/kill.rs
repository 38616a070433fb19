//! A run that is killed at any moment and resumed ends with the same bytes as one that was not.
//!
//! By hand, with more kills, and `SNN_KILL_SEED` to have other moments: `SNN_KILLS=200 cargo test
//! -p snn-train --test kill -- --ignored --nocapture many`

#![expect(clippy::print_stderr, reason = "figures of a test that is run by hand")]

use snn_data::SampleRng;
use snn_train::{Options, Outcome, RunConfig, Start, train};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Tells the killed process where to train.
const FOLDER: &str = "SNN_KILL_FOLDER";
/// Small and with everything that has a state or a copy in the run folder; a checkpoint after every
/// step, so that many kills fall into the writing of one.
const CONFIG: &str = "
seed = 5
epochs = 3
batch = 16
time_steps = 2
checkpoint_every = 1
threads = 1
optimiser = { kind = 'adamw' }
weight_average = 0.9
batch_norm_reestimation = { batches = 2 }
network = { kind = 'small', width = 2 }
encoder = 'latency'
policy = 'outer'
[data]
dataset = 'shapes10'
held_out = 7520 # of 8,000: leaves 480, thirty batches of 16
validation_limit = 100
test_limit = 100
crop_padding = 1
mixup = 0.2
loader_threads = 3
";
/// The run beside the others that they start from, learn from, and have their network of.
const OTHER: &str = "other";

/// The config of the run in a folder.
fn config(folder: &Path) -> RunConfig {
    let other = folder.with_file_name(OTHER);
    let sets = [
        format!("start_from={}", other.display()),
        format!("distillation.teacher='{}'", other.display()),
        format!("network={{ kind = 'file', path = '{}/model.safetensors' }}", other.display()),
    ];
    RunConfig::with_overrides(CONFIG, &sets).unwrap()
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "the process that the tests below start and kill"]
fn train_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else { panic!("{FOLDER} says where") };
    let folder = Path::new(&folder);
    let start = if folder.join("config.toml").exists() { Start::Resume } else { Start::New };
    let options = Options { start, ..Options::default() };
    let outcome = train(&config(folder), folder, &options, &mut |_| {}).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
}

fn process(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "train_in_a_process_of_its_own"]).env(FOLDER, folder);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Kills processes at random moments until `kills` have been killed, resuming each, and compares
/// the end of every run.
fn kill(kills: u32, seed: u64) {
    let parent = tempfile::tempdir().unwrap();
    let other = RunConfig::with_overrides(CONFIG, &["epochs=1".into(), "seed=6".into()]).unwrap();
    train(&other, &parent.path().join(OTHER), &Options::default(), &mut |_| {}).unwrap();
    let whole = parent.path().join("whole");
    let started = Instant::now();
    let output = process(&whole).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut duration = started.elapsed();
    let expected = std::fs::read(whole.join("model.safetensors")).unwrap();

    let mut random = SampleRng::for_sample(seed, 0, 0);
    let (mut done, mut runs, mut partial) = (0, 0, 0);
    while done < kills {
        let folder = parent.path().join(format!("run{runs}"));
        runs += 1;
        while !folder.join("result.json").exists() {
            let mut child = process(&folder).spawn().unwrap();
            if done < kills {
                // Up to the time a whole run takes: each run is killed once or a few times,
                // anywhere.
                std::thread::sleep(duration.mul_f64(random.uniform(0.0, 1.0)));
                let finished = child.try_wait().unwrap().is_some();
                child.kill().unwrap(); // SIGKILL; nothing if it has ended
                done += u32::from(!finished);
                // The load of the machine changes: about a third of the processes shall end by
                // themselves.
                duration = duration.mul_f64(if finished { 0.9 } else { 1.05 });
            }
            let output = child.wait_with_output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() || output.status.code().is_none(),
                "{}: {errors}",
                folder.display()
            );
            let leftovers = |entry: &std::fs::DirEntry| {
                entry.file_name().to_string_lossy().starts_with(".partial-")
            };
            if folder.exists() {
                partial += std::fs::read_dir(&folder)
                    .unwrap()
                    .filter(|e| leftovers(e.as_ref().unwrap()))
                    .count();
            }
        }
        let model = std::fs::read(folder.join("model.safetensors")).unwrap();
        assert!(model == expected, "{} ends with other bytes", folder.display());
        std::fs::remove_dir_all(&folder).unwrap();
    }
    eprintln!("{done} kills in {runs} runs, {partial} while a file was being written");
}

#[test]
fn five_kills() {
    kill(5, 1);
}

#[test]
#[ignore = "takes minutes; SNN_KILLS says how many"]
fn many_kills() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    kill(number("SNN_KILLS", 200), u64::from(number("SNN_KILL_SEED", 2)));
}
