//! What is there of every data set, whether it is whole, and what is in a file.

mod check;
mod info;
mod list;

pub use check::{FileReport, FileStatus, OfficialFile, Report, check};
pub use info::{Content, FileInfo, RecordingInfo};
pub use list::{Listing, Part, Presence, list};
