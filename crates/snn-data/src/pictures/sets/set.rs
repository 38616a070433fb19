//! What a set of picture files is.

use crate::{Error, Result};
use std::path::PathBuf;

/// Where the bytes of a picture are; there are more than a million of these.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file below the root, folders separated by `/`.
    File(Box<str>),
    /// Bytes of an archive.
    Tar { archive: u32, start: u64, length: u32, name: Box<str> },
}

/// Labelled picture files, decoded on request.
///
/// ```no_run
/// use snn_data::pictures::Pictures;
/// let train = Pictures::imagenet("/data/imagenet".as_ref(), snn_data::Split::Train)?;
/// let picture = train.read(0, Default::default())?;
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pictures {
    pub(super) root: PathBuf,
    pub(super) archives: Vec<PathBuf>,
    pub(super) classes: Vec<String>,
    pub(super) places: Vec<Place>,
    pub(super) labels: Vec<u16>,
}

impl Pictures {
    /// Checks that there is something, and that labels fit.
    pub(super) fn checked(self) -> Result<Self> {
        let field = if self.classes.is_empty() || self.classes.len() > usize::from(u16::MAX) {
            Some(("classes", "one folder a class, at most 65,535", self.classes.len()))
        } else if self.places.is_empty() {
            Some(("pictures", "files .jpg, .jpeg or .png in the folders of the classes", 0))
        } else {
            None
        };
        match field {
            None => Ok(self),
            Some((field, expected, found)) => Err(Error::Field {
                path: self.root,
                field,
                expected: expected.into(),
                found: found.to_string(),
            }),
        }
    }
}
