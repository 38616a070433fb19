//! Replays every file of the fuzz corpora on every run (`fuzz/README.md`), and damaged forms of
//! them.

#[path = "../../../../fuzz/checks/runtime.rs"]
mod runtime;

use snn_test_support::corpus::{mutate, replay};

#[test]
fn runtime_corpus() {
    replay("runtime", runtime::check);
}

#[test]
fn damaged_runtime_corpus() {
    mutate("runtime", runtime::check);
}
