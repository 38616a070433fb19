//! Errors of this crate. Nothing in it panics: every call into libtorch reports its error.

/// Name of this interpreter in reports and messages.
pub(crate) const NAME: &str = "libtorch";

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors on tensors; each variant names the place, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model or its input is not valid.
    #[error(transparent)]
    Model(#[from] snn_ir::Error),
    /// libtorch refused an operation; the first line of its message.
    #[error("libtorch: {0}")]
    Torch(String),
    /// A tensor has the wrong shape.
    #[error("{what}: expected shape {expected}, found {found:?}")]
    Shape {
        /// The tensor.
        what: &'static str,
        /// The shape that it must have.
        expected: String,
        /// The shape that it has.
        found: Vec<i64>,
    },
    /// An argument is outside its range.
    #[error("{what} must be {expected}, found {found}")]
    Argument {
        /// The argument.
        what: &'static str,
        /// The values that it may have.
        expected: String,
        /// The value that it has.
        found: String,
    },
    /// Another replica of the network ([`Ranks`](crate::Ranks)) failed, or computes another graph.
    #[error("a replica failed: {0}")]
    Replica(String),
    /// The processes of a group ([`ProcessRank`](crate::ProcessRank)) do not come together.
    #[error("processes that train together: {0}")]
    Processes(String),
    /// libtorch's single-precision convolution of integers is not exact on this machine.
    #[error(
        "self-test of layer `{layer}`: libtorch gave {found} where integers give {expected} (batch \
         {batch}); its convolution is not exact on this machine, so its results on the grid cannot \
         be trusted"
    )]
    SelfTest {
        /// The layer whose shape was tested.
        layer: String,
        /// Size of the batch.
        batch: usize,
        /// The exact sum.
        expected: i64,
        /// The sum that libtorch returned.
        found: f64,
    },
}

impl From<tch::TchError> for Error {
    /// Keeps the message and drops the C++ trace that follows it.
    fn from(error: tch::TchError) -> Self {
        let message = error.to_string();
        Error::Torch(message.lines().next().unwrap_or_default().to_string())
    }
}

impl From<Error> for snn_ir::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Model(error) => error,
            other => snn_ir::Error::Interpreter { interpreter: NAME, message: other.to_string() },
        }
    }
}
