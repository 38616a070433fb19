//! The sets of pictures that have a name.

use super::Pictures;
use crate::{Error, Result, Split};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A set of pictures that this crate can open; sets of one's own are class folders
/// ([`Pictures::folder`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PicturesName {
    /// ImageNet, ILSVRC 2012 (Russakovsky et al. 2015): 1,281,167 + 50,000 pictures, a thousand
    /// classes.
    #[serde(rename = "imagenet")]
    ImageNet,
    /// Tiny-ImageNet (Stanford's CS231n): 100,000 + 10,000 pictures of 64×64, two hundred classes.
    #[serde(rename = "tiny-imagenet")]
    TinyImageNet,
    /// Imagenette 2 (fast.ai): 9,469 + 3,925 pictures, ten classes of ImageNet.
    #[serde(rename = "imagenette")]
    Imagenette,
}

impl PicturesName {
    /// Every set.
    pub const ALL: [Self; 3] = [Self::ImageNet, Self::TinyImageNet, Self::Imagenette];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageNet => "imagenet",
            Self::TinyImageNet => "tiny-imagenet",
            Self::Imagenette => "imagenette",
        }
    }

    /// Names of its folder in the data root.
    pub fn folders(self) -> &'static [&'static str] {
        match self {
            Self::ImageNet => &["imagenet", "ImageNet", "ILSVRC2012"],
            Self::TinyImageNet => &["tiny-imagenet-200", "tiny-imagenet"],
            Self::Imagenette => {
                &["imagenette2", "imagenette2-320", "imagenette2-160", "imagenette"]
            }
        }
    }

    /// Number of classes.
    pub fn classes(self) -> usize {
        match self {
            Self::ImageNet => 1000,
            Self::TinyImageNet => 200,
            Self::Imagenette => 10,
        }
    }

    /// Number of pictures of a split, as published.
    pub fn published(self, split: Split) -> usize {
        match (self, split) {
            (Self::ImageNet, Split::Train) => 1_281_167,
            (Self::ImageNet, Split::Test) => 50_000,
            (Self::TinyImageNet, Split::Train) => 100_000,
            (Self::TinyImageNet, Split::Test) => 10_000,
            (Self::Imagenette, Split::Train) => 9_469,
            (Self::Imagenette, Split::Test) => 3_925,
        }
    }

    /// Its folder: one of [`folders`](Self::folders) in a data root, or the root itself.
    pub fn folder(self, root: &Path) -> PathBuf {
        let mut folders = self.folders().iter().map(|name| root.join(name));
        folders.find(|folder| folder.is_dir()).unwrap_or_else(|| root.to_owned())
    }
}

impl Pictures {
    /// Opens one split of a set by its name, under a data root or in its folder itself.
    ///
    /// # Errors
    /// As [`Pictures::imagenet`], [`Pictures::tiny_imagenet`] and [`Pictures::folder`].
    pub fn open(name: PicturesName, root: &Path, split: Split) -> Result<Self> {
        let folder = name.folder(root);
        match name {
            PicturesName::ImageNet => Self::imagenet(&folder, split),
            PicturesName::TinyImageNet => Self::tiny_imagenet(&folder, split),
            PicturesName::Imagenette => {
                let part = match split {
                    Split::Train => "train",
                    Split::Test => "val",
                };
                Self::folder(&folder.join(part))
            }
        }
    }
}

impl fmt::Display for PicturesName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for PicturesName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
            Error::InvalidConfig {
                field: "set of pictures",
                expected: Self::ALL.map(Self::as_str).join(", "),
                found: format!("`{name}`"),
            }
        })
    }
}
