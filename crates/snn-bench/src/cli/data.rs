//! Arguments of `data`.

use super::DataRoot;
use clap::{Args, Subcommand, ValueEnum};
use snn_data::recordings::events::{ArrayNames, Chip, EventFormat, ReadOptions, SensorSize};
use snn_data::recordings::simulate::{Camera, Motion, SimulatedParts, SimulatedSet, Simulation};
use snn_data::{DatasetName, OnDamage};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Say what is there of every data set, in which form, and what is missing.
    #[command(
        after_help = "JSON: `root`, `sets` (each `dataset`, `presence`: `complete`, `incomplete`, \
                        `missing`, `computed`; `form`, `path`, `classes`, `parts` with `expected` \
                        and \
                        `found`, `files` with official sizes and checksums)."
    )]
    List {
        #[command(flatten)]
        data: DataRoot,
    },
    /// Compare the files of the data sets with the official ones: sizes, checksums, numbers of
    /// samples.
    #[command(
        after_help = "JSON: `root`, `files` (each `dataset`, `path`, `status`: `ok`, `ok_md5`, \
                        `ok_size_only`, `missing`, `wrong_size`, `wrong_checksum`, `unreadable`), \
                        `parts` \
                        (what is counted: `dataset`, `part`, `path`, `expected`, `found`)."
    )]
    Check {
        /// Only this data set.
        dataset: Option<DatasetName>,
        #[command(flatten)]
        data: DataRoot,
    },
    /// Say what is in a file: a recording, a picture, NPZ, a file of CIFAR or MNIST, an archive, a
    /// cache.
    #[command(
        after_help = "JSON: `path`, `bytes`, `kind`; of a recording `format`, `sensor`, `events`, \
                      `on`, \
                        `off`, `span`, `sorted`, `skipped`, `damage` (`outside`, `cut`, \
                        `first`); of a picture `format`, `width`, \
                        `height`, \
                        `colour`, `orientation`, `damage`."
    )]
    Info {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        recording: Recording,
    },
    /// Compute recordings of an event camera from pictures, in CIFAR10-DVS's layout and format.
    ///
    /// The camera and the motion of the picture before it are a stated model (the page `Data` of
    /// the book has its equations); `simulated.json` beside the recordings has all settings. The
    /// same settings make the same bytes on any number of threads. A command that was interrupted
    /// goes on where it ended.
    #[command(after_help = "JSON: `folder`, `recordings`, `made`, `events` (of those made now), \
                        `seconds`.")]
    Simulate(Simulate),
    /// Look after caches of samples.
    Cache {
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Draw a contact sheet: images as stored and augmented, recordings as frames with ON and OFF
    /// in two colours.
    #[command(
        after_help = "JSON: `out`, `width`, `height`, `source`, `available`, `seed`, `augment`, \
                      `samples` \
                        (each `index`, `name`, `class`, `tiles`, `events`)."
    )]
    Show(Show),
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The pictures: `cifar-10`, `cifar-100`, `mnist`, `fashion-mnist` or `shapes10`.
    pub(crate) dataset: DatasetName,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// The folder to write: a folder of recordings for each class.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Which part of the pictures; `both` makes folders `Train` and `Test`.
    #[arg(long, default_value = "train", value_name = "train|test|both")]
    pub(crate) split: SimulatedParts,
    /// Only the first N pictures of each class of a part; 1000 of CIFAR-10 are as many as
    /// CIFAR10-DVS has [default: all].
    #[arg(long, value_name = "N")]
    pub(crate) per_class: Option<usize>,
    /// Motion of the picture: smooth closed loops as of CIFAR10-DVS, or saccades as of N-MNIST.
    #[arg(long, value_enum, default_value = "loops")]
    pub(crate) motion: MotionName,
    /// Size of the motion in pixels of the sensor: radius of the loops, or width of the triangle of
    /// the saccades [default: 4 or 16].
    #[arg(long, value_name = "PIXELS")]
    pub(crate) reach: Option<f64>,
    /// Seed of thresholds and noise.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Mean threshold of a pixel, a difference of logarithms of light; lower ones give more events.
    #[arg(long, default_value_t = Camera::default().threshold_on)]
    pub(crate) threshold: f64,
    /// Standard deviation of the thresholds, as a share of the mean.
    #[arg(long, default_value_t = Camera::default().threshold_spread, value_name = "SHARE")]
    pub(crate) threshold_spread: f64,
    /// Refractory period of a pixel in µs.
    #[arg(long, default_value_t = Camera::default().refractory_us, value_name = "MICROS")]
    pub(crate) refractory: f64,
    /// ON events a second that a pixel leaks.
    #[arg(long, default_value_t = Camera::default().leak_hz, value_name = "HZ")]
    pub(crate) leak: f64,
    /// Events a second and pixel that are noise.
    #[arg(long, default_value_t = Camera::default().noise_hz, value_name = "HZ")]
    pub(crate) noise: f64,
}

/// Motions as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MotionName {
    /// Six closed loops of 200 ms.
    Loops,
    /// Three saccades of 100 ms along a triangle.
    Saccades,
}

impl Simulate {
    /// The same for the simulation.
    pub(crate) fn set(&self) -> SimulatedSet {
        let motion = match (self.motion, self.reach) {
            (MotionName::Loops, None) => Motion::LOOPS,
            (MotionName::Saccades, None) => Motion::SACCADES,
            (MotionName::Loops, Some(radius)) => Motion::LOOPS.with_reach(radius),
            (MotionName::Saccades, Some(reach)) => Motion::SACCADES.with_reach(reach),
        };
        let camera = Camera {
            threshold_on: self.threshold,
            threshold_off: self.threshold,
            threshold_spread: self.threshold_spread,
            refractory_us: self.refractory,
            leak_hz: self.leak,
            noise_hz: self.noise,
            ..Camera::default()
        };
        SimulatedSet {
            dataset: self.dataset,
            parts: self.split,
            per_class: self.per_class,
            simulation: Simulation { camera, motion, seed: self.seed },
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Build the caches that a training reads, before it: the test samples, those that are held out
    /// and the frames of recordings. The config must have `data.cache`.
    #[command(after_help = "JSON: `folder`, `built`, `seconds`, `caches` (each `key`, `title`, \
                        `bytes`, `complete`).")]
    Build(CacheBuild),
    /// List the caches, the one that was not used for longest first.
    #[command(after_help = "JSON: `folder`, `caches` (each `key`, `title`, `bytes`, `complete`).")]
    List(CacheFolder),
    /// Remove all caches but those that are being built.
    #[command(after_help = "JSON: `folder`, `removed`, `freed_bytes`, `kept`.")]
    Clear(CacheFolder),
}

#[derive(Debug, Args)]
pub(crate) struct CacheBuild {
    /// The config of the training, a TOML file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// Set a key of the config, as `'data.cache={ folder = "cache" }'`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CacheFolder {
    /// The folder of caches [default: `cache` in the data root].
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: DataRoot,
}

/// Facts that a recording does not contain.
#[derive(Debug, Args)]
pub(crate) struct Recording {
    /// Sensor of an AEDAT 2.0 recording, instead of what it says: dvs128, davis240, davis346 or
    /// davis640.
    #[arg(long)]
    sensor: Option<Chip>,
    /// Size of the sensor of Prophesee, NPZ, AEDAT 3.1 and N-MNIST files, instead of what they say.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<SensorSize>,
    /// Format of recordings whose first bytes and extension do not say it: aedat2, aedat3, aedat4,
    /// n-mnist, dat, evt2, evt2.1, evt3 or npz.
    #[arg(long)]
    format: Option<EventFormat>,
    /// Names of the arrays or fields of NPZ files, where they are not the usual ones:
    /// `t=NAME,x=NAME,y=NAME,p=NAME`, or some of these.
    #[arg(long, value_name = "PART=NAME,…")]
    arrays: Option<ArrayNames>,
    /// What becomes of events outside the sensor and of cut last records: `fail`, or `skip`, which
    /// leaves them out and counts them.
    #[arg(long, value_enum, default_value = "fail")]
    on_damage: OnDamageName,
}

/// Treatment of damage as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDamageName {
    /// An error.
    Fail,
    /// Left out and counted.
    Skip,
}

impl Recording {
    /// The same for the reader.
    pub(crate) fn options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format,
            chip: self.sensor,
            size: self.size,
            arrays: self.arrays.clone().unwrap_or_default(),
            on_damage: match self.on_damage {
                OnDamageName::Fail => OnDamage::Fail,
                OnDamageName::Skip => OnDamage::Skip,
            },
            ..ReadOptions::default()
        }
    }
}

/// A recording for `infer`.
#[derive(Debug, Args)]
pub(crate) struct InferRecording {
    /// One recording of an event camera instead, in any format that `data info` knows; `-` for
    /// stdin.
    #[arg(id = "recording", value_name = "RECORDING")]
    #[arg(conflicts_with_all = ["dataset", "data", "limit", "image"])]
    pub(crate) path: Option<PathBuf>,
    /// Run frame by frame as events arrive, and print the logits after each.
    #[arg(long, requires = "recording", conflicts_with = "counts")]
    pub(crate) stream: bool,
    /// With --stream: a frame has the events of N µs [default: as many frames as the model has
    /// macro-steps, of the whole file].
    #[arg(long, value_name = "N", requires = "stream", conflicts_with = "window_events")]
    pub(crate) window_us: Option<NonZeroU64>,
    /// With --stream: a frame has N events.
    #[arg(long, value_name = "N", requires = "stream")]
    pub(crate) window_events: Option<NonZeroUsize>,
    /// With --stream: the network goes back to rest after N frames, 0 for never [default: after as
    /// many as the model has macro-steps].
    #[arg(long, value_name = "N", requires = "stream")]
    pub(crate) restart_after: Option<u64>,
    /// How a whole recording is cut into frames [default: as the model was trained].
    #[arg(long, value_enum, requires = "recording")]
    pub(crate) slicing: Option<SlicingName>,
    #[command(flatten)]
    pub(crate) facts: Recording,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A data set by its name, a picture, a recording, or a folder of them (its folders are the
    /// classes then).
    #[arg(value_name = "SET|FILE|FOLDER")]
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) data: DataRoot,
    /// The PNG file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    /// Samples to show, chosen at random by the seed.
    #[arg(long, default_value = "20", value_name = "N")]
    pub(crate) limit: NonZeroUsize,
    /// Show this sample; may be given more than once.
    #[arg(long, value_name = "I", conflicts_with = "limit")]
    pub(crate) index: Vec<usize>,
    /// Which part of a set [default: train; of recordings all].
    #[arg(long, value_enum)]
    pub(crate) split: Option<SplitName>,
    /// The split of a set of recordings, a file as in datasets/splits.
    #[arg(long, value_name = "FILE")]
    pub(crate) split_file: Option<PathBuf>,
    /// Chooses the samples, and what augmentation draws.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Augment images or recordings, in this order; separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) augment: Vec<AugmentName>,
    /// Augmented views of each sample, beside the sample as stored.
    #[arg(long, default_value_t = 5, requires = "augment")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) views: u16,
    /// Frames of each recording.
    #[arg(long, default_value = "8", value_name = "N")]
    pub(crate) frames: NonZeroUsize,
    /// How a recording is cut into frames.
    #[arg(long, value_enum, default_value = "time")]
    pub(crate) slicing: SlicingName,
    /// Turn pictures as their EXIF data say; as training and evaluation, which `pictures.exif` of a
    /// config changes, do not.
    #[arg(long)]
    pub(crate) exif: bool,
    /// Largest side of a picture on the sheet, in pixels.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(8..=1024))]
    pub(crate) tile: u16,
    #[command(flatten)]
    pub(crate) recording: Recording,
}

/// Parts of a data set as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    /// To train on.
    Train,
    /// To report accuracy on; `val` of picture sets.
    Test,
}

impl From<SplitName> for snn_data::Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Self::Train,
            SplitName::Test => Self::Test,
        }
    }
}

/// How recordings are cut, as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlicingName {
    /// Frames of equal duration.
    Time,
    /// Frames of equal numbers of events.
    Number,
}

/// Augmentations as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AugmentName {
    /// A random part, resized (224 pixels of picture files).
    RandomResizedCrop,
    /// A random shift by up to an eighth of the side.
    Crop,
    /// Left becomes right in half of the cases; of recordings too.
    Flip,
    /// Blanks a square of half the side.
    Cutout,
    /// Blanks a random rectangle in half of the cases.
    Erasing,
    /// AutoAugment's policy for CIFAR.
    AutoAugmentCifar,
    /// AutoAugment's policy for ImageNet.
    AutoAugmentImagenet,
    /// AutoAugment's policy for SVHN.
    AutoAugmentSvhn,
    /// RandAugment: two operations of strength 9.
    RandAugment,
    /// TrivialAugment.
    TrivialAugment,
    /// Each image blended with another one on the sheet.
    Mixup,
    /// A box of each image replaced by that of another one on the sheet.
    Cutmix,
    /// Recordings: top becomes bottom in half of the cases.
    FlipRows,
    /// Recordings: a shift by up to an eighth of the sensor, what leaves it comes back on the other
    /// side.
    Roll,
    /// Recordings: a turn by up to 15 degrees.
    Rotate,
    /// Recordings: a shear by up to 0.2.
    Shear,
    /// Recordings: up to half of the events are left out.
    DropEvents,
    /// Recordings: the events of up to half of the time are left out.
    DropTime,
    /// Recordings: the events of a box of up to half of width and height are left out.
    DropArea,
    /// Recordings: times move by a millisecond, normally distributed.
    JitterTimes,
    /// Recordings: neuromorphic data augmentation, strength 1.
    Nda,
}

impl AugmentName {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RandomResizedCrop => "random-resized-crop",
            Self::Crop => "crop",
            Self::Flip => "flip",
            Self::Cutout => "cutout",
            Self::Erasing => "erasing",
            Self::AutoAugmentCifar => "auto-augment-cifar",
            Self::AutoAugmentImagenet => "auto-augment-imagenet",
            Self::AutoAugmentSvhn => "auto-augment-svhn",
            Self::RandAugment => "rand-augment",
            Self::TrivialAugment => "trivial-augment",
            Self::Mixup => "mixup",
            Self::Cutmix => "cutmix",
            Self::FlipRows => "flip-rows",
            Self::Roll => "roll",
            Self::Rotate => "rotate",
            Self::Shear => "shear",
            Self::DropEvents => "drop-events",
            Self::DropTime => "drop-time",
            Self::DropArea => "drop-area",
            Self::JitterTimes => "jitter-times",
            Self::Nda => "nda",
        }
    }
}
