//! What fuzzing found worth keeping: every file of these corpora, on every run (`fuzz/README.md`).

#[path = "../../../fuzz/checks/replay.rs"]
mod replay;
#[path = "../../../fuzz/checks/runtime.rs"]
mod runtime;

use replay::replay;

#[test]
fn runtime_corpus() {
    replay("runtime", runtime::check);
}
