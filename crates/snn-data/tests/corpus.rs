//! What fuzzing found worth keeping: every file of these corpora, on every run (`fuzz/README.md`).

#[path = "../../../fuzz/checks/cifar.rs"]
mod cifar;
#[path = "../../../fuzz/checks/idx.rs"]
mod idx;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn cifar_corpus() {
    replay("cifar", cifar::check);
}

#[test]
fn idx_corpus() {
    replay("idx", idx::check);
}
