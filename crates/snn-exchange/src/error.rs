//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Bytes of a message about a file at most: enough for a list of names.
const MAX_MESSAGE: usize = 1 << 11;

/// Errors of reading and writing the networks of other frameworks. Each variant names the place,
/// what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that are no file of the format, or a part of one.
    #[error("{0}")]
    Bytes(String),
    /// A file is not there, damaged or foreign.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Nodes that cannot be taken over, all of them at once.
    #[error("{} cannot be taken over:{}", count(.0.len()), list(.0))]
    Refused(Vec<Refusal>),
    /// Tensors and network do not fit.
    #[error("{0}")]
    Match(String),
    /// An option does not fit the network.
    #[error("option {option}: expected {expected}, found {found}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What fits.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The network as this project would have it is not valid.
    #[error(transparent)]
    Network(#[from] snn_ir::Error),
    /// The operating system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// An error of this file; control characters of the reason are escaped, as it may quote the
    /// file, and it ends where no screen has room.
    pub(crate) fn file(path: &Path, reason: &str) -> Self {
        Self::File { path: path.to_path_buf(), reason: printable(reason) }
    }
}

/// The beginning of a text that may come from a file, without control characters.
pub(crate) fn printable(message: &str) -> String {
    snn_ir::printable(message, MAX_MESSAGE)
}

/// One node that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the node in its own file.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Why, and what to do.
    pub reason: String,
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "a node".into() } else { format!("{nodes} nodes") }
}

fn list(refusals: &[Refusal]) -> String {
    let line = |r: &Refusal| format!("\n  `{}` ({}): {}", r.node, r.operator, r.reason);
    refusals.iter().map(line).collect()
}
