//! Which recordings are for training and which for testing: rules and lists in files, so that a
//! result can say which it used.

use super::Recordings;
use crate::DatasetName;
use crate::files::text;
use crate::loader::{Purpose, SampleRng};
use crate::{Error, Result, Split};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Lists of a data set are megabytes at most.
const MAX_BYTES: u64 = 1 << 26;

/// How recordings are chosen for testing; all others are for training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitRule {
    /// As the publishers did.
    Official,
    /// The first `test` recordings of each class, in the order of the numbers in their names (TEBN,
    /// PSN).
    FirstPerClass {
        /// Recordings for testing in each class.
        test: usize,
    },
    /// The last `test` recordings of each class (SpikingJelly's `split_to_train_test_set(0.9)` with
    /// 100 of 1,000).
    LastPerClass {
        /// Recordings for testing in each class.
        test: usize,
    },
    /// One of `of` recordings of each class, by a shuffle that is a function of seed and class.
    Random {
        /// Ten for nine to one.
        of: usize,
        /// The seed.
        seed: u64,
    },
    /// The recordings with these names.
    Files(
        /// Names as [`Recordings::sample_name`] gives them.
        Vec<String>,
    ),
}

/// A split file: lines of a key and a value, `#` begins a comment.
///
/// ```
/// use snn_data::recordings::{SplitFile, SplitRule};
/// let split: SplitFile = "dataset cifar10-dvs\nrule first-per-class\ntest 100\n".parse()?;
/// assert_eq!(split.rule, SplitRule::FirstPerClass { test: 100 });
/// # Ok::<(), snn_data::Error>(())
/// ```
///
/// Rules are `official`, `first-per-class` and `last-per-class` with `test N`, `random` with `of N`
/// and `seed N`, and `files` with a line `file NAME` for each recording that is for testing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitFile {
    /// The set it is for.
    pub dataset: DatasetName,
    /// How recordings are chosen for testing.
    pub rule: SplitRule,
}

/// Two disjoint, sorted lists of indices that together are all recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingSplit {
    /// Recordings to train on.
    pub train: Vec<usize>,
    /// Recordings to report accuracy on.
    pub test: Vec<usize>,
}

impl SplitFile {
    /// Reads a split file.
    ///
    /// # Errors
    /// [`Error::Split`] naming file, line, what was expected and what was found; [`Error::Parse`]
    /// if it is no text, or too long; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&text::read(path, MAX_BYTES)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |line: usize, expected: &str, found: String| Error::Split {
            path: path.to_owned(),
            line,
            expected: expected.to_owned(),
            found,
        };
        let mut keys: HashMap<&str, (usize, &str)> = HashMap::new();
        let mut files = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let known =
                ["dataset", "rule", "test", "of", "seed"].into_iter().find(|&known| known == key);
            match (known, key) {
                (_, "file") => files.push(value.trim().to_owned()),
                (Some(key), _) => {
                    if keys.insert(key, (index + 1, value.trim())).is_some() {
                        return Err(wrong(index + 1, "each key once", format!("`{key}` again")));
                    }
                }
                (None, _) => {
                    return Err(wrong(
                        index + 1,
                        "dataset, rule, test, of, seed or file",
                        format!("`{key}`"),
                    ));
                }
            }
        }
        let mut take = |key: &str| {
            keys.remove(key).ok_or_else(|| wrong(0, &format!("a line `{key}`"), "none".into()))
        };
        let (line, name) = take("dataset")?;
        let dataset = name
            .parse()
            .map_err(|error: Error| wrong(line, "a known data set", error.to_string()))?;
        let (line, rule) = take("rule")?;
        let mut number = |key: &str, least: u64| {
            let (line, text) = take(key)?;
            let number = text.parse::<u64>().ok().filter(|&number| number >= least);
            number.ok_or_else(|| {
                wrong(line, &format!("a whole number from {least} on"), format!("`{text}`"))
            })
        };
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let rule = match rule {
            "official" => SplitRule::Official,
            "first-per-class" => SplitRule::FirstPerClass { test: count(number("test", 1)?) },
            "last-per-class" => SplitRule::LastPerClass { test: count(number("test", 1)?) },
            "random" => SplitRule::Random { of: count(number("of", 2)?), seed: number("seed", 0)? },
            "files" => SplitRule::Files(std::mem::take(&mut files)),
            other => {
                let expected = "official, first-per-class, last-per-class, random or files";
                return Err(wrong(line, expected, format!("`{other}`")));
            }
        };
        if let Some((key, (line, _))) = keys.into_iter().next() {
            return Err(wrong(line, "only keys that the rule uses", format!("`{key}`")));
        }
        if !files.is_empty() {
            return Err(wrong(
                0,
                "lines `file` only with the rule `files`",
                format!("{} of them", files.len()),
            ));
        }
        Ok(Self { dataset, rule })
    }

    /// Applies the rule to the recordings that are there.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the split is for another set, a class has too few recordings, a
    /// listed file is not there, or nothing is left for one of the parts.
    pub fn apply(&self, recordings: &Recordings) -> Result<RecordingSplit> {
        let wrong = |expected: String, found: String| {
            Err(Error::InvalidConfig { field: "split", expected, found })
        };
        if self.dataset != recordings.name() {
            return wrong(
                format!("a split of {}", recordings.name()),
                format!("one of {}", self.dataset),
            );
        }
        let mut by_class = vec![Vec::new(); recordings.classes().len()];
        for index in 0..recordings.len() {
            by_class[usize::from(recordings.samples[index].label)].push(index);
        }
        let mut test = vec![false; recordings.len()];
        match &self.rule {
            SplitRule::Official => {
                for (test, sample) in test.iter_mut().zip(&recordings.samples) {
                    match sample.official {
                        Some(Split::Test) => *test = true,
                        Some(Split::Train) => {}
                        None => {
                            return wrong(
                                "a set with an official split".into(),
                                recordings.name().to_string(),
                            );
                        }
                    }
                }
            }
            SplitRule::FirstPerClass { test: count } | SplitRule::LastPerClass { test: count } => {
                for (class, members) in
                    by_class.iter().enumerate().filter(|(_, members)| !members.is_empty())
                {
                    if members.len() <= *count {
                        let name = &recordings.classes()[class];
                        return wrong(
                            format!("more than {count} recordings of each class"),
                            format!("{} of {name}", members.len()),
                        );
                    }
                    let chosen = match self.rule {
                        SplitRule::FirstPerClass { .. } => &members[..*count],
                        _ => &members[members.len() - count..],
                    };
                    for &index in chosen {
                        test[index] = true;
                    }
                }
            }
            SplitRule::Random { of, seed } => {
                for (class, mut members) in by_class.into_iter().enumerate() {
                    SampleRng::new(*seed, Purpose::RecordingSplit, class as u64, 0)
                        .shuffle(&mut members);
                    let share = members.len() / of;
                    for index in members.into_iter().take(share) {
                        test[index] = true;
                    }
                }
            }
            SplitRule::Files(files) => {
                let names: HashMap<_, _> = recordings
                    .samples
                    .iter()
                    .enumerate()
                    .map(|(index, sample)| (sample.name.as_str(), index))
                    .collect();
                for file in files {
                    let Some(&index) = names.get(file.as_str()) else {
                        return wrong(
                            "names of recordings that are there".into(),
                            format!("`{file}`"),
                        );
                    };
                    test[index] = true;
                }
            }
        }
        let (test, train): (Vec<_>, Vec<_>) = (0..recordings.len()).partition(|&index| test[index]);
        if test.is_empty() || train.is_empty() {
            return wrong(
                "recordings in both parts".into(),
                format!("{} and {}", train.len(), test.len()),
            );
        }
        Ok(RecordingSplit { train, test })
    }
}

impl FromStr for SplitFile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, &PathBuf::from("split"))
    }
}

impl fmt::Display for SplitFile {
    /// The file: what [`read`](SplitFile::read) reads back.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "dataset {}", self.dataset)?;
        match &self.rule {
            SplitRule::Official => writeln!(formatter, "rule official"),
            SplitRule::FirstPerClass { test } => {
                writeln!(formatter, "rule first-per-class\ntest {test}")
            }
            SplitRule::LastPerClass { test } => {
                writeln!(formatter, "rule last-per-class\ntest {test}")
            }
            SplitRule::Random { of, seed } => {
                writeln!(formatter, "rule random\nof {of}\nseed {seed}")
            }
            SplitRule::Files(files) => {
                writeln!(formatter, "rule files")?;
                files.iter().try_for_each(|file| writeln!(formatter, "file {file}"))
            }
        }
    }
}
