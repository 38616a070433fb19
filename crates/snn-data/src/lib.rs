#![doc = include_str!("../README.md")]

mod augment;
pub mod cache;
mod catalog;
mod check;
mod cifar;
mod dataset;
mod enclosed;
mod error;
pub mod event_augment;
pub mod events;
pub mod frames;
mod idx;
pub mod image;
mod images;
pub mod info;
mod loader;
mod name;
pub mod recordings;
mod sample;
pub mod shapes;
mod source;
mod statistics;
mod tar;
mod text;
pub mod vision;

pub use augment::{
    Augment, AugmentPolicy, Border, Flip, RandomErasing, Transform, auto_augment, crop,
    crop_reflected, cut_out, flip_horizontal,
};
pub use catalog::{Listing, Part, Presence, SetName, list};
pub use check::{FileReport, FileStatus, OfficialFile, Report, check};
pub use cifar::{CIFAR10, CIFAR100, CifarFiles, CifarForm, CifarLayout, CifarStored, Pickle};
pub use dataset::{
    CIFAR10_MEAN_U8, CIFAR10_STD, CIFAR100_MEAN_U8, CIFAR100_STD, Dataset, FASHION_MNIST_MEAN_U8,
    FASHION_MNIST_STD, MNIST_MEAN_U8, MNIST_STD, ROOT_VARIABLE, default_root,
};
pub use error::{Error, Result};
pub use idx::{FASHION_MNIST, IdxLayout, MNIST, read_idx};
pub use images::{Images, Split};
pub use loader::{
    Batch, BatchTransform, Epoch, EventMix, GAUSSIANS, HoldOut, LastBatch, Loader, LoaderConfig,
    MAX_ALPHA, Mix, Mixture, Order, SampleRng, Samples, Targets, split_holdout,
};
pub use name::DatasetName;
pub use sample::{SampleMut, SampleShape};
pub use source::{Source, Subset};
pub use statistics::ChannelStatistics;

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/data.md")]
    mod data {}
}
