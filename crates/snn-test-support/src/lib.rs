#![doc = include_str!("../README.md")]

pub mod allocator;
pub mod corpus;
pub mod golden;
pub mod random;

pub use allocator::CountingAllocator;
pub use random::Random;

use std::path::{Path, PathBuf};

/// The root of the workspace, in which `fixtures/` and `fuzz/` lie.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
