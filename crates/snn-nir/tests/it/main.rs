//! Tests of `snn-nir`; the files are of the Python package `nir` (`fixtures/nir/make_nir.py`).

#![expect(clippy::float_cmp, reason = "numbers of files are the same where their bits are")]

mod corpus;
mod export;
mod file;
mod import;
mod refusals;
mod steps;

use flate2::read::GzDecoder;
use snn_nir::NirGraph;
use std::io::Read as _;

/// Bytes of a `.nir` of `fixtures/nir`.
fn fixture(name: &str) -> Vec<u8> {
    fixture_of(&format!("{name}.nir.gz"))
}

/// What a file of `fixtures/nir` packs.
fn fixture_of(file: &str) -> Vec<u8> {
    let path = snn_test_support::workspace().join("fixtures/nir").join(file);
    let packed = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

fn graph(name: &str) -> NirGraph {
    NirGraph::from_bytes(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
