//! A whole set of simulated recordings on disk, in CIFAR10-DVS's layout and format.

use super::{Recorder, Simulation};
use crate::names::names;
use crate::pictures::Picture;
use crate::recordings::events::to_aedat2;
use crate::{Dataset, DatasetName, Error, Images, Result, Split};
use fs_err as fs;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The file that marks a folder of recordings as simulated, and says how they were.
pub const SIMULATED: &str = "simulated.json";
/// Version of the model of eq. S1 and S2: another one makes other recordings of the same settings.
const MODEL: u32 = 1;
/// Beginning of the names of files that are being written.
const PARTIAL: &str = ".partial-";

names! {
    /// Which parts of a set of pictures are simulated.
    pub enum SimulatedParts("parts") {
        /// Those to train on.
        Train = "train",
        /// Those to test on.
        Test = "test",
        /// Both, in folders `Train` and `Test`.
        Both = "both",
    }
}

/// A set of recordings of the pictures of another set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedSet {
    /// The pictures: a set in memory.
    pub dataset: DatasetName,
    /// Which of its parts.
    pub parts: SimulatedParts,
    /// Only the first so many pictures of each class of a part.
    pub per_class: Option<usize>,
    /// Camera, motion and seed.
    pub simulation: Simulation,
}

/// The content of [`SIMULATED`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    simulated: bool,
    by: String,
    model: u32,
    set: SimulatedSet,
    recordings: usize,
    /// SHA-256 of the pixels and labels of the pictures.
    pictures_sha256: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The folder.
    pub folder: PathBuf,
    /// Recordings in it.
    pub recordings: usize,
    /// Those that were made now; the others were there.
    pub made: usize,
    /// Events of those that were made now.
    pub events: u64,
}

/// One recording to make.
struct Job<'d> {
    images: &'d Images,
    part: Split,
    index: usize,
    path: PathBuf,
}

/// `true` if a folder of recordings says of itself that they were simulated.
pub fn is_simulated(folder: &Path) -> bool {
    folder.join(SIMULATED).is_file()
}

impl SimulatedSet {
    /// Makes the recordings that are not yet in `folder`, which is made if need be:
    /// `CLASS/SET_CLASS_INDEX.aedat` with the index of the picture in its part, and
    /// [`SIMULATED`]. Recordings of CIFAR-10 lie on their side, as those of CIFAR10-DVS, which
    /// [`Recordings`](crate::recordings::Recordings) turns upright; others are upright in the file.
    ///
    /// What is made is a function of this value and the pictures, and not of the
    /// number of threads. Each file is written under another name first, so that a process that is
    /// killed leaves whole files, and the next one goes on. `made` is called after each recording.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for settings out of range, or more recordings of a class than
    /// pictures; [`Error::Field`] if the folder holds something else; [`Error::Io`].
    pub fn write(
        &self,
        pictures: &Dataset,
        folder: &Path,
        made: &(dyn Fn() + Sync),
    ) -> Result<Summary> {
        if pictures.name != self.dataset {
            return Err(Error::InvalidConfig {
                field: "dataset",
                expected: format!("the pictures of {}", self.dataset),
                found: pictures.name.to_string(),
            });
        }
        let recorder = self.simulation.recorder()?;
        let jobs = self.jobs(pictures, folder)?;
        self.mark(&jobs, folder)?;
        for class in &pictures.classes {
            for part in self.folders() {
                fs::create_dir_all(folder.join(part).join(class))?;
            }
        }
        let missing: Vec<_> = jobs.iter().filter(|job| !job.path.is_file()).collect();
        let events = missing
            .par_iter()
            .map(|job| {
                let events = job.make(self, &recorder)?;
                made();
                Ok(events)
            })
            .sum::<Result<u64>>()?;
        let (recordings, made) = (jobs.len(), missing.len());
        Ok(Summary { folder: folder.to_owned(), recordings, made, events })
    }

    /// Recordings that [`write`](Self::write) has still to make.
    ///
    /// # Errors
    /// As [`write`](Self::write) for the number of recordings of a class.
    pub fn missing(&self, pictures: &Dataset, folder: &Path) -> Result<usize> {
        Ok(self.jobs(pictures, folder)?.iter().filter(|job| !job.path.is_file()).count())
    }

    fn folders(&self) -> &'static [&'static str] {
        match self.parts {
            SimulatedParts::Train | SimulatedParts::Test => &[""],
            SimulatedParts::Both => &["Train", "Test"],
        }
    }

    fn jobs<'d>(&self, pictures: &'d Dataset, folder: &Path) -> Result<Vec<Job<'d>>> {
        let (train, test) = ((Split::Train, &pictures.train), (Split::Test, &pictures.test));
        let parts = match self.parts {
            SimulatedParts::Train => vec![train],
            SimulatedParts::Test => vec![test],
            SimulatedParts::Both => vec![train, test],
        };
        let prefix = self.dataset.as_str().replace('-', "");
        let mut jobs = Vec::new();
        for ((part, images), below) in parts.into_iter().zip(self.folders()) {
            let mut counts = vec![0; pictures.classes.len()];
            for (index, &label) in images.labels().iter().enumerate() {
                let count = &mut counts[usize::from(label)];
                if self.per_class.is_some_and(|most| *count >= most) {
                    continue;
                }
                *count += 1;
                let class = &pictures.classes[usize::from(label)];
                let path =
                    folder.join(below).join(class).join(format!("{prefix}_{class}_{index}.aedat"));
                jobs.push(Job { images, part, index, path });
            }
            let fewest = counts.iter().copied().enumerate().min_by_key(|&(_, count)| count);
            let (Some(most), Some((class, count))) = (self.per_class, fewest) else { continue };
            if most == 0 || count < most {
                return Err(Error::InvalidConfig {
                    field: "per_class",
                    expected: format!("1 to {count}, the pictures of {}", pictures.classes[class]),
                    found: most.to_string(),
                });
            }
        }
        Ok(jobs)
    }

    /// Marks the folder, or makes sure that its mark is the same.
    fn mark(&self, jobs: &[Job<'_>], folder: &Path) -> Result<()> {
        let mut hash = Sha256::new();
        for job in jobs {
            hash.update(job.images.image(job.index).unwrap_or_default());
            hash.update(job.images.labels()[job.index].to_le_bytes());
        }
        let mark = Mark {
            simulated: true,
            by: concat!("snn-data ", env!("CARGO_PKG_VERSION")).into(),
            model: MODEL,
            set: self.clone(),
            recordings: jobs.len(),
            pictures_sha256: hash.finalize().iter().fold(String::new(), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            }),
        };
        let path = folder.join(SIMULATED);
        let refused = |expected: &str, found: String| {
            Err(Error::Field {
                path: path.clone(),
                field: "settings",
                expected: expected.into(),
                found,
            })
        };
        if path.is_file() {
            let found: Result<Mark, _> = serde_json::from_str(&fs::read_to_string(&path)?);
            // Versions of the program that share a model make the same recordings.
            return match found.map(|found| Mark { by: mark.by.clone(), ..found }) {
                Ok(found) if found == mark => Ok(()),
                Ok(_) => refused(
                    "those of this call, to go on with the recordings of the folder; name another \
                     folder, or remove this one",
                    "others".into(),
                ),
                Err(error) => refused("the settings of a simulation", error.to_string()),
            };
        }
        if folder.is_dir() && fs::read_dir(folder)?.next().is_some() {
            return Err(Error::Field {
                path: folder.to_owned(),
                field: "folder",
                expected: format!("none, an empty one, or one with `{SIMULATED}`"),
                found: "other files".into(),
            });
        }
        fs::create_dir_all(folder)?;
        let text = serde_json::to_string_pretty(&mark).map_err(std::io::Error::from)?;
        write(&path, format!("{text}\n").as_bytes())
    }
}

impl Job<'_> {
    /// Makes a recording, and returns the number of its events.
    fn make(&self, set: &SimulatedSet, recorder: &Recorder) -> Result<u64> {
        let (part, high) = match self.part {
            Split::Train => ("train", 0),
            Split::Test => ("test", 1_u64 << 32),
        };
        let picture = picture(self.images, self.index)?;
        let events = recorder.record(&picture, high | self.index as u64)?;
        // On the sensor of CIFAR10-DVS pictures lie on their side, and who reads them turns them.
        let events = if set.dataset == DatasetName::Cifar10 { events.transposed() } else { events };
        let Simulation { motion, seed, .. } = &set.simulation;
        let comment = format!(
            "simulated, not recorded: picture {} of {} ({part}), motion {}, seed {seed}; \
             {SIMULATED} has all settings",
            self.index,
            set.dataset,
            motion.name(),
        );
        write(&self.path, &to_aedat2(&events, &comment)?)?;
        Ok(events.len() as u64)
    }
}

/// Writes a file under another name, and gives it its own when it is whole.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!("{PARTIAL}{name}"));
    fs::write(&partial, bytes)?;
    Ok(fs::rename(&partial, path)?)
}

/// An image of three channels, or of the first one in grey.
fn picture(images: &Images, index: usize) -> Result<Picture> {
    let [channels, height, width] = images.image_shape();
    let image = images.image(index).ok_or(Error::IndexOutOfRange { index, count: images.len() })?;
    let area = height * width;
    let channel = |colour: usize| if channels == 3 { colour * area } else { 0 };
    let pixels =
        (0..area).flat_map(|at| [0, 1, 2].map(|colour| image[channel(colour) + at])).collect();
    Picture::new(width, height, pixels)
}
