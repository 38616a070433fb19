//! The names under which data sets are opened.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A data set this crate can open.
///
/// ```
/// use snn_data::DatasetName;
/// assert_eq!("cifar-10".parse::<DatasetName>()?, DatasetName::Cifar10);
/// let error = "cifar10".parse::<DatasetName>().unwrap_err();
/// assert!(error.to_string().ends_with("did you mean `cifar-10`?"));
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DatasetName {
    /// CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 images of 3×32×32, ten classes.
    #[serde(rename = "cifar-10")]
    Cifar10,
    /// CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 images of 3×32×32, a hundred classes.
    #[serde(rename = "cifar-100")]
    Cifar100,
    /// MNIST (`LeCun` et al. 1998): 60,000 + 10,000 images of 1×28×28, ten classes.
    #[serde(rename = "mnist")]
    Mnist,
    /// Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 images of 1×28×28, ten classes.
    #[serde(rename = "fashion-mnist")]
    FashionMnist,
    /// The computed set [`shapes`](crate::shapes): 8,000 + 2,000 images of 3×16×16, ten classes, no
    /// file.
    #[serde(rename = "shapes10")]
    Shapes10,
}

impl DatasetName {
    /// Every data set.
    pub const ALL: [Self; 5] =
        [Self::Cifar10, Self::Cifar100, Self::Mnist, Self::FashionMnist, Self::Shapes10];

    /// The name in configs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10",
            Self::Cifar100 => "cifar-100",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Shapes10 => "shapes10",
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if let Some(known) = Self::ALL.into_iter().find(|known| known.as_str() == name) {
            return Ok(known);
        }
        let nearest =
            Self::ALL.map(Self::as_str).into_iter().min_by_key(|known| edit_distance(name, known));
        Err(Error::UnknownDataset {
            found: name.to_owned(),
            known: Self::ALL.map(Self::as_str).join(", "),
            nearest: nearest.unwrap_or("shapes10"),
        })
    }
}

/// Levenshtein distance in bytes, of the first 64 bytes of `found`.
pub(crate) fn edit_distance(found: &str, known: &str) -> usize {
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (deleted, byte) in found.bytes().take(64).enumerate() {
        let mut diagonal = deleted;
        row[0] = deleted + 1;
        for (column, other) in known.bytes().enumerate() {
            let replaced = diagonal + usize::from(!byte.eq_ignore_ascii_case(&other));
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[known.len()]
}
