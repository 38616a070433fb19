//! Presence of each data set.

use super::official::{OfficialFile, form_of, official};
use crate::names::names;
#[cfg(feature = "pictures")]
use crate::pictures::Pictures;
#[cfg(feature = "recordings")]
use crate::recordings::Recordings;
use crate::sets::cifar::{self, CifarForm};
use crate::sets::{DatasetName, Form};
use crate::{Error, Result, Split};
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

names! {
    /// How much of a set is there.
    pub enum Presence("presence") {
        /// All of it, by number or size of the files.
        Complete = "complete",
        /// Some of it, or more than there should be.
        Incomplete = "incomplete",
        /// Nothing.
        Missing = "missing",
        /// The set needs no files.
        Computed = "computed",
    }
}

/// The samples of one split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its set.
    pub dataset: DatasetName,
    /// `train`, `test`, or `all` of a set without a split.
    pub part: String,
    /// Where they were looked for.
    pub path: PathBuf,
    /// How many were published.
    pub expected: usize,
    /// How many are there.
    pub found: usize,
    /// Why they cannot be counted, or what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `true` if something is there which cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

impl Part {
    /// `true` if as many are there as were published.
    pub fn is_ok(&self) -> bool {
        self.found == self.expected
    }
}

/// Presence of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The set.
    pub dataset: DatasetName,
    /// How much of it is there.
    pub presence: Presence,
    /// In which form, if it comes in several: `binary`, `python-archive`, ….
    pub form: Option<String>,
    /// Where; `None` if nothing is there.
    pub path: Option<PathBuf>,
    /// Number of classes.
    pub classes: usize,
    /// Its splits.
    pub parts: Vec<Part>,
    /// The official files of this form (of all forms, if nothing is there), with what is known of
    /// them and whether they are there.
    pub files: Vec<OfficialFile>,
}

/// Presence of every set under a data root. Files are counted and their sizes compared; nothing is
/// read to its end (that is [`check`](crate::inventory::check())).
///
/// # Errors
/// [`Error::Manifest`](crate::Error::Manifest) if the compiled-in list of files is damaged.
pub fn list(root: &Path) -> Result<Vec<Listing>> {
    DatasetName::published().map(|set| listing(root, set)).collect()
}

fn listing(root: &Path, set: DatasetName) -> Result<Listing> {
    let files = official(root, set)?;
    let there = form_of(root, set);
    let spec = set.spec();
    let parts = match &there {
        Some((form, path)) if form != CifarForm::Pictures.as_str() => {
            image_parts(set, path, form, &files)
        }
        _ => parts(root, set),
    };
    let found: usize = parts.iter().map(|part| part.found).sum();
    let presence = if matches!(spec.form, Form::Shapes) {
        Presence::Computed
    } else if parts.iter().all(Part::is_ok) {
        Presence::Complete
    } else if found == 0 && there.is_none() && !parts.iter().any(|part| part.damaged) {
        Presence::Missing
    } else {
        Presence::Incomplete
    };
    let path = match (presence, &there) {
        (_, Some((_, path))) => Some(path.clone()),
        (Presence::Complete | Presence::Incomplete, None) => {
            parts.first().map(|part| part.path.clone())
        }
        (Presence::Missing | Presence::Computed, None) => None,
    };
    let form = there.map(|(form, _)| form).or_else(|| simulated(set, path.as_deref()));
    let of_form = |file: &OfficialFile| form.as_ref().is_none_or(|form| *form == file.form);
    let files = files.into_iter().filter(of_form).collect();
    Ok(Listing { dataset: set, presence, form, path, classes: spec.classes, parts, files })
}

/// The form of recordings that were computed from pictures.
fn simulated(set: DatasetName, folder: Option<&Path>) -> Option<String> {
    #[cfg(all(feature = "recordings", feature = "pictures"))]
    if let (Form::Recordings(_), Some(folder)) = (set.spec().form, folder)
        && crate::recordings::simulate::is_simulated(folder)
    {
        return Some("simulated".into());
    }
    let _ = (set, folder);
    None
}

/// The splits of a set whose samples are counted: recordings, picture files, CIFAR as pictures.
pub(super) fn parts(root: &Path, set: DatasetName) -> Vec<Part> {
    let spec = set.spec();
    let part = |split: Option<Split>, path: PathBuf, found: usize, message: Option<String>| Part {
        dataset: set,
        part: match split {
            Some(Split::Train) => "train",
            Some(Split::Test) => "test",
            None => "all",
        }
        .to_owned(),
        path,
        expected: spec.published(split.unwrap_or(Split::Train)),
        found,
        message,
        damaged: false,
    };
    // An archive that is damaged is not one that is missing.
    let failed = |split: Option<Split>, path: PathBuf, error: &Error| Part {
        damaged: matches!(error, Error::Parse { .. } | Error::Picture { .. }),
        ..part(split, path, 0, Some(error.to_string()))
    };
    let counted = |split: Split, path: PathBuf, found: Result<usize>| match found {
        Ok(found) => part(Some(split), path, found, None),
        Err(error) => failed(Some(split), path, &error),
    };
    let splits = [Split::Train, Split::Test];
    #[cfg(not(all(feature = "recordings", feature = "pictures")))]
    let not_compiled = |feature: &'static str| {
        let error = || Error::NotCompiled { dataset: set.as_str(), feature };
        splits.map(|split| counted(split, root.to_owned(), Err(error()))).to_vec()
    };
    match spec.form {
        Form::Shapes => Vec::new(),
        Form::Idx(_) => splits.map(|split| part(Some(split), root.to_owned(), 0, None)).to_vec(),
        Form::Cifar(layout) => splits
            .map(|split| match layout.place(root, CifarForm::Pictures) {
                Some(folder) => {
                    let found = cifar::pictures_found(&folder, split);
                    counted(split, folder, found)
                }
                None => part(Some(split), root.to_owned(), 0, None),
            })
            .to_vec(),
        #[cfg(feature = "recordings")]
        Form::Recordings(_) => {
            let opened = Recordings::open(set, root);
            let splits: &[Option<Split>] = if spec.test == 0 { &[None] } else { &splits.map(Some) };
            let of_split = |&split: &Option<Split>| match &opened {
                Ok(set) => {
                    let of_split = |&index: &usize| split.is_none() || set.official(index) == split;
                    let found = (0..set.len()).filter(of_split).count();
                    let folder = set.folder().to_owned();
                    let message = simulated(set.name(), Some(&folder)).map(|_| {
                        "computed from pictures, not recorded; see `simulated.json` in it".into()
                    });
                    part(split, folder, found, message)
                }
                Err(error) => failed(split, root.to_owned(), error),
            };
            splits.iter().map(of_split).collect()
        }
        #[cfg(feature = "pictures")]
        Form::Pictures(_) => splits
            .map(|split| {
                let folder = spec.folder(root);
                let found = Pictures::open(set, root, split);
                match found {
                    // A root with `train` and `val` may be any set of pictures; only ImageNet's is
                    // often a part of it.
                    Ok(pictures)
                        if set != DatasetName::ImageNet
                            && folder == root
                            && pictures.classes().len() != spec.classes =>
                    {
                        part(Some(split), folder, 0, None)
                    }
                    found => counted(split, folder, found.map(|pictures| pictures.len())),
                }
            })
            .to_vec(),
        #[cfg(not(feature = "recordings"))]
        Form::Recordings(_) => not_compiled("recordings"),
        #[cfg(not(feature = "pictures"))]
        Form::Pictures(_) => not_compiled("pictures"),
    }
}

/// The splits of a set of images, by the sizes of its files.
fn image_parts(set: DatasetName, path: &Path, form: &str, files: &[OfficialFile]) -> Vec<Part> {
    let layout = match set.spec().form {
        Form::Cifar(layout) => Some(layout),
        _ => None,
    };
    let part = |split: Split| {
        let of_split = |file: &&OfficialFile| match form {
            "binary-archive" | "python-archive" => true,
            "idx" => {
                file.name.contains("images")
                    && (file.name.starts_with("train") == (split == Split::Train))
            }
            _ => layout.is_some_and(|layout| {
                let stored = if form == "python" { layout.python } else { layout.binary };
                let files = match split {
                    Split::Train => stored.train_files,
                    Split::Test => stored.test_files,
                };
                files.contains(&file.name.as_str())
            }),
        };
        let files: Vec<_> =
            files.iter().filter(|file| file.form == form).filter(of_split).collect();
        let expected = set.spec().published(split);
        // Sizes of pickled files are not published; those of CIFAR's hold so many images, and end
        // with their last instruction.
        let cut = |file: &&&OfficialFile| form == "python" && cut_pickle(set, split, file);
        let there = files.iter().filter(|file| file.has_size() && !cut(file)).count();
        let other = |file: &&&OfficialFile| file.form.ends_with("archive") && !file.has_size();
        let message = match (files.iter().find(other), files.iter().find(cut)) {
            (Some(file), _) => Some(format!("`{}` is not the official file", file.name)),
            (None, Some(file)) => {
                let found = file.found_bytes.unwrap_or_default();
                Some(format!("`{}` is cut or damaged: it has {found} bytes", file.name))
            }
            (None, None) => None,
        };
        Part {
            dataset: set,
            part: if split == Split::Train { "train" } else { "test" }.into(),
            path: path.to_owned(),
            expected,
            found: expected * there / files.len().max(1),
            message,
            damaged: false,
        }
    };
    [part(Split::Train), part(Split::Test)].into()
}

/// `true` if a file of CIFAR's Python form is there and shorter than its images, or does not end as
/// a pickle does.
fn cut_pickle(set: DatasetName, split: Split, file: &OfficialFile) -> bool {
    let (Some(bytes), Form::Cifar(layout)) = (file.found_bytes, set.spec().form) else {
        return false;
    };
    let records = match split {
        Split::Train => layout.train_records,
        Split::Test => layout.test_records,
    };
    let pixels = records as u64 * 3 * 32 * 32;
    let last = fs_err::File::open(&file.path).and_then(|mut opened| {
        let mut last = [0];
        opened.seek(SeekFrom::End(-1))?;
        opened.read_exact(&mut last)?;
        Ok(last)
    });
    bytes < pixels || last.is_ok_and(|last| last != *b".")
}
