//! The corpora of `fuzz/corpus`: what fuzzing found worth keeping, on every run of the tests.

use crate::Random;

/// Damaged forms of each file of a corpus, unless the variable `SNN_MUTATIONS` says how many.
const MUTATIONS: u64 = 60;

/// Runs `check` on every file of a corpus.
///
/// # Panics
///
/// Where the corpus has hardly any files, or one cannot be read.
pub fn replay(corpus: &str, check: impl Fn(&[u8])) {
    let folder = crate::workspace().join("fuzz/corpus").join(corpus);
    let read = |error: std::io::Error| -> ! { panic!("{}: {error}", folder.display()) };
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| read(error));
    let mut files: Vec<_> =
        entries.map(|entry| entry.unwrap_or_else(|error| read(error)).path()).collect();
    files.sort();
    assert!(files.len() > 5, "{} files in {}", files.len(), folder.display());
    for file in files {
        check(&std::fs::read(&file).unwrap_or_else(|error| read(error)));
    }
}

/// Runs `check` on damaged forms of every file of a corpus: bits turned over, bytes filled, parts
/// cut or doubled. `SNN_MUTATIONS` says how many of each file. The same ones on every run.
pub fn mutate(corpus: &str, check: impl Fn(&[u8])) {
    let count = std::env::var("SNN_MUTATIONS").ok().and_then(|count| count.parse().ok());
    replay(corpus, |file| {
        for seed in 0..count.unwrap_or(MUTATIONS) {
            check(&damaged(file, seed));
        }
    });
}

/// A damaged form of some bytes, never empty; the seed determines it.
#[must_use]
pub fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed.wrapping_mul(0x1_0000_0001) ^ bytes.len() as u64);
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(8)).min(bytes.len());
        match random.below(5) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at..end].fill([0, 0x7F, 0x80, 0xFF][random.below(4)]),
            2 => bytes.extend_from_within(at..),
            3 => drop(bytes.drain(at..end)),
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
    if bytes.is_empty() { vec![0] } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::damaged;

    #[test]
    fn damage_is_repeatable_and_never_leaves_nothing() {
        let whole: Vec<u8> = (0..100).collect();
        let mut changed = 0;
        for seed in 0..200 {
            let once = damaged(&whole, seed);
            assert_eq!(once, damaged(&whole, seed));
            assert!(!damaged(&[7], seed).is_empty() && !damaged(&[], seed).is_empty());
            changed += usize::from(once != whole);
        }
        assert!(changed > 190, "{changed} of 200");
    }
}
