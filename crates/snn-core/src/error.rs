//! What can go wrong on tensors. Nothing in this crate panics: every call into libtorch is one that
//! reports its error.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong; each variant names the place, what was expected and what was found.
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
        /// Which tensor.
        what: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: Vec<i64>,
    },
    /// An argument is outside its range.
    #[error("{what} must be {expected}, found {found}")]
    Argument {
        /// Which argument.
        what: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// libtorch's single-precision convolution of integers is not exact on this machine.
    #[error(
        "self-test of layer `{layer}`: libtorch gave {found} where integers give {expected} (batch \
         {batch}); \
         its convolution is not exact on this machine, so nothing it says about the grid can be \
         trusted"
    )]
    SelfTest {
        /// The layer whose shape was tested.
        layer: String,
        /// Size of the batch.
        batch: usize,
        /// The exact sum.
        expected: i64,
        /// What libtorch returned.
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
            other => snn_ir::Error::Interpreter {
                interpreter: crate::evaluator::NAME,
                message: other.to_string(),
            },
        }
    }
}
