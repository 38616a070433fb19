//! The data sets: facts, readers, and one call that opens any of them.

pub(crate) mod cifar;
mod dataset;
#[cfg(all(feature = "cache", feature = "pictures"))]
mod held_out;
pub(crate) mod idx;
mod open;
pub mod shapes;
mod spec;

pub use dataset::{Dataset, ROOT_VARIABLE, default_root};
#[cfg(feature = "cache")]
pub use open::CacheConfig;
#[cfg(feature = "pictures")]
pub use open::PictureConfig;
#[cfg(feature = "recordings")]
pub use open::{FrameConfig, SliceBy, StoredFraming};
pub use open::{SourceConfig, Sources, open};
pub use spec::{
    DatasetName, DatasetSpec, DefaultSplit, Form, PictureLayout, RecordingFiles, RecordingLayout,
};
