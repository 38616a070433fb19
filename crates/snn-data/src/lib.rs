#![doc = include_str!("../README.md")]

mod augment;
pub mod cache;
mod catalog;
mod check;
mod cifar;
mod dataset;
mod enclosed;
mod epoch;
mod error;
pub mod event_augment;
pub mod events;
pub mod frames;
mod holdout;
mod idx;
pub mod image;
mod images;
pub mod info;
mod loader;
mod mix;
mod name;
pub mod policy;
pub mod recordings;
mod rng;
pub mod shapes;
mod source;
mod statistics;
mod tar;
mod text;
pub mod vision;

pub use augment::{Augment, Flip, Transform, crop, cut_out, flip_horizontal};
pub use catalog::{Listing, Part, Presence, SetName, list};
pub use check::{FileReport, FileStatus, OfficialFile, Report, check};
pub use cifar::{CIFAR10, CIFAR100, CifarFiles, CifarForm, CifarLayout, CifarStored, Pickle};
pub use dataset::{
    CIFAR10_MEAN_U8, CIFAR10_STD, CIFAR100_MEAN_U8, CIFAR100_STD, Dataset, FASHION_MNIST_MEAN_U8,
    FASHION_MNIST_STD, MNIST_MEAN_U8, MNIST_STD, ROOT_VARIABLE, default_root,
};
pub use epoch::Epoch;
pub use error::{Error, Result};
pub use holdout::{HoldOut, split_holdout};
pub use idx::{FASHION_MNIST, IdxLayout, MNIST, read_idx};
pub use images::{Images, Split};
pub use loader::{Batch, LastBatch, Loader, LoaderConfig, Order};
pub use mix::{MAX_ALPHA, Mix, Mixture};
pub use name::DatasetName;
pub use rng::SampleRng;
pub use source::Source;
pub use statistics::ChannelStatistics;

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/data.md")]
    mod data {}
}
