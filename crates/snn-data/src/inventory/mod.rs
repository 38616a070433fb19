//! Presence and soundness of every data set, and contents of files.

mod check;
#[cfg(all(feature = "pictures", feature = "recordings", feature = "cache"))]
mod info;
mod list;
mod official;

pub use check::{FileReport, FileStatus, Report, check};
#[cfg(all(feature = "pictures", feature = "recordings", feature = "cache"))]
pub use info::{Content, FileInfo, RecordingInfo};
pub use list::{Listing, Part, Presence, list};
pub use official::OfficialFile;
