//! Memory of a long training.

use snn_train::{Options, Progress, RunConfig, train};

/// Ten thousand steps with everything that could keep something of each.
const CONFIG: &str = "
epochs = 25
batch = 16
time_steps = 2
checkpoint_every = 50
threads = 1
optimiser = { kind = 'adamw' }
gradient_clip = 1.0
weight_average = 0.99
loss = { kind = 'tet' }
network = { kind = 'small', width = 2 }
[data]
dataset = 'shapes10'
held_out = 1600 # of 8,000: leaves 6,400, four hundred batches of 16
crop_padding = 1
cutout = 4
mixup = 0.2
cutmix = 1.0
";
/// Steps between two looks.
const EVERY: usize = 1_000;

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0
}

#[test]
#[ignore = "takes minutes"]
#[expect(clippy::print_stderr, reason = "figures of a test that is run by hand")]
fn ten_thousand_steps_need_no_more_memory_than_one_thousand() {
    let parent = tempfile::tempdir().unwrap();
    let config = RunConfig::from_toml(CONFIG).unwrap();
    let mut resident = Vec::new();
    let mut steps = 0;
    train(&config, &parent.path().join("run"), &Options::default(), &mut |progress| {
        if matches!(progress, Progress::Step { .. }) {
            steps += 1;
            if steps % EVERY == 0 {
                resident.push(resident_bytes());
                eprintln!("{steps} steps: {:.1} MiB", resident_bytes() / 1_048_576.0);
            }
        }
    })
    .unwrap();
    assert_eq!((steps, resident.len()), (10_000, 10));
    let largest = resident.iter().copied().fold(0.0, f64::max);
    assert!(largest <= 1.05 * resident[0], "{resident:?}");
}
