//! Replays every file of the fuzz corpora on every run (`fuzz/README.md`).

#[path = "../../../fuzz/checks/config.rs"]
mod config;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn config_corpus() {
    replay("config", config::check);
}
