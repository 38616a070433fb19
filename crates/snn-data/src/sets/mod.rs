//! The data sets: facts, readers, and one call that opens any of them.

pub(crate) mod cifar;
mod dataset;
pub(crate) mod idx;
mod open;
pub mod shapes;
mod spec;

pub use dataset::{Dataset, ROOT_VARIABLE, default_root};
pub use open::{CacheConfig, FrameConfig, PictureConfig, SliceBy, SourceConfig, Sources, open};
pub use spec::{
    DatasetName, DatasetSpec, DefaultSplit, Form, PictureLayout, RecordingFiles, RecordingLayout,
};
