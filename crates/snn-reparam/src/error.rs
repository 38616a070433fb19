//! Errors of a conversion.

use crate::plan::Plan;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A conversion that did not happen; nothing is ever left out in silence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something in the network has no exact event form. The plan lists every such node, with the
    /// way out.
    #[error("the network cannot be converted:\n{}", .0.refusals())]
    Refused(Box<Plan>),
    /// The model has the wrong form for this step.
    #[error("expected a model in the form {expected}, found {found}")]
    Form {
        /// Form that the step takes.
        expected: &'static str,
        /// The value found.
        found: &'static str,
    },
    /// An integer of the grid could leave 32 bits; the error within names the node or weight.
    #[error("{cause}; {way_out}")]
    Overflow {
        /// Node or weight, and what is too large there.
        cause: snn_ir::Error,
        /// Advice on what to change.
        way_out: &'static str,
    },
    /// A file off the grid was said to be fine-tuned, which happens on the grid alone.
    #[error(
        "expected a fine-tuned model in the form grid, found {found}: fine-tuning makes no other; \
         prove it as it is (without --finetuned)"
    )]
    FineTuned {
        /// Form of the file.
        found: &'static str,
    },
    /// A graph, weight or interpreter error.
    #[error(transparent)]
    Ir(#[from] snn_ir::Error),
    /// An interpreter of a proof cannot be made.
    #[error(transparent)]
    Engine(Box<dyn std::error::Error + Send + Sync>),
    /// Two interpreters disagree about what there is to compare.
    #[error("verification: {0}")]
    Comparison(String),
}
