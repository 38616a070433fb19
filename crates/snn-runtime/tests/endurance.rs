//! A million inferences in one session hold no more memory than the first: `cargo test -p
//! snn-runtime --test endurance -- --ignored --nocapture`.
#![cfg(target_os = "linux")]

#[path = "it/draw/mod.rs"]
mod draw;

use draw::{Numbers, model, pixels};
use ndarray::Axis;
use snn_runtime::Counting;

/// Inferences.
const COUNT: u32 = 1_000_000;
/// Memory that may become resident meanwhile for reasons that are not the session's, such as code
/// that is run for the first time.
const SLACK_KIB: u64 = 256;

/// Resident memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "takes minutes"]
#[expect(clippy::print_stderr, reason = "the figure is of interest where the test passes, too")]
fn a_million_inferences_hold_no_more_memory_than_a_thousand() {
    let model = model(11, 6, Numbers::Integer);
    let runtime = Counting::new(&model).unwrap();
    let images = pixels(&model, &[64], 0);
    let mut session = runtime.session();
    let mut run = |count: u32| {
        let mut classes = 0_usize;
        for image in images.axis_iter(Axis(0)).cycle().take(count as usize) {
            classes += session.run(&image).unwrap().argmax();
        }
        classes
    };
    run(1_000);
    let before = resident_kib();
    let mut most = before;
    for _ in 0..100 {
        run(COUNT / 100);
        most = most.max(resident_kib());
    }
    eprintln!("{COUNT} inferences: resident {before} KiB after a thousand, {most} KiB at most");
    assert!(most <= before + SLACK_KIB, "resident memory rose from {before} to {most} KiB");
    drop(session);
    assert_eq!(runtime.counts().samples, u64::from(COUNT) + 1_000);
}
