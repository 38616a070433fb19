//! Data sets of recordings: CIFAR10-DVS, N-MNIST, DVS128 Gesture.

mod gesture;
mod natural;
mod place;
mod scan;
mod source;
mod split;

pub use source::RecordingSource;
pub use split::{RecordingSplit, SplitFile, SplitRule};

use crate::events::{Events, ReadOptions, SensorSize};
use crate::{Error, Result};
use place::Place;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The classes of CIFAR10-DVS, those of CIFAR-10.
const CIFAR10_DVS_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// The classes of N-MNIST.
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// A data set of recordings that this crate can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordingsName {
    /// CIFAR10-DVS (Li et al. 2017): 10,000 recordings of a DVS128, ten classes; no official split.
    #[serde(rename = "cifar10-dvs")]
    Cifar10Dvs,
    /// N-MNIST (Orchard et al. 2015): 60,000 + 10,000 recordings of 34×34, ten classes.
    #[serde(rename = "n-mnist")]
    NMnist,
    /// DVS128 Gesture (Amir et al. 2017): 1,176 + 288 recordings of a DVS128, eleven classes. AEDAT
    /// 3.1, not tried on the real files.
    #[serde(rename = "dvs128-gesture")]
    Dvs128Gesture,
}

impl RecordingsName {
    /// Every set.
    pub const ALL: [Self; 3] = [Self::Cifar10Dvs, Self::NMnist, Self::Dvs128Gesture];

    /// The name in configs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cifar10Dvs => "cifar10-dvs",
            Self::NMnist => "n-mnist",
            Self::Dvs128Gesture => "dvs128-gesture",
        }
    }

    /// Names of its folder in the data root.
    pub fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10Dvs => &["cifar10-dvs", "CIFAR10DVS"],
            Self::NMnist => &["n-mnist", "NMNIST", "N-MNIST"],
            Self::Dvs128Gesture => &["dvs128-gesture", "DvsGesture", "DVSGesture"],
        }
    }

    /// Number of classes.
    pub fn classes(self) -> usize {
        match self {
            Self::Cifar10Dvs | Self::NMnist => 10,
            Self::Dvs128Gesture => 11,
        }
    }

    /// Number of recordings of a split, as published; CIFAR10-DVS has no split, and all count as
    /// for training.
    pub fn published(self, split: crate::Split) -> usize {
        match (self, split) {
            (Self::Cifar10Dvs, crate::Split::Test) => 0,
            (Self::NMnist, crate::Split::Train) => 60_000,
            (Self::Cifar10Dvs, crate::Split::Train) | (Self::NMnist, crate::Split::Test) => 10_000,
            (Self::Dvs128Gesture, crate::Split::Train) => 1_176,
            (Self::Dvs128Gesture, crate::Split::Test) => 288,
        }
    }

    /// The sensor of its recordings.
    pub fn size(self) -> SensorSize {
        match self {
            Self::Cifar10Dvs | Self::Dvs128Gesture => SensorSize { width: 128, height: 128 },
            Self::NMnist => SensorSize { width: 34, height: 34 },
        }
    }
}

impl fmt::Display for RecordingsName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for RecordingsName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
            Error::InvalidConfig {
                field: "data set of recordings",
                expected: Self::ALL.map(Self::as_str).join(", "),
                found: format!("`{name}`"),
            }
        })
    }
}

/// One recording of a set.
#[derive(Debug, Clone)]
struct Sample {
    place: Place,
    /// Name in the set, with `/` between folders: what a split file lists.
    name: String,
    label: u16,
    /// Which part the publishers put it in, if they did.
    official: Option<crate::Split>,
}

/// The recordings of a set: where each one is, read when asked for.
#[derive(Debug, Clone)]
pub struct Recordings {
    name: RecordingsName,
    folder: PathBuf,
    classes: Vec<String>,
    samples: Vec<Sample>,
}

impl Recordings {
    /// Finds the recordings of a set under a data root (or in the folder itself).
    ///
    /// CIFAR10-DVS: `airplane/*.aedat`, … or `airplane.zip`, … as published, read in place.
    /// N-MNIST: `Train/0/*.bin`, `Test/…`, or `Train.zip` and `Test.zip`. DVS128 Gesture:
    /// `userNN_LIGHT.aedat` with `_labels.csv`, and `trials_to_train.txt` and `_test.txt`.
    /// Recordings come by class, then in the order of the numbers in their names.
    ///
    /// # Errors
    /// [`Error::NoRecordings`] saying what was looked for; what reading the lists reports.
    pub fn open(name: RecordingsName, root: &Path) -> Result<Self> {
        let mut places =
            name.folders().iter().map(|folder| root.join(folder)).filter(|path| path.is_dir());
        let folder = places.next().unwrap_or_else(|| root.to_owned());
        let (classes, samples) = match name {
            RecordingsName::Cifar10Dvs => (
                owned(&CIFAR10_DVS_CLASSES),
                scan::classes(&folder, "", &CIFAR10_DVS_CLASSES, "aedat", None)?,
            ),
            RecordingsName::NMnist => {
                let mut samples =
                    scan::classes(&folder, "Train", &DIGITS, "bin", Some(crate::Split::Train))?;
                samples.extend(scan::classes(
                    &folder,
                    "Test",
                    &DIGITS,
                    "bin",
                    Some(crate::Split::Test),
                )?);
                (owned(&DIGITS), samples)
            }
            RecordingsName::Dvs128Gesture => (owned(&gesture::CLASSES), gesture::samples(&folder)?),
        };
        if samples.is_empty() {
            return Err(Error::NoRecordings {
                dataset: name.as_str(),
                path: folder,
                folders: name.folders().join("`, `"),
            });
        }
        Ok(Self { name, folder, classes, samples })
    }

    /// Which set it is.
    pub fn name(&self) -> RecordingsName {
        self.name
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Class names, by label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of recordings.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none (never, once opened).
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The label of a recording; `None` past the end.
    pub fn label(&self, index: usize) -> Option<u16> {
        Some(self.samples.get(index)?.label)
    }

    /// The name of a recording in the set, as split files list it; `None` past the end.
    pub fn sample_name(&self, index: usize) -> Option<&str> {
        Some(&self.samples.get(index)?.name)
    }

    /// Which part the publishers put a recording in; `None` past the end, and where they made no
    /// split.
    pub fn official(&self, index: usize) -> Option<crate::Split> {
        self.samples.get(index)?.official
    }

    /// Reads a recording. Those of CIFAR10-DVS are turned upright: rows and columns of the sensor
    /// change places, as in SpikingJelly.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`]; what reading the file reports.
    pub fn read(&self, index: usize) -> Result<Events> {
        let sample =
            self.samples.get(index).ok_or(Error::IndexOutOfRange { index, count: self.len() })?;
        let events = sample.place.read(ReadOptions::default())?;
        Ok(match self.name {
            RecordingsName::Cifar10Dvs => events.transposed(),
            RecordingsName::NMnist | RecordingsName::Dvs128Gesture => events,
        })
    }

    fn blame(&self, index: usize, source: Error) -> Error {
        match self.samples.get(index) {
            Some(sample) => {
                Error::Sample { index, name: sample.name.clone(), source: Box::new(source) }
            }
            None => source,
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
