//! How a command ended.

/// Outcome of a command; errors of usage, input or I/O travel as `Err`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The check holds.
    Holds,
    /// A check failed.
    Failed,
}
