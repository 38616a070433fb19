//! What is there of every data set, whether it is whole, and what is in a file.

mod check;
#[cfg(all(feature = "pictures", feature = "recordings", feature = "cache"))]
mod info;
mod list;

pub use check::{FileReport, FileStatus, OfficialFile, Report, check};
#[cfg(all(feature = "pictures", feature = "recordings", feature = "cache"))]
pub use info::{Content, FileInfo, RecordingInfo};
pub use list::{Listing, Part, Presence, list};
