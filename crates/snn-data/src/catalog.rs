//! All data sets that have a name: what is there of each.

use crate::check::{self, OfficialFile};
use crate::name::edit_distance;
use crate::recordings::{Recordings, RecordingsName};
use crate::vision::{Pictures, PicturesName};
use crate::{CIFAR10, CIFAR100, CifarForm, CifarLayout, DatasetName, Error, Result, Split, cifar};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of a data set of any kind.
///
/// ```
/// use snn_data::SetName;
/// assert_eq!("n-mnist".parse::<SetName>()?, SetName::Recordings(snn_data::recordings::RecordingsName::NMnist));
/// assert!("imagnet".parse::<SetName>().unwrap_err().to_string().ends_with("did you mean `imagenet`?"));
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SetName {
    /// Images that lie in memory.
    Images(DatasetName),
    /// Recordings of event cameras.
    Recordings(RecordingsName),
    /// Picture files.
    Pictures(PicturesName),
}

impl SetName {
    /// Every set.
    pub fn all() -> impl Iterator<Item = Self> {
        let images = DatasetName::ALL.into_iter().map(Self::Images);
        images
            .chain(RecordingsName::ALL.into_iter().map(Self::Recordings))
            .chain(PicturesName::ALL.into_iter().map(Self::Pictures))
    }

    /// The name in configs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Images(name) => name.as_str(),
            Self::Recordings(name) => name.as_str(),
            Self::Pictures(name) => name.as_str(),
        }
    }

    /// Number of classes.
    pub fn classes(self) -> usize {
        match self {
            Self::Images(DatasetName::Cifar100) => 100,
            Self::Images(
                DatasetName::Cifar10
                | DatasetName::Mnist
                | DatasetName::FashionMnist
                | DatasetName::Shapes10,
            ) => 10,
            Self::Recordings(name) => name.classes(),
            Self::Pictures(name) => name.classes(),
        }
    }

    /// Number of samples of a split, as published. A set without a split has all in the training
    /// split.
    pub fn published(self, split: Split) -> usize {
        match (self, split) {
            (Self::Images(DatasetName::Cifar10 | DatasetName::Cifar100), Split::Train) => 50_000,
            (Self::Images(DatasetName::Mnist | DatasetName::FashionMnist), Split::Train) => 60_000,
            (Self::Images(DatasetName::Shapes10), Split::Train) => 8_000,
            (Self::Images(DatasetName::Shapes10), Split::Test) => 2_000,
            (Self::Images(_), Split::Test) => 10_000,
            (Self::Recordings(name), split) => name.published(split),
            (Self::Pictures(name), split) => name.published(split),
        }
    }
}

impl From<DatasetName> for SetName {
    fn from(name: DatasetName) -> Self {
        Self::Images(name)
    }
}

impl From<RecordingsName> for SetName {
    fn from(name: RecordingsName) -> Self {
        Self::Recordings(name)
    }
}

impl From<PicturesName> for SetName {
    fn from(name: PicturesName) -> Self {
        Self::Pictures(name)
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for SetName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if let Some(known) = Self::all().find(|known| known.as_str() == name) {
            return Ok(known);
        }
        let names: Vec<_> = Self::all().map(Self::as_str).collect();
        let nearest = names.iter().min_by_key(|known| edit_distance(name, known));
        Err(Error::UnknownDataset {
            found: name.to_owned(),
            known: names.join(", "),
            nearest: nearest.copied().unwrap_or("shapes10"),
        })
    }
}

/// How much of a set is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// All of it, by number or size of the files.
    Complete,
    /// Some of it, or more than there should be.
    Incomplete,
    /// Nothing.
    Missing,
    /// It needs no files.
    Computed,
}

impl fmt::Display for Presence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Missing => "missing",
            Self::Computed => "computed",
        })
    }
}

/// The samples of one split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its set.
    pub dataset: SetName,
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
}

impl Part {
    /// Whether as many are there as were published.
    pub fn is_ok(&self) -> bool {
        self.found == self.expected
    }
}

/// What is there of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The set.
    pub dataset: SetName,
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

/// What is there of every set under a data root. Files are counted and their sizes compared;
/// nothing is read to its end (that is [`check`](crate::check)).
///
/// # Errors
/// [`Error::Manifest`] if the compiled-in list of files is damaged.
pub fn list(root: &Path) -> Result<Vec<Listing>> {
    SetName::all().map(|set| listing(root, set)).collect()
}

fn listing(root: &Path, set: SetName) -> Result<Listing> {
    let files = check::official(root, set)?;
    let there = check::form_of(root, set);
    let parts = match (set, &there) {
        (SetName::Images(DatasetName::Shapes10), _) => Vec::new(),
        (SetName::Images(name), Some((form, path))) if form != CifarForm::Pictures.as_str() => {
            image_parts(name, path, form, &files)
        }
        _ => parts(root, set),
    };
    let found: usize = parts.iter().map(|part| part.found).sum();
    let presence = if set == SetName::Images(DatasetName::Shapes10) {
        Presence::Computed
    } else if parts.iter().all(Part::is_ok) {
        Presence::Complete
    } else if found == 0 && there.is_none() {
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
    let form = there.map(|(form, _)| form);
    let of_form = |file: &OfficialFile| form.as_ref().is_none_or(|form| *form == file.form);
    let files = files.into_iter().filter(of_form).collect();
    Ok(Listing { dataset: set, presence, form, path, classes: set.classes(), parts, files })
}

/// The splits of a set whose samples are counted: recordings, picture files, CIFAR as pictures.
pub(crate) fn parts(root: &Path, set: SetName) -> Vec<Part> {
    let part = |split: Option<Split>, path: PathBuf, found: usize, message: Option<String>| Part {
        dataset: set,
        part: match split {
            Some(Split::Train) => "train",
            Some(Split::Test) => "test",
            None => "all",
        }
        .to_owned(),
        path,
        expected: set.published(split.unwrap_or(Split::Train)),
        found,
        message,
    };
    let splits = [Split::Train, Split::Test];
    match set {
        SetName::Images(DatasetName::Shapes10) => Vec::new(),
        SetName::Images(name) => splits
            .map(|split| {
                match layout(name).map(|layout| (layout.place(root, CifarForm::Pictures), layout)) {
                    Some((Some(folder), _)) => match cifar::pictures_found(&folder, split) {
                        Ok(found) => part(Some(split), folder, found, None),
                        Err(error) => part(Some(split), folder, 0, Some(error.to_string())),
                    },
                    _ => part(Some(split), root.to_owned(), 0, None),
                }
            })
            .to_vec(),
        SetName::Recordings(name) => {
            let opened = Recordings::open(name, root);
            let whole = name.published(Split::Test) == 0;
            let splits: &[Option<Split>] = if whole { &[None] } else { &splits.map(Some) };
            let of_split = |&split: &Option<Split>| match &opened {
                Ok(set) => {
                    let found =
                        (0..set.len()).filter(|&index| set.official(index) == split).count();
                    part(split, set.folder().to_owned(), found, None)
                }
                Err(error) => part(split, root.to_owned(), 0, Some(error.to_string())),
            };
            splits.iter().map(of_split).collect()
        }
        SetName::Pictures(name) => splits
            .map(|split| match Pictures::open(name, root, split) {
                // A root with `train` and `val` may be any set of pictures; only ImageNet's is
                // often a part of it.
                Ok(pictures)
                    if name != PicturesName::ImageNet
                        && name.folder(root) == root
                        && pictures.classes().len() != name.classes() =>
                {
                    part(Some(split), root.to_owned(), 0, None)
                }
                Ok(pictures) => part(Some(split), name.folder(root), pictures.len(), None),
                Err(error) => part(Some(split), name.folder(root), 0, Some(error.to_string())),
            })
            .to_vec(),
    }
}

/// The splits of a set of images, by the sizes of its files.
fn image_parts(name: DatasetName, path: &Path, form: &str, files: &[OfficialFile]) -> Vec<Part> {
    let part = |split: Split| {
        let of_split = |file: &&OfficialFile| match form {
            "binary-archive" | "python-archive" => true,
            "idx" => {
                file.name.contains("images")
                    && (file.name.starts_with("train") == (split == Split::Train))
            }
            _ => layout(name).is_some_and(|layout| {
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
        let set = SetName::Images(name);
        let expected = set.published(split);
        let there = files.iter().filter(|file| file.has_size()).count();
        let other = |file: &&&OfficialFile| file.form.ends_with("archive") && !file.has_size();
        let message = files
            .iter()
            .find(other)
            .map(|file| format!("`{}` is not the official file", file.name));
        Part {
            dataset: set,
            part: if split == Split::Train { "train" } else { "test" }.into(),
            path: path.to_owned(),
            expected,
            found: expected * there / files.len().max(1),
            message,
        }
    };
    [part(Split::Train), part(Split::Test)].into()
}

/// The layout of CIFAR-10 or CIFAR-100.
pub(crate) fn layout(name: DatasetName) -> Option<&'static CifarLayout> {
    match name {
        DatasetName::Cifar10 => Some(&CIFAR10),
        DatasetName::Cifar100 => Some(&CIFAR100),
        DatasetName::Mnist | DatasetName::FashionMnist | DatasetName::Shapes10 => None,
    }
}
