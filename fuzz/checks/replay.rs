//! Replays a corpus: the tests of several crates include this file.

use std::path::Path;

/// Runs `check` on every file of a corpus.
pub(crate) fn replay(corpus: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(corpus);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "{} files in {}", files.len(), folder.display());
    for file in files {
        check(&std::fs::read(&file).unwrap());
    }
}
