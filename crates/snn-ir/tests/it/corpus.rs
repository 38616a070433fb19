//! What fuzzing found worth keeping: every file of these corpora, on every run (`fuzz/README.md`).

#[path = "../../../../fuzz/checks/model.rs"]
mod model;

use snn_test_support::corpus::replay;

#[test]
fn model_corpus() {
    replay("model", model::check);
}
