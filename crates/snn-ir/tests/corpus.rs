//! What fuzzing found worth keeping: every file of these corpora, on every run (`fuzz/README.md`).

#[path = "../../../fuzz/checks/model.rs"]
mod model;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn model_corpus() {
    replay("model", model::check);
}
