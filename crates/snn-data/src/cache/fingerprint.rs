//! The name of a cache: a hash of all that its samples depend on.

use super::layout::VERSION;
use crate::{Error, Result};
use fs_err as fs;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Hash of all that the samples of a cache depend on: files, settings, and the version of the
/// format.
///
/// Files count with path, size and time of change; their content is not read. The first lines stay
/// readable in [`Cache::list`](super::Cache::list).
#[derive(Debug, Clone)]
pub struct Fingerprint {
    title: String,
    hash: Sha256,
}

impl Fingerprint {
    /// Begins with a name for people, as `cifar10-dvs, 10 frames by number`.
    pub fn new(title: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(VERSION.to_le_bytes());
        let mut fingerprint = Self { title: title.to_owned(), hash };
        fingerprint.part(title.as_bytes());
        fingerprint
    }

    /// Lengths are hashed as well, so that parts cannot run into each other.
    fn part(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Adds a setting, by name and value.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the value cannot be written as TOML.
    pub fn setting(mut self, name: &'static str, value: &impl Serialize) -> Result<Self> {
        let wrong = |found: String| Error::InvalidConfig {
            field: name,
            expected: "plain settings".into(),
            found,
        };
        let table = std::collections::BTreeMap::from([(name, value)]);
        let text = toml::to_string(&table).map_err(|error| wrong(error.to_string()))?;
        self.part(text.as_bytes());
        Ok(self)
    }

    /// Adds text that the samples depend on, as the name of each.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.part(text.as_bytes());
        self
    }

    /// The samples `indices` alone, in this order, of those that it is a hash of.
    #[must_use]
    pub fn subset(mut self, indices: &[usize]) -> Self {
        self.title = format!("{} of {}", indices.len(), self.title);
        for &index in indices {
            self.part(&(index as u64).to_le_bytes());
        }
        // The number ends the list, so that nothing added later reads as one more of it.
        self.part(&(indices.len() as u64).to_le_bytes());
        self
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it is not there.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path)?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.part(path.as_os_str().as_encoded_bytes());
        self.part(&metadata.len().to_le_bytes());
        self.part(&changed.as_nanos().to_le_bytes());
        Ok(self)
    }

    /// The name for people.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// 32 hexadecimal digits.
    pub fn key(&self) -> String {
        self.hash.clone().finalize().iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
