#![doc = include_str!("../README.md")]

mod augment;
#[cfg(feature = "cache")]
pub mod cache;
mod damage;
mod error;
mod files;
mod images;
pub mod inventory;
mod loader;
mod names;
#[cfg(feature = "pictures")]
pub mod pictures;
#[cfg(feature = "recordings")]
pub mod recordings;
mod sample;
mod sets;
mod source;
mod statistics;

pub use augment::{
    Augment, AugmentPolicy, Border, Flip, RandomErasing, Transform, auto_augment, crop,
    crop_reflected, cut_out, flip_horizontal,
};
pub use damage::OnDamage;
pub use error::{Error, Result};
pub use images::{Images, Split};
pub use loader::{
    Batch, BatchTransform, Epoch, EventMix, GAUSSIANS, HoldOut, LastBatch, Loader, LoaderConfig,
    MAX_ALPHA, Mix, Mixture, Order, SampleRng, Samples, Targets, part_of_batch, split_holdout,
};
pub use sample::{SampleMut, SampleShape};
#[cfg(feature = "cache")]
pub use sets::CacheConfig;
#[cfg(feature = "pictures")]
pub use sets::PictureConfig;
pub use sets::cifar::{CIFAR10, CIFAR100, CifarFiles, CifarForm, CifarLayout, CifarStored, Pickle};
pub use sets::idx::{FASHION_MNIST, IdxLayout, MNIST, read_idx};
pub use sets::{
    Dataset, DatasetName, DatasetSpec, DefaultSplit, Form, PictureLayout, ROOT_VARIABLE,
    RecordingFiles, RecordingLayout, SourceConfig, Sources, default_root, open, shapes,
};
#[cfg(feature = "recordings")]
pub use sets::{FrameConfig, SliceBy, StoredFraming};
pub use source::{Source, Subset};
pub use statistics::ChannelStatistics;

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/data.md")]
    mod data {}
}
