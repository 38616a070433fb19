//! Files that hold others, and names and lists in files.

pub(crate) mod enclosed;
pub(crate) mod tar;
pub(crate) mod text;
