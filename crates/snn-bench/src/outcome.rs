//! How a command ended.

/// What a command found out; errors of usage, input or I/O travel as `Err`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It holds.
    Holds,
    /// A check failed.
    Failed,
}
