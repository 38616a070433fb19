//! Replays every file of the fuzz corpora on every run (`fuzz/README.md`).

#[path = "../../../../fuzz/checks/config.rs"]
mod config;

use snn_test_support::corpus::replay;

#[test]
fn config_corpus() {
    replay("config", config::check);
}
