//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of NIR graphs, their files and their translation. Each variant names the place, what was
/// expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === Files ===
    /// Something in a file; the message names the path first.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<Error>,
    },
    /// Bytes that are no HDF5 file, or a part of one that cannot be read.
    #[error("`{place}`: {reason}")]
    Container {
        /// Path inside of the file.
        place: String,
        /// What was expected and found.
        reason: String,
    },
    /// The operating system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    // === Graphs ===
    /// A node lacks a field, has one too many, or one of a wrong kind, shape or value.
    #[error("node `{node}` ({op}): {field} must be {expected}, found {found}")]
    Field {
        /// The node, sub-graphs before it with dots between.
        node: String,
        /// Its type in NIR.
        op: &'static str,
        /// The field.
        field: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A node that cannot be, for a reason that is no single field's.
    #[error("node `{node}`: {reason}")]
    Node {
        /// The node.
        node: String,
        /// Why, and what to do.
        reason: String,
    },
    /// An edge that cannot be.
    #[error("edge `{from}` → `{to}`: {reason}")]
    Edge {
        /// Its source.
        from: String,
        /// Its target.
        to: String,
        /// Why.
        reason: String,
    },
    /// The graph as a whole.
    #[error("NIR graph: {0}")]
    Graph(String),

    // === Translation ===
    /// NIR has no node for this, or our graph has none: the message says which and what to do.
    #[error("node `{node}` cannot be translated: {reason}")]
    Refused {
        /// The node.
        node: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The model that was given or made is not valid.
    #[error(transparent)]
    Model(#[from] snn_ir::Error),
}

impl Error {
    pub(crate) fn node(node: &str, reason: impl Into<String>) -> Self {
        Self::Node { node: node.into(), reason: reason.into() }
    }

    pub(crate) fn refused(node: &str, reason: impl Into<String>) -> Self {
        Self::Refused { node: node.into(), reason: reason.into() }
    }

    pub(crate) fn container(place: &str, reason: impl Into<String>) -> Self {
        Self::Container { place: place.into(), reason: reason.into() }
    }

    pub(crate) fn within(self, path: &Path) -> Self {
        match self {
            // These name a path already.
            Self::File { .. } | Self::Io(_) => self,
            other => Self::File { path: path.to_path_buf(), source: Box::new(other) },
        }
    }
}
