//! Recordings of event cameras: their formats, frames of them, their augmentation, and sets of them
//! as sources.

pub mod augment;
pub mod events;
pub mod frames;
mod sets;

pub use sets::{RecordingSource, RecordingSplit, Recordings, SplitFile, SplitRule};
