#![doc = include_str!("../README.md")]

mod augment;
mod check;
mod cifar;
mod dataset;
mod epoch;
mod error;
mod holdout;
mod images;
mod loader;
mod name;
mod rng;
pub mod shapes;
mod statistics;

pub use augment::{Augment, Flip, Transform, crop, flip_horizontal};
pub use check::{FileReport, FileStatus, Report, check};
pub use cifar::{CIFAR10, CIFAR100, CifarLayout};
pub use dataset::{CIFAR10_MEAN_U8, CIFAR10_STD, CIFAR100_MEAN_U8, CIFAR100_STD, Dataset, ROOT_VARIABLE, default_root};
pub use epoch::Epoch;
pub use error::{Error, Result};
pub use holdout::{HoldOut, split_holdout};
pub use images::{Images, Split};
pub use loader::{Batch, LastBatch, Loader, LoaderConfig, Order};
pub use name::DatasetName;
pub use rng::SampleRng;
pub use statistics::ChannelStatistics;

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/data.md")]
    mod data {}
}
