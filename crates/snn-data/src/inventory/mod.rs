//! Presence and soundness of every data set, and contents of files.

mod check;
mod info;
mod list;

pub use check::{FileReport, FileStatus, OfficialFile, Report, check};
pub use info::{Content, FileInfo, RecordingInfo};
pub use list::{Listing, Part, Presence, list};
