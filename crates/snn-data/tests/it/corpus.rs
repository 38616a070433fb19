//! What fuzzing found worth keeping: every file of these corpora, on every run (`fuzz/README.md`).

#[path = "../../../../fuzz/checks/archives.rs"]
mod archives;
#[path = "../../../../fuzz/checks/cifar.rs"]
mod cifar;
#[path = "../../../../fuzz/checks/events.rs"]
mod events;
#[path = "../../../../fuzz/checks/files.rs"]
mod files;
#[path = "../../../../fuzz/checks/idx.rs"]
mod idx;

use snn_test_support::corpus::{mutate, replay};

#[test]
fn cifar_corpus() {
    replay("cifar", cifar::check);
}

#[test]
fn idx_corpus() {
    replay("idx", idx::check);
}

#[test]
fn events_corpus() {
    replay("events", events::check);
    mutate("events", events::check);
}

#[test]
fn files_corpus() {
    replay("files", files::check);
    mutate("files", files::check);
}

#[test]
fn archives_corpus() {
    replay("archives", archives::check);
    mutate("archives", archives::check);
}
