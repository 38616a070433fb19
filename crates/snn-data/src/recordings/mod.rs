//! Recordings of event cameras: their formats, frames of them, their augmentation, sets of them
//! as sources, and simulation.

pub mod augment;
pub mod events;
pub mod frames;
mod sets;
#[cfg(feature = "pictures")]
pub mod simulate;

pub use sets::{RecordingSource, RecordingSplit, Recordings, SplitFile, SplitRule};
