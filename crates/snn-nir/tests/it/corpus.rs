//! What fuzzing found worth keeping, whole and damaged.

#[path = "../../../../fuzz/checks/nir.rs"]
mod check;

use crate::fixture;
use snn_test_support::corpus::{damaged, mutate, replay};

#[test]
fn corpus() {
    replay("nir", check::check);
    mutate("nir", check::check);
}

#[test]
fn files_of_python_that_are_cut_off_or_damaged() {
    for name in ["every", "if", "picture", "recurrent", "cycle"] {
        let bytes = fixture(name);
        check::check(&bytes);
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 40) {
            check::check(&bytes[..end]);
        }
        for seed in 0..40 {
            check::check(&damaged(&bytes, seed));
        }
    }
}
