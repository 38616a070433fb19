//! Replays a corpus: the tests of several crates include this file.

use std::path::Path;

/// Runs `check` on every file of a corpus.
pub(crate) fn replay(corpus: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(corpus);
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "{} files in {}", files.len(), folder.display());
    for file in files {
        check(&std::fs::read(&file).unwrap());
    }
}

/// Runs `check` on damaged forms of every file of a corpus: bits turned over, bytes filled, parts
/// cut or doubled. `SNN_MUTATIONS` says how many of each file; a few by default. The same ones on
/// every run.
#[allow(dead_code, reason = "not every crate that includes this file mutates its corpus")]
pub(crate) fn mutate(corpus: &str, check: impl Fn(&[u8])) {
    let count =
        std::env::var("SNN_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(60_u64);
    replay(corpus, |file| {
        for seed in 0..count {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ file.len() as u64;
            let mut below = |bound: usize| {
                // Steele et al. 2014: SplitMix64.
                state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                usize::try_from((mixed ^ (mixed >> 27)) % bound.max(1) as u64).unwrap_or(0)
            };
            let mut bytes = file.to_vec();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                let end = (at + 1 + below(8)).min(bytes.len());
                match below(5) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at..end].fill([0, 0x7F, 0x80, 0xFF][below(4)]),
                    2 => bytes.extend_from_within(at..),
                    3 => drop(bytes.drain(at..end)),
                    _ => bytes[at] ^= 1 << below(8),
                }
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            check(&bytes);
        }
    });
}
