//! Data sets of recordings: CIFAR10-DVS, N-MNIST, DVS128 Gesture.

mod gesture;
mod long;
mod natural;
mod place;
mod sample;
mod scan;
mod source;
mod split;

pub use source::RecordingSource;
pub use split::{RecordingSplit, SplitFile, SplitRule};

use crate::recordings::events::{Damage, EventReader, Events, ReadOptions, SensorSize};
use crate::sets::{DatasetName, DefaultSplit, Form, RecordingFiles, RecordingLayout};
use crate::{Error, Result, Split};
use sample::Sample;
use std::path::{Path, PathBuf};

/// The recordings of a set: where each one is; they are read on request.
#[derive(Debug, Clone)]
pub struct Recordings {
    name: DatasetName,
    layout: RecordingLayout,
    folder: PathBuf,
    size: SensorSize,
    options: ReadOptions,
    classes: Vec<String>,
    samples: Vec<Sample>,
}

impl Recordings {
    /// Finds the recordings of a set under a data root (or in the folder itself).
    ///
    /// - CIFAR10-DVS: `airplane/*.aedat`, … or `airplane.zip`, … as published, read in place; or
    ///   `.aedat4` in place of `.aedat`, as tonic has them.
    /// - N-MNIST: `Train/0/*.bin`, `Test/…`, or `Train.zip` and `Test.zip`; or files of one folder
    ///   with a list `labels.txt` of lines `NUMBER DIGIT`, which have no official split. SLAYER's
    ///   `.bs2` files are the same.
    /// - DVS128 Gesture: `userNN_LIGHT.aedat` with `_labels.csv`, and `trials_to_train.txt` and
    ///   `_test.txt`.
    /// - N-Caltech101 and folders of one's own: `CLASS/*`, or `train/CLASS/*` and `test/CLASS/*`,
    ///   in any format of [`EventFormat`](crate::recordings::events::EventFormat).
    ///
    /// Recordings come by class, then in the order of the numbers in their names.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a set of another kind; [`Error::NoRecordings`] saying what was
    /// looked for; what reading the lists reports.
    pub fn open(name: DatasetName, root: &Path) -> Result<Self> {
        Self::open_with(name, root, ReadOptions::default())
    }

    /// Finds the recordings of a set; `options` say what its files do not say themselves.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(name: DatasetName, root: &Path, mut options: ReadOptions) -> Result<Self> {
        let spec = name.spec();
        let Form::Recordings(layout) = spec.form else {
            return Err(Error::InvalidConfig {
                field: "dataset",
                expected: "a set of recordings".into(),
                found: format!("`{name}`"),
            });
        };
        // Some tools unpack a set into a folder of its name in one of its name.
        let folder = spec.folder(&spec.folder(root));
        let (classes, samples) = match layout.files {
            RecordingFiles::Classes { classes, endings } => {
                (owned(classes), scan::known_classes(&folder, classes, endings)?)
            }
            RecordingFiles::Trials => (owned(&gesture::CLASSES), gesture::samples(&folder)?),
            RecordingFiles::Folders => scan::folders(&folder)?,
        };
        let Some(first) = samples.first() else {
            return Err(Error::NoRecordings {
                dataset: name.as_str(),
                path: folder,
                folders: spec.folders.join("`, `"),
            });
        };
        let [_, height, width] = spec.image;
        let side = |side: usize| u16::try_from(side).unwrap_or(u16::MAX);
        let published = SensorSize { width: side(width), height: side(height) };
        let size = match options.size {
            Some(size) => size,
            // Files of one's own say how large their sensor is.
            None if spec.train == 0 => {
                EventReader::open(first.place.file(), options.clone())?.size()
            }
            None => published,
        };
        if matches!(layout.files, RecordingFiles::Folders) {
            options.size = Some(size);
        }
        Ok(Self { name, layout, folder, size, options, classes, samples })
    }

    /// Which set it is.
    pub fn name(&self) -> DatasetName {
        self.name
    }

    /// The sensor of its recordings.
    pub fn size(&self) -> SensorSize {
        self.size
    }

    /// The sensor, as pictures stand upright on it.
    pub fn upright_size(&self) -> SensorSize {
        let SensorSize { width, height } = self.size;
        if self.layout.transposed { SensorSize { width: height, height: width } } else { self.size }
    }

    /// `true` if rows and columns of the files change places to turn pictures upright.
    pub fn is_transposed(&self) -> bool {
        self.layout.transposed
    }

    /// The rule by which they are split where none is named: the official one where there is one.
    pub fn default_split(&self) -> SplitRule {
        if self.samples.iter().all(|sample| sample.official.is_some()) {
            return SplitRule::Official;
        }
        match self.layout.split {
            DefaultSplit::LastPerClass(test) => SplitRule::LastPerClass { test },
            DefaultSplit::OneOf(of) => SplitRule::Random { of, seed: 0 },
            // Only a part of a set may lack its split.
            DefaultSplit::Official => SplitRule::Random { of: 10, seed: 0 },
        }
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

    /// `true` if there is none (never, once opened).
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
    pub fn official(&self, index: usize) -> Option<Split> {
        self.samples.get(index)?.official
    }

    /// Reads a recording. Those of CIFAR10-DVS are turned upright: rows and columns of the sensor
    /// change places, as in SpikingJelly.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`]; what reading the file reports.
    pub fn read(&self, index: usize) -> Result<Events> {
        Ok(self.read_noting(index)?.0)
    }

    /// Reads a recording as [`read`](Self::read) does, with what of it is damaged and left out
    /// ([`ReadOptions::on_damage`]).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_noting(&self, index: usize) -> Result<(Events, Damage)> {
        let sample =
            self.samples.get(index).ok_or(Error::IndexOutOfRange { index, count: self.len() })?;
        let (events, damage) = sample.place.read(&self.options)?;
        Ok((if self.layout.transposed { events.transposed() } else { events }, damage))
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
